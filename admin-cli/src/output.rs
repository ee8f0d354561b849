//! How data is printed: a table for people, tabs, CSV, JSON or JSON lines for programs; and how
//! text from outside (hosts, reasons, names) is made harmless for each reader.

use crate::failure::Failure;
use crate::terminal::{self, Screen};
use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

/// Prints a line of data. A reader that went away ends the command quietly (`println!` would panic).
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout().lock(), $($part)*)?
    }};
}

/// Prints a line for the person at the terminal; nothing stops where standard error has gone.
macro_rules! note {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr().lock(), $($part)*);
    }};
}

/// What stands in the place of an address of illegal content: nobody needs to see it by accident.
pub(crate) const HIDDEN: &str = "hidden (illegal content)";

/// Who reads the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Aligned columns for people.
    Table,
    /// Tabs, no header, for `cut` and `awk`.
    Plain,
    /// RFC 4180 with a header.
    Csv,
    /// One JSON array.
    Json,
    /// A JSON object a line.
    Jsonl,
}

/// One cell: what people read and what programs read.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    json: serde_json::Value,
}

impl Cell {
    /// A cell whose text for people differs from the value for programs.
    pub(crate) fn new(text: impl Into<String>, json: impl Into<serde_json::Value>) -> Self {
        Self { text: text.into(), json: json.into() }
    }

    /// A cell that reads the same for both.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { json: serde_json::Value::String(text.clone()), text }
    }

    /// What people read.
    pub(crate) fn shown(&self) -> &str {
        &self.text
    }

    /// A number.
    pub(crate) fn number(number: impl Into<serde_json::Number>) -> Self {
        let number = number.into();
        Self { text: number.to_string(), json: number.into() }
    }

    /// A text that may be missing: empty for people, `null` for programs.
    pub(crate) fn maybe(text: Option<impl Into<String>>) -> Self {
        text.map_or_else(|| Self::new("", serde_json::Value::Null), |text| Self::text(text))
    }

    /// A list: joined by commas for people, an array for programs.
    pub(crate) fn list<S: AsRef<str>>(items: &[S]) -> Self {
        let names: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
        Self { text: names.join(", "), json: names.into() }
    }
}

/// A column: its key in JSON and CSV, its heading for people, and how soon it gives way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Key for programs: `snake_case`, never renamed.
    pub(crate) key: &'static str,
    /// Heading for people; empty: programs only.
    pub(crate) title: &'static str,
    /// On a narrow terminal the highest goes first; 0 always stays.
    pub(crate) gives_way: u8,
}

/// Rows on their way out. Rows leave at once but for a table, which is aligned at the end.
pub(crate) struct Sheet<'w> {
    format: Format,
    columns: &'static [Column],
    out: Box<dyn Write + 'w>,
    table: Vec<Vec<String>>,
    rows: u64,
    /// Bounds a table.
    width: Option<usize>,
    /// From how many lines on a table goes through a pager.
    height: Option<usize>,
}

