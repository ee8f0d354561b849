//! The weekly report's last part: who has read and signed it, and the one of the week before.

use super::days::range_before;
use super::document::{Section, TO_WRITE, Table};
use super::weekly::Week;
use crate::args::Reader;
use jiff::civil::Weekday;
use rules::access::Role;
use rules::change::same_person;
use rules::report::{FOR_LEAD, Reading, Review};
use rules::time::UnixMillis;

/// Most reviewers with a line to sign.
const MOST_REVIEWERS: usize = 3;

impl Week<'_> {
    /// Who signed it, and a line for each person whose task that still is.
    pub(super) fn reviewed(&self, reader: Reader) -> Section {
        let role = match reader {
            Reader::Dsl => Role::Dsl,
            Reader::It => Role::It,
        };
        let clock = self.policy.clock();
        // Signed is the lead's report; the technician's is signed on paper.
        let own = match (reader, self.is_a_week()) {
            (Reader::Dsl, true) => self.reading(self.range.0, FOR_LEAD),
            _ => Reading::default(),
        };
        let reviews = own.reviews;
        let signed = reviews
            .iter()
            .map(|review| vec![review.by.clone(), clock.show(review.at), review.action.clone()]);
        let mut rows: Vec<Vec<String>> = signed.collect();
        let row = |by: &str| vec![by.to_owned(), TO_WRITE.to_owned(), TO_WRITE.to_owned()];
        let has_signed = |name: &&String| reviews.iter().any(|it| same_person(&it.by, name));
        let holders = self.policy.holders(role).iter().filter(|name| !has_signed(name));
        rows.extend(holders.take(MOST_REVIEWERS.saturating_sub(rows.len())).map(|name| row(name)));
        if rows.is_empty() {
            rows.push(row(TO_WRITE));
        }
        let sign = match reader {
            Reader::Dsl => {
                "Sign here, or with `schoolgate report review --action TEXT`, say what was done about it, and keep \
                 this page as the record of the review."
            }
            Reader::It => {
                "Sign, say what was done about it, and keep this page as the record of the review."
            }
        };
        let mut sentences = self.week_before_read(reader);
        sentences.extend(self.unread_told(&own.told, "this report"));
        sentences.push(sign.to_owned());
        if reader == Reader::Dsl {
            sentences.push(self.told.sentence());
        }
        let table = Some(Table::new(&["By", "Date", "Action taken"], rows));
        Section { heading: "Reviewed".to_owned(), sentences, table }
    }

    /// What the change log says of the report of the week that begins then.
    fn reading(&self, from: UnixMillis, edition: &str) -> Reading {
        let clock = self.policy.clock();
        Reading::of(self.entries, clock, clock.day(from), edition)
    }

    /// Who asked for the report of the week before, who signed it, and who was told that nobody had.
    fn week_before_read(&self, reader: Reader) -> Vec<String> {
        let clock = self.policy.clock();
        let is_monday = clock.day(self.range.0).weekday() == Weekday::Monday;
        if !self.is_a_week() || !is_monday || self.before.requests == 0 {
            return Vec::new();
        }
        let (from, _) = range_before(clock, self.range);
        let reading = self.reading(from, if reader == Reader::Dsl { FOR_LEAD } else { "for it" });
        let mut told = vec![match &reading.readers[..] {
            [] => "Nobody has asked for the report of the week before.".to_owned(),
            readers => {
                format!("The report of the week before was asked for by {}.", self.named(readers))
            }
        }];
        if reader == Reader::It {
            return told;
        }
        let signed: Vec<_> = reading.reviews.into_iter().map(|it| (it.by, it.at)).collect();
        told.extend(
            (!signed.is_empty()).then(|| format!("It was signed by {}.", self.named(&signed))),
        );
        told.extend(self.unread_told(&reading.told, "it"));
        told
    }

    fn unread_told(&self, told: &[(String, UnixMillis)], what: &str) -> Option<String> {
        let names = self.named(told);
        (!told.is_empty()).then(|| format!("That {what} was unread was told to {names}."))
    }

    fn named(&self, people: &[(String, UnixMillis)]) -> String {
        let clock = self.policy.clock();
        let names = people.iter().map(|(name, at)| format!("{name} ({})", clock.show(*at)));
        names.collect::<Vec<_>>().join(", ")
    }

    /// Who signed the lead's report of this week.
    pub(super) fn reviews_json(&self) -> Vec<serde_json::Value> {
        let clock = self.policy.clock();
        let reviews = match self.is_a_week() {
            true => self.reading(self.range.0, FOR_LEAD).reviews,
            false => Vec::new(),
        };
        let object = |it: &Review| serde_json::json!({ "by": it.by, "at": clock.rfc3339(it.at), "action": it.action });
        reviews.iter().map(object).collect()
    }
}
