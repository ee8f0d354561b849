//! The weekly report's part on changes: what changed in the filter, what was only asked for, and what was tried or
//! done that somebody should look into.

use super::document::{Section, Table};
use super::weekly::{MOST_THINGS, Week};
use crate::changes_log::{self, Counts, Row, Step};
use rules::change::{Event, same_person};
use rules::time::UnixMillis;

impl Week<'_> {
    /// The rows of the Filtering Change Log about which anything was done in the range: with what came of it there,
    /// and when.
    fn change_rows(&self) -> Vec<(Row, Step, UnixMillis)> {
        let clock = self.policy.clock();
        changes_log::rows(self.changes, self.entries, clock, self.range, self.made_at)
            .into_iter()
            .filter_map(|row| row.within(self.range).map(|(step, at)| (row, step, at)))
            .collect()
    }

    /// How many changes there were, and requests that changed nothing.
    pub(super) fn change_counts(&self) -> Counts {
        Counts::of(self.change_rows().iter().map(|(_, step, _)| *step))
    }

    pub(super) fn changed(&self) -> Section {
        let clock = self.policy.clock();
        let mut rows = self.change_rows();
        // What changed the filter comes first, the last of it before the others.
        rows.sort_by_key(|(_, step, at)| std::cmp::Reverse((*step == Step::Changed, *at)));
        let mut counts = Counts::of(rows.iter().map(|(_, step, _)| *step)).words();
        if rows.len() > MOST_THINGS {
            counts.push_str(&format!(
                " {MOST_THINGS} are shown, the last changes first. All: the change report."
            ));
        }
        let overdue = self.overdue();
        let refused = self
            .entries
            .iter()
            .filter(|entry| {
                // What the filter itself turned down (a bad file) is no person's doing.
                self.holds(entry.at)
                    && entry.actor != "schoolgate"
                    && matches!(entry.event, Event::ActionRefused { .. })
            })
            .count();
        let one_person = self.one_person_refused();
        let mut sentences = vec![counts];
        match refused {
            0 => {}
            1 => sentences.push("Once somebody tried what they may not do.".to_owned()),
            many => sentences.push(format!("{many} times somebody tried what they may not do.")),
        }
        if one_person > 0 {
            let times =
                if one_person == 1 { "Once".to_owned() } else { format!("{one_person} times") };
            sentences.push(format!(
                "{times} what takes two people was refused because their accounts count as one person: ask the \
                 owners whether they acted (log actions --event one_person_refused)."
            ));
        }
        let passwords = self.passwords_set();
        if !passwords.is_empty() {
            sentences.push(format!(
                "Passwords set by somebody else: {}. Ask each owner whether they know of it.",
                passwords.join(", ")
            ));
        }
        sentences.push(match overdue.len() {
            0 => "No review is overdue.".to_owned(),
            _ => format!("Overdue: {}.", overdue.join("; ")),
        });
        let cells = |(row, _, at): (Row, Step, UnixMillis)| {
            let [what, _, requested, authorised, ..] = row.cells;
            vec![clock.day(at).to_string(), what, requested, authorised]
        };
        let rows: Vec<Vec<String>> = rows.into_iter().take(MOST_THINGS).map(cells).collect();
        let table = (!rows.is_empty())
            .then(|| Table::new(&["Date", "What", "Who and why", "Authorised by"], rows));
        Section { heading: "Changes".to_owned(), sentences, table }
    }

    /// How often two accounts were refused because they count as one person.
    pub(super) fn one_person_refused(&self) -> usize {
        let is_refusal = |event: &Event| matches!(event, Event::OnePersonRefused { .. });
        self.entries.iter().filter(|it| self.holds(it.at) && is_refusal(&it.event)).count()
    }

    /// Administrators whose password somebody else has set, with whom: `q.whitmore's by j.cho`.
    pub(super) fn passwords_set(&self) -> Vec<String> {
        let mut told = Vec::new();
        for entry in self.entries.iter().filter(|entry| self.holds(entry.at)) {
            let Event::AccountChanged { account, changed } = &entry.event else { continue };
            let is_changed = |what: &str| changed.iter().any(|it| it == what);
            let words = format!("{account}'s by {}", entry.actor);
            // Whoever sets the filter up on the machine makes the first account, before anybody can act.
            let is_first = is_changed("added") && entry.actor.starts_with("machine:");
            let is_set = is_changed("password") && !is_first;
            if is_set && !same_person(account, &entry.actor) && !told.contains(&words) {
                told.push(words);
            }
        }
        told
    }
}
