#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

mod asking;
mod replayed;
mod standing;

use super::*;
use crate::category::{Catalogue, CategorySet};
use crate::decide::ReasonCode;
use crate::host::Host;
use crate::policy::Policy;
use crate::site::Site;
use proptest::prelude::*;

const HOUR: i64 = 3_600_000;
const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

fn policy(apply: &str) -> Policy {
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
teacher = ["t.obi"]
[unblock]
authorise = ["dsl"]
apply = "{apply}"
confirm = ["it", "dsl"]
max_days = 10
never = ["adult"]
"#
    );
    Policy::parse(&text, "policy.toml", Catalogue::shipped(), &|_| Err("no file".into())).unwrap()
}

fn later(hours: i64) -> UnixMillis {
    UnixMillis(NOW.0 + hours * HOUR)
}

fn entry(changes: &Changes, at: UnixMillis, actor: &str, event: Event) -> ChangeEntry {
    ChangeEntry { sequence: changes.size, at, actor: actor.to_owned(), event }
}

fn ask(
    changes: &Changes,
    policy: &Policy,
    reason: &str,
    until: UnixMillis,
) -> Result<Event, ChangeError> {
    let site = Site::parse("chess.com").unwrap();
    let scope = Scope::Level("ks3".into());
    let none = CategorySet::EMPTY;
    ask_unblock(changes, policy, "t.obi", none, &site, scope, NOW, until, reason, NOW)
}

fn asked_by(who: &str, policy: &Policy) -> Changes {
    let mut changes = Changes::default();
    let event = ask(&changes, policy, "chess club at lunch", later(5)).unwrap();
    changes.fold(&entry(&changes, NOW, who, event));
    changes
}

fn fold_all(changes: &mut Changes, at: UnixMillis, events: Vec<(String, Event)>) {
    for (actor, event) in events {
        let entry = entry(changes, at, &actor, event);
        changes.fold(&entry);
    }
}

const ID: UnblockId = UnblockId(1);

#[test]
fn an_unblock_goes_from_asked_to_live_to_ended() {
    let policy = policy("automatic");
    let mut changes = asked_by("t.obi", &policy);
    assert_eq!(changes.state(ID, NOW), Some(UnblockState::Asked));
    assert!(changes.live(NOW).is_empty());
    let events = authorise_unblock(&changes, &policy, ID, "Q.Whitmore", NOW).unwrap();
    fold_all(&mut changes, NOW, events);
    assert_eq!(changes.state(ID, NOW), Some(UnblockState::Live));
    assert_eq!(changes.live(NOW).len(), 1);
    let checks = vec!["in scope: allowed".to_owned()];
    let events = confirm_unblock(&changes, &policy, ID, "j.cho", ("seen", checks.clone()), NOW);
    fold_all(&mut changes, NOW, events.unwrap());
    assert_eq!(changes.unblocks[&ID].checks, checks);
    assert_eq!(changes.state(ID, NOW), Some(UnblockState::Confirmed));
    assert_eq!(changes.state(ID, later(5)), Some(UnblockState::Ended));
    assert!(changes.live(later(5)).is_empty());
}

#[test]
fn what_is_live_is_told_so_before_who_may_authorise_it() {
    let policy = policy("automatic");
    let mut changes = asked_by("j.cho", &policy);
    let yes = authorise_unblock(&changes, &policy, ID, "q.whitmore", NOW).unwrap();
    fold_all(&mut changes, NOW, yes);
    for by in ["j.cho", "k.lane", "d.deputy"] {
        let again = authorise_unblock(&changes, &policy, ID, by, NOW);
        let is_told = matches!(again, Err(ChangeError::WrongState { state: "live", .. }));
        assert!(is_told, "{by}: {again:?}");
    }
    let stranger = authorise_unblock(&changes, &policy, ID, "p.uppet", NOW);
    assert!(matches!(stranger, Err(ChangeError::NoRole { .. })), "{stranger:?}");
}

