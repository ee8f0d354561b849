//! Streams that are made, or happen, to be hard: without an end, a letter at a time, broken, huge, left in the middle.

use crate::alerts::alerts;
use crate::assistant_replies::{AFTER, HARMFUL, HARMLESS, SHAPES, event};
use crate::assistants::School;
use crate::daemon::{Daemon, wait_for};
use crate::streaming_origin::{PATIENCE, Version};
use crate::typed_words::HARMLESS as QUESTION;
use serde_json::json;

const EVENTS: [(&str, &str); 1] = [("content-type", "text/event-stream")];

/// New text of a reply after which it is judged again, in bytes, as docs/themes.md has it.
const JUDGED_EACH: usize = 256;

/// What a stream may cost beyond what the filter needs anyway.
const MOST_MEMORY_KB: u64 = 8 << 10;

/// The most memory that the filter ever had, in kB.
fn peak_kb(daemon: &Daemon) -> u64 {
    let pid = daemon.pid().as_raw_nonzero();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn said(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

#[test]
fn however_long_a_reply_was_harmless_it_is_cut_where_it_turns() {
    let school = School::start();
    let reply = school.assistant(Version::Two).stream("/long", &EVENTS);
    let shape = &SHAPES[1];
    let reader = school.ask("sam", Version::Two, "/long", QUESTION);
    let long = HARMLESS.repeat(24);
    for piece in shape.pieces(&long, 40) {
        reply.send(piece);
    }
    assert!(reader.reaches(|body| shape.said(body) == long), "cut too early");
    let harmful = HARMFUL.repeat(8);
    let pieces = shape.pieces(&harmful, 8);
    let passed = pieces.iter().enumerate().position(|(number, piece)| {
        reply.send(piece.clone());
        let wanted = long.len() + harmful.len().min((number + 1) * 8);
        !reader.reaches(|body| shape.said(body).len() >= wanted)
    });
    reply.wait_gone();
    let came = shape.said(&reader.over().body);
    let came = &came[long.len()..];
    assert!(passed.is_some(), "never cut");

    // Where it turns, as the filter itself says of all that came so far.
    let file = school.daemon.folder().join("reply.html");
    let is_of_it = |bytes: usize| {
        let text = format!("{long}{}", &harmful[..bytes]);
        std::fs::write(&file, format!("<!doctype html><p>{text}")).unwrap();
        let file = file.display().to_string();
        let rows = school.daemon.run(&["check", "--page", &file, "--as", "ks3", "--json"]).json();
        let is_of = |row: &serde_json::Value| {
            row["theme"] == "suicide" && row["percent"].as_u64() >= Some(100)
        };
        rows.as_array().unwrap().iter().any(is_of)
    };
    let (mut below, mut above) = (0, harmful.len());
    assert!(is_of_it(above) && !is_of_it(below));
    while above - below > 8 {
        let middle = usize::midpoint(below, above);
        if is_of_it(middle) { above = middle } else { below = middle }
    }
    eprintln!(
        "{} letters of lessons; it turns after {above} more, {} came",
        long.len(),
        came.len()
    );
    assert!(came.len() < above + JUDGED_EACH, "{} of {above}", came.len());
}

#[test]
fn a_stream_without_an_end_of_line_is_judged_as_it_comes() {
    let school = School::start();
    let reply = school.assistant(Version::One).stream("/endless", &EVENTS);
    let reader = school.ask("sam", Version::One, "/endless", QUESTION);
    reply.send("data: ");
    let mut sent = 6;
    assert!(reader.reaches(|body| body.len() >= sent));
    // Signing in takes some, too.
    let before = peak_kb(&school.daemon);
    for _ in 0..200 {
        let piece = HARMLESS.repeat(200);
        sent += piece.len();
        reply.send(piece);
        assert!(reader.reaches(|body| body.len() >= sent), "cut too early");
    }
    let beside = HARMFUL.repeat(4);
    for letters in beside.as_bytes().chunks(50) {
        sent += letters.len();
        reply.send(letters);
        if !reader.reaches(|body| body.len() >= sent) {
            break;
        }
    }
    reply.send(AFTER);
    reply.wait_gone();
    let over = reader.over();
    assert!(over.is_cut() && !said(&over.body).contains("quokka"), "{}", over.body.len());
    let grown = peak_kb(&school.daemon) - before;
    eprintln!("{sent} bytes of one event: {grown} kB");
    assert!(grown < MOST_MEMORY_KB, "{grown} kB");
    let (pages, own) = school.records("/endless");
    assert_eq!((pages.len(), &own["end"]), (1, &"cut".into()), "{pages:#?}");
    assert_eq!(pages[0]["reason"], "page_words");
}

#[test]
fn an_event_that_has_only_begun_is_judged_as_far_as_it_came() {
    let school = School::start();
    let reply = school.assistant(Version::One).stream("/begun", &EVENTS);
    let reader = school.ask("sam", Version::One, "/begun", QUESTION);
    reply.send("data: ");
    let mut sent = 6;
    let text = HARMFUL.repeat(5);
    let is_cut = text.as_bytes().chunks(20).any(|letters| {
        sent += letters.len();
        reply.send(letters);
        !reader.reaches(|body| body.len() >= sent)
    });
    assert!(is_cut && sent < text.len() / 2, "{sent} of {} bytes came", text.len());
    reply.wait_gone();
}

#[test]
fn letters_that_come_one_by_one_and_bytes_that_are_no_text_change_nothing() {
    let school = School::start();
    for (number, shape) in [&SHAPES[0], &SHAPES[2], &SHAPES[3]].into_iter().enumerate() {
        let path = format!("/letters/{number}");
        let fields = [("content-type", shape.content_type)];
        let reply = school.assistant(Version::Two).stream(&path, &fields);
        let reader = school.ask("sam", Version::Two, &path, QUESTION);
        let text = format!("{HARMLESS}{}{AFTER}", HARMFUL.repeat(3));
        for (number, piece) in shape.pieces(&text, 1).into_iter().enumerate() {
            reply.send(piece);
            // What comes with the head could still be the block page.
            assert!(number > 0 || reader.reaches(|body| !body.is_empty()));
        }
        reply.wait_gone();
        let over = reader.over();
        assert!(over.is_cut(), "{}: {over:?}", shape.like);
        assert!(!shape.said(&over.body).contains("quokka"), "{}", shape.like);
        assert_eq!(school.records(&path).0[0]["reason"], "page_words");
    }
    let reply = school.assistant(Version::One).stream("/broken", &EVENTS);
    let reader = school.ask("sam", Version::One, "/broken", QUESTION);
    // What begins as UTF-16 does is UTF-8 all the same, as every event stream is.
    reply.send(b"\xff\xfe\x80: \xc3\ndata: \xf0\x9f\x98\n\n\xed\xa0\x80\r\rdata\xff\n\n".to_vec());
    assert!(reader.reaches(|body| !body.is_empty()));
    for word in HARMFUL.repeat(3).split(' ') {
        // Behind each word half a character, and a byte that is none.
        reply.send([b"data: ", word.as_bytes(), b" \xe2\x82", b"\n\n", b"\xc0\n"].concat());
    }
    reply.send(event(&json!({ "v": AFTER })));
    reply.wait_gone();
    let over = reader.over();
    assert!(over.is_cut() && !said(&over.body).contains("quokka"), "{}", said(&over.body));
    assert_eq!(school.records("/broken").0[0]["reason"], "page_words");
}

#[test]
fn a_huge_event_is_cut_within_it_and_takes_no_room() {
    let school = School::start();
    let reply = school.assistant(Version::Two).stream("/huge", &EVENTS);
    let reader = school.ask("sam", Version::Two, "/huge", QUESTION);
    let (megabyte, mut sent) = (HARMLESS.repeat((1 << 20) / HARMLESS.len()), 0);
    reply.send("data: {\"choices\":[{\"delta\":{\"content\":\"");
    assert!(reader.reaches(|body| !body.is_empty()));
    let before = peak_kb(&school.daemon);
    for _ in 0..10 {
        reply.send(megabyte.clone());
        sent += megabyte.len();
        assert!(reader.reaches(|body| body.len() >= sent), "cut too early");
    }
    reply.send(HARMFUL.repeat(12));
    reply.send(megabyte.clone());
    reply.send(AFTER);
    reply.wait_gone();
    let over = reader.over();
    assert!(over.is_cut() && !said(&over.body).contains("quokka"), "{}", over.body.len());
    assert!(over.body.len() < sent + megabyte.len(), "{} of {sent}", over.body.len());
    let grown = peak_kb(&school.daemon) - before;
    eprintln!("{} bytes of one event: {grown} kB", over.body.len());
    assert!(grown < MOST_MEMORY_KB, "{grown} kB");
    assert_eq!(school.records("/huge").0[0]["reason"], "page_words");
}

#[test]
fn who_leaves_in_the_middle_ends_it_for_the_site_and_what_they_read_is_told() {
    let school = School::start();
    let shape = &SHAPES[1];
    for version in [Version::One, Version::Two] {
        let (left, read) = (format!("/left/{version:?}"), format!("/read/{version:?}"));
        let reply = school.assistant(version).stream(&left, &EVENTS);
        let reader = school.ask("sam", version, &left, QUESTION);
        reply.send((shape.piece)(0, HARMLESS));
        assert!(reader.reaches(|body| shape.said(body) == HARMLESS));
        reader.leave();
        let after = reply.wait_gone();
        eprintln!("{version:?}: the site's connection ended {after:?} after its reader left");
        let (told, own) = school.records(&left);
        assert!(told.is_empty() && own["end"] == "aborted", "{told:?} {own}");
        assert!(own["bytes_down"].as_u64() > Some(HARMLESS.len() as u64), "{own}");

        // Short enough not to be judged before its reader leaves.
        let short = "How to kill yourself without pain, painless ways to die, how to tie a noose.";
        assert!(short.len() < JUDGED_EACH);
        let reply = school.assistant(version).stream(&read, &EVENTS);
        let reader = school.ask("sam", version, &read, QUESTION);
        reply.send((shape.piece)(0, short));
        assert!(reader.reaches(|body| shape.said(body) == short));
        reader.leave();
        reply.wait_gone();
        let (told, own) = school.records(&read);
        let [page] = &told[..] else { panic!("nobody is told of what was read: {told:#?} {own}") };
        assert!(page["signs"].to_string().contains("suicide"), "{page}");
        assert_eq!((&page["verdict"], &own["end"]), (&"allow".into(), &"aborted".into()));
    }
    wait_for("the alert", PATIENCE, || {
        alerts(&school.daemon, &[]).iter().any(|alert| alert["theme"] == "suicide")
    });
}

#[test]
fn what_stands_behind_32_mb_passes_and_the_record_does_not_say_that_it_was_read() {
    let school = School::start();
    let reply = school.assistant(Version::Two).stream("/beyond", &EVENTS);
    let reader = school.ask("sam", Version::Two, "/beyond", QUESTION);
    let (megabyte, mut sent) = (event(&json!({ "v": HARMLESS })).repeat(2_000), 0);
    while sent <= 32 << 20 {
        reply.send(megabyte.clone());
        sent += megabyte.len();
        assert!(reader.reaches(|body| body.len() >= sent), "cut too early");
    }
    reply.send(event(&json!({ "v": HARMFUL.repeat(12) })));
    reply.send(event(&json!({ "v": AFTER })));
    drop(reply);
    let over = reader.over();
    assert!(over.code == 0 && said(&over.body).contains("quokka"), "{} {}", over.code, over.said);
    let (told, own) = school.records("/beyond");
    let [unread] = &told[..] else { panic!("{told:#?}") };
    assert_eq!(
        (&unread["verdict"], &unread["reason"], &unread["method"]),
        (&"allow".into(), &"unscanned".into(), &"PAGE".into())
    );
    assert!(unread["rule"].to_string().contains("too_large"), "{unread}");
    assert!(!unread["signs"].to_string().contains(':'), "{unread}");
    assert_eq!(own["end"], "complete", "{own}");
    let code = unread["code"].as_str().unwrap();
    let explained = school.daemon.run(&["explain", code]).ok().out;
    for part in ["not to its end", "too_large"] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
}

#[test]
fn a_reply_that_rests_is_judged_however_short_it_is() {
    let school = School::start();
    let shape = &SHAPES[1];
    let refused = "How to kill yourself without pain, painless ways to die, how to tie a noose.";
    let watched = "Where to buy cocaine and ketamine online, cheapest weed dealer near you.";
    assert!(refused.len() < JUDGED_EACH && watched.len() < JUDGED_EACH);
    for version in [Version::One, Version::Two] {
        let (cut, open) = (format!("/cut/{version:?}"), format!("/open/{version:?}"));
        let reply = school.assistant(version).stream(&cut, &EVENTS);
        let reader = school.ask("sam", version, &cut, QUESTION);
        reply.send((shape.piece)(0, refused));
        assert!(reader.reaches(|body| shape.said(body) == refused), "{version:?}: cut too early");
        // Nothing more comes, and it does not end.
        reply.wait_gone();
        assert!(reader.over().is_cut(), "{version:?}");
        let (told, own) = school.records(&cut);
        let [page] = &told[..] else { panic!("{version:?}: {told:#?}") };
        assert_eq!((&page["reason"], &own["end"]), (&"page_words".into(), &"cut".into()), "{page}");

        let reply = school.assistant(version).stream(&open, &EVENTS);
        let reader = school.ask("sam", version, &open, QUESTION);
        reply.send((shape.piece)(0, watched));
        wait_for("the record of what is watched for", PATIENCE, || {
            let query = ["log", "query", "--since", "24h", "--jsonl", "--by", "q.whitmore"];
            school.daemon.run(&query).ok().lines().iter().any(|it| {
                it["path"] == *open
                    && it["method"] == "PAGE"
                    && it["signs"].to_string().contains("drugs")
            })
        });
        assert!(!reader.has_ended() && !reply.is_gone(), "{version:?}: it passes");
        reply.send((shape.piece)(1, " A river."));
        drop(reply);
        let over = reader.over();
        assert_eq!((over.code, shape.said(&over.body)), (0, format!("{watched} A river.")));
    }
}
