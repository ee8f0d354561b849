use super::*;
use crate::access::Role;
use crate::alert::{AlertRules, Severity};

/// The sample with two leads and these lines of `[alerts]`.
fn with(lines: &str) -> String {
    let sample = SAMPLE.replace("dsl = [\"q.whitmore\"]", "dsl = [\"q.whitmore\", \"n.reyes\"]");
    format!("{sample}\n[alerts]\n{lines}\n")
}

fn rules(lines: &str) -> AlertRules {
    parse(&with(lines)).unwrap().alert_rules().clone()
}

#[test]
fn what_is_not_written_is_as_shipped() {
    assert_eq!(rules(""), AlertRules::default());
    let shipped = crate::defaults::POLICY;
    let policy =
        Policy::parse(shipped, "policy.toml", Catalogue::shipped(), &|_| Ok(String::new()));
    assert_eq!(policy.unwrap().alert_rules(), &AlertRules::default());
}

#[test]
fn each_key_is_read() {
    let read = rules(
        "urgent = [\"dsl\", \"it\"]\nhigh = [\"it\"]\nroutine = [\"it\"]\nescalate_to = [\"it\"]\n\
         escalate_after = { urgent = \"5 minutes\", high = \"8 hours\" }\nhigh_after = 3\n\
         routine_after = 9\ndevices_after = 30\nnames_in_mail = true",
    );
    let expected = AlertRules {
        told: [vec![Role::It], vec![Role::It], vec![Role::Dsl, Role::It]],
        escalate_to: vec![Role::It],
        escalate_after_ms: [None, Some(8 * 3_600_000), Some(300_000)],
        high_after: 3,
        routine_after: 9,
        devices_after: Some(30),
        names_in_mail: true,
    };
    assert_eq!(read, expected);
    assert_eq!(read.escalate_after(Severity::Routine), None);
    let short = rules("escalate_after = { urgent = \"90s\", high = \"8 h\" }");
    assert_eq!(short.escalate_after_ms, [None, Some(8 * 3_600_000), Some(90_000)]);
}

#[test]
fn faults_say_what_and_what_to_do() {
    let cases = [
        ("urgnt = [\"dsl\"]", "urgnt", "urgent"),
        ("urgent = [\"dls\"]", "no role called \"dls\"", "dsl"),
        ("urgent = []", "urgent names nobody who is told", "dsl"),
        ("urgent = [\"it\"]", "of what is urgent only j.cho would be told", "a second person"),
        ("high = [\"head\"]", "high: nobody holds the role (head)", "name a person in [roles]"),
        ("high = [\"governor\"]", "\"governor\" reads reports and changes nothing", "use one of"),
        ("escalate_after = { urgent = \"2 days\" }", "10 seconds to 1 day", "15 minutes"),
        ("escalate_after = { urgent = \"9 seconds\" }", "10 seconds to 1 day", "15 minutes"),
        ("escalate_after = { high = \"soon\" }", "1 hour to 7 days", "write it like"),
        ("escalate_after = { high = \"8\" }", "1 hour to 7 days", "write it like"),
        ("high_after = 3\n[alerts]", "[alerts] stands here a second time", "keep one of the two"),
        ("high_after = 3\nhigh_after = 4", "high_after stands here a second time", "keep one"),
        (
            "escalate_after = { high = \"8h\", high = \"9h\" }",
            "high stands here a second",
            "keep one",
        ),
        ("high_after = 0", "1 to 20", "high_after = 2"),
        ("routine_after = 51", "1 to 50", "routine_after = 5"),
        ("devices_after = 0", "1 to 100", "devices_after = 20"),
        ("devices_after = \"never\"", "devices_after", "devices_after = 20"),
        ("names_in_mail = \"no\"", "names_in_mail", "names_in_mail = false"),
    ];
    for (lines, what, fix) in cases {
        let faults = parse(&with(lines)).unwrap_err();
        let text: String = faults
            .iter()
            .map(|fault| format!("{}: {}; {}\n", fault.place, fault.what, fault.fix))
            .collect();
        assert!(text.contains(what) && text.contains(fix), "{lines}: {text}");
    }
}

#[test]
fn a_school_with_one_person_for_what_is_urgent_is_warned() {
    let warned = |text: &str| {
        let policy = parse(text).unwrap();
        policy.warnings().iter().any(|it| it.contains("fewer than two people"))
    };
    assert!(warned(SAMPLE));
    assert!(!warned(&with("high_after = 3")));
    // One person under two roles is one person.
    let twice = SAMPLE.replace("it = [\"j.cho\"]", "it = [\"j.cho\"]\nhead = [\"Q.Whitmore\"]");
    assert!(warned(&twice));
}

#[test]
fn what_tells_fewer_later_or_others_needs_a_second_person() {
    // From, to, whether it loosens, and whether the way back does.
    let cases = [
        ("urgent = [\"dsl\", \"it\"]", "urgent = [\"dsl\"]", true, true),
        ("high = [\"dsl\"]", "high = [\"it\"]", true, true),
        ("escalate_to = [\"it\"]", "escalate_to = [\"dsl\"]", true, true),
        (
            "escalate_after = { urgent = \"5 minutes\" }",
            "escalate_after = { urgent = \"6 minutes\" }",
            true,
            false,
        ),
        (
            "escalate_after = { urgent = \"61 seconds\" }",
            "escalate_after = { urgent = \"62 seconds\" }",
            true,
            false,
        ),
        ("high_after = 2", "high_after = 3", true, false),
        ("routine_after = 5", "routine_after = 6", true, false),
        ("devices_after = 20", "devices_after = 21", true, false),
        ("devices_after = 100", "", true, false),
        ("names_in_mail = false", "names_in_mail = true", true, false),
    ];
    for (old, new, there, back) in cases {
        for (from, to, loosens) in [(old, new, there), (new, old, back)] {
            let (from, to) = (parse(&with(from)).unwrap(), parse(&with(to)).unwrap());
            let diff = from.diff(&to, &LevelChanges::default());
            assert_eq!((diff.lines.len(), diff.loosens), (1, loosens), "{:?}", diff.lines);
            let (was, is) = diff.lines[0].split_once(" -> ").unwrap();
            assert!(!was.ends_with(is), "they differ in words too: {:?}", diff.lines);
        }
    }
    let keep = |days: &str| SAMPLE.replace("[keep]", &format!("[keep]\nalerts = \"{days}\""));
    let (long, short) = (parse(&keep("12 months")).unwrap(), parse(&keep("1 month")).unwrap());
    assert!(long.diff(&short, &LevelChanges::default()).loosens);
    assert!(!short.diff(&long, &LevelChanges::default()).loosens);
}
