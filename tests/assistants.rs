//! Assistants behind inspection: what is asked of them is judged before it reaches them, and what they answer while it
//! comes. A reply that becomes what a pupil may not read is cut there; what came before was read as it came.

use crate::alerts::alerts;
use crate::assistant_replies::{AFTER, HARMFUL, HARMLESS, Packer, SHAPES, Shape};
use crate::daemon::{Daemon, PASSWORD, Plan, free_port, wait_for};
use crate::streaming_client::{Over, Reader};
use crate::streaming_origin::{PATIENCE, Streamed, StreamingOrigin, Version};
use crate::typed_words::{ASSISTANT, HARMLESS as QUESTION, SUICIDE, prompt};
use serde_json::Value;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// How an answer begins to be sent, and is no more than a delay that somebody would see.
const PROMPTLY: Duration = Duration::from_secs(1);

/// A school whose tunnels are looked into, and an assistant over each version of HTTP.
pub(crate) struct School {
    /// The school.
    pub daemon: Daemon,
    one: (u16, StreamingOrigin),
    two: (u16, StreamingOrigin),
}

impl School {
    /// Starts both.
    pub(crate) fn start() -> Self {
        let ports = [free_port(), free_port()];
        let daemon = Daemon::start_with(&Plan {
            inspected: true,
            people: true,
            tls_ports: ports.to_vec(),
            hosts: vec![(ASSISTANT, vec!["127.0.0.1"])],
            ..Plan::default()
        });
        let start = |port, version| StreamingOrigin::start(&daemon, &[ASSISTANT], port, version);
        let (one, two) = (start(ports[0], Version::One), start(ports[1], Version::Two));
        Self { daemon, one: (ports[0], one), two: (ports[1], two) }
    }

    /// The assistant that speaks a version.
    pub(crate) fn assistant(&self, version: Version) -> &StreamingOrigin {
        if version == Version::Two { &self.two.1 } else { &self.one.1 }
    }

    /// `host:port` of the same.
    pub(crate) fn authority(&self, version: Version) -> String {
        let port = if version == Version::Two { self.two.0 } else { self.one.0 };
        format!("{ASSISTANT}:{port}")
    }

    /// Somebody asks the assistant, over the version that it speaks.
    pub(crate) fn ask(&self, user: &str, version: Version, path: &str, words: &str) -> Reader {
        let who = format!("{user}:{PASSWORD}");
        let url = format!("https://{}{path}", self.authority(version));
        let json = ["-H", "Content-Type: application/json", "-d", &prompt(words)];
        Reader::start(&self.daemon, &["--proxy-user", &who], version, &url, &json)
    }

    /// The records of a path: of the method `PAGE` or `PROMPT`, and the request's own, which has ended.
    pub(crate) fn records(&self, path: &str) -> (Vec<Value>, Value) {
        let of_path = || {
            let query = ["log", "query", "--since", "24h", "--jsonl", "--by", "q.whitmore"];
            let all = self.daemon.run(&query).ok().lines();
            let (told, own) = all
                .into_iter()
                .filter(|it| it["path"] == path)
                .partition::<Vec<_>, _>(|it| it["method"] == "PAGE" || it["method"] == "PROMPT");
            (told, own)
        };
        wait_for("the end of the record", PATIENCE, || {
            of_path().1.first().is_some_and(|own| !own["end"].is_null())
        });
        let (told, own) = of_path();
        let [own] = &own[..] else { panic!("{own:#?}") };
        (told, own.clone())
    }
}

/// What a pupil was let read of a reply that is cut somewhere.
struct Told {
    said: String,
    over: Over,
}

/// Sends pieces of a reply, each once the one before has come to its reader, until it is cut.
fn tell(reader: &Reader, reply: &Streamed, shape: &Shape, packer: &mut Packer, text: &str) -> bool {
    let before = shape.said(&reader.body()).len();
    for (number, piece) in shape.pieces(text, 5).into_iter().enumerate() {
        // The first of a reply says more than the others.
        let piece = if before > 0 && number == 0 { (shape.piece)(1, &text[..5]) } else { piece };
        reply.send(packer.pack(&piece));
        let wanted = before + (number + 1) * 5;
        if !reader.reaches(|body| shape.said(body).len() >= wanted.min(before + text.len())) {
            return false;
        }
    }
    true
}

