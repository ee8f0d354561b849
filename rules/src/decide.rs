//! The one decision behind traffic, `check`, `explain` and `policy test`.

use crate::access::Access;
use crate::category::CategoryId;
use crate::circumvent::Technique;
use crate::policy::{Cell, Policy, Rule, RuleId};
use crate::time::UnixMillis;
use crate::unblock::{BlockId, SiteBlock, Unblock, UnblockId};
use serde::{Deserialize, Serialize};

/// The category of sites that help, such as Childline. No ban closes them; closing one by hand is
/// asked about.
pub const HELP: &str = "health-help";

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
    /// A standing exception of the policy: `allow_for`, or with [`Verdict::Block`] `block_for`.
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
    /// A way round the filter that the level may not take, or one to a site that is refused.
    Technique(Technique),
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
    /// The site's certificate is not valid now: over, or not begun.
    TlsExpired = 60,
    /// The site's certificate is for other names.
    TlsName = 61,
    /// The site's certificate leads to no authority that the school trusts.
    TlsUntrusted = 62,
    /// The site made its certificate itself.
    TlsSelfSigned = 63,
    /// The site's certificate was withdrawn by its authority.
    TlsRevoked = 64,
    /// The site speaks no TLS 1.2 or 1.3, or speaks it wrongly.
    TlsProtocol = 65,
    /// The site's key, signature or ciphers are too weak.
    TlsWeak = 66,
    /// The name inside the tunnel (SNI, RFC 6066, 3) is not that of the CONNECT.
    SniMismatch = 67,
    /// No name inside the tunnel.
    NoSni = 68,
    /// The name inside the tunnel is encrypted.
    EncryptedHello = 69,
    /// Bytes that are no TLS on a port of TLS.
    NotTls = 70,
    /// 421: a request for another host than the connection is for (RFC 9110, 15.5.20).
    Misdirected = 71,
    /// A search engine whose safe mode the level wants, and which has none that could be forced.
    NoSafeMode = 80,
    /// The safe mode of a search engine can be forced only where HTTPS is inspected.
    SearchNotInspected = 81,
    /// A search engine that is not made for children, for a level that has only those.
    NotForChildren = 82,
    /// A search for pictures.
    ImageSearch = 83,
    /// A host of a search engine that no safe mode reaches.
    UnsafeHost = 84,
    // Ways round the filter, each as [`Technique`] has it.
    Doh = 100,
    Dot = 101,
    PrivateRelay = 102,
    Vpn = 103,
    RemoteDesktop = 104,
    Tor = 105,
    WebProxy = 106,
    TranslatedCopy = 107,
    StoredCopy = 108,
    UrlInside = 109,
    RawAddress = 110,
    HiddenName = 111,
    /// A kind of file that the level may not have, or not now.
    FileKind = 120,
    /// An archive that cannot be looked into: encrypted, damaged, too large, nested too deep.
    FileHidden = 121,
    /// A file larger than the level may have.
    FileSize = 122,
    /// The virus scanner knows the file.
    Virus = 123,
    /// The virus scanner gave no answer: closed, where the policy says so.
    ScanUnavailable = 124,
    /// The file is larger than what the virus scanner takes: closed, where the policy says so.
    ScanTooLarge = 125,
    /// What a page says is of a theme that the level may not read.
    PageWords = 140,
    /// What a search says is of a theme that the level may not search for.
    SearchWords = 141,
    /// What an assistant is asked is of a theme that the level may not ask about.
    PromptWords = 142,
    /// A page that cannot be looked into: closed, where the level may not read everything.
    Unscanned = 143,
    /// The words of an address that no list knows are of a theme that the level may not open.
    AddressWords = 144,
}

