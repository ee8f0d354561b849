//! A log that somebody wrote by hand opens nothing without its sign-offs.

use super::*;

/// An event of a log that somebody wrote by hand: anything, by anybody.
fn any_event() -> impl Strategy<Value = (usize, i64, Event)> {
    let id = (1_u32..4).prop_map(UnblockId);
    let order = prop::sample::select(SignOffOrder::ALL.to_vec());
    (0..ACTORS.len(), 0_i64..300, 0_usize..13, id, 0_i64..400, order).prop_map(
        |(who, at, kind, id, until, order)| {
            let until = UnixMillis(START.0 + until * HOUR);
            let (reason, lapses, review) = (WHY.to_owned(), None, until);
            let event = match kind {
                0 => Event::UnblockAsked {
                    id,
                    site: "chess.com".into(),
                    scope: Scope::Level("ks3".into()),
                    from: START,
                    until,
                    reason,
                    lapses,
                    order,
                },
                1 => Event::UnblockAuthorised { id },
                2 => Event::UnblockApplied { id },
                3 => Event::UnblockConfirmed { id, note: String::new(), checks: Vec::new() },
                4 => Event::UnblockExtended { id, until, reason },
                5 => Event::UnblockRevoked { id, reason },
                6 => Event::UnblockRefused { id, reason },
                7 => Event::PolicyAsked {
                    id,
                    what: PolicyRequest {
                        hash: "new".into(),
                        base: name_of(0),
                        summary: Vec::new(),
                        replayed: None,
                    },
                    reason,
                    review,
                    lapses,
                    order,
                },
                8 => Event::PolicyApplied {
                    hash: "new".into(),
                    reason,
                    summary: Vec::new(),
                    request: Some(id),
                    replayed: None,
                },
                9 => Event::LiftAsked { id, block: BlockId(1), reason, review, lapses, order },
                10 => Event::StandingYesUsed {
                    id,
                    authorised: "Q. Whitmore 2026-09-01".into(),
                    categories: vec!["games".into()],
                },
                11 => Event::InspectAsked {
                    id,
                    what: InspectWhat::Category("health".into()),
                    from: START,
                    until,
                    reason,
                    lapses,
                    order,
                },
                _ => Event::ServeStopped {},
            };
            (who, at, event)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Whatever a log says, what it opens has a request, before it another person's yes, before it
    /// the confirmation where the request's own order wants that first, and a maker who is neither.
    #[test]
    fn a_log_written_by_hand_opens_nothing_without_its_sign_offs(
        events in prop::collection::vec(any_event(), 0..40),
        at in 0_i64..300,
    ) {
        let mut changes = Changes::default();
        let first = PolicyFirst::event();
        let site = "chess.com".to_owned();
        let scope = Scope::Level("ks3".into());
        let block = Event::SiteBlocked { id: BlockId(1), site, scope, reason: WHY.into() };
        let start = [first, block].map(|event| (7, 0, event));
        let mut told: Vec<(String, Event)> = Vec::new();
        for (who, hour, event) in start.into_iter().chain(events) {
            let at = UnixMillis(START.0 + hour * HOUR);
            let actor = ACTORS[who].to_owned();
            told.push((actor.clone(), event.clone()));
            changes.fold(&ChangeEntry { sequence: changes.size, at, actor, event });
        }
        let now = UnixMillis(START.0 + at * HOUR);
        let mut opened: Vec<UnblockId> = changes.live(now).iter().map(|it| it.id).collect();
        opened.extend(changes.privacy_lifts(now).iter().map(|it| it.id));
        let by_request = |wanted: fn(&RequestKind) -> bool| {
            changes.unblocks.values().find(|it| wanted(&it.kind) && it.applied.is_some()).map(|it| it.id)
        };
        if changes.policy.as_deref() == Some("new") {
            let request = by_request(|kind| matches!(kind, RequestKind::Policy(_)));
            prop_assert!(request.is_some());
            opened.extend(request);
        }
        if changes.blocks.is_empty() {
            let request = by_request(|kind| matches!(kind, RequestKind::Lift(_)));
            prop_assert!(request.is_some());
            opened.extend(request);
        }
        for id in opened {
            let history = &changes.unblocks[&id];
            prop_assert!(history.refused.is_none() && history.revoked.is_none());
            let authoriser = &history.authorised.as_ref().unwrap().1;
            let maker = &history.applied.as_ref().unwrap().1;
            prop_assert!(!same_person(authoriser, &history.requested_by));
            prop_assert!(!same_person(authoriser, maker));
            if !history.by_standing_yes {
                prop_assert!(is_person(authoriser));
                let yes = told.iter().any(|(who, event)| {
                    who == authoriser && matches!(event, Event::UnblockAuthorised { id: it } if *it == id)
                });
                prop_assert!(yes);
            }
            if history.order.confirms_first() && !history.by_standing_yes {
                let confirmer = &history.confirmed.as_ref().unwrap().1;
                prop_assert!(is_person(confirmer));
                for other in [authoriser, maker, &history.requested_by] {
                    prop_assert!(!same_person(confirmer, other));
                }
            }
        }
    }
}
