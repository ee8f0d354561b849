//! Logistic regression of sparse lines, with what is given of each.

/// How it is learned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Learning {
    /// How cheap large weights are.
    pub(crate) c: f32,
    /// How often all lines are gone through; at least once.
    pub(crate) rounds: usize,
    /// The share of names that are passed over.
    pub(crate) passed_over: f32,
    /// Another order of lines and other names that are passed over.
    pub(crate) turn: u64,
}

/// A line: the numbers of its names, each of which counts `1 / sqrt(how many)`.
pub(crate) struct Sparse {
    pub(crate) names: Vec<u32>,
    /// What is given: it is added to what is learned.
    pub(crate) given: f32,
    pub(crate) is_of: bool,
    /// How much it counts.
    pub(crate) weight: f32,
}

/// What was learned.
#[derive(Clone, Debug)]
pub(crate) struct Learned {
    pub(crate) weights: Vec<f32>,
    pub(crate) nothing: f32,
}

impl Learned {
    fn nothing(names: usize) -> Self {
        Self { weights: vec![0.0; names], nothing: 0.0 }
    }

    /// Adds a share of another.
    fn add(&mut self, other: &Self, share: f32) {
        self.weights.iter_mut().zip(&other.weights).for_each(|(sum, one)| *sum += one * share);
        self.nothing += other.nothing * share;
    }

    pub(crate) fn sum(&self, names: &[u32]) -> f32 {
        let sum: f32 = names.iter().map(|&name| self.weights[name as usize]).sum();
        sum / (names.len().max(1) as f32).sqrt() + self.nothing
    }
}

/// Learns by stochastic gradients whose steps shrink by what each weight has moved (AdaGrad), and takes the mean of the later
/// half of the rounds. Large weights cost `1 / c` times half their square. Each time a line is seen, each of its names is
/// passed over by chance, so that no line rests on one of them.
pub(crate) fn learn(lines: &[Sparse], names: usize, how: Learning) -> Learned {
    let Learning { c, rounds, passed_over, turn } = how;
    const STEP: f32 = 0.5;
    let mut counts = vec![0_u32; names];
    lines.iter().flat_map(|line| &line.names).for_each(|&name| counts[name as usize] += 1);
    let mut learned = Learned::nothing(names);
    let (mut moved, mut moved_nothing) = (vec![1e-3_f32; names], 1e-3_f32);
    let mut order: Vec<u32> = (0..lines.len() as u32).collect();
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15_u64.rotate_left(turn as u32 * 7));
    let mut mean = Learned::nothing(names);
    let mut seen = Vec::new();
    for round in 0..rounds {
        chance.shuffle(&mut order);
        for &at in &order {
            let line = &lines[at as usize];
            seen.clear();
            seen.extend(line.names.iter().filter(|_| !chance.is_within(passed_over)));
            let sum = learned.sum(&seen) + line.given;
            let wanted = if line.is_of { 1.0 } else { 0.0 };
            let error = (1.0 / (1.0 + (-sum).exp()) - wanted) * line.weight;
            let share = error / (seen.len().max(1) as f32).sqrt();
            for &name in &seen {
                let name = name as usize;
                let weight = &mut learned.weights[name];
                let slope = share + *weight / (c * counts[name] as f32);
                moved[name] += slope * slope;
                *weight -= STEP * slope / moved[name].sqrt();
            }
            moved_nothing += error * error;
            learned.nothing -= STEP * error / moved_nothing.sqrt();
        }
        if round >= rounds / 2 {
            mean.add(&learned, 1.0 / (rounds - rounds / 2) as f32);
        }
    }
    mean
}

/// The mean of what was learned several times.
pub(crate) fn mean(learned: impl Iterator<Item = Learned>) -> Learned {
    let all: Vec<Learned> = learned.collect();
    let share = 1.0 / all.len() as f32;
    let mut mean = Learned::nothing(all.first().map_or(0, |one| one.weights.len()));
    all.iter().for_each(|one| mean.add(one, share));
    mean
}

/// The same each time (xorshift of 64 bits).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Whether something happens that does so in this share of cases.
    fn is_within(&mut self, share: f32) -> bool {
        const BITS: u32 = 24;
        ((self.next() >> (u64::BITS - BITS)) as f32) < share * (1_u32 << BITS) as f32
    }

    fn shuffle(&mut self, order: &mut [u32]) {
        for end in (1..order.len()).rev() {
            order.swap(end, (self.next() % (end as u64 + 1)) as usize);
        }
    }
}
