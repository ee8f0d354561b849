//! `check -`: a stream of addresses from standard input, under one snapshot.

use crate::check::{COLUMNS, Judge};
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Format, HIDDEN, Sheet, json_text};
use rules::category::CategorySet;
use rules::decide::{ReasonCode, Verdict};
use rules::time::UnixMillis;
use std::collections::HashMap;
use std::io::{self, BufRead, Write};

/// Longest line read, in bytes; a longer one is answered with an error, and the stream goes on.
const MAX_LINE_BYTES: usize = 16 << 10;

/// Answers each line of standard input. The exit says that the stream was read, not what was in it.
pub(crate) fn run(judge: &Judge<'_>, format: Format) -> Result<Exit, Failure> {
    let input = io::BufReader::with_capacity(256 << 10, io::stdin().lock());
    match format {
        Format::Jsonl => {
            let out = io::BufWriter::with_capacity(256 << 10, io::stdout().lock());
            answer_lines(judge, input, out)?;
        }
        _ => answer_sheet(judge, input, format)?,
    }
    Ok(Exit::Ok)
}

/// The part of an answer that many addresses share; working it out anew for each would cost more
/// than the decision.
struct Shared {
    opens: Option<(UnixMillis, UnixMillis)>,
    /// `"categories":[...],"opens":"..."`, ready to print.
    json: String,
}

fn answer_lines(
    judge: &Judge<'_>,
    mut input: impl BufRead,
    mut out: impl Write,
) -> Result<(), Failure> {
    let policy = judge.policy();
    let clock = policy.clock();
    let mut shared: HashMap<(CategorySet, ReasonCode, Option<ReasonCode>), Shared> = HashMap::new();
    let mut rules: HashMap<u16, String> = HashMap::new();
    let mut line = Vec::new();
    while let Some(text) = next_line(&mut input, &mut line)? {
        let text = match text {
            Ok("") => continue,
            Ok(text) => text,
            Err(what) => {
                error_line(&mut out, &String::from_utf8_lossy(&line[..line.len().min(200)]), what)?;
                continue;
            }
        };
        let answer = match judge.answer(text) {
            Ok(answer) => answer,
            Err(failure) => {
                error_line(&mut out, text, failure.what())?;
                continue;
            }
        };
        let code = answer.code();
        let shared =
            shared.entry((answer.categories, code, answer.beyond_policy)).or_insert_with(|| {
                let opens = judge.opens(&answer);
                let names = serde_json::Value::from(policy.catalogue().names(answer.categories));
                let opens_json = opens
                    .map_or("null".to_owned(), |(from, _)| format!("\"{}\"", clock.rfc3339(from)));
                Shared { opens, json: format!("\"categories\":{names},\"opens\":{opens_json}") }
            });
        out.write_all(b"{\"url\":")?;
        write_text(&mut out, text)?;
        write!(
            out,
            ",\"verdict\":\"{}\",\"reason\":\"{}\",{},\"rule\":",
            answer.verdict().as_str(),
            code.as_str(),
            shared.json
        )?;
        debug_assert!(shared.opens.is_none() || answer.verdict() == Verdict::Block);
        match answer.by_policy().and_then(rule_place) {
            Some(place) => {
                let json = rules
                    .entry(place)
                    .or_insert_with(|| serde_json::Value::from(answer.rule(policy)).to_string());
                out.write_all(json.as_bytes())?;
            }
            None => write!(out, "{}", serde_json::Value::from(answer.rule(policy)))?,
        }
        if answer.categories.contains(rules::category::CategoryId::UNCATEGORISED) {
            out.write_all(b",\"list\":null,\"entry\":null}\n")?;
            continue;
        }
        let hits = judge.snapshot.index.hits(&answer.target.host, Some(&answer.path));
        match hits.first() {
            Some(hit) => {
                out.write_all(b",\"list\":")?;
                write_text(&mut out, &hit.list.name)?;
                out.write_all(b",\"entry\":")?;
                let hidden = judge.is_locked(answer.categories);
                write_text(&mut out, if hidden { HIDDEN } else { &hit.entry })?;
                out.write_all(b"}\n")?;
            }
            None => out.write_all(b",\"list\":null,\"entry\":null}\n")?,
        }
    }
    out.flush()?;
    Ok(())
}

