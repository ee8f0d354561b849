//! One worker's view of the snapshot in force: the snapshot, and what is derived from it once
//! instead of once a request.

use crate::quick_map::QuickMap;
use crate::searches;
use crate::snapshot::Snapshot;
use crate::telemetry::Metrics;
use crate::texts::Texts;
use crate::themes::Actions;
use ledger::notes::Sign;
use prometheus::local::LocalIntCounter;
use rules::access::{Access, Identity};
use rules::category::CategorySet;
use rules::circumvent::{Found, Head, Judged, Pack, Seen};
use rules::decide::{Reason, ReasonCode, Verdict};
use rules::file::ScanRule;
use rules::inspect::Inspect;
use rules::level::LevelId;
use rules::policy::{Policy, RuleId};
use rules::time::UnixMillis;
use rules::unblock::UnblockId;
use std::cell::RefCell;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use crate::live::Facts;

/// A snapshot as one worker sees it.
pub(crate) struct View {
    /// The snapshot.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Counts the views of this worker: facts of an earlier one must be found again.
    pub(crate) generation: u64,
    /// The words of pages.
    pub(crate) texts: Arc<Texts>,
    requests: Vec<[LocalIntCounter; 2]>,
    /// What becomes of themes, by level.
    actions: Vec<Rc<Actions>>,
    /// What files are looked at for, by level.
    files: Vec<Wants>,
    rules: RefCell<QuickMap<RuleId, Rc<str>>>,
}

/// What files are looked at for, for one level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wants {
    /// For kinds.
    pub(crate) kinds: bool,
    /// For their size.
    pub(crate) size: bool,
    /// For viruses.
    pub(crate) scan: Option<ScanRule>,
}

impl Wants {
    /// For a level of the policy.
    pub(crate) fn of(policy: &Policy, level: LevelId) -> Self {
        Self {
            kinds: policy.looks_at_files(level),
            size: policy.largest_file(level).is_some(),
            scan: policy.virus_scan(level),
        }
    }

    /// Whether for anything at all.
    pub(crate) fn any(self) -> bool {
        self.kinds || self.size || self.scan.is_some()
    }

    /// Whether for what the bytes say.
    pub(crate) fn bytes(self) -> bool {
        self.kinds || self.scan.is_some()
    }
}

/// A decision in the words of the record.
#[derive(Clone, Debug)]
pub(crate) struct Ruling {
    /// Allow or block.
    pub(crate) verdict: Verdict,
    /// Why, as a word.
    pub(crate) code: ReasonCode,
    /// Why, for the page; `None` when the policy was not what decided.
    pub(crate) reason: Option<Reason>,
    /// The rule's place and text.
    pub(crate) rule: Option<Rc<str>>,
    /// The unblock that opened it.
    pub(crate) unblock: Option<UnblockId>,
    /// The categories it was decided on.
    pub(crate) categories: CategorySet,
    /// The themes that were found with it.
    pub(crate) signs: Vec<Sign>,
}

impl Ruling {
    /// A block that the policy had no part in.
    pub(crate) fn block(code: ReasonCode) -> Self {
        Self {
            verdict: Verdict::Block,
            code,
            reason: None,
            rule: None,
            unblock: None,
            categories: CategorySet::EMPTY,
            signs: Vec::new(),
        }
    }

    /// Leave that the policy had given already.
    pub(crate) fn allow() -> Self {
        Self { verdict: Verdict::Allow, ..Self::block(ReasonCode::Allowed) }
    }
}

impl View {
    /// A view of a snapshot.
    pub(crate) fn new(snapshot: Arc<Snapshot>, generation: u64, metrics: &Metrics) -> Rc<Self> {
        let requests = metrics.by_level(snapshot.policy.levels());
        searches::prepare();
        let texts = Texts::with_own(&snapshot.texts);
        let of = |level| Rc::new(Actions::of(&snapshot.policy, level, &snapshot.themes));
        let actions = snapshot.policy.levels().iter().map(|(level, _)| of(level)).collect();
        let files = snapshot.policy.levels().iter();
        let files = files.map(|(level, _)| Wants::of(&snapshot.policy, level)).collect();
        let rules = RefCell::default();
        Rc::new(Self { snapshot, generation, texts, requests, actions, files, rules })
    }

    /// What files are looked at for, for a level: for one of an earlier policy that is gone, as for the strictest.
    pub(crate) fn files(&self, level: LevelId) -> Wants {
        let strictest = self.snapshot.policy.levels().strictest();
        let files = self.files.get(level.index()).or_else(|| self.files.get(strictest.index()));
        files.copied().unwrap_or_else(|| Wants::of(&self.snapshot.policy, strictest))
    }

