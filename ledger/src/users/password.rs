//! Passwords on their way to Argon2id hashes, and sign-ins checked against them.

use argon2::password_hash::phc::{Output, Salt};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, PasswordHasher, Version};
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

/// Most memory that a stored hash may ask for, in KiB. A damaged or planted one must not make the
/// filter large or keep it busy for long.
const MAX_MEMORY_KIB: u32 = 64 * 1024;
/// Most passes that a stored hash may ask for.
const MAX_PASSES: u32 = 8;
/// Most lanes that a stored hash may ask for.
const MAX_LANES: u32 = 4;

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
    pub(crate) fn verify(&self, phc: &str) -> bool {
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
#[expect(
    clippy::expect_used,
    reason = "only the system's random source can fail, and then nothing is safe"
)]
pub fn hash_password(password: &Password) -> String {
    argon2()
        .hash_password(password.0.as_bytes())
        .expect("the system gives random bytes")
        .to_string()
}

/// Checks passwords one after the other in one block of memory, which it takes at the first check
/// (19 MiB, and never more than 64) and keeps. Memory taken and freed for each check would stay
/// with the allocator instead: a gigabyte of it after some dozen sign-ins on several threads.
#[derive(Default)]
pub struct PasswordChecker {
    memory: Vec<Block>,
}

impl PasswordChecker {
    /// Whether a password is the one of a stored hash. Costs the same as [`hash_password`], whatever
    /// the answer; a hash that is not understood, or asks for absurd costs, matches nothing.
    #[must_use]
    pub fn verify(&mut self, phc: &str, password: &str) -> bool {
        if password.len() > MAX_PASSWORD_BYTES {
            return false;
        }
        let Some(stored) = Stored::parse(phc) else { return false };
        let blocks = stored.argon2.params().block_count();
        if self.memory.len() < blocks {
            // Freed before more is taken: the two need not be held at once.
            self.memory = Vec::new();
            self.memory = vec![Block::new(); blocks];
        }
        let mut computed = [0; Output::MAX_LENGTH];
        let computed = &mut computed[..stored.output.len()];
        let (password, salt) = (password.as_bytes(), stored.salt.as_ref());
        let filled = &mut self.memory[..];
        let hashed = stored.argon2.hash_password_into_with_memory(password, salt, computed, filled);
        // Two of `Output` are compared in constant time.
        hashed.is_ok() && Output::new(computed).is_ok_and(|computed| computed == stored.output)
    }
}

/// A stored hash taken apart, its costs within bounds.
struct Stored {
    argon2: Argon2<'static>,
    salt: Salt,
    output: Output,
}

impl Stored {
    fn parse(phc: &str) -> Option<Self> {
        let hash = PasswordHash::new(phc).ok()?;
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = Version::try_from(hash.version?).ok()?;
        let params = Params::try_from(&hash).ok()?;
        let bounded = params.m_cost() <= MAX_MEMORY_KIB
            && params.t_cost() <= MAX_PASSES
            && params.p_cost() <= MAX_LANES;
        (algorithm == Algorithm::Argon2id && version == Version::V0x13 && bounded).then_some(())?;
        let argon2 = Argon2::new(algorithm, version, params);
        Some(Self { argon2, salt: hash.salt?, output: hash.hash? })
    }
}

/// As [`PasswordChecker::verify`], in memory taken for this one check: for a command, which ends.
#[must_use]
pub fn verify_password(phc: &str, password: &str) -> bool {
    PasswordChecker::default().verify(phc, password)
}

/// A hash that no password is known to have, to verify against for unknown names, so that a wrong
/// name costs what a wrong password does and names cannot be found out by the clock.
///
/// # Panics
/// If the system has no randomness, at the first call.
#[must_use]
#[expect(clippy::expect_used, reason = "the lengths are constants")]
pub fn dummy_phc() -> &'static str {
    static DUMMY: OnceLock<String> = OnceLock::new();
    DUMMY.get_or_init(|| {
        let random = || Salt::generate();
        // Nothing is hashed for it: 32 random bytes are as good as a hash, and take no memory.
        let hash = Output::new(&[random().as_ref(), random().as_ref()].concat())
            .expect("two salts are as long as a hash");
        let salt = random().to_salt_string();
        format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${}${hash}", &*salt)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
    use super::*;

    /// The hash of `password` with the salt `somesaltsomesalt` and given costs.
    fn phc(costs: (u32, u32, u32), password: &str) -> String {
        let (memory, passes, lanes) = costs;
        let params = Params::new(memory, passes, lanes, None).unwrap();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2
            .hash_password_with_salt(password.as_bytes(), b"somesaltsomesalt")
            .unwrap()
            .to_string()
    }

    #[test]
    fn a_hundred_checks_take_one_block_of_memory() {
        let mut checker = PasswordChecker::default();
        assert_eq!(checker.memory.capacity(), 0, "none before the first");
        let right = phc((64, 1, 1), "correct horse");
        let first = hash_password(&Password::new("correct horse").unwrap());
        assert!(checker.verify(&first, "correct horse"));
        let (place, blocks) = (checker.memory.as_ptr(), checker.memory.capacity());
        assert_eq!(blocks, MEMORY_KIB as usize);
        for round in 0..100 {
            assert!(!checker.verify(&right, &format!("wrong {round}")));
            assert!(checker.verify(&right, "correct horse"), "what was left in memory counts not");
        }
        assert!(checker.verify(&first, "correct horse"));
        assert!(!checker.verify(&first, "correct horsf"));
        assert_eq!((checker.memory.as_ptr(), checker.memory.capacity()), (place, blocks));
    }

    #[test]
    fn a_hash_is_checked_at_its_own_costs_and_refused_at_absurd_ones() {
        let mut checker = PasswordChecker::default();
        for costs in [(8, 1, 1), (64, 3, 2), (1024, 8, 4)] {
            let stored = phc(costs, "correct horse");
            assert!(checker.verify(&stored, "correct horse"), "{costs:?}");
            assert!(!checker.verify(&stored, "incorrect horse"), "{costs:?}");
        }
        // Right but for the costs written into it: refused before any memory is taken.
        let mut checker = PasswordChecker::default();
        let stored = phc((64, 1, 1), "correct horse");
        for costs in ["m=4294967295,t=1,p=1", "m=65537,t=1,p=1", "m=64,t=9,p=1", "m=64,t=1,p=5"] {
            let absurd = stored.replace("m=64,t=1,p=1", costs);
            assert_ne!(absurd, stored);
            assert!(!checker.verify(&absurd, "correct horse"), "{costs}");
        }
        for other in ["argon2i$", "argon2d$", "scrypt$"] {
            assert!(!checker.verify(&stored.replace("argon2id$", other), "correct horse"));
        }
        for (old, new) in [("v=19", "v=16"), ("$v=19", ""), ("$c29tZXNhbHRzb21lc2FsdA", "")] {
            let other = stored.replace(old, new);
            assert_ne!(other, stored);
            assert!(!checker.verify(&other, "correct horse"), "{other}");
        }
        assert_eq!(checker.memory.capacity(), 0);
    }
}
