//! Passwords on their way to Argon2id hashes, and sign-ins checked against them.

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use std::sync::OnceLock;
use thiserror::Error;

/// Fewest characters of a password.
pub const MIN_PASSWORD_CHARS: usize = 8;
/// Most bytes of a password: what a sign-in attempt may make the proxy hash.
pub const MAX_PASSWORD_BYTES: usize = 256;
/// Argon2id memory, in KiB: OWASP's first choice, 19 MiB.
const MEMORY_KIB: u32 = 19 * 1024;
/// Argon2id passes.
const PASSES: u32 = 2;
/// Argon2id lanes.
const LANES: u32 = 1;

/// A password on its way to its hash. `Debug` shows nothing.
#[derive(Clone)]
pub struct Password(String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(hidden)")
    }
}

/// Why a text will not do as a password.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PasswordError {
    /// Under [`MIN_PASSWORD_CHARS`].
    #[error("the password is too short; use at least {MIN_PASSWORD_CHARS} characters")]
    TooShort,
    /// Over [`MAX_PASSWORD_BYTES`].
    #[error("the password is too long; use at most {MAX_PASSWORD_BYTES} bytes")]
    TooLong,
    /// A control character: a stray newline, most often.
    #[error("the password holds a control character; give it as one line of text")]
    Control,
}

impl Password {
    /// Takes a password that a person chose.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub fn new(text: &str) -> Result<Self, PasswordError> {
        if text.chars().count() < MIN_PASSWORD_CHARS {
            return Err(PasswordError::TooShort);
        }
        if text.len() > MAX_PASSWORD_BYTES {
            return Err(PasswordError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(PasswordError::Control);
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it is the password of a stored hash.
    pub(super) fn verify(&self, phc: &str) -> bool {
        verify_password(phc, &self.0)
    }

    /// A password of any length, for the demonstration users alone.
    #[must_use]
    pub fn for_demonstration(text: &str) -> Self {
        Self(text.to_owned())
    }
}

fn argon2() -> Argon2<'static> {
    // The numbers are constants within Argon2's bounds, so the default is never reached.
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The Argon2id hash of a password in PHC form, with a random salt. Takes tens of milliseconds and
/// 19 MiB: not for a thread that serves connections.
///
/// # Panics
/// If the system has no randomness: nothing safe could follow.
#[must_use]
pub fn hash_password(password: &Password) -> String {
    hash_bytes(password.0.as_bytes())
}

#[expect(
    clippy::expect_used,
    reason = "only the system's random source can fail, and then nothing is safe"
)]
fn hash_bytes(password: &[u8]) -> String {
    argon2().hash_password(password).expect("the system gives random bytes").to_string()
}

/// Whether a password is the one of a stored hash. Costs the same as [`hash_password`], whatever
/// the answer; a hash that is not understood matches nothing.
#[must_use]
pub fn verify_password(phc: &str, password: &str) -> bool {
    if password.len() > MAX_PASSWORD_BYTES {
        return false;
    }
    match PasswordHash::new(phc) {
        Ok(hash) => argon2().verify_password(password.as_bytes(), &hash).is_ok(),
        Err(_) => false,
    }
}

/// A hash of nothing anybody can type, to verify against for unknown names, so that a wrong name
/// costs what a wrong password does and names cannot be found out by the clock.
#[must_use]
pub fn dummy_phc() -> &'static str {
    static DUMMY: OnceLock<String> = OnceLock::new();
    DUMMY.get_or_init(|| hash_bytes(b"\0nobody's password"))
}
