//! Finding phrases in pages: `cargo bench --bench phrases`.
//!
//! Prints what compiling takes, and microseconds of processor time for 16 KB of normalised text,
//! normalising included: clean pages, pages with hits, texts made to be slow; and the same by
//! daachorse, an automaton. Where `SCHOOLGATE_SHARED` names real phrases and pages, once by
//! e2guardian's lists as they are (17,600 phrases, many of them twice) and once with made-up ones
//! added, until there are 16,000 different texts. Without, all phrases are made up of the words of
//! this project's documents, and the documents are the pages: half the words of the phrases stand in
//! them, so that far more is found than in pages that are about something else.

mod allocations;
#[allow(dead_code, reason = "only its random numbers are used here")]
mod names;
mod phrase_pages;
mod phrase_sets;

use allocations::ALLOCATIONS;
use categorizer::phrase::{
    Effect, MAX_PHRASE_BYTES, Options, Phrases, PhrasesBuilder, Scratch, Weight, normalise,
};
use phrase_pages::Pages;
use phrase_sets::Entry;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

type AnyError = Box<dyn std::error::Error>;

/// What a figure is for, in bytes of normalised text.
pub const PAGE_BYTES: usize = 16 << 10;
/// Microseconds of processor time for a page.
const MUST_US: f64 = 270.0;
const GOAL_US: f64 = 90.0;
/// What e2guardian takes, by the same measure.
const E2GUARDIAN_US: f64 = 5_400.0;
/// How often a figure is taken, and for how long each time at least.
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(60);

/// Processor time of this thread.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Least, middle and most microseconds for 16 KB of normalised text.
#[derive(Clone, Copy)]
struct Spread([f64; 3]);

/// Times a call on each page in turn.
fn measure(pages: &[String], mut call: impl FnMut(&str)) -> Spread {
    let bytes: usize = pages.iter().map(|page| normalise::page(page).len()).sum();
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
    Spread([rounds[0], rounds[ROUNDS / 2], rounds[ROUNDS - 1]])
}

fn main() -> Result<(), AnyError> {
    let shared = std::env::var_os("SCHOOLGATE_SHARED");
    let shared = shared.map(|shared| PathBuf::from(shared).join("data"));
    let shared = shared.filter(|data| data.is_dir());
    let documents = phrase_pages::documents()?;
    let mut entries = Vec::new();
    let mut missed = 0;
    if let Some(data) = &shared {
        println!("phrases and pages of {}\n\ne2guardian's lists", data.display());
        entries = phrase_sets::shipped(data)?;
        missed += by_set(&entries, Some(data), &documents)?;
        println!("\ne2guardian's lists and made-up phrases");
    } else {
        println!("SCHOOLGATE_SHARED is not set: made-up phrases, and our documents as pages");
    }
    phrase_sets::top_up(&mut entries, &documents);
    missed += by_set(&entries, shared.as_deref(), &documents)?;
    hostile_list();
    println!("\nmust {MUST_US} us, goal {GOAL_US} us; {missed} rows miss the must");
    println!("e2guardian takes {E2GUARDIAN_US} us for 16 KB, as given and not measured here");
    Ok(())
}

/// A list made to be slow: all phrases share all their windows, and all of them are found at every
/// place of a page of one letter.
fn hostile_list() {
    let mut builder = PhrasesBuilder::new(Options::default());
    for length in 1..=MAX_PHRASE_BYTES {
        let text = "a".repeat(length);
        let added = builder.add("", Effect::Weigh(Weight::Points(1)), &[&text]);
        debug_assert!(added.is_ok());
    }
    let phrases = builder.finish().expect("256 phrases are not too many");
    let mut scratch = Scratch::default();
    let spread = measure(&["a".repeat(PAGE_BYTES)], |text| {
        black_box(phrases.scan(black_box(text), &mut scratch).weight());
    });
    println!("\nA list and a page of one letter: the letter once to {MAX_PHRASE_BYTES} times");
    row("slow: the page of that letter", spread, "every phrase at every place");
}

/// Measures all pages by one set of phrases, and says how many rows miss the must.
fn by_set(entries: &[Entry], data: Option<&Path>, documents: &[String]) -> Result<usize, AnyError> {
    let started = Instant::now();
    let phrases = compile(entries);
    println!(
        "{} phrases of {} texts compiled in {:.0} ms; {} KB",
        phrases.len(),
        phrases.texts(),
        started.elapsed().as_secs_f64() * 1e3,
        phrases.memory_bytes() >> 10
    );
    let pages = Pages::new(data, documents, &phrases)?;
    println!("{:<46} {:>7} {:>7} {:>7}  us a page of 16 KB", "", "least", "median", "most");
    let mut scratch = Scratch::default();
    let mut missed = 0;
    let mut clean_us = 0.0;
    for (what, texts) in pages.all() {
        black_box(phrases.scan(&texts.concat(), &mut scratch).weight());
        let (mut found, mut scanned, mut allocations) = (0, 0, 0);
        let spread = measure(texts, |text| {
            let before = ALLOCATIONS.get();
            found += black_box(phrases.scan(black_box(text), &mut scratch)).matches().count();
            allocations += ALLOCATIONS.get() - before;
            scanned += 1;
        });
        let median_us = spread.0[1];
        let mut note =
            format!("{} phrases and {allocations} allocations a page; ", found / scanned);
        if what.starts_with("slow") {
            note += &format!("{:.1} times a clean page", median_us / clean_us);
        } else {
            note += verdict(median_us);
            missed += usize::from(median_us > MUST_US);
            clean_us = if clean_us == 0.0 { median_us } else { clean_us };
        }
        row(what, spread, &note);
    }
    let clean = pages.clean();
    let normalising = measure(clean, |text| {
        black_box(normalise::page(black_box(text)));
    });
    row("normalising alone, clean pages", normalising, "with an allocation");
    phrase_sets::automata(&phrases, |what, search| {
        let mut seen = vec![0_u32; phrases.texts()];
        for (kind, texts) in [("clean", clean), ("slow, phrases", pages.slow())] {
            let spread = measure(texts, |text| {
                search(&normalise::page(text), &mut seen);
                black_box(&seen);
            });
            row(&format!("{what}, {kind}"), spread, "normalising and finding, no sums");
        }
    })?;
    Ok(missed)
}

fn compile(entries: &[Entry]) -> Phrases {
    let mut builder = PhrasesBuilder::new(Options::default());
    let mut refused = 0;
    for (category, effect, parts) in entries {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        refused += u64::from(builder.add(category, *effect, &parts).is_err());
    }
    println!("{} entries, {} repeated, {refused} refused", entries.len(), builder.repeated());
    builder.finish().expect("lists of a few megabytes are not too many")
}

fn row(what: &str, Spread([least, median, most]): Spread, note: &str) {
    println!("{what:<46} {least:>7.1} {median:>7.1} {most:>7.1}  {note}");
}

fn verdict(median_us: f64) -> &'static str {
    if median_us <= GOAL_US {
        "must and goal met"
    } else if median_us <= MUST_US {
        "must met, goal missed"
    } else {
        "must MISSED"
    }
}
