//! Taking content codings off a body as it comes, within bounds.
//!
//! The libraries decode; what is here keeps count. A body that grows beyond what pages do is a bomb, and
//! one that is only large is told apart from it. Checksums are not verified: browsers show a page before
//! its checksum comes.

mod deflate;
mod gzip;
mod stage;

use super::coding::Codings;
use stage::{Stage, Status};

/// Bytes that are handed on at once, at most.
pub const PIECE_BYTES: usize = 16 << 10;

/// What a body may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Bytes that any of its codings may give.
    pub output_bytes: u64,
    /// Bytes that a byte of the body as sent may become, on average so far.
    pub ratio: u64,
    /// Bytes up to which [`DecodeLimits::ratio`] is not looked at: a small page of little but blanks
    /// is no bomb.
    pub ratio_from_bytes: u64,
    /// Bytes in and out of all codings together: what bounds the time, as decoding takes a bounded time
    /// for each of them.
    pub work_bytes: u64,
}

impl Default for DecodeLimits {
    /// 32 MB, 250 times, from 1 MB, and 128 MB: at 2 ns a byte a quarter of a second. Real pages shrink
    /// to a fifth; a bomb of deflate to a thousandth, of the others to less.
    fn default() -> Self {
        Self {
            output_bytes: 32 << 20,
            ratio: 250,
            ratio_from_bytes: 1 << 20,
            work_bytes: 128 << 20,
        }
    }
}

/// How it stands with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeState {
    /// All that came was decoded.
    Clean,
    /// It grew beyond [`DecodeLimits::ratio`].
    Bomb,
    /// It grew beyond [`DecodeLimits::output_bytes`] or [`DecodeLimits::work_bytes`].
    TooLarge,
    /// It is not in the coding that it is said to be in. What came before was decoded.
    Broken,
    /// It ended before its coding did. Browsers show what came.
    Cut,
}

/// A body that is being decoded.
///
/// Memory: some 50 KB for gzip and deflate; for `zstd` a window of at most 8 MB (RFC 9659), for `br` of
/// at most 16 MB (RFC 7932), as large as the body says and fills; 16 KB for each coding.
#[derive(Debug)]
pub struct Decoder {
    /// The outermost coding first.
    layers: Vec<Layer>,
    limits: DecodeLimits,
    state: DecodeState,
    encoded: u64,
    decoded: u64,
    work: u64,
}

#[derive(Debug)]
struct Layer {
    stage: Stage,
    window: u64,
    buffer: Vec<u8>,
    made: u64,
    ended: bool,
    taken: u64,
}

impl Decoder {
    /// Starts with a body.
    #[must_use]
    pub fn new(codings: Codings, limits: DecodeLimits) -> Self {
        let layer = |coding| Layer {
            stage: Stage::new(coding),
            window: coding.window_bytes(),
            buffer: vec![0; PIECE_BYTES],
            made: 0,
            ended: false,
            taken: 0,
        };
        let layers = codings.outermost_first().map(layer).collect();
        Self { layers, limits, state: DecodeState::Clean, encoded: 0, decoded: 0, work: 0 }
    }

    /// Takes the bytes that come next and hands on what they decode to, in pieces of at most
    /// [`PIECE_BYTES`]. Once the state is not clean it stays so, and nothing is taken.
    pub fn push(&mut self, bytes: &[u8], out: &mut dyn FnMut(&[u8])) -> DecodeState {
        if self.state != DecodeState::Clean {
            return self.state;
        }
        let mut tally = Tally {
            limits: self.limits,
            encoded: self.encoded,
            decoded: self.decoded,
            work: self.work,
        };
        if self.layers.is_empty() {
            for piece in bytes.chunks(PIECE_BYTES) {
                tally.encoded += piece.len() as u64;
                self.state = tally.add(piece.len() as u64, 0, tally.decoded + piece.len() as u64);
                if self.state != DecodeState::Clean {
                    break;
                }
                tally.decoded += piece.len() as u64;
                out(piece);
            }
        } else {
            self.state = run(&mut self.layers, bytes, true, &mut tally, out);
        }
        Tally { encoded: self.encoded, decoded: self.decoded, work: self.work, .. } = tally;
        self.state
    }

    /// Ends the body.
    pub fn end(&mut self) -> DecodeState {
        let is_cut = |layer: &Layer| !layer.ended && layer.taken > 0 && !layer.stage.may_end();
        if self.state == DecodeState::Clean && self.layers.iter().any(is_cut) {
            self.state = DecodeState::Cut;
        }
        self.state
    }

    /// Bytes of memory that its codings' windows have come to. They fill with what is made, so that a short body
    /// needs no more than its own length, whatever window it asks for.
    #[must_use]
    pub fn window_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.made.min(layer.window)).sum()
    }

    /// Bytes that were taken, as they were sent.
    #[must_use]
    pub fn encoded_bytes(&self) -> u64 {
        self.encoded
    }

    /// Bytes that were handed on.
    #[must_use]
    pub fn decoded_bytes(&self) -> u64 {
        self.decoded
    }
}

/// What is counted while a piece goes through the layers.
#[derive(Debug)]
struct Tally {
    limits: DecodeLimits,
    encoded: u64,
    decoded: u64,
    work: u64,
}

impl Tally {
    /// Counts a step, after which a layer has made so much in all.
    fn add(&mut self, read: u64, written: u64, made: u64) -> DecodeState {
        self.work += read + written;
        let limits = &self.limits;
        if made > limits.ratio_from_bytes && made > self.encoded.saturating_mul(limits.ratio) {
            DecodeState::Bomb
        } else if made > limits.output_bytes || self.work > limits.work_bytes {
            DecodeState::TooLarge
        } else {
            DecodeState::Clean
        }
    }
}

/// Runs bytes through the first layer, and what it makes through those below.
fn run(
    layers: &mut [Layer],
    bytes: &[u8],
    is_outermost: bool,
    tally: &mut Tally,
    out: &mut dyn FnMut(&[u8]),
) -> DecodeState {
    let Some((layer, below)) = layers.split_first_mut() else {
        tally.decoded += bytes.len() as u64;
        out(bytes);
        return DecodeState::Clean;
    };
    layer.taken += bytes.len() as u64;
    let mut rest = bytes;
    loop {
        if layer.ended {
            // What stands behind the end is no part of the page; browsers leave it out.
            if is_outermost {
                tally.encoded += rest.len() as u64;
            }
            return tally.add(rest.len() as u64, 0, layer.made);
        }
        let step = layer.stage.step(rest, &mut layer.buffer);
        rest = &rest[step.read..];
        layer.made += step.written as u64;
        if is_outermost {
            tally.encoded += step.read as u64;
        }
        let state = tally.add(step.read as u64, step.written as u64, layer.made);
        if state != DecodeState::Clean {
            return state;
        }
        if step.written > 0 {
            let state = run(below, &layer.buffer[..step.written], false, tally, out);
            if state != DecodeState::Clean {
                return state;
            }
        }
        match step.status {
            Status::Broken => return DecodeState::Broken,
            Status::Ended => layer.ended = true,
            Status::Going => {
                let is_done = rest.is_empty() && step.written < layer.buffer.len();
                if is_done || step.read == 0 && step.written == 0 {
                    return DecodeState::Clean;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
