//! From bodies to words: `cargo bench --bench pages`.
//!
//! Prints microseconds of processor time for 16 KB of a page as decoded, stage by stage: each content
//! coding, characters, text, and all of it with phrases looked for; and what hostile bodies take beside
//! it. Where `SCHOOLGATE_SHARED` names real pages, they are measured. Without, pages are made up of this
//! project's documents, with mark-up that is lighter than that of real ones.

mod allocations;

use allocations::ALLOCATIONS;
use categorizer::page::charset::Telling;
use categorizer::page::{
    Charset, Codings, DecodeLimits, Decoder, Extractor, Format, PageHead, PageLimits, PageScan,
    Scorer, Text,
};
use categorizer::phrase::{Effect, Phrases, PhrasesBuilder, Scan, Scratch, Weight};
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

type AnyError = Box<dyn std::error::Error>;

/// What a figure is for, in bytes of a page as decoded.
const PAGE_BYTES: usize = 16 << 10;
/// Of a page, what is measured at most. Proxies see pieces of this size.
const MOST_BYTES: usize = 128 << 10;
const PIECE_BYTES: usize = 16 << 10;
/// Microseconds for decoding and reading, and with phrases looked for.
const READ_GOAL_US: f64 = 40.0;
const GOAL_US: f64 = 150.0;
/// How often a figure is taken, and for how long each time at least.
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(60);

/// Processor time of this thread.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Prints the middle of the rounds, and the least and most; gives back the middle, in microseconds for
/// 16 KB of the bytes that the pages have once decoded.
fn measure(what: &str, pages: &[Vec<u8>], bytes: usize, mut call: impl FnMut(&[u8])) -> f64 {
    pages.iter().for_each(|page| call(page));
    let before = ALLOCATIONS.get();
    pages.iter().for_each(|page| call(page));
    let allocations = (ALLOCATIONS.get() - before) as f64 / pages.len() as f64;
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (before, mut times) = (processor_time(), 0);
            loop {
                pages.iter().for_each(|page| call(page));
                times += 1;
                let taken = processor_time() - before;
                if taken >= ROUND {
                    let scale = PAGE_BYTES as f64 / (bytes as f64 * f64::from(times));
                    break taken.as_secs_f64() * 1e6 * scale;
                }
            }
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    let [least, median, most] = [rounds[0], rounds[ROUNDS / 2], rounds[ROUNDS - 1]];
    println!("{what:<46} {least:>7.1} {median:>7.1} {most:>7.1}  {allocations:>5.1} allocations");
    median
}

fn main() -> Result<(), AnyError> {
    let pages = pages()?;
    let bytes: usize = pages.iter().map(Vec::len).sum();
    println!("{} pages, {} KB", pages.len(), bytes >> 10);
    println!("{:<46} {:>7} {:>7} {:>7}  us for 16 KB decoded", "", "least", "median", "most");

    let packed = [
        ("gzip", "gzip", pages.iter().map(|page| gzip(page)).collect::<Result<Vec<_>, _>>()?),
        ("br", "br", pages.iter().map(|page| brotli(page)).collect::<Result<Vec<_>, _>>()?),
        (
            "zstd",
            "zstd",
            pages.iter().map(|page| zstd::encode_all(&page[..], 3)).collect::<Result<_, _>>()?,
        ),
    ];
    for (what, coding, packed) in &packed {
        let sent: usize = packed.iter().map(Vec::len).sum();
        let share = sent * 100 / bytes;
        measure(&format!("decoding {what} ({share} % sent)"), packed, bytes, |page| {
            let codings = Codings::parse(coding).unwrap_or_default();
            let mut decoder = Decoder::new(codings, DecodeLimits::default());
            for piece in page.chunks(PIECE_BYTES) {
                black_box(decoder.push(piece, &mut |decoded| {
                    black_box(decoded);
                }));
            }
        });
    }
    measure("characters: UTF-8 as it is", &pages, bytes, |page| characters(page, Some("utf-8")));
    measure("characters: from windows-1252", &pages, bytes, |page| {
        characters(page, Some("latin1"))
    });
    measure("characters: by the page itself", &pages, bytes, |page| characters(page, None));
    let mut texts = 0;
    measure("text of HTML", &pages, bytes, |page| {
        texts += black_box(text(Format::Html, page)).read_bytes();
    });
    let texts: u64 = pages.iter().map(|page| text(Format::Html, page).read_bytes()).sum();
    println!("    {} % of a page is text", texts * 100 / bytes as u64);
    streams(&pages);

    let phrases = phrases(&pages)?;
    println!("all of it, without phrases and with {}", phrases.len());
    let mut scratch = Scratch::default();
    let (mut worst, mut worst_read) = (0.0_f64, 0.0_f64);
    for (what, coding, packed) in &packed {
        let head = PageHead {
            content_type: Some("text/html"),
            content_encoding: coding,
            ..PageHead::default()
        };
        let us = measure(&format!("{what}, read"), packed, bytes, |page| {
            scan(&head, page, &mut Nothing);
        });
        worst_read = worst_read.max(us);
        let us = measure(&format!("{what}, read and scanned"), packed, bytes, |page| {
            scan(&head, page, &mut ByPhrases(phrases.start(&mut scratch)));
        });
        worst = worst.max(us);
    }
    hostile();
    let verdict = |us: f64, goal: f64| if us <= goal { "met" } else { "missed" };
    println!("\ngoal {READ_GOAL_US} us read: {}", verdict(worst_read, READ_GOAL_US));
    println!("goal {GOAL_US} us read and scanned: {}", verdict(worst, GOAL_US));
    Ok(())
}

