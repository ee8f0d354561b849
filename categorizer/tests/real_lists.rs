//! The published lists that the project tests with: one list in several syntaxes gives one set, and
//! look-ups reproduce counts that were made with the plainest suffix matching.
//!
//! The data is found through `SCHOOLGATE_SHARED` or beside the checkout; without it these tests say
//! so and pass, for the product does not carry other people's lists.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::disallowed_methods, reason = "tests read files and measure")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use categorizer::index::{Builder, Index, ListInfo};
use categorizer::list::{self, Entry, Format, Options};
use rules::category::Catalogue;
use rules::host::Host;

/// The folder of shared data, where it is there.
fn shared_data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("SCHOOLGATE_SHARED").map_or(beside, PathBuf::from);
    let data = shared.join("data");
    if data.is_dir() {
        return Some(data);
    }
    println!("skipped: no test data in {}; set SCHOOLGATE_SHARED", data.display());
    None
}

/// A file's bytes, decompressed if it ends in `.gz` or only its `.gz` is there.
fn contents(path: &Path) -> Option<Vec<u8>> {
    let packed = match path.extension() {
        Some(end) if end == "gz" => path.to_owned(),
        _ => PathBuf::from(format!("{}.gz", path.display())),
    };
    if path != packed && path.exists() {
        return Some(std::fs::read(path).unwrap());
    }
    let file = std::fs::File::open(packed).ok()?;
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    Some(bytes)
}

fn names(bytes: &[u8], format: Option<Format>) -> (BTreeSet<String>, list::Report) {
    let mut names = BTreeSet::new();
    let options = Options { format, allow_public_suffixes: true };
    let report = list::read(bytes, options, &mut |entry| {
        let Entry::Domain(name) = entry else { panic!("{entry:?} in a list of names") };
        names.insert(name.into_owned());
    });
    (names, report)
}

/// Names without those that a parent among them covers.
fn without_covered(names: &BTreeSet<String>) -> BTreeSet<String> {
    let covered = |name: &&String| {
        let mut rest = name.split_once('.');
        while let Some((_, parent)) = rest {
            if names.contains(parent) {
                return false;
            }
            rest = parent.split_once('.');
        }
        true
    };
    names.iter().filter(covered).cloned().collect()
}

fn format_of(file: &str) -> Format {
    match file.trim_end_matches(".gz") {
        "plain" | "domains" => Format::Plain,
        "hosts" => Format::Hosts,
        "wildcard" => Format::Wildcard,
        "adblock" | "adguard" => Format::Adblock,
        "dnsmasq" => Format::Dnsmasq,
        "unbound" => Format::Unbound,
        other => panic!("{other} is no syntax that these tests know"),
    }
}

#[test]
fn one_list_in_every_syntax_is_one_set_and_its_syntax_is_guessed() {
    let Some(data) = shared_data() else { return };
    let mut folders = 0;
    for folder in std::fs::read_dir(data.join("formats")).unwrap() {
        let folder = folder.unwrap().path();
        let mut sets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for file in std::fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap().to_owned();
            let bytes = contents(&path).unwrap();
            let (told, _) = names(&bytes, Some(format_of(&file)));
            assert_eq!(list::guess(&bytes), format_of(&file), "{}", path.display());
            assert!(told.len() > 50, "{}", path.display());
            sets.insert(file.trim_end_matches(".gz").to_owned(), told);
        }
        folders += 1;
        // Hagezi's lists leave out, in some syntaxes, what a parent on the list covers.
        // The published hosts form of this one has two names that its other forms lack.
        if folder.ends_with("blocklistproject-crypto") {
            let hosts = sets.get_mut("hosts").unwrap();
            assert!(hosts.remove("adiri.tel") && hosts.remove("tokenist.com"));
        }
        let full = sets.get("plain").or(sets.get("domains")).unwrap().clone();
        let least = without_covered(&full);
        for (syntax, set) in &sets {
            let same = if sets.contains_key("wildcard") {
                without_covered(set) == least
            } else {
                *set == full
            };
            let odd: Vec<_> = set.symmetric_difference(&full).take(5).collect();
            assert!(same, "{} {syntax}: {} names, {odd:?}", folder.display(), set.len());
        }
    }
    assert_eq!(folders, 8);
}

