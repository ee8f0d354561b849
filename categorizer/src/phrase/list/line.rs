//! One line of a phrase list.

use super::{Entry, Item, Kind, Report};
use crate::phrase::normalise;
use crate::phrase::{Effect, MAX_PARTS, MAX_PHRASE_BYTES, Weight};

/// Why a line is no entry, or what of it was not heeded.
type Why = &'static str;

/// Largest weight in either direction; no list comes near, and sums of them never overflow.
const MAX_WEIGHT: u32 = 1_000_000;

/// What a comment begins with that names the category of what follows.
const CATEGORY: &str = "listcategory:";

/// Where a line stands and what it adds to.
pub(super) struct Line<'a> {
    pub number: u64,
    pub category: &'a mut String,
    pub report: &'a mut Report,
}

impl Line<'_> {
    /// Reads a trimmed line. `Ok` holds what of it was not heeded.
    pub(super) fn read(
        &mut self,
        text: &str,
        kind: Kind,
        sink: &mut dyn FnMut(Item<'_>),
    ) -> Result<Option<Why>, Why> {
        if let Some(comment) = text.strip_prefix('#') {
            return Ok(self.comment(comment));
        }
        if let Some(directive) = text.strip_prefix('.') {
            return self.directive(directive, sink);
        }
        if !text.starts_with('<') {
            return Err("does not begin with <");
        }
        self.entry(text, kind, sink)
    }

    /// A comment, which may say what category follows.
    fn comment(&mut self, text: &str) -> Option<Why> {
        if let Some(name) = without_prefix(text, CATEGORY) {
            let name = name.trim();
            let inner = name.strip_prefix('"').unwrap_or(name);
            let (inner, closed) = match inner.rfind('"') {
                Some(end) if inner.len() < name.len() => (&inner[..end], true),
                _ => (inner, false),
            };
            inner.trim().clone_into(self.category);
            return (!closed).then_some("names a category without quotation marks around it");
        }
        if without_prefix(text, "time:").is_some() {
            return Some("limits the list to some hours, which is not heeded: it always holds");
        }
        (text.trim() == "noconvert").then_some("asks for case to be kept, which is not heeded")
    }

    fn directive(
        &mut self,
        text: &str,
        sink: &mut dyn FnMut(Item<'_>),
    ) -> Result<Option<Why>, Why> {
        let name = without_prefix(text, "include<").ok_or("is no .Include line")?;
        let (path, rest) = name.split_once('>').ok_or("has no > after the file's name")?;
        if path.trim().is_empty() {
            return Err("names no file");
        }
        self.report.includes += 1;
        let (line, path) = (self.number, path.trim());
        sink(Item::Include { line, path, category: self.category.as_str() });
        Ok(after_entry(rest))
    }

    /// `<part>,<part><weight>`.
    fn entry(
        &mut self,
        text: &str,
        kind: Kind,
        sink: &mut dyn FnMut(Item<'_>),
    ) -> Result<Option<Why>, Why> {
        let mut parts = [""; MAX_PARTS];
        let mut count = 0;
        let mut rest = text;
        loop {
            let (part, after) = bracket(rest)?;
            *parts.get_mut(count).ok_or("has more than 32 parts")? = checked(part)?;
            count += 1;
            rest = after.trim_start();
            match rest.strip_prefix(',') {
                Some(next) if next.trim_start().starts_with('<') => rest = next.trim_start(),
                Some(_) => return Err("has no phrase after a comma"),
                None => break,
            }
        }
        let mut weight = None;
        if rest.starts_with('<') {
            let (text, after) = bracket(rest)?;
            weight = Some(read_weight(text)?);
            rest = after;
        }
        if rest.trim_start().starts_with('<') {
            return Err("has more than one weight");
        }
        let (effect, odd) = match (kind, weight) {
            (Kind::Weighted, None) => return Err("has no weight"),
            (Kind::Weighted, Some(weight)) => (Effect::Weigh(weight), None),
            (Kind::Banned, None) => (Effect::Ban, None),
            (Kind::Exception, None) => (Effect::Except, None),
            (_, Some(weight)) => (
                Effect::Weigh(weight),
                Some("has a weight in a list of another kind: taken as weighted"),
            ),
        };
        self.report.entries += 1;
        self.report.combinations += u64::from(count > 1);
        sink(Item::Entry(Entry {
            line: self.number,
            category: self.category.as_str(),
            effect,
            parts: &parts[..count],
        }));
        Ok(odd.or(after_entry(rest)))
    }
}

/// What stands in the bracket that a text begins with, and what follows it.
fn bracket(text: &str) -> Result<(&str, &str), Why> {
    let (inner, after) = text[1..].split_once('>').ok_or("has a < that is not closed")?;
    if inner.contains('<') {
        return Err("has a < inside a phrase: the > before it is missing");
    }
    Ok((inner, after))
}

/// A part that can be looked for.
fn checked(part: &str) -> Result<&str, Why> {
    match normalise::phrase(part).len() {
        _ if part.is_empty() => Err("has an empty phrase"),
        _ if part.contains(char::REPLACEMENT_CHARACTER) => {
            Err("has a phrase with a character that cannot be read")
        }
        _ if normalise::is_blank(part) => Err("has a phrase without a letter or digit"),
        bytes if bytes > MAX_PHRASE_BYTES => Err("has a phrase of more than 256 bytes"),
        _ => Ok(part),
    }
}

fn read_weight(text: &str) -> Result<Weight, Why> {
    let text = text.trim();
    let (digits, percent) = match text.strip_suffix('%') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let well_formed = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    if well_formed.is_empty() || !well_formed.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("has a second < > that is no weight: a comma is missing, or it is no number");
    }
    match digits.parse::<i32>() {
        Ok(0) => Err("has a weight of 0"),
        Ok(number) if number.unsigned_abs() <= MAX_WEIGHT && percent => Ok(Weight::Percent(number)),
        Ok(number) if number.unsigned_abs() <= MAX_WEIGHT => Ok(Weight::Points(number)),
        _ => Err("has a weight of more than a million"),
    }
}

/// Whether what follows an entry is more than a remark.
fn after_entry(rest: &str) -> Option<Why> {
    let rest = rest.trim_start();
    (!rest.is_empty() && !rest.starts_with('#')).then_some("has words after it without a #")
}

/// Whether a comment names a category, whatever its encoding.
pub(super) fn names_category(comment: &[u8]) -> bool {
    let head = comment.get(1..=CATEGORY.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(CATEGORY.as_bytes()))
}

/// The text after a prefix, whose case does not count.
fn without_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}
