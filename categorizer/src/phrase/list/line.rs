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
        let (mut count, mut rest, mut slip) = (0, text, None);
        loop {
            let Bracket { inner, after, slip: own } = bracket(rest)?;
            *parts.get_mut(count).ok_or("has more than 32 parts")? = checked(inner)?;
            count += 1;
            slip = slip.or(own);
            rest = after.trim_start();
            match rest.strip_prefix(',') {
                Some(next) if next.trim_start().starts_with('<') => rest = next.trim_start(),
                Some(_) => return Err("has no phrase after a comma"),
                None if is_further_part(rest) => {
                    slip = slip.or(Some("lacks a comma between phrases"))
                }
                None => break,
            }
        }
        let mut weight = None;
        if rest.starts_with('<') {
            let (found, own, after) = last_bracket(rest)?;
            (weight, slip, rest) = (Some(found), slip.or(own), after);
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
        Ok(odd.or(slip).or(after_entry(rest)))
    }
}

/// What stands in the bracket that a text begins with.
struct Bracket<'a> {
    inner: &'a str,
    /// What follows it.
    after: &'a str,
    /// What was read as it is meant, and not as it stands.
    slip: Option<Why>,
}

/// Reads the bracket that a text begins with. One that is not closed ends where the next begins, if a comma stands there
/// (`<a,<b>`) or that one is the weight (`<a<50>`): nobody looks for a phrase that has these in it, and e2guardian would
/// ban each page with the latter.
fn bracket(text: &str) -> Result<Bracket<'_>, Why> {
    const LACKS: Why = "lacks a > behind a phrase";
    let (inner, after) = text[1..].split_once('>').ok_or("has a < that is not closed")?;
    let Some((before, next)) = inner.split_once('<') else {
        return Ok(Bracket { inner, after, slip: None });
    };
    let part = match before.trim_end().strip_suffix(',') {
        Some(part) => part,
        None if read_weight(next).is_ok() => before,
        None => return Err("has a < inside a phrase: the > before it is missing"),
    };
    Ok(Bracket { inner: part, after: &text[1 + part.len()..], slip: Some(LACKS) })
}

/// Whether behind a phrase another stands, though no comma does: `<a><b><50>`.
fn is_further_part(rest: &str) -> bool {
    rest.starts_with('<')
        && bracket(rest)
            .is_ok_and(|next| !is_number(next.inner) && next.after.trim_start().starts_with('<'))
}

/// The bracket of the weight, what of it was read as it is meant, and what follows it.
fn last_bracket(text: &str) -> Result<(Weight, Option<Why>, &str), Why> {
    let Some((inner, after)) = text[1..].split_once('>') else {
        // The line ends within it.
        let cut = read_weight(&text[1..]).map_err(|_| "has a < that is not closed")?;
        return Ok((cut, Some("lacks a > behind the weight"), ""));
    };
    match read_weight(inner) {
        Ok(weight) => Ok((weight, None, after)),
        // As e2guardian reads it.
        Err(why) => match read_weight(inner.trim_end_matches(|c: char| c.is_ascii_alphabetic())) {
            Ok(weight) => Ok((weight, Some("has letters behind the number of the weight"), after)),
            Err(_) => Err(why),
        },
    }
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
    if !is_number(text) {
        return Err("has a second < > that is no weight: a comma is missing, or it is no number");
    }
    match digits.parse::<i32>() {
        Ok(0) => Err("has a weight of 0"),
        Ok(number) if number.unsigned_abs() <= MAX_WEIGHT && percent => Ok(Weight::Percent(number)),
        Ok(number) if number.unsigned_abs() <= MAX_WEIGHT => Ok(Weight::Points(number)),
        _ => Err("has a weight of more than a million"),
    }
}

/// Whether it is written as weights are, whatever its size: digits, a sign before them, a `%` behind them.
fn is_number(text: &str) -> bool {
    let text = text.trim();
    let digits = text.strip_suffix('%').unwrap_or(text);
    let digits = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
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
