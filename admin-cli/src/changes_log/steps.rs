//! What was done about a row of the Filtering Change Log, and when: by these a row falls into a range, and by these it
//! is told what changed in it from what was only asked for.

use rules::change::UnblockHistory;
use rules::time::UnixMillis;
use serde::Serialize;

/// What was done, the least first: of several in a range the last of these says what came of it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Somebody asked for it.
    Asked,
    /// Somebody said yes, or yes to a later end of what is not in force.
    Authorised,
    /// Somebody saw that it works.
    Confirmed,
    /// It was taken back before it was in force.
    Withdrawn,
    /// Somebody said no.
    Refused,
    /// The filter was changed: it came into force, was extended or ended before its time.
    Changed,
}

/// All that was done about a request.
pub(super) fn steps(history: &UnblockHistory) -> Vec<(UnixMillis, Step)> {
    let applied = history.applied.as_ref().map(|(at, _)| *at);
    // What begins later is in force from then on, unless it was taken back before.
    let revoked = history.revoked.as_ref().map(|(at, ..)| *at);
    let in_force = applied.map(|applied| applied.max(history.from));
    let in_force = in_force.filter(|at| revoked.is_none_or(|revoked| *at <= revoked));
    let was_in_force = |at: UnixMillis| in_force.is_some_and(|in_force| in_force <= at);
    let mut steps = vec![(history.asked_at, Step::Asked)];
    let mut add = |at: Option<UnixMillis>, step: Step| steps.extend(at.map(|at| (at, step)));
    add(history.authorised.as_ref().map(|(at, _)| *at), Step::Authorised);
    add(history.confirmed.as_ref().map(|(at, _)| *at), Step::Confirmed);
    add(history.refused.as_ref().map(|(at, ..)| *at), Step::Refused);
    add(in_force, Step::Changed);
    for (at, ..) in &history.extensions {
        add(Some(*at), if was_in_force(*at) { Step::Changed } else { Step::Authorised });
    }
    let withdrawn = |at| if was_in_force(at) { Step::Changed } else { Step::Withdrawn };
    add(revoked, revoked.map_or(Step::Withdrawn, withdrawn));
    steps
}

/// How many rows of a range came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Changes to the filter.
    pub(crate) changed: usize,
    /// Requests that were only asked for.
    pub(crate) asked: usize,
    /// Requests that were authorised, and are not in force.
    pub(crate) authorised: usize,
    /// Requests that were confirmed, of what was in force before or is not yet.
    pub(crate) confirmed: usize,
    /// Requests that were withdrawn before they were in force.
    pub(crate) withdrawn: usize,
    /// Requests that were refused.
    pub(crate) refused: usize,
}

impl Counts {
    /// Of what rows came to.
    pub(crate) fn of(steps: impl Iterator<Item = Step>) -> Self {
        let mut counts = Self::default();
        for step in steps {
            *match step {
                Step::Asked => &mut counts.asked,
                Step::Authorised => &mut counts.authorised,
                Step::Confirmed => &mut counts.confirmed,
                Step::Withdrawn => &mut counts.withdrawn,
                Step::Refused => &mut counts.refused,
                Step::Changed => &mut counts.changed,
            } += 1;
        }
        counts
    }

