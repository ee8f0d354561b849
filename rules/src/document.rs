//! TOML documents with the line of everything in them, read so that every fault is found at once.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A key or value with its place.
pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// One fault in a document, at its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// `policy.toml:26`.
    pub place: String,
    /// What is wrong, e.g. `no time called "luch"`.
    pub what: String,
    /// What to do, e.g. `did you mean "allow at lunch"?`.
    pub fix: String,
}

impl std::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// A text, its name for messages, and the faults found in it so far.
pub(crate) struct Document<'a> {
    file: &'a str,
    text: &'a str,
    line_starts: Vec<usize>,
    pub(crate) faults: Vec<(usize, PolicyError)>,
}

impl<'a> Document<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file, text, line_starts, faults: Vec::new() }
    }

    /// Parses the text; faults of form are noted, and what could be read is returned.
    pub(crate) fn parse(&mut self) -> DeTable<'a> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            if let Some((written, date)) = self.date_at(at) {
                let what = format!("{written} is no date: dates are written YYYY-MM-DD");
                let at = self.line_starts[self.line(at) - 1];
                // One slip makes several faults of form; it is told once.
                self.fault(at, what, format!("write {date}, without quotation marks"));
                continue;
            }
            if error.message().starts_with("duplicate key") {
                let line = self.text[self.line_starts[self.line(at) - 1]..].lines().next();
                let line = line.unwrap_or("").trim();
                let key = match line.starts_with('[') {
                    true => {
                        line.split_inclusive(']').take_while(|part| part.contains(']')).collect()
                    }
                    false => {
                        error.span().map_or_else(String::new, |it| self.quote(it.start, it.end))
                    }
                };
                let fix = "keep one of the two, with what stands in both";
                self.fault(at, format!("{key} stands here a second time"), fix);
                continue;
            }
            let what = error.message().replace('\n', ", ");
            self.fault(at, what, "correct the line; the rest of the file is TOML, https://toml.io");
        }
        table.into_inner()
    }

    /// A value in the line of a byte that is a date as people write it, and how TOML has it: `26.03.2027`,
    /// `26/3/27`. The day stands first, as in Britain.
    fn date_at(&self, at: usize) -> Option<(&'a str, String)> {
        let start = self.line_starts[self.line(at) - 1];
        let line = self.text[start..].lines().next()?;
        let (_, value) = line.split_once('=')?;
        let written = value.split('#').next()?.trim();
        let mut parts = written.split(['.', '/', '-']);
        let mut number = |lengths: &[usize]| {
            let part = parts.next()?;
            part.parse::<i16>().ok().filter(|_| lengths.contains(&part.len()))
        };
        let (first, month) = (number(&[1, 2, 4])?, number(&[1, 2])?);
        let last = if first > 31 { number(&[1, 2])? } else { number(&[2, 4])? };
        let full = |year: i16| if year < 100 { 2000 + year } else { year };
        let (year, day) = if first > 31 { (first, last) } else { (full(last), first) };
        let date = jiff::civil::Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        let is_last = parts.next().is_none();
        date.ok().filter(|_| is_last).map(|date| (written, date.to_string()))
    }

    /// The 1-based line of a byte.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// `policy.toml:26`.
    pub(crate) fn place(&self, at: usize) -> String {
        format!("{}:{}", self.file, self.line(at))
    }

    /// The text of a span on one line, inner white space collapsed: how rules are quoted.
    pub(crate) fn quote(&self, from: usize, until: usize) -> String {
        let written = self.text.get(from..until).unwrap_or_default();
        written.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Notes a fault at a byte.
    pub(crate) fn fault(&mut self, at: usize, what: impl Into<String>, fix: impl Into<String>) {
        let error = PolicyError { place: self.place(at), what: what.into(), fix: fix.into() };
        self.faults.push((at, error));
    }

    /// Notes a fault of another file that this one names at a byte.
    pub(crate) fn fault_elsewhere(&mut self, at: usize, error: PolicyError) {
        self.faults.push((at, error));
    }

    /// The keys and values of a table in the order of the file, each with the key's byte.
    pub(crate) fn rows<'v, 't>(table: &'v DeTable<'t>) -> Vec<(usize, &'v str, &'v Value<'t>)> {
        let mut rows: Vec<_> = table
            .iter()
            .map(|(key, value)| (key.span().start, key.get_ref().as_ref(), value))
            .collect();
        rows.sort_by_key(|(at, _, _)| *at);
        rows
    }

    /// The faults in the order of the file, each once: four cells of one line with the same wrong
    /// word are one fault to correct.
    pub(crate) fn into_faults(mut self) -> Vec<PolicyError> {
        self.faults.sort_by_key(|(at, _)| *at);
        let mut told = std::collections::HashSet::new();
        let faults = self.faults.into_iter().map(|(_, error)| error);
        faults.filter(|error| told.insert((error.place.clone(), error.what.clone()))).collect()
    }

    /// Notes every key of a table that is not among `known`.
    pub(crate) fn only_keys(&mut self, table: &DeTable<'_>, what: &str, known: &[&str]) {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let fix = suggest(name, known.iter().copied())
                    .unwrap_or_else(|| format!("use one of: {}", known.join(", ")));
                self.fault(key.span().start, format!("unknown key \"{name}\" in {what}"), fix);
            }
        }
    }

    /// A text value, or a fault.
    pub(crate) fn string<'v>(&mut self, value: &'v Value<'_>, example: &str) -> Option<&'v str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_kind(value, "a text in quotes", example);
        }
        text
    }

    /// A list of texts with their places; a fault for each that is none.
    pub(crate) fn strings<'v>(
        &mut self,
        value: &'v Value<'_>,
        example: &str,
    ) -> Vec<(usize, &'v str)> {
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_kind(value, "a list of texts", example);
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in array.iter() {
            if let Some(text) = self.string(item, example) {
                texts.push((item.span().start, text));
            }
        }
        texts
    }

    /// A table, or a fault.
    pub(crate) fn table<'v, 't>(
        &mut self,
        value: &'v Value<'t>,
        example: &str,
    ) -> Option<&'v DeTable<'t>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_kind(value, "a table", example);
        }
        table
    }

    /// The tables of `[[name]]`, each with the byte where it starts.
    pub(crate) fn tables<'v, 't>(
        &mut self,
        value: &'v Value<'t>,
        example: &str,
    ) -> Vec<(usize, &'v DeTable<'t>)> {
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_kind(value, "a list of tables", example);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in array.iter() {
            if let Some(table) = self.table(item, example) {
                tables.push((item.span().start, table));
            }
        }
        tables
    }

    /// A truth value, or a fault.
    pub(crate) fn truth(&mut self, value: &Value<'_>, example: &str) -> Option<bool> {
        let truth = value.get_ref().as_bool();
        if truth.is_none() {
            self.wrong_kind(value, "true or false", example);
        }
        truth
    }

    /// A whole number from a range, or a fault.
    pub(crate) fn number(
        &mut self,
        value: &Value<'_>,
        range: std::ops::RangeInclusive<u16>,
        example: &str,
    ) -> Option<u16> {
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|integer| u16::from_str_radix(integer.as_str(), integer.radix()).ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            let kind = format!("a whole number from {} to {}", range.start(), range.end());
            self.wrong_kind(value, &kind, example);
        }
        number
    }

    /// A date as TOML has it, or in quotes; or a fault.
    pub(crate) fn date(&mut self, value: &Value<'_>, example: &str) -> Option<jiff::civil::Date> {
        let text = match value.get_ref() {
            DeValue::Datetime(datetime) if datetime.time.is_none() => Some(datetime.to_string()),
            DeValue::String(text) => Some(text.to_string()),
            _ => None,
        };
        let date = text.and_then(|text| text.parse().ok());
        if date.is_none() {
            self.wrong_kind(value, "a date, YYYY-MM-DD", example);
        }
        date
    }

    fn wrong_kind(&mut self, value: &Value<'_>, wanted: &str, example: &str) {
        let span = value.span();
        let written: String = self.quote(span.start, span.end).chars().take(60).collect();
        self.fault(
            span.start,
            format!("{written} is not {wanted}"),
            format!("write it like {example}"),
        );
    }
}

