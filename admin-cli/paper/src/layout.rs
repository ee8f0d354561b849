//! Where everything stands: blocks become lines on pages, and what each line is to a screen reader.

use crate::letters::{Letters, Weight};
use crate::wrap::lines;
use crate::{Block, Paper, Table};

/// Points of an A4 page, the shorter side first.
const A4: (f32, f32) = (595.28, 841.89);
/// Points between columns.
const GAP: f32 = 8.0;

/// Sizes and distances, in points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measure {
    /// Left free at each side.
    pub(crate) margin: f32,
    /// At the foot of a page, the foot's.
    foot: f32,
    /// Sizes of letters.
    title: f32,
    strong: f32,
    heading: f32,
    body: f32,
    pub(crate) small: f32,
    /// From line to line, in parts of the size.
    leading: f32,
    above_heading: f32,
    below_heading: f32,
    below_text: f32,
    below_table: f32,
    /// Above and below a row.
    padding: f32,
}

/// The measures of a report that takes as many pages as it takes.
pub(crate) const USUAL: Measure = Measure {
    margin: 42.0,
    foot: 30.0,
    title: 15.0,
    strong: 11.0,
    heading: 11.0,
    body: 9.0,
    small: 7.5,
    leading: 1.32,
    above_heading: 8.0,
    below_heading: 3.0,
    below_text: 3.0,
    below_table: 4.0,
    padding: 2.0,
};

/// For a report that belongs on one page and does not fit as usual. Of DejaVu Sans 8 points are read like 9 of others.
const CLOSE: Measure = Measure {
    margin: 34.0,
    foot: 20.0,
    title: 13.0,
    strong: 10.0,
    heading: 9.5,
    body: 8.0,
    small: 7.0,
    leading: 1.25,
    above_heading: 5.0,
    below_heading: 2.0,
    below_text: 1.5,
    below_table: 2.0,
    padding: 1.0,
};

/// The closest that is still read well on paper; printers leave 12 points free at the least.
const CLOSEST: Measure = Measure {
    margin: 26.0,
    foot: 16.0,
    title: 12.0,
    strong: 9.0,
    heading: 8.5,
    body: 7.25,
    small: 6.5,
    leading: 1.2,
    above_heading: 3.5,
    below_heading: 1.5,
    below_text: 1.0,
    below_table: 1.0,
    padding: 0.6,
};

/// Most of the width that a word may claim for its column: longer ones are cut.
const MOST_CLAIMED: f32 = 0.16;

/// What a screen reader reads at once: a paragraph, a heading, a cell. Its place among all.
pub(crate) type Leaf = usize;

/// A line of letters.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) x: f32,
    /// Of the base line, from the top.
    pub(crate) y: f32,
    pub(crate) size: f32,
    pub(crate) weight: Weight,
    pub(crate) text: String,
    /// `None`: headings said again, which a screen reader passes over.
    pub(crate) leaf: Option<Leaf>,
}

/// A thin stroke below a row.
#[derive(Debug)]
pub(crate) struct Stroke {
    pub(crate) y: f32,
    pub(crate) thick: f32,
}

/// One page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) lines: Vec<Line>,
    pub(crate) strokes: Vec<Stroke>,
}

/// What a report is made of, as a screen reader is told.
#[derive(Debug)]
pub(crate) enum Part {
    /// Level, text, and where it stands.
    Heading {
        level: u16,
        text: String,
        leaf: Leaf,
        page: usize,
        y: f32,
    },
    Text(Leaf),
    Table(Vec<Row>),
}

/// A row of a table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) is_head: bool,
    /// Whether the first cell names the row.
    pub(crate) is_named: bool,
    pub(crate) cells: Vec<Leaf>,
}

/// A report laid out.
#[derive(Debug)]
pub(crate) struct LaidOut {
    pub(crate) width: f32,
    pub(crate) height: f32,
    pub(crate) measure: Measure,
    pub(crate) pages: Vec<Page>,
    pub(crate) parts: Vec<Part>,
    pub(crate) leaves: usize,
    /// In letters that the fonts have.
    pub(crate) foot: Vec<String>,
}

/// Lays out a report: what belongs on one page as closely as it must be for that, and where even the closest does not do,
/// on several that are read with ease.
pub(crate) fn lay_out(paper: &Paper, letters: &Letters) -> LaidOut {
    let usual = lay_out_by(USUAL, paper, letters);
    if !paper.one_page || usual.pages.len() == 1 {
        return usual;
    }
    let close = lay_out_by(CLOSE, paper, letters);
    if close.pages.len() == 1 {
        return close;
    }
    let closest = lay_out_by(CLOSEST, paper, letters);
    if closest.pages.len() == 1 { closest } else { close }
}

