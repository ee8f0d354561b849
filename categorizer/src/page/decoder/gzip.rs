//! gzip (RFC 1952): the frame around deflate, member after member.

use flate2::{Decompress, FlushDecompress, Status as Inflated};

use super::stage::{Status, Step};

const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;

/// Where in a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// So many bytes of the ten that each member begins with.
    Head(u8),
    ExtraLength(u8),
    Extra(u16),
    Name,
    Comment,
    HeaderCrc(u8),
    Body,
    /// So many bytes of the checksum and length behind the body.
    Trailer(u8),
}

#[derive(Debug)]
pub(super) struct Gzip {
    inflate: Decompress,
    place: Place,
    flags: u8,
    extra: u16,
    members: u64,
}

impl Default for Gzip {
    fn default() -> Self {
        let inflate = Decompress::new(false);
        Self { inflate, place: Place::Head(0), flags: 0, extra: 0, members: 0 }
    }
}

impl Gzip {
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let mut read = 0;
        while self.place != Place::Body {
            let Some(&byte) = input.get(read) else {
                return Step { read, written: 0, status: Status::Going };
            };
            if !self.frame(byte) {
                let status = if self.members > 0 { Status::Ended } else { Status::Broken };
                return Step { read, written: 0, status };
            }
            read += 1;
        }
        let step = inflate(&mut self.inflate, &input[read..], output);
        let status = if step.status == Status::Ended {
            self.place = Place::Trailer(0);
            self.members += 1;
            self.inflate.reset(false);
            Status::Going
        } else {
            step.status
        };
        Step { read: read + step.read, written: step.written, status }
    }

    /// Takes a byte that is not of the body; says whether it fits.
    fn frame(&mut self, byte: u8) -> bool {
        self.place = match self.place {
            Place::Head(at) => {
                match at {
                    0 if byte != 0x1f => return false,
                    1 if byte != 0x8b => return false,
                    2 if byte != 8 => return false,
                    3 if byte & 0xe0 != 0 => return false,
                    3 => self.flags = byte,
                    _ => {}
                }
                if at == 9 { self.after_head() } else { Place::Head(at + 1) }
            }
            Place::ExtraLength(0) => {
                self.extra = u16::from(byte);
                Place::ExtraLength(1)
            }
            Place::ExtraLength(_) => match self.extra | u16::from(byte) << 8 {
                0 => self.after_head(),
                length => Place::Extra(length),
            },
            Place::Extra(1) => self.after_head(),
            Place::Extra(left) => Place::Extra(left - 1),
            Place::Name | Place::Comment if byte == 0 => self.after_head(),
            Place::HeaderCrc(1) => self.after_head(),
            Place::HeaderCrc(_) => Place::HeaderCrc(1),
            Place::Trailer(7) => Place::Head(0),
            Place::Trailer(at) => Place::Trailer(at + 1),
            Place::Name | Place::Comment | Place::Body => self.place,
        };
        true
    }

    /// The next of the parts that the flags name, in their order.
    fn after_head(&mut self) -> Place {
        let parts = [
            (FLAG_EXTRA, Place::ExtraLength(0)),
            (FLAG_NAME, Place::Name),
            (FLAG_COMMENT, Place::Comment),
            (FLAG_HEADER_CRC, Place::HeaderCrc(0)),
        ];
        for (flag, place) in parts {
            if self.flags & flag != 0 {
                self.flags &= !flag;
                return place;
            }
        }
        Place::Body
    }

    /// Whether the body may end here: behind a member, whose checksum may be missing.
    pub(super) fn may_end(&self) -> bool {
        self.members > 0 && matches!(self.place, Place::Head(0) | Place::Trailer(_))
    }
}

/// Inflates bytes that have no frame.
pub(super) fn inflate(inflate: &mut Decompress, input: &[u8], output: &mut [u8]) -> Step {
    let before = (inflate.total_in(), inflate.total_out());
    let result = inflate.decompress(input, output, FlushDecompress::None);
    let status = match result {
        Ok(Inflated::StreamEnd) => Status::Ended,
        Ok(Inflated::Ok | Inflated::BufError) => Status::Going,
        Err(_) => Status::Broken,
    };
    let [read, written] = [inflate.total_in() - before.0, inflate.total_out() - before.1];
    Step { read: read as usize, written: written as usize, status }
}
