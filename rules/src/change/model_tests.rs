//! Properties of changes in any order by anybody: an independent model says what may open, and a log
//! written by hand opens nothing either.

#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

mod by_hand;
mod locked;

use super::*;
use crate::access::{Access, Identity, KnownBy, Role, RoleSet};
use crate::category::{Catalogue, CategorySet};
use crate::decide::{Reason, Verdict, decide};
use crate::host::Host;
use crate::policy::{Policy, PolicyDiff};
use crate::site::Site;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::LazyLock;

const HOUR: i64 = 3_600_000;
/// A Wednesday, 10:00.
const START: UnixMillis = UnixMillis(1_795_600_800_000);

/// Who acts in the model: people with and without roles, one name in another spelling, and names that
/// are nobody's.
const ACTORS: [&str; 10] = [
    "t.obi",
    "q.whitmore",
    "Q.WHITMORE ",
    "d.deputy",
    "j.cho",
    "k.lane",
    "automatic",
    "schoolgate",
    "machine:root",
    "p.uppet",
];

fn policy(order: SignOffOrder, apply: &str) -> Policy {
    let order = order.steps().map(|step| format!("\"{}\"", step.as_str())).join(", ");
    let text = format!(
        r#"
school = "Example Academy"
timezone = "Europe/London"
order = ["pupil", "staff"]
[levels]
pupil = {{}}
ks3 = {{ parent = "pupil" }}
staff = {{}}
[grid]
games = {{ pupil = "block", staff = "allow" }}
[roles]
dsl = ["q.whitmore", "d.deputy"]
it = ["j.cho", "k.lane"]
teacher = ["t.obi", "d.deputy"]
[unblock]
authorise = ["dsl"]
apply = "{apply}"
confirm = ["it", "dsl"]
order = [{order}]
max_days = 10
never = ["adult"]
[[unblock.standing]]
who = "teacher"
categories = ["games"]
scope = "class"
max_minutes = 60
authorised = "D. Deputy (DSL) 2026-09-01"
review = 2026-11-26
"#
    );
    Policy::parse(&text, "policy.toml", Catalogue::shipped(), &|_| Err("no file".into())).unwrap()
}

/// A policy of each order, automatic or not: reading them anew for each case takes most of the time.
fn ready_policy(order: SignOffOrder, automatic: bool) -> Policy {
    static READY: LazyLock<Vec<(SignOffOrder, bool, Policy)>> = LazyLock::new(|| {
        let both = SignOffOrder::ALL.into_iter().flat_map(|order| [(order, true), (order, false)]);
        both.map(|(order, automatic)| {
            (order, automatic, policy(order, if automatic { "automatic" } else { "it" }))
        })
        .collect()
    });
    let found = READY.iter().find(|(one, other, _)| *one == order && *other == automatic);
    found.unwrap().2.clone()
}

/// What somebody tries.
#[derive(Clone, Debug)]
enum Try {
    Unblock,
    Look,
    Certificate,
    /// `policy apply` of policy number n, which opens something or not.
    Policy(u8, bool),
    /// The file is found to hold policy number n.
    File(u8, bool),
    /// `lists accept` of version n.
    List(u8),
    /// The publisher's version n comes into force by itself.
    ListByItself(u8),
    Block,
    Lift(u32),
    /// A lesson of so many minutes, with another category than the standing yes names or not.
    Lesson(i64, bool),
    Authorise(u32),
    Refuse(u32),
    Apply(u32),
    Confirm(u32),
    Revoke(u32),
    Extend(u32),
    /// Somebody's password is set: an account by its place among [`ACTORS`].
    Password(usize),
    Wait(i64),
}

