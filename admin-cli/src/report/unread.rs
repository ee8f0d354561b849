//! Who is told that nobody has read the week's report: for the report itself, `doctor` and `config validate`.

use proxy::config::Config;
use rules::policy::Policy;
use serde::Serialize;

/// What would happen with a report that stays unread.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Told {
    /// When, in the week after: `Fri 12:00`.
    pub(crate) at: String,
    /// Whom mail would reach.
    pub(crate) people: Vec<String>,
    /// Who should be told and has no address.
    pub(crate) without_address: Vec<String>,
}

impl Told {
    /// By the policy and the machine file.
    pub(crate) fn of(policy: &Policy, config: &Config) -> Self {
        let deputies = policy.report_deputies().iter().cloned();
        let has_address = |name: &String| config.alerts.address(name).is_some();
        let (people, without_address) = deputies.partition(has_address);
        Self { at: policy.report_rules().unread_at.to_string(), people, without_address }
    }

    /// What would happen, where it is as it should be.
    pub(crate) fn sentence(&self) -> String {
        match &self.people[..] {
            [] => "Nobody is told where this page stays unread: no deputy with a mail address is known."
                .to_owned(),
            people => format!(
                "Where no safeguarding lead has asked for a week's report or signed it by {} of the week \
                 after, {} is told by mail.",
                self.at,
                people.join(" and ")
            ),
        }
    }

    /// What is wrong with it, and what to do.
    pub(crate) fn fault(&self) -> Option<(String, &'static str)> {
        if self.people.is_empty() && self.without_address.is_empty() {
            let fix = "name a deputy in [reports] of the policy, deputy = [\"a.deputy\"], or a head in [roles]";
            return Some(("nobody is told where it stays unread".to_owned(), fix));
        }
        (!self.without_address.is_empty()).then(|| {
            let found = format!(
                "where it stays unread these are to be told and have no address: {}",
                self.without_address.join(", ")
            );
            (found, "give it in [alerts.mail] of the machine file: \"a.deputy\" = \"deputy@school.example\"")
        })
    }
}
