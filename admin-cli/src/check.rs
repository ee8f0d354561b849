//! `check`: what the filter would decide about an address, for whom, when, and why.

use crate::args::{CheckArgs, WhoArgs};
use crate::check_stream;
use crate::check_words;
use crate::failure::{Exit, Failure};
use crate::inspect;
use crate::output::{Cell, Column, Format, HIDDEN, Sheet, colour, visible};
use crate::safe_search::{self, SafeSearch};
use crate::school::{School, moment, now};
use crate::who::{READS_REQUESTS, look};
use crate::words;
use proxy::config::{PortSet, Upstream};
use proxy::snapshot::Snapshot;
use rules::access::{Access, Identity, KnownBy, UserFacts};
use rules::category::CategorySet;
use rules::circumvent::{Found, Judged, Pack, Seen, judge};
use rules::decide::{Decision, Reason, ReasonCode, Verdict};
use rules::host::Host;
use rules::inspect::{Inspect, Inspection};
use rules::policy::Policy;
use rules::search::opens_engine;
use rules::target::{Scheme, Target};
use rules::time::UnixMillis;
use rules::unblock::Unblock;
use std::net::Ipv4Addr;
use std::sync::Arc;

pub(crate) const COLUMNS: &[Column] = &[
    Column { key: "url", title: "Address", gives_way: 0 },
    Column { key: "verdict", title: "Verdict", gives_way: 0 },
    Column { key: "reason", title: "Reason", gives_way: 0 },
    Column { key: "level", title: "Level", gives_way: 2 },
    Column { key: "categories", title: "Categories", gives_way: 1 },
    Column { key: "rule", title: "Rule", gives_way: 3 },
    Column { key: "list", title: "List", gives_way: 4 },
    Column { key: "entry", title: "Entry", gives_way: 5 },
    Column { key: "opens", title: "Opens", gives_way: 6 },
    Column { key: "at", title: "", gives_way: 7 },
    Column { key: "tunnel_verdict", title: "", gives_way: 8 },
    Column { key: "inspect", title: "", gives_way: 9 },
    Column { key: "safe_search", title: "", gives_way: 10 },
];

/// Runs `check`.
pub(crate) async fn run(school: &School, args: CheckArgs) -> Result<Exit, Failure> {
    let snapshot = school.snapshot().await?;
    look_at(school, &snapshot, &args.who, "check", &args.as_whom).await?;
    let clock = snapshot.policy.clock();
    let at = args.at.as_deref().map_or(Ok(now()), |text| moment(clock, text, false))?;
    let who = subject(&snapshot, &args.as_whom)?;
    let format = args.print.format();
    let text = args.words.as_deref().map(check_words::Text::Typed);
    let text = text.or_else(|| args.page.as_deref().map(check_words::Text::Page));
    if let Some(text) = text {
        return check_words::run(&snapshot, who.level, &text, format);
    }
    let judge = Judge::new(&snapshot, &school.config.upstream, who, at);
    if args.urls.iter().any(|url| url == "-") {
        if args.urls.len() > 1 {
            return Err(Failure::usage("give addresses or `-`, not both"));
        }
        return check_stream::run(&judge, format);
    }
    let mut blocked = false;
    let mut answers = Vec::with_capacity(args.urls.len());
    for url in &args.urls {
        let answer = judge.answer(url)?;
        blocked |= answer.verdict() == Verdict::Block;
        answers.push(answer);
    }
    if format == Format::Table {
        for answer in &answers {
            print_for_people(&judge, answer)?;
        }
    } else {
        let mut sheet = Sheet::stdout(format, COLUMNS)?;
        for answer in &answers {
            sheet.row(&judge.cells(answer))?;
        }
        sheet.finish()?;
    }
    Ok(if blocked { Exit::Blocked } else { Exit::Ok })
}

