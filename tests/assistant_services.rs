//! Every assistant that the filter knows, and one that a school names: what is asked of it in the form that its own pages
//! send is judged before it leaves, and its reply, in the form that it comes in, is cut where it turns.
//!
//! No service documents these forms; they are those that public programs know. docs/themes.md says which are only assumed,
//! and whose replies are not read.

use crate::assistant_replies::{AFTER, HARMFUL, HARMLESS};
use crate::daemon::{Daemon, KS3, Plan, free_port, repository, wait_for};
use crate::streaming_client::Reader;
use crate::streaming_origin::{PATIENCE, StreamingOrigin, Version};
use crate::typed_words::{HARMLESS as QUESTION, SUICIDE};
use serde_json::Value;
use std::collections::BTreeSet;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const EVENTS: &str = "text/event-stream";

/// One service.
struct Service {
    /// As the shipped file names it.
    name: &'static str,
    host: &'static str,
    /// Where it is asked; with `PROMPT` in it by a GET.
    path: &'static str,
    /// The type of what is sent, and what: `PROMPT` is what somebody wrote.
    asks: (&'static str, &'static str),
    /// The type of the reply and one message of it: `TEXT` is the next piece, `SOFAR` all until now. Without any it
    /// comes another way.
    says: Option<(&'static str, &'static str)>,
}

