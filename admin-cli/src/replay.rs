//! `policy replay`: a proposed policy tried on what was recorded, by the engine that decides traffic.
//!
//! Each recorded access is decided twice, by the policy in force and by the proposed one, with the
//! same lists, people, unblocks and blocks: what differs is the policy alone, so a policy without a
//! change has no difference. So are the words that were searched for or asked, as far as they are recorded: by the themes
//! and the school's own words of both. They are not shown. Whether the policy in force still decides as was recorded is counted
//! too, for what has changed since then (people, lists, the policy itself) is not in the proposal.

mod trial;

use crate::failure::{Exit, Failure};
use crate::log::{self, from_query_error};
use crate::output::{Cell, Column, Format, Sheet};
use crate::report::weekly::thousands;
use crate::school::{School, range};
use crate::words;
use ledger::notes::WordsKind;
use ledger::query::{AccessRow, Cursor, Filter, Order};
use proxy::policy_file::PolicyFile;
use proxy::snapshot::Snapshot;
use proxy::trial::{JudgedWords, WordsTrial};
use rules::access::{Access, Identity};
use rules::change::{Changes, RequestKind};
use rules::circumvent::{Pack, Seen, Technique, judge};
use rules::decide::{Decision, ReasonCode, Verdict};
use rules::host::Host;
use rules::policy::{Policy, THRESHOLD};
use rules::site::Site;
use rules::unblock::Unblock;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// Rows asked for at a time: a page keeps memory small whatever the range.
const PAGE_ROWS: usize = 5_000;

/// Most sites whose differences are told apart; further ones are counted together.
const MAX_SITES: usize = 20_000;

/// Most people that are told apart for one site.
const MAX_PEOPLE: usize = 5_000;

/// Most people that are told apart for all sites together: 8 bytes each, and what a set costs.
const MAX_PAIRS: usize = 2_000_000;

/// How many examples a site has.
const EXAMPLES: usize = 3;

/// How long nothing is said of how far it has come.
const QUIET: Duration = Duration::from_secs(1);

const COLUMNS: &[Column] = &[
    Column { key: "change", title: "Change", gives_way: 0 },
    Column { key: "site", title: "Site", gives_way: 0 },
    Column { key: "requests", title: "Requests", gives_way: 0 },
    Column { key: "people", title: "People", gives_way: 0 },
    Column { key: "because", title: "Because", gives_way: 1 },
    Column { key: "examples", title: "Examples", gives_way: 2 },
];

/// Runs `policy replay`.
pub(crate) async fn run(
    school: &School,
    snapshot: &Snapshot,
    proposed: &PolicyFile,
    (since, until): (Option<&str>, Option<&str>),
    format: Format,
) -> Result<Exit, Failure> {
    let clock = snapshot.policy.clock();
    let (from, to) = range(clock, since, until, "last week")?;
    let mut access = log::open(school).await?;
    let filter = Filter { since: Some(from), until: Some(to), ..Filter::default() };
    let mut replay = Replay::new(snapshot, proposed);
    let (begun, mut told) = (Instant::now(), Instant::now());
    let mut after: Option<Cursor> = None;
    loop {
        let page = access
            .page(&filter, Order::OldestFirst, after, PAGE_ROWS)
            .await
            .map_err(from_query_error)?;
        page.rows.iter().for_each(|row| replay.judge(row));
        after = page.next;
        if begun.elapsed() > QUIET && told.elapsed() > QUIET && std::io::stderr().is_terminal() {
            told = Instant::now();
            note!("{} records so far", thousands(replay.counts.records));
        }
        if after.is_none() {
            break;
        }
    }
    replay.print(format)
}

/// What became of the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// All of the range.
    pub(crate) records: u64,
    /// Decided twice.
    judged: u64,
    /// Decided by no policy: bad requests, ports, certificates, faults, bans.
    not_by_policy: u64,
    /// Of people whom the filter does not know any more.
    user_gone: u64,
    /// Judged, though the policy in force decides otherwise than was recorded: another policy then.
    other_policy: u64,
    /// The same: other lists then.
    other_lists: u64,
    /// The same, with the same policy and lists: the person, an unblock or a block has changed.
    other: u64,
    /// Judged, with words that were typed.
    typed: u64,
    /// Of those, a sign of a theme by the proposed policy and not by the one in force.
    newly_signs: u64,
    /// The other way round.
    no_longer_signs: u64,
}

/// How a site would change.
#[derive(Debug, Default)]
struct Change {
    requests: u64,
    people: HashSet<u64>,
    /// Whether there were more people than were told apart.
    many: bool,
    because: String,
    examples: Vec<String>,
}

pub(crate) struct Replay<'a> {
    snapshot: &'a Snapshot,
    proposed: &'a Policy,
    /// What words come to by the policy in force, and by the proposed one.
    words: [WordsTrial; 2],
    /// Unblocks as they once held, each for the time when it did.
    unblocks: Vec<Unblock>,
    counts: Counts,
    /// Newly refused and newly passing, by level and by the theme of what was typed.
    shares: HashMap<(String, Option<String>), [u64; 2]>,
    changes: HashMap<(Verdict, String), Change>,
    /// Differences of sites beyond [`MAX_SITES`].
    beyond: u64,
    pairs: usize,
}