/// Lets somebody ask about one person, which tells that person's level, groups and bans. Levels and
/// groups are asked about by anybody.
pub(crate) async fn look_at(
    school: &School,
    snapshot: &Snapshot,
    who: &WhoArgs,
    what: &str,
    as_whom: &str,
) -> Result<(), Failure> {
    if subject(snapshot, as_whom)?.user.is_none() {
        return Ok(());
    }
    let subject = format!("user {}", as_whom.strip_prefix("user:").unwrap_or(as_whom));
    look(school, &snapshot.policy, who, READS_REQUESTS, what, &subject).await.map(drop)
}

/// Who `--as` means: a level, a group, or a user.
pub(crate) fn subject(snapshot: &Snapshot, text: &str) -> Result<Identity, Failure> {
    let policy = &snapshot.policy;
    let nowhere = Ipv4Addr::UNSPECIFIED.into();
    if let Some(level) = policy.levels().named(text) {
        return Ok(Identity { level, known_by: KnownBy::Group, ..policy.identify(None, nowhere) });
    }
    if let Some(group) = text.strip_prefix('@').or_else(|| text.strip_prefix("group:")) {
        return of_group(snapshot, group);
    }
    let name = text.strip_prefix("user:").unwrap_or(text);
    if let Some(user) = snapshot.users.find(name) {
        return Ok(policy.identify(Some(&user.facts), nowhere));
    }
    let facts = UserFacts { name: Arc::from(name), ..UserFacts::default() };
    let who = policy.identify(Some(&facts), nowhere);
    if who.known_by == KnownBy::User {
        return Ok(who);
    }
    let levels: Vec<&str> = policy.levels().iter().map(|(_, level)| level.name.as_str()).collect();
    Err(Failure::not_found(format!("\"{text}\" is no level, @group or user of this school"))
        .fix(format!("levels are {}; a group is written @9C", levels.join(", "))))
}

/// A member of a group: by the group's own row in `[who]`, else by the level that all its members
/// have.
fn of_group(snapshot: &Snapshot, group: &str) -> Result<Identity, Failure> {
    let policy = &snapshot.policy;
    let nowhere = Ipv4Addr::UNSPECIFIED.into();
    let groups: Arc<[String]> = Arc::from([group.to_owned()]);
    let facts = UserFacts { groups: groups.clone(), ..UserFacts::default() };
    let who = policy.identify(Some(&facts), nowhere);
    if who.known_by == KnownBy::Group {
        return Ok(Identity { user: None, ..who });
    }
    let mut levels: Vec<_> = snapshot
        .users
        .iter()
        .filter(|user| user.facts.groups.iter().any(|own| own.eq_ignore_ascii_case(group)))
        .map(|user| policy.identify(Some(&user.facts), nowhere).level)
        .collect();
    levels.sort();
    levels.dedup();
    match levels[..] {
        [level] => Ok(Identity { level, user: None, groups, ..who }),
        [] => Err(Failure::not_found(format!(
            "nobody is in group \"{group}\", and [who] does not name it"
        ))),
        _ => {
            let names: Vec<&str> =
                levels.iter().map(|level| policy.levels().get(*level).name.as_str()).collect();
            Err(Failure::usage(format!(
                "members of \"{group}\" have several levels: {}",
                names.join(", ")
            ))
            .fix("give one member or one level with --as"))
        }
    }
}

/// Decides for one person at one instant under one snapshot.
pub(crate) struct Judge<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) who: Identity,
    pub(crate) at: UnixMillis,
    upstream: &'a Upstream,
    unblocks: Vec<Unblock>,
}

/// One answer.
pub(crate) struct Answer {
    pub(crate) url: String,
    pub(crate) target: Target,
    /// Path and query, as given.
    pub(crate) path: String,
    pub(crate) categories: CategorySet,
    /// The policy's decision.
    pub(crate) decision: Decision,
    /// Its reason.
    code: ReasonCode,
    /// What of the pack of ways round the filter decided.
    mark: Option<&'static str>,
    /// What the machine file refuses whatever the policy says: the port, or an address inside.
    pub(crate) beyond_policy: Option<ReasonCode>,
    /// What the level's settings about searches make of it.
    pub(crate) search: Option<SafeSearch>,
}

