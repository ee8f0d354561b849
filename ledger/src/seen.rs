//! What the filter saw of what it allowed: plain pages, connections that it looked into, those of
//! which it knew the name alone, and those whose client refused its certificate.
//!
//! A connection that is looked into is one `CONNECT`; the requests inside are accesses of their own.
//! The two are counted apart, so that nothing counts twice.

use crate::query::QueryError;
use crate::record::{Depth, End, Ended, scheme_from_number};
use crate::sqlite::{days_between, open_to_read};
use jiff::civil::Date;
use rules::target::Scheme;
use sqlx::{Connection, Row, SqliteConnection};
use std::collections::BTreeMap;
use std::path::Path;

/// What came of an allowed access. The numbers are stored and never reassigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Outcome {
    Passed = 0,
    Refused = 1,
    /// Of a tunnel: no byte went to the site, or after a kill it is not known whether one did.
    Nothing = 2,
}

impl Outcome {
    /// `unseen`: a tunnel that was not looked into. Whatever passes through one begins with bytes
    /// of the client; the bytes to it may be those of a page that says why nothing passed.
    pub(crate) fn of(unseen: bool, ended: &Ended) -> Self {
        match ended.end {
            End::Rejected => Outcome::Refused,
            _ if unseen && ended.bytes_up == 0 => Outcome::Nothing,
            _ => Outcome::Passed,
        }
    }

    fn from_number(number: i64) -> Option<Self> {
        [Outcome::Passed, Outcome::Refused, Outcome::Nothing]
            .into_iter()
            .find(|outcome| *outcome as i64 == number)
    }
}

/// What the filter saw of allowed accesses that have ended. What is still open counts nowhere yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Plain HTTP requests: seen whole.
    pub plain: u64,
    /// Requests inside connections that were looked into: seen whole.
    pub inside: u64,
    /// Connections (`CONNECT`) that were looked into.
    pub looked_into: u64,
    /// Connections of which the site's name alone was seen.
    pub by_name: u64,
    /// Connections whose client refused the filter's certificate: nothing passed.
    pub refused: u64,
    /// Connections that came to nothing: the site did not answer or the client left before it said
    /// anything. Those that were open at a kill are counted here too, as it is not known.
    pub nothing: u64,
}

impl Seen {
    /// Connections through which something passed.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.looked_into + self.by_name
    }

    /// All of several.
    #[must_use]
    pub fn total<'a>(several: impl IntoIterator<Item = &'a Seen>) -> Seen {
        several.into_iter().fold(Seen::default(), |sum, seen| Seen {
            plain: sum.plain + seen.plain,
            inside: sum.inside + seen.inside,
            looked_into: sum.looked_into + seen.looked_into,
            by_name: sum.by_name + seen.by_name,
            refused: sum.refused + seen.refused,
            nothing: sum.nothing + seen.nothing,
        })
    }

    /// By level, of the school days `from` to before `until` in `state`, and nothing else of them:
    /// quick enough to be asked often.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn of_days(
        state: &Path,
        from: Date,
        until: Date,
    ) -> Result<BTreeMap<String, Seen>, QueryError> {
        let mut levels = BTreeMap::new();
        for (_, path) in days_between(state, from, until)? {
            let added = async {
                let mut connection = open_to_read(&path).await?;
                add_day(&mut connection, &mut levels).await?;
                connection.close().await
            };
            added.await.map_err(|source| QueryError::Store { path: path.clone(), source })?;
        }
        Ok(levels)
    }

    fn add(&mut self, scheme: Scheme, depth: Depth, outcome: Outcome, accesses: u64) {
        let kind = match (scheme, outcome, depth) {
            (Scheme::Http, ..) => &mut self.plain,
            (Scheme::Https, ..) => &mut self.inside,
            (Scheme::Tunnel, Outcome::Refused, _) => &mut self.refused,
            (Scheme::Tunnel, Outcome::Nothing, _) => &mut self.nothing,
            (Scheme::Tunnel, Outcome::Passed, Depth::Page) => &mut self.looked_into,
            (Scheme::Tunnel, Outcome::Passed, Depth::Name | Depth::Plain) => &mut self.by_name,
        };
        *kind += accesses;
    }
}

