//! What is found of lines that were not learned from: by phrases alone, by words alone, and by both. Simpler than the program:
//! that no phrase of 150 points is undone is left out, and that a text of unknown words is not weighed.

use super::labelled_texts::{HARMLESS, THEMES};
use super::lines::Line;
use super::model::Model;
use categorizer::theme::bounds;

type Points = [f32; THEMES.len()];

/// Points by which a text is of a theme.
const ENOUGH: f32 = 100.0;

pub(crate) fn report(model: &Model, lines: &[Line]) {
    let weighed: Vec<Points> = lines.iter().map(|line| model.weigh(line)).collect();
    let by_phrases: Vec<Points> = lines.iter().map(|line| line.points).collect();
    let both = |line: &Line, weighed: &Points| {
        let mut both = line.points;
        for ((both, one), theme) in both.iter_mut().zip(weighed).zip(THEMES) {
            let (least, most) = bounds(theme);
            *both += one.clamp(least, most);
        }
        both
    };
    let both: Vec<Points> = lines.iter().zip(&weighed).map(|(line, it)| both(line, it)).collect();
    for (name, points) in [("phrases", &by_phrases), ("words", &weighed), ("both", &both)] {
        for from in [60.0, 80.0, 90.0, 100.0, 110.0, 120.0] {
            row(&format!("{name} {from}"), lines.iter().zip(points), from);
        }
        for file in files(lines) {
            let of_file = lines.iter().zip(points).filter(|(line, _)| line.file == file);
            row(&format!("{name}, {file}"), of_file, ENOUGH);
        }
        for from in [80.0, 85.0, 90.0, 95.0, ENOUGH, 105.0] {
            themes(lines, points, from);
        }
    }
}

/// The files that lines are of, each once: lines of a file stand together.
fn files(lines: &[Line]) -> Vec<&str> {
    let mut files: Vec<&str> = lines.iter().map(|line| line.file.as_str()).collect();
    files.dedup();
    files
}

fn row<'l>(name: &str, lines: impl Iterator<Item = (&'l Line, &'l Points)>, from: f32) {
    let is_found = |points: &Points| points.iter().any(|&one| one >= from);
    let (mut concerning, mut found, mut wrong) = (0, 0, 0);
    let mut kinds = [(0, 0); HARMLESS.len()];
    for (line, points) in lines {
        let is_found = is_found(points);
        if line.concerns() {
            concerning += 1;
            found += usize::from(is_found);
        } else {
            wrong += usize::from(is_found);
            if let Some(at) = HARMLESS.iter().position(|kind| *kind == line.kind) {
                kinds[at].0 += usize::from(is_found);
                kinds[at].1 += 1;
            }
        }
    }
    let kinds: Vec<String> = HARMLESS
        .iter()
        .zip(kinds)
        .map(|(kind, (found, all))| format!("{kind} {:.1} %", share(found, all) * 100.0))
        .collect();
    println!(
        "{name:<24} recall {:.3} precision {:.3}  {}",
        share(found, concerning),
        share(found, found + wrong),
        kinds.join(" ")
    );
}

fn themes(lines: &[Line], points: &[Points], from: f32) {
    let cells = (0..THEMES.len()).map(|theme| {
        let (mut of, mut found, mut wrong) = (0, 0, 0);
        for (line, points) in lines.iter().zip(points) {
            let is_found = points[theme] >= from;
            of += usize::from(line.is_of[theme]);
            found += usize::from(line.is_of[theme] && is_found);
            wrong += usize::from(!line.concerns() && is_found);
        }
        format!("{:.6} {:.2}/{:.2}", THEMES[theme], share(found, of), share(found, found + wrong))
    });
    println!("    {from:<4} {}", cells.collect::<Vec<_>>().join("  "));
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}
