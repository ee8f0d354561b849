//! Ways round the filter, each as a client sends it: what comes of it, and what the log says.

use crate::client::Client;
use crate::daemon::{Daemon, GUEST, KS3, Plan, STAFF, repository, wait_for};
use crate::inspected::{Secure, authority};
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write as _;
use std::net::IpAddr;

/// Requests in `fixtures/circumvention`, by level. Raise it with every one added: a file that is cut short must
/// not pass.
const REQUESTS: usize = 99;

/// A file of `fixtures/circumvention`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    request: Vec<Request>,
}

/// One request, as `fixtures/circumvention/README.md` has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    what: String,
    level: Vec<String>,
    wire: Vec<String>,
    hello: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    categories: Vec<String>,
}

fn requests() -> Vec<Request> {
    let folder = repository("tests/fixtures/circumvention");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
        file.request
    };
    files.iter().flat_map(read).collect()
}

/// A school whose lists name what stands within the requests.
fn school() -> Daemon {
    school_with(Vec::new())
}

/// The same, with another policy.
fn school_with(edits: Vec<(String, String)>) -> Daemon {
    let mut machine = String::new();
    for category in ["gambling", "proxy"] {
        let path = repository("tests/fixtures/circumvention").join(format!("{category}.txt"));
        let _ = write!(
            machine,
            "[[lists]]\nname = \"{category}-within\"\ncategory = \"{category}\"\npath = \"{}\"\n",
            path.display()
        );
    }
    let at_origin = |host| (host, vec!["127.0.0.1"]);
    let hosts = ["www-example-org.translate.goog", "web.archive.org", "anydesk.com"];
    let hosts = hosts.map(at_origin).into();
    Daemon::start_with(&Plan { inspected: true, machine, hosts, edits, ..Plan::default() })
}

fn address(level: &str) -> IpAddr {
    match level {
        "ks3" => KS3,
        "guest" => GUEST,
        "staff" => STAFF,
        other => panic!("nobody asks from {other}"),
    }
}

