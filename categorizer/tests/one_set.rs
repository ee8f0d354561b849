//! One made-up list in every syntax, as files of this folder: each gives the same set.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::disallowed_methods, reason = "tests read files and measure")]

use std::collections::BTreeSet;
use std::path::Path;

use categorizer::list::{self, Entry, Format, Options};

#[test]
fn a_made_up_list_is_one_set_in_every_syntax() {
    let expected: BTreeSet<String> = [
        "192.0.2.10",
        "a-very-long-label-with-many-hyphens-in-it.example",
        "arcade.test",
        "casino.test",
        "deep.sub.domain.example",
        "play.arcade.test",
        "under_score.example",
        "xn--caf-dma.example",
    ]
    .map(String::from)
    .into();
    let cases = [
        ("plain", Format::Plain, 2),
        ("plain-utf16", Format::Plain, 0),
        ("hosts", Format::Hosts, 2),
        ("wildcard", Format::Wildcard, 0),
        ("adblock", Format::Adblock, 3),
        ("dnsmasq", Format::Dnsmasq, 1),
        ("unbound", Format::Unbound, 1),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/syntaxes");
    for (file, format, skipped) in cases {
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let mut found = BTreeSet::new();
        let report = list::read(&bytes, Options::default(), &mut |entry| {
            let Entry::Domain(name) = entry else { panic!("{file}: {entry:?}") };
            found.insert(name.into_owned());
        });
        assert_eq!(found, expected, "{file}");
        assert_eq!(report.format, Some(format), "{file}");
        assert_eq!(report.skipped, skipped, "{file}: {:?}", report.examples);
        assert_eq!(report.entries, 8, "{file}");
    }
}
