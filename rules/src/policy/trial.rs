//! The `[[test]]` cases of a policy, tried through the one decision.

use super::{Policy, PolicyTest, Subject};
use crate::access::{Access, Identity, KnownBy, RoleSet};
use crate::category::CategorySet;
use crate::circumvent::{Pack, Seen, judge};
use crate::decide::{Decision, Reason, Verdict};
use crate::host::Host;
use crate::target::Scheme;
use crate::time::UnixMillis;
use std::net::{IpAddr, Ipv6Addr};

/// A failed `[[test]]`: `ks2, Tue 10:00: childline.org.uk must be allowed; :28 blocks it`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestFailure {
    /// The sentence.
    pub text: String,
}

impl Policy {
    /// Whether it has any `[[test]]` case.
    #[must_use]
    pub fn has_tests(&self) -> bool {
        !self.tests.is_empty()
    }

    /// Runs all `[[test]]` cases. `categories` gives a host's (and path's) categories.
    ///
    /// A weekday and time is the next such on a school day, so that a policy that opens something
    /// at lunch can be tested in the holidays too.
    #[must_use]
    pub fn run_tests(
        &self,
        categories: &dyn Fn(&Host, Option<&str>) -> CategorySet,
        now: UnixMillis,
    ) -> Vec<TestFailure> {
        let mut failures = Vec::new();
        for test in &self.tests {
            let wanted = test
                .allow
                .iter()
                .map(|subject| (subject, Verdict::Allow))
                .chain(test.block.iter().map(|subject| (subject, Verdict::Block)));
            for (subject, verdict) in wanted {
                let decision = self.try_subject(test, subject, categories, now);
                if decision.verdict != verdict {
                    let text = self.failure(test, subject, decision);
                    failures.push(TestFailure { text });
                }
            }
            for (subject, mode) in &test.inspect {
                let is = self.with_access(test, subject, categories, |it| self.inspection(it)).mode;
                if is != *mode {
                    let (level, what) =
                        (&self.levels.get(test.level).name, self.show_subject(subject));
                    let (must, is) = (mode.as_str(), is.as_str());
                    let text = format!("{level}: {what} must be inspected as {must}; it is {is}");
                    failures.push(TestFailure { text });
                }
            }
        }
        failures
    }

    fn try_subject(
        &self,
        test: &PolicyTest,
        subject: &Subject,
        categories: &dyn Fn(&Host, Option<&str>) -> CategorySet,
        now: UnixMillis,
    ) -> Decision {
        // The time was understood when the policy was read.
        let at = test.at.as_deref().and_then(|text| self.clock.school_moment(text, now).ok());
        self.with_access(test, subject, categories, |access| {
            let seen = Seen {
                scheme: access.scheme,
                host: access.host,
                port: access.port,
                path_and_query: access.path,
                head: None,
            };
            // A category is asked about at a host that stands for none.
            let found = match subject {
                Subject::Site(_) => Pack::shipped().find(&seen),
                Subject::Category(_) => None,
            };
            let of = |host: &Host, path: &str| categories(host, Some(path));
            judge(self, (&[], &[]), access, found.as_ref(), &of, at.unwrap_or(now)).decision
        })
    }

    /// Asks something about what a test case is about.
    fn with_access<T>(
        &self,
        test: &PolicyTest,
        subject: &Subject,
        categories: &dyn Fn(&Host, Option<&str>) -> CategorySet,
        ask: impl FnOnce(&Access<'_>) -> T,
    ) -> T {
        let who = Identity {
            level: test.level,
            user: None,
            groups: [].into(),
            roles: RoleSet::default(),
            banned_until: None,
            known_by: KnownBy::Nothing,
        };
        // Any host will do for a category but one that a rule may name: an address that nobody
        // can have (RFC 6666, discard only).
        let nowhere = Host::from_address(IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1)));
        let (host, path, categories) = match subject {
            Subject::Site(site) => (site.host(), site.path(), categories(site.host(), site.path())),
            Subject::Category(category) => (&nowhere, None, CategorySet::of(*category)),
        };
        let scheme = if path.is_some() { Scheme::Https } else { Scheme::Tunnel };
        ask(&Access { who: &who, scheme, host, port: 443, path, categories })
    }

    fn failure(&self, test: &PolicyTest, subject: &Subject, decision: Decision) -> String {
        let level = &self.levels.get(test.level).name;
        let at = test.at.as_deref().map(|at| format!(", {at}")).unwrap_or_default();
        let what = self.show_subject(subject);
        let by = match (decision.reason, decision.rule(self)) {
            // A line of the same file goes without its name.
            (_, Some(rule)) => match (rule.place.split_once(':'), test.place.split_once(':')) {
                (Some((file, line)), Some((own, _))) if file == own => format!(":{line}"),
                _ => rule.place.clone(),
            },
            (Reason::Locked(category), _) => {
                format!("the locked category {}", self.catalogue.name(category))
            }
            _ => "the filter".to_owned(),
        };
        match decision.verdict {
            Verdict::Block => format!("{level}{at}: {what} must be allowed; {by} blocks it"),
            Verdict::Allow => format!("{level}{at}: {what} must be blocked; {by} allows it"),
        }
    }

    /// A test's subject as written.
    pub(super) fn show_subject(&self, subject: &Subject) -> String {
        match subject {
            Subject::Site(site) => site.to_string(),
            Subject::Category(category) => format!("category:{}", self.catalogue.name(*category)),
        }
    }
}