fn pages() -> Result<Vec<Vec<u8>>, AnyError> {
    let shared = std::env::var_os("SCHOOLGATE_SHARED");
    let shared = shared.map(|shared| PathBuf::from(shared).join("data/pages/readability"));
    let mut pages = Vec::new();
    if let Some(folder) = shared.filter(|folder| folder.is_dir()) {
        println!("pages of {}", folder.display());
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<_>>()?;
        paths.retain(|path| path.extension().is_some_and(|end| end == "gz"));
        paths.sort();
        for path in paths {
            let mut page = Vec::new();
            flate2::read::GzDecoder::new(std::fs::File::open(path)?).read_to_end(&mut page)?;
            pages.push(page);
        }
    } else {
        println!("SCHOOLGATE_SHARED is not set: our documents as pages");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
        for entry in std::fs::read_dir(root)? {
            let Ok(document) = std::fs::read_to_string(entry?.path()) else { continue };
            let lines = document.lines().map(|line| {
                format!("<p class=\"line\"><a href=\"#\" title=\"line\">&sect;</a> {line}</p>\n")
            });
            pages.push(lines.collect::<String>().into_bytes());
        }
    }
    pages.iter_mut().for_each(|page| page.truncate(MOST_BYTES));
    Ok(pages)
}

fn gzip(page: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(page)?;
    encoder.finish()
}

fn brotli(page: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packed = Vec::new();
    let mut encoder = brotli::CompressorWriter::new(&mut packed, 4096, 5, 22);
    encoder.write_all(page)?;
    drop(encoder);
    Ok(packed)
}

fn characters(page: &[u8], label: Option<&str>) {
    let mut charset = Charset::new(Telling::Page, label, None);
    for piece in page.chunks(PIECE_BYTES) {
        charset.push(piece, &mut |text| {
            black_box(text);
        });
    }
    charset.end(&mut |text| {
        black_box(text);
    });
}

fn text(format: Format, page: &[u8]) -> Text {
    let mut extractor = Extractor::new(format);
    let mut text = Text::default();
    for piece in page.chunks(PIECE_BYTES) {
        extractor.push(piece, &mut text);
        text.read(&mut |read| {
            black_box(read);
        });
    }
    extractor.end(&mut text);
    text.read_last(&mut |read| {
        black_box(read);
    });
    text
}