impl<'a> Replay<'a> {
    /// Nothing tried yet.
    pub(crate) fn new(snapshot: &'a Snapshot, proposed: &'a PolicyFile) -> Self {
        let now = WordsTrial::new(&snapshot.policy, &snapshot.themes);
        Self {
            snapshot,
            proposed: &proposed.policy,
            words: [now, WordsTrial::new(&proposed.policy, &proposed.themes)],
            unblocks: once(&snapshot.changes),
            counts: Counts::default(),
            shares: HashMap::new(),
            changes: HashMap::new(),
            beyond: 0,
            pairs: 0,
        }
    }

    /// Decides one recorded access by both policies.
    pub(crate) fn judge(&mut self, row: &AccessRow) {
        self.counts.records += 1;
        let Some(host) = Host::parse(&row.host).ok().filter(|_| is_by_policy(row.reason)) else {
            self.counts.not_by_policy += 1;
            return;
        };
        let facts = match row.user.as_deref().map(|name| self.snapshot.users.find(name)) {
            Some(None) => {
                self.counts.user_gone += 1;
                return;
            }
            known => known.flatten().map(|user| &user.facts),
        };
        let client = row.client.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        // Who is banned today was not necessarily so then.
        let who =
            |policy: &Policy| Identity { banned_until: None, ..policy.identify(facts, client) };
        let path = row.path.as_deref();
        let categories = self.snapshot.index.categories(&host, path);
        // Blocks stand in the order in which they were made; a later one closed nothing yet.
        let blocks = &self.snapshot.blocks;
        let blocks = &blocks[..blocks.partition_point(|it| it.at <= row.at)];
        let seen = path.map(rules::target::seen_path);
        let (scheme, port) = (row.scheme, row.port);
        let found = Pack::shipped().find(&Seen {
            scheme,
            host: &host,
            port,
            path_and_query: path,
            head: None,
        });
        let of = |host: &Host, path: &str| self.snapshot.categories(host, Some(path));
        let answer = |policy: &Policy| {
            let (who, path) = (who(policy), seen.as_deref());
            let access = Access { who: &who, scheme, host: &host, port, path, categories };
            let changes = (&self.unblocks[..], blocks);
            judge(policy, changes, &access, found.as_ref(), &of, row.at).decision
        };
        let (now, then) = (answer(&self.snapshot.policy), answer(self.proposed));
        let typed = row.words.as_ref().map(|typed| {
            let judged =
                |trial: &WordsTrial, policy: &Policy| trial.judge(who(policy).level, &typed.text);
            let [by_now, by_then] = &self.words;
            [judged(by_now, &self.snapshot.policy), judged(by_then, self.proposed)]
        });
        // It was told by what the log does not keep: a query, a method, a field.
        let is_unseen = Technique::of(row.reason).is_some() && found.is_none();
        if is_unseen && now.verdict == Verdict::Allow {
            self.counts.not_by_policy += 1;
            return;
        }
        self.counts.judged += 1;
        if let (Some([now, then]), Some(typed)) = (&typed, &row.words) {
            self.counts.typed += 1;
            // Half a sentence is no sign of anything.
            if typed.kind != WordsKind::Suggest {
                let is_new = |one: &JudgedWords, other: &JudgedWords| {
                    u64::from(one.signs.iter().any(|sign| !other.signs.contains(sign)))
                };
                self.counts.newly_signs += is_new(then, now);
                self.counts.no_longer_signs += is_new(now, then);
            }
        }
        let [refused_now, refused_then] =
            typed.map(|both| both.map(|judged| judged.refused)).unwrap_or_default();
        let verdict = |decision: &Decision, refused: &Option<String>| match refused {
            Some(_) => Verdict::Block,
            None => decision.verdict,
        };
        let (now_verdict, then_verdict) =
            (verdict(&now, &refused_now), verdict(&then, &refused_then));
        if now_verdict != row.verdict {
            let counts = &mut self.counts;
            *match row {
                _ if row.policy_hash != *self.snapshot.policy_hash => &mut counts.other_policy,
                _ if row.list_version != self.snapshot.index.version() => &mut counts.other_lists,
                _ => &mut counts.other,
            } += 1;
        }
        if now_verdict != then_verdict {
            let level = who(&self.snapshot.policy).level;
            match then_verdict {
                Verdict::Block => self.count_share(level, &then, refused_then.as_ref(), [1, 0]),
                Verdict::Allow => self.count_share(level, &now, refused_now.as_ref(), [0, 1]),
            }
            let because = match refused_then.filter(|_| then.verdict == Verdict::Allow) {
                Some(theme) => {
                    let threshold = self.proposed.theme_threshold(who(self.proposed).level, &theme);
                    let from = match threshold {
                        THRESHOLD => String::new(),
                        points => format!(", which is found from {points} points"),
                    };
                    format!("what was typed is of the theme {theme}{from}")
                }
                None => words::because(self.proposed, &then),
            };
            self.add(row, then_verdict, because);
        }
    }

