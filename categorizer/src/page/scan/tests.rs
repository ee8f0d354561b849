#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::Write;

use super::*;
use crate::phrase::{Effect, PhrasesBuilder, Scan, Scratch, Weight};

/// Flags what holds a word.
struct Word {
    seen: String,
    word: &'static str,
}

impl Scorer for Word {
    fn feed(&mut self, text: &str) {
        self.seen.push_str(text);
    }

    fn is_over(&mut self) -> bool {
        self.seen.contains(self.word)
    }
}

fn word(word: &'static str) -> Word {
    Word { seen: String::new(), word }
}

fn start(content_type: &str, content_encoding: &str, limits: PageLimits) -> PageScan {
    let head =
        PageHead { content_type: Some(content_type), content_encoding, ..PageHead::default() };
    PageScan::new(&head, limits).unwrap().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_page_is_held_until_it_is_flagged_ends_or_is_long_enough() {
    let limits = PageLimits { hold_encoded_bytes: 100, ..PageLimits::default() };
    let mut scan = start("text/html", "", limits);
    let mut scorer = word("casino");
    assert_eq!(scan.push(&[b'a'; 99], &mut scorer), Step::Hold);
    assert_eq!(scan.push(b" ", &mut scorer), Step::Release);
    let mut scan = start("text/html", "", limits);
    assert_eq!(scan.push(b"a", &mut scorer), Step::Hold);
    assert_eq!(scan.end(&mut scorer), Step::Release);
}

#[test]
fn a_flag_comes_before_or_behind_what_was_let_go() {
    let utf8 = "text/html; charset=utf-8";
    let limits = PageLimits { hold_encoded_bytes: 100, ..PageLimits::default() };
    let mut scan = start(utf8, "", limits);
    let mut scorer = word("casino");
    assert_eq!(scan.push(b"<p>cas", &mut scorer), Step::Hold);
    assert_eq!(scan.push(b"<b>ino", &mut scorer), Step::Flagged);
    assert_eq!(scan.push(b"x", &mut scorer), Step::Flagged);
    assert_eq!(scan.end(&mut scorer), Step::Flagged);

    let mut scan = start(utf8, "", limits);
    let mut scorer = word("casino");
    assert_eq!(scan.push(&[b'a'; 100], &mut scorer), Step::Release);
    assert_eq!(scan.push(b" b", &mut scorer), Step::Release);
    assert_eq!(scan.push(b" casino", &mut scorer), Step::Flagged);

    let mut scan = start(utf8, "", limits);
    let mut scorer = word("casino");
    assert_eq!(scan.push(b"a", &mut scorer), Step::Hold);
    scan.stop_holding();
    assert_eq!(scan.push(b"b", &mut scorer), Step::Release);
}

#[test]
fn a_page_that_unpacks_to_much_is_not_held_for_long() {
    let limits = PageLimits { hold_decoded_bytes: 50_000, ..PageLimits::default() };
    let sent = gzip("many words of no account ".repeat(10_000).as_bytes());
    let mut scan = start("text/html; charset=utf-8", "gzip", limits);
    assert_eq!(scan.push(&sent, &mut word("casino")), Step::Release);
    assert_eq!(scan.counts().decoded_bytes, 250_000);
    assert_eq!(scan.counts().text_bytes, 250_000);
}

#[test]
fn what_cannot_be_scanned_says_why_and_words_before_it_count() {
    let utf8 = "text/html; charset=utf-8";
    let limits = PageLimits::default();
    let bomb = gzip(&vec![b' '; 8 << 20]);
    let mut scan = start(utf8, "gzip", limits);
    let told = Step::Unscannable(Unscannable::Bomb);
    assert_eq!(scan.push(&bomb, &mut word("casino")), told);
    assert_eq!(scan.end(&mut word("casino")), told);

    let mut scan = start(utf8, "gzip", limits);
    let told = Step::Unscannable(Unscannable::Broken);
    assert_eq!(scan.push(b"no gzip", &mut word("casino")), told);

    let page = [&b"<p>casino</p>"[..], &vec![b' '; 8 << 20]].concat();
    let mut scan = start(utf8, "gzip", limits);
    assert_eq!(scan.push(&gzip(&page), &mut word("casino")), Step::Flagged);

    let decode = DecodeLimits { output_bytes: 10, ..DecodeLimits::default() };
    let mut scan = start(utf8, "", PageLimits { decode, ..limits });
    let told = Step::Unscannable(Unscannable::TooLarge);
    assert_eq!(scan.push(b"more than ten bytes", &mut word("casino")), told);

    let head = PageHead { content_encoding: "dcb", ..PageHead::default() };
    assert_eq!(PageScan::new(&head, limits).unwrap_err(), Unscannable::Coding);
    let head = PageHead { content_type: Some("image/png"), ..PageHead::default() };
    assert!(PageScan::new(&head, limits).unwrap().is_none());
}

#[test]
fn streams_are_not_held_and_are_cut_where_they_pass_the_threshold() {
    let mut scan = start("text/event-stream", "", PageLimits::default());
    let mut scorer = word("casino");
    let event = |text: &str| format!("data: {{\"delta\":\"{text}\"}}\n\n");
    assert_eq!(scan.push(event("the cas").as_bytes(), &mut scorer), Step::Release);
    assert_eq!(scan.push(event("ino").as_bytes(), &mut scorer), Step::Flagged);

    let head = PageHead { format: Some(Format::Messages), ..PageHead::default() };
    let mut scan = PageScan::new(&head, PageLimits::default()).unwrap().unwrap();
    let mut scorer = word("casino");
    for (text, expected) in [("the cas", Step::Release), ("ino", Step::Flagged)] {
        scan.push(text.as_bytes(), &mut scorer);
        assert_eq!(scan.end_message(&mut scorer), expected);
    }
}

#[test]
fn the_words_at_the_very_end_count() {
    for page in ["<p>casino", "casino", "<p>casino<", "casin&#111"] {
        let mut scan = start("text/html", "", PageLimits::default());
        let mut scorer = word("casino");
        for byte in page.bytes() {
            scan.push(&[byte], &mut scorer);
        }
        assert_eq!(scan.end(&mut scorer), Step::Flagged, "{page}");
    }
}

struct ByPhrases<'s>(Option<Scan<'s>>, i64);

