//! Reads `[alerts]`: who is told of what somebody must look at, and when.

use super::read::Reader;
use super::read_rules::Holders;
use crate::access::Role;
use crate::alert::{AlertRules, Severity};
use crate::change::same_person;
use crate::document::Value;
use toml::de::DeTable;

const EXAMPLE: &str = "urgent = [\"dsl\", \"head\"]";

const KEYS: [&str; 9] = [
    "urgent",
    "high",
    "routine",
    "escalate_to",
    "escalate_after",
    "high_after",
    "routine_after",
    "devices_after",
    "names_in_mail",
];

/// Fewest people who are told of what is urgent: one may be ill, teaching or asleep.
const LEAST_PEOPLE: usize = 2;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

impl Reader<'_> {
    /// `[alerts]`. What is not written is as shipped.
    pub(super) fn alerts(&mut self, root: &DeTable<'_>, holders: &Holders) -> AlertRules {
        let mut rules = AlertRules::default();
        let Some(value) = root.get("alerts") else {
            self.warn_of_few(0, &rules, holders);
            return rules;
        };
        let Some(table) = self.document.table(value, EXAMPLE) else { return rules };
        self.document.only_keys(table, "[alerts]", &KEYS);
        for severity in Severity::ALL {
            let key = severity.as_str();
            if let Some(value) = table.get(key) {
                rules.told[severity as usize] = self.told(value, key, holders);
            }
        }
        match table.get("urgent") {
            Some(value) => self.check_urgent(value.span().start, &rules, holders),
            None => self.warn_of_few(value.span().start, &rules, holders),
        }
        if let Some(value) = table.get("escalate_to") {
            rules.escalate_to = self.told(value, "escalate_to", holders);
        }
        if let Some(value) = table.get("escalate_after") {
            self.escalate_after(value, &mut rules);
        }
        if let Some(value) = table.get("high_after") {
            let number = self.document.number(value, 1..=20, "high_after = 2");
            rules.high_after = number.map_or(rules.high_after, u32::from);
        }
        if let Some(value) = table.get("routine_after") {
            let number = self.document.number(value, 1..=50, "routine_after = 5");
            rules.routine_after = number.map_or(rules.routine_after, u32::from);
        }
        if let Some(value) = table.get("devices_after") {
            let number = self.document.number(value, 1..=100, "devices_after = 20");
            rules.devices_after = number.map(u32::from);
        }
        if let Some(value) = table.get("names_in_mail") {
            let truth = self.document.truth(value, "names_in_mail = false");
            rules.names_in_mail = truth.unwrap_or(false);
        }
        rules
    }

    /// Roles that somebody holds.
    fn told(&mut self, value: &Value<'_>, key: &str, holders: &Holders) -> Vec<Role> {
        let at = value.span().start;
        let roles = self.acting_roles(Some(value), EXAMPLE);
        if roles.is_empty() {
            let fix = format!("write {key} = [\"dsl\"]");
            self.document.fault(at, format!("{key} names nobody who is told"), fix);
        } else if people(&roles, holders).is_empty() {
            let words = words(&roles);
            let fix = format!("name a person in [roles]: {} = [\"q.whitmore\"]", roles[0].as_str());
            self.document.fault(at, format!("{key}: nobody holds the role ({words})"), fix);
        }
        roles
    }

    fn check_urgent(&mut self, at: usize, rules: &AlertRules, holders: &Holders) {
        let roles = rules.told_of(Severity::Urgent);
        let people = people(roles, holders);
        if people.len() == 1 {
            let what = format!("of what is urgent only {} would be told", people[0]);
            let fix = "name a second person in [roles], or a second role, as in urgent = [\"dsl\", \"head\"]";
            self.document.fault(at, what, fix);
        }
    }

    fn warn_of_few(&mut self, at: usize, rules: &AlertRules, holders: &Holders) {
        let roles = rules.told_of(Severity::Urgent);
        if people(roles, holders).len() < LEAST_PEOPLE {
            let what = format!(
                "of what is urgent fewer than two people are told ({}); name more in [roles], or others \
                 in [alerts]",
                words(roles)
            );
            self.warn_once(at, &what);
        }
    }

    fn escalate_after(&mut self, value: &Value<'_>, rules: &mut AlertRules) {
        const EXAMPLE: &str = "escalate_after = { urgent = \"15 minutes\", high = \"1 day\" }";
        let Some(table) = self.document.table(value, EXAMPLE) else { return };
        self.document.only_keys(table, "escalate_after", &["urgent", "high"]);
        let bounds = [
            (Severity::Urgent, 10 * SECOND_MS, 24 * HOUR_MS, "10 seconds to 1 day"),
            (Severity::High, HOUR_MS, 7 * 24 * HOUR_MS, "1 hour to 7 days"),
        ];
        for (severity, least, most, words) in bounds {
            let Some(value) = table.get(severity.as_str()) else { continue };
            let Some(text) = self.document.string(value, EXAMPLE) else { continue };
            match span_ms(text).filter(|span| (least..=most).contains(span)) {
                Some(span) => rules.escalate_after_ms[severity as usize] = Some(span),
                None => {
                    let what = format!("\"{text}\": what is {} waits {words}", severity.as_str());
                    let fix = format!("write it like {EXAMPLE}");
                    self.document.fault(value.span().start, what, fix);
                }
            }
        }
    }
}

/// The people of some roles, each once.
fn people<'h>(roles: &[Role], holders: &'h Holders) -> Vec<&'h str> {
    let mut people: Vec<&str> = Vec::new();
    for name in roles.iter().flat_map(|role| &holders[*role as usize]) {
        if !people.iter().any(|known| same_person(known, name)) {
            people.push(name);
        }
    }
    people
}

fn words(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}

/// `30 seconds`, `15 minutes`, `8 hours`, `1 day`, also `30s`, `15 min`, `8h`, `1d`, in milliseconds.
fn span_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    let (amount, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let amount = amount.parse::<i64>().ok().filter(|amount| (1..=100_000).contains(amount))?;
    let unit = match unit.trim() {
        "s" | "second" | "seconds" => SECOND_MS,
        "m" | "min" | "minute" | "minutes" => MINUTE_MS,
        "h" | "hour" | "hours" => HOUR_MS,
        "d" | "day" | "days" => 24 * HOUR_MS,
        _ => return None,
    };
    Some(amount * unit)
}