fn any_try() -> impl Strategy<Value = (usize, Try)> {
    let id = 1_u32..7;
    let what = prop_oneof![
        2 => Just(Try::Unblock),
        1 => Just(Try::Look),
        1 => Just(Try::Certificate),
        2 => (1_u8..4, any::<bool>()).prop_map(|(n, opens)| Try::Policy(n, opens)),
        2 => (1_u8..4, any::<bool>()).prop_map(|(n, opens)| Try::File(n, opens)),
        1 => (1_u8..4).prop_map(Try::List),
        1 => (1_u8..4).prop_map(Try::ListByItself),
        1 => Just(Try::Block),
        1 => (1_u32..4).prop_map(Try::Lift),
        1 => (10_i64..90, any::<bool>()).prop_map(|(n, other)| Try::Lesson(n, other)),
        6 => id.clone().prop_map(Try::Authorise),
        1 => id.clone().prop_map(Try::Refuse),
        4 => id.clone().prop_map(Try::Apply),
        4 => id.clone().prop_map(Try::Confirm),
        1 => id.clone().prop_map(Try::Revoke),
        1 => id.prop_map(Try::Extend),
        2 => (0..ACTORS.len()).prop_map(Try::Password),
        1 => (1_i64..40).prop_map(Try::Wait),
        1 => Just(Try::Wait(100)),
    ];
    (0..ACTORS.len(), what)
}

/// One request as the model sees it: only who did what, in plain words.
#[derive(Clone, Debug, Default)]
struct Card {
    asker: String,
    yes: Option<String>,
    seen: Option<String>,
    made: Option<String>,
    /// A no, or taken back.
    ended: bool,
    /// What it would change has changed.
    stale: bool,
    standing: bool,
    /// Policy: what it wants, and over which.
    policy: Option<(u8, u8)>,
    list: Option<u8>,
    block: Option<u32>,
    until: i64,
    site: bool,
}

/// What the school has said yes to, by a bookkeeping of its own.
struct Model {
    order: SignOffOrder,
    automatic: bool,
    cards: Vec<Card>,
    policy: u8,
    list: u8,
    blocks: BTreeSet<u32>,
    /// Account, who set its password, and when its owner or another took it over: each time that it was set.
    passwords: Vec<(String, String, Option<i64>)>,
}

fn plain(name: &str) -> String {
    name.trim().to_lowercase()
}

fn is_nobody(name: &str) -> bool {
    ["automatic", "schoolgate", "machine:root"].contains(&plain(name).as_str())
}

fn holds(name: &str, roles: &[&str]) -> bool {
    let held: &[&str] = match plain(name).as_str() {
        "q.whitmore" => &["dsl"],
        "d.deputy" => &["dsl", "teacher"],
        "j.cho" | "k.lane" => &["it"],
        "t.obi" => &["teacher"],
        _ => &[],
    };
    roles.iter().any(|role| held.contains(role))
}

/// Whether somebody may ask for anything that opens.
fn may_ask(name: &str) -> bool {
    holds(name, &["dsl", "it", "teacher"])
}

impl Model {
    fn card(&self, id: u32) -> Option<&Card> {
        self.cards.get(id as usize - 1)
    }

    /// Whether the steps that stand before one in the school's order have been done.
    fn ready(&self, card: &Card, step: &str) -> bool {
        let order = self.order.steps().map(SignOff::as_str);
        let place = order.iter().position(|other| *other == step).unwrap();
        order[..place].iter().all(|before| match *before {
            "authorise" => card.yes.is_some(),
            "apply" => card.made.is_some(),
            _ => card.seen.is_some(),
        })
    }

    /// Everybody who may be the same as one, by colouring who is linked until nothing changes; and whether
    /// that may be anybody, since nobody knows who set a password.
    fn coloured(&self, start: &str, now: UnixMillis) -> (BTreeSet<String>, bool) {
        let week = 7 * 24 * HOUR;
        let mut colour = BTreeSet::from([plain(start)]);
        let mut is_anybody = false;
        for _ in 0..self.passwords.len() + 1 {
            for (account, by, over) in &self.passwords {
                if over.is_some_and(|over| now.0 >= over + week) {
                    continue;
                }
                if is_nobody(by) {
                    is_anybody |= colour.contains(account);
                } else if colour.contains(account) || colour.contains(by) {
                    colour.extend([account.clone(), by.clone()]);
                }
            }
        }
        (colour, is_anybody)
    }