impl ReasonCode {
    /// All reason words with their numbers.
    const ALL: [(ReasonCode, &'static str); 61] = [
        (ReasonCode::Allowed, "allowed"),
        (ReasonCode::Unblock, "unblock"),
        (ReasonCode::Exception, "exception"),
        (ReasonCode::OnList, "on_list"),
        (ReasonCode::Locked, "locked"),
        (ReasonCode::Banned, "banned"),
        (ReasonCode::SiteBlocked, "site_blocked"),
        (ReasonCode::NotOnList, "not_on_list"),
        (ReasonCode::Category, "category"),
        (ReasonCode::OutsideTimes, "outside_times"),
        (ReasonCode::NotNominated, "not_nominated"),
        (ReasonCode::Uncategorised, "uncategorised"),
        (ReasonCode::BadRequest, "bad_request"),
        (ReasonCode::Port, "port"),
        (ReasonCode::PrivateAddress, "private_address"),
        (ReasonCode::Loop, "loop"),
        (ReasonCode::SignIn, "sign_in"),
        (ReasonCode::Limit, "limit"),
        (ReasonCode::Internal, "internal"),
        (ReasonCode::LogUnavailable, "log_unavailable"),
        (ReasonCode::Unsupported, "unsupported"),
        (ReasonCode::TlsExpired, "tls_expired"),
        (ReasonCode::TlsName, "tls_name"),
        (ReasonCode::TlsUntrusted, "tls_untrusted"),
        (ReasonCode::TlsSelfSigned, "tls_self_signed"),
        (ReasonCode::TlsRevoked, "tls_revoked"),
        (ReasonCode::TlsProtocol, "tls_protocol"),
        (ReasonCode::TlsWeak, "tls_weak"),
        (ReasonCode::SniMismatch, "sni_mismatch"),
        (ReasonCode::NoSni, "no_sni"),
        (ReasonCode::EncryptedHello, "encrypted_hello"),
        (ReasonCode::NotTls, "not_tls"),
        (ReasonCode::Misdirected, "misdirected"),
        (ReasonCode::NoSafeMode, "no_safe_mode"),
        (ReasonCode::SearchNotInspected, "search_not_inspected"),
        (ReasonCode::NotForChildren, "not_for_children"),
        (ReasonCode::ImageSearch, "image_search"),
        (ReasonCode::UnsafeHost, "unsafe_host"),
        (ReasonCode::Doh, "doh"),
        (ReasonCode::Dot, "dot"),
        (ReasonCode::PrivateRelay, "private_relay"),
        (ReasonCode::Vpn, "vpn"),
        (ReasonCode::RemoteDesktop, "remote_desktop"),
        (ReasonCode::Tor, "tor"),
        (ReasonCode::WebProxy, "web_proxy"),
        (ReasonCode::TranslatedCopy, "translated_copy"),
        (ReasonCode::StoredCopy, "stored_copy"),
        (ReasonCode::UrlInside, "url_inside"),
        (ReasonCode::RawAddress, "raw_address"),
        (ReasonCode::HiddenName, "hidden_name"),
        (ReasonCode::FileKind, "file_kind"),
        (ReasonCode::FileHidden, "file_hidden"),
        (ReasonCode::FileSize, "file_size"),
        (ReasonCode::Virus, "virus"),
        (ReasonCode::ScanUnavailable, "scan_unavailable"),
        (ReasonCode::ScanTooLarge, "scan_too_large"),
        (ReasonCode::PageWords, "page_words"),
        (ReasonCode::SearchWords, "search_words"),
        (ReasonCode::PromptWords, "prompt_words"),
        (ReasonCode::Unscanned, "unscanned"),
        (ReasonCode::AddressWords, "address_words"),
    ];

    /// The word in logs, filters and problem+json, e.g. `outside_times`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(code, _)| *code == self).map_or("internal", |(_, word)| word)
    }

    /// The code stored as this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<ReasonCode> {
        Self::ALL.iter().map(|(code, _)| *code).find(|code| *code as u8 == number)
    }

    /// The code of a word, as filters give it.
    #[must_use]
    pub fn from_word(word: &str) -> Option<ReasonCode> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(code, _)| *code)
    }
}

/// Decides one access. Strictest first: locked, banned, the school's own block, then (only if the
/// policy blocks) unblocks and exceptions, then the level's list and grid.
///
/// A school's block made after an unblock was authorised overrules it; an unblock authorised after
/// the block opens the site for its scope. Which came first the change log's sequence says, never
/// a clock.
///
/// No unblock opens a category of the policy's `never`, and one under a standing yes none that this does
/// not name. A ban leaves sites of help ([`HELP`]) as the
/// rest of the policy has them: a pupil without internet may need one today. An access without any
/// category is decided as uncategorised: an empty set opens nothing.
#[must_use]
pub fn decide(
    policy: &Policy,
    unblocks: &[Unblock],
    blocks: &[SiteBlock],
    access: &Access<'_>,
    now: UnixMillis,
) -> Decision {
    decide_with(policy, unblocks, blocks, access, None, now)
}

