//! What a file holds that a policy names, as it is kept with the policy.

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Serialize};

/// Its bytes. In JSON a text, and where they are no UTF-8 `{"base64": "..."}`: old phrase lists are in the encodings of
/// their time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Content(Vec<u8>);

impl Content {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text; none where it is no UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes { base64: String },
}

impl From<Content> for Written {
    fn from(content: Content) -> Self {
        match String::from_utf8(content.0) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Bytes { base64: Base64::encode_string(error.as_bytes()) },
        }
    }
}

impl TryFrom<Written> for Content {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Text(text) => Ok(Self(text.into_bytes())),
            Written::Bytes { base64 } => {
                Base64::decode_vec(&base64).map(Self).map_err(|error| error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn any_bytes_are_the_same_after_they_were_kept() {
        for (bytes, kept) in [
            (&b"zoot\n"[..], r#""zoot\n""#),
            (b"\xef\xbb\xbf<\xc3\xa9>", "\"\u{feff}<\u{e9}>\""),
            (b"<\xe9>\n\0", r#"{"base64":"POk+CgA="}"#),
            (b"", r#""""#),
        ] {
            let content = Content::from(bytes.to_vec());
            assert_eq!(serde_json::to_string(&content).unwrap(), kept);
            assert_eq!(serde_json::from_str::<Content>(kept).unwrap(), content);
        }
        assert!(serde_json::from_str::<Content>(r#"{"base64":"?"}"#).is_err());
    }
}
