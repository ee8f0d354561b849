//! Journal files as the engine reads them, and the school day of their contexts.

use crate::engine::IngestError;
use crate::record::Context;
use crate::segment::Segment;
use jiff::civil::Date;
use rules::time::{SchoolClock, UnixMillis};
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// Where a source's bytes are.
pub(crate) enum Bytes {
    Live(Arc<Segment>),
    Leftover { file: File, length: u64 },
}

/// One journal file and how far it is read.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Bytes,
    pub(crate) read: u64,
    pub(crate) contexts: HashMap<u16, Rc<DayContext>>,
    pub(crate) damaged: bool,
    pub(crate) dirty: bool,
    pub(crate) held: BTreeSet<u64>,
}

impl Source {
    pub(crate) fn new(path: PathBuf, bytes: Bytes) -> Self {
        let (contexts, held) = (HashMap::new(), BTreeSet::new());
        Self { path, bytes, read: 0, contexts, damaged: false, dirty: false, held }
    }

    /// Bytes to read, and whether no more will come. Asked in this order: a worker closes a segment
    /// only after its last write.
    pub(crate) fn limit(&self) -> (u64, bool) {
        match &self.bytes {
            Bytes::Live(segment) => {
                let closed = segment.is_closed();
                (segment.written(), closed)
            }
            Bytes::Leftover { length, .. } => (*length, true),
        }
    }

    pub(crate) fn file(&self) -> &File {
        match &self.bytes {
            Bytes::Live(segment) => &segment.file,
            Bytes::Leftover { file, .. } => file,
        }
    }
}

/// A context and the school day of its zone.
pub(crate) struct DayContext {
    pub(crate) context: Arc<Context>,
    clock: Option<SchoolClock>,
    /// The day last asked for, with its bounds.
    today: Cell<Option<(i64, i64, Date)>>,
}

impl DayContext {
    pub(crate) fn new(context: Context) -> Self {
        let clock = SchoolClock::new(&context.zone, &[])
            .inspect_err(|error| tracing::warn!(%error, "days of the access log follow UTC"))
            .ok();
        Self { context: Arc::new(context), clock, today: Cell::new(None) }
    }

    pub(crate) fn day(&self, at: UnixMillis) -> Date {
        match (self.today.get(), &self.clock) {
            (Some((from, until, day)), _) if (from..until).contains(&at.0) => day,
            (_, Some(clock)) => {
                let day = clock.day(at);
                let (from, until) = clock.day_bounds(day);
                self.today.set(Some((from.0, until.0, day)));
                day
            }
            (_, None) => {
                let instant =
                    jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
                instant.to_zoned(jiff::tz::TimeZone::UTC).date()
            }
        }
    }
}

/// Journal files in a folder, by segment id, oldest first.
pub(crate) fn leftovers(folder: &Path) -> Result<Vec<(u64, PathBuf)>, IngestError> {
    let failed = |source| IngestError::Journal { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        found.extend(segment_id(&path).map(|id| (id, path)));
    }
    found.sort_unstable();
    Ok(found)
}

/// The id in a name like `w03-00012345678901.sgj`.
fn segment_id(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_prefix('w')?.strip_suffix(".sgj")?;
    name.split_once('-')?.1.parse().ok()
}
