//! e2guardian's phrases, weights and limits, read by `categorizer::phrase`.
//!
//! The lists are those of Debian's package as far as the shared folder has them. A page is blocked that holds a
//! banned phrase, or whose weights come to more than a limit: by its settings file 50 is for young children, 100
//! for older ones, 160 for young adults. Each phrase counts once a page, as Debian ships it
//! (`weightedphrasemode = 2`). A page that holds an exception is let through.

use super::Fault;
use super::shared::Shared;
use categorizer::phrase::list::{self, Item, Kind, Options as Reading};
use categorizer::phrase::{Options, Phrases, PhrasesBuilder, Scratch};

/// Where the lists are, in the shared folder.
pub(crate) const FOLDER: &str = "phrases/e2guardian-debian";

/// Weights above which pages are blocked; none: any weight at all, the most that could be found.
pub(crate) const LIMITS: [i32; 4] = [0, 50, 100, 160];

/// What Debian's package includes as it is installed.
const INSTALLED: [&str; 34] = [
    "goodphrases/weighted_general",
    "goodphrases/weighted_news",
    "goodphrases/weighted_general_danish",
    "goodphrases/weighted_general_dutch",
    "goodphrases/weighted_general_malay",
    "goodphrases/weighted_general_polish",
    "goodphrases/weighted_general_portuguese",
    "goodphrases/weighted_general_swedish",
    "goodphrases/exception",
    "pornography/banned",
    "pornography/weighted",
    "pornography/weighted_chinese",
    "pornography/weighted_danish",
    "pornography/weighted_dutch",
    "pornography/weighted_french",
    "pornography/weighted_german",
    "pornography/weighted_italian",
    "pornography/weighted_malay",
    "pornography/weighted_norwegian",
    "pornography/weighted_polish",
    "pornography/weighted_portuguese",
    "pornography/weighted_russian",
    "pornography/weighted_russian_utf8",
    "pornography/weighted_spanish",
    "pornography/weighted_swedish",
    "nudism/weighted",
    "badwords/weighted_dutch",
    "badwords/weighted_french",
    "badwords/weighted_german",
    "badwords/weighted_portuguese",
    "badwords/weighted_spanish",
    "malware/weighted",
    "proxies/weighted",
    "warezhacking/weighted",
];

/// A choice of its lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// As Debian installs it: pornography in many languages, proxies, malware, and what speaks for pages.
    Installed,
    /// All English lists that are there, and what is installed.
    English,
    /// All.
    All,
}

impl Choice {
    /// All choices.
    pub(crate) const ALL: [Self; 3] = [Self::Installed, Self::English, Self::All];

    /// Words for a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Installed => "as installed",
            Self::English => "all English lists",
            Self::All => "all lists",
        }
    }

    fn takes(self, path: &str) -> bool {
        let is_installed = INSTALLED.contains(&path);
        match self {
            Self::Installed => is_installed,
            // Lists that are no language's own have it in their names; a folder of a subject is English else.
            Self::English => is_installed || path.starts_with("ukenglish/") || is_english(path),
            Self::All => true,
        }
    }
}

/// Folders of languages, as they begin.
const LANGUAGES: [&str; 15] = [
    "chinese", "danish", "dutch", "french", "german", "italian", "japanese", "malay", "norweg",
    "polish", "portug", "russian", "spanish", "swedish", "_include",
];

fn is_english(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    LANGUAGES.iter().all(|language| !path.starts_with(language) && !file.contains(language))
}

/// One file of phrases.
pub(crate) struct PhraseFile {
    /// Its path below [`FOLDER`].
    pub path: String,
    /// What it is for.
    pub kind: Kind,
    /// As published.
    pub bytes: Vec<u8>,
}

/// The files of a choice, in the order of their names.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn files(shared: &Shared, choice: Choice) -> Result<Vec<PhraseFile>, Fault> {
    let mut folders = vec![String::new()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for name in shared.names(&format!("{FOLDER}/{folder}"))? {
            let path = format!("{folder}{name}");
            if shared.path(&format!("{FOLDER}/{path}")).is_dir() {
                folders.push(format!("{path}/"));
                continue;
            }
            let kind = match name.split('_').next() {
                Some("weighted") => Kind::Weighted,
                Some("banned") => Kind::Banned,
                Some("exception") => Kind::Exception,
                _ => continue,
            };
            if choice.takes(&path) {
                let bytes = shared.bytes(&format!("{FOLDER}/{path}"))?.unwrap_or_default();
                files.push(PhraseFile { path, kind, bytes });
            }
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

/// A choice of lists with a limit.
pub(crate) struct Scorer {
    phrases: Phrases,
    limit: i32,
}

impl Scorer {
    /// Compiles them; weights in percent are of the limit.
    ///
    /// # Errors
    /// The lists cannot be read.
    pub(crate) fn new(files: &[PhraseFile], limit: i32) -> Result<Self, Fault> {
        let limit_of_percent = if limit == 0 { 50 } else { limit };
        let options = Options { limit: limit_of_percent, ..Options::default() };
        let mut builder = PhrasesBuilder::new(options);
        for file in files {
            let reading = Reading { kind: file.kind, encoding: None };
            list::read(&file.bytes, reading, &mut |item| {
                if let Item::Entry(entry) = item {
                    // One category for all: a phrase that two lists have is one phrase to e2guardian. What
                    // is blank once normalised is refused, and finds nothing there either.
                    let _ = builder.add("", entry.effect, entry.parts);
                }
            });
        }
        let phrases = builder.finish().map_err(|refused| format!("{FOLDER}: {refused}"))?;
        Ok(Self { phrases, limit })
    }

    /// What a text weighs.
    pub(crate) fn weight(&self, text: &str, scratch: &mut Scratch) -> i64 {
        self.phrases.scan(text, scratch).weight()
    }

    /// Whether a text is blocked.
    pub(crate) fn blocks(&self, text: &str, scratch: &mut Scratch) -> bool {
        let found = self.phrases.scan(text, scratch);
        if found.excepted().is_some() {
            return false;
        }
        found.banned().is_some() || found.weight() > i64::from(self.limit)
    }

    /// Phrases and combinations.
    pub(crate) fn len(&self) -> usize {
        self.phrases.len()
    }
}

/// The setting of e2guardian that includes files of a kind.
pub(crate) fn setting_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Weighted => "weightedphraselist",
        Kind::Banned => "bannedphraselist",
        Kind::Exception => "exceptionphraselist",
    }
}