#[test]
fn a_scope_names_a_level_in_any_capitals() {
    let policy = policy("automatic");
    for text in ["ks3", "KS3", "level:Ks3"] {
        let scope = Scope::parse(text, &policy);
        assert_eq!(scope, Some(Scope::Level("ks3".into())), "{text}");
    }
    assert_eq!(Scope::parse("KS9", &policy), Some(Scope::User("ks9".into())));
}

#[test]
fn whoever_asked_cannot_authorise_whatever_the_case_of_the_name() {
    let policy = policy("automatic");
    let changes = asked_by("Q.WHITMORE ", &policy);
    assert_eq!(
        authorise_unblock(&changes, &policy, ID, "q.whitmore", NOW),
        Err(ChangeError::OwnRequest(ID))
    );
    let no_role = authorise_unblock(&changes, &policy, ID, "t.obi", NOW);
    assert!(matches!(no_role, Err(ChangeError::NoRole { .. })), "{no_role:?}");
    assert!(authorise_unblock(&changes, &policy, ID, "d.deputy", NOW).is_ok());
    let by_teacher = asked_by("t.obi", &policy);
    assert_eq!(
        authorise_unblock(&by_teacher, &policy, ID, "T.Obi", NOW),
        Err(ChangeError::OwnRequest(ID)),
        "said before the missing role"
    );
}

#[test]
fn without_automatic_apply_maker_and_confirmer_are_other_people() {
    let policy = policy("it");
    let mut changes = asked_by("t.obi", &policy);
    let events = authorise_unblock(&changes, &policy, ID, "q.whitmore", NOW).unwrap();
    fold_all(&mut changes, NOW, events);
    assert_eq!(changes.state(ID, NOW), Some(UnblockState::Authorised));
    assert!(changes.live(NOW).is_empty());
    let events = apply_unblock(&changes, &policy, ID, "j.cho", NOW).unwrap();
    fold_all(&mut changes, NOW, events);
    assert_eq!(changes.live(NOW).len(), 1);
    for who in ["j.cho", "q.whitmore"] {
        let error = confirm_unblock(&changes, &policy, ID, who, ("", vec![]), NOW).unwrap_err();
        assert!(matches!(error, ChangeError::SamePerson { .. }), "{who}: {error:?}");
    }
    assert!(confirm_unblock(&changes, &policy, ID, "k.lane", ("", vec![]), NOW).is_ok());
}

#[test]
fn a_request_needs_a_real_reason_an_end_and_an_open_category() {
    let policy = policy("automatic");
    let changes = Changes::default();
    for reason in ["", "maths", "aaaaaaaaaaaaaaa", "please please please", "1234567890 1234"] {
        assert_eq!(
            ask(&changes, &policy, reason, later(1)),
            Err(ChangeError::ReasonTooShort),
            "{reason}"
        );
    }
    let good = "chess club at lunch";
    assert_eq!(ask(&changes, &policy, good, NOW), Err(ChangeError::EndsInPast));
    assert_eq!(
        ask(&changes, &policy, good, later(241)),
        Err(ChangeError::TooLong { max_days: 10 })
    );
    let catalogue = policy.catalogue();
    let site = Site::parse("chess.com").unwrap();
    for (id, category) in catalogue.iter() {
        let scope = Scope::Level("ks3".into());
        let set = CategorySet::of(id);
        let until = later(1);
        let answer =
            ask_unblock(&changes, &policy, "t.obi", set, &site, scope, NOW, until, good, NOW);
        let closed = category.locked || category.name == "adult";
        assert_eq!(answer.is_err(), closed, "{}", category.name);
    }
    let (scope, none, until) = (Scope::Level("ks9".into()), CategorySet::EMPTY, later(1));
    let answer = ask_unblock(&changes, &policy, "t.obi", none, &site, scope, NOW, until, good, NOW);
    assert_eq!(answer, Err(ChangeError::BadScope("ks9".into())));
}

