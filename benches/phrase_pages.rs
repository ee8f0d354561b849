//! Texts to look through, in pages of 16 KB.

use crate::names::Random;
use crate::{AnyError, PAGE_BYTES, phrase_sets};
use categorizer::phrase::{Phrases, Scratch};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Pages of each kind.
const PAGES: usize = 24;

/// Texts by kind.
pub(crate) struct Pages {
    kinds: Vec<(String, Vec<String>)>,
}

impl Pages {
    /// Real pages where there are some, else the documents; and texts made of the phrases.
    pub(crate) fn new(
        data: Option<&Path>,
        documents: &[String],
        phrases: &Phrases,
    ) -> Result<Self, AnyError> {
        let mut kinds = Vec::new();
        match data {
            Some(data) => {
                let (english, others) = real(data)?;
                kinds.push(("clean English pages".to_owned(), cut(&english, PAGES)));
                kinds.push(("pages in other languages".to_owned(), cut(&others, PAGES)));
            }
            None => kinds.push(("clean pages (documents)".to_owned(), cut(documents, PAGES))),
        }
        let texts = phrase_sets::texts(phrases);
        let mut random = Random(3);
        let few = kinds[0].1.iter().map(|page| with_phrases(page, &texts, 20, &mut random));
        kinds.push(("clean pages with 20 phrases put in".to_owned(), few.collect()));
        let mut shuffled = texts.clone();
        random.shuffle(&mut shuffled);
        kinds.push(("slow: phrases, one after another".to_owned(), cut(&shuffled, PAGES)));
        let changed: Vec<String> = shuffled.iter().map(|text| without_last(text)).collect();
        kinds.push(("slow: phrases without their last letter".to_owned(), cut(&changed, PAGES)));
        kinds.push(("slow: the slowest phrases, repeated".to_owned(), slowest(&texts, phrases)));
        Ok(Self { kinds })
    }

    /// All kinds, with their names.
    pub(crate) fn all(&self) -> &[(String, Vec<String>)] {
        &self.kinds
    }

    /// Those that most pages are like.
    pub(crate) fn clean(&self) -> &[String] {
        &self.kinds[0].1
    }

    /// Those that are made of the phrases, one after another.
    pub(crate) fn slow(&self) -> &[String] {
        &self.kinds[self.kinds.len() - 3].1
    }
}

/// Our own documents, the only ordinary text that is always there.
pub(crate) fn documents() -> Result<Vec<String>, AnyError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("README.md"), root.join("ARCHITECTURE.md")];
    for folder in [root.join("docs"), root.join("docs/adr")] {
        for entry in std::fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
    }
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    paths.sort();
    paths.into_iter().map(|path| Ok(std::fs::read_to_string(path)?)).collect()
}

/// The texts of real pages: those in English, and those in other languages.
fn real(data: &Path) -> Result<(Vec<String>, Vec<String>), AnyError> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(data.join("pages/readability"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "gz"));
    paths.sort();
    let (mut english, mut others) = (Vec::new(), Vec::new());
    for path in paths {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(std::fs::File::open(path)?).read_to_end(&mut bytes)?;
        let text = text_of(&String::from_utf8_lossy(&bytes));
        let articles = [" the ", " of ", " and "].map(|word| text.matches(word).count());
        let is_english = articles.iter().sum::<usize>() * 250 > text.len();
        if is_english { english.push(text) } else { others.push(text) }
    }
    Ok((english, others))
}

/// The text of a page, roughly: no tags, scripts and styles, and the commonest references.
fn text_of(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some(begin) = rest.find('<') {
        text.push_str(&rest[..begin]);
        rest = &rest[begin..];
        let lower =
            |name: &str| rest.get(1..=name.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(name));
        let end = if lower("script") {
            rest.find("</script").or(rest.find("</SCRIPT"))
        } else if lower("style") {
            rest.find("</style").or(rest.find("</STYLE"))
        } else if lower("!--") {
            rest.find("-->")
        } else {
            None
        };
        rest = &rest[end.unwrap_or(0)..];
        rest = rest.split_once('>').map_or("", |(_, after)| after);
        text.push(' ');
    }
    text.push_str(rest);
    for (reference, letter) in [("&nbsp;", " "), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")] {
        text = text.replace(reference, letter);
    }
    // As the text of a page comes out of a parser: without the source's indents.
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Joins texts and cuts them into pages, spread over all of them.
fn cut(texts: &[String], count: usize) -> Vec<String> {
    let mut whole = texts.join("\n");
    while whole.len() < PAGE_BYTES {
        whole = whole.clone() + "\n" + &whole;
    }
    let step = ((whole.len() - PAGE_BYTES) / count).max(1);
    (0..count)
        .map(|page| page * step)
        .filter(|start| start + PAGE_BYTES <= whole.len())
        .map(|start| {
            let bytes = &whole.as_bytes()[start..start + PAGE_BYTES];
            String::from_utf8_lossy(bytes).into_owned()
        })
        .collect()
}

/// A page with so many of the phrases at random places.
fn with_phrases(page: &str, texts: &[String], count: usize, random: &mut Random) -> String {
    let mut words: Vec<&str> = page.split(' ').collect();
    for _ in 0..count {
        words.insert(random.below(words.len()), texts[random.below(texts.len())].as_str());
    }
    words.join(" ")
}

fn without_last(text: &str) -> String {
    let end = text.trim_end().char_indices().last().map_or(0, |(at, _)| at);
    text[..end].to_owned() + "~"
}

/// Pages that each repeat one text, those that take longest: phrases whole, without their ends, and
/// pieces of some bytes of them, which are where windows stand close.
fn slowest(texts: &[String], phrases: &Phrases) -> Vec<String> {
    let mut scratch = Scratch::default();
    let mut candidates: Vec<String> = texts.to_vec();
    candidates.extend(texts.iter().map(|text| text.trim().to_owned()));
    for text in texts.iter().filter(|text| text.is_ascii()) {
        for size in [4, 5, 6, 8] {
            candidates.extend(
                (0..text.len().saturating_sub(size)).map(|at| text[at..at + size].to_owned()),
            );
        }
    }
    candidates.sort();
    candidates.dedup();
    candidates.retain(|text| !text.is_empty());
    let mut timed: Vec<_> = candidates
        .into_iter()
        .map(|text| {
            let page = text.repeat(2048 / text.len() + 1);
            let mut once = || {
                let started = Instant::now();
                std::hint::black_box(phrases.scan(&page, &mut scratch).weight());
                started.elapsed().as_nanos() as usize / page.len().div_ceil(64)
            };
            // The least of some, for what else the machine does comes on top.
            ((0..3).map(|_| once()).min().unwrap_or(0), text)
        })
        .collect();
    timed.sort_by(|left, right| right.cmp(left));
    timed.truncate(PAGES);
    timed.into_iter().map(|(_, text)| text.repeat(PAGE_BYTES / text.len())).collect()
}
