//! The category index on real lists: `cargo bench --bench lists -- [FOLDER]`.
//!
//! Loads every list under a folder of squidGuard folders (default: the shared test data), then four
//! million made-up names, and prints what reading, compiling, opening and looking up cost, beside
//! an `fst` map of the same names (exact, labels reversed), the usual choice for such an index.

mod names;

use names::Random;
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use categorizer::index::{Builder, Index, ListInfo};
use categorizer::list::{self, Entry, Format, Options};
use rules::category::{Catalogue, CategoryId, CategorySet};
use rules::host::Host;

type AnyError = Box<dyn std::error::Error>;

/// Look-ups that are timed one by one.
const TIMED: usize = 200_000;
const SYNTHETIC: usize = 4_000_000;

fn main() -> Result<(), AnyError> {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let shared = std::env::var_os("SCHOOLGATE_SHARED")
        .map_or(Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let data = shared.join("data");
    let lists = folder.map_or(data.join("lists"), PathBuf::from);

    if lists.is_dir() {
        println!("lists in {}", lists.display());
        let sources = sources(&lists)?;
        let mut requests = requests(&data.join("traces/har_requests.tsv.gz"))?;
        let popular = hosts(&data.join("top-domains/opendns-top-domains.txt.gz"))?;
        requests.truncate(TIMED);
        measure(&sources, &popular, &requests)?;
    } else {
        println!("no lists in {}; set SCHOOLGATE_SHARED or name a folder", lists.display());
    }

    println!("\n{SYNTHETIC} made-up names on one list");
    let text = names::made_up(SYNTHETIC);
    let source = Source {
        name: "made-up".into(),
        category: "games".into(),
        files: vec![(Format::Plain, text.into_bytes())],
    };
    let misses: Vec<Host> = (0..10_000)
        .map(|n| Host::parse(&format!("www.unlisted{n}.co.uk")))
        .collect::<Result<_, _>>()?;
    measure(&[source], &misses, &[])
}

/// A list: its files' bytes.
struct Source {
    name: String,
    category: String,
    files: Vec<(Format, Vec<u8>)>,
}

/// Every folder below that holds list files.
fn sources(folder: &Path) -> Result<Vec<Source>, AnyError> {
    let mut sources = Vec::new();
    let mut files = Vec::new();
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources.extend(self::sources(&path)?);
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let format = match name.trim_end_matches(".gz") {
            "domains" | "domains.top-n" | "ips" => Format::Plain,
            "urls" => Format::Urls,
            "expressions" => Format::Expressions,
            _ => continue,
        };
        files.push((format, contents(&path)?));
    }
    if !files.is_empty() {
        let part = |path: Option<&Path>| {
            path.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned()
        };
        let category = part(Some(folder)).to_lowercase().replace('_', "-");
        let name = format!("{}-{category}", part(folder.parent()));
        sources.push(Source { name, category, files });
    }
    Ok(sources)
}

fn contents(path: &Path) -> Result<Vec<u8>, AnyError> {
    let bytes = std::fs::read(path)?;
    if path.extension().is_none_or(|end| end != "gz") {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut plain)?;
    Ok(plain)
}

fn hosts(path: &Path) -> Result<Vec<Host>, AnyError> {
    let text = String::from_utf8(contents(path)?)?;
    // As browsers ask: half of them with www.
    let names = text.lines().enumerate();
    let names = names.map(|(n, name)| if n % 2 == 0 { format!("www.{name}") } else { name.into() });
    Ok(names.filter_map(|name| Host::parse(&name).ok()).collect())
}

fn requests(path: &Path) -> Result<Vec<(Host, String)>, AnyError> {
    let text = String::from_utf8(contents(path)?)?;
    let urls = text.lines().skip(1).filter_map(|line| line.split('\t').nth(5));
    let split = |url: &str| {
        let rest = url.split_once("://")?.1;
        let place = rest.find('/').unwrap_or(rest.len());
        let authority = rest[..place].split(':').next()?;
        let path = if place == rest.len() { "/" } else { &rest[place..] };
        Some((Host::parse(authority).ok()?, path.to_owned()))
    };
    Ok(urls.filter_map(split).collect())
}

/// Reads, compiles, opens and looks up, and prints what each costs.
fn measure(
    sources: &[Source],
    popular: &[Host],
    requests: &[(Host, String)],
) -> Result<(), AnyError> {
    let mut catalogue = Catalogue::shipped();
    for source in sources {
        catalogue.add(&source.category)?;
    }
    let read_only = time(|| read(sources, &mut |_, _| {}));
    row("read only", &millis(read_only.1));

    let before = resident_bytes();
    let mut builder = Builder::new();
    let mut begun = usize::MAX;
    let (reports, adding) = time(|| {
        read(sources, &mut |place, entry| {
            if begun != place {
                begun = place;
                let source = &sources[place];
                builder.begin(ListInfo {
                    name: source.name.clone(),
                    category: source.category.clone(),
                    version: "1".into(),
                });
            }
            builder.add(entry);
        })
    });
    let (bytes, compiling) = time(|| builder.finish("bench"));
    let bytes = bytes?;
    let peak = resident_bytes().saturating_sub(before);
    row("entries, lines skipped", &format!("{}, {}", reports.0, reports.1));
    row("read and collect", &millis(adding));
    row("compile", &millis(compiling));
    row("index", &format!("{} bytes", bytes.len()));
    row("memory grown by, with the index", &format!("{:.1} MB", peak as f64 / 1e6));
    let size = bytes.len();

    let (index, opening) = time(|| Index::open(Box::new(bytes), &catalogue));
    let index = index?;
    let (names, urls) = index.sizes();
    row("open", &millis(opening));
    row("distinct names, URLs", &format!("{names}, {urls}"));
    row("bytes a name or URL", &format!("{:.2}", size as f64 / (names + urls) as f64));

    let (listed, fst) = compare_with_fst(sources)?;
    let misses: Vec<&Host> = popular.iter().filter(|host| is_miss(&index, host)).collect();
    println!(
        "\n  {:<34}{:>9}{:>9}{:>9}   {:>9}{:>9}{:>9}",
        "look-ups, ns", "mean", "p50", "p99", "fst mean", "p50", "p99"
    );
    let hits: Vec<&Host> = listed.iter().collect();
    for (what, hosts) in [("hits, random order", hits), ("misses, popular sites", misses)] {
        if hosts.is_empty() {
            continue;
        }
        let index_times = timings(&hosts, |host| index.categories(host, None));
        let fst_times = timings(&hosts, |host| fst_categories(&fst, host));
        println!("  {what:<34}{index_times}   {fst_times}");
    }
    if !requests.is_empty() {
        let order: Vec<&(Host, String)> = requests.iter().collect();
        let times = timings(&order, |(host, path)| index.categories(host, Some(path)));
        println!("  {:<34}{times}", "recorded requests, with path");
        let times = timings(&order, |(host, _)| index.categories(host, None));
        println!("  {:<34}{times}", "recorded requests, host only");
    }
    Ok(())
}