#[test]
fn an_unanswered_request_lapses_and_cannot_be_authorised_then() {
    let policy = policy("automatic");
    let mut changes = Changes::default();
    let event = ask(&changes, &policy, "chess club at lunch", later(9 * 24)).unwrap();
    changes.fold(&entry(&changes, NOW, "t.obi", event));
    // Asked on a Wednesday: the fifth school day after it is the next Wednesday.
    let week = changes.unblocks[&ID].lapses;
    assert_eq!(policy.clock().show(week), "Thu 26 Nov 2026 00:00 GMT");
    assert_eq!(changes.state(ID, UnixMillis(week.0 - 1)), Some(UnblockState::Asked));
    assert_eq!(changes.state(ID, week), Some(UnblockState::Lapsed));
    let late = authorise_unblock(&changes, &policy, ID, "q.whitmore", week);
    assert!(matches!(late, Err(ChangeError::WrongState { state: "lapsed", .. })), "{late:?}");
}

#[test]
fn a_request_of_an_older_version_lapses_after_a_week() {
    let text = r#"{"event":"unblock_asked","id":1,"site":"chess.com","scope":{"kind":"level","name":"ks3"},"from":0,"until":9999999999999,"reason":"chess club"}"#;
    let mut changes = Changes::default();
    changes.fold(&entry(&changes, NOW, "t.obi", serde_json::from_str(text).unwrap()));
    assert_eq!(changes.unblocks[&ID].lapses, UnixMillis(NOW.0 + LAPSE_MILLIS));
}

#[test]
fn extending_is_opening_and_revoking_is_for_anyone_concerned() {
    let policy = policy("automatic");
    let mut changes = asked_by("d.deputy", &policy);
    let events = authorise_unblock(&changes, &policy, ID, "q.whitmore", NOW).unwrap();
    fold_all(&mut changes, NOW, events);
    let reason = "the club runs another week";
    let own = extend_unblock(&changes, &policy, ID, "d.deputy", later(20), reason, NOW);
    assert!(matches!(own, Err(ChangeError::SamePerson { .. })), "{own:?}");
    let event =
        extend_unblock(&changes, &policy, ID, "q.whitmore", later(20), reason, NOW).unwrap();
    fold_all(&mut changes, NOW, vec![("q.whitmore".into(), event)]);
    assert_eq!(changes.live(later(19)).len(), 1);
    let too_long =
        extend_unblock(&changes, &policy, ID, "q.whitmore", later(241), reason, later(9));
    assert_eq!(too_long, Err(ChangeError::TooLong { max_days: 10 }));
    assert!(revoke_unblock(&changes, &policy, ID, "t.obi", "not mine", NOW).is_err());
    assert_eq!(
        revoke_unblock(&changes, &policy, ID, "j.cho", " ", NOW),
        Err(ChangeError::NoReason)
    );
    let event = revoke_unblock(&changes, &policy, ID, "D.Deputy", "club is over", NOW).unwrap();
    fold_all(&mut changes, NOW, vec![("d.deputy".into(), event)]);
    assert_eq!(changes.state(ID, NOW), Some(UnblockState::Revoked));
    assert!(changes.live(NOW).is_empty());
}

#[test]
fn a_block_acts_at_once_and_is_lifted_by_a_request_that_another_authorises() {
    let policy = policy("automatic");
    let mut changes = Changes::default();
    let site = Site::parse("noisy.example.org").unwrap();
    let scope = Scope::Level("pupil".into());
    let event = block_site(&changes, &policy, &site, scope, "j.cho", "bullying page").unwrap();
    fold_all(&mut changes, NOW, vec![("j.cho".into(), event)]);
    assert_eq!(changes.blocks.len(), 1);
    let id = changes.blocks[0].id;
    assert_eq!(changes.next_block(), BlockId(id.0 + 1));
    let reason = "the page has been taken down";
    let missing = ask_lift(&changes, &policy, "t.obi", BlockId(77), reason, None, NOW);
    assert_eq!(missing, Err(ChangeError::NoSuchBlock(BlockId(77))));
    for who in ["q.whitmore", "t.obi"] {
        let event = ask_lift(&changes, &policy, who, id, reason, None, NOW).unwrap();
        fold_all(&mut changes, NOW, vec![(who.into(), event)]);
    }
    assert_eq!(changes.blocks.len(), 1, "asked alone does nothing");
    let own = authorise_unblock(&changes, &policy, ID, "q.whitmore", NOW);
    assert_eq!(own, Err(ChangeError::OwnRequest(ID)));
    let events = authorise_unblock(&changes, &policy, UnblockId(2), "q.whitmore", NOW).unwrap();
    fold_all(&mut changes, NOW, events);
    assert!(changes.blocks.is_empty());
    assert_eq!(changes.state(ID, NOW), Some(UnblockState::Lapsed), "nothing left to ask for");
    assert_eq!(changes.state(UnblockId(2), NOW), Some(UnblockState::Live));
    assert_eq!(changes.state(UnblockId(2), later(240)), Some(UnblockState::ReviewDue));
    let taken_back = revoke_unblock(&changes, &policy, UnblockId(2), "j.cho", "again", NOW);
    assert_eq!(taken_back, Err(ChangeError::NotRevocable { id: UnblockId(2) }));
    assert_eq!(changes.next_block(), BlockId(id.0 + 1), "a number is never used twice");
}