/// The same for an access that was found to be a way round the filter which its level may not take: what the
/// list and the grid would allow is refused for that, and what they refuse is recorded as it.
pub(crate) fn decide_with(
    policy: &Policy,
    unblocks: &[Unblock],
    blocks: &[SiteBlock],
    access: &Access<'_>,
    technique: Option<Technique>,
    now: UnixMillis,
) -> Decision {
    let locked = policy.catalogue().locked().intersection(access.categories);
    if let Some(category) = locked.iter().next() {
        return block(Reason::Locked(category));
    }
    if let Some(until) = access.who.banned_until.filter(|until| now < *until)
        && !is_help(policy, access)
    {
        return block(Reason::Banned { until });
    }
    // Asking and authorising looked at the site; a page below it, or a list that has learnt since,
    // may still be in a category that the school never unblocks.
    let is_never = !policy.unblock_rules().never.intersection(access.categories).is_empty();
    // What a standing yes opens are categories: what somebody closed by name takes somebody's own yes.
    let opened_after = |closed: Option<u64>, is_by_category: bool| {
        if is_never {
            return None;
        }
        let may_open = |unblock: &&Unblock| {
            closed.is_none_or(|sequence| sequence < unblock.authorised_sequence)
                && (is_by_category || unblock.within.is_none())
        };
        unblocks.iter().filter(may_open).find(|unblock| unblock.covers(access, policy, now))
    };
    if let Some(closed) = latest_block(policy, blocks, access) {
        return match opened_after(Some(closed.sequence), false) {
            Some(unblock) => allow(Reason::Unblock(unblock.id)),
            None => block(Reason::SiteBlocked(closed.id)),
        };
    }
    let written = policy.written(access, now);
    let written = match technique {
        // The school's own words about the site say more.
        Some(technique) if !matches!(written.reason, Reason::Exception(_)) => {
            block(Reason::Technique(technique))
        }
        _ => written,
    };
    if written.verdict == Verdict::Allow {
        return written;
    }
    let is_by_category = matches!(written.reason, Reason::Grid { .. });
    if let Some(unblock) = opened_after(None, is_by_category) {
        return allow(Reason::Unblock(unblock.id));
    }
    match policy.exception(access) {
        Some(rule) => allow(Reason::Exception(rule)),
        None => written,
    }
}

/// Whether the school has opened a site on purpose, by an unblock, an exception or a level's own list, or it is a
/// site of help: what its pages say is no reason to refuse them then.
#[must_use]
pub fn is_opened(
    policy: &Policy,
    unblocks: &[Unblock],
    access: &Access<'_>,
    now: UnixMillis,
) -> bool {
    is_help(policy, access)
        || unblocks.iter().any(|unblock| unblock.covers(access, policy, now))
        || policy.exception(access).is_some()
        || matches!(policy.written(access, now).reason, Reason::OnList(_))
}

/// Whether the site is one of help, by any list: further categories do not take that from it.
fn is_help(policy: &Policy, access: &Access<'_>) -> bool {
    policy.catalogue().id(HELP).is_some_and(|help| access.categories.contains(help))
}

/// The newest of the school's own blocks that holds for an access.
fn latest_block<'b>(
    policy: &Policy,
    blocks: &'b [SiteBlock],
    access: &Access<'_>,
) -> Option<&'b SiteBlock> {
    blocks
        .iter()
        .filter(|block| {
            block.site.covers(access.host, access.path) && block.scope.holds_for(access.who, policy)
        })
        .max_by_key(|block| block.sequence)
}

pub(crate) fn allow(reason: Reason) -> Decision {
    Decision { verdict: Verdict::Allow, reason }
}

pub(crate) fn block(reason: Reason) -> Decision {
    Decision { verdict: Verdict::Block, reason }
}

impl Decision {
    /// The reason's word. `policy` tells a time or role cell from a flat block.
    #[must_use]
    pub fn code(&self, policy: &Policy) -> ReasonCode {
        match (self.reason, self.verdict) {
            (Reason::Locked(_), _) => ReasonCode::Locked,
            (Reason::Banned { .. }, _) => ReasonCode::Banned,
            (Reason::SiteBlocked(_), _) | (Reason::Exception(_), Verdict::Block) => {
                ReasonCode::SiteBlocked
            }
            (Reason::Unblock(_), _) => ReasonCode::Unblock,
            (Reason::Exception(_), Verdict::Allow) => ReasonCode::Exception,
            (Reason::NotOnList(_), _) => ReasonCode::NotOnList,
            (Reason::OnList(_), _) => ReasonCode::OnList,
            (Reason::Technique(technique), _) => technique.code(),
            (Reason::Grid { .. }, Verdict::Allow) => ReasonCode::Allowed,
            (Reason::Grid { category, rule }, Verdict::Block) => match policy.cell_of(rule) {
                Some(Cell::AllowAt(_)) => ReasonCode::OutsideTimes,
                Some(Cell::AllowFor(_)) => ReasonCode::NotNominated,
                _ if category == CategoryId::UNCATEGORISED => ReasonCode::Uncategorised,
                _ => ReasonCode::Category,
            },
        }
    }

    /// The unblock that opened the access.
    #[must_use]
    pub fn unblock(&self) -> Option<UnblockId> {
        match self.reason {
            Reason::Unblock(id) => Some(id),
            _ => None,
        }
    }

    /// The rule of the policy that decided, where one did.
    #[must_use]
    pub fn rule<'p>(&self, policy: &'p Policy) -> Option<&'p Rule> {
        match self.reason {
            Reason::Exception(rule)
            | Reason::NotOnList(rule)
            | Reason::OnList(rule)
            | Reason::Grid { rule, .. } => Some(policy.rule(rule)),
            Reason::Locked(_)
            | Reason::Banned { .. }
            | Reason::SiteBlocked(_)
            | Reason::Technique(_)
            | Reason::Unblock(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
