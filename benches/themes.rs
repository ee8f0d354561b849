//! Scoring by themes: `cargo bench --bench themes`.
//!
//! Prints what compiling the shipped packs takes, and microseconds of processor time for a search and for 16 KB
//! of a page; and texts made to be slow. Pages are this project's documents, which speak of filters and pupils all
//! the time, so that much is found in them; and where `SCHOOLGATE_SHARED` names real pages, all of them.

mod allocations;

use allocations::ALLOCATIONS;
use categorizer::theme::{Progress, Scratch, Themes};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a figure is for, in bytes.
const PAGE_BYTES: usize = 16 << 10;
const SEARCH_GOAL_US: f64 = 20.0;
const PAGE_GOAL_US: f64 = 80.0;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(60);

const SEARCHES: [&str; 8] = [
    "how to make a poster about the water cycle",
    "football results premier league",
    "macbeth key quotes act 1 scene 7 analysis",
    "asdfghjkl qwertyuiop zxcvbnm",
    "best vpn for school chromebook",
    "su1c1de ways p o r n",
    "what is the capital of france and why is it not lyon or marseille",
    "is it ok to say no to a friend who wants to copy my homework every day",
];

/// Processor time of this thread.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The median of some rounds, in microseconds a call.
fn measure(mut call: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (before, mut times) = (processor_time(), 0);
            loop {
                call();
                times += 1;
                let taken = processor_time() - before;
                if taken >= ROUND {
                    break taken.as_secs_f64() * 1e6 / f64::from(times);
                }
            }
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

/// The text of real pages, roughly: what stands between tags.
fn real_pages(folder: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let mut paths: Vec<_> = std::fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    paths.sort();
    for path in paths.iter().filter(|path| path.to_string_lossy().contains(".html")) {
        let mut bytes = std::fs::read(path)?;
        if path.extension().is_some_and(|extension| extension == "gz") {
            let packed = std::mem::take(&mut bytes);
            flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut bytes)?;
        }
        let html = String::from_utf8_lossy(&bytes);
        for piece in html.split('<') {
            let (tag, rest) = piece.split_once('>').unwrap_or(("", piece));
            if !tag.starts_with("script") && !tag.starts_with("style") {
                text.push_str(rest);
                text.push(' ');
            }
        }
    }
    Ok(text)
}

/// A page of sentences that are harmless and hard to tell from others: they share words with a theme.
fn hard_page() -> std::io::Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/themes");
    let text = std::fs::read_to_string(folder.join("texts.tsv"))?;
    let sentences =
        text.lines().filter_map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
            [_, "", _, _, "en", sentence] => Some(format!("{sentence}\n")),
            _ => None,
        });
    let mut page: String = sentences.cycle().take(2_000).collect();
    page.truncate(page.floor_char_boundary(PAGE_BYTES));
    Ok(page)
}

/// What a page costs that comes in pieces and is judged after each: each passage once, or all of it again each time.
fn coming_in_pieces(themes: &Themes, page: &str) {
    let mut scratch = Scratch::default();
    for pieces in [2, 4, 8] {
        let ends: Vec<usize> = (1..=pieces)
            .map(|piece| page.floor_char_boundary(page.len() * piece / pieces))
            .collect();
        let once = measure(|| {
            let (mut progress, mut from) = (Progress::default(), 0);
            for &end in &ends {
                let found = themes.read_on(&page[from..end], &mut progress, &mut scratch);
                black_box(found.score(0));
                from = end;
            }
        });
        let again = measure(|| {
            for &end in &ends {
                black_box(themes.score_page(black_box(&page[..end]), &mut scratch).score(0));
            }
        });
        println!(
            "{once:>9.1} us  the same in {pieces} pieces, each judged as it comes; all again each time: {again:.1}"
        );
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let themes = Themes::shipped();
    println!(
        "{} phrases of {} words compiled in {:.0} ms; {} KB",
        themes.phrases(),
        themes.words(),
        started.elapsed().as_secs_f64() * 1e3,
        themes.memory_bytes() >> 10
    );
    let mut scratch = Scratch::default();
    let mut row = |what: &str, goal_us: Option<f64>, text: &str, is_typed: bool| {
        let mut score = || {
            let found = if is_typed {
                themes.score_typed(black_box(text), &mut scratch)
            } else {
                themes.score_page(black_box(text), &mut scratch)
            };
            black_box(found.score(0));
        };
        score();
        let before = ALLOCATIONS.get();
        score();
        let allocations = ALLOCATIONS.get() - before;
        let median_us = measure(score);
        let verdict = match goal_us {
            Some(goal_us) if median_us <= goal_us => "goal met",
            Some(_) => "goal MISSED",
            None => "",
        };
        println!("{median_us:>9.1} us  {allocations} allocations  {what}  {verdict}");
    };
    for search in SEARCHES {
        row(search, Some(SEARCH_GOAL_US), search, true);
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for name in ["technician.md", "dsl.md", "audit.md", "log.md"] {
        let text = std::fs::read_to_string(docs.join(name))?;
        let text = text.repeat(PAGE_BYTES / text.len() + 1);
        let text = &text[..text.floor_char_boundary(PAGE_BYTES)];
        row(&format!("16 KB of {name}"), Some(PAGE_GOAL_US), text, false);
    }
    if let Some(shared) = std::env::var_os("SCHOOLGATE_SHARED") {
        let text = real_pages(&Path::new(&shared).join("data/pages/readability"))?;
        let mut scratch = Scratch::default();
        let mut score = || {
            black_box(themes.score_page(black_box(&text), &mut scratch).score(0));
        };
        score();
        let median_us = measure(score) * PAGE_BYTES as f64 / text.len() as f64;
        println!(
            "{median_us:>9.1} us  16 KB of real pages, on average, of {} KB",
            text.len() >> 10
        );
    }
    let hard = hard_page()?;
    row("16 KB of hard sentences", None, &hard, false);
    coming_in_pieces(&themes, &hard);
    for (what, piece) in [
        ("phrases", "how to kill myself "),
        ("words of many groups", "how to get my school sex "),
        ("marks", "\u{301}"),
        ("Arabic", "أريد أن أعرف المزيد عن التاريخ القديم "),
    ] {
        row(&format!("16 KB, slow: {what}"), None, &piece.repeat(PAGE_BYTES / piece.len()), false);
    }
    row("4 KB typed, slow: signs", None, &"!*@$1*! ".repeat(512), true);
    Ok(())
}