/// A reply that is harmless, then harmful, then goes on.
fn reply_that_turns(
    school: &School,
    version: Version,
    shape: &Shape,
    coding: &str,
    path: &str,
) -> Told {
    let mut fields = vec![("content-type", shape.content_type)];
    if !coding.is_empty() {
        fields.push(("content-encoding", coding));
    }
    let reply = school.assistant(version).stream(path, &fields);
    let mut packer = Packer::of(coding);
    let reader = school.ask("sam", version, path, QUESTION);
    let begun = Instant::now();
    let what = format!("{} {coding} over {version:?}", shape.like);
    assert!(tell(&reader, &reply, shape, &mut packer, HARMLESS), "{what}: cut too early");
    assert_eq!(shape.said(&reader.body()), HARMLESS, "{what}");
    assert!(reader.head().contains(" 200"), "{}", reader.head());
    eprintln!("{what}: {} letters, one after another, in {:?}", HARMLESS.len(), begun.elapsed());
    assert!(!tell(&reader, &reply, shape, &mut packer, HARMFUL), "{what}: never cut");
    reply.send(packer.pack(&(shape.piece)(2, AFTER)));
    reply.wait_gone();
    let over = reader.over();
    Told { said: shape.said(&over.body), over }
}

#[test]
fn a_reply_is_read_as_it_comes_and_cut_where_it_may_not_be_read() {
    let school = School::start();
    let mut cases = Vec::new();
    for version in [Version::One, Version::Two] {
        for shape in &SHAPES {
            cases.push((version, shape, ""));
        }
        for (shape, coding) in [(0, "gzip"), (1, "br"), (3, "gzip"), (3, "br")] {
            cases.push((version, &SHAPES[shape], coding));
        }
    }
    for (number, (version, shape, coding)) in cases.iter().enumerate() {
        let what = format!("{} {coding} over {version:?}", shape.like);
        let path = format!("/backend-api/conversation/{number}");
        let told = reply_that_turns(&school, *version, shape, coding, &path);
        assert!(told.over.is_cut(), "{what}: it must not look whole: {:?}", told.over);
        assert!(told.said.starts_with(HARMLESS), "{what}: {}", told.said);
        assert!(!told.said.contains("how to hide all"), "{what}: {}", told.said);
        let body = String::from_utf8_lossy(&told.over.body).into_owned();
        assert!(!body.contains("quokka"), "{what}: {body}");

        let seen = school.assistant(*version).seen_of(&path);
        assert!(seen.whole.load(SeqCst));
        assert_eq!(*seen.body.lock().unwrap(), prompt(QUESTION).as_bytes(), "{what}");

        let (pages, own) = school.records(&path);
        let [page] = &pages[..] else { panic!("{what}: {pages:#?}") };
        assert_eq!(
            (&page["verdict"], &page["reason"], &page["method"]),
            (&"block".into(), &"page_words".into(), &"PAGE".into()),
            "{what}"
        );
        let signs = page["signs"].to_string();
        assert!(signs.contains("suicide") && signs.contains("reply"), "{what}: {signs}");
        assert_eq!(
            (&own["verdict"], &own["end"], &own["status"]),
            (&"allow".into(), &"cut".into(), &200.into()),
            "{what}: {own}"
        );
        assert_eq!((&own["host"], &own["depth"]), (&ASSISTANT.into(), &"page".into()));
        let bytes = own["bytes_down"].as_u64().unwrap();
        match coding.is_empty() {
            true => assert_eq!(bytes, told.over.body.len() as u64, "{what}"),
            false => assert!(bytes > 0, "{what}: {own}"),
        }
        let code = page["code"].as_str().unwrap();
        let explained = school.daemon.run(&["explain", code]).ok().out;
        assert!(explained.contains("is of a theme that this level may not read"), "{explained}");
        if number == 0 {
            told_to_the_lead(&school, &path);
        }
    }
    assert_eq!(of_suicide(&school).len(), 1, "one person, one theme: one episode");
}

/// The alerts of the theme that the replies are of; a few of their words are of others too.
fn of_suicide(school: &School) -> Vec<Value> {
    let all = alerts(&school.daemon, &[]);
    all.into_iter().filter(|alert| alert["theme"] == "suicide").collect()
}

