//! Checkpoints as signed notes: C2SP `tlog-checkpoint` and `signed-note`.

use super::key::Key;
use super::row::Hash;
use signed_note::{Note, StandardVerifier, VerifierList};
use thiserror::Error;

/// What begins a signature line: an em dash and a space.
const SIGNATURE: &str = "\u{2014} ";

/// The head of a tree at one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many leaves.
    pub size: u64,
    /// Root of their tree.
    pub root: Hash,
}

/// Why a note is not believed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoteFault {
    /// Not a note, or its text is no checkpoint.
    #[error("it is no checkpoint")]
    Malformed,
    /// No signature by the key asked for.
    #[error("it is not signed by the key {0}")]
    OtherKey(String),
    /// The signature does not fit the text.
    #[error("its signature is wrong: the text or the signature was changed")]
    WrongSignature,
    /// The key is none.
    #[error("the public key is malformed")]
    BadKey,
}

impl Checkpoint {
    /// Signs it: the note.
    ///
    /// # Errors
    /// [`NoteFault`] where the origin is none.
    pub fn sign(&self, key: &Key) -> Result<String, NoteFault> {
        let text = self.text()?;
        let mut note = Note::new(&text, &[]).map_err(|_| NoteFault::Malformed)?;
        note.add_sigs(&[key.signer()]).map_err(|_| NoteFault::BadKey)?;
        String::from_utf8(note.to_bytes()).map_err(|_| NoteFault::Malformed)
    }

    /// Reads a note without asking who signed it.
    ///
    /// # Errors
    /// [`NoteFault::Malformed`].
    pub fn read(note: &str) -> Result<Self, NoteFault> {
        let note = Note::from_bytes(note.as_bytes()).map_err(|_| NoteFault::Malformed)?;
        Self::of_text(note.text())
    }

    /// Reads a note that a verifier key (`NAME+ID+BASE64`) has signed.
    ///
    /// # Errors
    /// [`NoteFault`].
    pub fn verify(note: &str, public: &str) -> Result<Self, NoteFault> {
        let parsed = Note::from_bytes(note.as_bytes()).map_err(|_| NoteFault::Malformed)?;
        let verifier = StandardVerifier::new(public).map_err(|_| NoteFault::BadKey)?;
        let name = public.split('+').next().unwrap_or(public).to_owned();
        match parsed.verify(&VerifierList::new(vec![Box::new(verifier)])) {
            Ok(_) => {}
            Err(signed_note::NoteError::UnverifiedNote) => return Err(NoteFault::OtherKey(name)),
            Err(_) => return Err(NoteFault::WrongSignature),
        }
        // One spelling alone: a note that reads the same in other bytes was changed.
        if parsed.to_bytes() != note.as_bytes() {
            return Err(NoteFault::Malformed);
        }
        Self::of_text(parsed.text())
    }

    fn of_text(text: &[u8]) -> Result<Self, NoteFault> {
        let read = tlog_tiles::Checkpoint::from_bytes(text).map_err(|_| NoteFault::Malformed)?;
        Ok(Self { origin: read.origin().to_owned(), size: read.size(), root: read.hash().0 })
    }

    fn text(&self) -> Result<Vec<u8>, NoteFault> {
        let root = tlog_tiles::Hash(self.root);
        tlog_tiles::Checkpoint::new(&self.origin, self.size, root, "")
            .map(|checkpoint| checkpoint.to_bytes())
            .map_err(|_| NoteFault::Malformed)
    }

    /// `ORIGIN SIZE ROOT`, the root in base64: what can be typed off a printed page.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {} {}", self.origin, self.size, tlog_tiles::Hash(self.root))
    }

    /// Reads what [`Checkpoint::line`] gives.
    #[must_use]
    pub fn of_line(line: &str) -> Option<Self> {
        let mut parts = line.split_whitespace();
        let (origin, size, root) = (parts.next()?, parts.next()?, parts.next()?);
        let read = Self {
            origin: origin.to_owned(),
            size: size.parse().ok()?,
            root: tlog_tiles::Hash::parse_hash(root).ok()?.0,
        };
        (parts.next().is_none() && super::key::is_origin(origin)).then_some(read)
    }
}