    /// Who an open exchange is for, under this view.
    pub(crate) fn who(&self, facts: &Facts) -> Rc<Identity> {
        if facts.generation == self.generation {
            return Rc::clone(&facts.who);
        }
        let nobody = || self.snapshot.policy.identify(None, facts.client);
        Rc::new(self.identify(facts.user.as_deref(), facts.client).unwrap_or_else(nobody))
    }

    /// What becomes of texts of themes, for a level: for one of an earlier policy that is gone, as for the strictest.
    pub(crate) fn actions(&self, level: LevelId) -> Rc<Actions> {
        let strictest = self.snapshot.policy.levels().strictest();
        let actions =
            self.actions.get(level.index()).or_else(|| self.actions.get(strictest.index()));
        actions.map_or_else(
            || Rc::new(Actions::of(&self.snapshot.policy, strictest, &self.snapshot.themes)),
            Rc::clone,
        )
    }

    /// Decides an access whose categories are yet to be found, and leaves those in `facts`. A fault
    /// while deciding is a block: the filter fails closed.
    pub(crate) fn rule(&self, facts: &mut Facts, now: UnixMillis) -> Ruling {
        self.rule_with(facts, None, now)
    }

    /// The same, where the head of the request is at hand: it tells ways round the filter that no URL does.
    pub(crate) fn rule_with(
        &self,
        facts: &mut Facts,
        head: Option<Head<'_>>,
        now: UnixMillis,
    ) -> Ruling {
        let decided = catch_unwind(AssertUnwindSafe(|| {
            let path_and_query = facts.path_and_query.as_ref().map(|path| path.as_str());
            facts.categories = self.snapshot.categories(&facts.host, path_and_query);
            let found = found(facts, head);
            facts.with_access(|access| self.rule_found(access, found.as_ref(), now))
        }));
        decided.unwrap_or_else(|_| {
            tracing::error!("deciding failed; the request was blocked");
            Ruling::block(ReasonCode::Internal)
        })
    }

    /// Whether an open exchange is still allowed. Its person and categories are found again where
    /// they come from an earlier view.
    /// A tunnel that is `open` to be looked into must still be one to look into.
    pub(crate) fn still_allows(&self, facts: &mut Facts, open: bool, now: UnixMillis) -> bool {
        let asked = catch_unwind(AssertUnwindSafe(|| {
            if facts.generation != self.generation {
                let Some(who) = self.identify(facts.user.as_deref(), facts.client) else {
                    return false;
                };
                facts.who = Rc::new(who);
                let path_and_query = facts.path_and_query.as_ref().map(|path| path.as_str());
                facts.categories = self.snapshot.categories(&facts.host, path_and_query);
                facts.generation = self.generation;
            }
            let allows = |access: &Access<'_>, found: Option<&Found<'_>>| {
                self.snapshot.judge(access, found, now).decision.verdict == Verdict::Allow
                    && (!open || self.snapshot.inspection(access, now).mode == Inspect::Page)
            };
            let named = facts.named.as_ref().is_none_or(|named| {
                let categories = self.snapshot.categories(named, None);
                facts.with_access(|access| {
                    let access = Access { host: named, categories, ..*access };
                    let (scheme, port) = (access.scheme, access.port);
                    let seen = Seen { scheme, host: named, port, path_and_query: None, head: None };
                    let found = Pack::shipped().find(&seen);
                    allows(&access, found.as_ref())
                })
            });
            let found = found(facts, None);
            named
                && searches::still_goes(self, facts, now)
                && facts.with_access(|access| allows(access, found.as_ref()))
        }));
        asked.unwrap_or(false)
    }

    /// Who a proven user, or nobody, at an address is; `None` if the user is not known any more.
    pub(crate) fn identify(&self, user: Option<&str>, client: IpAddr) -> Option<Identity> {
        let facts = match user {
            Some(name) => Some(&self.snapshot.users.find(name)?.facts),
            None => None,
        };
        Some(self.snapshot.policy.identify(facts, client))
    }

    /// Decides an access whose categories are known, by its URL.
    pub(crate) fn rule_again(&self, facts: &Facts, now: UnixMillis) -> Ruling {
        let found = found(facts, None);
        facts.with_access(|access| self.rule_found(access, found.as_ref(), now))
    }

