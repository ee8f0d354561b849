//! A picture of bars, written as SVG: one panel a row, one bar an entrant, each panel on a scale of its
//! own.

use std::fmt::Write as _;

/// One panel.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    /// Its title.
    pub title: String,
    /// Its bars, from the top.
    pub bars: Vec<Bar>,
    /// Lines across the bars: a value and what it says.
    pub marks: Vec<(f64, &'static str)>,
}

/// One bar.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    /// What stands before it.
    pub label: String,
    /// Its length.
    pub value: f64,
    /// The least and the most that were measured.
    pub range: (f64, f64),
    /// Whose it is.
    pub kind: Kind,
}

/// Whose a bar is, which gives it its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// That of the one that the picture is about.
    Ours,
    /// Another filter's.
    Filter,
    /// That of one that only passes on.
    Other,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Ours, Kind::Filter, Kind::Other];

    fn colour(self) -> &'static str {
        match self {
            Kind::Ours => "#1769aa",
            Kind::Filter => "#8d99a6",
            Kind::Other => "#d3dae0",
        }
    }

    fn legend(self) -> &'static str {
        match self {
            Kind::Ours => "Schoolgate",
            Kind::Filter => "other filters",
            Kind::Other => "pass on only, without a filter",
        }
    }
}

const COLUMNS: usize = 2;
const PANEL_WIDTH: f64 = 470.0;
const LABEL_WIDTH: f64 = 106.0;
const BAR_WIDTH: f64 = 268.0;
const BAR_HEIGHT: f64 = 18.0;
const TITLE_HEIGHT: f64 = 44.0;
const GAP: f64 = 16.0;
const HEAD: f64 = 88.0;

/// Draws the panels in two columns. `note` stands under the title.
pub(crate) fn svg(title: &str, note: &str, panels: &[Panel]) -> String {
    let height_of = |panel: &Panel| TITLE_HEIGHT + panel.bars.len() as f64 * BAR_HEIGHT + GAP;
    let mut body = legend();
    let mut top = HEAD;
    for line in panels.chunks(COLUMNS) {
        for (column, panel) in line.iter().enumerate() {
            draw(&mut body, panel, 12.0 + column as f64 * PANEL_WIDTH, top);
        }
        top += line.iter().map(height_of).fold(0.0, f64::max);
    }
    let width = 12.0 + PANEL_WIDTH * COLUMNS as f64;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{top}\" \
         viewBox=\"0 0 {width} {top}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\" role=\"img\">\n\
         <title>{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"26\" font-size=\"18\" font-weight=\"bold\">{title}</text>\n\
         <text x=\"12\" y=\"46\" fill=\"#555\">{note}</text>\n{body}</svg>\n",
        title = escaped(title),
        note = escaped(note),
    )
}

/// What the colours and lines stand for.
fn legend() -> String {
    let (mut out, mut left) = (String::new(), 12.0);
    for kind in Kind::ALL {
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"56\" width=\"12\" height=\"12\" fill=\"{}\"/>\n\
             <text x=\"{:.1}\" y=\"66\">{}</text>",
            kind.colour(),
            left + 18.0,
            kind.legend(),
        );
        left += 42.0 + kind.legend().len() as f64 * 6.4;
    }
    let _ = writeln!(
        out,
        "<path d=\"M{left:.1} 62h20\" stroke=\"#222\"/>\n<text x=\"{:.1}\" y=\"66\">least to most</text>\n\
         <path d=\"M{:.1} 56v12\" stroke=\"#b3261e\" stroke-dasharray=\"3 3\"/>\n\
         <text x=\"{:.1}\" y=\"66\">must and goal, as shares of Squid's</text>",
        left + 26.0,
        left + 122.0,
        left + 130.0,
    );
    out
}

fn draw(out: &mut String, panel: &Panel, left: f64, top: f64) {
    let longest = panel.bars.iter().map(|bar| bar.range.1.max(bar.value));
    let longest =
        longest.chain(panel.marks.iter().map(|mark| mark.0)).fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| left + LABEL_WIDTH + value.max(0.0) / longest * BAR_WIDTH;
    let first = top + TITLE_HEIGHT - 16.0;
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<text x=\"{left}\" y=\"{:.1}\" font-weight=\"bold\">{}</text>",
        top + 12.0,
        escaped(&panel.title)
    );
    // Words go last: they are to be read before bars and marks.
    let mut words = String::new();
    for (place, bar) in panel.bars.iter().enumerate() {
        let y = first + place as f64 * BAR_HEIGHT;
        let middle = y + BAR_HEIGHT / 2.0;
        let (start, end) = (x(0.0), x(bar.value));
        let colour = bar.kind.colour();
        let weight = if bar.kind == Kind::Ours { " font-weight=\"bold\"" } else { "" };
        let _ = writeln!(
            out,
            "<rect x=\"{start:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
            y + 2.0,
            (end - start).max(0.5),
            BAR_HEIGHT - 4.0,
        );
        // One round has no ends.
        if bar.range.0 < bar.range.1 {
            let (least, most, cap) = (x(bar.range.0), x(bar.range.1), middle - 3.0);
            let _ = writeln!(
                out,
                "<path d=\"M{least:.1} {middle:.1}H{most:.1}M{least:.1} {cap:.1}v6M{most:.1} {cap:.1}v6\" \
                 stroke=\"#222\"/>",
            );
        }
        let _ = writeln!(
            words,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\"{weight}>{}</text>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" stroke=\"#fff\" stroke-width=\"4\" paint-order=\"stroke\"{weight}>{}</text>",
            start - 6.0,
            middle + 4.0,
            escaped(&bar.label),
            x(bar.range.1.max(bar.value)) + 6.0,
            middle + 4.0,
            number(bar.value),
        );
    }
    let last = first + panel.bars.len() as f64 * BAR_HEIGHT;
    // The words of the first and the second mark stand on its two sides: they may be close.
    for (number, (value, what)) in panel.marks.iter().enumerate() {
        let at = x(*value);
        let (anchor, beside) = if number == 0 { ("start", at - 2.0) } else { ("end", at + 2.0) };
        let _ = writeln!(
            out,
            "<path d=\"M{at:.1} {first:.1}V{last:.1}\" stroke=\"#b3261e\" stroke-dasharray=\"3 3\"/>\n\
             <text x=\"{beside:.1}\" y=\"{:.1}\" font-size=\"10\" fill=\"#b3261e\" text-anchor=\"{anchor}\">{}</text>",
            first - 3.0,
            escaped(what),
        );
    }
    out.push_str(&words);
}

/// A figure with as many digits as it deserves.
pub(crate) fn number(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