fn lay_out_by(measure: Measure, paper: &Paper, letters: &Letters) -> LaidOut {
    let (width, height) = if paper.landscape { (A4.1, A4.0) } else { A4 };
    let pages = vec![Page::default()];
    let (parts, foot) = (Vec::new(), Vec::new());
    let out = LaidOut { width, height, measure, pages, parts, leaves: 0, foot };
    let mut hand = Hand { letters, measure, out, y: measure.margin };
    hand.heading(1, &paper.title);
    hand.text(&paper.subtitle, (Weight::Regular, measure.body));
    for block in &paper.blocks {
        match block {
            Block::Heading(text) => hand.heading(2, text),
            Block::Strong(text) => hand.text(text, (Weight::Bold, measure.strong)),
            Block::Text(text) => hand.text(text, (Weight::Regular, measure.body)),
            Block::Small(text) => hand.text(text, (Weight::Regular, measure.small)),
            Block::Facts(facts) => {
                let rows: Vec<Vec<String>> =
                    facts.iter().map(|(name, value)| vec![name.clone(), value.clone()]).collect();
                hand.table(&[], &rows, &[0.24, 0.76]);
            }
            Block::Table(Table { headings, rows }) => hand.table(headings, rows, &[]),
        }
    }
    if letters.lacks_any() {
        let told = "Characters that these letters lack, or that show nothing, stand as their codes, as [U+200B].";
        hand.text(told, (Weight::Regular, measure.small));
    }
    let foot = letters.clean(&paper.foot);
    // The page's number stands beside it.
    let room = hand.room() - 90.0;
    hand.out.foot = lines(letters, (Weight::Regular, measure.small), &foot, room);
    hand.out.foot.truncate(2);
    hand.out
}

/// What sets one block below the other.
struct Hand<'l> {
    letters: &'l Letters,
    measure: Measure,
    out: LaidOut,
    /// Where the next line begins, from the top.
    y: f32,
}

/// A cell's lines and where it stands.
struct Cell {
    x: f32,
    lines: Vec<String>,
    weight: Weight,
    leaf: Option<Leaf>,
}