    fn rule_found(
        &self,
        access: &Access<'_>,
        found: Option<&Found<'_>>,
        now: UnixMillis,
    ) -> Ruling {
        let Judged { decision, code, categories } = self.snapshot.judge(access, found, now);
        let (rule, unblock) = match decision.reason {
            Reason::Exception(rule)
            | Reason::NotOnList(rule)
            | Reason::OnList(rule)
            | Reason::Grid { rule, .. } => (Some(self.rule_text(rule)), None),
            Reason::SiteBlocked(block) => (Some(block.to_string().into()), None),
            Reason::Unblock(unblock) => (None, Some(unblock)),
            Reason::Technique(_) => {
                (found.map(|found| format!("circumvention: {}", found.mark).into()), None)
            }
            Reason::Locked(_) | Reason::Banned { .. } => (None, None),
        };
        let (verdict, reason) = (decision.verdict, Some(decision.reason));
        Ruling { verdict, code, reason, rule, unblock, categories, signs: Vec::new() }
    }

    /// A rule's place and text.
    pub(crate) fn rule_text(&self, id: RuleId) -> Rc<str> {
        if let Some(text) = self.rules.borrow().get(&id) {
            return Rc::clone(text);
        }
        let rule = self.snapshot.policy.rule(id);
        let text: Rc<str> = format!("{} {}", rule.place, rule.text).into();
        self.rules.borrow_mut().insert(id, Rc::clone(&text));
        text
    }

    /// Counts a decided request.
    pub(crate) fn count(&self, level: LevelId, verdict: Verdict) {
        if let Some(by_verdict) = self.requests.get(level.index()) {
            by_verdict[verdict as usize].inc();
        }
    }

    /// Adds what was counted to the process's counters.
    pub(crate) fn flush(&self) {
        self.requests.iter().flatten().for_each(LocalIntCounter::flush);
    }
}

/// What way round the filter an access is, if it is one.
fn found(facts: &Facts, head: Option<Head<'_>>) -> Option<Found<'static>> {
    let path_and_query = facts.path_and_query.as_ref().map(|path| path.as_str());
    let (scheme, host, port) = (facts.scheme, &facts.host, facts.port);
    Pack::shipped().find(&Seen { scheme, host, port, path_and_query, head })
}

impl Drop for View {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
    use super::*;
    use crate::config::Config;
    use crate::record::now;
    use crate::themes::tests::POLICY;
    use rules::access::KnownBy;
    use rules::category::Catalogue;
    use rules::host::Host;
    use rules::target::Scheme;

    #[tokio::test]
    async fn a_fault_while_deciding_is_a_block_with_the_reason_internal() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("policy.toml"), POLICY).unwrap();
        let config = Config::parse_own_lists("", "schoolgate.toml", folder.path()).unwrap();
        let snapshot = Snapshot::load(&config, now()).await.unwrap();
        let view = View::new(Arc::new(snapshot), 0, &Metrics::new().unwrap());
        // A level of another policy, which this one does not have: no request can bring one, and
        // whatever looks it up here stops with a panic.
        let larger = POLICY
            .replace("[\"staff\"]", "[\"pupil\", \"guest\", \"staff\"]")
            .replace("staff = {}", "pupil = {}\nguest = {}\nstaff = {}");
        let none = |_: &str| Err(String::new());
        let larger = Policy::parse(&larger, "policy.toml", Catalogue::shipped(), &none).unwrap();
        let facts = |policy: &Policy| {
            let level = policy.levels().id("staff").unwrap();
            let client = [127, 0, 0, 1].into();
            let who = Identity { level, known_by: KnownBy::User, ..policy.identify(None, client) };
            Facts {
                user: None,
                client,
                who: Rc::new(who),
                scheme: Scheme::Tunnel,
                host: Host::parse("library.test").unwrap(),
                port: 443,
                path_and_query: None,
                named: None,
                searched: None,
                dialled: None,
                sight: searches::Sight::Request,
                visit: rules::visit::Visit::Unknown,
                categories: CategorySet::EMPTY,
                generation: 0,
            }
        };
        let policy = Arc::clone(&view.snapshot.policy);
        assert_eq!(view.rule(&mut facts(&policy), now()).verdict, Verdict::Allow);
        assert!(view.still_allows(&mut facts(&policy), false, now()));
        let ruling = view.rule(&mut facts(&larger), now());
        assert_eq!((ruling.verdict, ruling.code), (Verdict::Block, ReasonCode::Internal));
        assert!(!view.still_allows(&mut facts(&larger), false, now()), "and what is open is cut");
        // What is asked about a level of an earlier policy is asked anew.
        let earlier = Facts { generation: 1, ..facts(&larger) };
        let now_as = policy.identify(None, earlier.client).level;
        assert_eq!(view.who(&earlier).level, now_as);
        assert_ne!(earlier.who.level, now_as);
    }
}
