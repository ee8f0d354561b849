//! The one decision behind traffic, `check`, `explain` and `policy test`.

use crate::access::Access;
use crate::category::CategoryId;
use crate::policy::{Policy, RuleId};
use crate::time::UnixMillis;
use crate::unblock::{BlockId, SiteBlock, Unblock, UnblockId};
use serde::{Deserialize, Serialize};

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Goes through.
    Allow,
    /// Does not.
    Block,
}

impl Verdict {
    /// `allow` or `block`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Allow => "allow",
            Verdict::Block => "block",
        }
    }
}

/// A verdict and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
}

/// Why an access is allowed or blocked by the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A locked category. Nothing opens it.
    Locked(CategoryId),
    /// The person has no internet for now.
    Banned {
        /// Until then.
        until: UnixMillis,
    },
    /// The school blocked the site at once.
    SiteBlocked(BlockId),
    /// A live unblock.
    Unblock(UnblockId),
    /// A standing exception of the policy.
    Exception(RuleId),
    /// The level may see only the sites of its list, and this is none.
    NotOnList(RuleId),
    /// The level may see only the sites of its list, and this is one.
    OnList(RuleId),
    /// A grid cell: the strictest of the site's categories. Blocked flatly, outside its times, for
    /// want of a role, or allowed.
    Grid {
        /// The category whose cell decided.
        category: CategoryId,
        /// The cell's place in the policy.
        rule: RuleId,
    },
}

/// Closed set of reason words for records, filters and problem+json, beyond the policy's own.
/// Stored as a number in the log: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
#[allow(missing_docs, reason = "the word says it; `explain` has the sentence")]
pub enum ReasonCode {
    Allowed = 0,
    Unblock = 1,
    Exception = 2,
    OnList = 3,
    Locked = 20,
    Banned = 21,
    SiteBlocked = 22,
    NotOnList = 23,
    Category = 24,
    OutsideTimes = 25,
    NotNominated = 26,
    Uncategorised = 27,
    /// 400: host, URL or framing that has no one meaning.
    BadRequest = 40,
    /// CONNECT to a port that is not allowed.
    Port = 41,
    /// Leads to a private, loopback, link-local or metadata address.
    PrivateAddress = 42,
    /// The request came back to this proxy.
    Loop = 43,
    /// 407: credentials missing or wrong.
    SignIn = 44,
    /// A limit of the machine file.
    Limit = 45,
    /// An error while deciding: closed.
    Internal = 46,
    /// The log cannot take the record: closed.
    LogUnavailable = 47,
    /// A method or feature that the proxy does not forward (TRACE, unknown upgrade).
    Unsupported = 48,
}

/// Decides one access. Strictest first: locked, banned, the school's own block, then (only if the
/// policy blocks) unblocks and exceptions, then the level's list and grid.
///
/// A school's block made after an unblock was authorised overrules it; an unblock authorised after
/// the block opens the site for its scope.
#[must_use]
pub fn decide(
    policy: &Policy,
    unblocks: &[Unblock],
    blocks: &[SiteBlock],
    access: &Access<'_>,
    now: UnixMillis,
) -> Decision {
    let _ = (policy, unblocks, blocks, access, now);
    todo!()
}

impl Decision {
    /// The reason's word. `policy` tells a time or role cell from a flat block.
    #[must_use]
    pub fn code(&self, policy: &Policy) -> ReasonCode {
        let _ = policy;
        todo!()
    }
}

impl ReasonCode {
    /// The word in logs, filters and problem+json, e.g. `outside_times`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        todo!()
    }

    /// The code stored as this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<ReasonCode> {
        let _ = number;
        todo!()
    }
}