impl Answer {
    /// What the settings about searches or the machine file refuse: the policy is asked first, as in traffic.
    fn refused(&self) -> Option<ReasonCode> {
        let search = match self.search {
            Some(SafeSearch::Refused(code, _)) => Some(code),
            _ => None,
        };
        search.or(self.beyond_policy).filter(|_| self.decision.verdict == Verdict::Allow)
    }

    /// What the filter does: the policy's verdict, unless the machine file refuses.
    pub(crate) fn verdict(&self) -> Verdict {
        self.refused().map_or(self.decision.verdict, |_| Verdict::Block)
    }

    /// Why, as the log's word.
    pub(crate) fn code(&self) -> ReasonCode {
        self.refused().unwrap_or(self.code)
    }

    /// The rule that decided, for programs: the engine, where the settings about searches did. No rule of the policy refuses
    /// what the machine file does.
    pub(crate) fn rule(&self, policy: &Policy) -> Option<String> {
        if let (Some(SafeSearch::Refused(_, engine)), Verdict::Allow) =
            (&self.search, self.decision.verdict)
        {
            return Some(engine.clone());
        }
        let mark = self.mark.map(|mark| format!("circumvention: {mark}"));
        self.by_policy().and_then(|decision| mark.or_else(|| words::rule(policy, decision)))
    }

    /// The policy's decision, where that is what the filter does.
    pub(crate) fn by_policy(&self) -> Option<&Decision> {
        self.refused().is_none().then_some(&self.decision)
    }
}