#[test]
fn events_keep_their_form_as_json() {
    let event = Event::UnblockAuthorised { id: UnblockId(137) };
    let text = serde_json::to_string(&event).unwrap();
    assert_eq!(text, r#"{"event":"unblock_authorised","id":137}"#);
    assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
}

fn any_event() -> impl Strategy<Value = (String, i64, Event)> {
    let who = prop::sample::select(vec!["t.obi", "q.whitmore", "d.deputy", "j.cho", "automatic"]);
    let id = (1_u32..4).prop_map(UnblockId);
    (who, 0_i64..300, 0_usize..7, id, 0_i64..400).prop_map(|(who, at, kind, id, until)| {
        let until = later(until);
        let event = match kind {
            0 => Event::UnblockAsked {
                id,
                site: "chess.com".into(),
                scope: Scope::Level("ks3".into()),
                from: NOW,
                until,
                reason: "chess club at lunch".into(),
                lapses: None,
                order: SignOffOrder::default(),
            },
            1 => Event::UnblockAuthorised { id },
            2 => Event::UnblockApplied { id },
            3 => Event::UnblockConfirmed { id, note: String::new(), checks: Vec::new() },
            4 => Event::UnblockExtended { id, until, reason: "longer".into() },
            5 => Event::UnblockRevoked { id, reason: "over".into() },
            _ => Event::UnblockRefused { id, reason: "no".into() },
        };
        (who.to_owned(), at, event)
    })
}

proptest! {
    /// Even a log written by hand opens nothing without a request, another person's yes and an
    /// apply by a third, none of them refused or revoked before.
    #[test]
    fn no_order_of_events_opens_anything_without_its_sign_offs(
        events in prop::collection::vec(any_event(), 0..40),
        at in 0_i64..300,
    ) {
        let mut changes = Changes::default();
        let mut told: Vec<(String, Event)> = Vec::new();
        for (who, hour, event) in events {
            let next = entry(&changes, later(hour), &who, event.clone());
            changes.fold(&next);
            told.push((who, event));
        }
        for open in changes.live(later(at)) {
            let asked = told.iter().position(|(_, event)| {
                matches!(event, Event::UnblockAsked { id, .. } if *id == open.id)
            });
            let asked = asked.unwrap();
            let requester = &told[asked].0;
            let authorised = told.iter().skip(asked).position(|(who, event)| {
                matches!(event, Event::UnblockAuthorised { id } if *id == open.id) && who != requester
            });
            prop_assert!(authorised.is_some());
            let history = &changes.unblocks[&open.id];
            prop_assert!(history.refused.is_none() && history.revoked.is_none());
            let maker = &history.applied.as_ref().unwrap().1;
            prop_assert_ne!(maker, &history.authorised.as_ref().unwrap().1);
            prop_assert!(later(at) < open.until);
        }
    }
}

/// Opens or closes chess.com, at an hour that the clock shows: any, for clocks go back.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// Asked for, authorised and applied.
    Open,
    Block,
    Lift,
    /// The newest open unblock ends later.
    Extend,
}

fn any_move() -> impl Strategy<Value = (Move, i64)> {
    let moves = vec![Move::Open, Move::Block, Move::Block, Move::Lift, Move::Extend];
    (prop::sample::select(moves), 0_i64..48)
}