    fn is_one(&self, one: &str, other: &str, now: UnixMillis) -> bool {
        let ((ours, anybody), (_, everybody)) =
            (self.coloured(one, now), self.coloured(other, now));
        let are_people = !is_nobody(one) && !is_nobody(other);
        are_people && (anybody || everybody || ours.contains(&plain(other)))
    }

    fn set_password(&mut self, account: &str, by: &str, now: UnixMillis) {
        let (account, by) = (plain(account), plain(by));
        for (_, _, over) in self.passwords.iter_mut().filter(|it| it.0 == account) {
            over.get_or_insert(now.0);
        }
        if account != by {
            self.passwords.push((account, by, None));
        }
    }

    /// Whether somebody may take a step, but for the time and the state.
    fn may(&self, id: u32, step: &str, who: &str, now: UnixMillis) -> bool {
        let Some(card) = self.card(id) else { return false };
        let who = plain(who);
        let (roles, done, others): (&[&str], _, _) = match step {
            "authorise" => {
                (&["dsl"], &card.yes, [Some(&card.asker), card.seen.as_ref(), card.made.as_ref()])
            }
            "apply" if self.automatic => (&[], &card.made, [None; 3]),
            "apply" => (&["it"], &card.made, [card.yes.as_ref(), card.seen.as_ref(), None]),
            _ => {
                let asker = self.order.confirms_first().then_some(&card.asker);
                (&["it", "dsl"], &card.seen, [card.yes.as_ref(), card.made.as_ref(), asker])
            }
        };
        holds(&who, roles)
            && done.is_none()
            && !card.ended
            && !card.stale
            && self.ready(card, step)
            && !others.into_iter().flatten().any(|other| *other == who)
            && !others.into_iter().flatten().any(|other| self.is_one(&who, other, now))
    }

    /// After a step: the automatic maker makes what waits for nothing else.
    fn make_if_ready(&mut self, id: u32) {
        let card = &self.cards[id as usize - 1];
        let ready = card.yes.is_some() && card.made.is_none() && self.ready(card, "apply");
        if self.automatic && ready {
            self.make(id, "automatic");
        }
    }

    fn make(&mut self, id: u32, who: &str) {
        self.cards[id as usize - 1].made = Some(plain(who));
        let card = self.cards[id as usize - 1].clone();
        if let Some((wanted, _)) = card.policy {
            self.set_policy(wanted, Some(id));
        }
        if let Some(version) = card.list {
            self.set_list(version, Some(id));
        }
        if let Some(block) = card.block {
            self.blocks.remove(&block);
            for (place, other) in self.cards.iter_mut().enumerate() {
                other.stale |=
                    other.block == Some(block) && other.made.is_none() && place as u32 + 1 != id;
            }
        }
    }

    fn set_policy(&mut self, number: u8, by: Option<u32>) {
        if self.policy == number {
            return;
        }
        self.policy = number;
        for (place, card) in self.cards.iter_mut().enumerate() {
            card.stale |= card.policy.is_some() && Some(place as u32 + 1) != by;
        }
    }

    fn set_list(&mut self, version: u8, by: Option<u32>) {
        self.list = version;
        for (place, card) in self.cards.iter_mut().enumerate() {
            let is_it =
                Some(place as u32 + 1) == by || (card.made.is_some() && card.list == Some(version));
            card.stale |= card.list.is_some() && !is_it;
        }
    }

    /// Sites that are open, by number of the request.
    fn open(&self, now: UnixMillis) -> Vec<u32> {
        let open = |card: &Card| {
            card.site
                && card.yes.is_some()
                && card.made.is_some()
                && !card.ended
                && now.0 < card.until
        };
        (1..).zip(&self.cards).filter(|(_, card)| open(card)).map(|(id, _)| id).collect()
    }
}

/// The program's side: the log folded.
struct Bench {
    policy: Policy,
    changes: Changes,
    now: UnixMillis,
    list: String,
}

