//! Reads `[reports]`: who is told that nobody has read the week's report, and when.

use super::read::Reader;
use super::read_rules::Holders;
use crate::access::Role;
use crate::change::same_person;
use crate::document::Value;
use crate::report::{DEPUTY_ROLES, ReportRules};
use crate::time::WeekMinute;
use toml::de::DeTable;

const EXAMPLE: &str = "deputy = [\"a.deputy\"]";

impl Reader<'_> {
    /// `[reports]`. What is not written is as shipped.
    pub(super) fn reports(&mut self, root: &DeTable<'_>, holders: &Holders) -> ReportRules {
        let mut rules = ReportRules::default();
        let mut at = 0;
        if let Some(value) = root.get("reports") {
            at = value.span().start;
            let Some(table) = self.document.table(value, EXAMPLE) else { return rules };
            self.document.only_keys(table, "[reports]", &["unread_at", "deputy"]);
            if let Some(value) = table.get("unread_at") {
                rules.unread_at = self.week_minute(value).unwrap_or(rules.unread_at);
            }
            if let Some(value) = table.get("deputy") {
                rules.deputy = self.deputies(value, holders);
                // What is wrong with it is said; a warning besides would be noise.
                if rules.deputy.is_empty() {
                    return rules;
                }
            }
        }
        self.warn_of_nobody(at, &rules, holders);
        rules
    }

    fn week_minute(&mut self, value: &Value<'_>) -> Option<WeekMinute> {
        let text = self.document.string(value, "unread_at = \"Fri 12:00\"")?;
        match WeekMinute::parse(text) {
            Ok(minute) => Some(minute),
            Err(error) => {
                let fix = "write unread_at = \"Fri 12:00\", in school time";
                self.document.fault(value.span().start, error.to_string(), fix);
                None
            }
        }
    }

    /// People who may read the report.
    fn deputies(&mut self, value: &Value<'_>, holders: &Holders) -> Vec<String> {
        let names = self.document.strings(value, EXAMPLE);
        if names.is_empty() {
            let fix = format!("write {EXAMPLE}, or leave the key out: then the head is told");
            self.document.fault(value.span().start, "deputy names nobody who is told", fix);
        }
        let mut deputies: Vec<String> = Vec::new();
        for (at, name) in names {
            let name = name.trim();
            let may_read = DEPUTY_ROLES.into_iter().flat_map(|role| &holders[role as usize]);
            if !may_read.into_iter().any(|holder| same_person(holder, name)) {
                let what = format!("deputy: \"{name}\" may not read the weekly report");
                let fix = "name a person who has the role dsl or head in [roles]";
                self.document.fault(at, what, fix);
            } else if !deputies.iter().any(|known| same_person(known, name)) {
                deputies.push(name.to_owned());
            }
        }
        deputies
    }

    /// Nobody would be told, or nobody but the one whose task the reading is.
    fn warn_of_nobody(&mut self, at: usize, rules: &ReportRules, holders: &Holders) {
        let told = match &rules.deputy[..] {
            [] => &holders[Role::Head as usize],
            named => named,
        };
        let what = match (told, &holders[Role::Dsl as usize][..]) {
            ([], _) => {
                "nobody is told where a week's report stays unread; name a deputy in [reports] \
                 (deputy = [\"a.deputy\"]), or a head in [roles]"
            }
            ([only], [lead]) if same_person(only, lead) => {
                "where a week's report stays unread only its one reader is told; name somebody else in \
                 [reports] (deputy = [\"a.deputy\"])"
            }
            _ => return,
        };
        self.warn_once(at, what);
    }
}
