//! The salts of a day's rows.
//!
//! Each day has a secret of 32 random bytes, kept in its file. The salt of row N is the AES-256 of one
//! block under that secret: eight bytes of which the first tells rows (0) from ends (1) and the others
//! are 0, then N as eight bytes, the highest first. Whoever is shown a row with its salt can check its
//! hash; of the rows beside it he sees hashes alone, and no trial finds what they say. (A hash with a
//! secret key would do as well, at a third of the whole cost of a proof: AES is an instruction of the
//! processor, SHA-256 often is not.)

use super::row::{SALT_BYTES, Salt};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

/// Salts made at once.
const RUN: u64 = 256;

/// What the salts of one day come from.
pub type DaySecret = [u8; 32];

/// A new secret.
///
/// # Errors
/// [`std::io::Error`] where the system gives no random bytes.
pub fn new_secret() -> std::io::Result<DaySecret> {
    let mut secret = DaySecret::default();
    aws_lc_rs::rand::fill(&mut secret)
        .map_err(|_| std::io::Error::other("the system gives no random bytes"))?;
    Ok(secret)
}

/// The salts of a day, made as they are asked for.
#[derive(Debug)]
pub struct Salts {
    key: EncryptingKey,
    rows: Run,
    ends: Run,
}

/// Salts that follow one another.
#[derive(Debug)]
struct Run {
    kind: u8,
    first: u64,
    bytes: Vec<u8>,
}

impl Salts {
    /// The salts that come from a secret.
    ///
    /// # Panics
    /// Never: any 32 bytes are a key.
    #[must_use]
    #[allow(clippy::expect_used, reason = "any 32 bytes are a key of AES-256")]
    pub fn new(secret: &DaySecret) -> Self {
        let key = UnboundCipherKey::new(&AES_256, secret).and_then(EncryptingKey::ctr);
        let run = |kind| Run { kind, first: 0, bytes: Vec::new() };
        Self { key: key.expect("any 32 bytes are a key"), rows: run(0), ends: run(1) }
    }

    /// The salt of the row in this place.
    pub fn row(&mut self, number: u64) -> Salt {
        self.rows.salt(&self.key, number)
    }

    /// The salt of the end in this place.
    pub fn end(&mut self, place: u64) -> Salt {
        self.ends.salt(&self.key, place)
    }

    /// As [`Salts::row`], for rows that do not follow one another.
    pub fn row_apart(&self, number: u64) -> Salt {
        apart(&self.key, self.rows.kind, number)
    }

    /// As [`Salts::end`], for ends that do not follow one another.
    pub fn end_apart(&self, place: u64) -> Salt {
        apart(&self.key, self.ends.kind, place)
    }
}

/// One salt by itself: counter mode over a block of zeros.
#[allow(clippy::expect_used, reason = "counter mode takes any length")]
fn apart(key: &EncryptingKey, kind: u8, number: u64) -> Salt {
    let mut counter = [0; SALT_BYTES];
    counter[0] = kind;
    counter[8..].copy_from_slice(&number.to_be_bytes());
    let mut salt = Salt::default();
    let context = EncryptionContext::Iv128(FixedLength::from(counter));
    key.less_safe_encrypt(&mut salt, context).expect("counter mode takes any length");
    salt
}

impl Run {
    fn salt(&mut self, key: &EncryptingKey, number: u64) -> Salt {
        let first = number - number % RUN;
        if self.bytes.is_empty() || self.first != first {
            self.make(key, first);
        }
        let start = (number - first) as usize * SALT_BYTES;
        let mut salt = Salt::default();
        salt.copy_from_slice(&self.bytes[start..start + SALT_BYTES]);
        salt
    }

    /// Counter mode over zeros is AES of the counters, which here are the numbers themselves.
    #[allow(clippy::expect_used, reason = "counter mode takes any length")]
    fn make(&mut self, key: &EncryptingKey, first: u64) {
        let mut counter = [0; SALT_BYTES];
        counter[0] = self.kind;
        counter[8..].copy_from_slice(&first.to_be_bytes());
        self.bytes.clear();
        self.bytes.resize(RUN as usize * SALT_BYTES, 0);
        let context = EncryptionContext::Iv128(FixedLength::from(counter));
        key.less_safe_encrypt(&mut self.bytes, context).expect("counter mode takes any length");
        self.first = first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One block, encrypted by itself.
    fn aes(secret: &DaySecret, block: [u8; 16]) -> [u8; 16] {
        let key = UnboundCipherKey::new(&AES_256, secret).and_then(EncryptingKey::ecb);
        let mut bytes = block;
        let done = key.and_then(|key| key.less_safe_encrypt(&mut bytes, EncryptionContext::None));
        assert!(done.is_ok());
        bytes
    }

    #[test]
    fn a_salt_is_aes_of_its_number() {
        let secret = [3; 32];
        let mut salts = Salts::new(&secret);
        for number in [0, 1, 255, 256, 257, 1_000_000, 255, u64::MAX] {
            let mut block = [0; 16];
            block[8..].copy_from_slice(&number.to_be_bytes());
            assert_eq!(salts.row(number), aes(&secret, block), "row {number}");
            assert_eq!(salts.row_apart(number), salts.row(number), "row {number}");
            block[0] = 1;
            assert_eq!(salts.end_apart(number), salts.end(number), "end {number}");
            assert_eq!(salts.end(number), aes(&secret, block), "end {number}");
        }
    }

    #[test]
    fn another_day_has_other_salts() {
        let secrets = [new_secret(), new_secret()].map(Result::unwrap_or_default);
        assert_ne!(secrets[0], secrets[1]);
        assert_ne!(Salts::new(&secrets[0]).row(0), Salts::new(&secrets[1]).row(0));
    }
}