impl<'a> Judge<'a> {
    /// A judge. Unblocks are those that stand at that instant.
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        upstream: &'a Upstream,
        who: Identity,
        at: UnixMillis,
    ) -> Self {
        Self { snapshot, who, at, upstream, unblocks: snapshot.changes.live(at) }
    }

    /// The policy in force.
    pub(crate) fn policy(&self) -> &'a Policy {
        &self.snapshot.policy
    }

    /// Whether a category is among them whose addresses are never shown.
    pub(crate) fn is_locked(&self, categories: CategorySet) -> bool {
        !categories.intersection(self.policy().catalogue().locked()).is_empty()
    }

    /// Decides about an address as typed.
    pub(crate) fn answer(&self, url: &str) -> Result<Answer, Failure> {
        let (target, path) = rules::target::parse_typed(url)
            .map_err(|error| Failure::usage(format!("\"{url}\": {error}")))?;
        let categories = self.snapshot.index.categories(&target.host, Some(&path));
        let seen = rules::target::seen_path(&path);
        let access = self.access(&target, target.scheme, Some(&seen), categories);
        // A tunnel shows no path; a page of the site has one.
        let seen_path = (target.scheme != Scheme::Tunnel).then_some(path.as_str());
        let found = found(&target, target.scheme, seen_path);
        let Judged { decision, code, categories } = self.judge(&access, found.as_ref());
        let mark = found.map(|found| found.mark);
        let mark = mark.filter(|_| matches!(decision.reason, Reason::Technique(_)));
        let beyond_policy = self.beyond_policy(&target);
        let mut answer = Answer {
            url: url.to_owned(),
            path,
            categories,
            decision,
            code,
            mark,
            target,
            beyond_policy,
            search: None,
        };
        answer.search = self.search(&answer);
        if let Some(SafeSearch::Opened(reason)) = answer.search
            && answer.decision.verdict == Verdict::Allow
        {
            answer.decision.reason = reason;
            answer.code = answer.decision.code(self.policy());
        }
        Ok(answer)
    }

    /// What the level's settings about searches make of an address, seen as far as it would be.
    fn search(&self, answer: &Answer) -> Option<SafeSearch> {
        let rules = self.policy().levels().get(self.who.level).search_rules();
        let is_seen = answer.target.scheme == Scheme::Http
            || self.inspection(answer).is_some_and(|it| it.mode == Inspect::Page);
        let seen = rules::target::seen_path(&answer.path);
        let path = is_seen.then_some(&*seen);
        let access = self.access(&answer.target, answer.target.scheme, path, answer.categories);
        let opened = || opens_engine(self.policy(), &self.unblocks, &access, self.at);
        safe_search::of(&answer.target.host, &answer.path, &rules, is_seen, opened)
    }

    /// What the machine file refuses: a port, then an address inside the network, as far as that is
    /// known without asking DNS.
    fn beyond_policy(&self, target: &Target) -> Option<ReasonCode> {
        if !self.ports(target.scheme).contains(target.port) {
            return Some(ReasonCode::Port);
        }
        self.upstream.leads_inside(&target.host).then_some(ReasonCode::PrivateAddress)
    }

    /// Ports that the machine file lets be reached; https is always asked for with CONNECT.
    fn ports(&self, scheme: Scheme) -> &PortSet {
        match scheme {
            Scheme::Http => &self.upstream.http_ports,
            Scheme::Tunnel | Scheme::Https => &self.upstream.connect_ports,
        }
    }

    /// Why the settings about searches or the machine file refuse, and by which setting.
    fn refusal_words(answer: &Answer) -> String {
        if let Some(SafeSearch::Refused(code, engine)) = &answer.search {
            return format!("{} ({engine})", words::sentence(*code));
        }
        if answer.beyond_policy == Some(ReasonCode::PrivateAddress) {
            return "leads to an address inside the network: not in `allow_private` of the machine file"
                .to_owned();
        }
        let setting = match answer.target.scheme {
            Scheme::Http => "http_ports",
            Scheme::Tunnel | Scheme::Https => "connect_ports",
        };
        format!("port {}: not in `{setting}` of the machine file", answer.target.port)
    }

    /// Whether some request could open a blocked answer before its time.
    fn is_unblockable(&self, answer: &Answer) -> bool {
        answer.beyond_policy.is_none()
            && words::is_unblockable(answer.code())
            && words::closed_to_unblocks(self.policy(), answer.categories).is_none()
    }

    fn access<'b>(
        &'b self,
        target: &'b Target,
        scheme: Scheme,
        path: Option<&'b str>,
        categories: CategorySet,
    ) -> Access<'b> {
        let (host, port) = (&target.host, target.port);
        Access { who: &self.who, scheme, host, port, path, categories }
    }

    /// Decides an access with what it was found to be, and what stands within its URL.
    fn judge(&self, access: &Access<'_>, found: Option<&Found<'_>>) -> Judged {
        let changes = (&self.unblocks[..], &*self.snapshot.blocks);
        let of = |host: &Host, path: &str| self.snapshot.categories(host, Some(path));
        judge(&self.snapshot.policy, changes, access, found, &of, self.at)
    }

    /// What holds where only the name is seen (a tunnel that is not inspected), for https addresses
    /// with a path whose verdict differs.
    fn by_name_alone(&self, answer: &Answer) -> Option<Verdict> {
        if answer.target.scheme == Scheme::Http || answer.refused().is_some() {
            return None;
        }
        let categories = self.snapshot.index.categories(&answer.target.host, None);
        let found = found(&answer.target, Scheme::Tunnel, None);
        let access = self.access(&answer.target, Scheme::Tunnel, None, categories);
        let decision = self.judge(&access, found.as_ref()).decision;
        (decision.verdict != answer.decision.verdict).then_some(decision.verdict)
    }

    /// How far the filter looks into an https address.
    fn inspection(&self, answer: &Answer) -> Option<Inspection> {
        let target = &answer.target;
        let categories = self.snapshot.index.categories(&target.host, None);
        (target.scheme != Scheme::Http).then(|| {
            let port = target.port;
            inspect::of_host(self.snapshot, &self.who, &target.host, port, categories, self.at)
        })
    }

    /// When a blocked answer opens by the clock.
    pub(crate) fn opens(&self, answer: &Answer) -> Option<(UnixMillis, UnixMillis)> {
        if answer.decision.verdict == Verdict::Allow
            || answer.beyond_policy.is_some()
            || matches!(answer.decision.reason, Reason::Technique(_))
        {
            return None;
        }
        let seen = rules::target::seen_path(&answer.path);
        let access =
            self.access(&answer.target, answer.target.scheme, Some(&seen), answer.categories);
        self.policy().opens(&access, self.at)
    }

    /// The answer as a row of [`COLUMNS`].
    pub(crate) fn cells(&self, answer: &Answer) -> [Cell; COLUMNS.len()] {
        let policy = self.policy();
        let clock = policy.clock();
        let hits = self.snapshot.index.hits(&answer.target.host, Some(&answer.path));
        let hit = hits.first();
        let opens = self.opens(answer);
        [
            Cell::text(&answer.url),
            Cell::text(answer.verdict().as_str()),
            Cell::text(answer.code().as_str()),
            Cell::text(&policy.levels().get(self.who.level).name),
            Cell::list(&policy.catalogue().names(answer.categories)),
            Cell::maybe(answer.rule(policy)),
            Cell::maybe(hit.map(|hit| hit.list.name.clone())),
            Cell::maybe(hit.map(|hit| match self.is_locked(answer.categories) {
                true => HIDDEN.to_owned(),
                false => hit.entry.clone(),
            })),
            opens.map_or_else(
                || Cell::maybe(None::<String>),
                |(from, _)| Cell::new(clock.show(from), clock.rfc3339(from)),
            ),
            Cell::new(clock.show(self.at), clock.rfc3339(self.at)),
            Cell::maybe(self.by_name_alone(answer).map(Verdict::as_str)),
            Cell::maybe(self.inspection(answer).map(|inspection| inspection.mode.as_str())),
            match &answer.search {
                Some(SafeSearch::Forced(means)) => Cell::list(means),
                _ => Cell::maybe(None::<String>),
            },
        ]
    }
}

