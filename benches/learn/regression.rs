//! Logistic regression of sparse lines, with what is given of each.

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
    pub(crate) fn sum(&self, names: &[u32]) -> f32 {
        let sum: f32 = names.iter().map(|&name| self.weights[name as usize]).sum();
        sum / (names.len().max(1) as f32).sqrt() + self.nothing
    }
}

/// Learns by stochastic gradients whose steps shrink by what each weight has moved (AdaGrad). Large weights cost `1 / c`
/// times half their square.
pub(crate) fn learn(lines: &[Sparse], names: usize, c: f32, rounds: usize) -> Learned {
    const STEP: f32 = 0.5;
    let mut counts = vec![0_u32; names];
    lines.iter().flat_map(|line| &line.names).for_each(|&name| counts[name as usize] += 1);
    let mut learned = Learned { weights: vec![0.0; names], nothing: 0.0 };
    let (mut moved, mut moved_nothing) = (vec![1e-3_f32; names], 1e-3_f32);
    let mut order: Vec<u32> = (0..lines.len() as u32).collect();
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    for _ in 0..rounds {
        chance.shuffle(&mut order);
        for &at in &order {
            let line = &lines[at as usize];
            let sum = learned.sum(&line.names) + line.given;
            let wanted = if line.is_of { 1.0 } else { 0.0 };
            let error = (1.0 / (1.0 + (-sum).exp()) - wanted) * line.weight;
            let share = error / (line.names.len().max(1) as f32).sqrt();
            for &name in &line.names {
                let name = name as usize;
                let weight = &mut learned.weights[name];
                let slope = share + *weight / (c * counts[name] as f32);
                moved[name] += slope * slope;
                *weight -= STEP * slope / moved[name].sqrt();
            }
            moved_nothing += error * error;
            learned.nothing -= STEP * error / moved_nothing.sqrt();
        }
    }
    learned
}

/// The same order each time (xorshift of 64 bits).
struct Chance(u64);

impl Chance {
    fn shuffle(&mut self, order: &mut [u32]) {
        for end in (1..order.len()).rev() {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            order.swap(end, (self.0 % (end as u64 + 1)) as usize);
        }
    }
}
