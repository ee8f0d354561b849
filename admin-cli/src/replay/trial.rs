//! What came of a replay, for the record of the change.

use super::{Counts, Replay};
use rules::change::{MAX_SHARES, Share, Trial};
use rules::decide::{Decision, Verdict};
use rules::level::LevelId;
use rules::time::UnixMillis;

impl Replay<'_> {
    /// Counts a record that one policy refuses, by its decision about the site, or for the theme of what was typed:
    /// newly refused, newly passing.
    pub(super) fn count_share(
        &mut self,
        level: LevelId,
        decision: &Decision,
        theme: Option<&String>,
        [refused, passed]: [u64; 2],
    ) {
        // The site itself decides before what is typed there.
        let theme = theme.filter(|_| decision.verdict == Verdict::Allow).cloned();
        let level = self.snapshot.policy.levels().get(level).name.clone();
        let share = self.shares.entry((level, theme)).or_default();
        *share = [share[0] + refused, share[1] + passed];
    }

    /// What became of the records so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The same for the record of the change, whose range the caller knows.
    pub(crate) fn trial(&self) -> Trial {
        let shares = self.shares.iter().map(|((level, theme), [refused, passed])| Share {
            level: level.clone(),
            theme: theme.clone(),
            refused: *refused,
            passed: *passed,
        });
        let mut shares: Vec<Share> = shares.collect();
        let all = |share: &Share| share.refused + share.passed;
        shares.sort_by(|one, other| {
            let names = |share: &Share| (share.level.clone(), share.theme.clone());
            all(other).cmp(&all(one)).then_with(|| names(one).cmp(&names(other)))
        });
        let [refused, passed] =
            self.shares.values().fold([0, 0], |sum, share| [sum[0] + share[0], sum[1] + share[1]]);
        shares.truncate(MAX_SHARES);
        Trial {
            from: UnixMillis(0),
            until: UnixMillis(0),
            whole: true,
            records: self.counts.records,
            judged: self.counts.judged,
            typed: self.counts.typed,
            refused,
            passed,
            newly_signs: self.counts.newly_signs,
            no_longer_signs: self.counts.no_longer_signs,
            shares,
        }
    }
}
