//! Files of tens of megabytes, read and written in pieces: a kernel without preemption lets nobody else have the
//! processor in the middle of a call, and a worker would wait for all of it. Between two pieces others may have it.

use categorizer::pause;
use std::fs::File;
use std::io::{Read, Result, Write};
use std::path::Path;

/// Bytes of one call.
const PIECE_BYTES: usize = 128 * 1024;

/// Reads at most a piece at once.
pub(super) struct Pieces<R>(pub(super) R);

impl<R: Read> Read for Pieces<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let piece = buffer.len().min(PIECE_BYTES);
        pause::now();
        self.0.read(&mut buffer[..piece])
    }
}

/// All that a file holds.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    // One more, to see the end.
    let mut bytes = Vec::with_capacity(length.saturating_add(1));
    Pieces(file).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A new file that holds these bytes, in place of what was there; not yet durable.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<File> {
    let mut file = File::create(path)?;
    bytes.chunks(PIECE_BYTES).try_for_each(|piece| {
        pause::now();
        file.write_all(piece)
    })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a file that fails is a failed test")]
    use super::*;

    #[test]
    fn what_was_written_is_read_at_any_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES + 7] {
            let bytes: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
            write(&path, &bytes).unwrap();
            assert!(read(&path).unwrap() == bytes, "{length}");
        }
        assert!(read(&folder.path().join("none")).is_err());
    }

    #[test]
    fn no_read_is_for_more_than_a_piece() {
        let mut buffer = vec![1; PIECE_BYTES * 2];
        assert_eq!(Pieces(std::io::repeat(0)).read(&mut buffer).unwrap(), PIECE_BYTES);
        assert_eq!(buffer.iter().filter(|byte| **byte == 0).count(), PIECE_BYTES);
    }
}
