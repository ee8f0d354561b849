//! Real pages, whole: their text is what another tokenizer by the standard gives, whatever pieces and
//! coding they come in.
//!
//! The pages are found through `SCHOOLGATE_SHARED`; without it this says so and passes, for the product
//! does not carry other people's pages.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::disallowed_methods, reason = "tests read files")]

use std::io::{Read, Write};
use std::path::Path;

use categorizer::page::{Extractor, Format, PageHead, PageLimits, PageScan, Scorer, Step, Text};
use html5gum::emitters::default::DefaultEmitter;
use html5gum::{Token, Tokenizer};

/// Keeps all text.
#[derive(Default)]
struct Kept(String);

impl Scorer for Kept {
    fn feed(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn is_over(&mut self) -> bool {
        false
    }
}

fn text_of(page: &[u8]) -> String {
    let (mut extractor, mut text) = (Extractor::new(Format::Html), Text::default());
    let mut read = String::new();
    extractor.push(page, &mut text);
    extractor.end(&mut text);
    text.read_last(&mut |part| read.push_str(part));
    read
}

/// All text that is shown, with a blank wherever a tag is; nothing of attributes.
fn words_between_tags(page: &str) -> Vec<String> {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let (mut text, mut hidden, mut templates, mut foreign) = (String::new(), false, 0_u32, 0_u32);
    for token in Tokenizer::new_with_emitter(page, emitter).flatten() {
        match token {
            Token::StartTag(tag) => {
                let name = tag.name.as_slice();
                hidden =
                    matches!(name, b"script" | b"style" | b"noscript" | b"noembed" | b"iframe");
                templates += u32::from(name == b"template");
                foreign += u32::from(name == b"svg" && !tag.self_closing);
                text.push(' ');
            }
            Token::EndTag(tag) => {
                hidden = false;
                templates = templates.saturating_sub(u32::from(tag.name.as_slice() == b"template"));
                foreign = foreign.saturating_sub(u32::from(tag.name.as_slice() == b"svg"));
                text.push(' ');
            }
            Token::String(string) if !hidden && templates == 0 && foreign == 0 => {
                text.push_str(&String::from_utf8_lossy(string.as_slice()));
            }
            _ => {}
        }
    }
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

#[test]
fn real_pages_have_the_text_that_another_tokenizer_finds() {
    let shared = std::env::var_os("SCHOOLGATE_SHARED");
    let folder = shared.map(|shared| Path::new(&shared).join("data/pages/readability"));
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        println!("passed over: SCHOOLGATE_SHARED names no folder with pages");
        return;
    };
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "gz"));
    paths.sort();
    let mut pages = 0;
    for path in paths {
        let mut page = Vec::new();
        let file = std::fs::File::open(&path).unwrap();
        flate2::read::GzDecoder::new(file).read_to_end(&mut page).unwrap();
        page.truncate(400_000);

        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&page).unwrap();
        let sent = encoder.finish().unwrap();
        let mut is_utf8 = true;
        let mut texts = [997, usize::MAX].map(|size| {
            let head = PageHead {
                content_type: Some("text/html"),
                content_encoding: "gzip",
                ..PageHead::default()
            };
            let mut scan = PageScan::new(&head, PageLimits::default()).unwrap().unwrap();
            let mut kept = Kept::default();
            for piece in sent.chunks(size) {
                assert!(matches!(scan.push(piece, &mut kept), Step::Hold | Step::Release));
            }
            assert_eq!(scan.end(&mut kept), Step::Release);
            is_utf8 &= scan.charset().is_none_or(|name| name == "UTF-8");
            kept.0
        });
        assert!(texts[0] == texts[1], "{}", path.display());

        // Every word stands in ours, one after another, once those are joined that tags stand within,
        // and whatever attributes come between.
        let Ok(page) = std::str::from_utf8(&page) else { continue };
        if !is_utf8 {
            // It says that it is something else, and is read so.
            continue;
        }
        // A mark of the encoding is no text.
        let page = page.trim_start_matches('\u{feff}');
        assert!(texts[0] == text_of(page.as_bytes()), "{}", path.display());
        let ours = &mut texts[0];
        let mut missing = 0;
        let words = words_between_tags(page);
        let mut at = 0;
        for word in &words {
            match ours[at..].find(word.as_str()) {
                Some(found) if found < 20_000 => at += found + word.len(),
                _ => missing += 1,
            }
        }
        assert_eq!(missing, 0, "{} of {} words of {}", missing, words.len(), path.display());
        pages += 1;
    }
    // The others are in older encodings, or cut within a letter.
    assert!(pages > 100, "{pages}");
}
