//! What is locked is opened by no combination of anything.

use super::*;

/// A cell of a made-up grid.
fn any_cell() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "allow",
        "block",
        "allow at lunch",
        "allow for @dsl",
        "allow at open",
    ])
}

/// A policy with any settings that say anything about opening.
fn any_policy() -> impl Strategy<Value = Policy> {
    let cells = prop::collection::vec(any_cell(), 9);
    let named = prop::sample::subsequence(vec!["games", "adult", "uncategorised"], 0..=3);
    (cells, named, 0_usize..3, any::<bool>(), any::<bool>(), 1_u16..366, any::<bool>()).prop_map(
        |(cells, named, order, automatic, with_only, days, with_standing)| {
            let rows: String = ["games", "adult", "uncategorised"]
                .iter()
                .zip(cells.chunks(3))
                .filter(|(name, _)| named.contains(name))
                .map(|(name, c)| {
                    format!(
                        "{name} = {{ pupil = \"{}\", ks3 = \"{}\", staff = \"{}\" }}\n",
                        c[0], c[1], c[2]
                    )
                })
                .collect();
            let order = SignOffOrder::ALL[order].steps().map(|s| format!("\"{}\"", s.as_str()));
            let apply = if automatic { "automatic" } else { "it" };
            let only = if with_only { "parent = \"pupil\", only = \"only.txt\"" } else { "parent = \"pupil\"" };
            let standing = match with_standing {
                true => "[[unblock.standing]]\nwho = \"teacher\"\ncategories = [\"games\", \"adult\", \"uncategorised\"]\nscope = \"level\"\nmax_minutes = 1440\nauthorised = \"D. Deputy 2026-09-01\"\nreview = 2099-01-01\n",
                false => "",
            };
            let text = format!(
                "school = \"Example Academy\"\ntimezone = \"Europe/London\"\norder = [\"pupil\", \"staff\"]\n\
                 [times]\nlunch = \"Mon-Fri 12:10-13:10\"\nopen = \"Mon-Sun 00:00-24:00\"\n\
                 [levels]\npupil = {{}}\nks3 = {{ {only} }}\nstaff = {{}}\n[grid]\n{rows}\
                 [[exception]]\nsite = \"sealed.example\"\nallow_for = [\"pupil\", \"staff\"]\nreason = \"x\"\nreview = 2099-01-01\n\
                 [roles]\ndsl = [\"q.whitmore\", \"d.deputy\"]\nit = [\"j.cho\", \"k.lane\"]\nteacher = [\"t.obi\"]\n\
                 [unblock]\nauthorise = [\"dsl\"]\napply = \"{apply}\"\nconfirm = [\"it\", \"dsl\"]\n\
                 order = [{}]\nmax_days = {days}\n{standing}",
                order.join(", ")
            );
            let read = |_: &str| Ok("sealed.example\n".to_owned());
            Policy::parse(&text, "policy.toml", Catalogue::shipped(), &read)
                .unwrap_or_else(|faults| panic!("{faults:#?}\n{text}"))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Every level, role, cell, time, exception, list, standing yes, order of sign-offs and code; and a
    /// log that opens the site for everybody, written by hand: what is locked stays closed, and
    /// nobody can even ask.
    #[test]
    fn what_is_locked_is_opened_by_no_combination_of_anything(
        policy in any_policy(),
        locked in prop::sample::select(vec!["csam", "terrorism", "illegal"]),
        beside in prop::sample::subsequence(vec!["games", "adult", "uncategorised", "health-help"], 0..=4),
        level in prop::sample::select(vec!["pupil", "ks3", "staff"]),
        roles in prop::sample::subsequence(Role::ALL.to_vec(), 0..=6),
        scope in prop::sample::select(vec!["level", "group", "user"]),
        minute in 0_i64..(14 * 24 * 60),
        who in 0..ACTORS.len(),
        path in prop::sample::select(vec![None, Some("/"), Some("/deep/page")]),
    ) {
        let now = UnixMillis(START.0 + minute * 60_000);
        let catalogue = policy.catalogue();
        let names = beside.iter().chain([&locked]);
        let categories: CategorySet = names.map(|name| catalogue.id(name).unwrap()).collect();
        let site = Site::parse("sealed.example").unwrap();
        let scope = match scope {
            "level" => Scope::Level(level.to_owned()),
            "group" => Scope::Group("9C".into()),
            _ => Scope::User("sam.p".into()),
        };
        // Nobody can ask, whoever it is, nor start a lesson; who has no role is not even told why.
        let until = UnixMillis(now.0 + HOUR);
        let mut changes = Changes::default();
        let asked = ask_unblock(
            &changes, &policy, "t.obi", categories, &site, scope.clone(), now, until, WHY, now,
        );
        let is_locked = |error: &ChangeError| matches!(error, ChangeError::Locked { .. });
        prop_assert!(asked.is_err_and(|error| is_locked(&error)));
        let lesson = Lesson {
            site: site.clone(), categories, scope: scope.clone(), until, reason: WHY.into(),
        };
        let actor = ACTORS[who];
        let started = start_lesson(&changes, &policy, actor, &lesson, now).unwrap_err();
        let is_refused = if may_ask(actor) { is_locked(&started) } else {
            matches!(started, ChangeError::NoRole { .. })
        };
        prop_assert!(is_refused, "{:?}", started);
        prop_assert!(standing_yes(&changes, &policy, actor, &lesson, now).is_err_and(|e| is_locked(&e)));
        let host = Host::parse("sealed.example").unwrap();
        let faults = [crate::decide::ReasonCode::TlsExpired];
        let accept = ask_certificate(
            &changes, &policy, "t.obi", &host, &faults, categories, now, until, WHY, now,
        );
        prop_assert!(accept.is_err_and(|error| is_locked(&error)));
        // Nor does a request that was made before the site was listed.
        let id = UnblockId(1);
        let events = [
            ("t.obi", Event::UnblockAsked {
                id, site: site.to_string(), scope, from: START, until: UnixMillis(i64::MAX),
                reason: WHY.into(), lapses: None, order: SignOffOrder::default(),
            }),
            ("q.whitmore", Event::UnblockAuthorised { id }),
            (AUTOMATIC, Event::UnblockApplied { id }),
            ("j.cho", Event::UnblockConfirmed { id, note: String::new(), checks: Vec::new() }),
        ];
        for (actor, event) in events {
            let sequence = changes.size;
            changes.fold(&ChangeEntry { sequence, at: START, actor: actor.to_owned(), event });
        }
        prop_assert_eq!(changes.live(now).len(), 1);
        let who = Identity {
            level: policy.levels().id(level).unwrap(),
            user: Some("sam.p".into()),
            groups: std::sync::Arc::from(["9C".to_owned()]),
            roles: roles.into_iter().collect::<RoleSet>(),
            banned_until: None,
            known_by: KnownBy::User,
        };
        let access = Access {
            who: &who, scheme: crate::target::Scheme::Https, host: &host, port: 443, path, categories,
        };
        let decision = decide(&policy, &changes.live(now), &changes.blocks, &access, now);
        prop_assert_eq!(decision.verdict, Verdict::Block);
        prop_assert!(matches!(decision.reason, Reason::Locked(_)));
        prop_assert_eq!(policy.opens(&access, now), None);
        // Without the locked category the same unblock does open it, so the test can fail.
        let open: CategorySet = [catalogue.id("games").unwrap()].into_iter().collect();
        let access = Access { categories: open, ..access };
        let opened = decide(&policy, &changes.live(now), &changes.blocks, &access, now);
        prop_assert_eq!(opened.verdict, Verdict::Allow);
    }
}
