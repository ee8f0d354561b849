//! Telling a list's syntax from its first lines.

use super::{Format, syntax, text};
use crate::domain;

/// How much of a file is looked at, in bytes and in lines that are no comments.
const SAMPLE_BYTES: usize = 65_536;
const SAMPLE_LINES: usize = 500;

/// The syntaxes that can be told, the more telling first: on a tie the first wins.
const CANDIDATES: [Format; 8] = [
    Format::Unbound,
    Format::Dnsmasq,
    Format::Adblock,
    Format::Hosts,
    Format::Wildcard,
    Format::Urls,
    Format::Expressions,
    Format::Plain,
];

/// Guesses the syntax from a sample of lines: the one that most lines look like.
#[must_use]
pub fn guess(sample: &[u8]) -> Format {
    let sample = text::as_utf8(&sample[..sample.len().min(SAMPLE_BYTES)]);
    let mut votes = [0_u32; CANDIDATES.len()];
    let telling = text::lines(&sample)
        .map(|(_, line)| line.trim_ascii())
        .filter(|line| !line.is_empty() && !syntax::is_comment(Format::Adblock, line))
        .take(SAMPLE_LINES);
    for line in telling {
        let format = look(line);
        if let Some(place) = CANDIDATES.iter().position(|&candidate| candidate == format) {
            votes[place] += 1;
        }
    }
    let most = votes.iter().max().copied().unwrap_or(0);
    let winner = votes.iter().position(|&count| count == most && count > 0);
    winner.map_or(Format::Plain, |place| CANDIDATES[place])
}

/// What one line looks like.
fn look(line: &[u8]) -> Format {
    let starts = |prefix: &str| line.starts_with(prefix.as_bytes());
    if starts("local-zone:") || starts("local-data:") || starts("server:") {
        return Format::Unbound;
    }
    if ["address=/", "server=/", "local=/"].iter().any(|&prefix| starts(prefix)) {
        return Format::Dnsmasq;
    }
    if starts("||") || starts("@@") || starts("##") || starts("[Adblock") {
        return Format::Adblock;
    }
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let first = fields.next().unwrap_or_default();
    if domain::address(first).is_some() && fields.next().is_some_and(|field| field[0] != b'#') {
        return Format::Hosts;
    }
    if starts("*.") && !line.contains(&b'/') {
        return Format::Wildcard;
    }
    if line.iter().any(|byte| b"\\()[]|^$*+{}".contains(byte)) && !starts("*.") {
        return Format::Expressions;
    }
    let after_scheme =
        first.windows(3).position(|part| part == b"://").map_or(0, |place| place + 3);
    let path = first[after_scheme..].iter().position(|&byte| byte == b'/');
    if path.is_some_and(|place| after_scheme + place + 1 < first.len()) {
        return Format::Urls;
    }
    Format::Plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_syntax_is_told_from_a_few_lines() {
        let cases = [
            ("# c\nexample.com\nother.example\n", Format::Plain),
            ("127.0.0.1 localhost\n0.0.0.0 example.com\n", Format::Hosts),
            ("::1\tlocalhost\n:: example.com\n0.0.0.0 a.example # x\n", Format::Hosts),
            ("*.example.com\n*.other.example\n", Format::Wildcard),
            ("! t\n[Adblock Plus]\n||example.com^\n", Format::Adblock),
            ("address=/example.com/#\n", Format::Dnsmasq),
            ("server=/example.com/\n", Format::Dnsmasq),
            ("server:\nlocal-zone: \"example.com.\" always_null\n", Format::Unbound),
            ("example.com/games\nhttp://other.example/a/b\n", Format::Urls),
            ("(^|\\.)games[0-9]+\\.\n", Format::Expressions),
            ("1.2.3.4\n5.6.7.8\n", Format::Plain),
            ("", Format::Plain),
            ("# only comments\n", Format::Plain),
        ];
        for (text, expected) in cases {
            assert_eq!(guess(text.as_bytes()), expected, "{text:?}");
        }
    }
}
