#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::*;
use proptest::prelude::*;

fn entries(format: Format, text: &[u8]) -> (Vec<String>, Report) {
    let mut found = Vec::new();
    let options = Options { format: Some(format), allow_public_suffixes: false };
    let report = read(text, options, &mut |entry| {
        found.push(match entry {
            Entry::Domain(text) => text.into_owned(),
            Entry::Url(text) => format!("url {text}"),
            Entry::Expression(text) => format!("expression {text}"),
            Entry::Keyword(text) => format!("keyword {text}"),
        });
    });
    (found, report)
}

#[test]
fn one_line_of_each_syntax_is_read_as_its_users_mean_it() {
    use Format::*;
    let cases: &[(Format, &str, &[&str])] = &[
        (Plain, "example.com", &["example.com"]),
        (Plain, "  Example.COM.  ", &["example.com"]),
        (Plain, ".example.com", &["example.com"]),
        (Plain, "*.example.com", &["example.com"]),
        (Plain, "example.com # remark", &["example.com"]),
        (Plain, "http://example.com/", &["example.com"]),
        (Plain, "https://example.com:8443", &["example.com"]),
        (Plain, "example.com:8080", &["example.com"]),
        (Plain, "www.example.com/games/", &["url example.com/games"]),
        (Plain, "café.example.com", &["xn--caf-dma.example.com"]),
        (Plain, "192.0.2.7", &["192.0.2.7"]),
        (Plain, "192.0.2.7/32", &["192.0.2.7"]),
        (Plain, "192.0.2.7/31", &["192.0.2.6", "192.0.2.7"]),
        (Plain, "2001:DB8::1", &["2001:db8::1"]),
        (Plain, "[2001:db8::1]:443", &["2001:db8::1"]),
        (Plain, "0.0.0.0 example.com", &["example.com"]),
        (Hosts, "0.0.0.0 example.com other.example # x", &["example.com", "other.example"]),
        (Hosts, "::1\texample.com", &["example.com"]),
        (Hosts, "192.0.2.1 example.com", &["example.com"]),
        (Wildcard, "*.example.com", &["example.com"]),
        (Adblock, "||example.com^", &["example.com"]),
        (Adblock, "||example.com^$important,document", &["example.com"]),
        (Adblock, "0.0.0.0 example.com", &["example.com"]),
        (Dnsmasq, "address=/example.com/#", &["example.com"]),
        (Dnsmasq, "address=/a.example/b.example/0.0.0.0", &["a.example", "b.example"]),
        (Dnsmasq, "server=/example.com/", &["example.com"]),
        (Dnsmasq, "local=/.example.com/", &["example.com"]),
        (Unbound, "local-zone: \"example.com.\" always_null", &["example.com"]),
        (Unbound, "local-data: \"example.com. A 0.0.0.0\"", &["example.com"]),
        (Urls, "www2.Example.com:80/A//b/../C?D=%7e", &["url example.com/a/c?d=~"]),
        (Urls, "http://example.com/a#b", &["url example.com/a"]),
        (Urls, "example.com", &["example.com"]),
        (Urls, "example.com/", &["url example.com/"]),
        (Expressions, "(^|[.])games[0-9]+", &["expression (^|[.])games[0-9]+"]),
        (Keywords, "Casino  Royale!", &["keyword casino royale"]),
    ];
    for (format, line, expected) in cases {
        let (found, report) = entries(*format, line.as_bytes());
        assert_eq!(found, *expected, "{format:?} {line}");
        assert_eq!((report.entries, report.skipped), (expected.len() as u64, 0), "{line}");
    }
}