/// What way round the filter an address is, if it is one.
fn found(target: &Target, scheme: Scheme, path_and_query: Option<&str>) -> Option<Found<'static>> {
    let (host, port) = (&target.host, target.port);
    Pack::shipped().find(&Seen { scheme, host, port, path_and_query, head: None })
}

fn print_for_people(judge: &Judge<'_>, answer: &Answer) -> Result<(), Failure> {
    let policy = judge.policy();
    let clock = policy.clock();
    let blocked = answer.verdict() == Verdict::Block;
    let (word, paint) =
        if blocked { ("BLOCKED", "\u{1b}[1;31m") } else { ("ALLOWED", "\u{1b}[1;32m") };
    let word = if colour() { format!("{paint}{word}\u{1b}[0m") } else { word.to_owned() };
    let level = &policy.levels().get(judge.who.level).name;
    say!("{word}  {}  {}  {}", visible(&answer.url), visible(level), clock.show(judge.at));
    let because = match answer.by_policy() {
        Some(decision) => match answer.mark {
            Some(mark) => format!("{} ({mark})", words::because(policy, decision)),
            None => words::because(policy, decision),
        },
        None => Judge::refusal_words(answer),
    };
    say!("  because  {}", visible(&because));
    let hits = judge.snapshot.index.hits(&answer.target.host, Some(&answer.path));
    let locked = judge.is_locked(answer.categories);
    for hit in &hits {
        let category = policy.catalogue().name(hit.category);
        say!("  listed   {}", visible(&words::listed(category, hit, locked)));
    }
    if hits.is_empty() {
        say!("  listed   nowhere: uncategorised");
    }
    if let Some(SafeSearch::Forced(means)) = &answer.search
        && !blocked
    {
        say!("  safe search  forced by {}", visible(&means.join(", ")));
    }
    if let Some(verdict) = judge.by_name_alone(answer) {
        say!("  https    where only the name is seen, that alone is {}ed", verdict.as_str());
    }
    if let Some(opens) = judge.opens(answer) {
        say!("  opens    {}", words::span(clock, judge.at, opens));
    }
    if blocked && judge.is_unblockable(answer) {
        say!(
            "  sooner   schoolgate unblock request {} --for {} --until WHEN --reason TEXT --by NAME",
            visible(answer.target.host.as_str()),
            visible(level)
        );
    }
    if let Some(inspection) = judge.inspection(answer) {
        let because = inspect::because(policy, level, inspection);
        say!("  inspect  {}: {}", inspection.mode.as_str(), visible(&because));
    }
    Ok(())
}
