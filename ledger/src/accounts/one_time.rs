//! One-time codes from an authenticator app (TOTP, RFC 6238: SHA-1, 6 digits, 30 s).

use rules::time::UnixMillis;
use std::fmt::Write as _;
use totp_rs::{Builder, Secret, Totp};

/// Bytes of a new secret: as many as SHA-1 gives (RFC 4226, 4, R6).
const SECRET_BYTES: usize = 20;

/// The issuer that an authenticator app shows.
const ISSUER: &str = "Schoolgate";

/// The secret that an authenticator app and the filter share. `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct OneTimeSecret(Vec<u8>);

impl std::fmt::Debug for OneTimeSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneTimeSecret(hidden)")
    }
}

impl OneTimeSecret {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(super::random::<SECRET_BYTES>().to_vec())
    }

    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The secret of its base 32 form; `None` for what is none.
    #[must_use]
    pub fn from_base32(text: &str) -> Option<Self> {
        Some(Self(Secret::try_from_base32(text.trim()).ok()?.as_bytes().to_vec()))
    }

    /// To be typed into an app, in base 32.
    #[must_use]
    pub fn to_base32(&self) -> String {
        Secret::from(self.0.clone()).to_base32()
    }

    /// To be made a QR code of: what apps read when an account is added.
    #[must_use]
    pub fn url(&self, account: &str) -> String {
        let mut name = String::new();
        for byte in account.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    name.push(char::from(byte));
                }
                _ => {
                    let _ = write!(name, "%{byte:02X}");
                }
            }
        }
        format!("otpauth://totp/{ISSUER}:{name}?secret={}&issuer={ISSUER}", self.to_base32())
    }

    /// The code that an app shows at a moment.
    #[must_use]
    pub fn code(&self, at: UnixMillis) -> String {
        self.totp().generate(seconds(at)).to_string()
    }

    /// The step whose code this is: of the moment, or of the 30 s before or after, for clocks that
    /// differ. A code of step `used` or an earlier one is no code any more: each is taken once, and
    /// none when the clock was set back.
    #[must_use]
    pub fn check(&self, code: &str, at: UnixMillis, used: Option<u64>) -> Option<u64> {
        let code: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
        let step = self.totp().check(&code, seconds(at))?;
        used.is_none_or(|used| step > used).then_some(step)
    }

    fn totp(&self) -> Totp {
        // The usual numbers (SHA-1, 6 digits, 30 s, one step either way) are the builder's own; a
        // test with the RFC's values keeps them so.
        Builder::new().with_secret(self.0.clone()).build_noncompliant()
    }
}

fn seconds(at: UnixMillis) -> u64 {
    u64::try_from(at.0 / 1000).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
mod tests {
    use super::*;

    /// The secret of RFC 6238, appendix B.
    fn of_the_rfc() -> OneTimeSecret {
        OneTimeSecret::from_bytes(b"12345678901234567890".to_vec())
    }

    const fn at(seconds: i64) -> UnixMillis {
        UnixMillis(seconds * 1000)
    }

    #[test]
    fn codes_are_those_of_the_rfc_cut_to_six_digits() {
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924")]
        {
            assert_eq!(of_the_rfc().code(at(seconds)), code);
        }
    }

    #[test]
    fn a_code_holds_one_step_either_way_and_once() {
        let secret = of_the_rfc();
        let code = secret.code(at(3_000));
        for (seconds, step) in [
            (2_939, None),
            (2_970, Some(100)),
            (3_000, Some(100)),
            (3_059, Some(100)),
            (3_060, None),
        ] {
            assert_eq!(secret.check(&code, at(seconds), None), step, "{seconds}");
        }
        assert_eq!(secret.check(&code, at(3_000), Some(99)), Some(100));
        assert_eq!(secret.check(&code, at(3_000), Some(100)), None, "replayed");
        assert_eq!(secret.check(&code, at(3_000), Some(101)), None, "the clock was set back");
        let spoken = format!("{} {}", &code[..3], &code[3..]);
        assert_eq!(secret.check(&spoken, at(3_000), None), Some(100), "{spoken}");
        for wrong in ["", "12345", "1234567", "abcdef", "٣٤٥٦٧٨", "-12345"] {
            assert_eq!(secret.check(wrong, at(3_000), None), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_typed_or_scanned_and_never_shown_by_accident() {
        let secret = OneTimeSecret::generate();
        assert_ne!(secret, OneTimeSecret::generate());
        let typed = secret.to_base32();
        assert_eq!(OneTimeSecret::from_base32(&typed).unwrap(), secret);
        assert_eq!(typed.len(), 32);
        assert_eq!(
            secret.url("Ann é"),
            format!("otpauth://totp/Schoolgate:Ann%20%C3%A9?secret={typed}&issuer=Schoolgate")
        );
        assert_eq!(format!("{secret:?}"), "OneTimeSecret(hidden)");
        assert!(OneTimeSecret::from_base32("1!").is_none());
    }
}
