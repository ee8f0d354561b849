//! Request ids, and the ten-character codes that people read out from a block page.
//!
//! An id counts up from the second it was made in, so a code alone finds the day's log:
//! 30 bits of seconds since 2025-01-01T00:00:00Z, then 15 bits counted within the second. The code
//! is the id in Crockford's base 32 (nine characters) and a check character (Luhn mod 32), shown as
//! `ABCDE-FGHJK`. Nothing about a person or site can be read from it.

use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The id of one request, unique within an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u64);

/// Why a text is no code.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CodeError {
    /// Not ten characters of the alphabet.
    #[error("\"{0}\" is no code; a code has ten letters and digits, like 4F2KQ-7M0XD")]
    NotACode(String),
    /// The check character does not match: a misread or mistyped character.
    #[error("code \"{0}\" has a mistyped character; look at it again")]
    Mistyped(String),
}

impl RequestId {
    /// Ids that one second can hold before they run into the next.
    pub const PER_SECOND: u64 = 1 << 15;

    /// The first id of the second that holds an instant.
    #[must_use]
    pub fn first_of(at: UnixMillis) -> Self {
        let _ = at;
        todo!()
    }

    /// The second in which the id was made (or a little after, under more than
    /// [`RequestId::PER_SECOND`] requests a second).
    #[must_use]
    pub fn second(self) -> UnixMillis {
        todo!()
    }

    /// The code, `ABCDE-FGHJK`.
    #[must_use]
    pub fn code(self) -> String {
        todo!()
    }

    /// Reads a code; case, spaces and hyphens do not matter, `O` is `0`, `I` and `L` are `1`.
    ///
    /// # Errors
    /// [`CodeError`].
    pub fn from_code(text: &str) -> Result<Self, CodeError> {
        let _ = text;
        todo!()
    }
}
