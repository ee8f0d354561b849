//! What the weekly report and `status` say of https: how far the filter saw, never more than it did.

use crate::args::Reader;
use crate::report::weekly::thousands;
use ledger::seen::Seen;
use serde::Serialize;

/// Https connections that were allowed, by what the filter saw of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Https {
    /// Looked into: every page seen.
    pub(crate) looked_into: u64,
    /// Seen by the site's name alone.
    pub(crate) by_name: u64,
    /// The device refused the school's certificate.
    pub(crate) refused: u64,
    /// Came to nothing, or not known after a crash.
    pub(crate) nothing: u64,
}

impl Https {
    /// Through which something passed.
    pub(crate) fn connections(&self) -> u64 {
        self.looked_into + self.by_name
    }

    /// The share that was looked into, never more than it was.
    fn share(&self) -> String {
        match (self.looked_into, floor_percent(self.looked_into, self.connections())) {
            (0, _) => "none".to_owned(),
            (_, 0) => "under 1 %".to_owned(),
            (_, share) => format!("{share} %"),
        }
    }

    /// How far the filter saw, for whom.
    pub(crate) fn sentences(
        &self,
        levels: &[(String, Https)],
        has_authority: bool,
        reader: Reader,
    ) -> Vec<String> {
        let all = self.connections();
        let mut sentences = vec![match (all, self.looked_into) {
            (0, _) => "Secure connections (https): none passed.".to_owned(),
            (_, 0) => format!(
                "Secure connections (https): {}; the filter saw only the names of their sites and \
                 looked into none.",
                thousands(all)
            ),
            _ if self.by_name == 0 => format!(
                "Secure connections (https): the filter looked into all {}.",
                thousands(all)
            ),
            _ => format!(
                "Secure connections (https): the filter looked into {} of {}; of {} it saw only the \
                 site's name.",
                self.share(),
                thousands(all),
                thousands(self.by_name)
            ),
        }];
        if reader == Reader::It {
            if !has_authority {
                sentences.push("There is no authority: schoolgate ca init.".to_owned());
            }
            if self.looked_into > 0 {
                let shares: Vec<String> = levels
                    .iter()
                    .map(|(level, https)| match https.connections() {
                        0 => format!("{level} no connections"),
                        all => format!("{level} {} of {}", https.share(), thousands(all)),
                    })
                    .collect();
                sentences.push(format!("Looked into, by level: {}.", shares.join("; ")));
            }
            if self.nothing > 0 {
                sentences.push(format!(
                    "{} more came to nothing: no answer, or left at once.",
                    thousands(self.nothing)
                ));
            }
        }
        if self.refused > 0 {
            let hint = match reader {
                Reader::Dsl => "",
                Reader::It => " See schoolgate inspect learned.",
            };
            sentences.push(format!(
                "{} failed because a device or program did not take the school's certificate.{hint}",
                thousands(self.refused)
            ));
        }
        sentences
    }
}

impl From<Seen> for Https {
    fn from(seen: Seen) -> Self {
        let Seen { looked_into, by_name, refused, nothing, .. } = seen;
        Self { looked_into, by_name, refused, nothing }
    }
}

/// A share in whole percent, rounded down; 0 of nothing.
pub(crate) fn floor_percent(part: u64, whole: u64) -> u64 {
    (u128::from(part) * 100).checked_div(u128::from(whole)).unwrap_or(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_of_https_is_told_for_whom_and_never_rounded_up() {
        let https = Https { looked_into: 1999, by_name: 1, refused: 3, nothing: 5 };
        let levels = [
            ("ks3".to_owned(), Https { looked_into: 1999, ..Https::default() }),
            ("guest".to_owned(), Https { by_name: 1, ..Https::default() }),
        ];
        let said = |https: Https, reader| https.sentences(&levels, true, reader).join(" ");
        assert_eq!(
            said(https, Reader::Dsl),
            "Secure connections (https): the filter looked into 99 % of 2,000; of 1 it saw only the \
             site's name. 3 failed because a device or program did not take the school's certificate."
        );
        let it = said(https, Reader::It);
        assert!(it.contains("by level: ks3 100 % of 1,999; guest none of 1."), "{it}");
        assert!(it.contains("5 more came to nothing") && it.contains("inspect learned"), "{it}");
        let unseen = Https { looked_into: 0, by_name: 1400, ..Https::default() };
        let dsl = unseen.sentences(&[], false, Reader::Dsl).join(" ");
        assert!(
            dsl.ends_with(
                "1,400; the filter saw only the names of their sites and looked into none."
            ),
            "{dsl}"
        );
        assert!(unseen.sentences(&[], false, Reader::It)[1].contains("ca init"));
        assert_eq!(Https { looked_into: 1, by_name: 500, ..Https::default() }.share(), "under 1 %");
        assert!(said(Https::default(), Reader::Dsl).ends_with("none passed."));
        let whole = Https { looked_into: 12, ..Https::default() };
        assert!(said(whole, Reader::Dsl).ends_with("looked into all 12."));
    }
}
