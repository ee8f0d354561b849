//! The journal: append-only files, one per worker, that hold each decision before it takes effect.

use crate::record::{Decided, Ended};
use rules::code::RequestId;
use std::path::Path;
use std::rc::Rc;
use thiserror::Error;

/// Why a decision could not be recorded. The request is refused with 503.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The write failed (disk full, read-only, I/O error).
    #[error("journal {path}: {source}; browsing stops until the log can be written")]
    Write {
        /// File.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// More waits to be stored than the bound allows.
    #[error("{bytes} bytes of journal wait to be stored, over `log.max_backlog_bytes`")]
    Backlog {
        /// Waiting.
        bytes: u64,
    },
}

/// One worker's journal. Not shared between threads.
pub struct Journal {
    _private: (),
}

/// Shared by all journals of one process: ids, the backlog, the switch that stops service.
pub struct Shared {
    _private: (),
}

impl Journal {
    /// Opens worker `worker`'s next journal file in `folder` (`STATE/journal`).
    ///
    /// # Errors
    /// [`std::io::Error`] of the file system.
    pub fn open(folder: &Path, worker: u16, shared: &std::sync::Arc<Shared>) -> std::io::Result<Rc<Self>> {
        let _ = (folder, worker, shared);
        todo!()
    }

    /// The next request id.
    pub fn next_id(&self, at: rules::time::UnixMillis) -> RequestId {
        let _ = at;
        todo!()
    }

    /// Writes a decision. When this returns `Ok`, the bytes are with the operating system.
    ///
    /// # Errors
    /// [`RecordError`]: the caller must refuse the request.
    pub fn decide(self: &Rc<Self>, decided: &Decided<'_>) -> Result<Pending, RecordError> {
        let _ = decided;
        todo!()
    }

    /// Writes a decision and its end at once: refusals.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn refuse(self: &Rc<Self>, decided: &Decided<'_>, ended: Ended) -> Result<(), RecordError> {
        let _ = (decided, ended);
        todo!()
    }

    /// Writes buffered ends out; called by the worker on a timer of at most 100 ms.
    pub fn flush(&self) {
        todo!()
    }
}

/// A recorded decision whose end is still to come. Dropped early, the end is [`crate::record::End::Aborted`]
/// with the bytes counted so far.
pub struct Pending {
    _private: (),
}

impl Pending {
    /// The request's id.
    #[must_use]
    pub fn id(&self) -> RequestId {
        todo!()
    }

    /// Counts bytes from the client.
    pub fn count_up(&self, bytes: u64) {
        let _ = bytes;
        todo!()
    }

    /// Counts bytes to the client.
    pub fn count_down(&self, bytes: u64) {
        let _ = bytes;
        todo!()
    }

    /// Sets the status sent to the client.
    pub fn set_status(&self, status: u16) {
        let _ = status;
        todo!()
    }

    /// Ends the record.
    pub fn finish(self, end: crate::record::End) {
        let _ = end;
        todo!()
    }
}

/// For the few places that make an end by hand.
#[must_use]
pub fn refused(status: u16, bytes_down: u64, duration_us: u64) -> Ended {
    Ended { end: crate::record::End::Complete, status, bytes_up: 0, bytes_down, duration_us }
}