impl<'w> Sheet<'w> {
    /// A sheet on standard output.
    pub(crate) fn stdout(
        format: Format,
        columns: &'static [Column],
    ) -> Result<Sheet<'static>, Failure> {
        let out = Box::new(io::BufWriter::new(io::stdout().lock()));
        let screen = Screen::of_stdout();
        let sheet = Sheet::on(out, format, columns, screen.map(|screen| screen.width))?;
        Ok(Sheet { height: screen.and_then(|screen| screen.height), ..sheet })
    }

    /// A sheet on any writer; `width` in characters bounds a table.
    pub(crate) fn on(
        out: Box<dyn Write + 'w>,
        format: Format,
        columns: &'static [Column],
        width: Option<usize>,
    ) -> Result<Sheet<'w>, Failure> {
        let (table, rows, height) = (Vec::new(), 0, None);
        let mut sheet = Sheet { format, columns, out, table, rows, width, height };
        match format {
            Format::Csv => {
                let header: Vec<&str> = columns.iter().map(|column| column.key).collect();
                writeln!(sheet.out, "{}", header.join(","))?;
            }
            Format::Json => write!(sheet.out, "[")?,
            Format::Table | Format::Plain | Format::Jsonl => {}
        }
        Ok(sheet)
    }

    /// Adds a row; its cells are in the order of the columns.
    pub(crate) fn row(&mut self, cells: &[Cell]) -> Result<(), Failure> {
        debug_assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        match self.format {
            Format::Table => {
                self.table
                    .push(cells.iter().map(|cell| visible(&cell.text).into_owned()).collect());
            }
            Format::Plain => {
                let line: Vec<Cow<'_, str>> =
                    cells.iter().map(|cell| visible(&cell.text)).collect();
                writeln!(self.out, "{}", line.join("\t"))?;
            }
            Format::Csv => {
                let line: Vec<String> = cells.iter().map(csv_of).collect();
                writeln!(self.out, "{}", line.join(","))?;
            }
            Format::Json | Format::Jsonl => self.json_row(cells)?,
        }
        self.rows += 1;
        Ok(())
    }

    fn json_row(&mut self, cells: &[Cell]) -> Result<(), Failure> {
        // By hand, so that keys stand in the order of the columns.
        let members: Vec<String> = self
            .columns
            .iter()
            .zip(cells)
            .map(|(column, cell)| format!("\"{}\":{}", column.key, cell.json))
            .collect();
        let text = json_text(format!("{{{}}}", members.join(",")));
        match (self.format, self.rows) {
            (Format::Json, 0) => write!(self.out, "\n{text}")?,
            (Format::Json, _) => write!(self.out, ",\n{text}")?,
            _ => writeln!(self.out, "{text}")?,
        }
        Ok(())
    }

    /// Sends out what waits, for a reader who follows.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if self.format == Format::Table && !self.table.is_empty() {
            let text = table(self.columns, &self.table, self.width);
            self.table.clear();
            let is_long = self.height.is_some_and(|height| text.lines().count() >= height);
            if is_long && terminal::page(&text)? {
                return Ok(());
            }
            writeln!(self.out, "{text}")?;
        }
        self.out.flush()?;
        Ok(())
    }

    /// Ends the sheet: closes the array, prints the table. Returns how many rows there were.
    pub(crate) fn finish(mut self) -> Result<u64, Failure> {
        if self.format == Format::Json {
            writeln!(self.out, "{}]", if self.rows == 0 { "" } else { "\n" })?;
        }
        self.flush()?;
        Ok(self.rows)
    }
}

/// Aligns rows under their headings; columns that do not fit give way, the last resort is wrapping.
fn table(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> String {
    use comfy_table::{ContentArrangement, Table, presets};
    let mut shown: Vec<usize> = (0..columns.len())
        .filter(|&i| {
            !columns[i].title.is_empty()
                && (columns[i].gives_way == 0 || rows.iter().any(|row| !row[i].is_empty()))
        })
        .collect();
    let natural = |i: &usize| {
        let widest = rows.iter().map(|row| row[*i].chars().count()).max().unwrap_or(0);
        widest.max(columns[*i].title.chars().count()) + 2
    };
    while let Some(width) = width
        && shown.iter().map(natural).sum::<usize>() > width + 2
        && let Some(place) = (0..shown.len())
            .filter(|&place| columns[shown[place]].gives_way > 0)
            .max_by_key(|&place| columns[shown[place]].gives_way)
    {
        shown.remove(place);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }
    table.set_header(shown.iter().map(|&i| columns[i].title));
    for row in rows {
        table.add_row(shown.iter().map(|&i| row[i].as_str()));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Whether colour may be used on standard output: a terminal, and no `NO_COLOR` (no-color.org).
pub(crate) fn colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether a character could move the cursor, hide text or reverse its order.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// JSON with every character that could drive a terminal as `\u009b`. JSON itself escapes only the
/// control characters of ASCII; those here stand nowhere but within its strings.
pub(crate) fn json_text(json: impl Into<String>) -> String {
    let json = json.into();
    let is_left = |c: char| !c.is_ascii() && is_hostile(c) || c == '\u{7f}';
    if !json.contains(is_left) {
        return json;
    }
    json.chars().fold(String::with_capacity(json.len() + 16), |mut out, c| {
        if is_left(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
        out
    })
}

/// The text with every character that could drive a terminal written out, as `\u{1b}`: a host or a
/// reason comes from outside and must not move the cursor, hide or reverse text.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hostile) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().fold(String::with_capacity(text.len() + 8), |mut out, c| {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_hostile(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
        out
    }))
}

fn csv_of(cell: &Cell) -> String {
    if cell.json.is_number() {
        return cell.text.clone();
    }
    match &cell.json {
        // Programs that read CSV get the value that JSON has: times with their offset.
        serde_json::Value::String(text) => csv_cell(text),
        _ => csv_cell(&cell.text),
    }
}

