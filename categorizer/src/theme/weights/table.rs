//! What each word, pair of words and piece of a word weighs, as a table that is part of the program.
//!
//! The source is text that people can read (`words.tsv`), which `build.rs` turns into the table. Entries are known by
//! 32-bit hashes of their names, in the order of these; `build.rs` refuses two names with one hash.

/// Themes that are weighed.
pub(crate) const THEMES: usize = 12;
/// Bits of a hash by which a bucket is found.
const BUCKET_BITS: u32 = 14;

/// The hash of a name that comes in pieces: FNV-1a of 64 bits, folded.
#[inline]
pub(crate) fn hash(pieces: &[&[u8]]) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for piece in pieces {
        for &byte in *piece {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    // The high half has seen every byte; the low bits alone hang on few bits of each.
    (hash >> 32) as u32 ^ hash as u32
}

/// The bucket of a hash.
#[inline]
fn bucket(hash: u32) -> usize {
    (hash >> (32 - BUCKET_BITS)) as usize
}

/// A table as bytes: numbers in little-endian order.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    /// By bucket, the number of its first entry; and one more, where the last one ends.
    pub(crate) starts: Vec<u8>,
    /// By entry, its hash.
    pub(crate) hashes: Vec<u8>,
    /// By entry, what it weighs for each theme.
    pub(crate) rows: Vec<u8>,
    /// The names of the themes, each with the points of a text of which nothing is known.
    pub(crate) themes: Vec<(String, f32)>,
    /// Points that a weight of one stands for.
    pub(crate) unit: f32,
}

/// Packs the text of a table.
///
/// # Errors
/// What is wrong with which line.
#[allow(dead_code, reason = "build.rs packs, the program looks up")]
pub(crate) fn pack(text: &str) -> Result<Packed, String> {
    let mut packed = Packed::default();
    let mut entries: Vec<(u32, [i8; THEMES], &str)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let wrong = |what: &str| format!("line {number}: {what}: {line}");
        let cells: Vec<&str> = line.split('\t').collect();
        match cells[..] {
            ["!unit", unit] if packed.unit == 0.0 => {
                packed.unit = unit.parse().map_err(|_| wrong("no number"))?;
                if packed.unit <= 0.0 || !packed.unit.is_finite() {
                    return Err(wrong("no weight is of such a unit"));
                }
            }
            ["!theme", name, points] => {
                let points = points.parse().map_err(|_| wrong("no number"))?;
                if !f32::is_finite(points) {
                    return Err(wrong("no such points"));
                }
                if packed.themes.iter().any(|(one, _)| one == name) {
                    return Err(wrong("the theme is there already"));
                }
                packed.themes.push((name.to_owned(), points));
            }
            [name, weights] => {
                let mut row = [0_i8; THEMES];
                for one in weights.split(' ') {
                    let (theme, weight) = one.split_once(':').ok_or_else(|| wrong("no weight"))?;
                    let theme: usize = theme.parse().map_err(|_| wrong("no theme"))?;
                    let place = row.get_mut(theme).ok_or_else(|| wrong("no such theme"))?;
                    *place = weight.parse().map_err(|_| wrong("no weight"))?;
                }
                entries.push((hash(&[name.as_bytes()]), row, name));
            }
            _ => return Err(wrong("neither a head nor a name and its weights")),
        }
    }
    if packed.unit == 0.0 {
        return Err("no line says what unit weights are of".to_owned());
    }
    if packed.themes.len() != THEMES {
        return Err(format!("{} themes, and not {THEMES}", packed.themes.len()));
    }
    entries.sort_unstable();
    if let Some(two) = entries.windows(2).find(|two| two[0].0 == two[1].0) {
        return Err(format!("\"{}\" and \"{}\" have one hash", two[0].2, two[1].2));
    }
    let mut next = 0;
    for wanted in 0..=(1 << BUCKET_BITS) {
        while entries.get(next).is_some_and(|entry| bucket(entry.0) < wanted) {
            next += 1;
        }
        packed.starts.extend((next as u32).to_le_bytes());
    }
    for (hash, row, _) in &entries {
        packed.hashes.extend(hash.to_le_bytes());
        packed.rows.extend(row.map(i8::cast_unsigned));
    }
    Ok(packed)
}