    /// As sentences: `3 changes. Other requests: 2 only asked for, 1 refused.`
    pub(crate) fn words(&self) -> String {
        let changed = match self.changed {
            0 => "Nothing was changed.".to_owned(),
            1 => "1 change.".to_owned(),
            many => format!("{many} changes."),
        };
        let others = [
            (self.asked, "only asked for"),
            (self.authorised, "only authorised"),
            (self.confirmed, "only confirmed"),
            (self.withdrawn, "withdrawn"),
            (self.refused, "refused"),
        ];
        let others = others.into_iter().filter(|(count, _)| *count > 0);
        let others: Vec<String> = others.map(|(count, what)| format!("{count} {what}")).collect();
        match others.is_empty() {
            true => changed,
            false => format!("{changed} Other requests: {}.", others.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::change::{RequestKind, SignOffOrder};
    use rules::unblock::{Scope, UnblockId};

    /// Asked for on day 1, to be in force from this day on.
    fn asked(from: i64) -> UnblockHistory {
        UnblockHistory {
            id: UnblockId(1),
            kind: RequestKind::Unblock,
            site: "example.org".to_owned(),
            scope: Scope::Everyone,
            from: UnixMillis(from),
            until: UnixMillis(90),
            reason: "Local history".to_owned(),
            asked_at: UnixMillis(1),
            lapses: UnixMillis(8),
            requested_by: "p.obi".to_owned(),
            order: SignOffOrder::default(),
            authorised: None,
            authorised_sequence: None,
            by_standing_yes: false,
            standing_categories: Vec::new(),
            applied: None,
            confirmed: None,
            checks: Vec::new(),
            refused: None,
            revoked: None,
            overtaken: None,
            wrongly_blocked: None,
            extensions: Vec::new(),
        }
    }

    fn by(day: i64) -> Option<(UnixMillis, String)> {
        Some((UnixMillis(day), "q.whitmore".to_owned()))
    }

    fn told(history: &UnblockHistory) -> Vec<(i64, Step)> {
        steps(history).into_iter().map(|(at, step)| (at.0, step)).collect()
    }

    #[test]
    fn what_was_applied_before_it_begins_changes_the_filter_when_it_begins() {
        let authorised = UnblockHistory { authorised: by(2), ..asked(20) };
        let agreed = [(1, Step::Asked), (2, Step::Authorised)];
        assert_eq!(told(&authorised), agreed);
        let applied = UnblockHistory { applied: by(3), ..authorised.clone() };
        assert_eq!(told(&applied), [agreed[0], agreed[1], (20, Step::Changed)]);
        // One that begins at once changes it when it is applied.
        let at_once = UnblockHistory { from: UnixMillis(1), ..applied.clone() };
        assert_eq!(told(&at_once), [agreed[0], agreed[1], (3, Step::Changed)]);
    }

    #[test]
    fn what_is_done_before_it_begins_changes_nothing_in_the_filter() {
        let applied = UnblockHistory { applied: by(3), ..asked(20) };
        let taken = |day| Some((UnixMillis(day), "q.whitmore".to_owned(), "No lesson".to_owned()));
        let before = UnblockHistory { revoked: taken(10), ..applied.clone() };
        assert_eq!(told(&before), [(1, Step::Asked), (10, Step::Withdrawn)]);
        let after = UnblockHistory { revoked: taken(21), ..applied.clone() };
        assert_eq!(told(&after), [(1, Step::Asked), (20, Step::Changed), (21, Step::Changed)]);
        for (day, step) in [(10, Step::Authorised), (20, Step::Changed), (30, Step::Changed)] {
            let later = (UnixMillis(day), "q.whitmore".to_owned(), UnixMillis(120));
            let extended = UnblockHistory { extensions: vec![later], ..applied.clone() };
            assert_eq!(told(&extended), [(1, Step::Asked), (20, Step::Changed), (day, step)]);
        }
    }

    #[test]
    fn what_was_only_asked_or_answered_is_no_change() {
        assert_eq!(Counts::of([].into_iter()).words(), "Nothing was changed.");
        assert_eq!(Counts::of([Step::Changed].into_iter()).words(), "1 change.");
        let steps = [Step::Refused, Step::Asked, Step::Asked];
        let words = Counts::of(steps.into_iter()).words();
        assert_eq!(words, "Nothing was changed. Other requests: 2 only asked for, 1 refused.");
        let steps = [Step::Changed, Step::Changed, Step::Confirmed, Step::Withdrawn];
        let words = Counts::of(steps.into_iter()).words();
        assert_eq!(words, "2 changes. Other requests: 1 only confirmed, 1 withdrawn.");
    }
}
