//! From lines to what each name weighs for each theme.

use super::labelled_texts::THEMES;
use super::lines::Line;
use super::regression::{self, Learned, Sparse};
use categorizer::theme::name_hash;
use std::collections::{HashMap, HashSet};

/// How it is learned. The figures are those by which files that were left out were found best.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Learning {
    /// Lines that a name must be of
    #[arg(long, default_value_t = 3)]
    fewest: u32,
    /// Names that are kept, beside all words
    #[arg(long, default_value_t = 45_000)]
    most: usize,
    /// How cheap large weights are
    #[arg(long, default_value_t = 100.0)]
    c: f32,
    /// How often all lines are gone through
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// How often it is learned, each time in another order; the mean is taken
    #[arg(long, default_value_t = 3)]
    learnings: u64,
    /// The share of a line's names that are passed over each time
    #[arg(long, default_value_t = 0.4)]
    passed_over: f32,
    /// What 100 points by phrases are given as, in logits
    #[arg(long, default_value_t = 3.0)]
    given: f32,
    /// How much a line of another theme counts, where a harmless one counts 1: to name a further theme is no false alarm
    #[arg(long, default_value_t = 0.1)]
    other: f32,
    /// Weights less than so many units are left out
    #[arg(long, default_value_t = 4.0)]
    least: f32,
    /// Points that are added for each theme
    #[arg(long, default_value_t = -20.0, allow_negative_numbers = true)]
    shift: f32,
}

/// Points that are added for themes that are told of in everybody's words, and so found least. Of files that were left out
/// they find 4 to 5 more of a hundred by it, and of what they find 92 to 93 of a hundred are right, in place of 94.
const SOONER: [(&str, f32); 3] =
    [("bullying", 15.0), ("child-sexual-exploitation", 10.0), ("discrimination", 15.0)];

/// What was learned: by name and theme, in points.
pub(crate) struct Model {
    /// Points that all weights are multiples of.
    pub(crate) unit: f32,
    pub(crate) names: Vec<String>,
    pub(crate) themes: Vec<Learned>,
    numbers: HashMap<String, u32>,
}

impl Model {
    /// Points of each theme, by words alone: those of the heaviest window.
    pub(crate) fn weigh(&self, line: &Line) -> [f32; THEMES.len()] {
        let mut most = [f32::MIN; THEMES.len()];
        for window in &line.windows {
            let names = self.known(window);
            for (most, learned) in most.iter_mut().zip(&self.themes) {
                *most = most.max(learned.sum(&names));
            }
        }
        most
    }

    /// Makes all weights multiples of one unit, as many as a byte holds.
    fn round(&mut self, least: f32) {
        let weights = || self.themes.iter().flat_map(|theme| &theme.weights);
        self.unit =
            weights().fold(0.0, |most: f32, weight| most.max(weight.abs())) / f32::from(i8::MAX);
        for weight in self.themes.iter_mut().flat_map(|theme| &mut theme.weights) {
            let units = (*weight / self.unit).round();
            *weight = if units.abs() < least { 0.0 } else { units * self.unit };
        }
    }

    fn known(&self, window: &[String]) -> Vec<u32> {
        window.iter().filter_map(|name| self.numbers.get(name).copied()).collect()
    }
}