/// A packed table, looked up in place.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "build.rs packs, the program looks up")]
pub(crate) struct Table<'p> {
    starts: &'p [[u8; 4]],
    hashes: &'p [[u8; 4]],
    rows: &'p [[u8; THEMES]],
}

#[allow(dead_code, reason = "build.rs packs, the program looks up")]
impl<'p> Table<'p> {
    pub(crate) fn new(starts: &'p [u8], hashes: &'p [u8], rows: &'p [u8]) -> Self {
        let (starts, hashes, rows) =
            (starts.as_chunks().0, hashes.as_chunks().0, rows.as_chunks().0);
        Self { starts, hashes, rows }
    }

    /// The number of the entry with a hash.
    #[inline]
    pub(crate) fn find(&self, hash: u32) -> Option<u32> {
        let bucket = bucket(hash);
        let start = |at: usize| self.starts.get(at).map(|start| u32::from_le_bytes(*start));
        let (first, end) = (start(bucket)?, start(bucket + 1)?);
        let hashes = self.hashes.get(first as usize..end as usize)?;
        let at = hashes.iter().position(|one| u32::from_le_bytes(*one) == hash)?;
        Some(first + at as u32)
    }

    /// What an entry weighs for each theme.
    #[inline]
    pub(crate) fn row(&self, entry: u32) -> [i8; THEMES] {
        self.rows.get(entry as usize).map_or([0; THEMES], |row| row.map(u8::cast_signed))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn head() -> String {
        (0..THEMES).fold("!unit\t0.5\n".to_owned(), |text, theme| {
            text + &format!("!theme\tt{theme}\t-3\n")
        })
    }

    #[test]
    fn what_cannot_be_packed_is_told_with_its_line() {
        for (line, told) in [
            ("word\t12:1", "line 14: no such theme"),
            ("word\t0:128", "line 14: no weight"),
            ("word\t0", "line 14: no weight"),
            ("word", "line 14: neither"),
            ("!theme\tone more\t0", "13 themes"),
            ("!theme\tt3\t0", "line 14: the theme is there already"),
            ("!theme\tone more\tNaN", "line 14: no such points"),
            ("!unit\t0.5", "line 14: no weight"),
            ("word\t0:1\nword\t1:1", "have one hash"),
        ] {
            let error = pack(&format!("{}{line}\n", head())).map(drop).unwrap_err();
            assert!(error.contains(told), "{line}: {error}");
        }
    }

    #[test]
    fn without_a_unit_that_weights_are_of_there_is_no_table() {
        for (head_of, told) in
            [("0", "no weight is of"), ("-1", "no weight is of"), ("inf", "no weight is of")]
        {
            let error = pack(&head().replace("0.5", head_of)).map(drop).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        assert!(pack(&head().replace("!unit\t0.5\n", "")).is_err());
    }

    proptest! {
        #[test]
        fn every_name_is_found_with_its_weights_and_no_other(
            names in prop::collection::btree_map("[a-z ~<>*]{1,9}", -128_i8..=127, 0..300), other in "[A-Z]{1,9}"
        ) {
            let names: BTreeMap<String, i8> = names;
            let lines = names.iter().map(|(name, weight)| format!("{name}\t3:{weight}\n"));
            let packed = pack(&(head() + &lines.collect::<String>())).unwrap();
            prop_assert_eq!((packed.unit, packed.themes[2].1), (0.5, -3.0));
            let table = Table::new(&packed.starts, &packed.hashes, &packed.rows);
            for (name, weight) in &names {
                let entry = table.find(hash(&[name.as_bytes()]));
                prop_assert_eq!(entry.map(|entry| table.row(entry)[3]), Some(*weight));
                prop_assert_eq!(entry.map(|entry| table.row(entry)[4]), Some(0));
            }
            prop_assert_eq!(table.find(hash(&[other.as_bytes()])), None);
        }
    }
}