/// `did you mean "lunch"?`, where a known word is near enough to be what was meant.
pub(crate) fn suggest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<String> {
    nearest(word, known).map(|near| format!("did you mean \"{near}\"?"))
}

/// The known word nearest to a mistyped one: at most a third of its letters away.
#[must_use]
pub fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let word = word.to_lowercase();
    let most = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|near| (distance(&word, &near.to_lowercase()), near))
        .filter(|(away, _)| *away <= most)
        .min_by_key(|(away, _)| *away)
        .map(|(_, near)| near)
}

/// Edits between two words, a swap of neighbours counting as one (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = [Vec::new(), (0..=b.len()).collect::<Vec<_>>(), vec![0; b.len() + 1]];
    for i in 1..=a.len() {
        let [before, last, row] = &mut rows;
        row[0] = i;
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        rows.rotate_left(1);
        rows[2] = vec![0; b.len() + 1];
    }
    rows[1][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_only_when_near() {
        let known = ["lunch", "break", "after school"];
        assert_eq!(nearest("luch", known), Some("lunch"));
        assert_eq!(nearest("Lnuch", known), Some("lunch"));
        assert_eq!(nearest("brek", known), Some("break"));
        assert_eq!(nearest("night", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn a_date_as_people_write_it_is_told_how_toml_has_it() {
        let cases = [
            ("26.03.2027", "2027-03-26"),
            ("26/3/2027", "2027-03-26"),
            ("26-03-27 # agreed", "2027-03-26"),
            ("2027/03/26", "2027-03-26"),
            ("2027-3-26", "2027-03-26"),
        ];
        for (written, date) in cases {
            let text = format!("a = 1\nreview = {written}\nb = 2\n");
            let mut document = Document::new("p.toml", &text);
            document.parse();
            let faults = document.into_faults();
            let [fault] = &faults[..] else { panic!("{written}: {faults:?}") };
            assert_eq!(fault.place, "p.toml:2");
            assert!(fault.what.contains("dates are written YYYY-MM-DD"), "{fault:?}");
            assert!(fault.fix.contains(date), "{fault:?}");
        }
        // What is no date is told as before.
        for text in ["a = 26.03.2027.1\n", "a = 99.99.2027\n", "a = 1.2.3\n"] {
            let mut document = Document::new("p.toml", text);
            document.parse();
            let faults = document.into_faults();
            assert!(faults.iter().all(|fault| !fault.what.contains("no date")), "{faults:?}");
            assert!(!faults.is_empty(), "{text}");
        }
    }

    #[test]
    fn every_fault_of_form_has_its_line() {
        let mut document = Document::new("p.toml", "a = 1\nb = \nc = 'x\nd = 2\n");
        document.parse();
        let places: Vec<_> = document.into_faults().into_iter().map(|fault| fault.place).collect();
        assert_eq!(places, ["p.toml:2", "p.toml:3"]);
    }

    #[test]
    fn lines_count_from_one() {
        let document = Document::new("p.toml", "a\nb\n");
        assert_eq!([0, 1, 2, 3].map(|at| document.line(at)), [1, 1, 2, 2]);
    }
}
