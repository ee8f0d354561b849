//! Reads what a policy says about looking into HTTPS: `[inspect]`, `[[inspect_site]]` and `[tls]`.

use super::inspect::{InspectRules, InspectSite};
use super::read::Reader;
use crate::change::is_reason;
use crate::decide::Verdict;
use crate::document::{Document, Value};
use crate::inspect::{Inspect, TlsRules};
use toml::de::DeTable;

/// The modes as they stand in a policy.
pub(super) const MODES: [&str; 3] = ["page", "name", "never"];

impl Reader<'_> {
    pub(super) fn inspect(&mut self, root: &DeTable<'_>) -> InspectRules {
        const EXAMPLE: &str = "government = \"name\"";
        let mut rules = InspectRules::default();
        if let Some(value) = root.get("inspect")
            && let Some(table) = self.document.table(value, EXAMPLE)
        {
            for (at, name, value) in Document::rows(table) {
                self.inspect_category(at, name, value, &mut rules);
            }
        }
        let example = "[[inspect_site]], with site, inspect, reason and review";
        let tables = root.get("inspect_site").map(|value| self.document.tables(value, example));
        for (at, table) in tables.unwrap_or_default() {
            self.inspect_site(at, table, &mut rules);
        }
        rules
    }

    /// A mode, or a fault.
    pub(super) fn mode(&mut self, value: &Value<'_>) -> Option<Inspect> {
        self.word(value, "inspection", Inspect::from_word, &MODES)
    }

    fn inspect_category(
        &mut self,
        at: usize,
        name: &str,
        value: &Value<'_>,
        rules: &mut InspectRules,
    ) {
        let category = self.category(at, name);
        let (Some(mode), Some(category)) = (self.mode(value), category) else { return };
        if self.catalogue.privacy().contains(category) && mode != Inspect::Never {
            let what = format!("\"{name}\" is private, and the filter does not look into it");
            let fix = format!(
                "remove the line; for a time and with a reason: schoolgate inspect request {name} \
                 --until WHEN --reason TEXT --by NAME"
            );
            self.document.fault(value.span().start, what, fix);
            return;
        }
        match mode {
            Inspect::Page => {
                let what = format!(
                    "inspect: \"{name}\" is looked into anyway where its level is; this line \
                     changes nothing"
                );
                self.warn_once(at, &what);
            }
            Inspect::Name => rules.name.insert(category),
            Inspect::Never => rules.never.insert(category),
        }
        let place = self.document.place(at);
        let rule = self.rule(at, place, format!("{name} = \"{}\"", mode.as_str()));
        rules.categories.push((category, mode, rule));
    }

    fn inspect_site(&mut self, at: usize, table: &DeTable<'_>, rules: &mut InspectRules) {
        const WHAT: &str = "the [[inspect_site]]";
        let keys = ["site", "inspect", "reason", "review"];
        self.document.only_keys(table, "[[inspect_site]]", &keys);
        let site =
            self.required_text(table, at, WHAT, "site", "\"example.org\"").map(str::to_owned);
        let site_at = table.get("site").map_or(at, |value| value.span().start);
        let site = site.and_then(|text| self.site(site_at, &text));
        let mode = self.required(table, at, WHAT, "inspect", "\"never\"");
        let mode = mode.and_then(|value| self.mode(value));
        let example = "\"The exam board's app checks its own certificate\"";
        let reason = self.required_text(table, at, WHAT, "reason", example).map(str::to_owned);
        let review = self.required(table, at, WHAT, "review", "2027-03-25");
        let review = review.and_then(|value| self.document.date(value, "review = 2027-03-25"));
        if let (Some(reason), Some(value)) = (&reason, table.get("reason"))
            && !is_reason(reason)
        {
            let what = format!("\"{}\" says too little", reason.trim());
            let fix = format!("say why, in at least 10 letters: reason = {example}");
            self.document.fault(value.span().start, what, fix);
        }
        let (Some(site), Some(inspect), Some(reason), Some(review)) = (site, mode, reason, review)
        else {
            return;
        };
        if site.path().is_some() {
            let what = format!("\"{site}\" has a path, which is seen only after looking in");
            self.document.fault(site_at, what, format!("write site = \"{}\"", site.host()));
            return;
        }
        if rules.lines.iter().any(|line| line.site == site) {
            let what = format!("a second [[inspect_site]] for {site}");
            self.document.fault(at, what, "remove one");
            return;
        }
        let place = self.document.place(at);
        let text = format!("site = \"{site}\", inspect = \"{}\"", inspect.as_str());
        let rule = self.rule(at, place, text);
        rules.sites.insert(site.clone(), (inspect, rule));
        let reason = reason.trim().to_owned();
        rules.lines.push(InspectSite { rule, site, inspect, reason, review });
    }

    pub(super) fn tls(&mut self, root: &DeTable<'_>) -> TlsRules {
        const EXAMPLE: &str = "no_sni = \"block\"";
        let mut tls = TlsRules::default();
        let Some(value) = root.get("tls") else { return tls };
        let Some(table) = self.document.table(value, EXAMPLE) else { return tls };
        self.document.only_keys(table, "[tls]", &["no_sni", "encrypted_hello", "not_tls"]);
        let parts = [
            ("no_sni", &mut tls.no_sni),
            ("encrypted_hello", &mut tls.encrypted_hello),
            ("not_tls", &mut tls.not_tls),
        ];
        for (key, verdict) in parts {
            let Some(value) = table.get(key) else { continue };
            let parse = |word: &str| match word {
                "block" => Some(Verdict::Block),
                "allow" => Some(Verdict::Allow),
                _ => None,
            };
            *verdict =
                self.word(value, "answer", parse, &["block", "allow"]).unwrap_or(Verdict::Block);
        }
        tls
    }
}