/// The same pages as JSON, and as an assistant would send them: some letters an event.
fn streams(pages: &[Vec<u8>]) {
    let texts = pages.iter().map(|page| String::from_utf8_lossy(page));
    let json: Vec<Vec<u8>> = texts
        .clone()
        .map(|page| serde_json::json!([{ "title": "page", "body": page }]).to_string().into_bytes())
        .collect();
    let bytes = json.iter().map(Vec::len).sum();
    measure("text of JSON", &json, bytes, |page| {
        black_box(text(Format::Json, page));
    });
    let events: Vec<Vec<u8>> = texts
        .map(|page| {
            let letters: Vec<char> = page.chars().take(4096).collect();
            let event = |piece: &[char]| {
                let piece: String = piece.iter().collect();
                let delta = serde_json::json!({
                    "id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "made-up",
                    "choices": [{ "index": 0, "delta": { "content": piece }, "finish_reason": null }],
                });
                format!("data: {delta}\n\n")
            };
            letters.chunks(4).map(event).collect::<String>().into_bytes()
        })
        .collect();
    let bytes = events.iter().map(Vec::len).sum();
    measure("text of an event stream", &events, bytes, |page| {
        black_box(text(Format::Events, page));
    });
}

/// Three thousand phrases made of the pages' own words, that are rare in them.
fn phrases(pages: &[Vec<u8>]) -> Result<Phrases, AnyError> {
    let mut builder = PhrasesBuilder::default();
    let mut words = Vec::new();
    for page in pages {
        let mut extractor = Extractor::new(Format::Html);
        let mut gathered = Text::default();
        extractor.push(page, &mut gathered);
        gathered.read(&mut |text| {
            words.extend(text.split_whitespace().filter(|word| word.len() > 4).map(str::to_owned));
        });
    }
    let step = (words.len() / 3000).max(1);
    for pair in words.chunks(step) {
        if let [first, .., last] = pair {
            let phrase = format!(" {first} {last} ");
            // Words that are nothing but marks make no phrase.
            let _ = builder.add("made-up", Effect::Weigh(Weight::Points(1)), &[&phrase]);
        }
    }
    Ok(builder.finish()?)
}

struct Nothing;

impl Scorer for Nothing {
    fn feed(&mut self, text: &str) {
        black_box(text);
    }

    fn is_over(&mut self) -> bool {
        false
    }
}

struct ByPhrases<'s>(Scan<'s>);

impl Scorer for ByPhrases<'_> {
    fn feed(&mut self, text: &str) {
        self.0.feed(text);
    }

    fn is_over(&mut self) -> bool {
        false
    }
}

fn scan(head: &PageHead<'_>, page: &[u8], scorer: &mut dyn Scorer) {
    let Ok(Some(mut scan)) = PageScan::new(head, PageLimits::default()) else { return };
    for piece in page.chunks(PIECE_BYTES) {
        black_box(scan.push(piece, scorer));
    }
    black_box(scan.end(scorer));
}

/// Bodies made to be slow, by what 16 KB of them take.
fn hostile() {
    println!("made to be slow");
    let made: [(&str, &str); 10] = [
        ("<", "<"),
        ("tags of one letter", "<a>"),
        ("attributes", "<a title=x title=y z>"),
        ("an unclosed tag", "x=y "),
        ("references", "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("known references", "&CounterClockwiseContourIntegral;"),
        ("comments", "<!---->"),
        ("scripts", "<script><!--<script></script></script>"),
        ("blanks and words", "a  b  "),
        ("titles", "<title></title>"),
    ];
    for (what, piece) in made {
        let start = if what == "an unclosed tag" { "<a " } else { "" };
        let page = start.to_owned() + &piece.repeat(PAGE_BYTES / piece.len());
        let page = vec![page.into_bytes()];
        measure(what, &page, PAGE_BYTES, |page| {
            black_box(text(Format::Html, page));
        });
    }
    let streams = [
        ("values that take turns", "data: {\"a\":\"x\",\"b\":\"y\"}\n\n"),
        ("short events", "data:x\n\n"),
        ("JSON in JSON", "data: \"[\\\"[\\\\\\\"a\\\\\\\"]\\\"]\"\n\n"),
        ("brackets", "data: [[[[[[[[\n\n"),
    ];
    for (what, piece) in streams {
        let page = vec![piece.repeat(PAGE_BYTES / piece.len()).into_bytes()];
        measure(what, &page, PAGE_BYTES, |page| {
            black_box(text(Format::Events, page));
        });
    }
}
