//! The frames of a WebSocket (RFC 6455, 5.2), read as they pass: what of them is text, and where a message ends.

/// Longest head of a frame: two bytes, eight of length, four of mask.
const MOST_HEAD: usize = 14;

/// What a piece of a connection holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Text of a message, without its mask.
    Text(&'a [u8]),
    /// The message's text is over.
    End,
}

/// What cannot be read: an extension that nobody agreed to, an opcode that there is not, a control frame that is too
/// long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// Reads one direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    head: Vec<u8>,
    /// Bytes of the frame that are still to come.
    left: u64,
    mask: Option<[u8; 4]>,
    masked: usize,
    frame: Kind,
    /// Of the message that is under way; control frames come in between.
    message: Kind,
    is_last: bool,
    text: Vec<u8>,
    is_lost: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// Nothing of a message yet.
    #[default]
    None,
    Text,
    Binary,
    Control,
}

impl Frames {
    /// Takes the bytes that come next, however they are cut.
    ///
    /// # Errors
    /// [`Unreadable`], once: where the next frame begins is not known then, and what follows is not looked into.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        out: &mut dyn FnMut(Piece<'_>),
    ) -> Result<(), Unreadable> {
        if self.is_lost {
            return Ok(());
        }
        let read = self.read(bytes, out);
        self.is_lost = read.is_err();
        read
    }

    fn read(&mut self, mut bytes: &[u8], out: &mut dyn FnMut(Piece<'_>)) -> Result<(), Unreadable> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let count = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                let (payload, rest) = bytes.split_at(count);
                bytes = rest;
                self.left -= count as u64;
                self.payload(payload, out);
            } else {
                self.head.push(bytes[0]);
                bytes = &bytes[1..];
                if self.head.len() < length_of_head(&self.head) {
                    continue;
                }
                self.begin()?;
            }
            if self.left == 0 && self.head.is_empty() {
                self.end_frame(out);
            }
        }
        Ok(())
    }

    /// The head of a frame is there.
    fn begin(&mut self) -> Result<(), Unreadable> {
        let head = std::mem::take(&mut self.head);
        let [first, second, rest @ ..] = &head[..] else { return Err(Unreadable) };
        // Bits of extensions, of which none was offered.
        if first & 0x70 != 0 {
            return Err(Unreadable);
        }
        let is_masked = second & 0x80 != 0;
        let (length, rest) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => {
                let mut eight = [0; 8];
                eight.copy_from_slice(&rest[..8]);
                (u64::from_be_bytes(eight), &rest[8..])
            }
            short => (u64::from(short), rest),
        };
        self.mask = is_masked.then(|| [rest[0], rest[1], rest[2], rest[3]]);
        self.masked = 0;
        self.left = length;
        self.is_last = first & 0x80 != 0;
        self.frame = match first & 0x0f {
            0 if self.message != Kind::None => self.message,
            1 if self.message == Kind::None => Kind::Text,
            2 if self.message == Kind::None => Kind::Binary,
            8..=10 if self.is_last && length <= 125 => Kind::Control,
            _ => return Err(Unreadable),
        };
        if self.frame != Kind::Control {
            self.message = self.frame;
        }
        Ok(())
    }

    fn payload(&mut self, payload: &[u8], out: &mut dyn FnMut(Piece<'_>)) {
        if self.frame != Kind::Text {
            self.masked = self.masked.wrapping_add(payload.len());
            return;
        }
        match self.mask {
            None => out(Piece::Text(payload)),
            Some(mask) => {
                let from = self.masked;
                let unmasked = payload.iter().enumerate();
                self.text.clear();
                self.text.extend(unmasked.map(|(at, byte)| byte ^ mask[(from + at) % 4]));
                out(Piece::Text(&self.text));
            }
        }
        self.masked = self.masked.wrapping_add(payload.len()) % 4;
    }

    fn end_frame(&mut self, out: &mut dyn FnMut(Piece<'_>)) {
        if self.frame == Kind::Control || !self.is_last {
            return;
        }
        if self.message == Kind::Text {
            out(Piece::End);
        }
        self.message = Kind::None;
    }
}

/// How long a head is that begins so; as long as that is not known, longer than what there is.
fn length_of_head(head: &[u8]) -> usize {
    let Some(second) = head.get(1) else { return MOST_HEAD };
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + length + if second & 0x80 != 0 { 4 } else { 0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
    use super::*;
    use proptest::prelude::*;

    fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let mut frame = vec![first];
        let bit = if mask.is_some() { 0x80 } else { 0 };
        match payload.len() {
            short @ 0..=125 => frame.push(bit | short as u8),
            long @ 126..=0xffff => {
                frame.push(bit | 126);
                frame.extend_from_slice(&(long as u16).to_be_bytes());
            }
            longer => {
                frame.push(bit | 127);
                frame.extend_from_slice(&(longer as u64).to_be_bytes());
            }
        }
        let mask = mask.inspect(|mask| frame.extend_from_slice(mask)).unwrap_or_default();
        frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        frame
    }

    /// The messages of text in a connection that comes in pieces of this size.
    fn messages(bytes: &[u8], size: usize) -> Result<Vec<Vec<u8>>, Unreadable> {
        let mut frames = Frames::default();
        let (mut whole, mut text) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(size.max(1)) {
            frames.push(piece, &mut |piece| match piece {
                Piece::Text(more) => text.extend_from_slice(more),
                Piece::End => whole.push(std::mem::take(&mut text)),
            })?;
        }
        Ok(whole)
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 6455, 5.7.
        let unmasked = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let in_parts = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
        for bytes in [&unmasked[..], &masked, &in_parts] {
            for size in 1..=bytes.len() {
                assert_eq!(messages(bytes, size).unwrap(), [b"Hello"]);
            }
        }
        let ping = [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        assert!(messages(&ping, 3).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_frame_is_told_and_an_empty_message_is_one() {
        for bytes in [
            // An extension's bit, an opcode that there is not, a part of nothing, a new message within another, a
            // control frame in parts, and one that is too long.
            &[0xc1, 0x01, 0x41][..],
            &[0x83, 0x00],
            &[0x80, 0x00],
            &[0x01, 0x01, 0x41, 0x81, 0x00],
            &[0x09, 0x00],
            &[0x89, 0x7e, 0x00, 0x7e],
        ] {
            assert_eq!(messages(bytes, 1), Err(Unreadable), "{bytes:x?}");
        }
        // It is told once; what looks like a message behind it may be anything.
        let (mut frames, mut pieces) = (Frames::default(), 0);
        let mut push = |bytes: &[u8]| frames.push(bytes, &mut |_| pieces += 1);
        assert_eq!(push(&[0xc1, 0x01, 0x41]), Err(Unreadable));
        assert_eq!(push(&[0x81, 0x01, 0x41, 0xc1, 0x00]), Ok(()));
        assert_eq!(pieces, 0);
        assert_eq!(messages(&[0x81, 0x00], 1).unwrap(), [b""]);
        assert!(messages(&[0x82, 0x01, 0x41], 1).unwrap().is_empty(), "binary");
    }

    proptest! {
        /// However a connection is cut and its messages are parted, the same text is found; and nothing panics.
        #[test]
        fn text_does_not_hang_on_pieces(
            parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<bool>(), any::<[u8; 4]>()), 1..6),
            size in 1_usize..700,
            noise in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
            let last = parts.len() - 1;
            for (at, (payload, is_masked, mask)) in parts.iter().enumerate() {
                let first = if at == 0 { 1 } else { 0 } | if at == last { 0x80 } else { 0 };
                bytes.extend(frame(first, payload, is_masked.then_some(*mask)));
                bytes.extend(frame(0x8a, b"pong", None));
                wanted.extend_from_slice(payload);
            }
            prop_assert_eq!(messages(&bytes, size).unwrap(), vec![wanted]);
            let _ = messages(&noise, size);
        }
    }
}
