//! Reads the phrase lists that a policy names, whatever they include, and compiles them.

use super::compile::{compiled_once, effect, weights};
use super::include;
use super::shelf::{Shelf, Thing};
use super::told::Told;
use super::{Does, Line, ListReport, PhraseLists};
use crate::named_file::Content;
use categorizer::list::Skipped;
use categorizer::phrase::list::{self, Item, Kind, Options, Report};
use categorizer::phrase::{Effect, PhrasesBuilder, Refused, Weight};
use rules::policy::{PhraseKind, PhraseList, PhrasesRead, Policy, PolicyError};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

/// Most bytes of one file, as of every file that a policy names.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Most bytes of all lists together: each policy that was ever in force is kept with them.
const MAX_BYTES: u64 = 32 << 20;
/// Most files of all lists; a server has some hundred.
const MAX_FILES: usize = 2_000;
/// Most phrases of all lists; e2guardian ships 17,700.
const MAX_PHRASES: usize = 200_000;
/// Deepest folder below the one that the policy names.
const MAX_DEPTH: usize = 16;
/// Most files that all lists include, those that are not there counted.
const MAX_INCLUDES: u64 = 2_000;
/// Faults that are told.
const MAX_FAULTS: usize = 100;

/// The lists compiled, what the policy takes of them, and the files.
pub(crate) type Read = (Arc<PhraseLists>, PhrasesRead, BTreeMap<String, Content>);

/// Reads the lists that a policy names; none where it names none.
///
/// # Errors
/// Each fault with its file and line: a list, or a file that it includes, is not there or too large, or nothing of it can
/// be read.
pub(crate) fn read(policy: &Policy, shelf: &Shelf<'_>) -> Result<Option<Read>, Vec<PolicyError>> {
    if policy.phrase_lists().is_empty() {
        return Ok(None);
    }
    let mut reading = Reading::of(shelf);
    for row in policy.phrase_lists() {
        reading.row(row);
    }
    let place = policy.phrase_lists().first().map_or("", |row| &*row.place);
    reading.finish(place).map(Some)
}

struct Reading<'s> {
    shelf: &'s Shelf<'s>,
    builder: PhrasesBuilder,
    lines: Vec<Line>,
    names: Vec<String>,
    contents: BTreeMap<String, Content>,
    bytes: u64,
    folders: Vec<String>,
    themes: u32,
    includes: u64,
    reports: Vec<ListReport>,
    warnings: Vec<String>,
    faults: Vec<PolicyError>,
    digest: Sha256,
}

/// A file that is to be read.
struct Due {
    name: String,
    kind: PhraseKind,
    /// Where it is named.
    place: String,
}

impl<'s> Reading<'s> {
    fn of(shelf: &'s Shelf<'s>) -> Self {
        Self {
            shelf,
            builder: PhrasesBuilder::default(),
            lines: Vec::new(),
            names: Vec::new(),
            contents: BTreeMap::new(),
            bytes: 0,
            folders: Vec::new(),
            themes: 0,
            includes: 0,
            reports: Vec::new(),
            warnings: Vec::new(),
            faults: Vec::new(),
            digest: Sha256::new(),
        }
    }

