//! Numbers that look random and are the same in every run.

/// Mixes a number so that any change of it changes all of the result (the finaliser of SplitMix64).
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Mixes two numbers into one.
pub(crate) fn mix2(one: u64, other: u64) -> u64 {
    mix(mix(one) ^ other)
}

/// A stream of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The stream of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    /// At least 0 and below 1.
    pub(crate) fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.part() * end as f64) as usize
    }

    /// Whether something happens that does with this probability.
    pub(crate) fn is(&mut self, probability: f64) -> bool {
        self.part() < probability
    }

    /// Exponentially distributed with this mean.
    pub(crate) fn wait(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.part()).ln()
    }

    /// Log-normal about: the median, and the factor up to which most values lie.
    pub(crate) fn skewed(&mut self, median: f64, factor: f64) -> f64 {
        // The sum of four uniform numbers has a bell's shape: mean 2, standard deviation 0.577.
        let bell = (0..4).map(|_| self.part()).sum::<f64>() - 2.0;
        median * factor.powf(bell / 0.577)
    }
}

/// Places by Zipf's law: the first twice as often as the second, three times as often as the third.
#[derive(Debug)]
pub(crate) struct Zipf {
    sums: Vec<f64>,
}

impl Zipf {
    /// The law over `count` places, with its exponent.
    pub(crate) fn new(count: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=count).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Self { sums: sums.collect() }
    }

    /// A place, from 0.
    pub(crate) fn pick(&self, chance: &mut Chance) -> usize {
        let all = self.sums.last().copied().unwrap_or(1.0);
        let wanted = chance.part() * all;
        self.sums.partition_point(|sum| *sum <= wanted).min(self.sums.len().saturating_sub(1))
    }
}
