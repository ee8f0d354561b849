//! What a text reached of each theme, and what becomes of that for a level: from which points it is of a theme, and whether
//! that is told, refused or neither.

use crate::phrases::ListScore;
use categorizer::theme::{Found, HELP_FIRST, Themes};
use ledger::notes::{Severity, Sign, SignSource};
use rules::level::LevelId;
use rules::policy::{Policy, THRESHOLD, ThemeAction};
use rules::theme::{MAX_THEMES, Severity as Wanted};

/// What becomes of each theme for a level, in the order of the themes.
pub(crate) struct Actions {
    by_theme: Vec<ThemeAction>,
    /// Hundredths of what a text must hold from which it is of a theme.
    thresholds: [u16; MAX_THEMES],
    watches: bool,
    blocks: bool,
}

impl Actions {
    /// Those of a level.
    pub(crate) fn of(policy: &Policy, level: LevelId, themes: &Themes) -> Self {
        let action = |theme: &rules::theme::Theme| policy.theme_action(level, &theme.name);
        let by_theme: Vec<_> = themes.themes().iter().map(action).collect();
        let watches = by_theme.iter().any(|action| *action != ThemeAction::Off);
        let blocks = by_theme.contains(&ThemeAction::Block);
        let mut thresholds = [THRESHOLD; MAX_THEMES];
        for (threshold, theme) in thresholds.iter_mut().zip(themes.themes()) {
            *threshold = policy.theme_threshold(level, &theme.name);
        }
        Self { by_theme, thresholds, watches, blocks }
    }

    /// The same with nothing refused.
    pub(crate) fn only_watched(&self) -> Self {
        let by_theme =
            self.by_theme.iter().map(|action| (*action).min(ThemeAction::Watch)).collect();
        Self { by_theme, blocks: false, ..*self }
    }

    /// Whether any text has to be looked at.
    pub(crate) fn watch(&self) -> bool {
        self.watches
    }

    /// Whether any text can be refused.
    pub(crate) fn block(&self) -> bool {
        self.blocks
    }

    /// Whether a theme is not looked for.
    pub(crate) fn is_off(&self, theme: usize) -> bool {
        self.get(theme) == ThemeAction::Off
    }

    fn get(&self, theme: usize) -> ThemeAction {
        self.by_theme.get(theme).copied().unwrap_or(ThemeAction::Watch)
    }
}

/// The highest that a text reached of each theme, in hundredths of what is needed. From which of them on it is of a theme
/// is a matter of who reads or writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    percent: [u16; MAX_THEMES],
    /// What of that counts where something typed is to be refused.
    refusal: [u16; MAX_THEMES],
    /// What of it parts reached that do not look for help themselves.
    without_help: [u16; MAX_THEMES],
    /// A part of it looks for help: a helpline, somebody to talk to.
    for_help: bool,
    /// A bit for each theme of which it holds a phrase that a list bans: it is of that for everybody.
    banned: u32,
}

impl Reached {
    pub(super) fn raise(&mut self, found: &Found<'_>) {
        let narrow = |percent: u32| u16::try_from(percent).unwrap_or(u16::MAX);
        let reached = self.percent.iter_mut().zip(&mut self.refusal);
        for ((percent, refusal), score) in reached.zip(found.scores()) {
            *percent = (*percent).max(narrow(score.percent));
            *refusal = (*refusal).max(narrow(score.refusal_percent()));
        }
    }

    /// Says, once all of a part was scored, whether it looks for help.
    pub(super) fn ask_for_help(&mut self, for_help: bool) {
        self.for_help = for_help;
        if !for_help {
            self.without_help = self.percent;
        }
    }

    /// Takes in what a page reached by the policy's phrase lists.
    pub(super) fn raise_by_lists(&mut self, by_lists: &ListScore) {
        raise(&mut self.percent, &by_lists.percent);
        self.banned |= by_lists.banned;
    }

    /// Takes in what another part of the same text reached.
    pub(crate) fn join(&mut self, other: &Self) {
        raise(&mut self.percent, &other.percent);
        raise(&mut self.refusal, &other.refusal);
        raise(&mut self.without_help, &other.without_help);
        self.for_help |= other.for_help;
        self.banned |= other.banned;
    }