proptest! {
    /// The last word holds, whatever the clocks said when it was spoken: a block closes what was
    /// authorised before it, extended or not, and an unblock authorised after it opens again.
    #[test]
    fn the_last_word_holds_whatever_the_clock_said(
        moves in prop::collection::vec(any_move(), 1..30),
    ) {
        use crate::access::Access;
        use crate::decide::{Verdict, decide};
        let policy = policy("automatic");
        let mut changes = Changes::default();
        let site = "chess.com".to_owned();
        let scope = Scope::Level("pupil".into());
        // Places of the blocks in force and of the last authorisation.
        let mut blocks: Vec<(BlockId, u64)> = Vec::new();
        let mut authorised = None;
        for (step, hour) in moves {
            let at = later(hour);
            let (from, until) = (NOW, later(100));
            let mut tell = |who: &str, event| {
                let next = entry(&changes, at, who, event);
                changes.fold(&next);
                next.sequence
            };
            match step {
                Move::Open => {
                    let id = UnblockId(tell("x", Event::ServeStopped {}) as u32 + 1);
                    let (site, scope, reason) = (site.clone(), scope.clone(), "lesson".to_owned());
                    let (lapses, order) = (None, SignOffOrder::default());
                    tell("t.obi", Event::UnblockAsked { id, site, scope, from, until, reason, lapses, order });
                    authorised = Some((tell("q.whitmore", Event::UnblockAuthorised { id }), id));
                    tell(AUTOMATIC, Event::UnblockApplied { id });
                }
                Move::Block => {
                    let id = BlockId(tell("x", Event::ServeStopped {}) as u32 + 1);
                    let (site, scope, reason) = (site.clone(), scope.clone(), "fights".to_owned());
                    blocks.push((id, tell("j.cho", Event::SiteBlocked { id, site, scope, reason })));
                }
                Move::Lift => {
                    if let Some((id, _)) = blocks.pop() {
                        tell("q.whitmore", Event::SiteBlockLifted { id, reason: "over".into() });
                    }
                }
                Move::Extend => {
                    if let Some((_, id)) = authorised {
                        let (until, reason) = (later(200), "another week".to_owned());
                        tell("q.whitmore", Event::UnblockExtended { id, until, reason });
                    }
                }
            }
        }
        let who = crate::access::Identity {
            level: policy.levels().id("ks3").unwrap(),
            ..policy.identify(None, std::net::Ipv4Addr::UNSPECIFIED.into())
        };
        let host = crate::host::Host::parse("chess.com").unwrap();
        let access = Access {
            who: &who,
            scheme: crate::target::Scheme::Http,
            host: &host,
            port: 80,
            path: Some("/"),
            categories: CategorySet::of(policy.catalogue().id("games").unwrap()),
        };
        let now = later(50);
        let verdict = decide(&policy, &changes.live(now), &changes.blocks, &access, now).verdict;
        let closed = blocks.iter().map(|(_, place)| *place).max();
        let is_open = authorised.is_some_and(|(place, _)| closed.is_none_or(|closed| closed < place));
        prop_assert_eq!(verdict == Verdict::Allow, is_open);
    }
}

fn ask_to_look(
    policy: &Policy,
    what: InspectWhat,
    categories: &[&str],
) -> Result<Event, ChangeError> {
    let categories = categories.iter().map(|name| policy.catalogue().id(name).unwrap()).collect();
    let reason = "fraud is being looked at";
    let changes = Changes::default();
    ask_inspect(&changes, policy, "j.cho", what, categories, NOW, later(5), reason, NOW)
}

