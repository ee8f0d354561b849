//! Which theme a blocked category belongs to.
//!
//! The themes are those of the guidance on monitoring (UK Safer Internet Centre, Appropriate
//! Monitoring), and ways round the filter. A category has a theme only where wanting to go there says
//! something about a person; games and shops say nothing.

use super::sign::{Sign, Source};
use crate::query::AccessRow;
use rules::alert::Severity::{self, High, Routine, Urgent};
use rules::circumvent::{Technique, is_attempt};
use rules::decide::{ReasonCode, Verdict};
use rules::visit::Visit;

/// Points of a blocked site. It is a weak sign: people follow links without knowing where they lead.
pub(super) const SITE_POINTS: u16 = 10;

/// How the rule of a record begins that the pack of techniques was refused by.
const FOUND_BY: &str = "circumvention: ";

/// The theme of ways round the filter.
pub(super) const CIRCUMVENTION: &str = "circumvention";

/// The theme of what devices do by themselves to get round it, for schools that want to be told of it.
pub(super) const BY_DEVICES: &str = "circumvention-devices";

/// Category, theme, severity.
const CATEGORIES: [(&str, &str, Severity); 25] = [
    ("csam", "illegal", Urgent),
    ("terrorism", "extremism", Urgent),
    ("illegal", "illegal", Urgent),
    ("suicide", "suicide", Urgent),
    ("self-harm", "self-harm", High),
    ("eating-disorders", "self-harm", High),
    ("extremism", "extremism", High),
    ("cults", "extremism", Routine),
    ("hate", "discrimination", High),
    ("discrimination", "discrimination", High),
    ("bullying", "bullying", High),
    ("intimate-images", "child-sexual-exploitation", High),
    ("random-chat", "child-sexual-exploitation", Routine),
    ("dating", "child-sexual-exploitation", Routine),
    ("drugs", "drugs", High),
    ("alcohol", "drugs", Routine),
    ("tobacco-vaping", "drugs", Routine),
    ("dangerous-acts", "violence", High),
    ("weapons", "violence", Routine),
    ("violence", "violence", Routine),
    ("gore", "violence", Routine),
    ("adult", "pornography", Routine),
    ("mature", "pornography", Routine),
    ("vpn", CIRCUMVENTION, Routine),
    ("proxy", CIRCUMVENTION, Routine),
];

/// Short name, name for people.
const TITLES: [(&str, &str); 13] = [
    ("illegal", "Illegal"),
    ("bullying", "Bullying"),
    ("child-sexual-exploitation", "Child sexual exploitation"),
    ("discrimination", "Discrimination"),
    ("drugs", "Drugs"),
    ("extremism", "Extremism"),
    ("pornography", "Pornography"),
    ("self-harm", "Self-harm"),
    ("suicide", "Suicide"),
    ("violence", "Violence"),
    (CIRCUMVENTION, "Ways round the filter"),
    (BY_DEVICES, "Ways round the filter, by devices"),
    ("ai-misuse", "Misuse of AI"),
];

/// The theme's name for people; a theme of the school's own is its own title.
#[must_use]
pub fn theme_title(theme: &str) -> &str {
    TITLES.iter().find(|(name, _)| *name == theme).map_or(theme, |(_, title)| title)
}

/// Whether a sign counts in an episode of a theme.
#[must_use]
pub fn is_of_theme(sign: &Sign, theme: &str) -> bool {
    sign.theme == theme || theme == BY_DEVICES && sign.theme == CIRCUMVENTION
}

/// The signs that a blocked access carries by its categories and its reason, one for each theme.
///
/// Whoever wants to open a site of suicide says so whatever rule was the first to say no: the list of the youngest, a
/// translated copy, a ban, the school's own block. So where the category did not decide, those that are urgent or high
/// count all the same, and routine ones do not, as the level may be allowed them. What was refused behind a decision that
/// allowed the category, such as a certificate or a file, is no sign, as opening it would have been none.
///
/// A way round the filter that was refused is a sign by itself, whatever the site.
#[must_use]
pub fn category_signs(row: &AccessRow) -> Vec<Sign> {
    let Some(least) = least_severity(row.reason).filter(|_| row.verdict == Verdict::Block) else {
        return Vec::new();
    };
    let mut signs: Vec<Sign> = Vec::new();
    let by_category = CATEGORIES
        .into_iter()
        .filter(|(category, _, severity)| {
            *severity >= least && row.categories.iter().any(|name| name == category)
        })
        .map(|(_, theme, severity)| (theme, severity));
    let by_reason = is_attempt(row.reason).then_some((CIRCUMVENTION, Routine));
    for (theme, severity) in by_category.chain(by_reason) {
        match signs.iter_mut().find(|sign| sign.theme == theme) {
            Some(sign) => sign.severity = sign.severity.max(severity),
            None => signs.push(Sign {
                theme: theme.to_owned(),
                points: SITE_POINTS,
                source: Source::Site,
                severity,
            }),
        }
    }
    signs
}

/// From which severity on a category of what was refused for this reason is a sign; `None`: the reason has nothing to
/// do with what somebody wanted to open.
fn least_severity(reason: ReasonCode) -> Option<Severity> {
    match reason {
        ReasonCode::Locked | ReasonCode::Category | ReasonCode::NotNominated => Some(Routine),
        ReasonCode::Banned
        | ReasonCode::SiteBlocked
        | ReasonCode::NotOnList
        | ReasonCode::OutsideTimes => Some(High),
        reason => is_attempt(reason).then_some(High),
    }
}

/// Whether a device does such a thing by itself, day in, day out, because it was made to: names looked up out of sight,
/// Private Relay, a hidden name, an application's server that is asked for by its address. Not where somebody opened it
/// as a page.
pub(super) fn is_of_device(row: &AccessRow) -> bool {
    let is_habit = row.reason == ReasonCode::EncryptedHello
        || Technique::of(row.reason).is_some_and(|technique| {
            matches!(
                technique,
                Technique::Doh
                    | Technique::Dot
                    | Technique::PrivateRelay
                    | Technique::RawAddress
                    | Technique::HiddenName
            )
        });
    is_habit && row.visit != Visit::Opened
}

/// Whether a refused access tells of a way round by what it is, whoever asked: of a web proxy nothing is seen but its
/// scripts and sockets, and of another computer's screen or of Tor little more, all of it fetched by a page. It is so
/// only where the pack of techniques knows it, as lists call also sites so whose pictures stand in ordinary pages; and
/// VPNs advertise.
pub(super) fn is_of_tool(row: &AccessRow) -> bool {
    let is_tool =
        matches!(row.reason, ReasonCode::WebProxy | ReasonCode::RemoteDesktop | ReasonCode::Tor);
    is_tool && row.rule.as_deref().is_some_and(|rule| rule.starts_with(FOUND_BY))
}
