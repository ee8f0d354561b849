//! tar: POSIX (pax), GNU and the oldest. Each header is 512 bytes, and each file's bytes are filled up to as many.

use super::Work;
use super::stream::Stream;

const BLOCK: usize = 512;
/// Most bytes of a long name or of a pax header.
const MAX_LONG: u64 = 64 << 10;

#[derive(Debug)]
enum State {
    Header(Vec<u8>),
    /// Bytes of an entry that are left, and of what fills its last block.
    Data {
        left: u64,
        fill: u64,
        inside: Option<Box<Stream>>,
    },
    /// The name of the next entry (`L`), or its pax records (`x`).
    Long {
        kind: u8,
        left: u64,
        fill: u64,
        text: Vec<u8>,
    },
    /// The end, or a fault.
    Over,
}

/// A tar file.
#[derive(Debug)]
pub(super) struct Tar {
    state: State,
    depth: u8,
    /// What the last long header said of the next entry.
    name: Option<String>,
    size: Option<u64>,
    /// A block of zeros came: the archive is over, and tar itself reads no further.
    is_ended: bool,
}

/// Whether a header stands here: its check sum is right. The oldest headers have nothing else to know them by.
pub(super) fn is_header(block: &[u8]) -> bool {
    let Some(block) = block.get(..BLOCK).filter(|block| block[0] != 0) else { return false };
    // Nearly everything that is no archive has no number there.
    let Some(expected) = number(&block[148..156]) else { return false };
    let sum: u64 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| u64::from(if (148..156).contains(&at) { b' ' } else { *byte }))
        .sum();
    sum == expected
}

/// An octal number, or one in base 256 as GNU writes large ones.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let (first, rest) = field.split_at(1);
        let start = u64::from(first[0] & 0x7f);
        return rest
            .iter()
            .try_fold(start, |sum, byte| sum.checked_mul(256)?.checked_add(u64::from(*byte)));
    }
    let is_end = |byte: &u8| matches!(byte, 0 | b' ');
    let digits = field.iter().skip_while(|byte| **byte == b' ').take_while(|byte| !is_end(byte));
    let mut any = false;
    let sum = digits.copied().try_fold(0_u64, |sum, digit| {
        any = true;
        matches!(digit, b'0'..=b'7').then(|| sum.wrapping_mul(8) + u64::from(digit - b'0'))
    });
    sum.filter(|_| any)
}

impl Tar {
    pub(super) fn new(depth: u8) -> Tar {
        Tar { state: State::Header(Vec::new()), depth, name: None, size: None, is_ended: false }
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8], work: &mut Work) {
        while !bytes.is_empty() && !work.is_over {
            match &mut self.state {
                State::Over => return,
                State::Header(block) => {
                    let (part, rest) = bytes.split_at(bytes.len().min(BLOCK - block.len()));
                    block.extend_from_slice(part);
                    bytes = rest;
                    if block.len() == BLOCK {
                        let block = std::mem::take(block);
                        self.state = self.entry(&block, work);
                    }
                }
                State::Data { left, fill, inside } => {
                    let (part, rest) = cut(bytes, *left);
                    *left -= part.len() as u64;
                    if let Some(stream) = inside {
                        stream.feed(part, work);
                        if *left == 0 {
                            stream.finish(work);
                        }
                        if *left == 0 || stream.is_settled() {
                            *inside = None;
                        }
                    }
                    let (filling, rest) = cut(rest, if *left == 0 { *fill } else { 0 });
                    *fill -= filling.len() as u64;
                    if *left == 0 && *fill == 0 {
                        self.state = State::Header(Vec::new());
                    }
                    bytes = rest;
                }
                State::Long { kind, left, fill, text } => {
                    let (part, rest) = cut(bytes, *left);
                    *left -= part.len() as u64;
                    text.extend_from_slice(part);
                    let (filling, rest) = cut(rest, if *left == 0 { *fill } else { 0 });
                    *fill -= filling.len() as u64;
                    bytes = rest;
                    if *left == 0 && *fill == 0 {
                        let (kind, text) = (*kind, std::mem::take(text));
                        self.long(kind, &text);
                        self.state = State::Header(Vec::new());
                    }
                }
            }
        }
    }

    /// One header.
    fn entry(&mut self, block: &[u8], work: &mut Work) -> State {
        if block.iter().all(|byte| *byte == 0) {
            self.is_ended = true;
            return State::Header(Vec::new());
        }
        let size = self.size.take().or_else(|| number(&block[124..136]));
        let (true, Some(size)) = (is_header(block), size) else {
            if !self.is_ended {
                work.unreadable();
            }
            return State::Over;
        };
        if !work.may_enter() {
            return State::Over;
        }
        let fill = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        let kind = block[156];
        // Links, devices and folders have no bytes, whatever their size says; an older tar may think otherwise.
        if matches!(kind, b'1'..=b'6') {
            if size != 0 {
                work.unreadable();
            }
            self.name = None;
            return State::Header(Vec::new());
        }
        if matches!(kind, b'L' | b'K' | b'x' | b'g') {
            if size > MAX_LONG {
                work.unreadable();
                return State::Over;
            }
            return match size {
                0 => State::Header(Vec::new()),
                _ => State::Long { kind, left: size, fill, text: Vec::new() },
            };
        }
        let name = self.name.take().unwrap_or_else(|| header_name(block));
        work.entry(&name);
        match size {
            0 => State::Header(Vec::new()),
            _ => {
                let inside = Some(Box::new(Stream::inside(self.depth, &name, true)));
                State::Data { left: size, fill, inside }
            }
        }
    }

    fn long(&mut self, kind: u8, text: &[u8]) {
        match kind {
            b'L' => {
                let name = text.split(|byte| *byte == 0).next().unwrap_or_default();
                self.name = Some(String::from_utf8_lossy(name).into_owned());
            }
            b'x' => self.records(text),
            _ => {}
        }
    }

    /// pax records: `27 path=some/name.exe` and a line feed, with their own length first (POSIX, pax, "Extended
    /// Header"): a value may hold line feeds.
    fn records(&mut self, mut text: &[u8]) {
        while let Some(space) = text.iter().position(|byte| *byte == b' ') {
            let length = std::str::from_utf8(&text[..space]).ok().and_then(|it| it.parse().ok());
            let Some(record) = length.and_then(|length: usize| text.get(space + 1..length)) else {
                return;
            };
            text = &text[space + 1 + record.len()..];
            let record = String::from_utf8_lossy(record.strip_suffix(b"\n").unwrap_or(record));
            match record.split_once('=') {
                Some(("path" | "GNU.sparse.name", path)) => self.name = Some(path.to_owned()),
                Some(("size", size)) => self.size = size.parse().ok(),
                _ => {}
            }
        }
    }

    pub(super) fn finish(&mut self, work: &mut Work) {
        if let State::Data { inside: Some(stream), .. } = &mut self.state {
            stream.finish(work);
        }
    }
}

/// Up to `most` of the bytes, and the rest.
fn cut(bytes: &[u8], most: u64) -> (&[u8], &[u8]) {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    bytes.split_at(bytes.len().min(most))
}

/// Name and prefix of a header.
fn header_name(block: &[u8]) -> String {
    let text = |field: &[u8]| {
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        String::from_utf8_lossy(&field[..end]).into_owned()
    };
    let name = text(&block[..100]);
    match &block[257..263] == b"ustar\0" && block[345] != 0 {
        true => format!("{}/{name}", text(&block[345..500])),
        false => name,
    }
}
