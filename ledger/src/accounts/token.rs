//! Tokens of sessions and the emergency code: random, shown or stored once, kept here only as hashes.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Letters of the emergency code: base 32 without I, L, O and U, which are misread.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Letters of an emergency code: 160 bits, which nobody guesses.
const CODE_LETTERS: usize = 32;

/// What a session's file holds: 256 random bits. `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl Token {
    pub(super) fn generate() -> Self {
        Self(super::random())
    }

    /// As it stands in a session's file.
    #[must_use]
    pub fn to_hex(&self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The token of its text; `None` for what is none.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, place) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(text.get(place..place + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// What is kept of it. A plain hash will do: nobody can try out 2^256 tokens.
    pub(super) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

/// A new emergency code, in groups of four letters.
pub(super) fn emergency_code() -> String {
    let random: [u8; CODE_LETTERS] = super::random();
    let mut code = String::new();
    for (place, byte) in random.iter().enumerate() {
        if place > 0 && place % 4 == 0 {
            code.push('-');
        }
        // 256 is a multiple of 32: each letter is as likely as another.
        code.push(char::from(LETTERS[usize::from(byte % 32)]));
    }
    code
}

/// A code as it was typed, brought to one spelling: letters are read as the digits that they look
/// like, and case, spaces and hyphens do not count.
pub(super) fn read_code(typed: &str) -> String {
    typed
        .chars()
        .filter(|letter| !letter.is_whitespace() && *letter != '-')
        .map(|letter| match letter.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            letter => letter,
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is_one() {
        let token = Token::generate();
        assert_eq!(Token::from_hex(&token.to_hex()).unwrap(), token);
        assert_ne!(token, Token::generate());
        assert_eq!(format!("{token:?}"), "Token(hidden)");
        let hex = token.to_hex();
        for wrong in ["", &hex[1..], &format!("{hex}0"), &hex.replace(&hex[..1], "+")] {
            assert_eq!(Token::from_hex(wrong), None, "{wrong}");
        }
        assert_eq!(Token::from_hex(&"é".repeat(32)), None);
    }

    #[test]
    fn an_emergency_code_is_read_however_it_is_typed() {
        let code = emergency_code();
        assert_eq!((code.len(), code.matches('-').count()), (39, 7), "{code}");
        assert_ne!(code, emergency_code());
        let plain = code.replace('-', "");
        for typed in [code.to_lowercase(), code.replace('-', " "), format!(" {plain}\t")] {
            assert_eq!(read_code(&typed), plain);
        }
        assert_eq!(read_code("oil-OIL"), "011011");
    }
}
