//! The coding that is called deflate: zlib's frame (RFC 1950), or deflate alone as some servers send it.

use flate2::Decompress;

use super::gzip::inflate;
use super::stage::{Status, Step};

/// Bytes that are kept to be read again without a frame, at most. Deflate tells its faults early.
const REPLAY_BYTES: usize = 1 << 10;

#[derive(Debug)]
pub(super) struct Deflate {
    inflate: Decompress,
    /// What came so far, while it may still prove to have no frame.
    replay: Option<Vec<u8>>,
    /// What is to be read before any input.
    again: Vec<u8>,
    framed: bool,
    ended: bool,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            inflate: Decompress::new(false),
            replay: Some(Vec::new()),
            again: Vec::new(),
            framed: false,
            ended: false,
        }
    }
}

impl Deflate {
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        if self.ended {
            return Step { read: 0, written: 0, status: Status::Ended };
        }
        let mut read = 0;
        if let Some(replay) = self.replay.as_mut().filter(|_| !self.framed) {
            // The first two bytes say whether there is a frame.
            read = (2 - replay.len()).min(input.len());
            replay.extend_from_slice(&input[..read]);
            match replay[..] {
                [method, flags] if is_frame(method, flags) => self.framed = true,
                [_, _] => self.again = self.replay.take().unwrap_or_default(),
                _ => return Step { read, written: 0, status: Status::Going },
            }
        }
        let step = self.read_on(&input[read..], output);
        self.ended = step.status == Status::Ended;
        Step { read: read + step.read, ..step }
    }

    fn read_on(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        if let Some(replay) = &mut self.replay {
            let step = inflate(&mut self.inflate, input, output);
            if step.status != Status::Broken || step.written > 0 {
                replay.extend_from_slice(&input[..step.read]);
                if step.written > 0 || replay.len() > REPLAY_BYTES {
                    self.replay = None;
                }
                return step;
            }
            // A fault before anything came out: what looked like a frame was none.
            self.again = self.replay.take().unwrap_or_default();
            self.inflate.reset(false);
        }
        if !self.again.is_empty() {
            let step = inflate(&mut self.inflate, &self.again, output);
            self.again.drain(..step.read);
            if step.written > 0 || step.status != Status::Going || !self.again.is_empty() {
                return Step { read: 0, ..step };
            }
        }
        inflate(&mut self.inflate, input, output)
    }
}

/// Whether two bytes are what zlib's frame begins with, without a dictionary.
fn is_frame(method: u8, flags: u8) -> bool {
    let both = u16::from(method) << 8 | u16::from(flags);
    method & 0x0f == 8 && method >> 4 <= 7 && both.is_multiple_of(31) && flags & 0x20 == 0
}
