//! Request ids, and the ten-character codes that people read out from a block page.
//!
//! An id counts up from the second it was made in, so a code alone finds the day's log:
//! 30 bits of seconds since 2025-01-01T00:00:00Z, then 15 bits counted within the second. The code
//! is the id in Crockford's base 32 (nine characters) and a check character, shown as
//! `ABCDE-FGHJK`. Nothing about a person or site can be read from it.
//!
//! The check character makes the ten characters, as digits of the field of 32 elements, sum to
//! zero under weights that all differ. That catches every mistyped character and every swap of two
//! characters; Luhn's sum modulo 32 would miss the swap of `0` and `Z`.

use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// 2025-01-01T00:00:00Z in seconds since 1970.
const EPOCH_SECONDS: i64 = 1_735_689_600;
/// Bits counted within a second.
const COUNT_BITS: u32 = 15;
/// Bits of an id: nine characters of five bits.
const ID_BITS: u32 = 45;
/// Crockford's base 32: no I, L, O or U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The id of one request, unique within an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u64);

/// Why a text is no code.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CodeError {
    /// Not ten characters of the alphabet.
    #[error("\"{0}\" is no code; a code has ten letters and digits, like 4F2KQ-7M0XM")]
    NotACode(String),
    /// The check character does not match: a misread or mistyped character.
    #[error("code \"{0}\" has a mistyped character; look at it again")]
    Mistyped(String),
}

impl RequestId {
    /// Ids that one second can hold before they run into the next.
    pub const PER_SECOND: u64 = 1 << COUNT_BITS;

    /// The first id of the second that holds an instant; instants before 2025 or after 2058 give
    /// the first or last second that codes reach.
    #[must_use]
    pub fn first_of(at: UnixMillis) -> Self {
        let last = (1_i64 << (ID_BITS - COUNT_BITS)) - 1;
        let seconds = (at.0.div_euclid(1000) - EPOCH_SECONDS).clamp(0, last);
        Self((seconds as u64) << COUNT_BITS)
    }

    /// The second in which the id was made (or a little after, under more than
    /// [`RequestId::PER_SECOND`] requests a second).
    #[must_use]
    pub fn second(self) -> UnixMillis {
        let seconds = (self.0 & ((1 << ID_BITS) - 1)) >> COUNT_BITS;
        UnixMillis((seconds as i64 + EPOCH_SECONDS) * 1000)
    }

    /// The code, `ABCDE-FGHJK`.
    #[must_use]
    pub fn code(self) -> String {
        let mut sum = 0;
        let mut code = String::with_capacity(11);
        for place in (0..9).rev() {
            let digit = (self.0 >> (5 * place)) as u8 & 31;
            sum = times_x(sum) ^ digit;
            code.push(char::from(ALPHABET[usize::from(digit)]));
            if place == 4 {
                code.push('-');
            }
        }
        code.push(char::from(ALPHABET[usize::from(times_x(sum))]));
        code
    }

    /// Reads a code; case, spaces and hyphens do not matter, `O` is `0`, `I` and `L` are `1`.
    ///
    /// # Errors
    /// [`CodeError`].
    pub fn from_code(text: &str) -> Result<Self, CodeError> {
        let not_a_code = || CodeError::NotACode(text.chars().take(40).collect());
        let mut digits = [0_u8; 10];
        let mut count = 0;
        for character in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            let digit = digit_of(character).ok_or_else(not_a_code)?;
            *digits.get_mut(count).ok_or_else(not_a_code)? = digit;
            count += 1;
        }
        if count != digits.len() {
            return Err(not_a_code());
        }
        if digits.iter().fold(0, |sum, digit| times_x(sum) ^ digit) != 0 {
            return Err(CodeError::Mistyped(text.trim().to_owned()));
        }
        Ok(Self(digits[..9].iter().fold(0, |id, digit| id << 5 | u64::from(*digit))))
    }
}

/// Multiplies by x in GF(32) with the polynomial x^5 + x^2 + 1; x has order 31, so that the
/// weights of ten places all differ.
fn times_x(value: u8) -> u8 {
    let doubled = value << 1;
    if doubled & 32 == 0 { doubled } else { doubled ^ 0b10_0101 }
}

fn digit_of(character: char) -> Option<u8> {
    let upper = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    ALPHABET.iter().position(|known| char::from(*known) == upper).map(|place| place as u8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    const NOON: UnixMillis = UnixMillis(1_795_348_800_123);

    #[test]
    fn a_code_leads_back_to_its_id_and_second() {
        let id = RequestId(RequestId::first_of(NOON).0 + 77);
        assert_eq!(id.second(), UnixMillis(1_795_348_800_000));
        let code = id.code();
        assert_eq!((code.len(), code.as_bytes()[5]), (11, b'-'));
        let spoken = code.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        assert_eq!(RequestId::from_code(&spoken), Ok(id));
    }

    #[test]
    fn the_example_in_the_message_is_a_code() {
        let message = CodeError::NotACode(String::new()).to_string();
        let example = message.rsplit(' ').next().unwrap();
        assert!(RequestId::from_code(example).is_ok(), "{example}");
    }

    #[test]
    fn ids_count_up_with_time_and_stay_in_reach() {
        assert!(RequestId::first_of(UnixMillis(NOON.0 + 1000)) > RequestId::first_of(NOON));
        assert_eq!(RequestId::first_of(UnixMillis(i64::MIN)), RequestId(0));
        let last = RequestId::first_of(UnixMillis(i64::MAX));
        assert_eq!(RequestId::from_code(&last.code()), Ok(last));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "4F2KQ", "4F2KQ-7M0XD-1", "4F2KQ-7M0XU", "4F2KQ-7M0X!", "4F2KQ-7M0Xé"] {
            assert!(matches!(RequestId::from_code(text), Err(CodeError::NotACode(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_mistyped_character_is_caught(id in 0..1_u64 << 45, place in 0_usize..10, by in 1_u8..32) {
            let code = RequestId(id).code().replace('-', "");
            let mut typed = code.clone().into_bytes();
            let digit = digit_of(char::from(typed[place])).unwrap();
            typed[place] = ALPHABET[usize::from((digit + by) % 32)];
            let typed = String::from_utf8(typed).unwrap();
            prop_assert_eq!(RequestId::from_code(&typed), Err(CodeError::Mistyped(typed)));
            prop_assert_eq!(RequestId::from_code(&code), Ok(RequestId(id)));
        }

        #[test]
        fn any_two_characters_swapped_are_caught(id in 0..1_u64 << 45, a in 0_usize..10, b in 0_usize..10) {
            let code = RequestId(id).code().replace('-', "");
            let mut typed = code.clone().into_bytes();
            typed.swap(a, b);
            let typed = String::from_utf8(typed).unwrap();
            if typed != code {
                prop_assert_eq!(RequestId::from_code(&typed), Err(CodeError::Mistyped(typed)));
            }
        }
    }

    #[test]
    fn even_a_swapped_0_and_z_are_caught() {
        let id = RequestId(31 << 5);
        let code = id.code();
        assert_eq!(&code[7..10], "0Z0");
        assert!(RequestId::from_code(&code.replace("0Z0", "Z00")).is_err());
        assert!(RequestId::from_code(&code.replace("0Z0", "00Z")).is_err());
    }
}