fn is_miss(index: &Index, host: &Host) -> bool {
    index.categories(host, None).contains(CategoryId::UNCATEGORISED)
}

/// Hands on every entry with its source's place; gives how many entries and skipped lines.
fn read(sources: &[Source], sink: &mut dyn FnMut(usize, Entry<'_>)) -> (u64, u64) {
    let (mut entries, mut skipped) = (0, 0);
    for (place, source) in sources.iter().enumerate() {
        for (format, bytes) in &source.files {
            let options = Options { format: Some(*format), allow_public_suffixes: false };
            let report = list::read(bytes, options, &mut |entry| sink(place, entry));
            entries += report.entries;
            skipped += report.skipped;
        }
    }
    (entries, skipped)
}

/// Builds an `fst` map of the same names, prints its cost, and gives hosts under those names too.
fn compare_with_fst(sources: &[Source]) -> Result<(Vec<Host>, fst::Map<Vec<u8>>), AnyError> {
    let mut keys: Vec<String> = Vec::new();
    read(sources, &mut |_, entry| {
        if let Entry::Domain(name) = entry {
            keys.push(name.split('.').rev().collect::<Vec<_>>().join("."));
        }
    });
    let (map, building) = time(|| {
        keys.sort_unstable();
        keys.dedup();
        let mut builder = fst::MapBuilder::memory();
        for (place, key) in keys.iter().enumerate() {
            builder.insert(key, place as u64 % 64)?;
        }
        builder.into_inner()
    });
    let map = fst::Map::new(map?)?;
    let size = map.as_fst().as_bytes().len();
    row("fst: sort and build, from strings", &millis(building));
    row("fst: size", &format!("{size} bytes, {:.2} a name", size as f64 / keys.len() as f64));
    let mut random = Random(7);
    random.shuffle(&mut keys);
    keys.truncate(TIMED);
    let below = |(n, key): (usize, &String)| {
        let name = key.split('.').rev().collect::<Vec<_>>().join(".");
        let name = if n % 2 == 0 { format!("www.{name}") } else { name };
        Host::parse(&name).ok()
    };
    Ok((keys.iter().enumerate().filter_map(below).collect(), map))
}

/// Walks the map once over a host's labels from the right; every label's end may be an entry.
fn fst_categories(map: &fst::Map<Vec<u8>>, host: &Host) -> CategorySet {
    let fst = map.as_fst();
    let mut found = CategorySet::EMPTY;
    let (mut node, mut value) = (fst.root(), fst::raw::Output::zero());
    for (depth, label) in host.as_str().rsplit('.').enumerate() {
        let dot = if depth == 0 { &b""[..] } else { b"." };
        for &byte in dot.iter().chain(label.as_bytes()) {
            let Some(place) = node.find_input(byte) else { return found };
            let transition = node.transition(place);
            value = value.cat(transition.out);
            node = fst.node(transition.addr);
        }
        if node.is_final() {
            found.insert(CategoryId::from_index(value.cat(node.final_output()).value() as u8));
        }
    }
    found
}

fn time<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// Mean over one untimed loop, then percentiles of single look-ups, the clock's own cost taken off.
fn timings<T: Copy>(items: &[T], look_up: impl Fn(T) -> CategorySet) -> String {
    let repeats = (TIMED / items.len()).max(1);
    let (_, all) = time(|| {
        for _ in 0..repeats {
            for &item in items {
                black_box(look_up(black_box(item)));
            }
        }
    });
    let mean = all.as_nanos() as f64 / (repeats * items.len()) as f64;
    let mut clock: Vec<u64> = (0..10_000).map(|_| nanos(Instant::now().elapsed())).collect();
    clock.sort_unstable();
    let clock = clock[clock.len() / 2];
    let mut times: Vec<u64> = Vec::with_capacity(repeats * items.len());
    for _ in 0..repeats {
        for &item in items {
            let start = Instant::now();
            black_box(look_up(black_box(item)));
            times.push(nanos(start.elapsed()).saturating_sub(clock));
        }
    }
    times.sort_unstable();
    let percentile = |percent: usize| times[(times.len() - 1) * percent / 100];
    format!("{mean:>9.0}{:>9}{:>9}", percentile(50), percentile(99))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Memory of this process that is resident now, in bytes; 0 where the system does not say.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn row(what: &str, value: &str) {
    println!("  {what:<34}{value}");
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}
