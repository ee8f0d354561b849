//! The text that was taken out of a body: gathered by the extractors, read as `str`.

/// Gathers text. White space in a row is one blank; NUL, which browsers leave out, is left out.
#[derive(Debug, Default)]
pub struct Text {
    bytes: Vec<u8>,
    /// Whether anything was gathered, and the last of it is no blank.
    in_word: bool,
    total: u64,
}

impl Text {
    /// Adds text as it is, UTF-8 or what goes for it.
    pub(super) fn push(&mut self, run: &[u8]) {
        self.bytes.reserve(run.len());
        let mut rest = run;
        loop {
            let blanks = rest.iter().position(|&byte| !is_blank(byte)).unwrap_or(rest.len());
            if self.in_word && rest[..blanks].iter().any(|&byte| byte != 0) {
                self.bytes.push(b' ');
                self.in_word = false;
            }
            rest = &rest[blanks..];
            if rest.is_empty() {
                return;
            }
            // Words and single spaces between them are copied together.
            let mut end = 1;
            while let Some(&byte) = rest.get(end) {
                if is_blank(byte) {
                    let next = rest.get(end + 1);
                    if byte != b' ' || next.is_none_or(|&next| is_blank(next)) {
                        break;
                    }
                }
                end += 1;
            }
            self.bytes.extend_from_slice(&rest[..end]);
            self.in_word = true;
            rest = &rest[end..];
        }
    }

    /// Parts what comes from what came: another block, another value.
    pub(super) fn part(&mut self) {
        if self.in_word {
            self.bytes.push(b'\n');
            self.in_word = false;
        }
    }

    /// Bytes of text that were read so far.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.total
    }

    /// Hands on what was gathered, whole characters alone, and forgets it. What is no UTF-8 is U+FFFD.
    pub fn read(&mut self, out: &mut dyn FnMut(&str)) {
        self.hand_on(false, out);
    }

    /// The same at the end, where nothing comes that could complete a character.
    pub fn read_last(&mut self, out: &mut dyn FnMut(&str)) {
        self.hand_on(true, out);
    }

    fn hand_on(&mut self, last: bool, out: &mut dyn FnMut(&str)) {
        if self.bytes.is_empty() {
            return;
        }
        let mut rest = &self.bytes[..];
        let mut kept = 0;
        while !rest.is_empty() {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    out(text);
                    rest = &[];
                }
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    if let Ok(good) = std::str::from_utf8(good)
                        && !good.is_empty()
                    {
                        out(good);
                    }
                    match error.error_len() {
                        None if !last => {
                            kept = bad.len();
                            rest = &[];
                        }
                        length => {
                            out("\u{fffd}");
                            rest = &bad[length.unwrap_or(bad.len())..];
                        }
                    }
                }
            }
        }
        self.total += (self.bytes.len() - kept) as u64;
        self.bytes.drain(..self.bytes.len() - kept);
    }

    /// Bytes that are gathered and not read.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// White space of ASCII, and NUL, which is left out.
#[inline]
fn is_blank(byte: u8) -> bool {
    const BLANK: [bool; 256] = {
        let mut table = [false; 256];
        let mut left: &[u8] = b"\0\t\n\x0c\r ";
        while let [byte, rest @ ..] = left {
            table[*byte as usize] = true;
            left = rest;
        }
        table
    };
    BLANK[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(pieces: &[&[u8]]) -> String {
        let mut text = Text::default();
        let mut read = String::new();
        for piece in pieces {
            text.push(piece);
            text.read(&mut |part| read.push_str(part));
        }
        text.read_last(&mut |part| read.push_str(part));
        read
    }

    #[test]
    fn blanks_in_a_row_are_one_and_nul_is_none() {
        for (text, expected) in [
            (&b"  a  b\t\r\nc "[..], "a b c "),
            (b"su\0icide", "suicide"),
            (b"a \0 b \0", "a b "),
            (b"", ""),
            (b"\0", ""),
        ] {
            assert_eq!(gathered(&[text]), expected);
            let bytes: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(gathered(&bytes), expected);
        }
    }

    #[test]
    fn a_character_may_be_cut_and_a_broken_one_is_marked() {
        assert_eq!(gathered(&["é".as_bytes()]), "é");
        assert_eq!(gathered(&[b"a\xc3", b"\xa9b"]), "aéb");
        assert_eq!(gathered(&[b"a\xc3", b"b"]), "a\u{fffd}b");
        assert_eq!(gathered(&[b"a\xf0\x9f"]), "a\u{fffd}");
        assert_eq!(gathered(&[b"\xff\xfe"]), "\u{fffd}\u{fffd}");
    }
}
