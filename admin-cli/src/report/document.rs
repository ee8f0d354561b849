//! A report as headings, sentences and tables, and its forms: a page to print, markdown, CSV.

use crate::output::{csv_cell, html, json_text, markdown};
use std::fmt::Write as _;

/// A report.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    /// `Example Academy: the week in filtering`.
    pub(crate) title: String,
    /// The range and who it is for.
    pub(crate) subtitle: String,
    /// The one sentence to read if no other is.
    pub(crate) headline: String,
    /// Parts in order.
    pub(crate) sections: Vec<Section>,
    /// Small print: what the figures mean and do not.
    pub(crate) footer: Vec<String>,
    /// Whether the page is wide (seven columns) rather than tall.
    pub(crate) landscape: bool,
    /// Whether all of it belongs on one page, if it can be read there.
    pub(crate) one_page: bool,
}

/// One part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    /// Heading.
    pub(crate) heading: String,
    /// Sentences, a paragraph each.
    pub(crate) sentences: Vec<String>,
    /// Figures.
    pub(crate) table: Option<Table>,
}

/// A cell that a person fills in on paper.
pub(crate) const TO_WRITE: &str = " ";

/// Figures in rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// Headings.
    pub(crate) headings: Vec<String>,
    /// Cells, as many a row as there are headings.
    pub(crate) rows: Vec<Vec<String>>,
    /// For a bar beside each row: its length, 0 to 1.
    pub(crate) bars: Vec<f64>,
}

impl Table {
    /// A table without bars.
    pub(crate) fn new(headings: &[&str], rows: Vec<Vec<String>>) -> Self {
        let headings = headings.iter().map(|heading| (*heading).to_owned()).collect();
        Self { headings, rows, bars: Vec::new() }
    }
}