#[test]
fn lines_that_name_no_whole_site_are_skipped_with_the_reason() {
    use Format::*;
    let cases = [
        (Plain, "co.uk", "public suffix"),
        (Plain, "com", "top-level"),
        (Plain, "github.io", "shared hosting"),
        (Plain, "some words", "more than one word"),
        (Plain, "user@example.com", "user name"),
        (Plain, "http://user:word@example.com/", "user name"),
        (Plain, "192.0.0.0/16", "network"),
        (Plain, "2001:db8::/64", "network"),
        (Plain, "exam*ple.com", "wildcard"),
        (Plain, "a..b", "no valid domain name"),
        (Plain, "\u{0}\u{1}\u{2}", "character"),
        (Plain, "1.2.3.400", "looks like an address"),
        (Hosts, "127.0.0.1 localhost", "machine itself"),
        (Hosts, "0.0.0.0", "without a name"),
        (Adblock, "||example.com^$third-party", "narrow"),
        (Adblock, "||example.com^$domain=a.com", "narrow"),
        (Adblock, "@@||example.com^", "exception"),
        (Adblock, "example.com##.banner", "hides"),
        (Adblock, "##.banner", "hides"),
        (Adblock, "||example.com/ads^", "path"),
        (Adblock, "||example.com", "does not end"),
        (Adblock, "/banner[0-9]+/", "expression"),
        (Dnsmasq, "server=/example.com/192.0.2.53", "another server"),
        (Dnsmasq, "address=/#/0.0.0.0", "every site"),
        (Dnsmasq, "bogus-nxdomain=192.0.2.1", "is no address="),
        (Unbound, "local-zone: \"example.com\" transparent", "lets its names through"),
        (Unbound, "forward-zone:", "is no local-zone"),
        (Urls, "co.uk/", "public suffix"),
        (Expressions, ".*", "every URL"),
        (Expressions, "(", "no expression"),
        (Keywords, "ab", "too short"),
    ];
    for (format, line, expected) in cases {
        let (found, report) = entries(format, line.as_bytes());
        assert_eq!(found, Vec::<String>::new(), "{line}");
        assert_eq!(report.skipped, 1, "{line}");
        let why = report.examples[0].why;
        assert!(why.contains(expected), "{line}: {why}");
    }
}

#[test]
fn comments_and_headers_are_neither_entries_nor_skipped() {
    let text = "# a\n! b\n; c\n\n   \n#d\r\n";
    for format in [Format::Plain, Format::Hosts, Format::Wildcard, Format::Dnsmasq, Format::Urls] {
        let (found, report) = entries(format, text.as_bytes());
        assert_eq!((found.len(), report.skipped), (0, 0), "{format:?}");
    }
    let (_, report) = entries(Format::Adblock, b"[Adblock Plus 2.0]\n! Title: x\n# y\n");
    assert_eq!(report.skipped, 0);
    let (_, report) = entries(Format::Unbound, b"server:\n# y\n");
    assert_eq!(report.skipped, 0);
}

#[test]
fn public_suffixes_are_taken_when_allowed() {
    let options = Options { format: Some(Format::Plain), allow_public_suffixes: true };
    let report = read(b"co.uk\ncom\ngithub.io\nlocalhost\n", options, &mut |_| {});
    assert_eq!((report.entries, report.skipped), (3, 1));
}

#[test]
fn a_line_of_ten_megabytes_is_one_skipped_line() {
    let mut text = vec![b'a'; 10 << 20];
    text.extend_from_slice(b"\nexample.com\n");
    for format in [None, Some(Format::Plain), Some(Format::Expressions), Some(Format::Adblock)] {
        let mut found = 0;
        let report = read(&text, Options { format, ..Options::default() }, &mut |_| found += 1);
        assert_eq!((found, report.skipped), (1, 1), "{format:?}");
        assert_eq!(report.examples[0].text.len(), 80);
    }
}

#[test]
fn skipped_lines_are_numbered_and_at_most_a_hundred_are_shown() {
    let text = "example.com\r\n".to_owned() + &"a b\r\n".repeat(300);
    let (_, report) = entries(Format::Plain, text.as_bytes());
    assert_eq!((report.skipped, report.examples.len()), (300, 100));
    assert_eq!((report.examples[0].line, report.examples[99].line), (2, 101));
}

const FORMATS: [Format; 9] = [
    Format::Plain,
    Format::Hosts,
    Format::Wildcard,
    Format::Adblock,
    Format::Dnsmasq,
    Format::Unbound,
    Format::Urls,
    Format::Expressions,
    Format::Keywords,
];

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic_and_every_line_is_counted_once(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        format in prop::sample::select(&FORMATS[..]),
    ) {
        let (found, report) = entries(format, &bytes);
        prop_assert_eq!(found.len() as u64, report.entries);
        read(&bytes, Options::default(), &mut |_| {});
    }

    #[test]
    fn text_that_looks_like_lists_is_read_without_panic(
        lines in prop::collection::vec("[a-z0-9.|^$/@:=*#\"\\[\\](){} éE%-]{0,30}", 0..20),
        format in prop::sample::select(&FORMATS[..]),
    ) {
        entries(format, lines.join("\n").as_bytes());
    }

    #[test]
    fn what_is_read_is_canonical_and_reads_back_as_itself(
        line in "[a-zA-Z0-9é.-]{1,20}\\.(com|example|co\\.uk)(:80)?(/[a-zA-Z%/.]{0,8})?",
    ) {
        for first in entries(Format::Plain, line.as_bytes()).0 {
            let (format, text) = match first.strip_prefix("url ") {
                Some(url) => (Format::Urls, url),
                None => (Format::Plain, first.as_str()),
            };
            prop_assert_eq!(&entries(format, text.as_bytes()).0, std::slice::from_ref(&first));
        }
    }
}