impl Hand<'_> {
    /// The width between the margins.
    fn room(&self) -> f32 {
        self.out.width - 2.0 * self.measure.margin
    }

    fn bottom(&self) -> f32 {
        self.out.height - self.measure.margin - self.measure.foot
    }

    fn new_leaf(&mut self) -> Leaf {
        self.out.leaves += 1;
        self.out.leaves - 1
    }

    fn turn(&mut self) {
        self.out.pages.push(Page::default());
        self.y = self.measure.margin;
    }

    /// Turns the page where less than this is left of it, unless nothing is on it.
    fn need(&mut self, height: f32) {
        let is_empty = self.out.pages.last().is_none_or(|page| page.lines.is_empty());
        if self.y + height > self.bottom() && !is_empty {
            self.turn();
        }
    }

    fn put(&mut self, x: f32, text: String, (weight, size): (Weight, f32), leaf: Option<Leaf>) {
        // Letters stand on the base line and reach below it.
        let y = self.y + size * 1.02;
        if let Some(page) = self.out.pages.last_mut().filter(|_| !text.is_empty()) {
            page.lines.push(Line { x, y, size, weight, text, leaf });
        }
    }

    fn stroke(&mut self, thick: f32) {
        let y = self.y;
        if let Some(page) = self.out.pages.last_mut() {
            page.strokes.push(Stroke { y, thick });
        }
    }

    fn heading(&mut self, level: u16, text: &str) {
        let text = self.letters.clean(text);
        if text.trim().is_empty() {
            return;
        }
        let size = if level == 1 { self.measure.title } else { self.measure.heading };
        if level > 1 {
            self.y += self.measure.above_heading;
        }
        let set = lines(self.letters, (Weight::Bold, size), &text, self.room());
        // It never stands at the foot of a page alone.
        self.need(
            set.len() as f32 * size * self.measure.leading
                + 3.0 * self.measure.body * self.measure.leading,
        );
        let leaf = self.new_leaf();
        let (page, y) = (self.out.pages.len() - 1, self.y);
        for line in set {
            self.put(self.measure.margin, line, (Weight::Bold, size), Some(leaf));
            self.y += size * self.measure.leading;
        }
        self.out.parts.push(Part::Heading { level, text, leaf, page, y });
        if level > 1 {
            self.stroke(0.8);
            self.y += self.measure.below_heading;
        }
    }

    fn text(&mut self, text: &str, (weight, size): (Weight, f32)) {
        let text = self.letters.clean(text);
        if text.trim().is_empty() {
            return;
        }
        let leaf = self.new_leaf();
        for line in lines(self.letters, (weight, size), &text, self.room()) {
            self.need(size * self.measure.leading);
            self.put(self.measure.margin, line, (weight, size), Some(leaf));
            self.y += size * self.measure.leading;
        }
        self.y += self.measure.below_text;
        self.out.parts.push(Part::Text(leaf));
    }

    fn table(&mut self, headings: &[String], rows: &[Vec<String>], shares: &[f32]) {
        if rows.is_empty() {
            return;
        }
        let clean = |row: &Vec<String>| row.iter().map(|cell| self.letters.clean(cell)).collect();
        let headings: Vec<String> = headings.iter().map(|text| self.letters.clean(text)).collect();
        let rows: Vec<Vec<String>> = rows.iter().map(clean).collect();
        let columns = match shares {
            [] => self.columns(&headings, &rows),
            shares => shares.iter().map(|share| share * self.room()).collect(),
        };
        let mut told = Vec::with_capacity(rows.len() + 1);
        let line = self.measure.body * self.measure.leading;
        if !headings.is_empty() {
            let leaves: Vec<Leaf> = headings.iter().map(|_| self.new_leaf()).collect();
            self.need(3.0 * line);
            self.head(&headings, &columns, Some(&leaves));
            told.push(Row { is_head: true, is_named: false, cells: leaves });
        }
        for row in &rows {
            let leaves: Vec<Leaf> = row.iter().map(|_| self.new_leaf()).collect();
            let is_named = headings.is_empty();
            let cells = self.cells(row, &columns, Some(&leaves), |place| match place {
                0 if is_named => Weight::Bold,
                _ => Weight::Regular,
            });
            let tall = cells.iter().map(|cell| cell.lines.len()).max().unwrap_or(0);
            let height = tall as f32 * line + 2.0 * self.measure.padding;
            // What fits on a page is not cut in two.
            let is_cut = height > self.bottom() - self.measure.margin - 3.0 * line;
            if !is_cut && self.y + height > self.bottom() {
                self.turn();
                self.head(&headings, &columns, None);
            }
            self.y += self.measure.padding;
            for place in 0..tall {
                if self.y + line > self.bottom() {
                    self.turn();
                    self.head(&headings, &columns, None);
                }
                for cell in &cells {
                    if let Some(text) = cell.lines.get(place) {
                        self.put(cell.x, text.clone(), (cell.weight, self.measure.body), cell.leaf);
                    }
                }
                self.y += line;
            }
            self.y += self.measure.padding;
            self.stroke(0.25);
            told.push(Row { is_head: false, is_named, cells: leaves });
        }
        self.y += self.measure.below_table;
        self.out.parts.push(Part::Table(told));
    }

    /// The headings of a table: for a screen reader the first time only.
    fn head(&mut self, headings: &[String], columns: &[f32], leaves: Option<&[Leaf]>) {
        if headings.is_empty() {
            return;
        }
        let cells = self.cells(headings, columns, leaves, |_| Weight::Bold);
        let tall = cells.iter().map(|cell| cell.lines.len()).max().unwrap_or(0);
        for place in 0..tall {
            for cell in &cells {
                if let Some(text) = cell.lines.get(place) {
                    self.put(cell.x, text.clone(), (Weight::Bold, self.measure.body), cell.leaf);
                }
            }
            self.y += self.measure.body * self.measure.leading;
        }
        self.y += self.measure.padding;
        self.stroke(0.5);
    }

    fn cells(
        &self,
        row: &[String],
        columns: &[f32],
        leaves: Option<&[Leaf]>,
        weight: impl Fn(usize) -> Weight,
    ) -> Vec<Cell> {
        let mut x = self.measure.margin;
        let cell = |(place, (text, column)): (usize, (&String, &f32))| {
            let weight = weight(place);
            let lines = lines(
                self.letters,
                (weight, self.measure.body),
                text,
                (column - GAP).max(self.measure.body),
            );
            let leaf = leaves.and_then(|leaves| leaves.get(place).copied());
            let cell = Cell { x, lines, weight, leaf };
            x += column;
            cell
        };
        row.iter().zip(columns).enumerate().map(cell).collect()
    }

    /// The widths of columns: each gets its longest word, if that is no monster, and of the rest as much as its
    /// texts ask for.
    fn columns(&self, headings: &[String], rows: &[Vec<String>]) -> Vec<f32> {
        let room = self.room();
        let mut wanted: Vec<(f32, f32)> = vec![(0.0, 0.0); headings.len()];
        let heads = std::iter::once((Weight::Bold, headings));
        for (weight, row) in heads.chain(rows.iter().map(|row| (Weight::Regular, row.as_slice()))) {
            for ((least, all), text) in wanted.iter_mut().zip(row) {
                let wide =
                    |text: &str| self.letters.width(weight, text) * self.measure.body + GAP + 0.5;
                let words = text.split([' ', '\n']).map(wide).fold(0.0, f32::max);
                *least = least.max(words.min(room * MOST_CLAIMED));
                *all = all.max(wide(text).min(room));
            }
        }
        let least: f32 = wanted.iter().map(|(least, _)| least).sum();
        let more: f32 = wanted.iter().map(|(least, all)| all - least).sum();
        if least > room {
            return vec![room / headings.len().max(1) as f32; headings.len()];
        }
        let spare = room - least;
        let share = |(least, all): &(f32, f32)| match more > 0.0 {
            true => least + spare * (all - least) / more,
            false => least + spare / wanted.len() as f32,
        };
        wanted.iter().map(share).collect()
    }
}