/// A CSV cell that a spreadsheet takes as text: one that starts like a formula gets a leading
/// apostrophe (OWASP, CSV injection), quotes are doubled, control characters made visible.
pub(crate) fn csv_cell(text: &str) -> String {
    let text = visible(text);
    let formula = text
        .trim_start()
        .starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
        || text.starts_with("\\t")
        || text.starts_with("\\r");
    let guard = if formula { "'" } else { "" };
    if formula || text.contains(['"', ',', ';']) || text.trim().len() != text.len() {
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        text.into_owned()
    }
}

/// Text for an HTML body or attribute value.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Text for a markdown table cell: no pipes, links, emphasis or HTML.
pub(crate) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in visible(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '!' | '#' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column { key: "host", title: "Host", gives_way: 0 },
        Column { key: "bytes", title: "Bytes", gives_way: 2 },
        Column { key: "why", title: "Why", gives_way: 1 },
    ];

    fn printed(format: Format, width: Option<usize>, rows: &[[Cell; 3]]) -> String {
        let mut bytes = Vec::new();
        let mut sheet = Sheet::on(Box::new(&mut bytes), format, COLUMNS, width).unwrap();
        for row in rows {
            sheet.row(row).unwrap();
        }
        sheet.finish().unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn row(host: &str, bytes: u64, why: &str) -> [Cell; 3] {
        [Cell::text(host), Cell::number(bytes), Cell::text(why)]
    }

    #[test]
    fn json_is_an_array_even_of_nothing_and_lines_are_objects() {
        assert_eq!(printed(Format::Json, None, &[]), "[]\n");
        let array: serde_json::Value = serde_json::from_str(&printed(
            Format::Json,
            None,
            &[row("a.test", 1, "x"), row("b.test", 2, "y")],
        ))
        .unwrap();
        assert_eq!(array[1]["bytes"], 2);
        let lines = printed(Format::Jsonl, None, &[row("a.test", 1, "x")]);
        assert_eq!(lines, "{\"host\":\"a.test\",\"bytes\":1,\"why\":\"x\"}\n");
    }

    #[test]
    fn columns_give_way_on_a_narrow_terminal_and_none_without_one() {
        let rows = [row("a-rather-long-name.example.test", 123_456, "games for ks3")];
        let wide = printed(Format::Table, None, &rows);
        assert!(wide.contains("Bytes") && wide.contains("Why"), "{wide}");
        let narrow = printed(Format::Table, Some(50), &rows);
        assert!(!narrow.contains("Bytes") && narrow.contains("Why"), "{narrow}");
    }

    #[test]
    fn a_cell_that_starts_like_a_formula_is_text_to_a_spreadsheet() {
        for hostile in ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "\t=1", "\r=1", "\u{ff1d}1"] {
            let cell = csv_cell(hostile);
            assert!(cell.starts_with("\"'"), "{hostile:?} became {cell}");
        }
        assert_eq!(csv_cell("a\"b,c"), "\"a\"\"b,c\"");
        assert_eq!(csv_cell("chess.com"), "chess.com");
        assert_eq!(csv_of(&Cell::number(-3)), "-3");
    }

    #[test]
    fn control_and_direction_characters_are_written_out() {
        assert_eq!(visible("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(visible("moc.\u{202e}evil"), "moc.\\u{202e}evil");
        assert_eq!(visible("two\nlines"), "two\\nlines");
        assert_eq!(visible("Ysgol Gynradd Tŷ'r Ŵyl"), "Ysgol Gynradd Tŷ'r Ŵyl");
    }

    #[test]
    fn json_for_programs_cannot_drive_a_terminal_and_reads_back_the_same() {
        let hostile = "c1\u{9b}31m\u{85}\u{7f}\u{1b}[2J\u{202e}gnp\u{200f}\u{feff}\u{e0041}é";
        for format in [Format::Json, Format::Jsonl] {
            let text = printed(format, None, &[row(hostile, 1, "x")]);
            let harmless = |c: char| c == '\n' || !is_hostile(c);
            assert!(text.chars().all(harmless), "{text:?}");
            assert!(text.contains("\\u009b31m") && text.contains("\\udb40\\udc41"), "{text}");
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let object = if format == Format::Json { &value[0] } else { &value };
            assert_eq!(object["host"], hostile);
        }
        assert_eq!(json_text("{\n  \"a\": 1\n}"), "{\n  \"a\": 1\n}", "lines stay lines");
    }

    #[test]
    fn html_and_markdown_cells_hold_no_markup() {
        assert_eq!(html("<script>\"a\"&'"), "&lt;script&gt;&quot;a&quot;&amp;&#39;");
        assert_eq!(markdown("a|b <i> [x](y)"), "a\\|b &lt;i> \\[x\\](y)");
    }
}