    /// Takes in what all of the text reached, its parts being here: a theme that none of them is of by itself looks
    /// for help where any of them does.
    pub(crate) fn join_whole(&mut self, whole: &Self) {
        if !self.for_help {
            raise(&mut self.without_help, &whole.percent);
        }
        self.join(whole);
    }

    /// How much something typed matters to a level: whether it is refused, and the most that it reached of a theme
    /// that is not off, in hundredths of what makes it one of the theme there.
    pub(crate) fn matters(&self, themes: &Themes, actions: &Actions) -> (bool, u16) {
        let known = self.percent.iter().zip(&actions.thresholds).enumerate();
        let known = known.take(themes.themes().len());
        let watched = known.filter(|(theme, _)| actions.get(*theme) != ThemeAction::Off);
        let parts = watched.map(|(_, (percent, threshold))| {
            u32::from(*percent) * u32::from(THRESHOLD) / u32::from(*threshold)
        });
        let most = u16::try_from(parts.max().unwrap_or(0)).unwrap_or(u16::MAX);
        (self.refused_typed(themes, actions).is_some(), most)
    }

    /// The first theme that is refused of something typed: who is in danger and asks for help is not, but is seen.
    /// What is written elsewhere in the same text is no such question. Nor is what words alone say, without a phrase,
    /// unless they say it clearly.
    pub(crate) fn refused_typed(&self, themes: &Themes, actions: &Actions) -> Option<usize> {
        let is_passed = |theme: usize| {
            let name = themes.themes().get(theme).map_or("", |theme| &*theme.name);
            let threshold = actions.thresholds[theme];
            self.refusal[theme] < threshold
                || self.without_help[theme] < threshold && HELP_FIRST.contains(&name)
        };
        self.themes(actions)
            .find(|&(theme, _, action)| action == ThemeAction::Block && !is_passed(theme))
            .map(|(theme, ..)| theme)
    }

    /// The first theme that is refused.
    pub(crate) fn refused(&self, actions: &Actions) -> Option<usize> {
        self.themes(actions)
            .find(|&(_, _, action)| action == ThemeAction::Block)
            .map(|(theme, ..)| theme)
    }

    /// The themes that it is of and that are not off, by their places.
    pub(crate) fn of(&self, actions: &Actions) -> impl Iterator<Item = usize> {
        self.themes(actions).map(|(theme, ..)| theme)
    }

    /// What is recorded of it.
    pub(crate) fn signs(
        &self,
        themes: &Themes,
        actions: &Actions,
        source: SignSource,
    ) -> Vec<Sign> {
        let sign = |(theme, points, _): (usize, u16, ThemeAction)| {
            let theme = themes.themes().get(theme)?;
            let severity = match theme.severity {
                Wanted::Routine => Severity::Routine,
                Wanted::High => Severity::High,
                Wanted::Urgent => Severity::Urgent,
            };
            Some(Sign { theme: theme.name.to_string(), points, source, severity })
        };
        self.themes(actions).filter_map(sign).collect()
    }

    /// Each theme that it is of and that is not off, with what it reached and what becomes of it.
    fn themes(&self, actions: &Actions) -> impl Iterator<Item = (usize, u16, ThemeAction)> {
        let all = self.percent.iter().zip(&actions.thresholds).enumerate();
        let of = all.filter(|(theme, (percent, threshold))| {
            percent >= threshold || self.banned >> theme & 1 != 0
        });
        let of = of.map(|(theme, (percent, _))| (theme, *percent, actions.get(theme)));
        of.filter(|(_, _, action)| *action != ThemeAction::Off)
    }
}

