//! One content coding, as its library decodes it.

use std::fmt;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use zstd::stream::raw::{DParameter, Operation};

use super::deflate::Deflate;
use super::gzip::Gzip;
use crate::page::coding::Coding;

/// Largest window of zstd, as a power of two: 8 MB, the most that RFC 9659 lets servers use.
const ZSTD_WINDOW_LOG: u32 = 23;

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It goes on when there is more input or more room.
    Going,
    /// The coding has ended.
    Ended,
    /// The bytes are not of this coding.
    Broken,
}

/// What a call took and gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) read: usize,
    pub(super) written: usize,
    pub(super) status: Status,
}

/// A coding that is being taken off.
#[derive(Debug)]
pub(super) enum Stage {
    Gzip(Box<Gzip>),
    Deflate(Box<Deflate>),
    Brotli(Box<Brotli>),
    Zstd(Zstd),
}

impl Stage {
    pub(super) fn new(coding: Coding) -> Self {
        match coding {
            Coding::Gzip => Self::Gzip(Box::default()),
            Coding::Deflate => Self::Deflate(Box::default()),
            Coding::Brotli => Self::Brotli(Box::default()),
            Coding::Zstd => Self::Zstd(Zstd::new()),
        }
    }

    /// Decodes as far as there is input and room.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        match self {
            Self::Gzip(stage) => stage.step(input, output),
            Self::Deflate(stage) => stage.step(input, output),
            Self::Brotli(stage) => stage.step(input, output),
            Self::Zstd(stage) => stage.step(input, output),
        }
    }

    /// Whether the body may end here although the coding could go on.
    pub(super) fn may_end(&self) -> bool {
        match self {
            Self::Gzip(stage) => stage.may_end(),
            Self::Zstd(stage) => stage.between_frames,
            Self::Deflate(_) | Self::Brotli(_) => false,
        }
    }
}

pub(super) struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
}

impl Default for Brotli {
    fn default() -> Self {
        let allocator = StandardAlloc::default;
        Self { state: BrotliState::new(allocator(), allocator(), allocator()) }
    }
}

impl fmt::Debug for Brotli {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Brotli").finish_non_exhaustive()
    }
}

impl Brotli {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let (mut in_left, mut read) = (input.len(), 0);
        let (mut out_left, mut written, mut total) = (output.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut in_left,
            &mut read,
            input,
            &mut out_left,
            &mut written,
            output,
            &mut total,
            &mut self.state,
        );
        let status = match result {
            BrotliResult::ResultSuccess => Status::Ended,
            BrotliResult::ResultFailure => Status::Broken,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Status::Going,
        };
        Step { read, written, status }
    }
}

pub(super) struct Zstd {
    /// `None` where the library has no memory for it.
    decoder: Option<zstd::stream::raw::Decoder<'static>>,
    /// Whether a whole frame has been read, and nothing of the next.
    between_frames: bool,
    frames: u64,
}

impl fmt::Debug for Zstd {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Zstd").field("frames", &self.frames).finish_non_exhaustive()
    }
}

impl Zstd {
    fn new() -> Self {
        let decoder = zstd::stream::raw::Decoder::new().ok().and_then(|mut decoder| {
            decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG)).ok()?;
            Some(decoder)
        });
        Self { decoder, between_frames: false, frames: 0 }
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        if self.between_frames && input.is_empty() {
            return Step { read: 0, written: 0, status: Status::Going };
        }
        let result = self.decoder.as_mut().map(|decoder| decoder.run_on_buffers(input, output));
        let Some(Ok(done)) = result else {
            // What follows a whole frame and is none is no part of the page.
            let status = if self.between_frames { Status::Ended } else { Status::Broken };
            return Step { read: 0, written: 0, status };
        };
        self.between_frames = done.remaining == 0;
        self.frames += u64::from(self.between_frames);
        Step { read: done.bytes_read, written: done.bytes_written, status: Status::Going }
    }
}
