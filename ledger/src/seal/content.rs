//! A hash of what rows say, whatever order they come in.

use sha2::{Digest, Sha256};

/// The sum of the SHA-256 hashes of all rows, as four numbers that wrap around, and how many there
/// are. It is made to find faults of the program, of memory and of the disk; what proves rows to
/// others is the log's own tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    sum: [u64; 4],
    pub(crate) rows: u64,
}

impl Content {
    /// Takes a row.
    pub(crate) fn add(&mut self, row: &sealed::Row<'_>, buffer: &mut Vec<u8>) {
        buffer.clear();
        for number in [row.sequence, row.id, row.at, row.port.into(), row.locked.into()] {
            buffer.extend_from_slice(&number.to_le_bytes());
        }
        for text in [
            row.level,
            row.client,
            row.method,
            row.scheme,
            row.host,
            row.categories,
            row.verdict,
            row.reason,
            row.depth,
            row.policy_hash,
            row.list_version,
            row.zone,
        ] {
            put_text(buffer, text);
        }
        for text in [row.user, row.path, row.rule] {
            put_optional(buffer, text);
        }
        let unblock = row.unblock.map_or(-1, i64::from);
        buffer.extend_from_slice(&unblock.to_le_bytes());
        buffer.push(row.ended.is_some().into());
        if let Some(ended) = &row.ended {
            put_text(buffer, ended.end);
            put_optional(buffer, ended.depth);
            let numbers = [
                ended.status.into(),
                ended.bytes_up,
                ended.bytes_down,
                ended.duration_us,
                ended.place.unwrap_or(-1),
            ];
            for number in numbers {
                buffer.extend_from_slice(&i64::to_le_bytes(number));
            }
        }
        let notes = [row.words, row.words_kind, row.words_site, row.signs];
        let notes = notes.into_iter().chain([row.ended.and_then(|ended| ended.signs)]);
        if notes.clone().any(|text| text.is_some()) {
            notes.for_each(|text| put_optional(buffer, text));
        }
        let hash = Sha256::digest(&*buffer);
        for (sum, bytes) in self.sum.iter_mut().zip(hash.as_chunks::<8>().0) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*bytes));
        }
        self.rows += 1;
    }

    /// As hex.
    pub(crate) fn hex(&self) -> String {
        self.sum.iter().map(|part| format!("{part:016x}")).collect()
    }
}

fn put_text(buffer: &mut Vec<u8>, text: &str) {
    buffer.extend_from_slice(&(text.len() as u64).to_le_bytes());
    buffer.extend_from_slice(text.as_bytes());
}

fn put_optional(buffer: &mut Vec<u8>, text: Option<&str>) {
    buffer.push(text.is_some().into());
    put_text(buffer, text.unwrap_or_default());
}
