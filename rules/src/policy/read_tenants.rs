//! Reads `[tenants]`: the school's own accounts at services that can be kept to them.

use super::read::Reader;
use crate::document::{Document, Value, suggest};
use crate::host::Host;
use crate::inspect::{Inspect, group_of};
use crate::tenants::{MAX_VALUES, Restriction, Service, Tenants, ValueKey, service, services};
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

const EXAMPLE: &str = "google = [\"school.example\"]";

impl Reader<'_> {
    /// `[tenants]`, and a warning for each service that the shipped groups keep from being inspected.
    pub(super) fn tenants(
        &mut self,
        root: &DeTable<'_>,
        lines: &super::inspect::InspectRules,
    ) -> Tenants {
        let Some(value) = root.get("tenants") else { return Tenants::default() };
        let Some(table) = self.document.table(value, EXAMPLE) else { return Tenants::default() };
        let mut restrictions: Vec<Restriction> = Vec::new();
        for (at, name, value) in Document::rows(table) {
            let Some(service) = service(name) else {
                let known = services().iter().map(|service| service.name.as_str());
                let fix = suggest(name, known.clone()).unwrap_or_else(|| {
                    format!("use one of: {}", known.collect::<Vec<_>>().join(", "))
                });
                self.document.fault(at, format!("no service called \"{name}\""), fix);
                continue;
            };
            let Some(values) = self.tenant_values(service, value) else { continue };
            let is_kept_shut =
                service.sign_in.iter().filter_map(|host| Host::parse(host).ok()).any(|host| {
                    let line = lines.sites.covering(&host, None).next();
                    group_of(&host).is_some() && line.is_none_or(|(mode, _)| *mode != Inspect::Page)
                });
            if is_kept_shut {
                let host = &service.sign_in[0];
                let what = format!(
                    "tenants: {name} works only where {host} is inspected, and a shipped group keeps it \
                     from that; write an [[inspect_site]] with inspect = \"page\""
                );
                self.warn_once(at, &what);
            }
            restrictions.push(Restriction { service: name.to_owned(), values });
        }
        let has = |name: &str| restrictions.iter().any(|it| it.service == name);
        if has("microsoft-v2") && has("microsoft-personal") {
            let what = "microsoft-v2 and microsoft-personal send the same header";
            let fix =
                "remove microsoft-personal: the policy of microsoft-v2 covers personal accounts";
            self.document.fault(value.span().start, what, fix);
        }
        Tenants::new(restrictions)
    }

    fn tenant_values(
        &mut self,
        service: &Service,
        value: &Value<'_>,
    ) -> Option<BTreeMap<String, Vec<String>>> {
        let (at, name) = (value.span().start, &service.name);
        let mut values = BTreeMap::new();
        match &service.values[..] {
            [] => {
                self.word(value, "answer", |word| (word == "block").then_some(()), &["block"])?;
            }
            [key] if !matches!(value.get_ref(), DeValue::Table(_)) => {
                values.insert(key.key.clone(), self.tenant_value(name, key, value)?);
            }
            keys => {
                let shown = keys.iter().map(|key| format!("{} = {}", key.key, example(key)));
                let whole = format!("{name} = {{ {} }}", shown.collect::<Vec<_>>().join(", "));
                let table = self.document.table(value, &whole)?;
                let known: Vec<&str> = keys.iter().map(|key| key.key.as_str()).collect();
                self.document.only_keys(table, &format!("tenants {name}"), &known);
                for key in keys {
                    let what = format!("tenants {name}");
                    let given = self.required(table, at, &what, &key.key, &example(key));
                    let given = given.and_then(|given| self.tenant_value(name, key, given));
                    values.extend(given.map(|given| (key.key.clone(), given)));
                }
                if values.len() < keys.len() {
                    return None;
                }
            }
        }
        Some(values)
    }

    /// The values of a key: a text, or a list of texts where many are allowed.
    fn tenant_value(
        &mut self,
        service: &str,
        key: &ValueKey,
        value: &Value<'_>,
    ) -> Option<Vec<String>> {
        let shown = format!("{} = {}", key.key, example(key));
        let texts = match value.get_ref() {
            DeValue::Array(_) if key.many => self.document.strings(value, &shown),
            _ => vec![(value.span().start, self.document.string(value, &shown)?)],
        };
        let before = self.document.faults.len();
        if texts.is_empty() {
            let what =
                format!("tenants {service}: {} is empty, which would keep everybody out", key.key);
            self.document.fault(
                value.span().start,
                what,
                format!("write {shown}, or remove the line"),
            );
        }
        if texts.len() > MAX_VALUES {
            let what = format!("tenants {service}: more than {MAX_VALUES} values");
            self.document.fault(value.span().start, what, "name fewer");
        }
        let mut values: Vec<String> = Vec::new();
        for (at, text) in texts {
            if !key.kind.fits(text) {
                let shown: String = text.escape_debug().take(60).collect();
                let what = format!("\"{shown}\" is no value of {} for {service}", key.key);
                self.document.fault(at, what, format!("write {}", key.kind.describe()));
            } else if values.iter().any(|known| known.eq_ignore_ascii_case(text)) {
                self.document.fault(at, format!("\"{text}\" is there twice"), "remove one");
            } else {
                values.push(text.to_owned());
            }
        }
        (self.document.faults.len() == before && !values.is_empty()).then_some(values)
    }
}

fn example(key: &ValueKey) -> String {
    let described = key.kind.describe();
    let quoted = described.find('"').map_or("\"...\"", |at| &described[at..]);
    if key.many { format!("[{quoted}]") } else { quoted.to_owned() }
}