#[test]
fn only_what_is_private_needs_a_request_to_be_looked_into() {
    let policy = policy("automatic");
    let site = |text: &str| InspectWhat::Site(text.to_owned());
    assert!(ask_to_look(&policy, site("bank.example"), &["banking", "games"]).is_ok());
    assert!(ask_to_look(&policy, InspectWhat::Category("health".into()), &[]).is_ok());
    let refused = [
        (site("chess.com"), &["games"][..], "chess.com is not private"),
        (site("chess.com"), &[], "chess.com is not private"),
        (site("bank.example"), &["banking", "csam"], "\"csam\" is locked"),
        (site("bank.example/login"), &["banking"], "\"bank.example/login\" has a path"),
        (site("co.uk"), &["banking"], "\"co.uk\" is a public suffix"),
        (InspectWhat::Category("games".into()), &[], "category:games is not private"),
        (InspectWhat::Category("csam".into()), &[], "category:csam is not private"),
        (InspectWhat::Category("nosuch".into()), &[], "category:nosuch is not private"),
    ];
    for (what, categories, words) in refused {
        let error = ask_to_look(&policy, what, categories).unwrap_err().to_string();
        assert!(error.starts_with(words), "{error}");
    }
}

#[test]
fn requests_of_all_kinds_go_one_way_and_never_do_each_others_work() {
    let policy = policy("automatic");
    let mut changes = asked_by("t.obi", &policy);
    let (category, reason) = (InspectWhat::Category("health".into()), "fraud is being looked at");
    let (none, until) = (CategorySet::EMPTY, later(5));
    let look = ask_inspect(&changes, &policy, "j.cho", category, none, NOW, until, reason, NOW);
    fold_all(&mut changes, NOW, vec![("j.cho".into(), look.unwrap())]);
    let host = Host::parse("exam.example").unwrap();
    let faults = [ReasonCode::TlsExpired, ReasonCode::TlsExpired];
    let accept = ask_certificate(
        &changes,
        &policy,
        "q.whitmore",
        &host,
        &faults,
        none,
        NOW,
        until,
        reason,
        NOW,
    );
    fold_all(&mut changes, NOW, vec![("q.whitmore".into(), accept.unwrap())]);
    let ids = [1, 2, 3].map(UnblockId);
    let in_force = |changes: &Changes, at: UnixMillis| {
        let lifts = changes.privacy_lifts(at).len();
        [changes.live(at).len(), lifts, changes.certificate_exceptions(at).len()]
    };
    assert_eq!(in_force(&changes, NOW), [0, 0, 0], "asked alone does nothing");
    let own = authorise_unblock(&changes, &policy, ids[2], "Q.Whitmore", NOW);
    assert_eq!(own, Err(ChangeError::OwnRequest(ids[2])));
    // Not even an entry that somebody forged into the log.
    fold_all(
        &mut changes,
        NOW,
        vec![
            ("q.whitmore".into(), Event::UnblockAuthorised { id: ids[2] }),
            (AUTOMATIC.into(), Event::UnblockApplied { id: ids[2] }),
        ],
    );
    assert_eq!(in_force(&changes, NOW), [0, 0, 0]);
    for (id, expected) in ids.into_iter().zip([[1, 0, 0], [1, 1, 0], [1, 1, 1]]) {
        let events = authorise_unblock(&changes, &policy, id, "d.deputy", NOW).unwrap();
        fold_all(&mut changes, NOW, events);
        assert_eq!(in_force(&changes, NOW), expected);
    }
    let exception = &changes.certificate_exceptions(NOW)[0];
    assert!(exception.covers(&host, NOW) && exception.faults.contains(ReasonCode::TlsExpired));
    assert!(!exception.faults.contains(ReasonCode::TlsName));
    assert!(!exception.covers(&Host::parse("www.exam.example").unwrap(), NOW), "the host alone");
    assert!(!exception.covers(&host, later(5)));
    assert_eq!(in_force(&changes, later(5)), [0, 0, 0]);
    let event = revoke_unblock(&changes, &policy, ids[1], "j.cho", "over", NOW).unwrap();
    fold_all(&mut changes, NOW, vec![("j.cho".into(), event)]);
    assert_eq!(in_force(&changes, NOW), [1, 0, 1]);
}