/// The episode of a cut reply, and its alert.
fn told_to_the_lead(school: &School, path: &str) {
    wait_for("the alert", PATIENCE, || of_suicide(school).len() == 1);
    let alert = &of_suicide(school)[0];
    assert_eq!(alert["severity"], "urgent", "{alert}");
    let number = alert["alert"].as_str().unwrap();
    let shown = ["alerts", "show", number, "--json", "--by", "q.whitmore"];
    let shown = school.daemon.run(&shown).ok().json();
    assert_eq!((&shown["about"]["name"], &shown["strongest"]), (&"sam".into(), &"reply".into()));
    let record = &shown["records"][0];
    assert_eq!((&record["host"], &record["path"]), (&ASSISTANT.into(), &path.into()));
    assert!(record["found"].to_string().contains("reply: "), "{record}");
}

#[test]
fn a_reply_that_begins_with_what_may_not_be_read_is_replaced_by_the_page() {
    let school = School::start();
    for version in [Version::One, Version::Two] {
        let path = format!("/backend-api/{version:?}");
        let shape = &SHAPES[1];
        let reply =
            school.assistant(version).stream(&path, &[("content-type", shape.content_type)]);
        let text: String = shape.pieces(HARMFUL, 7).concat();
        // What came later would be cut.
        reply.send_with_head(text);
        let reader = school.ask("sam", version, &path, QUESTION);
        reply.wait_gone();
        assert!(!reader.reaches(|_| false));
        let head = reader.head();
        let over = reader.over();
        assert!(over.code == 0 && head.contains(" 403"), "{version:?}: {head} {over:?}");
        let page: Value = serde_json::from_slice(&over.body).unwrap();
        assert_eq!(page["reason"], "page_words", "{page}");
        let (pages, own) = school.records(&path);
        assert_eq!(pages.len(), 1, "{pages:#?}");
        assert_eq!(pages[0]["code"], page["code"], "the page names the code of the record");
        assert_eq!(own["end"], "cut", "{own}");
    }
}

#[test]
fn what_may_not_be_asked_never_reaches_the_assistant_and_what_may_is_answered_at_once() {
    let school = School::start();
    for version in [Version::One, Version::Two] {
        let (refused, asked) = (format!("/refused/{version:?}"), format!("/asked/{version:?}"));
        let assistant = school.assistant(version);
        let shape = &SHAPES[0];
        let _never = assistant.stream(&refused, &[("content-type", shape.content_type)]);
        let over = school.ask("sam", version, &refused, SUICIDE).over();
        let page: Value = serde_json::from_slice(&over.body).unwrap();
        assert_eq!((over.code, &page["reason"]), (0, &"prompt_words".into()), "{page}");
        for seen in assistant.seen().iter().filter(|seen| seen.path == refused) {
            // A head may have come, and nothing of what was written.
            let body = seen.body.lock().unwrap();
            assert!(body.is_empty() && !seen.whole.load(SeqCst), "{seen:?}");
        }
        let (prompts, own) = school.records(&refused);
        let [record] = &prompts[..] else { panic!("{prompts:#?}") };
        assert_eq!(
            (&record["verdict"], &record["reason"], &record["method"]),
            (&"block".into(), &"prompt_words".into(), &"PROMPT".into())
        );
        assert!(record["words"].as_str().unwrap().contains(SUICIDE), "{record}");
        assert!(record["signs"].to_string().contains("suicide"), "{record}");
        assert_eq!((&own["end"], &own["bytes_up"]), (&"cut".into(), &0.into()), "{own}");

        let reply = assistant.stream(&asked, &[("content-type", shape.content_type)]);
        let begun = Instant::now();
        let reader = school.ask("sam", version, &asked, QUESTION);
        reply.send((shape.piece)(0, "A volcano "));
        let sent = Instant::now();
        assert!(reader.reaches(|body| shape.said(body) == "A volcano "));
        let (since_sent, in_all) = (sent.elapsed(), begun.elapsed());
        eprintln!("{version:?}: first event after {since_sent:?}, with sign-in and TLS {in_all:?}");
        assert!(since_sent < PROMPTLY, "{since_sent:?}");
        reply.send((shape.piece)(1, "is a hill."));
        drop(reply);
        let over = reader.over();
        assert_eq!((over.code, &*shape.said(&over.body)), (0, "A volcano is a hill."), "{over:?}");
        let seen = assistant.seen_of(&asked);
        assert_eq!(*seen.body.lock().unwrap(), prompt(QUESTION).as_bytes());
        let (told, own) = school.records(&asked);
        assert!(told.is_empty() && own["end"] == "complete", "{told:?} {own}");
    }
}
