//! Content codings: what `Content-Encoding` says was done to a body.

use std::fmt;

/// Most codings on top of each other. Servers use one; a second comes of a cache that packs what is packed.
pub const MAX_CODINGS: usize = 2;

/// One content coding (RFC 9110, 8.4.1; RFC 7932; RFC 8878).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `gzip` or `x-gzip`: one or more members.
    Gzip,
    /// `deflate`: with zlib's frame or, as some servers have it and browsers accept, without.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`: one or more frames.
    Zstd,
}

impl Coding {
    /// Most bytes of memory that taking it off may need, beside what is handed on: its window. Of `zstd` the largest that
    /// servers may use (RFC 9659), of `br` the largest that there is (RFC 7932).
    #[must_use]
    pub fn window_bytes(self) -> u64 {
        match self {
            Self::Gzip | Self::Deflate => 64 << 10,
            Self::Zstd => 8 << 20,
            Self::Brotli => 16 << 20,
        }
    }
}

/// The codings of a body, in the order in which they were put on; none is `identity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codings {
    codings: [Option<Coding>; MAX_CODINGS],
}

/// Why a body cannot be decoded at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownCoding {
    /// A coding that is not known, such as `compress` or `dcb`.
    Unknown,
    /// More than [`MAX_CODINGS`].
    TooMany,
}

impl fmt::Display for UnknownCoding {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => write!(to, "the content coding is not known"),
            Self::TooMany => write!(to, "there are more than {MAX_CODINGS} content codings"),
        }
    }
}

impl Codings {
    /// Reads the value of `Content-Encoding`; of several fields, their values with commas between.
    ///
    /// # Errors
    /// A coding that is not known, or too many. `identity` and empty items say nothing.
    pub fn parse(value: &str) -> Result<Self, UnknownCoding> {
        let mut codings = Self::default();
        let mut count = 0;
        for item in value.split(',').map(str::trim) {
            let coding = match item.to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                "zstd" => Coding::Zstd,
                _ => return Err(UnknownCoding::Unknown),
            };
            *codings.codings.get_mut(count).ok_or(UnknownCoding::TooMany)? = Some(coding);
            count += 1;
        }
        Ok(codings)
    }

    /// In the order in which they are taken off: the last one first.
    pub fn outermost_first(self) -> impl Iterator<Item = Coding> {
        self.codings.into_iter().rev().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_read_as_fields_have_them() {
        let cases: [(&str, Result<&[Coding], UnknownCoding>); 9] = [
            ("", Ok(&[])),
            ("identity", Ok(&[])),
            ("GZIP", Ok(&[Coding::Gzip])),
            ("x-gzip", Ok(&[Coding::Gzip])),
            (" br ,", Ok(&[Coding::Brotli])),
            ("gzip, br", Ok(&[Coding::Brotli, Coding::Gzip])),
            ("deflate,identity,zstd", Ok(&[Coding::Zstd, Coding::Deflate])),
            ("compress", Err(UnknownCoding::Unknown)),
            ("gzip, gzip, gzip", Err(UnknownCoding::TooMany)),
        ];
        for (value, expected) in cases {
            let codings = Codings::parse(value);
            let codings = codings.map(|codings| codings.outermost_first().collect::<Vec<_>>());
            assert_eq!(codings.as_deref(), expected.as_ref().copied(), "{value:?}");
        }
    }
}
