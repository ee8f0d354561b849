//! `log follow`: what was recorded since a time, then what comes, until a time.

use crate::school::School;
use crate::{OK, USAGE, json};

#[test]
fn the_log_is_followed_from_a_time_to_a_time() {
    let school = School::new();
    school.log(&[
        ("sam.p", "ks3", "arcade.test", "/play", "games", false),
        ("sam.p", "ks3", "library.test", "/maths", "education", true),
    ]);
    let ends = || {
        let now = std::time::SystemTime::now() + std::time::Duration::from_secs(2);
        let seconds = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        jiff::Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap().to_string()
    };
    for (format, lines) in [("--jsonl", 1), ("--csv", 2), ("--plain", 1), ("", 1)] {
        let line = format!("log follow --since 1h --verdict block --term arcade {format} --until");
        let ran = school.run(&line, &[&ends()]);
        assert_eq!(ran.code, OK, "{ran:?}");
        assert_eq!(ran.out.lines().count(), lines, "{format}: {ran:?}");
        assert!(ran.out.contains("arcade.test"), "{ran:?}");
    }
    let all = school.run("log follow --since 1h --json --until", &[&ends()]);
    assert_eq!(json(&all).as_array().unwrap().len(), 2, "{all:?}");
    let new = school.run("log follow --jsonl --until", &[&ends()]);
    assert_eq!((new.code, new.out.as_str()), (OK, ""), "only what comes: {new:?}");
    let over = school.run("log follow --until 2020-01-01", &[]);
    assert_eq!(over.code, USAGE, "{over:?}");
    assert!(over.err.contains("has passed") && over.err.contains("log query"), "{over:?}");
}