/// Each the higher of the two.
fn raise(reached: &mut [u16; MAX_THEMES], more: &[u16; MAX_THEMES]) {
    for (reached, more) in reached.iter_mut().zip(more) {
        *reached = (*reached).max(*more);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
    use super::*;
    use categorizer::theme::ThemesBuilder;

    /// Everything is refused from so many points on.
    fn from(threshold: u16) -> Actions {
        let by_theme = vec![ThemeAction::Block; MAX_THEMES];
        Actions { by_theme, thresholds: [threshold; MAX_THEMES], watches: true, blocks: true }
    }

    fn themes() -> Themes {
        ThemesBuilder::new(rules::theme::shipped_themes()).finish()
    }

    fn place(themes: &Themes, name: &str) -> usize {
        themes.themes().iter().position(|theme| theme.name == name).unwrap()
    }

    /// What a part reached of one theme: all of it, what counts to refuse it, and what did not look for help.
    fn part(theme: usize, [percent, refusal, without_help]: [u16; 3]) -> Reached {
        let mut reached = Reached::default();
        reached.percent[theme] = percent;
        reached.refusal[theme] = refusal;
        reached.without_help[theme] = without_help;
        reached.for_help = without_help < percent;
        reached
    }

    #[test]
    fn what_is_told_and_what_is_refused_hang_on_the_threshold() {
        let themes = themes();
        for (theme, what, threshold, is_told, is_refused) in [
            ("drugs", [90, 90, 90], 100, false, false),
            ("drugs", [90, 90, 90], 90, true, true),
            ("drugs", [90, 90, 90], 91, false, false),
            // By words alone.
            ("drugs", [124, 99, 124], 100, true, false),
            ("drugs", [124, 99, 124], 99, true, true),
            ("drugs", [124, 99, 124], 125, false, false),
            // Beside a look for help.
            ("suicide", [150, 150, 0], 100, true, false),
            ("suicide", [150, 150, 90], 100, true, false),
            ("suicide", [150, 150, 90], 90, true, true),
            ("drugs", [150, 150, 0], 100, true, true),
        ] {
            let reached = part(place(&themes, theme), what);
            let actions = from(threshold);
            let told = reached.signs(&themes, &actions, SignSource::Search);
            let got = (told.len() == 1, reached.refused_typed(&themes, &actions).is_some());
            assert_eq!(got, (is_told, is_refused), "{theme} {what:?} from {threshold}");
            assert!(told.iter().all(|sign| sign.points == what[0] && sign.theme == theme));
            assert_eq!(reached.of(&actions).count(), told.len());
            assert_eq!(reached.refused(&actions).is_some(), is_told);
            assert_eq!(reached.refused(&actions.only_watched()), None);
            assert_eq!(reached.of(&actions.only_watched()).count(), told.len());
        }
    }

    #[test]
    fn parts_and_the_whole_of_a_text_look_for_help_where_any_of_them_does() {
        let themes = themes();
        let suicide = place(&themes, "suicide");
        let whole = part(suicide, [85, 85, 85]);
        let whole = Reached { without_help: Default::default(), ..whole };
        for (parts, threshold, is_refused) in [
            ([[50, 50, 50], [60, 60, 60]], 80, true),
            ([[50, 50, 50], [60, 60, 0]], 80, false),
            ([[50, 50, 50], [60, 60, 60]], 86, false),
            ([[80, 80, 80], [60, 60, 0]], 80, true),
        ] {
            let mut reached = part(suicide, parts[0]);
            reached.join(&part(suicide, parts[1]));
            reached.join_whole(&whole);
            let refused = reached.refused_typed(&themes, &from(threshold));
            assert_eq!(refused.is_some(), is_refused, "{parts:?} from {threshold}");
        }
    }

    #[test]
    fn what_matters_most_is_what_is_farthest_beyond_its_threshold() {
        let themes = themes();
        let mut actions = from(100);
        actions.by_theme.fill(ThemeAction::Watch);
        actions.thresholds[place(&themes, "drugs")] = 200;
        actions.thresholds[place(&themes, "violence")] = 50;
        let of = |theme, percent| part(place(&themes, theme), [percent; 3]);
        for (theme, percent, expected) in
            [("drugs", 180, 90), ("bullying", 110, 110), ("violence", 60, 120)]
        {
            let matters = of(theme, percent).matters(&themes, &actions);
            assert_eq!(matters, (false, expected), "{theme}");
        }
    }
}
