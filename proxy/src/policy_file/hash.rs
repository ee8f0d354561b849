//! The hash that a policy is known by: of its text and of the files that it names.

use crate::named_file::Content;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What the hash of parts with their lengths begins with. No other begins so: a text that is empty names no file, and no
/// text that is hashed without lengths holds a byte 0.
const WITH_LENGTHS: &[u8] = b"\0lengths\0";

/// SHA-256 in hex of the text, and of the name and content of each file. No two policies have the same bytes hashed.
///
/// A byte 0 stands between the parts, which is enough where none of them holds one. Phrase lists may: such parts would pass
/// for more files, or for fewer, so each then follows its length in 8 bytes, the lowest first.
pub(super) fn hash(text: &str, files: &BTreeMap<String, Content>) -> String {
    let mut hash = Sha256::new();
    let named = || files.iter().map(|(name, content)| (name.as_bytes(), content.bytes()));
    let holds_zero = |part: &[u8]| part.contains(&0);
    if holds_zero(text.as_bytes())
        || named().any(|(name, content)| holds_zero(name) || holds_zero(content))
        || (text.is_empty() && !files.is_empty())
    {
        hash.update(WITH_LENGTHS);
        let parts = named().flat_map(|(name, content)| [name, content]);
        for part in std::iter::once(text.as_bytes()).chain(parts) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    } else {
        hash.update(text);
        for (name, content) in named() {
            hash.update([0]);
            hash.update(name);
            hash.update([0]);
            hash.update(content);
        }
    }
    crate::lists::hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(named: &[(&str, &[u8])]) -> BTreeMap<String, Content> {
        let owned = |(name, content): &(&str, &[u8])| ((*name).to_owned(), content.to_vec().into());
        named.iter().map(owned).collect()
    }

    #[test]
    fn a_list_with_zeros_is_not_known_by_the_hash_of_several() {
        let (text, list) = ("[school]\n", "phrases/x/banned_a");
        let one = b"<zoot>\n\0phrases/x/exception_b\0\n<the>\n";
        let as_one = files(&[(list, one)]);
        let as_two = files(&[(list, b"<zoot>\n"), ("phrases/x/exception_b", b"\n<the>\n")]);
        assert_ne!(hash(text, &as_one), hash(text, &as_two));

        // Nor where what was kept was changed: names, texts and lists that hold each other.
        let name = "phrases/x/banned_a\0<zoot>\n\0phrases/x/exception_b";
        let as_name = files(&[(name, b"\n<the>\n")]);
        let in_text = "[school]\n\0phrases/x/banned_a\0<zoot>\n";
        let half = files(&[("phrases/x/exception_b", b"\n<the>\n")]);
        let mut known = vec![
            hash(text, &as_one),
            hash(text, &as_two),
            hash(text, &as_name),
            hash(in_text, &half),
            hash("", &files(&[("lengths", b"a")])),
            hash("\0lengths\0a", &files(&[])),
            hash("", &files(&[("a", b"\0"), ("b", b"")])),
            hash("", &files(&[("a", b""), ("b", b"\0")])),
        ];
        let different = known.len();
        known.sort();
        known.dedup();
        assert_eq!(known.len(), different);
    }

    #[test]
    fn without_zeros_the_hash_is_what_it_was() {
        let sum = |bytes: &[u8]| crate::lists::hex(&Sha256::digest(bytes));
        assert_eq!(hash("[school]\n", &files(&[])), sum(b"[school]\n"));
        assert_eq!(hash("", &files(&[])), sum(b""));
        let named = files(&[("b", b"<\xe9>\n"), ("a", b"")]);
        assert_eq!(hash("[school]\n", &named), sum(b"[school]\n\0a\0\0b\0<\xe9>\n"));
        let zero = files(&[("b", b"\0")]);
        let written = b"\0lengths\0\x01\0\0\0\0\0\0\0t\x01\0\0\0\0\0\0\0b\x01\0\0\0\0\0\0\0\0";
        assert_eq!(hash("t", &zero), sum(written));
    }
}