impl Scorer for ByPhrases<'_> {
    fn feed(&mut self, text: &str) {
        if let Some(scan) = &mut self.0 {
            scan.feed(text);
        }
    }

    fn is_over(&mut self) -> bool {
        let limit = self.1;
        self.0.as_mut().is_some_and(|scan| scan.so_far().weight() >= limit)
    }

    fn is_over_at_end(&mut self) -> bool {
        self.0.take().is_some_and(|scan| scan.finish().weight() >= self.1)
    }
}

#[test]
fn a_page_in_another_encoding_and_any_pieces_is_scored_by_phrases() {
    let mut builder = PhrasesBuilder::default();
    builder.add("gambling", Effect::Weigh(Weight::Points(60)), &["ставки на спорт"]).unwrap();
    let phrases = builder.finish().unwrap();
    let page = "<meta charset=windows-1251><p>Ста<i>вки</i> на&nbsp;спорт</p>";
    let sent = gzip(&encoding_rs::WINDOWS_1251.encode(page).0);
    let mut scratch = Scratch::default();
    for (limit, expected) in [(60, Step::Flagged), (61, Step::Release)] {
        for size in [1, 10, 1000] {
            let mut scan = start("text/html", "gzip", PageLimits::default());
            let mut scorer = ByPhrases(Some(phrases.start(&mut scratch)), limit);
            for piece in sent.chunks(size) {
                assert_eq!(scan.push(piece, &mut scorer), Step::Hold);
            }
            assert_eq!(scan.end(&mut scorer), expected);
            assert_eq!(scan.charset(), Some("windows-1251"));
        }
    }
}

#[test]
fn a_long_page_is_flagged_by_phrases_before_its_end() {
    let mut builder = PhrasesBuilder::default();
    builder.add("gambling", Effect::Weigh(Weight::Points(60)), &["free spins"]).unwrap();
    let phrases = builder.finish().unwrap();
    let mut scratch = Scratch::default();
    let mut scan = start("text/html; charset=utf-8", "", PageLimits::default());
    let mut scorer = ByPhrases(Some(phrases.start(&mut scratch)), 60);
    assert_eq!(scan.push(b"<p>free <i>spi", &mut scorer), Step::Hold);
    let rest = format!("ns{}", " and other words".repeat(100));
    assert_eq!(scan.push(rest.as_bytes(), &mut scorer), Step::Flagged);
}

#[test]
fn what_never_was_in_its_coding_is_read_as_it_was_sent() {
    let mut scorer = word("casino");
    let mut scan = start("text/html; charset=utf-8", "gzip", PageLimits::default());
    assert!(!scan.read_as_sent(), "nothing is wrong yet");
    let broken = Step::Unscannable(Unscannable::Broken);
    assert_eq!(scan.push(b"<p>a cas", &mut scorer), broken);
    assert!(scan.read_as_sent());
    assert_eq!(scan.push(b"<p>a cas", &mut scorer), Step::Hold);
    assert_eq!(scan.push(b"ino", &mut scorer), Step::Flagged);
    // What was decoded in part is another matter.
    let mut scan = start("text/html; charset=utf-8", "gzip", PageLimits::default());
    // A block of 11 bytes as they are, and one of a kind that there is not.
    let coded = [&gzip(b"")[..10], &[0, 11, 0, 244, 255], b"<p>harmless", &[7, 7, 7, 7]].concat();
    assert_eq!(scan.push(&coded, &mut word("casino")), broken);
    assert!(!scan.read_as_sent());
}

#[test]
fn a_scan_that_is_given_up_needs_no_memory_and_says_so_until_its_end() {
    let mut scorer = word("casino");
    let mut scan = start("text/html; charset=utf-8", "gzip", PageLimits::default());
    scan.push(&gzip(b"<p>a long page")[..], &mut scorer);
    assert!(scan.window_bytes() > 0);
    let coding = Step::Unscannable(Unscannable::Coding);
    assert_eq!(scan.give_up(), coding);
    assert_eq!(scan.window_bytes(), 0);
    assert_eq!((scan.push(b"casino", &mut scorer), scan.end(&mut scorer)), (coding, coding));
    // What was found stands.
    let mut scan = start("text/html; charset=utf-8", "", PageLimits::default());
    assert_eq!(scan.push(b"<p>a casino ", &mut scorer), Step::Flagged);
    assert_eq!(scan.give_up(), Step::Flagged);
}