    fn add(&mut self, row: &AccessRow, verdict: Verdict, because: String) {
        let key = (verdict, row.host.clone());
        if self.changes.len() >= MAX_SITES && !self.changes.contains_key(&key) {
            self.beyond += 1;
            return;
        }
        let change = self.changes.entry(key).or_default();
        change.requests += 1;
        if change.examples.is_empty() {
            change.because = because;
        }
        if change.examples.len() < EXAMPLES {
            change.examples.push(row.id.code());
        }
        let person = person(row);
        let has_room = self.pairs < MAX_PAIRS && change.people.len() < MAX_PEOPLE;
        if has_room && change.people.insert(person) {
            self.pairs += 1;
        } else if !has_room && !change.people.contains(&person) {
            change.many = true;
        }
    }

    fn print(self, format: Format) -> Result<Exit, Failure> {
        let mut sheet = Sheet::stdout(format, COLUMNS)?;
        let mut changes: Vec<_> = self.changes.into_iter().collect();
        // What opens stands first: it is what somebody has to sign for.
        changes.sort_by(|((one, site), it), ((other, site_2), it_2)| {
            let opens = |verdict: &Verdict| *verdict != Verdict::Allow;
            opens(one)
                .cmp(&opens(other))
                .then(it_2.requests.cmp(&it.requests))
                .then_with(|| site.cmp(site_2))
        });
        let count = |verdict| changes.iter().filter(|((it, _), _)| *it == verdict).count() as u64;
        let (opened, blocked) = (count(Verdict::Allow), count(Verdict::Block));
        for ((verdict, site), change) in &changes {
            let word = if *verdict == Verdict::Allow { "opened" } else { "blocked" };
            let people = change.people.len() as u64;
            let more = if change.many { "+" } else { "" };
            sheet.row(&[
                Cell::text(word),
                Cell::text(site),
                Cell::number(change.requests),
                Cell::new(format!("{people}{more}"), people),
                Cell::text(&change.because),
                Cell::list(&change.examples),
            ])?;
        }
        sheet.finish()?;
        let counts = self.counts;
        note!(
            "{} records, {} judged: {} sites newly opened, {} newly blocked",
            thousands(counts.records),
            thousands(counts.judged),
            thousands(opened),
            thousands(blocked)
        );
        if counts.typed > 0 {
            note!(
                "{} of them with words that were typed: {} newly a sign of a theme, {} no longer",
                thousands(counts.typed),
                thousands(counts.newly_signs),
                thousands(counts.no_longer_signs)
            );
        }
        if self.beyond > 0 {
            note!("{} more requests to further sites would change", thousands(self.beyond));
        }
        let told = [
            (
                counts.not_by_policy,
                "not judged: decided by no policy (bad requests, ports, bans, ...)",
            ),
            (counts.user_gone, "not judged: of people whom the filter does not know any more"),
            (counts.other_policy, "recorded otherwise: another policy was in force"),
            (counts.other_lists, "recorded otherwise: other lists were in force"),
            (counts.other, "recorded otherwise: a person, an unblock or a block was another"),
        ];
        for (records, words) in told {
            if records > 0 {
                note!("  {} {words}", thousands(records));
            }
        }
        Ok(Exit::Ok)
    }
}

/// Unblocks for the time when they held: from when they were made to their end or their revocation.
fn once(changes: &Changes) -> Vec<Unblock> {
    changes
        .unblocks
        .values()
        .filter(|it| it.kind == RequestKind::Unblock)
        .filter_map(|it| {
            let (applied, _) = it.applied.as_ref()?;
            let revoked = it.revoked.as_ref().map_or(it.until, |(at, ..)| *at);
            Some(Unblock {
                id: it.id,
                site: Site::parse(&it.site).ok()?,
                scope: it.scope.clone(),
                within: it.within(),
                authorised_sequence: it.authorised_sequence?,
                from: it.from.max(*applied),
                until: it.until.min(revoked),
            })
        })
        .collect()
}

/// Whether the policy decided, and the person was not banned: what can be decided again.
fn is_by_policy(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::Allowed
            | ReasonCode::Unblock
            | ReasonCode::Exception
            | ReasonCode::OnList
            | ReasonCode::Locked
            | ReasonCode::SiteBlocked
            | ReasonCode::NotOnList
            | ReasonCode::Category
            | ReasonCode::OutsideTimes
            | ReasonCode::NotNominated
            | ReasonCode::Uncategorised
            | ReasonCode::SearchWords
            | ReasonCode::PromptWords
    ) || Technique::of(reason).is_some()
}

/// A number for whoever asked: the user, else the device.
fn person(row: &AccessRow) -> u64 {
    let mut hasher = DefaultHasher::new();
    match &row.user {
        Some(name) => name.to_lowercase().hash(&mut hasher),
        None => (&row.client, 0_u8).hash(&mut hasher),
    }
    hasher.finish()
}