/// What many services and programs have in common.
const COMMON_ASKS: (&str, &str) =
    (JSON, r#"{"model":"m1","stream":true,"messages":[{"role":"user","content":"PROMPT"}]}"#);
const COMMON_SAYS: Option<(&str, &str)> = Some((
    EVENTS,
    "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"TEXT\"}}]}\n\n",
));

/// How Google's pages ask, and how they are answered.
const GOOGLE_ASKS: (&str, &str) = (
    FORM,
    "f.req=%5Bnull%2C%22%5B%5B%5C%22PROMPT%5C%22%2C0%5D%2C%5B%5C%22en%5C%22%5D%5D%22%5D&at=x",
);
const GOOGLE_SAYS: Option<(&str, &str)> = Some((
    "application/json; charset=utf-8",
    "412\n[[\"wrb.fr\",null,\"[null,[\\\"c_1\\\",\\\"r_1\\\"],null,null,[[\\\"rc_1\\\",[\\\"SOFAR\\\"]]]]\"]]\n",
));

const SERVICES: [Service; 23] = [
    Service {
        name: "ChatGPT",
        host: "chatgpt.com",
        path: "/backend-api/conversation",
        asks: (
            JSON,
            r#"{"action":"next","messages":[{"id":"a1","author":{"role":"user"},"content":{"content_type":"text","parts":["PROMPT"]}}],"model":"auto"}"#,
        ),
        says: Some((
            EVENTS,
            "data: {\"p\":\"/message/content/parts/0\",\"o\":\"append\",\"v\":\"TEXT\"}\n\n",
        )),
    },
    Service {
        name: "Claude",
        host: "claude.ai",
        path: "/api/organizations/o1/chat_conversations/c1/completion",
        asks: (
            JSON,
            r#"{"prompt":"PROMPT","timezone":"Europe/London","attachments":[],"files":[]}"#,
        ),
        says: Some((
            EVENTS,
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"TEXT\"}}\n\n",
        )),
    },
    Service {
        name: "Grok",
        host: "grok.com",
        path: "/rest/app-chat/conversations/new",
        asks: (
            JSON,
            r#"{"temporary":false,"modelName":"m1","message":"PROMPT","fileAttachments":[]}"#,
        ),
        says: Some((
            JSON,
            "{\"result\":{\"response\":{\"token\":\"TEXT\",\"isThinking\":false,\"responseId\":\"r1\"}}}\n",
        )),
    },
    Service {
        name: "Grok",
        host: "x.com",
        path: "/i/api/2/grok/add_response.json",
        asks: (JSON, r#"{"responses":[{"message":"PROMPT","sender":1}],"conversationId":"c1"}"#),
        says: Some((
            JSON,
            "{\"result\":{\"sender\":\"ASSISTANT\",\"message\":\"TEXT\",\"messageTag\":\"final\"}}\n",
        )),
    },
    Service {
        name: "Perplexity",
        host: "www.perplexity.ai",
        path: "/rest/sse/perplexity_ask",
        asks: (JSON, r#"{"params":{"mode":"concise","language":"en-GB"},"query_str":"PROMPT"}"#),
        says: Some((
            EVENTS,
            "event: message\ndata: {\"blocks\":[{\"intended_usage\":\"ask_text\",\"markdown_block\":{\"progress\":\"IN_PROGRESS\",\"chunks\":[\"TEXT\"]}}],\"status\":\"PENDING\"}\n\n",
        )),
    },
    Service {
        name: "You",
        host: "you.com",
        path: "/api/streamingSearch?domain=youchat&q=PROMPT",
        asks: ("", ""),
        says: Some((EVENTS, "event: youChatToken\ndata: {\"youChatToken\":\"TEXT\"}\n\n")),
    },
    Service {
        name: "Baidu AI",
        host: "yiyan.baidu.com",
        path: "/eb/chat/conversation/v2",
        asks: (JSON, r#"{"sessionId":"s1","text":"PROMPT","parentChatId":"0"}"#),
        says: Some((
            EVENTS,
            "event:message\ndata:{\"data\":{\"content\":\"TEXT\",\"is_end\":0}}\n\n",
        )),
    },
    Service {
        name: "Character.AI",
        host: "beta.character.ai",
        path: "/chat/streaming/",
        asks: (
            JSON,
            r#"{"history_external_id":"h1","character_external_id":"c1","text":"PROMPT"}"#,
        ),
        says: Some((
            JSON,
            "{\"replies\":[{\"text\":\"SOFAR\",\"id\":7}],\"is_final_chunk\":false}\n",
        )),
    },
    Service {
        name: "Chat+",
        host: "chatplus.com",
        path: "/api/chat",
        asks: COMMON_ASKS,
        says: COMMON_SAYS,
    },
    Service {
        name: "ChatGLM",
        host: "chatglm.cn",
        path: "/chatglm/backend-api/assistant/stream",
        asks: (
            JSON,
            r#"{"assistant_id":"a1","messages":[{"role":"user","content":[{"type":"text","text":"PROMPT"}]}]}"#,
        ),
        says: Some((
            EVENTS,
            "event:message\ndata: {\"id\":\"m1\",\"parts\":[{\"content\":[{\"type\":\"text\",\"text\":\"SOFAR\"}]}],\"status\":\"init\"}\n\n",
        )),
    },
    Service {
        name: "Deepseek",
        host: "chat.deepseek.com",
        path: "/api/v0/chat/completion",
        asks: (
            JSON,
            r#"{"chat_session_id":"s1","parent_message_id":null,"prompt":"PROMPT","ref_file_ids":[]}"#,
        ),
        says: Some((
            EVENTS,
            "data: {\"v\":\"TEXT\",\"p\":\"response/content\",\"o\":\"APPEND\"}\n\n",
        )),
    },
    Service {
        name: "Duck.ai",
        host: "duckduckgo.com",
        path: "/duckchat/v1/chat",
        asks: COMMON_ASKS,
        says: Some((
            EVENTS,
            "data: {\"role\":\"assistant\",\"message\":\"TEXT\",\"created\":1764500000,\"id\":\"c1\",\"action\":\"success\"}\n\n",
        )),
    },
    Service {
        name: "Duck.ai",
        host: "duck.ai",
        path: "/duckchat/v1/chat",
        asks: COMMON_ASKS,
        says: Some((
            EVENTS,
            "data: {\"role\":\"assistant\",\"message\":\"TEXT\",\"created\":1764500000,\"id\":\"c1\",\"action\":\"success\"}\n\n",
        )),
    },
    Service {
        name: "Gemini",
        host: "gemini.google.com",
        path: "/_/BardChatUi/data/assistant.lamda.BardFrontendService/StreamGenerate",
        asks: GOOGLE_ASKS,
        says: GOOGLE_SAYS,
    },
    Service {
        name: "iAsk",
        host: "iask.ai",
        path: "/api/chat",
        asks: COMMON_ASKS,
        says: COMMON_SAYS,
    },
    Service {
        name: "Jasper",
        host: "app.jasper.ai",
        path: "/api/chat",
        asks: COMMON_ASKS,
        says: COMMON_SAYS,
    },
    // Its replies are lines of a protocol of their own.
    Service {
        name: "Le Chat",
        host: "chat.mistral.ai",
        path: "/api/chat",
        asks: (
            JSON,
            r#"{"chatId":"c1","mode":"append","content":[{"type":"text","text":"PROMPT"}]}"#,
        ),
        says: None,
    },
    Service {
        name: "Meta AI",
        host: "graph.meta.ai",
        path: "/graphql",
        asks: (
            FORM,
            "variables=%7B%22message%22%3A%7B%22sensitive_string_value%22%3A%22PROMPT%22%7D%7D&doc_id=1",
        ),
        says: Some((
            JSON,
            "{\"data\":{\"node\":{\"bot_response_message\":{\"id\":\"m1\",\"streaming_state\":\"STREAMING\",\"snippet\":\"SOFAR\"}}}}\n",
        )),
    },
    Service {
        name: "NotebookLM",
        host: "notebooklm.google.com",
        path: "/_/LabsTailwindUi/data/google.internal.labs.tailwind.orchestration.v1.LabsTailwindOrchestrationService/GenerateFreeFormStreamed",
        asks: GOOGLE_ASKS,
        says: GOOGLE_SAYS,
    },
    // Its replies come by a web socket of another host.
    Service {
        name: "Poe",
        host: "poe.com",
        path: "/api/gql_POST",
        asks: (
            JSON,
            r#"{"queryName":"sendMessageMutation","variables":{"bot":"b1","query":"PROMPT","chatId":1}}"#,
        ),
        says: None,
    },
    Service {
        name: "Qwen",
        host: "chat.qwen.ai",
        path: "/api/v2/chat/completions",
        asks: COMMON_ASKS,
        says: Some((
            EVENTS,
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"TEXT\",\"phase\":\"answer\",\"status\":\"typing\"}}]}\n\n",
        )),
    },
    Service {
        name: "Writesonic",
        host: "app.writesonic.com",
        path: "/api/chat",
        asks: COMMON_ASKS,
        says: COMMON_SAYS,
    },
    // The school's own.
    Service {
        name: OWN,
        host: "tutor.example",
        path: "/helper/v1/ask",
        asks: COMMON_ASKS,
        says: COMMON_SAYS,
    },
];

/// By web socket alone: `tests/assistant_sockets.rs` sends what it says.
const BY_SOCKET: [&str; 1] = ["Copilot"];

/// What records call an assistant of a school's own.
const OWN: &str = "an assistant that the school named";

/// A school that looks into tunnels and keeps no search safe, and all services behind one port.
struct School {
    daemon: Daemon,
    port: u16,
    origin: StreamingOrigin,
}

impl School {
    fn start() -> Self {
        let port = free_port();
        let mut names: Vec<&'static str> = SERVICES.iter().map(|service| service.host).collect();
        names.push("other.example");
        let safe = ["safe.duckduckgo.com"];
        let daemon = Daemon::start_with(&Plan {
            inspected: true,
            tls_ports: vec![port],
            hosts: names.iter().chain(&safe).map(|host| (*host, vec!["127.0.0.1"])).collect(),
            edits: vec![
                (
                    "pupil = { safe_search = true".to_owned(),
                    "pupil = { safe_search = false".to_owned(),
                ),
                (
                    "school = \"Test Academy\"".to_owned(),
                    "school = \"Test Academy\"\nassistants = [\"tutor.example/helper\"]".to_owned(),
                ),
            ],
            ..Plan::default()
        });
        let origin = StreamingOrigin::start(&daemon, &names, port, Version::One);
        Self { daemon, port, origin }
    }

    fn ask(&self, host: &str, path: &str, (kind, body): (&str, &str), words: &str) -> Reader {
        let from = KS3.to_string();
        let plus = words.replace(' ', "+");
        let url = format!("https://{host}:{}{}", self.port, path.replace("PROMPT", &plus));
        let words = if kind == FORM { &*plus } else { words };
        let (kind, body) = (format!("Content-Type: {kind}"), body.replace("PROMPT", words));
        let posts = ["-H", &kind, "-d", &body];
        let more = if body.is_empty() { &posts[..0] } else { &posts[..] };
        Reader::start(&self.daemon, &["--interface", &from], Version::One, &url, more)
    }

    /// The records of a host: method, verdict and reason, and what the words are of.
    fn records(&self, host: &str) -> Vec<[String; 4]> {
        let query = ["log", "query", "--since", "24h", "--jsonl", "--by", "q.whitmore"];
        let all = self.daemon.run(&query).ok().lines();
        let text = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
        let of_host = all.iter().filter(|it| it["host"] == host);
        of_host
            .map(|it| ["method", "verdict", "reason", "words_site"].map(|key| text(it, key)))
            .collect()
    }
}

/// The path without what stands in its query, as the origin and the records have it.
fn bare(path: &str) -> &str {
    path.split('?').next().unwrap()
}

fn pieces(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(20).map(|piece| piece.iter().collect()).collect()
}

#[test]
fn every_known_assistant_is_in_the_table() {
    let file = std::fs::read_to_string(repository("rules/defaults/search_terms.toml")).unwrap();
    let file: toml::Table = file.parse().unwrap();
    let sites = file["site"].as_array().unwrap();
    let is_prompt =
        |site: &&toml::Value| site.get("kind").and_then(toml::Value::as_str) == Some("prompt");
    let known: BTreeSet<&str> =
        sites.iter().filter(is_prompt).map(|site| site["name"].as_str().unwrap()).collect();
    let tried = SERVICES.iter().map(|service| service.name).filter(|name| *name != OWN);
    assert_eq!(known, tried.chain(BY_SOCKET).collect());
}

#[test]
fn what_may_not_be_asked_of_any_assistant_does_not_reach_it() {
    let school = School::start();
    for service in &SERVICES {
        let what = format!("{} at {}", service.name, service.host);
        let _never = school.origin.stream(bare(service.path), &[("content-type", JSON)]);
        let over = school.ask(service.host, service.path, service.asks, SUICIDE).over();
        let page: Value =
            serde_json::from_slice(&over.body).unwrap_or_else(|_| panic!("{what}: {over:?}"));
        assert_eq!(page["reason"], "prompt_words", "{what}: {page}");
        let method = if service.asks.1.is_empty() { "GET" } else { "PROMPT" };
        let is_told =
            |it: &[String; 4]| it[..3] == [method, "block", "prompt_words"].map(str::to_owned);
        wait_for("the record", PATIENCE, || school.records(service.host).iter().any(is_told));
        let records = school.records(service.host);
        let told = records.iter().find(|it| is_told(it)).unwrap();
        assert_eq!(told[3], service.name, "{what}: {records:?}");
    }
    let whole = school.origin.seen();
    let leaked = whole.iter().filter(|seen| seen.whole.load(std::sync::atomic::Ordering::SeqCst));
    assert_eq!(leaked.count(), 0, "{whole:?}");
}

#[test]
fn the_reply_of_any_assistant_comes_as_it_is_written_and_is_cut_where_it_turns() {
    let school = School::start();
    let mut read = 0;
    for service in &SERVICES {
        let Some((kind, message)) = service.says else { continue };
        read += 1;
        let what = format!("{} at {}", service.name, service.host);
        let reply = school.origin.stream(bare(service.path), &[("content-type", kind)]);
        let reader = school.ask(service.host, service.path, service.asks, QUESTION);
        let (mut so_far, mut sent) = (String::new(), 0);
        let mut says = |piece: &str| {
            so_far.push_str(piece);
            let message = message.replace("SOFAR", &so_far).replace("TEXT", piece);
            sent += message.len();
            reply.send(message);
            reader.reaches(|body| body.len() >= sent)
        };
        for piece in pieces(HARMLESS) {
            assert!(says(&piece), "{what}: cut too early, at {piece:?}");
        }
        let is_cut = pieces(HARMFUL).iter().any(|piece| !says(piece));
        assert!(is_cut, "{what}: never cut");
        reply.send(AFTER);
        reply.wait_gone();
        let over = reader.over();
        assert!(over.is_cut(), "{what}: it must not look whole: {over:?}");
        let body = String::from_utf8_lossy(&over.body).into_owned();
        assert!(!body.contains("quokka") && !body.contains("hide all of it"), "{what}: {body}");
        let is_told =
            |it: &[String; 4]| it[..3] == ["PAGE", "block", "page_words"].map(str::to_owned);
        wait_for("the record", PATIENCE, || school.records(service.host).iter().any(is_told));
    }
    assert_eq!(read, SERVICES.len() - 2);
}

#[test]
fn what_is_written_to_a_site_that_nobody_calls_an_assistant_is_not_read() {
    let school = School::start();
    for (host, path) in [("other.example", "/helper/v1/ask"), ("tutor.example", "/news")] {
        let reply = school.origin.stream(path, &[("content-type", JSON)]);
        let reader = school.ask(host, path, COMMON_ASKS, SUICIDE);
        reply.send("{}");
        drop(reply);
        let over = reader.over();
        assert_eq!((over.code, &*over.body), (0, &b"{}"[..]), "{host}{path}");
    }
}
