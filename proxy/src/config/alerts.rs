//! `[alerts]` of the machine file: how the people of the policy's roles are reached.

use super::file::Reader;
use lettre::message::Mailbox;
use rules::change::same_person;
use rules::host::Host;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;
use url::Url;

/// `[alerts]`. Who is told stands in the policy, which takes two people to change; where their mail goes
/// is a matter of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertSettings {
    /// People of the policy's roles with their addresses.
    pub mail: Vec<(String, Mailbox)>,
    /// Address that alerts are posted to.
    pub webhook: Option<Url>,
}

impl AlertSettings {
    /// Where somebody's mail goes.
    #[must_use]
    pub fn address(&self, person: &str) -> Option<&Mailbox> {
        self.mail.iter().find(|(name, _)| same_person(name, person)).map(|(_, address)| address)
    }
}

/// The table as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAlerts {
    webhook: Option<Spanned<String>>,
    mail: BTreeMap<String, Spanned<String>>,
}

impl Reader<'_> {
    pub(super) fn alerts(
        &mut self,
        raw: &RawAlerts,
        mails: bool,
        allow_private: &[Host],
    ) -> AlertSettings {
        if let Some(first) = raw.mail.values().next().filter(|_| !mails) {
            let fix = "add [mail] with the server that takes it";
            self.fault(first.span(), "there is no server to send mail by", fix);
        }
        let mut mail: Vec<(String, Mailbox)> = Vec::new();
        for (name, address) in &raw.mail {
            if mail.iter().any(|(known, _)| same_person(known, name)) {
                let what = format!("{name:?} is there twice");
                self.fault(address.span(), what, "remove one");
            }
            let mut fault = |span, what: String, fix: String| self.fault(span, what, &fix);
            let read = super::mail::mailbox(address, &mut fault);
            mail.extend(read.map(|address| (name.trim().to_owned(), address)));
        }
        let webhook = raw.webhook.as_ref().and_then(|url| {
            let what = "an alert is sent over https alone";
            self.webhook(url, allow_private, what, "https://hooks.example.org/alerts")
        });
        AlertSettings { mail, webhook }
    }
}