const STYLE: &str = "
@page { size: A4 PAGE; margin: 12mm }
* { box-sizing: border-box }
body { font: 10.5pt/1.35 'Segoe UI', 'Liberation Sans', Arial, sans-serif; color: #1a1a1a;
  background: #fff; max-width: WIDTH; margin: 0 auto; padding: 4mm }
h1 { font-size: 15pt; margin: 0 } h2 { font-size: 11.5pt; margin: 3.5mm 0 1mm; border-bottom: .3mm solid #1a1a1a }
p { margin: 1mm 0 } .sub { color: #444 } .head { font-size: 12.5pt; font-weight: 600; margin: 2mm 0 }
table { border-collapse: collapse; width: 100% } th { text-align: left; font-weight: 600 }
th, td { padding: .5mm 3mm .5mm 0; vertical-align: top; border-bottom: .1mm solid #ccc; overflow-wrap: anywhere }
tr { break-inside: avoid } .n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
.write { height: 7mm; width: 38% } .bar { width: 28% } .bar span { display: block; height: 3mm; margin-top: 1mm; background: #2b5c8a;
  print-color-adjust: exact; -webkit-print-color-adjust: exact }
footer { margin-top: 4mm; font-size: 8.5pt; color: #444 }
@media (max-width: 600px) { .bar { display: none } }
@media print { body { max-width: none; padding: 0 } thead { display: table-header-group }
  h1, h2, .head, .sub { break-after: avoid } p, footer { break-inside: avoid } p { orphans: 3; widows: 3 }
  h2 + p { break-before: avoid } }
";

/// For what belongs on one page: letters and gaps as small as can still be read, on paper alone.
const ONE_PAGE: &str = "@media print { @page { margin: 8mm 11mm }
  body { font-size: 7.9pt; line-height: 1.15 } h1 { font-size: 11.5pt } .head { font-size: 9.2pt; margin: .8mm 0 }
  h2 { font-size: 8.6pt; margin: 1.3mm 0 .3mm } p { margin: .25mm 0 } th, td { padding: .1mm 2.5mm .1mm 0 }
  .write { height: 5mm } .bar span { height: 1.9mm; margin-top: .5mm }
  footer { margin-top: 1.5mm; font-size: 6.6pt } footer p { margin: .1mm 0 } }
";

impl Document {
    /// A page of its own: no script, nothing from elsewhere; prints on A4.
    pub(crate) fn html(&self) -> String {
        let (page, width) =
            if self.landscape { ("landscape", "273mm") } else { ("portrait", "186mm") };
        let mut style = STYLE.replace("PAGE", page).replace("WIDTH", width);
        if self.one_page {
            style.push_str(ONE_PAGE);
        }
        let mut out = String::new();
        let title = html(&self.title);
        let _ = write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en-GB\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
             <p class=\"sub\">{}</p>\n",
            html(&self.subtitle)
        );
        if !self.headline.is_empty() {
            let _ = writeln!(out, "<p class=\"head\">{}</p>", html(&self.headline));
        }
        for section in &self.sections {
            section.html(&mut out);
        }
        out.push_str("</main>\n<footer>\n");
        for line in &self.footer {
            let _ = writeln!(out, "<p>{}</p>", html(line));
        }
        out.push_str("</footer>\n</body>\n</html>\n");
        out
    }

    /// Markdown with pipe tables.
    pub(crate) fn markdown(&self) -> String {
        let mut out = format!("# {}\n\n{}\n", markdown(&self.title), markdown(&self.subtitle));
        if !self.headline.is_empty() {
            let _ = write!(out, "\n**{}**\n", markdown(&self.headline));
        }
        for section in &self.sections {
            if !section.heading.is_empty() {
                let _ = write!(out, "\n## {}\n", markdown(&section.heading));
            }
            for sentence in &section.sentences {
                let _ = write!(out, "\n{}\n", markdown(sentence));
            }
            if let Some(table) = &section.table {
                out.push('\n');
                let rule: Vec<&str> = table.headings.iter().map(|_| "---").collect();
                let headings: Vec<String> =
                    table.headings.iter().map(|text| markdown(text)).collect();
                let _ = writeln!(out, "| {} |\n| {} |", headings.join(" | "), rule.join(" | "));
                for row in &table.rows {
                    let cells: Vec<String> = row.iter().map(|cell| markdown(cell)).collect();
                    let _ = writeln!(out, "| {} |", cells.join(" | "));
                }
            }
        }
        for line in &self.footer {
            let _ = write!(out, "\n{}\n", markdown(line));
        }
        out
    }

    /// A figure a line: section, item, figure, value.
    pub(crate) fn csv(&self) -> String {
        let mut out = "section,item,figure,value\n".to_owned();
        let mut line = |cells: [&str; 4]| {
            let cells: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
            let _ = writeln!(out, "{}", cells.join(","));
        };
        line(["", "", "report", &self.title]);
        line(["", "", "range", &self.subtitle]);
        line(["", "", "headline", &self.headline]);
        for section in &self.sections {
            for sentence in &section.sentences {
                line([&section.heading, "", "note", sentence]);
            }
            let rows = section.table.iter().flat_map(|table| &table.rows);
            // A row to be filled in by hand says nothing to a program.
            for row in rows.filter(|row| !row.iter().any(|cell| cell == TO_WRITE)) {
                let headings = section.table.as_ref().map_or(&[][..], |table| &table.headings);
                for (heading, cell) in headings.iter().zip(row).skip(1) {
                    line([&section.heading, &row[0], heading, cell]);
                }
            }
        }
        for text in &self.footer {
            line(["", "", "note", text]);
        }
        out
    }
}

/// Text for HTML in which what stands between backticks is set as code; where they do not pair, they
/// are left out.
fn words(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    let paired = parts.len() % 2 == 1;
    let part = |(place, part): (usize, &&str)| match (paired, place % 2) {
        (true, 1) => format!("<code>{}</code>", html(part)),
        _ => html(part),
    };
    parts.iter().enumerate().map(part).collect()
}

impl Section {
    fn html(&self, out: &mut String) {
        out.push_str("<section>\n");
        if !self.heading.is_empty() {
            let _ = writeln!(out, "<h2>{}</h2>", html(&self.heading));
        }
        for sentence in &self.sentences {
            let _ = writeln!(out, "<p>{}</p>", words(sentence));
        }
        if let Some(table) = &self.table {
            table.html(out);
        }
        out.push_str("</section>\n");
    }
}

impl Table {
    fn html(&self, out: &mut String) {
        out.push_str("<table>\n<thead><tr>");
        for (place, heading) in self.headings.iter().enumerate() {
            let class = if self.is_figures(place) { " class=\"n\"" } else { "" };
            let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", html(heading));
        }
        if !self.bars.is_empty() {
            out.push_str("<td class=\"bar\"></td>");
        }
        out.push_str("</tr></thead>\n<tbody>\n");
        for (number, row) in self.rows.iter().enumerate() {
            out.push_str("<tr>");
            for (place, cell) in row.iter().enumerate() {
                let class = match cell.as_str() {
                    TO_WRITE => " class=\"write\"",
                    _ if self.is_figures(place) => " class=\"n\"",
                    _ => "",
                };
                // As it is: cells hold what people typed, backticks and all.
                let _ = write!(out, "<td{class}>{}</td>", html(cell));
            }
            if let Some(bar) = self.bars.get(number) {
                // The figure stands beside it: the bar is hidden from screen readers.
                let percent = (bar.clamp(0.0, 1.0) * 100.0).round();
                let _ = write!(
                    out,
                    "<td class=\"bar\" aria-hidden=\"true\"><span style=\"width:{percent}%\"></span></td>"
                );
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody>\n</table>\n");
    }

    /// Whether a column (never the first) holds figures alone: they are set to the right.
    fn is_figures(&self, place: usize) -> bool {
        let figure = |cell: &String| {
            cell.starts_with(|c: char| c.is_ascii_digit())
                && cell.chars().all(|c| c.is_ascii_digit() || matches!(c, ',' | '.' | '%' | ' '))
        };
        place > 0
            && !self.rows.is_empty()
            && self.rows.iter().all(|row| row.get(place).is_some_and(figure))
    }
}

/// The table of a seven-column report as CSV: its headings, then its rows.
pub(crate) fn plain_csv(table: &Table) -> String {
    let mut out = format!("{}\n", table.headings.join(","));
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(|cell| csv_cell(cell)).collect();
        let _ = writeln!(out, "{}", cells.join(","));
    }
    out
}

/// The table as an array of objects, keys being the headings in their order. Cells hold what people typed: nothing in
/// them can drive the terminal that it is printed on.
pub(crate) fn plain_json(table: &Table) -> String {
    let rows: Vec<String> = table
        .rows
        .iter()
        .map(|row| {
            let members: Vec<String> = table
                .headings
                .iter()
                .zip(row)
                .map(|(heading, cell)| {
                    let (heading, cell) = (
                        serde_json::Value::from(heading.as_str()),
                        serde_json::Value::from(cell.as_str()),
                    );
                    format!("{heading}:{cell}")
                })
                .collect();
            format!("{{{}}}", members.join(","))
        })
        .collect();
    match rows.is_empty() {
        true => "[]\n".to_owned(),
        false => json_text(format!("[\n{}\n]\n", rows.join(",\n"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hostile() -> Document {
        Document {
            title: "Week <b>".to_owned(),
            headline: "3 things | need you".to_owned(),
            sections: vec![Section {
                heading: "Requests".to_owned(),
                sentences: vec!["=cmd|' /C calc'!A0".to_owned()],
                table: Some(Table {
                    headings: vec!["Site".to_owned(), "Asked".to_owned()],
                    rows: vec![vec!["<script>alert(1)</script>|x".to_owned(), "12".to_owned()]],
                    bars: vec![0.5],
                }),
            }],
            ..Document::default()
        }
    }

    #[test]
    fn html_holds_no_markup_from_outside_and_nothing_from_elsewhere() {
        let page = hostile().html();
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&lt;script&gt;"), "{page}");
        assert!(
            !page.contains("http:") && !page.contains("https:") && !page.contains("src="),
            "{page}"
        );
        assert!(page.contains("width:50%") && page.contains("<td class=\"n\">12</td>"), "{page}");
    }

    #[test]
    fn what_stands_in_backticks_is_set_as_code_on_the_page() {
        assert_eq!(words("keep `terms` <b>"), "keep <code>terms</code> &lt;b&gt;");
        assert_eq!(words("`a` or `b<`"), "<code>a</code> or <code>b&lt;</code>");
        assert_eq!(words("a stray ` here"), "a stray  here");
    }

    #[test]
    fn what_somebody_typed_stands_in_a_cell_as_it_was_typed() {
        let table = Table::new(&["Words"], vec![vec!["how`to`buy <b>".to_owned()]]);
        let mut page = String::new();
        table.html(&mut page);
        assert!(page.contains("<td>how`to`buy &lt;b&gt;</td>"), "{page}");
    }

    #[test]
    fn markdown_cells_cannot_break_out_of_their_table() {
        let text = hostile().markdown();
        assert!(text.contains("| &lt;script>alert(1)&lt;/script>\\|x | 12 |"), "{text}");
    }

    #[test]
    fn json_of_a_table_holds_no_character_that_drives_a_terminal_and_says_the_same() {
        let typed = "ok\u{9b}31m\u{202e}txt\u{7f}\u{e0041}";
        let table = Table::new(&["Reason"], vec![vec![typed.to_owned()]]);
        let text = plain_json(&table);
        assert!(text.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{text:?}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(read[0]["Reason"], typed);
        assert_eq!(plain_json(&Table::new(&["Reason"], Vec::new())), "[]\n");
    }

    #[test]
    fn csv_gives_each_figure_a_line_and_no_formula() {
        let text = hostile().csv();
        assert!(text.contains("Requests,<script>alert(1)</script>|x,Asked,12\n"), "{text}");
        assert!(text.contains("Requests,,note,\"'=cmd|' /C calc'!A0\"\n"), "{text}");
    }
}
