//! Alarms of the filter's own messages: what somebody must hear of who does not read the log.
//!
//! They name nobody; the change log does. The metrics `ledger_break_glass_uses` and
//! `ledger_account_lockouts` and the alerts of `deploy/` tell the same.

use rules::change::{ChangeEntry, Changes, Event};

/// Raises the alarms of new entries.
pub(super) fn raise(entries: &[ChangeEntry]) {
    for entry in entries {
        match &entry.event {
            Event::BreakGlassUsed {} => tracing::error!(
                "the emergency code was used; see schoolgate log actions --event \
                 break_glass_used, then schoolgate account break-glass renew"
            ),
            Event::AccountLocked { .. } => tracing::error!(
                "an administrator's account was locked: too many wrong passwords; see schoolgate \
                 log actions --event account_locked"
            ),
            _ => {}
        }
    }
}

/// Raises again, at the start, what has not been seen to since.
pub(super) fn raise_standing(changes: &Changes) {
    if changes.break_glass.uses > 0 {
        tracing::error!(
            uses = changes.break_glass.uses,
            "the emergency code was used and has not been renewed: schoolgate account break-glass \
             renew"
        );
    }
}

/// Whether an entry is about administrators alone, so that no request is decided otherwise because of
/// it: reading the log must not make the filter look again at every open connection.
pub(super) fn concerns_no_decision(event: &Event) -> bool {
    matches!(
        event,
        Event::Looked { .. }
            | Event::SessionStarted { .. }
            | Event::SessionEnded { .. }
            | Event::LoginRefused { .. }
            | Event::AccountChanged { .. }
            | Event::AccountRemoved { .. }
    )
}