/// The notes of a text in which they follow one another, with an empty line between; each with the
/// line that it begins in, from 1. What is no note comes as it stands.
#[must_use]
pub fn notes_in(text: &str) -> Vec<(usize, &str)> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is_signature =
        |line: usize| lines.get(line).is_some_and(|line| line.starts_with(SIGNATURE));
    let mut notes = Vec::new();
    // Where the note begins that is being read: byte and line, both from 0.
    let (mut start, mut first, mut at) = (0, 0, 0);
    for (number, line) in lines.iter().enumerate() {
        // An empty line stands before the signatures of a note, and behind it.
        let is_gap = *line == "\n" && !is_signature(number + 1);
        let is_next = number > 0 && is_signature(number - 1) && !is_signature(number);
        if (is_gap || is_next) && start < at {
            notes.push((first + 1, &text[start..at]));
            (start, first) = (at, number);
        }
        at += line.len();
        if is_gap && start + line.len() == at {
            (start, first) = (at, number + 1);
        }
    }
    if start < at {
        notes.push((first + 1, &text[start..at]));
    }
    notes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    /// The example of the Go package `note`, whose text, key and signature many tools test with.
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
         then you don't know what your problem is.\n\n\
         \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    const NOTE_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    fn key() -> (tempfile::TempDir, Key) {
        let folder = tempfile::tempdir().unwrap();
        let (key, _) = Key::open(folder.path(), Some("school.example/log"), "x").unwrap();
        (folder, key)
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "school.example/log".into(), size: 12, root: [7; 32] }
    }

    #[test]
    fn the_standard_example_of_a_note_is_signed_as_it_says_and_is_no_checkpoint() {
        let verifier = StandardVerifier::new(NOTE_KEY).unwrap();
        let note = Note::from_bytes(NOTE.as_bytes()).unwrap();
        note.verify(&VerifierList::new(vec![Box::new(verifier)])).unwrap();
        assert_eq!(Checkpoint::verify(NOTE, NOTE_KEY), Err(NoteFault::Malformed));
        let changed = NOTE.replace("answer", "anwser");
        assert_eq!(Checkpoint::verify(&changed, NOTE_KEY), Err(NoteFault::WrongSignature));
    }

    #[test]
    fn a_checkpoint_is_read_back_by_its_key_alone() {
        let ((_folder, key), (_other_folder, other)) = (key(), key());
        let note = checkpoint().sign(&key).unwrap();
        assert!(note.starts_with("school.example/log\n12\nBwcHBw"), "{note}");
        assert_eq!(Checkpoint::verify(&note, key.public()), Ok(checkpoint()));
        assert_eq!(Checkpoint::read(&note), Ok(checkpoint()));
        let fault = Checkpoint::verify(&note, other.public()).unwrap_err();
        assert_eq!(fault, NoteFault::OtherKey("school.example/log".into()));
        assert_eq!(Checkpoint::verify(&note, "a+b"), Err(NoteFault::BadKey));
    }

    #[test]
    fn any_changed_byte_of_a_note_is_seen() {
        let (_folder, key) = key();
        let note = checkpoint().sign(&key).unwrap().into_bytes();
        for place in 0..note.len() {
            for bit in [1, 0x20, 0x80] {
                let mut bytes = note.clone();
                bytes[place] ^= bit;
                let Ok(text) = String::from_utf8(bytes) else { continue };
                assert!(Checkpoint::verify(&text, key.public()).is_err(), "byte {place} ^ {bit}");
            }
        }
    }

    #[test]
    fn notes_are_found_one_after_another_and_what_is_none_is_not_passed_over() {
        let (_folder, key) = key();
        let one = checkpoint().sign(&key).unwrap();
        let two = Checkpoint { size: 13, ..checkpoint() }.sign(&key).unwrap();
        let text = format!("{one}\n{two}\n");
        assert_eq!(notes_in(&text), [(1, one.as_str()), (7, two.as_str())]);
        let torn = format!("{one}\nschool.example/log\n13");
        assert_eq!(notes_in(&torn), [(1, one.as_str()), (7, "school.example/log\n13")]);
        assert_eq!(notes_in(&format!("{one}{two}")).len(), 2);
        let between = format!("{one}\nschool.example/log\n13\n\n{two}\n");
        let found: Vec<&str> = notes_in(&between).into_iter().map(|(_, note)| note).collect();
        assert_eq!(found, [one.as_str(), "school.example/log\n13\n", two.as_str()]);
        assert_eq!(notes_in(""), []);
    }

    #[test]
    fn the_printed_line_says_the_same() {
        let line = checkpoint().line();
        assert_eq!(Checkpoint::of_line(&line), Some(checkpoint()));
        assert_eq!(Checkpoint::of_line("a 1"), None);
        assert_eq!(Checkpoint::of_line(&format!("{line} x")), None);
    }
}
