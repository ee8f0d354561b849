//! No copy of this process's memory on disk: it holds the authority's key.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use std::io;

/// Forbids core dumps of this process, and tracing it or reading its memory as another process of
/// the same account (`PR_SET_DUMPABLE` 0, `RLIMIT_CORE` 0). Called by whatever makes or loads a key,
/// before it does; there is no way back.
///
/// # Errors
/// The system's refusal; the key must not be loaded then.
pub fn forbid_core_dumps() -> io::Result<()> {
    // The limit stops a dump to a file; a dump piped to a handler ignores limits, but not the flag.
    // A service manager that set it may forbid the call itself.
    if getrlimit(Resource::Core).maximum != Some(0) {
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
