//! Where everything stands: blocks become lines on pages, and what each line is to a screen reader.

use crate::letters::{Letters, Weight};
use crate::wrap::lines;
use crate::{Block, Paper, Table};

/// Points of an A4 page, the shorter side first.
const A4: (f32, f32) = (595.28, 841.89);
/// Points left free at each side.
pub(crate) const MARGIN: f32 = 42.0;
/// Points at the foot of a page that are the foot's.
const FOOT: f32 = 30.0;
/// Size of letters.
const BODY: f32 = 9.0;
pub(crate) const SMALL: f32 = 7.5;
/// From line to line, in parts of the size.
const LEADING: f32 = 1.32;
/// Points between columns, and above and below a row.
const GAP: f32 = 8.0;
const PADDING: f32 = 2.0;
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
    pub(crate) pages: Vec<Page>,
    pub(crate) parts: Vec<Part>,
    pub(crate) leaves: usize,
    /// In letters that the fonts have.
    pub(crate) foot: Vec<String>,
}

/// Lays out a report.
pub(crate) fn lay_out(paper: &Paper, letters: &Letters) -> LaidOut {
    let (width, height) = if paper.landscape { (A4.1, A4.0) } else { A4 };
    let pages = vec![Page::default()];
    let out = LaidOut { width, height, pages, parts: Vec::new(), leaves: 0, foot: Vec::new() };
    let mut hand = Hand { letters, out, y: MARGIN };
    hand.heading(1, &paper.title);
    hand.text(&paper.subtitle, (Weight::Regular, BODY));
    for block in &paper.blocks {
        match block {
            Block::Heading(text) => hand.heading(2, text),
            Block::Strong(text) => hand.text(text, (Weight::Bold, 11.0)),
            Block::Text(text) => hand.text(text, (Weight::Regular, BODY)),
            Block::Small(text) => hand.text(text, (Weight::Regular, SMALL)),
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
        hand.text(told, (Weight::Regular, SMALL));
    }
    let foot = letters.clean(&paper.foot);
    // The page's number stands beside it.
    let room = hand.room() - 90.0;
    hand.out.foot = lines(letters, (Weight::Regular, SMALL), &foot, room);
    hand.out.foot.truncate(2);
    hand.out
}

/// What sets one block below the other.
struct Hand<'l> {
    letters: &'l Letters,
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
        self.out.width - 2.0 * MARGIN
    }

    fn bottom(&self) -> f32 {
        self.out.height - MARGIN - FOOT
    }

    fn new_leaf(&mut self) -> Leaf {
        self.out.leaves += 1;
        self.out.leaves - 1
    }

    fn turn(&mut self) {
        self.out.pages.push(Page::default());
        self.y = MARGIN;
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
        let size = if level == 1 { 15.0 } else { 11.0 };
        if level > 1 {
            self.y += 8.0;
        }
        let set = lines(self.letters, (Weight::Bold, size), &text, self.room());
        // It never stands at the foot of a page alone.
        self.need(set.len() as f32 * size * LEADING + 3.0 * BODY * LEADING);
        let leaf = self.new_leaf();
        let (page, y) = (self.out.pages.len() - 1, self.y);
        for line in set {
            self.put(MARGIN, line, (Weight::Bold, size), Some(leaf));
            self.y += size * LEADING;
        }
        self.out.parts.push(Part::Heading { level, text, leaf, page, y });
        if level > 1 {
            self.stroke(0.8);
            self.y += 3.0;
        }
    }

    fn text(&mut self, text: &str, (weight, size): (Weight, f32)) {
        let text = self.letters.clean(text);
        if text.trim().is_empty() {
            return;
        }
        let leaf = self.new_leaf();
        for line in lines(self.letters, (weight, size), &text, self.room()) {
            self.need(size * LEADING);
            self.put(MARGIN, line, (weight, size), Some(leaf));
            self.y += size * LEADING;
        }
        self.y += 3.0;
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
        let line = BODY * LEADING;
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
            let height = tall as f32 * line + 2.0 * PADDING;
            // What fits on a page is not cut in two.
            let is_cut = height > self.bottom() - MARGIN - 3.0 * line;
            if !is_cut && self.y + height > self.bottom() {
                self.turn();
                self.head(&headings, &columns, None);
            }
            self.y += PADDING;
            for place in 0..tall {
                if self.y + line > self.bottom() {
                    self.turn();
                    self.head(&headings, &columns, None);
                }
                for cell in &cells {
                    if let Some(text) = cell.lines.get(place) {
                        self.put(cell.x, text.clone(), (cell.weight, BODY), cell.leaf);
                    }
                }
                self.y += line;
            }
            self.y += PADDING;
            self.stroke(0.25);
            told.push(Row { is_head: false, is_named, cells: leaves });
        }
        self.y += 4.0;
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
                    self.put(cell.x, text.clone(), (Weight::Bold, BODY), cell.leaf);
                }
            }
            self.y += BODY * LEADING;
        }
        self.y += PADDING;
        self.stroke(0.5);
    }

    fn cells(
        &self,
        row: &[String],
        columns: &[f32],
        leaves: Option<&[Leaf]>,
        weight: impl Fn(usize) -> Weight,
    ) -> Vec<Cell> {
        let mut x = MARGIN;
        let cell = |(place, (text, column)): (usize, (&String, &f32))| {
            let weight = weight(place);
            let lines = lines(self.letters, (weight, BODY), text, (column - GAP).max(BODY));
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
                let wide = |text: &str| self.letters.width(weight, text) * BODY + GAP + 0.5;
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
