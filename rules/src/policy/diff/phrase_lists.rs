//! What differs in the phrase lists that policies name.

use super::PolicyDiff;
use crate::policy::Policy;
use crate::theme::ALL;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// How many phrases of a theme differ.
#[derive(Default)]
struct Differing {
    added: usize,
    removed: usize,
    weighed: usize,
    loosens: bool,
}

impl Differing {
    /// Of two sorted tables.
    fn between(mut old: &[([u8; 16], i32)], mut new: &[([u8; 16], i32)]) -> Self {
        let mut found = Self::default();
        loop {
            let order = match (old, new) {
                ([], []) => return found,
                ([], _) => Ordering::Greater,
                (_, []) => Ordering::Less,
                ([was, ..], [is, ..]) => was.0.cmp(&is.0),
            };
            let take = |table: &mut &[([u8; 16], i32)], is_taken: bool| match table {
                [(_, weight), rest @ ..] if is_taken => {
                    let weight = *weight;
                    *table = rest;
                    Some(weight)
                }
                _ => None,
            };
            let was = take(&mut old, order.is_le());
            let is = take(&mut new, order.is_ge());
            match (was, is) {
                (None, _) => found.added += 1,
                (_, None) => found.removed += 1,
                (was, is) => found.weighed += usize::from(was != is),
            }
            // What is not there adds nothing.
            found.loosens |= is.unwrap_or(0) < was.unwrap_or(0);
        }
    }
}

impl Policy {
    /// Phrases by theme: what counted for a page and is gone or weighs less, and what speaks for a page and is new or
    /// weighs more, is loosening. In which file a phrase stands makes no difference.
    pub(super) fn diff_phrase_lists(&self, newer: &Policy, diff: &mut PolicyDiff) {
        let (old, new) = (&self.phrase_weights, &newer.phrase_weights);
        let themes: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for theme in themes {
            let of = |weights: &'_ crate::policy::PhraseWeights| -> Vec<([u8; 16], i32)> {
                weights.get(theme).cloned().unwrap_or_default()
            };
            let found = Differing::between(&of(old), &of(new));
            let counts = [
                (found.added, "added"),
                (found.removed, "removed"),
                (found.weighed, "weigh otherwise"),
            ];
            let words: Vec<String> = counts
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}"))
                .collect();
            if !words.is_empty() {
                // Where no list counted for a page until now, none can count less.
                let mut counted = old.iter().filter(|(_, table)| !table.is_empty());
                let did_count = match theme == ALL {
                    true => counted.any(|(other, _)| other != ALL),
                    false => counted.any(|(other, _)| other == theme),
                };
                let theme = if theme == ALL { "every theme" } else { theme };
                let line = format!("phrases of lists for {theme}: {}", words.join(", "));
                diff.add(line, found.loosens && did_count);
            }
        }
    }
}
