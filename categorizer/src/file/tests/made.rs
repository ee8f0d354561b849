//! Archives made for the tests, honest and not.

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use std::io::Write;

/// One entry of a zip archive.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    /// In the central directory; `None`: the same.
    pub(super) central: Option<Vec<u8>>,
    pub(super) data: Vec<u8>,
    pub(super) method: u16,
    pub(super) flags: u16,
    /// Lengths stand behind the entry (flag bit 3), or in a zip64 field.
    pub(super) lengths: Lengths,
    /// Unpacked bytes that the central directory claims.
    pub(super) claimed: u32,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Lengths {
    Before,
    Behind,
    Zip64,
}

/// A packed entry.
pub(super) fn entry(name: &str, data: &[u8]) -> Entry {
    Entry {
        name: name.as_bytes().to_vec(),
        central: None,
        data: data.to_vec(),
        method: 8,
        flags: 0,
        lengths: Lengths::Before,
        claimed: data.len() as u32,
    }
}

pub(super) fn stored(name: &str, data: &[u8]) -> Entry {
    Entry { method: 0, ..entry(name, data) }
}

pub(super) fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A zip archive of these entries.
pub(super) fn zip(entries: &[Entry]) -> Vec<u8> {
    let (mut body, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let packed = if entry.method == 8 { deflated(&entry.data) } else { entry.data.clone() };
        let flags = entry.flags | if entry.lengths == Lengths::Behind { 8 } else { 0 };
        let (short, long) = (packed.len() as u32, packed.len() as u64);
        let (size, extra) = match entry.lengths {
            Lengths::Before => (short, Vec::new()),
            Lengths::Behind => (0, Vec::new()),
            Lengths::Zip64 => {
                let mut extra = vec![1, 0, 16, 0];
                extra.extend((entry.data.len() as u64).to_le_bytes());
                extra.extend(long.to_le_bytes());
                (u32::MAX, extra)
            }
        };
        let at = body.len() as u32;
        body.extend(b"PK\x03\x04\x2d\0");
        for field in [flags, entry.method, 0, 0] {
            body.extend(field.to_le_bytes());
        }
        for field in [0, size, size] {
            body.extend(field.to_le_bytes());
        }
        body.extend((entry.name.len() as u16).to_le_bytes());
        body.extend((extra.len() as u16).to_le_bytes());
        body.extend(&entry.name);
        body.extend(extra);
        body.extend(&packed);
        if entry.lengths == Lengths::Behind {
            body.extend(b"PK\x07\x08\0\0\0\0");
            body.extend(short.to_le_bytes());
            body.extend((entry.data.len() as u32).to_le_bytes());
        }
        let name = entry.central.as_ref().unwrap_or(&entry.name);
        directory.extend(b"PK\x01\x02\x2d\0\x2d\0");
        for field in [flags, entry.method, 0, 0] {
            directory.extend(field.to_le_bytes());
        }
        for field in [0, short, entry.claimed] {
            directory.extend(field.to_le_bytes());
        }
        for field in [name.len() as u16, 0, 0, 0, 0, 0, 0] {
            directory.extend(field.to_le_bytes());
        }
        directory.extend(at.to_le_bytes());
        directory.extend(name);
    }
    let at = body.len() as u32;
    let length = directory.len() as u32;
    body.extend(directory);
    body.extend(b"PK\x05\x06\0\0\0\0");
    for _ in 0..2 {
        body.extend((entries.len() as u16).to_le_bytes());
    }
    body.extend(length.to_le_bytes());
    body.extend(at.to_le_bytes());
    body.extend([0, 0]);
    body
}

/// A block of tar: a header with this kind of entry.
pub(super) fn tar_header(name: &str, kind: u8, size: usize) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[156] = kind;
    block[257..263].copy_from_slice(b"ustar\0");
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A tar archive of (kind, name, data).
pub(super) fn tar(entries: &[(u8, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, name, data) in entries {
        body.extend(tar_header(name, *kind, data.len()));
        body.extend(*data);
        body.resize(body.len().next_multiple_of(512), 0);
    }
    body.resize(body.len() + 1_024, 0);
    body
}
