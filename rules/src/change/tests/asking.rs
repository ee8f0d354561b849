//! Who may ask for what opens: whoever holds a role, and nobody else, whatever is asked for.

use super::*;

/// Asks for each kind of change that people ask for by themselves; what came of each.
fn asked_for_by(who: &str) -> Vec<(&'static str, Result<(), ChangeError>)> {
    let (policy, mut changes) = (policy("automatic"), Changes::default());
    let (site, scope) = (Site::parse("chess.com").unwrap(), Scope::Level("pupil".into()));
    let block = block_site(&changes, &policy, &site, scope.clone(), "j.cho", "fights in there");
    fold_all(&mut changes, NOW, vec![("j.cho".into(), block.unwrap())]);
    let (none, until, why) = (CategorySet::EMPTY, later(5), "the spring term needs it");
    let open =
        ask_unblock(&changes, &policy, who, none, &site, scope.clone(), NOW, until, why, NOW);
    let health = InspectWhat::Category("health".into());
    let look = ask_inspect(&changes, &policy, who, health, none, NOW, until, why, NOW);
    let (host, faults) = (Host::parse("exam.example").unwrap(), [ReasonCode::TlsExpired]);
    let accept =
        ask_certificate(&changes, &policy, who, &host, &faults, none, NOW, until, why, NOW);
    let lift = ask_lift(&changes, &policy, who, changes.blocks[0].id, why, None, NOW);
    let lesson = Lesson { site, categories: none, scope, until, reason: why.to_owned() };
    let start = start_lesson(&changes, &policy, who, &lesson, NOW);
    vec![
        ("unblock", open.map(drop)),
        ("inspect", look.map(drop)),
        ("certificate", accept.map(drop)),
        ("lift", lift.map(drop)),
        ("lesson", start.map(drop)),
    ]
}

#[test]
fn whoever_has_no_role_can_ask_for_nothing_that_opens() {
    for who in ["t.obi", "T.Obi ", "j.cho", "q.whitmore", BREAK_GLASS] {
        for (what, asked) in asked_for_by(who) {
            assert_eq!(asked, Ok(()), "{what} by {who}");
        }
    }
    for who in ["p.uppet", "machine:root", AUTOMATIC, PROGRAM, ""] {
        for (what, asked) in asked_for_by(who) {
            let by_nobody = matches!(&asked, Err(ChangeError::NoRole { by, .. }) if by == who);
            assert!(by_nobody, "{what} by {who:?}: {asked:?}");
        }
    }
}

#[test]
fn whoever_has_no_role_is_told_nothing_of_what_they_ask_for() {
    let policy = policy("automatic");
    let csam = CategorySet::of(policy.catalogue().id("csam").unwrap());
    let (site, scope) = (Site::parse("sealed.example").unwrap(), Scope::Level("ks9".into()));
    let (changes, why) = (Changes::default(), "");
    let asked = ask_unblock(&changes, &policy, "p.uppet", csam, &site, scope, NOW, NOW, why, NOW);
    assert!(matches!(asked, Err(ChangeError::NoRole { .. })), "{asked:?}");
    let lifted = ask_lift(&changes, &policy, "p.uppet", BlockId(77), why, None, NOW);
    assert!(matches!(lifted, Err(ChangeError::NoRole { .. })), "{lifted:?}");
}