impl Bench {
    fn tell(&mut self, events: Vec<(String, Event)>) {
        for (actor, event) in events {
            if let Event::ListAccepted { version, .. } = &event {
                self.list.clone_from(version);
            }
            let sequence = self.changes.size;
            self.changes.fold(&ChangeEntry { sequence, at: self.now, actor, event });
        }
    }

    fn ask(&mut self, who: &str, event: Result<Event, ChangeError>) -> bool {
        let Ok(event) = event else { return false };
        self.tell(vec![(who.to_owned(), event)]);
        true
    }
}

const WHY: &str = "the spring term needs it";

fn loosening(opens: bool) -> PolicyDiff {
    PolicyDiff { lines: vec!["games for ks3".into()], loosens: opens, intrudes: false }
}

fn name_of(number: u8) -> String {
    format!("policy-{number}")
}

/// Tries one thing on both sides; they must agree on whether it was done.
fn step(bench: &mut Bench, model: &mut Model, who: &str, what: &Try) -> Result<(), TestCaseError> {
    let now = bench.now;
    let until = UnixMillis(now.0 + 48 * HOUR);
    let site = Site::parse("chess.com").unwrap();
    let games = CategorySet::of(bench.policy.catalogue().id("games").unwrap());
    let asker = plain(who);
    let card = Card { asker: asker.clone(), until: until.0, ..Card::default() };
    let waits = |bench: &Bench, id: u32| {
        bench
            .changes
            .state(UnblockId(id), now)
            .is_some_and(|state| !matches!(state, UnblockState::Lapsed | UnblockState::Ended))
    };
    match *what {
        Try::Wait(hours) => bench.now = UnixMillis(now.0 + hours * HOUR),
        Try::Unblock => {
            let scope = Scope::Level("ks3".into());
            let asked = ask_unblock(
                &bench.changes,
                &bench.policy,
                who,
                games,
                &site,
                scope,
                now,
                until,
                WHY,
                now,
            );
            prop_assert_eq!(bench.ask(who, asked), may_ask(who));
            if may_ask(who) {
                model.cards.push(Card { site: true, ..card });
            }
        }
        Try::Look => {
            let category = InspectWhat::Category("health".into());
            let (none, policy) = (CategorySet::EMPTY, &bench.policy);
            let asked =
                ask_inspect(&bench.changes, policy, who, category, none, now, until, WHY, now);
            prop_assert_eq!(bench.ask(who, asked), may_ask(who));
            if may_ask(who) {
                model.cards.push(card);
            }
        }
        Try::Certificate => {
            let host = Host::parse("exam.example").unwrap();
            let faults = [crate::decide::ReasonCode::TlsExpired];
            let none = CategorySet::EMPTY;
            let asked = ask_certificate(
                &bench.changes,
                &bench.policy,
                who,
                &host,
                &faults,
                none,
                now,
                until,
                WHY,
                now,
            );
            prop_assert_eq!(bench.ask(who, asked), may_ask(who));
            if may_ask(who) {
                model.cards.push(card);
            }
        }
        Try::Policy(number, opens) if number != model.policy => {
            let (old, new) = (name_of(model.policy), name_of(number));
            let diff = loosening(opens);
            let made = change_policy(
                &bench.changes,
                &bench.policy,
                (&old, &new),
                (&diff, untried()),
                who,
                WHY,
                None,
                now,
            );
            let done = bench.ask(who, made);
            prop_assert_eq!(done, holds(who, &["dsl", "it"]));
            if done && opens {
                let wanted = (number, model.policy);
                for other in &mut model.cards {
                    let same = other.policy.is_some_and(|(wants, _)| wants == number);
                    other.stale |= same && other.asker == "schoolgate" && other.made.is_none();
                }
                let until = now.0 + 240 * HOUR;
                model.cards.push(Card { policy: Some(wanted), until, ..card });
            } else if done {
                model.set_policy(number, None);
            }
        }
        Try::File(number, opens) => {
            let (old, new) = (name_of(model.policy), name_of(number));
            let found = policy_file_found(
                &bench.changes,
                &bench.policy,
                (&old, &new),
                &loosening(opens),
                now,
            );
            let program = PROGRAM.to_owned();
            match found {
                PolicyFound::InForce(events) => {
                    prop_assert_eq!(number, model.policy);
                    for event in &events {
                        let Event::UnblockRefused { id, .. } = event else { panic!("{event:?}") };
                        model.cards[id.0 as usize - 1].ended = true;
                    }
                    bench.tell(events.into_iter().map(|event| (program.clone(), event)).collect());
                }
                PolicyFound::Moved => {
                    prop_assert!(false, "nothing moves between looking and writing")
                }
                PolicyFound::Tightens(event) => {
                    prop_assert!(!opens);
                    bench.tell(vec![(program, event)]);
                    model.set_policy(number, None);
                }
                PolicyFound::Waits(_, Some(event)) => {
                    prop_assert!(opens);
                    bench.tell(vec![(program, event)]);
                    for other in &mut model.cards {
                        let is_of_file = other.policy.is_some() && other.asker == "schoolgate";
                        other.stale |= is_of_file && other.made.is_none();
                    }
                    let (policy, until) = (Some((number, model.policy)), now.0 + 240 * HOUR);
                    model.cards.push(Card { asker: "schoolgate".into(), policy, until, ..card });
                }
                PolicyFound::Waits(id, None) | PolicyFound::Answered(id, _) => {
                    prop_assert!(opens);
                    let wanted = model.card(id.0).unwrap().policy;
                    prop_assert_eq!(wanted, Some((number, model.policy)));
                }
            }
        }
        Try::List(number) => {
            let what = ListRequest {
                list: "games".into(),
                version: number.to_string(),
                rollback: false,
                base: Some(model.list.to_string()),
                entries: 10,
                added: 0,
                removed: 3,
            };
            let asked = ask_list(&bench.changes, &bench.policy, what, WHY, None, now);
            prop_assert!(bench.ask(who, asked));
            model.cards.push(Card { list: Some(number), until: now.0 + 240 * HOUR, ..card });
        }
        Try::ListByItself(number) => {
            let (list, version) = ("games".to_owned(), number.to_string());
            let event = Event::ListAccepted { list, version, entries: 9, added: 1, removed: 0 };
            bench.tell(vec![(PROGRAM.to_owned(), event)]);
            model.set_list(number, None);
        }
        Try::Block => {
            let scope = Scope::Level("pupil".into());
            let id = bench.changes.next_block();
            let made =
                block_site(&bench.changes, &bench.policy, &site, scope, who, "fights in there");
            prop_assert_eq!(bench.ask(who, made), holds(who, &["dsl", "it"]));
            if holds(who, &["dsl", "it"]) {
                model.blocks.insert(id.0);
            }
        }
        Try::Lift(block) => {
            let block_id = BlockId(block);
            let asked = ask_lift(&bench.changes, &bench.policy, who, block_id, WHY, None, now);
            let may = may_ask(who) && model.blocks.contains(&block);
            prop_assert_eq!(bench.ask(who, asked), may);
            if may {
                model.cards.push(Card { block: Some(block), until: now.0 + 240 * HOUR, ..card });
            }
        }
        Try::Lesson(minutes, other) => {
            let music = CategorySet::of(bench.policy.catalogue().id("education").unwrap());
            let until = UnixMillis(now.0 + minutes * 60_000);
            let lesson = Lesson {
                site,
                categories: if other { music } else { games },
                scope: Scope::Group("9C".into()),
                until,
                reason: WHY.into(),
            };
            let started = start_lesson(&bench.changes, &bench.policy, who, &lesson, now);
            if !may_ask(who) {
                prop_assert!(matches!(started, Err(ChangeError::NoRole { .. })), "{:?}", started);
                return Ok(());
            }
            let (events, yes) = started.unwrap();
            bench.tell(events);
            // The standing yes is d.deputy's, for teachers, for games, for an hour, until the 26th.
            let last_day = START.0 + 38 * HOUR;
            let covered = asker == "t.obi" && !other && minutes <= 60 && until.0 <= last_day;
            // Whoever may be its author opens nothing under it; whoever came to its author's account later
            // did not give it.
            let (ours, is_anybody) = model.coloured("t.obi", now);
            let covered = covered && !ours.contains("d.deputy") && !is_anybody;
            prop_assert_eq!(yes.is_ok(), covered, "{:?}", yes);
            let card = Card { site: true, until: until.0, ..card };
            model.cards.push(match covered {
                true => Card {
                    standing: true,
                    yes: Some("d. deputy (dsl) 2026-09-01".into()),
                    made: Some("automatic".into()),
                    ..card
                },
                false => card,
            });
        }
        Try::Authorise(id) => {
            let waits = waits(bench, id);
            let made = authorise_unblock(&bench.changes, &bench.policy, UnblockId(id), who, now);
            let may = model.may(id, "authorise", who, now);
            prop_assert_eq!(made.is_ok(), waits && may, "{:?}", made);
            if let Ok(events) = made {
                bench.tell(events);
                model.cards[id as usize - 1].yes = Some(asker);
                model.make_if_ready(id);
            }
        }
        Try::Apply(id) => {
            let waits = waits(bench, id);
            let made = apply_unblock(&bench.changes, &bench.policy, UnblockId(id), who, now);
            prop_assert_eq!(made.is_ok(), waits && model.may(id, "apply", who, now), "{:?}", made);
            if let Ok(events) = made {
                bench.tell(events);
                model.make(id, who);
            }
        }
        Try::Confirm(id) => {
            let waits = waits(bench, id);
            let none = ("", Vec::new());
            let made =
                confirm_unblock(&bench.changes, &bench.policy, UnblockId(id), who, none, now);
            let in_turn =
                model.card(id).is_some_and(|card| !card.standing || !model.order.confirms_first());
            if in_turn {
                let may = model.may(id, "confirm", who, now);
                prop_assert_eq!(made.is_ok(), waits && may, "{:?}", made);
            }
            if let Ok(events) = made {
                bench.tell(events);
                model.cards[id as usize - 1].seen = Some(asker);
                model.make_if_ready(id);
            }
        }
        Try::Refuse(id) => {
            let made = refuse_unblock(&bench.changes, &bench.policy, UnblockId(id), who, "no", now);
            if bench.ask(who, made) {
                prop_assert!(holds(who, &["dsl"]));
                model.cards[id as usize - 1].ended = true;
            }
        }
        Try::Revoke(id) => {
            let made =
                revoke_unblock(&bench.changes, &bench.policy, UnblockId(id), who, "over", now);
            if bench.ask(who, made) {
                model.cards[id as usize - 1].ended = true;
            }
        }
        Try::Extend(id) => {
            let until = UnixMillis(now.0 + 60 * HOUR);
            let made =
                extend_unblock(&bench.changes, &bench.policy, UnblockId(id), who, until, WHY, now);
            if bench.ask(who, made) {
                let card = &mut model.cards[id as usize - 1];
                prop_assert!(holds(who, &["dsl"]) && card.asker != asker && card.yes.is_some());
                card.until = until.0;
                let other = card.asker.clone();
                prop_assert!(!model.is_one(&asker, &other, now));
            }
        }
        Try::Password(account) => {
            let (account, changed) = (ACTORS[account].to_owned(), vec!["password".to_owned()]);
            model.set_password(&account, who, now);
            bench.tell(vec![(who.to_owned(), Event::AccountChanged { account, changed })]);
        }
        Try::Policy(..) => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Whoever does whatever in whatever order, by every route: what is open is what the model says
    /// has been asked for, authorised by another, and made, in the school's order.
    #[test]
    fn no_order_of_events_by_anybody_opens_anything_without_its_sign_offs(
        order in 0_usize..3,
        automatic in any::<bool>(),
        tries in prop::collection::vec(any_try(), 1..40),
    ) {
        let order = SignOffOrder::ALL[order];
        let policy = ready_policy(order, automatic);
        let changes = Changes::default();
        let mut bench = Bench { policy, changes, now: START, list: "0".into() };
        let mut model = Model {
            order, automatic, cards: Vec::new(), policy: 0, list: 0, blocks: BTreeSet::new(),
            passwords: Vec::new(),
        };
        let first = PolicyFirst::event();
        bench.tell(vec![(PROGRAM.to_owned(), first)]);
        // Set up long ago: what is set from now on takes its week.
        bench.now = UnixMillis(START.0 - SETTING_UP_MILLIS - HOUR);
        let changed = vec!["added".to_owned(), "password".to_owned()];
        let set_up = Event::AccountChanged { account: "k.lane".into(), changed };
        bench.tell(vec![("machine:root".into(), set_up)]);
        bench.now = START;
        for (who, what) in &tries {
            step(&mut bench, &mut model, ACTORS[*who], what)?;
            let now = bench.now;
            let open: Vec<u32> = bench.changes.live(now).iter().map(|it| it.id.0).collect();
            prop_assert_eq!(open, model.open(now), "after {:?} by {}", what, ACTORS[*who]);
            for it in bench.changes.live(now) {
                let games = model.card(it.id.0).unwrap().standing.then(|| vec!["games".to_owned()]);
                prop_assert_eq!(it.within, games, "what {} opens", it.id);
            }
            prop_assert_eq!(bench.changes.policy.clone(), Some(name_of(model.policy)));
            prop_assert_eq!(&bench.list, &model.list.to_string());
            let blocks: BTreeSet<u32> = bench.changes.blocks.iter().map(|it| it.id.0).collect();
            prop_assert_eq!(&blocks, &model.blocks);
            let private = bench.changes.privacy_lifts(now).len()
                + bench.changes.certificate_exceptions(now).len();
            let others = model.cards.iter().filter(|card| {
                let is_other = !card.site && card.policy.is_none() && card.list.is_none();
                is_other && card.block.is_none() && card.made.is_some() && !card.ended && now.0 < card.until
            });
            prop_assert_eq!(private, others.count());
        }
    }
}

fn untried() -> Replayed {
    Replayed::NoRecords { from: UnixMillis(0), until: START }
}

struct PolicyFirst;

impl PolicyFirst {
    fn event() -> Event {
        let (hash, reason) = (name_of(0), "first policy".to_owned());
        Event::PolicyApplied { hash, reason, summary: Vec::new(), request: None, replayed: None }
    }
}

#[test]
fn a_file_asks_once_for_each_text_and_by_name_a_person_takes_its_place() {
    let policy = policy(SignOffOrder::default(), "automatic");
    let mut bench = Bench { policy, changes: Changes::default(), now: START, list: String::new() };
    bench.tell(vec![(PROGRAM.into(), PolicyFirst::event())]);
    let (old, new) = (name_of(0), name_of(1));
    let diff = loosening(true);
    let find = |bench: &Bench, found: &str| {
        policy_file_found(&bench.changes, &bench.policy, (&old, found), &diff, bench.now)
    };
    let PolicyFound::Waits(UnblockId(1), Some(event)) = find(&bench, &new) else { panic!() };
    bench.tell(vec![(PROGRAM.into(), event)]);
    assert_eq!(find(&bench, &new), PolicyFound::Waits(UnblockId(1), None));
    // The editor saves something else: the first request is not the file's any more.
    let PolicyFound::Waits(UnblockId(2), Some(event)) = find(&bench, "policy-2") else { panic!() };
    bench.tell(vec![(PROGRAM.into(), event)]);
    assert_eq!(bench.changes.state(UnblockId(1), START), Some(UnblockState::Lapsed));
    let gone = authorise_unblock(&bench.changes, &bench.policy, UnblockId(1), "q.whitmore", START);
    assert_eq!(gone, Err(ChangeError::Overtaken(UnblockId(1))));
    // A person asks for the same by name: then that person cannot be the one who says yes.
    let by_name = change_policy(
        &bench.changes,
        &bench.policy,
        (&old, "policy-2"),
        (&diff, untried()),
        "q.whitmore",
        WHY,
        None,
        START,
    );
    bench.tell(vec![("q.whitmore".into(), by_name.unwrap())]);
    for (id, error) in [
        (UnblockId(2), ChangeError::Overtaken(UnblockId(2))),
        (UnblockId(3), ChangeError::OwnRequest(UnblockId(3))),
    ] {
        let own = authorise_unblock(&bench.changes, &bench.policy, id, "q.whitmore", START);
        assert_eq!(own, Err(error));
    }
    assert_eq!(find(&bench, "policy-2"), PolicyFound::Waits(UnblockId(3), None));
    // No is no, until somebody asks by name again.
    let no = refuse_unblock(&bench.changes, &bench.policy, UnblockId(3), "d.deputy", "no", START);
    bench.tell(vec![("d.deputy".into(), no.unwrap())]);
    assert_eq!(
        find(&bench, "policy-2"),
        PolicyFound::Answered(UnblockId(3), UnblockState::Refused)
    );
    // Changed back: what the file had asked for is withdrawn, and may be asked for anew.
    let PolicyFound::Waits(UnblockId(4), Some(event)) = find(&bench, "policy-3") else { panic!() };
    bench.tell(vec![(PROGRAM.into(), event)]);
    let PolicyFound::InForce(withdrawn) = find(&bench, &old) else { panic!() };
    assert_eq!(withdrawn.len(), 1);
    bench.tell(withdrawn.into_iter().map(|event| (PROGRAM.to_owned(), event)).collect());
    let PolicyFound::Waits(UnblockId(5), Some(event)) = find(&bench, "policy-3") else { panic!() };
    bench.tell(vec![(PROGRAM.into(), event)]);
    let yes = authorise_unblock(&bench.changes, &bench.policy, UnblockId(5), "q.whitmore", START);
    bench.tell(yes.unwrap());
    assert_eq!(bench.changes.policy.as_deref(), Some("policy-3"));
    assert_eq!(find(&bench, "policy-3"), PolicyFound::InForce(Vec::new()));
    assert_eq!(find(&bench, "policy-4"), PolicyFound::Moved, "compared with one of before");
}

#[test]
fn a_long_unblock_is_due_for_review_a_week_before_its_end_and_a_short_one_just_ends() {
    let text = |until: i64| {
        let until = START.0 + until * DAY_MILLIS;
        let event = format!(
            r#"{{"event":"unblock_asked","id":1,"site":"chess.com","scope":{{"kind":"level","name":"ks3"}},"from":{},"until":{until},"reason":"chess"}}"#,
            START.0
        );
        serde_json::from_str::<Event>(&event).unwrap()
    };
    for (days, due) in [(14, None), (30, Some(23))] {
        let mut changes = Changes::default();
        let id = UnblockId(1);
        let events = [
            ("t.obi", text(days)),
            ("q.whitmore", Event::UnblockAuthorised { id }),
            (AUTOMATIC, Event::UnblockApplied { id }),
        ];
        for (actor, event) in events {
            let sequence = changes.size;
            changes.fold(&ChangeEntry { sequence, at: START, actor: actor.to_owned(), event });
        }
        for day in 0..days {
            let state = changes.state(id, UnixMillis(START.0 + day * DAY_MILLIS));
            let expected = match due {
                Some(due) if day >= due => UnblockState::ReviewDue,
                _ => UnblockState::Live,
            };
            assert_eq!(state, Some(expected), "day {day} of {days}");
        }
        let end = UnixMillis(START.0 + days * DAY_MILLIS);
        assert_eq!(changes.state(id, end), Some(UnblockState::Ended));
        assert!(changes.live(end).is_empty());
    }
}
