//! Chromium and Firefox through tunnels that are looked into. Both trust the school's authority in
//! their own databases and warn of any other certificate.

use crate::browser::{Browser, trust};
use crate::daemon::{free_port, wait_for};
use crate::secure_origin::{BLOCKED, EXPIRED, SITE, SecureSchool};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What a page shows of itself once it and its parts are there.
const PARTS: &str = "return {
  title: document.title,
  colour: getComputedStyle(document.querySelector('h1')).color,
  picture: document.getElementById('picture').naturalWidth,
  versions: [...new Set(['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))
    .map(entry => entry.nextHopProtocol))],
};";

/// Sends two messages on a WebSocket, waits for them to come back and closes it.
const WEBSOCKET: &str = "return new Promise(done => {
  const socket = new WebSocket('wss://' + location.host + '/socket/browser'), got = [];
  socket.onopen = () => { socket.send('fractions'); socket.send('d'.repeat(100000)); };
  socket.onmessage = event => { got.push(event.data.length); if (got.length == 2) socket.close(1000); };
  socket.onclose = event => done({ got, code: event.code, clean: event.wasClean });
});";

/// Listens to an event stream, which has no end, until the third event.
const EVENTS: &str = "return new Promise((done, failed) => {
  const events = new EventSource('/events/browser'), got = [];
  events.onmessage = event => {
    got.push(event.data);
    if (got.length == 3) { events.close(); done(got); }
  };
  events.onerror = () => failed(new Error('the stream broke'));
});";

/// What a browser is asked to do, whichever it is.
trait Drive {
    /// Opens a page; the error is the browser's own.
    fn visit(&mut self, url: &str) -> Result<(), String>;
    /// What a script in the page returns.
    fn returned(&mut self, script: &str) -> Value;
}

impl Drive for Browser {
    fn visit(&mut self, url: &str) -> Result<(), String> {
        self.open(url).map(drop)
    }

    fn returned(&mut self, script: &str) -> Value {
        self.script(script)
    }
}

/// Does with a browser what a pupil does, and holds the log against what the site was asked.
fn use_the_web(school: &SecureSchool, browser: &mut impl Drive) {
    browser.visit(&school.url(SITE, "/index.html")).unwrap();
    let parts = json!({
        "title": "Script ran", "colour": "rgb(1, 2, 3)", "picture": 40, "versions": ["h2"],
    });
    assert_eq!(browser.returned(PARTS), parts);
    let echoed = json!({ "got": [9, 100_000], "code": 1000, "clean": true });
    assert_eq!(browser.returned(WEBSOCKET), echoed);
    assert_eq!(browser.returned(EVENTS), json!(["0", "1", "2"]));

    let blocked_page = "return [document.querySelector('h1').textContent, document.body.innerText]";
    let mut texts = Vec::new();
    for (host, path) in [(BLOCKED, "/roulette"), (EXPIRED, "/old")] {
        // Our page, and no warning of the browser's own, whose address is another.
        let url = school.url(host, path);
        browser.visit(&url).unwrap();
        assert_eq!(browser.returned("return location.href"), url);
        let shown = browser.returned(blocked_page);
        let heading = shown[0].as_str().unwrap();
        assert!(!heading.is_empty(), "{shown}");
        texts.push(shown[1].as_str().unwrap().to_owned());
    }
    // The event stream ends for the site when nobody reads it any more.
    let seen = school.check_records(&[
        "/index.html",
        "/style.css",
        "/script.js",
        "/picture.svg",
        "/socket/browser",
        "/events/browser",
    ]);
    let records = school.daemon.records();
    for ((host, path, reason), text) in
        [(BLOCKED, "/roulette", "category"), (EXPIRED, "/old", "tls_expired")].iter().zip(texts)
    {
        let found: Vec<_> = records
            .iter()
            .filter(|record| record["host"] == *host && record["path"] == *path)
            .collect();
        assert_eq!(found.len(), 1, "{records:#?}");
        assert_eq!(found[0]["verdict"], "block", "{found:?}");
        assert_eq!(found[0]["reason"], *reason, "{found:?}");
        assert_eq!(found[0]["depth"], "page", "{found:?}");
        let code = found[0]["code"].as_str().unwrap();
        assert!(text.contains(code), "the page shows {code}: {text}");
    }
    // Every page came over HTTP/2; a WebSocket goes to the site as HTTP/1.1 switches to it.
    for seen in seen {
        let version = if seen.path.starts_with("/socket") { "HTTP/1.1" } else { "HTTP/2.0" };
        assert_eq!(seen.version, version, "{seen:?}");
    }
}

#[test]
fn chromium_loads_pages_sockets_and_streams_and_shows_blocks_without_a_warning() {
    let school = SecureSchool::start();
    let mut browser = Browser::start_trusting(school.daemon.proxy, Some(&school.authority()));
    use_the_web(&school, &mut browser);
}