/// A ClientHello for a name in the open, with an `encrypted_client_hello` (RFC 9849).
fn hiding_hello(name: &str) -> Vec<u8> {
    let two = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    let mut sni = Vec::new();
    sni.extend(two(name.len() + 3));
    sni.push(0);
    sni.extend(two(name.len()));
    sni.extend(name.as_bytes());
    let mut extensions = Vec::new();
    for (kind, data) in [(0_u16, &sni[..]), (0xfe0d, &[0; 200])] {
        extensions.extend(kind.to_be_bytes());
        extensions.extend(two(data.len()));
        extensions.extend(data);
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(two(extensions.len()));
    body.extend(extensions);
    let mut message = vec![1, 0];
    message.extend(two(body.len()));
    message.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend(two(message.len()));
    record.extend(message);
    record
}

/// Sends one request and waits for what comes of it; the status of the answer.
fn send(daemon: &Daemon, level: &str, request: &Request) -> u16 {
    send_from(daemon, address(level), request)
}

fn send_from(daemon: &Daemon, from: IpAddr, request: &Request) -> u16 {
    let mut client = Client::connect_from(from, daemon.proxy);
    let is_tunnel = request.wire[0].starts_with("CONNECT");
    let origin = if is_tunnel { daemon.origin.https } else { daemon.origin.http };
    let head = format!("{}\r\n\r\n", request.wire.join("\r\n"));
    client.send(head.replace("{port}", &origin.port().to_string()).as_bytes());
    let method = request.wire[0].split(' ').next().unwrap();
    let answer = client.read(method);
    if let Some(name) = &request.hello {
        assert_eq!(answer.status, 200, "{}", request.what);
        client.send(&hiding_hello(name));
        // Its end, or our certificate: it has been decided about by then.
        let _ = client.read_some();
    }
    answer.status
}

#[test]
fn every_technique_is_blocked_and_recorded_as_what_it_is() {
    let daemon = school();
    let requests = requests();
    let mut sent = Vec::new();
    for request in &requests {
        for level in &request.level {
            let status = send(&daemon, level, request);
            let is_tunnel = request.wire[0].starts_with("CONNECT");
            // A tunnel that is refused is taken over, where the devices trust the school, to say why.
            let refused = if is_tunnel { [403, 200] } else { [403, 403] };
            match &request.reason {
                Some(_) => assert!(refused.contains(&status), "{}: {status}", request.what),
                None => assert_ne!(status, 403, "{}", request.what),
            }
            sent.push((request, level));
        }
    }
    assert_eq!(sent.len(), REQUESTS, "every request of the files was sent");

    let tunnels =
        sent.iter().filter(|(request, _)| request.hello.is_some() && request.reason.is_some());
    let records = daemon.wait_records(sent.len() + tunnels.count());
    let mut records = records.iter();
    let mut wrong = Vec::new();
    for (request, level) in sent {
        let mut record = records.next().unwrap();
        if request.hello.is_some() && request.reason.is_some() {
            assert_eq!(
                (&record["method"], &record["verdict"]),
                (&"CONNECT".into(), &"allow".into())
            );
            record = records.next().unwrap();
        }
        let expected = match &request.reason {
            Some(reason) => ("block", Some(reason.as_str())),
            None => ("allow", None),
        };
        let named: Vec<Value> =
            request.categories.iter().map(|name| name.as_str().into()).collect();
        let has = |name: &Value| record["categories"].as_array().unwrap().contains(name);
        if record["verdict"] != expected.0
            || expected.1.is_some_and(|reason| record["reason"] != reason)
            || record["level"] != level.as_str()
            || !named.iter().all(has)
        {
            wrong.push(format!("{level}, {}: {expected:?}, but {record}", request.what));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_was_refused_never_leaves() {
    let daemon = school();
    for request in requests().iter().filter(|it| it.reason.is_some() && it.hello.is_none()) {
        for level in &request.level {
            send(&daemon, level, request);
        }
    }
    let asked = daemon.origin.asked();
    assert!(asked.is_empty(), "{asked:?}");
}

#[test]
fn inside_a_tunnel_the_page_says_why_and_so_does_the_command_line() {
    let daemon = school();
    let pem = std::fs::read(authority(&daemon)).unwrap();
    let host = daemon.authority("plain.test");
    let mut inside = Secure::open(&daemon, KS3, "plain.test", &pem).unwrap();
    let answer = inside.ask(&host, "/service/https%3A%2F%2Fwww.example.org%2F").unwrap();
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("fetches other pages"), "{}", answer.text());
    let answer = inside.ask(&host, "/size/9").unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 9), "the site itself is open");
    drop(inside);

    let url = &format!("https://{host}/service/https%3A%2F%2Fwww.example.org%2F");
    let checked = daemon.run(&["check", url, "--as", "ks3", "--json"]).json();
    let row = if checked.is_array() { checked[0].clone() } else { checked };
    assert_eq!((&row["verdict"], &row["reason"]), (&"block".into(), &"web_proxy".into()), "{row}");
    let said = daemon.run(&["check", url, "--as", "ks3"]).out;
    assert!(said.contains("web proxy") && said.contains("Scramjet"), "{said}");

    let record = daemon.wait_records(3).into_iter().find(|it| it["reason"] == "web_proxy").unwrap();
    assert_eq!(record["path"], "/service/https%3A%2F%2Fwww.example.org%2F", "{record}");
    let explained =
        daemon.run(&["explain", record["code"].as_str().unwrap(), "--by", "q.whitmore"]);
    assert!(explained.out.contains("web proxy"), "{explained:?}");
}

#[test]
fn what_a_person_tried_can_be_counted() {
    let daemon = Daemon::start();
    for path in ["/main/aHR0cHM6Ly93d3cuZXhhbXBsZS5vcmcv", "/uv/uv.bundle.js", "/size/9"] {
        daemon.get_as("sam", &daemon.url("plain.test", path));
    }
    daemon.wait_records(3);
    let query = [
        "log",
        "query",
        "--since",
        "24h",
        "--jsonl",
        "--user",
        "sam",
        "--reason",
        "web_proxy",
        "--by",
        "q.whitmore",
    ];
    let tried = daemon.run(&query).ok().lines();
    assert_eq!(tried.len(), 2, "{tried:#?}");
}

/// How somebody tries a technique, each time by another page or another server; `{n}` is which time it is.
const DELIBERATE: [(&str, &[&str]); 9] = [
    (
        "vpn",
        &["CONNECT s{n}.cloudflareclient.com:443 HTTP/1.1", "Host: s{n}.cloudflareclient.com:443"],
    ),
    (
        "vpn",
        &[
            "GET http://plain.test/.well-known/masque/udp/192.0.2.{n}/443/ HTTP/1.1",
            "Host: plain.test",
        ],
    ),
    (
        "remote_desktop",
        &["CONNECT relay-{n}.net.anydesk.com:443 HTTP/1.1", "Host: relay-{n}.net.anydesk.com:443"],
    ),
    (
        "tor",
        &["CONNECT expyuzz{n}wqqyqhjn.onion:443 HTTP/1.1", "Host: expyuzz{n}wqqyqhjn.onion:443"],
    ),
    (
        "web_proxy",
        &[
            "GET http://plain.test/x{n}/uggcf%3A%2F%2Fpnfvab.rknzcyr.pbz%2F HTTP/1.1",
            "Host: plain.test",
        ],
    ),
    // Of most web proxies nothing else is seen.
    (
        "web_proxy",
        &[
            "GET http://s{n}.example.net/uv/uv.bundle.js HTTP/1.1",
            "Host: s{n}.example.net",
            "Sec-Fetch-Dest: script",
            "Sec-Fetch-Mode: no-cors",
        ],
    ),
    (
        "translated_copy",
        &[
            "GET http://casino-example-com.translate.goog/{n} HTTP/1.1",
            "Host: casino-example-com.translate.goog",
        ],
    ),
    (
        "stored_copy",
        &[
            "GET http://web.archive.org/web/202{n}id_/https://casino.example.com/ HTTP/1.1",
            "Host: web.archive.org",
        ],
    ),
    (
        "url_inside",
        &[
            "GET http://plain.test/fetch{n}/https://casino.example.com/ HTTP/1.1",
            "Host: plain.test",
        ],
    ),
];

/// What browsers, phones and applications do by themselves.
const BY_ITSELF: [(&str, &[&str]); 5] = [
    ("doh", &["CONNECT s{n}.dns.nextdns.io:443 HTTP/1.1", "Host: s{n}.dns.nextdns.io:443"]),
    ("dot", &["CONNECT s{n}.example.net:853 HTTP/1.1", "Host: s{n}.example.net:853"]),
    ("private_relay", &["CONNECT mask.icloud.com:443 HTTP/1.1", "Host: mask.icloud.com:443"]),
    ("raw_address", &["CONNECT 203.0.113.{n}:443 HTTP/1.1", "Host: 203.0.113.{n}:443"]),
    ("hidden_name", &["CONNECT cloudflare-ech.com:443 HTTP/1.1", "Host: cloudflare-ech.com:443"]),
];

/// How often a sign makes a routine alert.
const OFTEN: usize = 5;

#[test]
fn each_technique_that_is_tried_often_enough_is_an_alert_and_what_devices_do_by_themselves_is_none()
{
    let daemon = school();
    let tried = |device: IpAddr, (reason, wire): (&str, &[&str]), time: usize| {
        let fill = |line: &&str| line.replace("{n}", &time.to_string());
        let request = Request {
            what: format!("{reason} {time}"),
            level: Vec::new(),
            wire: wire.iter().map(fill).collect(),
            hello: None,
            reason: None,
            categories: Vec::new(),
        };
        let status = send_from(&daemon, device, &request);
        assert!([403, 200].contains(&status), "{}: {status}", request.what);
    };
    let device = |place: usize| IpAddr::from([127, 23, 9, 1 + u8::try_from(place).unwrap()]);
    let alerts = || daemon.run(&["alerts", "list", "--jsonl", "--by", "q.whitmore"]).ok().lines();
    let (often, phone) = (DELIBERATE.len(), device(DELIBERATE.len()));
    for time in 1..=OFTEN {
        for (place, way) in DELIBERATE.into_iter().enumerate() {
            tried(device(place), way, time);
        }
        for way in BY_ITSELF {
            for again in 0..OFTEN {
                tried(phone, way, OFTEN * time + again);
            }
        }
        if time < OFTEN {
            // What is asked for within two seconds is one page.
            std::thread::sleep(std::time::Duration::from_millis(2_100));
        } else {
            break;
        }
        let records = time * (often + BY_ITSELF.len() * OFTEN);
        assert_eq!(daemon.wait_records(records).len(), records);
        assert_eq!(alerts().len(), 0, "{time} times are not often enough");
    }
    wait_for("an alert of each", std::time::Duration::from_secs(60), || alerts().len() >= often);
    let records = daemon.wait_records(OFTEN * (often + BY_ITSELF.len() * OFTEN));
    for (reason, _) in DELIBERATE.iter().chain(&BY_ITSELF) {
        let of_it = records.iter().filter(|it| it["reason"] == *reason && it["verdict"] == "block");
        assert!(of_it.count() >= OFTEN, "{reason} was refused as something else");
    }
    let mut about = Vec::new();
    for alert in alerts() {
        assert_eq!(
            (&alert["theme"], &alert["severity"]),
            (&"circumvention".into(), &"routine".into()),
            "{alert}"
        );
        let id = alert["alert"].as_str().unwrap();
        let shown = daemon.run(&["alerts", "show", id, "--json", "--by", "q.whitmore"]).ok().json();
        assert_eq!(shown["signs"], OFTEN, "{shown}");
        about.push(shown["about"]["name"].as_str().unwrap().to_owned());
    }
    about.sort();
    let mut everybody: Vec<String> = (0..often).map(|it| device(it).to_string()).collect();
    everybody.sort();
    assert_eq!(about, everybody, "each who tried, and not the device {phone}");
}

/// A device of its own for each request that is sent, in the network of its level.
fn own_device(level: &str, number: usize) -> IpAddr {
    let IpAddr::V4(network) = address(level) else { panic!("{level}") };
    let [one, two, ..] = network.octets();
    IpAddr::from([one, two, 10, 1 + u8::try_from(number).unwrap()])
}

/// Whether a request is a sign that counts by itself. An address of the school's own is refused, and is no way round; and
/// a script that a page fetched tells of a web proxy where the level refuses it as one, not where only the grid does.
fn is_told(level: &str, request: &Request) -> bool {
    let is_way = request.reason.as_deref().is_some_and(|reason| reason != "private_address");
    is_way && !(level == "staff" && request.wire[0].contains(".js "))
}

#[test]
fn every_technique_is_an_alert_where_a_school_wants_to_be_told_of_the_first() {
    let daemon = school_with(vec![(
        "[unblock]".to_owned(),
        "[alerts]\nroutine_after = 1\ndevices_after = 1\n\n[unblock]".to_owned(),
    )]);
    let requests = requests();
    let mut tried: Vec<(String, &Request)> = Vec::new();
    let mut number = 0;
    for request in &requests {
        for level in &request.level {
            number += 1;
            let device = own_device(level, number);
            let _ = send_from(&daemon, device, request);
            if is_told(level, request) {
                tried.push((device.to_string(), request));
            }
        }
    }
    assert_eq!(number, REQUESTS);
    let is_ech = |request: &Request| request.reason.as_deref() == Some("encrypted_hello");
    assert!(tried.iter().any(|(_, request)| is_ech(request)));

    let shown = |daemon: &Daemon| -> Vec<(String, String)> {
        let all = daemon.run(&["alerts", "list", "--jsonl", "--by", "q.whitmore"]).ok().lines();
        let of_ways = |it: &Value| it["theme"].as_str().unwrap().starts_with("circumvention");
        let about = |alert: &Value| {
            let id = alert["alert"].as_str().unwrap();
            let shown =
                daemon.run(&["alerts", "show", id, "--json", "--by", "q.whitmore"]).ok().json();
            assert_eq!(shown["severity"], "routine", "{shown}");
            let name = shown["about"]["name"].as_str().unwrap().to_owned();
            (name, shown["records"][0]["reason"].as_str().unwrap_or_default().to_owned())
        };
        all.iter().filter(|it| of_ways(it)).map(about).collect()
    };
    let count =
        || daemon.run(&["alerts", "list", "--jsonl", "--by", "q.whitmore"]).ok().lines().len();
    let begun = std::time::Instant::now();
    while count() < tried.len() && begun.elapsed() < std::time::Duration::from_secs(30) {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let mut told = shown(&daemon);
    let mut expected: Vec<(String, String)> = tried
        .iter()
        .map(|(device, request)| (device.clone(), request.reason.clone().unwrap()))
        .collect();
    told.sort();
    expected.sort();
    assert_eq!(told, expected, "each who tried, by its reason, and nobody else");
}