pub(crate) fn learn(lines: &[Line], learning: &Learning) -> Model {
    let mut names = frequent(lines, learning.fewest);
    let whole = fit(lines, &names, &Learning { learnings: 1, ..learning.clone() }, None);
    // The words and the heaviest others.
    let heaviest = |name: usize| {
        whole.themes.iter().map(|theme| theme.weights[name].abs()).fold(0.0, f32::max)
    };
    let mut others: Vec<(f32, usize)> =
        (0..names.len()).filter(|&at| !is_word(&names[at])).map(|at| (heaviest(at), at)).collect();
    others.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut kept: Vec<usize> = (0..names.len()).filter(|&at| is_word(&names[at])).collect();
    kept.extend(others.iter().take(learning.most).map(|(_, at)| *at));
    // Two names with one hash cannot be told apart: words first, then the heavier one.
    let mut hashes = HashSet::new();
    kept.retain(|&at| hashes.insert(name_hash(&names[at])));
    kept.sort_unstable();
    names = kept.into_iter().map(|at| std::mem::take(&mut names[at])).collect();
    let mut model = fit(lines, &names, learning, Some(&whole));
    // From logits to points: a line is of a theme where its logit is above 0, which are 100 points.
    for (name, theme) in THEMES.iter().zip(&mut model.themes) {
        let points = 100.0 / learning.given;
        theme.weights.iter_mut().for_each(|weight| *weight *= points);
        let sooner = SOONER.iter().find(|(theme, _)| theme == name).map_or(0.0, |(_, more)| *more);
        theme.nothing = (theme.nothing * points + 100.0 + learning.shift + sooner).round();
    }
    model.round(learning.least);
    model
}

/// Whether a name is a word by itself.
fn is_word(name: &str) -> bool {
    !name.contains(' ') && !name.starts_with('~')
}

/// The names that are in so many lines, in order.
fn frequent(lines: &[Line], fewest: u32) -> Vec<String> {
    let mut counts: HashMap<&str, u32> = HashMap::new();
    for line in lines {
        let mut names: Vec<&str> = line.windows.iter().flatten().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().for_each(|name| *counts.entry(name).or_default() += 1);
    }
    let mut names: Vec<String> = counts
        .into_iter()
        .filter(|(_, count)| *count >= fewest)
        .map(|(name, _)| name.to_owned())
        .collect();
    names.sort_unstable();
    names
}

/// `before`: by which the window of a concerning line is chosen that says so.
fn fit(lines: &[Line], names: &[String], learning: &Learning, before: Option<&Model>) -> Model {
    let numbers: HashMap<String, u32> = names.iter().cloned().zip(0..).collect();
    let known = |window: &Vec<String>| -> Vec<u32> {
        window.iter().filter_map(|name| numbers.get(name).copied()).collect()
    };
    let fit = |theme: usize| {
        let mut sparse = Vec::new();
        for line in lines {
            let given = line.points[theme].clamp(-200.0, 250.0) / 100.0 * learning.given;
            let is_of = line.is_of[theme];
            let weight = match is_of || !line.concerns() {
                true => 1.0,
                false => learning.other,
            };
            // All windows of a harmless line are harmless; of another one, the heaviest is what it is about.
            let heaviest = || {
                let before = before?;
                let sums = line
                    .windows
                    .iter()
                    .map(|window| before.themes[theme].sum(&before.known(window)));
                sums.enumerate().max_by(|one, other| one.1.total_cmp(&other.1)).map(|it| it.0)
            };
            let only = if is_of && line.windows.len() > 1 { heaviest() } else { None };
            for (at, window) in line.windows.iter().enumerate() {
                if only.is_none_or(|only| only == at) {
                    sparse.push(Sparse { names: known(window), given, is_of, weight });
                }
            }
        }
        let learned = (0..learning.learnings.max(1)).map(|turn| {
            let how = regression::Learning {
                c: learning.c,
                rounds: learning.rounds,
                passed_over: learning.passed_over,
                turn,
            };
            regression::learn(&sparse, names.len(), how)
        });
        regression::mean(learned)
    };
    let (even, odd) = std::thread::scope(|scope| {
        let of = |rest: usize| (0..THEMES.len()).filter(move |theme| theme % 2 == rest);
        let odd = scope.spawn(move || of(1).map(fit).collect::<Vec<_>>());
        let even: Vec<_> = of(0).map(fit).collect();
        (even, odd.join().expect("it learns as the other does"))
    });
    let themes = even.into_iter().zip(odd).flat_map(|(even, odd)| [even, odd]).collect();
    Model { unit: 1.0, names: names.to_vec(), themes, numbers }
}