#[test]
fn every_shared_list_is_read_and_compiles_with_hardly_a_line_skipped() {
    let Some(data) = shared_data() else { return };
    let mut builder = Builder::new();
    let mut catalogue = Catalogue::shipped();
    let (mut entries, mut skipped, mut expressions) = (0, 0, 0);
    for source in ["ut1", "ut1-cbuijs", "shadowwhisperer", "blocklistproject"] {
        for folder in std::fs::read_dir(data.join("lists").join(source)).unwrap() {
            let folder = folder.unwrap().path();
            let category = folder.file_name().unwrap().to_string_lossy().replace('_', "-");
            let category = category.to_lowercase();
            if !folder.is_dir()
                || catalogue.id(&category).or(catalogue.add(&category).ok()).is_none()
            {
                continue;
            }
            builder.begin(ListInfo {
                name: format!("{source}-{category}"),
                category,
                version: "1".into(),
            });
            for (file, format) in [
                ("domains", Format::Plain),
                ("domains.top-n", Format::Plain),
                ("ips", Format::Plain),
                ("urls", Format::Urls),
                ("expressions", Format::Expressions),
            ] {
                let Some(bytes) = contents(&folder.join(file)) else { continue };
                let options = Options { format: Some(format), allow_public_suffixes: true };
                let report = list::read(&bytes, options, &mut |entry| {
                    expressions += usize::from(matches!(entry, Entry::Expression(_)));
                    builder.add(entry);
                });
                entries += report.entries;
                skipped += report.skipped;
                for line in report.examples.iter().take(3) {
                    println!(
                        "{} {file}:{}: {} ({})",
                        folder.display(),
                        line.line,
                        line.text,
                        line.why
                    );
                }
            }
        }
    }
    println!(
        "{entries} entries, {skipped} skipped, {expressions} expressions, {:?}",
        builder.counts()
    );
    assert!(entries > 1_500_000);
    assert!(skipped < entries / 1000, "{skipped} lines skipped");
    assert!(expressions >= 5);
    let bytes = builder.finish("all").unwrap();
    let (size, started) = (bytes.len(), std::time::Instant::now());
    let index = Index::open(Box::new(bytes), &catalogue).unwrap();
    println!("{size} bytes opened in {:?}", started.elapsed());
    assert!(index.sizes().0 > 1_000_000);
}

/// `ut1/games` to its file.
fn baseline_list(data: &Path, name: &str) -> Option<Vec<u8>> {
    let (source, list) = name.split_once('/')?;
    let file = match source {
        "ut1" => format!("ut1/{list}/domains"),
        "cbuijs" => format!("ut1-cbuijs/{list}/domains.top-n"),
        "sw" => format!("shadowwhisperer/{list}/domains"),
        "blp" => format!("blocklistproject/{list}/domains"),
        _ => return None,
    };
    contents(&data.join("lists").join(file))
}

#[test]
fn counts_of_plain_suffix_matching_are_reproduced_exactly() {
    let Some(data) = shared_data() else { return };
    let baseline = contents(&data.join("labelled/baseline_half_a.json")).unwrap();
    let baseline: serde_json::Value = serde_json::from_slice(&baseline).unwrap();
    let texts = |value: &serde_json::Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let block_set = texts(&baseline["block_set"]);
    let expected_lists: BTreeMap<String, Vec<String>> = baseline["expected_lists"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(code, lists)| (code.clone(), texts(lists)))
        .collect();

    // A category of its own for each list, so that a set of categories says which lists matched.
    let mut builder = Builder::new();
    let mut catalogue = Catalogue::shipped();
    let all: BTreeSet<&String> =
        block_set.iter().chain(expected_lists.values().flatten()).collect();
    let category = |list: &str| format!("list-{}", list.replace(['/', '_'], "-"));
    for name in all {
        let category = category(name);
        catalogue.add(&category).unwrap();
        builder.begin(ListInfo { name: name.clone(), category, version: "1".into() });
        let Some(bytes) = baseline_list(&data, name) else { continue };
        let options = Options { format: Some(Format::Plain), allow_public_suffixes: true };
        list::read(&bytes, options, &mut |entry| builder.add(entry));
    }
    let index = Index::open(Box::new(builder.finish("baseline").unwrap()), &catalogue).unwrap();
    let on_any = |host: &Host, lists: &[String]| {
        let found = index.categories(host, None);
        lists.iter().any(|list| found.contains(catalogue.id(&category(list)).unwrap()))
    };

    let rows = contents(&data.join("labelled/citizenlab_half_a.tsv")).unwrap();
    let rows = String::from_utf8(rows).unwrap();
    let mut counts: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
    for row in rows.lines().skip(1) {
        let mut fields = row.split('\t');
        let (url, code) = (fields.next().unwrap(), fields.next().unwrap());
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap();
        let host = authority.rsplit('@').next().unwrap();
        let host = host.split_once(':').map_or(host, |(host, _)| host);
        let Ok(host) = Host::parse(host) else {
            println!("no host: {url}");
            continue;
        };
        let count = counts.entry(code).or_default();
        count.0 += 1;
        let expected = expected_lists.get(code).is_some_and(|lists| on_any(&host, lists));
        count.1 += u64::from(expected);
        count.2 += u64::from(on_any(&host, &block_set));
    }
    let codes = baseline["codes"].as_object().unwrap();
    assert_eq!(codes.len(), 31);
    for (code, expected) in codes {
        let (rows, listed, blocked) = counts.get(code.as_str()).copied().unwrap_or_default();
        let found = serde_json::json!({
            "rows": rows,
            "expected": expected_lists.contains_key(code).then_some(listed),
            "any_block": blocked,
        });
        assert_eq!(found, *expected, "{code}");
    }
}