#[test]
fn a_fault_that_cannot_be_accepted_is_not_whoever_wrote_the_entry() {
    let policy = policy("automatic");
    let host = Host::parse("exam.example").unwrap();
    let ask = |faults: &[ReasonCode], host: &Host| {
        let (none, reason) = (CategorySet::EMPTY, "the board renews it this week");
        let changes = Changes::default();
        ask_certificate(&changes, &policy, "j.cho", host, faults, none, NOW, later(5), reason, NOW)
    };
    let revoked = ask(&[ReasonCode::TlsExpired, ReasonCode::TlsRevoked], &host);
    assert_eq!(revoked, Err(ChangeError::NotAcceptable("tls_revoked".into())));
    assert_eq!(ask(&[], &host), Err(ChangeError::NoFault));
    let suffix = ask(&[ReasonCode::TlsExpired], &Host::parse("co.uk").unwrap());
    assert_eq!(suffix, Err(ChangeError::SuffixHost("co.uk".into())));

    let mut changes = Changes::default();
    let forged = Event::CertificateAsked {
        id: ID,
        host: "exam.example".into(),
        accept: vec![ReasonCode::TlsRevoked],
        from: NOW,
        until: later(5),
        reason: "forged".into(),
        lapses: None,
        order: SignOffOrder::default(),
    };
    fold_all(
        &mut changes,
        NOW,
        vec![
            ("t.obi".into(), forged),
            ("q.whitmore".into(), Event::UnblockAuthorised { id: ID }),
            (AUTOMATIC.into(), Event::UnblockApplied { id: ID }),
        ],
    );
    assert_eq!(changes.state(ID, NOW), Some(UnblockState::Live));
    assert!(changes.certificate_exceptions(NOW).is_empty());
}

#[test]
fn requests_are_stored_in_words_that_stay() {
    let policy = policy("automatic");
    let event = ask_to_look(&policy, InspectWhat::Category("health".into()), &[]).unwrap();
    let text = serde_json::to_string(&event).unwrap();
    let start =
        r#"{"event":"inspect_asked","id":1,"what":{"kind":"category","name":"health"},"from":"#;
    assert!(text.starts_with(start), "{text}");
    assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    let old = r#"{"event":"certificate_asked","id":3,"host":"a.example","accept":["tls_expired"],
                  "from":1,"until":2,"reason":"r"}"#;
    let Event::CertificateAsked { accept, lapses, .. } = serde_json::from_str(old).unwrap() else {
        panic!("another event");
    };
    assert_eq!((accept, lapses), (vec![ReasonCode::TlsExpired], None));
}

#[test]
fn whoever_holds_the_emergency_code_has_two_roles_whatever_the_policy_says() {
    let policy = policy("automatic");
    assert_eq!(require_role(&policy, "Break-Glass", &[Role::It]), Ok(()));
    assert_eq!(require_role(&policy, BREAK_GLASS, &[Role::Head]), Ok(()));
    let refused = require_role(&policy, BREAK_GLASS, &[Role::Dsl, Role::Auditor]);
    assert!(matches!(refused, Err(ChangeError::NoRole { .. })));
    assert_eq!(policy.roles(BREAK_GLASS), Default::default(), "none to browse with");
    for name in ["break-glass", "Break-Glass", "automatic", "schoolgate", "machine:root"] {
        assert!(is_reserved(name), "{name}");
    }
    assert!(!is_reserved("q.whitmore"));
}

#[test]
fn uses_of_the_emergency_code_and_wrong_ones_are_counted_until_it_is_renewed() {
    let mut changes = Changes::default();
    let add = |changes: &mut Changes, event| {
        let next = entry(changes, later(changes.size as i64), "j.cho", event);
        changes.fold(&next);
    };
    add(&mut changes, Event::BreakGlassMade {});
    assert_eq!(changes.break_glass.made_at, Some(later(0)));
    add(&mut changes, Event::BreakGlassUsed {});
    add(&mut changes, Event::BreakGlassUsed {});
    for account in [BREAK_GLASS, "j.cho", BREAK_GLASS] {
        let (account, why) = (account.to_owned(), "wrong code".to_owned());
        add(&mut changes, Event::LoginRefused { account, why });
    }
    assert_eq!((changes.break_glass.uses, changes.break_glass.used_at), (2, Some(later(2))));
    assert_eq!(changes.break_glass.wrong, 2);
    add(&mut changes, Event::BreakGlassMade {});
    let made = BreakGlass { made_at: Some(later(6)), uses: 0, used_at: None, wrong: 0 };
    assert_eq!(changes.break_glass, made);
}