#[test]
fn chromium_without_the_authority_warns_and_asks_the_site_nothing() {
    let school = SecureSchool::start();
    // It trusts another: that of the site, which it never gets to see.
    let other = school.file("origin.pem");
    let browser = Browser::start_trusting(school.daemon.proxy, Some(&other));
    for host in [SITE, BLOCKED] {
        browser.open(&school.url(host, "/index.html")).unwrap();
        let warning = browser.script("return location.href + document.body.innerText");
        let warning = warning.as_str().unwrap();
        assert!(warning.starts_with("chrome-error:"), "{warning}");
        assert!(warning.contains("ERR_CERT_AUTHORITY_INVALID"), "{warning}");
    }
    assert!(school.seen().is_empty());
    wait_for("the log says who refused", Duration::from_secs(10), || {
        school.daemon.records().iter().any(|record| record["end"] == "rejected")
    });
}

/// Firefox without a window, driven by its own protocol, Marionette: a length in decimal, a colon
/// and JSON, `[0, id, command, parameters]` there and `[1, id, error, result]` back.
struct Firefox {
    process: Child,
    stream: TcpStream,
    asked: u64,
}

impl Firefox {
    fn start(school: &SecureSchool) -> Self {
        let profile = school.file("firefox");
        trust(&profile, &school.authority());
        let port = free_port();
        let mut preferences = String::new();
        let proxy = school.daemon.proxy;
        for (name, value) in [
            ("marionette.port", json!(port)),
            ("network.proxy.type", json!(1)),
            ("network.proxy.http", json!(proxy.ip().to_string())),
            ("network.proxy.http_port", json!(proxy.port())),
            ("network.proxy.ssl", json!(proxy.ip().to_string())),
            ("network.proxy.ssl_port", json!(proxy.port())),
            ("network.captive-portal-service.enabled", json!(false)),
            ("network.connectivity-service.enabled", json!(false)),
            ("app.normandy.enabled", json!(false)),
            ("datareporting.policy.dataSubmissionEnabled", json!(false)),
        ] {
            let _ = writeln!(preferences, "user_pref(\"{name}\", {value});");
        }
        std::fs::write(profile.join("user.js"), preferences).unwrap();
        let said = std::fs::File::create(school.file("firefox.log")).unwrap();
        let process = Command::new("firefox-esr")
            .args(["--headless", "--no-remote", "--marionette", "--profile"])
            .arg(&profile)
            .env("HOME", school.daemon.folder())
            .env_remove("DISPLAY")
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap_or_else(|error| panic!("firefox-esr: {error}\n  fix: run `bash tests/run`"));
        let mut connected = None;
        wait_for("Firefox", Duration::from_secs(60), || {
            connected = TcpStream::connect(("127.0.0.1", port)).ok();
            connected.is_some()
        });
        let stream = connected.unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut firefox = Self { process, stream, asked: 0 };
        assert_eq!(firefox.read()["marionetteProtocol"], 3);
        firefox.command("WebDriver:NewSession", &json!({})).unwrap();
        firefox
    }

    fn read(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            match byte[0] {
                b':' => break,
                digit => length = length * 10 + usize::from(digit - b'0'),
            }
        }
        let mut text = vec![0; length];
        self.stream.read_exact(&mut text).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    fn command(&mut self, name: &str, parameters: &Value) -> Result<Value, String> {
        self.asked += 1;
        let text = json!([0, self.asked, name, parameters]).to_string();
        self.stream.write_all(format!("{}:{text}", text.len()).as_bytes()).unwrap();
        let answer = self.read();
        assert_eq!(answer[1], self.asked, "{answer}");
        match answer[2]["message"].as_str() {
            Some(message) => Err(message.to_owned()),
            None => Ok(answer[3].clone()),
        }
    }
}

impl Drive for Firefox {
    fn visit(&mut self, url: &str) -> Result<(), String> {
        self.command("WebDriver:Navigate", &json!({ "url": url })).map(drop)
    }

    fn returned(&mut self, script: &str) -> Value {
        let parameters = json!({ "script": script, "args": [] });
        self.command("WebDriver:ExecuteScript", &parameters).unwrap()["value"].clone()
    }
}

impl Drop for Firefox {
    fn drop(&mut self) {
        // Its other processes end with it, once they are told.
        let quit = json!([0, 0, "Marionette:Quit", { "flags": ["eForceQuit"] }]).to_string();
        let _ = self.stream.write_all(format!("{}:{quit}", quit.len()).as_bytes());
        for _ in 0..100 {
            if self.process.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn firefox_loads_pages_sockets_and_streams_and_shows_blocks_without_a_warning() {
    let school = SecureSchool::start();
    let mut firefox = Firefox::start(&school);
    use_the_web(&school, &mut firefox);
}