/// The rule's place, where the decision is by a rule of the policy.
fn rule_place(decision: &rules::decide::Decision) -> Option<u16> {
    use rules::decide::Reason;
    match decision.reason {
        Reason::Exception(id)
        | Reason::NotOnList(id)
        | Reason::OnList(id)
        | Reason::Grid { rule: id, .. } => Some(id.0),
        _ => None,
    }
}

fn answer_sheet(judge: &Judge<'_>, mut input: impl BufRead, format: Format) -> Result<(), Failure> {
    let mut sheet = Sheet::stdout(format, COLUMNS)?;
    let mut line = Vec::new();
    while let Some(text) = next_line(&mut input, &mut line)? {
        let answer = match text {
            Ok("") => continue,
            Ok(text) => judge.answer(text),
            Err(what) => Err(Failure::usage(what)),
        };
        match answer {
            Ok(answer) => sheet.row(&judge.cells(&answer))?,
            Err(failure) => {
                let mut cells: [Cell; COLUMNS.len()] =
                    std::array::from_fn(|_| Cell::maybe(None::<String>));
                cells[0] = Cell::text(String::from_utf8_lossy(&line[..line.len().min(200)]).trim());
                cells[1] = Cell::text("error");
                cells[2] = Cell::text(failure.what());
                sheet.row(&cells)?;
            }
        }
    }
    sheet.finish()?;
    Ok(())
}

/// Reads the next line into `line` and gives its text without surrounding spaces; `None` at the end.
/// The inner error says why the line is no text; the rest of an over-long line is passed over.
fn next_line<'l>(
    input: &mut impl BufRead,
    line: &'l mut Vec<u8>,
) -> Result<Option<Result<&'l str, &'static str>>, Failure> {
    line.clear();
    let mut over_long = false;
    loop {
        let chunk = input.fill_buf()?;
        if chunk.is_empty() {
            if line.is_empty() && !over_long {
                return Ok(None);
            }
            break;
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(chunk.len());
        let room = MAX_LINE_BYTES - line.len();
        over_long |= taken > room;
        line.extend_from_slice(&chunk[..taken.min(room)]);
        input.consume(end.map_or(taken, |end| end + 1));
        if end.is_some() {
            break;
        }
    }
    if over_long {
        return Ok(Some(Err("the line is longer than any address")));
    }
    Ok(Some(std::str::from_utf8(line).map(str::trim).map_err(|_| "the line is not UTF-8")))
}

fn error_line(out: &mut impl Write, url: &str, what: &str) -> Result<(), Failure> {
    let object = serde_json::json!({ "url": url, "error": what });
    writeln!(out, "{}", json_text(object.to_string()))?;
    Ok(())
}

fn write_text(out: &mut impl Write, text: &str) -> Result<(), Failure> {
    if text.is_ascii() {
        let written = serde_json::to_writer(out, text);
        return written.map_err(|error| Failure::from(io::Error::from(error)));
    }
    write!(out, "{}", json_text(serde_json::Value::from(text).to_string()))?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_with_any_end_and_bad_ones_do_not_stop_the_stream() {
        let long = "x".repeat(MAX_LINE_BYTES + 1);
        let bytes =
            [b"a.test\r\n\n".as_slice(), long.as_bytes(), b"\nb.test\n\xff\xfe\nc.test"].concat();
        let mut input = io::BufReader::with_capacity(7, &bytes[..]);
        let mut line = Vec::new();
        let mut seen = Vec::new();
        while let Some(text) = next_line(&mut input, &mut line).unwrap() {
            seen.push(text.map(str::to_owned));
        }
        assert_eq!(
            seen,
            [
                Ok("a.test".to_owned()),
                Ok(String::new()),
                Err("the line is longer than any address"),
                Ok("b.test".to_owned()),
                Err("the line is not UTF-8"),
                Ok("c.test".to_owned()),
            ]
        );
    }
}