    fn fault(&mut self, place: &str, what: String, fix: &str) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(PolicyError { place: place.to_owned(), what, fix: fix.to_owned() });
        }
    }

    /// One `[[phrase_list]]`: its files, and what they include.
    fn row(&mut self, row: &PhraseList) {
        if let Some(theme) = row.theme_place {
            self.themes |= 1 << theme;
        }
        self.digest.update(format!("{} {} {:?}\0", row.file, row.theme, (row.limit, row.kind)));
        let faults = self.faults.len();
        let is_folder = self.shelf.thing(&row.file) == Thing::Folder;
        let mut due = VecDeque::new();
        let mut missing = Told::default();
        if is_folder {
            self.folder(row, &row.file, 0, &mut due);
        } else if let Some(kind) = row.kind.or(PhraseKind::of_name(last(&row.file))) {
            due.push_back(Due { name: row.file.clone(), kind, place: row.place.clone() });
        } else {
            let what = format!("{}: its name does not say what it does", row.file);
            self.fault(&row.place, what, "add kind = \"weighted\", \"banned\" or \"exception\"");
        }
        let mut report = ListReport {
            file: row.file.clone(),
            theme: row.theme.clone(),
            limit: row.limit,
            ..ListReport::default()
        };
        let (mut unread, mut odd, mut unheeded) =
            (Told::default(), Told::default(), Told::default());
        let mut seen: HashSet<(String, PhraseKind)> = HashSet::new();
        while let Some(next) = due.pop_front() {
            // Who is named by several, or names itself in the end, is read once.
            if !seen.insert((next.name.clone(), next.kind)) {
                continue;
            }
            let Some(content) = self.content(&next) else { continue };
            let (read, includes) = self.list(row, &next, &content, &mut unheeded);
            let shown = |it: &Skipped| format!("{}:{} {}", next.name, it.line, it.why);
            if read.lines > 0 && read.entries + read.includes == 0 {
                let first = read.examples.first();
                let place = format!("{}:{}", next.name, first.map_or(1, |line| line.line));
                let why = first.map_or("", |line| line.why);
                let what =
                    format!("nothing of it can be read as a phrase list: the first line {why}");
                self.fault(&place, what, "correct it, or take it out of the folder");
            }
            unread.add(read.skipped, read.examples.iter().map(shown));
            odd.add(read.odd, read.odd_examples.iter().map(shown));
            report.files += 1;
            report.phrases += read.entries;
            report.lines += read.lines;
            report.skipped += read.skipped;
            for (line, path) in includes {
                let missing = is_folder.then_some(&mut missing);
                self.include(&next, (line, &path), missing, &mut due);
            }
        }
        report.phrases -= unheeded.count;
        report.skipped += unheeded.count;
        if report.phrases == 0 && self.faults.len() == faults {
            let what = format!("there is no phrase in {}", row.file);
            self.fault(&row.place, what, "name the file, or the folder, that holds the lists");
        }
        let warnings = [
            unread.warning(row, "lines that cannot be read and are passed over"),
            odd.warning(row, "lines that have a slip, or say more than is heeded"),
            unheeded.warning(row, "phrases that count for no theme, as they weigh against pages"),
            missing.warning(row, "files that are included and not there"),
        ];
        self.warnings.extend(warnings.into_iter().flatten());
        self.reports.push(report);
    }

    /// The lists of a folder and those below it.
    fn folder(&mut self, row: &PhraseList, folder: &str, depth: usize, due: &mut VecDeque<Due>) {
        self.folders.push(folder.to_owned());
        if self.folders.len() > MAX_FILES {
            let what = format!("more than {MAX_FILES} folders of phrase lists");
            return self.fault(&row.place, what, "name a folder with fewer");
        }
        let entries = match self.shelf.entries(folder) {
            Ok(_) if depth > MAX_DEPTH => {
                let what = format!("{folder} lies more than {MAX_DEPTH} folders deep");
                return self.fault(&row.place, what, "move the lists further up");
            }
            Ok(entries) => entries,
            Err(why) => {
                let what = format!("cannot read {folder}: {why}");
                return self.fault(&row.place, what, "let the filter's user read it");
            }
        };
        let (mut links, mut others) = (Told::default(), Told::default());
        for entry in entries {
            let name = format!("{folder}/{}", entry.name);
            // Editors and version control leave such files.
            if entry.name.starts_with('.') || entry.name.ends_with('~') {
                continue;
            }
            let kind = PhraseKind::of_name(&entry.name).or(row.kind);
            match (entry.thing, kind) {
                (Thing::Folder, _) if entry.is_linked_folder => {
                    links.add_file(name);
                }
                (Thing::Folder, _) => self.folder(row, &name, depth + 1, due),
                (_, Some(kind)) => due.push_back(Due { name, kind, place: row.place.clone() }),
                (_, None) => others.add_file(name),
            }
            if due.len() > MAX_FILES {
                let what = format!("more than {MAX_FILES} phrase lists");
                return self.fault(&row.place, what, "name a folder with fewer");
            }
        }
        let warnings = [
            links.warning(row, "links to folders that are not read"),
            others.warning(row, "files that are not read, as their names say no kind of list"),
        ];
        self.warnings.extend(warnings.into_iter().flatten());
    }

    /// What a file holds, or a fault where it is named.
    fn content(&mut self, due: &Due) -> Option<Content> {
        if let Some(known) = self.contents.get(&due.name) {
            return Some(known.clone());
        }
        let room = MAX_BYTES.saturating_sub(self.bytes);
        let read = match self.contents.len() < MAX_FILES && room > 0 {
            true => self.shelf.read(&due.name, MAX_FILE_BYTES.min(room)),
            false => Err(std::io::Error::other(format!(
                "the lists have more than {MAX_FILES} files or {} MiB",
                MAX_BYTES >> 20
            ))),
        };
        match read {
            Ok(bytes) => {
                self.bytes += bytes.len() as u64;
                self.names.push(due.name.clone());
                let content = Content::from(bytes);
                self.contents.insert(due.name.clone(), content.clone());
                Some(content)
            }
            Err(why) => {
                let what = format!("cannot read {}: {why}", due.name);
                self.fault(&due.place, what, "correct the name, or put the list there");
                None
            }
        }
    }

    /// Takes in the phrases of one file. What it includes, by line, comes back.
    fn list(
        &mut self,
        row: &PhraseList,
        due: &Due,
        content: &Content,
        unheeded: &mut Told,
    ) -> (Report, Vec<(u64, String)>) {
        let file = self.names.iter().position(|name| *name == due.name).unwrap_or_default() as u32;
        let kind = match due.kind {
            PhraseKind::Weighted => Kind::Weighted,
            PhraseKind::Banned => Kind::Banned,
            PhraseKind::Exception => Kind::Exception,
        };
        let mut includes = Vec::new();
        let (mut refused, mut is_full) = (Told::default(), false);
        let Self { builder, lines, .. } = self;
        let options = Options { kind, encoding: None };
        let mut report = list::read(content.bytes(), options, &mut |item| {
            let entry = match item {
                Item::Include { line, path, .. } => return includes.push((line, path.to_owned())),
                Item::Entry(entry) => entry,
            };
            let (does, weight) = effect(entry.effect, row.limit);
            let counts_against = does == Does::Bans || does == Does::Weighs && weight > 0;
            if row.theme_place.is_none() && counts_against {
                let place = format!("{}:{}", due.name, entry.line);
                return unheeded.add(1, std::iter::once(place));
            }
            let taken = match entry.effect {
                Effect::Weigh(_) => Effect::Weigh(Weight::Points(weight)),
                other => other,
            };
            let line = Line {
                file,
                line: u32::try_from(entry.line).unwrap_or(u32::MAX),
                weight,
                limit: row.limit,
                theme: row.theme_place.and_then(|theme| u8::try_from(theme).ok()),
                does,
            };
            if lines.len() >= MAX_PHRASES {
                is_full = true;
                return;
            }
            match builder.add(&row.theme, taken, entry.parts) {
                Ok(number) if number as usize == lines.len() => lines.push(line),
                // Lists repeat each other: the weight farther from nothing holds, as in the builder.
                Ok(number) => {
                    if let Some(known) = lines.get_mut(number as usize)
                        && line.weight.unsigned_abs() > known.weight.unsigned_abs()
                    {
                        *known = line;
                    }
                }
                Err(Refused::Full) => is_full = true,
                Err(why) => {
                    refused.add(1, std::iter::once(format!("{}:{} {why}", due.name, entry.line)));
                }
            }
        });
        if is_full {
            let what = format!("the lists have more than {MAX_PHRASES} phrases");
            self.fault(&row.place, what, "name fewer lists");
        }
        report.entries -= refused.count;
        report.skipped += refused.count;
        if let Some(warning) = refused.warning(row, "phrases that cannot be looked for") {
            self.warnings.push(warning);
        }
        (report, includes)
    }

    /// A file that another one names. Where all of a folder is read, nothing that is there is missed for an include of
    /// what is not; where one file is named, that says what is in force, and a part of it is not.
    fn include(
        &mut self,
        from: &Due,
        (line, path): (u64, &str),
        missing: Option<&mut Told>,
        due: &mut VecDeque<Due>,
    ) {
        let place = format!("{}:{line}", from.name);
        self.includes += 1;
        if self.includes > MAX_INCLUDES {
            let what = format!("the lists include more than {MAX_INCLUDES} files");
            return self.fault(&place, what, "name fewer lists");
        }
        let found = include::find(self.shelf, &from.name, path);
        match found {
            Some(name) => {
                let kind = PhraseKind::of_name(last(&name)).unwrap_or(from.kind);
                due.push_back(Due { name, kind, place });
            }
            None if let Some(missing) = missing => missing.add_file(format!("{place} {path}")),
            None => {
                let what = format!("{path} is included and not there");
                let fix = match from.name.split_once('/') {
                    Some((top, _)) => {
                        format!("copy it to its place below {top}, or remove the line")
                    }
                    None => "put the lists into a folder of their own beside the policy".to_owned(),
                };
                self.fault(&place, what, &fix);
            }
        }
    }

    fn finish(mut self, place: &str) -> Result<Read, Vec<PolicyError>> {
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        for (name, content) in &self.contents {
            self.digest.update(format!("{name} {}\0", content.bytes().len()));
            self.digest.update(content.bytes());
        }
        let digest: [u8; 32] = self.digest.finalize().into();
        let compiled = compiled_once(digest, || {
            let phrases = self.builder.finish()?;
            let weights = Arc::new(weights(&phrases, &self.lines));
            Ok(PhraseLists {
                phrases,
                lines: self.lines.into(),
                files: self.names.into(),
                reports: self.reports,
                themes: self.themes,
                weights,
            })
        });
        let lists = compiled.map_err(|refused: Refused| {
            let what = format!("the phrase lists cannot be compiled: {refused}");
            vec![PolicyError { place: place.to_owned(), what, fix: "name fewer lists".to_owned() }]
        })?;
        self.folders.sort();
        self.folders.dedup();
        let read = PhrasesRead {
            files: self.contents.keys().cloned().collect(),
            folders: self.folders,
            weights: Arc::clone(&lists.weights),
            warnings: self.warnings,
        };
        Ok((lists, read, self.contents))
    }
}

/// A file's own name.
fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
