//! Which theme a blocked category belongs to.
//!
//! The themes are those of the guidance on monitoring (UK Safer Internet Centre, Appropriate
//! Monitoring), and ways round the filter. A category has a theme only where wanting to go there says
//! something about a person; games and shops say nothing.

use super::sign::{Sign, Source};
use crate::query::AccessRow;
use rules::alert::Severity::{self, High, Routine, Urgent};
use rules::decide::{ReasonCode, Verdict};

/// Points of a blocked site. It is a weak sign: people follow links without knowing where they lead.
const SITE_POINTS: u16 = 10;

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
    ("vpn", "circumvention", Routine),
    ("proxy", "circumvention", Routine),
];

/// Short name, name for people.
const TITLES: [(&str, &str); 12] = [
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
    ("circumvention", "Ways round the filter"),
    ("ai-misuse", "Misuse of AI"),
];

/// The theme's name for people; a theme of the school's own is its own title.
#[must_use]
pub fn theme_title(theme: &str) -> &str {
    TITLES.iter().find(|(name, _)| *name == theme).map_or(theme, |(_, title)| title)
}

/// The signs that a blocked access carries by its categories, one for each theme. What was blocked for
/// another reason (a ban, the school's own block, a time of day) is none: the category did not decide.
#[must_use]
pub fn category_signs(row: &AccessRow) -> Vec<Sign> {
    let decided =
        matches!(row.reason, ReasonCode::Locked | ReasonCode::Category | ReasonCode::NotNominated);
    if row.verdict != Verdict::Block || !decided {
        return Vec::new();
    }
    let mut signs: Vec<Sign> = Vec::new();
    for (category, theme, severity) in CATEGORIES {
        if !row.categories.iter().any(|name| name == category) {
            continue;
        }
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