/// Adds a day's sums. A day stored before there was looking into connections has only the depth as
/// decided, which then was the depth in the end.
pub(crate) async fn add_day(
    connection: &mut SqliteConnection,
    levels: &mut BTreeMap<String, Seen>,
) -> Result<(), sqlx::Error> {
    let sql = match has_endings(connection).await? {
        true => {
            "SELECT l.value, r.scheme, r.depth, r.outcome, sum(r.accesses)
             FROM rollup_ended r JOIN name l ON l.id = r.level GROUP BY 1, 2, 3, 4"
        }
        false => {
            "SELECT l.value, CASE r.depth & 15 WHEN 0 THEN 0 ELSE 2 END, r.depth & 15, 0, sum(r.requests)
             FROM rollup_depth r JOIN name l ON l.id = r.level WHERE r.verdict = 0 GROUP BY 1, 2, 3"
        }
    };
    let unknown = |what: &str| {
        sqlx::Error::Decode(format!("unknown {what}; written by a newer version?").into())
    };
    for row in sqlx::query(sql).fetch_all(connection).await? {
        let scheme = scheme_from_number(row.try_get(1)?).ok_or_else(|| unknown("scheme"))?;
        let depth = Depth::from_number(row.try_get(2)?).ok_or_else(|| unknown("depth"))?;
        let outcome = Outcome::from_number(row.try_get(3)?).ok_or_else(|| unknown("outcome"))?;
        let level = levels.entry(row.try_get(0)?).or_default();
        level.add(scheme, depth, outcome, row.try_get::<i64, _>(4)? as u64);
    }
    Ok(())
}

/// Whether a day's file tells how accesses ended, in sums: since the second version.
pub(crate) async fn has_endings(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let version = sqlx::query("PRAGMA user_version").fetch_one(connection).await?;
    Ok(version.try_get::<i64, _>(0)? >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(end: End, bytes_up: u64) -> Ended {
        Ended { end, status: 200, bytes_up, bytes_down: 900, duration_us: 1, depth: None }
    }

    #[test]
    fn what_came_of_an_access_is_told_by_its_end_and_the_clients_bytes() {
        let cases = [
            ("a tunnel in use", true, ended(End::Complete, 517), Outcome::Passed),
            ("cut by a block", true, ended(End::Cut, 517), Outcome::Passed),
            (
                "the site did not answer, a page said so",
                true,
                ended(End::Upstream, 0),
                Outcome::Nothing,
            ),
            ("open at a kill", true, ended(End::Unknown, 0), Outcome::Nothing),
            ("the certificate refused", true, ended(End::Rejected, 0), Outcome::Refused),
            ("a GET", false, ended(End::Complete, 0), Outcome::Passed),
            ("looked into", false, ended(End::Complete, 0), Outcome::Passed),
        ];
        for (what, unseen, ended, expected) in cases {
            assert_eq!(Outcome::of(unseen, &ended), expected, "{what}");
        }
    }

    #[test]
    fn each_access_counts_in_one_place() {
        let mut seen = Seen::default();
        seen.add(Scheme::Http, Depth::Plain, Outcome::Passed, 1);
        seen.add(Scheme::Https, Depth::Page, Outcome::Passed, 2);
        seen.add(Scheme::Tunnel, Depth::Page, Outcome::Passed, 4);
        seen.add(Scheme::Tunnel, Depth::Name, Outcome::Passed, 8);
        seen.add(Scheme::Tunnel, Depth::Name, Outcome::Refused, 16);
        seen.add(Scheme::Tunnel, Depth::Name, Outcome::Nothing, 32);
        let expected =
            Seen { plain: 1, inside: 2, looked_into: 4, by_name: 8, refused: 16, nothing: 32 };
        assert_eq!(seen, expected);
        assert_eq!(seen.connections(), 12, "neither refused nor come to nothing");
        assert_eq!(Seen::total([&seen, &seen]).inside, 4);
    }
}
