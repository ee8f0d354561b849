//! Memory for the bytes of an index: look-ups go to random places in tens of megabytes, and with pages of
//! 4 kB each would first have to look up where its page lies.

use std::io::{self, Read};

use memmap2::MmapMut;

use crate::pause;

/// Bytes read at once. The kernel lets nobody else have the processor in the middle of a read, and
/// giving out the memory for tens of megabytes takes it many milliseconds.
const PIECE_BYTES: usize = 128 * 1024;

/// Bytes in memory of their own, in huge pages of 2 MB where the system has them. Nobody else sees or
/// changes this memory, and no file stands behind it: a file that is cut off takes nothing away.
pub struct Pages(Option<MmapMut>);

impl Pages {
    /// So many bytes of a file.
    ///
    /// # Errors
    /// They cannot be read, it has fewer, or there is no memory for them.
    pub fn read(file: &mut impl Read, length: u64) -> io::Result<Self> {
        let length =
            usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let mut pages = Self::of(length)?;
        for piece in pages.bytes_mut().chunks_mut(PIECE_BYTES) {
            file.read_exact(piece)?;
            pause::now();
        }
        Ok(pages)
    }

    /// A copy of bytes.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn copy(bytes: &[u8]) -> io::Result<Self> {
        let mut pages = Self::of(bytes.len())?;
        // Giving out the memory is what takes time, so as little at once as of a file.
        for (to, from) in pages.bytes_mut().chunks_mut(PIECE_BYTES).zip(bytes.chunks(PIECE_BYTES)) {
            to.copy_from_slice(from);
            pause::now();
        }
        Ok(pages)
    }

    fn of(length: usize) -> io::Result<Self> {
        // The system maps no zero bytes.
        if length == 0 {
            return Ok(Self(None));
        }
        let pages = MmapMut::map_anon(length)?;
        // A system without huge pages refuses, and small ones do too.
        #[cfg(target_os = "linux")]
        let _ = pages.advise(memmap2::Advice::HugePage);
        Ok(Self(Some(pages)))
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.as_deref_mut().unwrap_or_default()
    }
}

impl AsRef<[u8]> for Pages {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn what_is_read_and_a_copy_hold_the_same_bytes_at_any_length() {
        for length in [0, 1, 4095, 4096, 4097, 5 << 20] {
            let bytes: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
            let read = Pages::read(&mut &*bytes, bytes.len() as u64).unwrap();
            assert!(read.as_ref() == bytes, "{length}");
            assert!(Pages::copy(&bytes).unwrap().as_ref() == bytes, "{length}");
        }
        let short = Pages::read(&mut &[1, 2, 3][..], 4).err();
        assert_eq!(short.map(|error| error.kind()), Some(io::ErrorKind::UnexpectedEof));
    }

    #[test]
    fn a_file_that_is_cut_off_later_takes_nothing_away() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(3 << 20).unwrap();
        let pages = Pages::read(&mut file.as_file(), 3 << 20).unwrap();
        file.as_file().set_len(0).unwrap();
        assert!(pages.as_ref().iter().all(|&byte| byte == 0));
    }
}
