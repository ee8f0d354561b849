//! What of phrase lists was not heeded, as warnings of the policy.

use rules::policy::PhraseList;

/// Lines that a warning shows.
const SHOWN: usize = 3;
/// Files that a warning shows.
const SHOWN_FILES: usize = 20;

/// Lines or files that are told, of all of a list: how many, and the first ones.
#[derive(Default)]
pub(super) struct Told {
    pub(super) count: u64,
    examples: Vec<String>,
}

impl Told {
    pub(super) fn add(&mut self, count: u64, examples: impl Iterator<Item = String>) {
        self.count += count;
        self.examples.extend(examples.take(SHOWN.saturating_sub(self.examples.len())));
    }

    pub(super) fn add_file(&mut self, name: String) {
        self.count += 1;
        if self.examples.len() < SHOWN_FILES {
            self.examples.push(name);
        }
    }

    /// `policy.toml:26: phrases: lines that cannot be read: 5 (phrases/a:3 has no weight; and 4 more)`.
    pub(super) fn warning(&self, row: &PhraseList, what: &str) -> Option<String> {
        let Self { count, examples } = self;
        let more = match count - examples.len() as u64 {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let told = format!("{what}: {count} ({}{more})", examples.join("; "));
        (*count > 0).then(|| format!("{}: {}: {told}", row.place, row.file))
    }
}
