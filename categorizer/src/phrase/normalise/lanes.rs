//! Sixteen bytes of ASCII folded at once.
//!
//! What every x86-64 processor has is used there, and everywhere else whole words; both are the
//! same by test.

/// Bytes that are folded together.
pub(super) const LANES: usize = 16;

/// Some bytes, folded as far as they are ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Folded {
    /// How many lanes there are before the first that is not ASCII; later ones mean nothing.
    pub(super) ascii: usize,
    /// The folded lanes, the first one lowest.
    pub(super) bytes: u128,
    /// Which of them are a space, the first one in the lowest bit.
    pub(super) spaces: u32,
}

#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn fold(chunk: &[u8; LANES]) -> Folded {
    #[allow(unsafe_code, reason = "twice as fast as in words, where most of normalising is done")]
    // SAFETY: SSE2 is part of x86-64; no processor of that kind is without it.
    unsafe {
        at_once(chunk)
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn at_once(chunk: &[u8; LANES]) -> Folded {
    use std::arch::x86_64::{
        __m128i, _mm_and_si128, _mm_andnot_si128, _mm_cmpgt_epi8, _mm_cvtsi128_si64,
        _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8, _mm_unpackhi_epi64,
    };
    let chunk = u128::from_le_bytes(*chunk);
    let chunk = _mm_set_epi64x((chunk >> 64) as i64, chunk as i64);
    // Lanes that are not ASCII are negative, and so between none of these.
    let between = |lanes: __m128i, first: u8, last: u8| {
        let from = _mm_cmpgt_epi8(lanes, _mm_set1_epi8(first as i8 - 1));
        _mm_and_si128(from, _mm_cmpgt_epi8(_mm_set1_epi8(last as i8 + 1), lanes))
    };
    let lower = _mm_and_si128(between(chunk, b'A', b'Z'), _mm_set1_epi8(0x20));
    let lower = _mm_or_si128(chunk, lower);
    let number = _mm_or_si128(between(chunk, b'0', b'9'), between(chunk, b'$', b'%'));
    let kept = _mm_or_si128(between(lower, b'a', b'z'), number);
    let space = _mm_andnot_si128(kept, _mm_set1_epi8(b' ' as i8));
    let bytes = _mm_or_si128(_mm_and_si128(kept, lower), space);
    let high = _mm_movemask_epi8(chunk) as u32 | 1 << LANES;
    let low_half = _mm_cvtsi128_si64(bytes) as u64;
    let high_half = _mm_cvtsi128_si64(_mm_unpackhi_epi64(bytes, bytes)) as u64;
    Folded {
        ascii: high.trailing_zeros() as usize,
        bytes: u128::from(high_half) << 64 | u128::from(low_half),
        spaces: !_mm_movemask_epi8(kept) as u32,
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use in_words as fold;

/// The same without special instructions.
#[cfg(any(test, not(target_arch = "x86_64")))]
pub(super) fn in_words(chunk: &[u8; LANES]) -> Folded {
    let chunk = u128::from_le_bytes(*chunk);
    let (low_half, low_spaces) = fold_word(chunk as u64);
    let (high_half, high_spaces) = fold_word((chunk >> 64) as u64);
    let high = chunk & u128::from_le_bytes([0x80; LANES]);
    Folded {
        ascii: (high.trailing_zeros() as usize / 8).min(LANES),
        bytes: u128::from(high_half) << 64 | u128::from(low_half),
        spaces: low_spaces | high_spaces << 8,
    }
}

/// Eight lanes.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn fold_word(chunk: u64) -> (u64, u32) {
    let all = |byte: u8| u64::from_le_bytes([byte; 8]);
    let low = chunk & all(0x7f);
    // The highest bit of each lane that is at least a byte: no lane carries into the next.
    let at_least = |lanes: u64, byte: u8| lanes + all(0x80 - byte);
    let upper = at_least(low, b'A') & !at_least(low, b'Z' + 1) & all(0x80);
    let lower = low | upper >> 2;
    let letter = at_least(lower, b'a') & !at_least(lower, b'z' + 1);
    let digit = at_least(lower, b'0') & !at_least(lower, b'9' + 1);
    let sign = at_least(lower, b'$') & !at_least(lower, b'%' + 1);
    let space = (!(letter | digit | sign) & all(0x80)) >> 7;
    let every_bit = space * 0xff;
    // The lowest bit of each lane is gathered in the highest lane.
    let spaces = (space.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32;
    (lower & !every_bit | all(b' ') & every_bit, spaces)
}

#[cfg(test)]
mod tests {
    use super::super::fold_ascii;
    use super::*;

    #[test]
    fn lanes_are_folded_as_single_bytes_are() {
        for byte in 0..=u8::MAX {
            for place in 0..LANES {
                let mut chunk = *b"aZ09 $~A/:@[`{\x7f\0";
                chunk[place] = byte;
                let ascii = if byte < 0x80 { LANES } else { place };
                let expected = chunk.map(fold_ascii);
                for folded in [fold(&chunk), in_words(&chunk)] {
                    assert_eq!(folded.ascii, ascii);
                    assert_eq!(folded.bytes.to_le_bytes()[..ascii], expected[..ascii]);
                    for (lane, &byte) in expected[..ascii].iter().enumerate() {
                        assert_eq!(folded.spaces >> lane & 1 == 1, byte == b' ');
                    }
                }
            }
        }
    }
}
