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
            let end = plain_length(rest);
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

/// How much of what begins with a letter is letters with single spaces between.
fn plain_length(text: &[u8]) -> usize {
    let mut end = 1;
    let mut after_space = false;
    // Eight bytes at once, as long as nothing but letters and single spaces comes.
    while let Some(&word) = text.get(end..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(word);
        let low = repeated(0x7f);
        // The highest bit of each byte: whether it is a space, and whether it is any blank or control.
        let other = word ^ repeated(b' ');
        let spaces = !(((other & low) + low) | other) & !low;
        let blanks = !(((word & low) + repeated(0x7f - b' ')) | word) & !low;
        let is_plain = spaces == blanks && spaces & spaces << 8 == 0;
        if !is_plain || after_space && spaces & 0x80 != 0 {
            break;
        }
        after_space = spaces >> 63 != 0;
        end += 8;
    }
    end -= usize::from(after_space);
    while let Some(&byte) = text.get(end) {
        if is_blank(byte) {
            let next = text.get(end + 1);
            if byte != b' ' || next.is_none_or(|&next| is_blank(next)) {
                break;
            }
        }
        end += 1;
    }
    end
}

const fn repeated(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
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
    fn text_is_as_the_plainest_reading_has_it() {
        let letters = [b"a", b"b", b" ", b" ", b"\n", b"\0", b"\x01", b"\xc3"];
        let mut state = 1_u64;
        for length in 0..2000 {
            let mut text = Vec::new();
            for _ in 0..length % 50 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Letters are commoner, so that eight bytes in a row are plain at times.
                let at = (state >> 40) as usize % if length % 2 == 0 { 8 } else { 24 };
                text.push(letters.get(at).map_or(b'c', |letter| letter[0]));
            }
            let mut expected = String::new();
            for letter in String::from_utf8_lossy(&text).replace('\0', "").chars() {
                let is_blank = letter == ' ' || letter == '\n';
                if !is_blank {
                    expected.push(letter);
                } else if !expected.is_empty() && !expected.ends_with(' ') {
                    expected.push(' ');
                }
            }
            assert_eq!(gathered(&[&text]), expected, "{text:?}");
            assert_eq!(gathered(&text.chunks(3).collect::<Vec<_>>()), expected, "{text:?}");
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
