//! A small picture of how one figure grows with another, written as SVG: places in a row, a line through
//! their figures, and a stroke over the range of each.

use crate::picture::number;
use std::fmt::Write as _;

/// One place of the line.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    /// What stands below it.
    pub label: String,
    /// The figure.
    pub value: f64,
    /// The range that is shown.
    pub range: (f64, f64),
}

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 50.0;

/// Draws it. `across` and `up` say what the two axes are; the places stand at even distances, whatever
/// their figures.
pub(crate) fn svg(title: &str, across: &str, up: &str, points: &[Point]) -> String {
    let most = points.iter().map(|point| point.range.1.max(point.value)).fold(0.0, f64::max);
    let step = step(most);
    let top_value = (most / step).ceil().max(1.0) * step;
    let y = |value: f64| HEIGHT - BOTTOM - value / top_value * (HEIGHT - TOP - BOTTOM);
    let gap = (WIDTH - LEFT - RIGHT) / points.len().max(1) as f64;
    let x = |place: usize| LEFT + gap * (place as f64 + 0.5);
    let mut body = String::new();
    let mut at = 0.0;
    // Writing to a String cannot fail.
    while at <= top_value + step / 2.0 {
        let _ = writeln!(
            body,
            "<path d=\"M{LEFT} {0:.1}H{1}\" stroke=\"#e0e4e8\"/>\
             <text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\" fill=\"#555\">{4}</text>",
            y(at),
            WIDTH - RIGHT,
            LEFT - 6.0,
            y(at) + 4.0,
            tick(at, step)
        );
        at += step;
    }
    let mut line = String::new();
    for (place, point) in points.iter().enumerate() {
        let _ = write!(
            line,
            "{}{:.1} {:.1}",
            if place == 0 { "M" } else { "L" },
            x(place),
            y(point.value)
        );
    }
    let _ =
        writeln!(body, "<path d=\"{line}\" fill=\"none\" stroke=\"#1769aa\" stroke-width=\"2\"/>");
    for (place, point) in points.iter().enumerate() {
        let _ = writeln!(
            body,
            "<path d=\"M{0:.1} {1:.1}V{2:.1}\" stroke=\"#222\"/>\
             <circle cx=\"{0:.1}\" cy=\"{3:.1}\" r=\"3.5\" fill=\"#1769aa\"/>\
             <text x=\"{0:.1}\" y=\"{4:.1}\" text-anchor=\"middle\" font-weight=\"bold\" stroke=\"#fff\" \
             stroke-width=\"4\" paint-order=\"stroke\">{5}</text>\
             <text x=\"{0:.1}\" y=\"{6:.1}\" text-anchor=\"middle\">{7}</text>",
            x(place),
            y(point.range.0),
            y(point.range.1),
            y(point.value),
            y(point.range.1.max(point.value)) - 8.0,
            number(point.value),
            HEIGHT - BOTTOM + 16.0,
            escaped(&point.label)
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\" role=\"img\">\n\
         <title>{title}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"20\" font-size=\"15\" font-weight=\"bold\">{title}</text>\n\
         <text x=\"12\" y=\"37\" fill=\"#555\">{up}</text>\n{body}\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">{}</text>\n</svg>\n",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 12.0,
        escaped(across),
        title = escaped(title),
        up = escaped(up),
    )
}

/// The distance of the lines across: 1, 2 or 5 of some power of ten, so that there are three to six.
fn step(most: f64) -> f64 {
    let rough = most.max(1e-6) / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    steps.into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power)
}

fn tick(value: f64, step: f64) -> String {
    if step < 1.0 { format!("{value:.1}") } else { number(value.round()).replace(".0", "") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
