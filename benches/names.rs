//! Names made up for lists larger than any that is at hand, the same in every run.

/// Names that look like real ones, one a line: words of two to twelve letters, a few common endings.
pub(crate) fn made_up(count: usize) -> String {
    let mut random = Random(42);
    let mut text = String::with_capacity(count * 20);
    let endings = ["com", "net", "org", "co.uk", "de", "fr", "ru", "info", "xyz", "top"];
    for number in 0..count {
        for _ in 0..2 + random.below(11) {
            text.push(char::from(b'a' + random.below(26) as u8));
        }
        text.push_str(&format!("{number:x}."));
        text.push_str(endings[random.below(endings.len())]);
        text.push('\n');
    }
    text
}

/// A small generator of repeatable numbers (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    /// Puts the items in another order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            items.swap(place, self.below(place + 1));
        }
    }
}
