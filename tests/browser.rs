//! Chromium, driven through `chromedriver`: pages load through the filter, and the block pages are
//! what UX.md says, measured in the browser that shows them.

use crate::client::Client;
use crate::daemon::{Daemon, Plan, free_port, repository, wait_for};
use crate::replay_school::base64;
use jiff::ToSpan;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What the page looks like from inside. Contrast as in WCAG 2.2, 1.4.3.
const MEASURE: &str = r#"
const parse = text => text.match(/[\d.]+/g).map(Number);
const light = rgb => {
  const part = rgb.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
};
const behind = element => {
  for (let e = element; e; e = e.parentElement) {
    const colour = parse(getComputedStyle(e).backgroundColor);
    if (colour.length < 4 || colour[3] === 1) return colour;
  }
  return matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255];
};
let worst = 21, worstText = '', red = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
  if (!text || !element.getClientRects().length) continue;
  const ink = parse(getComputedStyle(element).color), paper = behind(element);
  const [high, low] = [light(ink), light(paper)].sort((a, b) => b - a);
  const ratio = (high + 0.05) / (low + 0.05);
  if (ratio < worst) { worst = ratio; worstText = text.slice(0, 60); }
  for (const [r, g, b] of [ink, paper]) if (r > 150 && g < 90 && b < 90) red.push(text);
}
const small = [...document.querySelectorAll('a, button, input, select, summary')]
  .map(e => ({ text: e.textContent.trim(), box: e.getBoundingClientRect() }))
  .filter(({ box }) => box.width < 44 || box.height < 44)
  .map(({ text, box }) => `${text}: ${box.width} x ${box.height}`);
return {
  lang: document.documentElement.lang,
  title: document.title,
  h1: [...document.querySelectorAll('h1')].map(e => e.textContent.trim()),
  text: document.body.innerText,
  outside: document.querySelectorAll('script, link, iframe, form, [src], [srcset], object, embed').length,
  loaded: performance.getEntriesByType('resource').map(e => e.name),
  // An origin of its own, so that the site's scripts cannot read the page: it has no cookies at all.
  cookies: (() => { try { return document.cookie; } catch (e) { return e.name; } })(),
  unnamed: [...document.querySelectorAll('svg, img')].filter(e => !e.getAttribute('aria-label') && !e.querySelector('title') && !e.alt && e.getAttribute('aria-hidden') !== 'true').length,
  links: document.querySelectorAll('a').length,
  focusable: [...document.querySelectorAll('a')].every(e => { e.focus(); return document.activeElement === e; }),
  wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  worst, worstText, small, red,
};
"#;

/// A browser session; browser and driver end when it is dropped.
pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    browser_process: Option<Pid>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one that heeds no certificate.
    fn start(proxy: SocketAddr) -> Self {
        Self::start_trusting(proxy, None)
    }

    /// Starts one that trusts the certificate authority in a file besides those it came with, or
    /// heeds no certificate where there is none.
    pub(crate) fn start_trusting(proxy: SocketAddr, authority: Option<&Path>) -> Self {
        Self::launch(&format!("--proxy-server=http://{proxy}"), authority)
    }

    /// Starts one that is told by this argument where the proxy is.
    fn launch(way: &str, authority: Option<&Path>) -> Self {
        let profile = tempfile::tempdir().unwrap();
        if let Some(authority) = authority {
            trust(&profile.path().join(".pki/nssdb"), authority);
        }
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver: {error}\n  fix: run `bash tests/run`"));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut browser = Self {
            driver,
            address,
            session: String::new(),
            browser_process: None,
            _profile: profile,
        };
        wait_for("chromedriver", Duration::from_secs(30), || {
            std::net::TcpStream::connect(address).is_ok()
        });
        let data = browser._profile.path().join("data");
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            way.to_owned(),
            "--proxy-bypass-list=<-loopback>".to_owned(),
            format!("--user-data-dir={}", data.display()),
        ];
        if authority.is_none() {
            arguments.push("--ignore-certificate-errors".to_owned());
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": {
                "args": arguments, "excludeSwitches": ["ignore-certificate-errors"]
            }
        } } });
        let answer = browser.call("POST", "/session", &wanted).unwrap();
        browser.session = answer["sessionId"].as_str().unwrap().to_owned();
        let process = answer["capabilities"]["goog:processID"].as_i64();
        browser.browser_process =
            process.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        browser
    }

    /// One WebDriver command; the error is its message.
    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let mut client = Client::connect(self.address);
        client.stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        client.stream.write_all((head + &body).as_bytes()).unwrap();
        let answer = client.read(method);
        let value = answer.json()["value"].clone();
        match answer.status {
            200 => Ok(value),
            _ => Err(value["message"].as_str().unwrap_or_default().to_owned()),
        }
    }

    fn command(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.call("POST", &format!("/session/{}{path}", self.session), body)
    }

    /// Opens a page and waits until it is there.
    pub(crate) fn open(&self, url: &str) -> Result<Value, String> {
        self.command("/url", &json!({ "url": url }))
    }

    /// What a script in the page returns.
    pub(crate) fn script(&self, text: &str) -> Value {
        self.command("/execute/sync", &json!({ "script": text, "args": [] })).unwrap()
    }

    fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.command("/goog/cdp/execute", &body).unwrap();
    }

    fn prefer(&self, language: &str, scheme: &str, width_px: u32) {
        let agent = self.script("return navigator.userAgent");
        let languages = json!({ "userAgent": agent, "acceptLanguage": language });
        self.devtools("Network.setUserAgentOverride", languages);
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features);
        let size =
            json!({ "width": width_px, "height": 640, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size);
    }

    /// Keeps a picture where people can look at it after the run.
    fn picture(&self, name: &str) -> PathBuf {
        let path = format!("/session/{}/screenshot", self.session);
        let encoded = self.call("GET", &path, &Value::Null).unwrap();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("block-pages");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{name}.png"));
        std::fs::write(&file, from_base64(encoded.as_str().unwrap())).unwrap();
        file
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            let _ = self.call("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        // A browser that did not end with its session would outlive the test.
        if let Some(pid) = self.browser_process {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Puts a certificate authority into a certificate database of NSS, as browsers have it.
pub(crate) fn trust(database: &Path, authority: &Path) {
    std::fs::create_dir_all(database).unwrap();
    let database = format!("sql:{}", database.display());
    let certutil = |arguments: &[&str]| {
        let output = Command::new("certutil").args(["-d", &database]).args(arguments).output();
        let output =
            output.unwrap_or_else(|error| panic!("certutil: {error}\n  fix: run `bash tests/run`"));
        assert!(output.status.success(), "{output:?}");
    };
    certutil(&["-N", "--empty-password"]);
    let file = authority.display().to_string();
    certutil(&["-A", "-n", "School authority", "-t", "C,,", "-i", &file]);
}

/// A school where whoever sits at this machine has a level.
fn school(level: &str) -> Daemon {
    let edit = ("[who]\n".to_owned(), format!("[who]\n\"net:127.0.0.1/32\" = \"{level}\"\n"));
    let daemon = Daemon::start_with(&Plan { edits: vec![edit], ..Plan::default() });
    let site = daemon.folder().join("site");
    std::fs::create_dir_all(&site).unwrap();
    for entry in std::fs::read_dir(repository("tests/fixtures/site")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path)
            .unwrap()
            .replace("@HTTPS@", &daemon.origin.https.port().to_string())
            .replace("@HTTP@", &daemon.origin.http.port().to_string());
        std::fs::write(site.join(path.file_name().unwrap()), text).unwrap();
    }
    daemon.origin.add_folder("site", site);
    daemon
}

/// Changes the level of whoever sits at this machine, as a technician would with an editor; where that
/// opens anything, the safeguarding lead signs it off.
fn set_level(daemon: &Daemon, from: &str, to: &str) {
    let path = daemon.folder().join("policy.toml");
    let policy = std::fs::read_to_string(&path).unwrap();
    let line = |level: &str| format!("\"net:127.0.0.1/32\" = \"{level}\"");
    assert!(policy.contains(&line(from)));
    std::fs::write(&path, policy.replace(&line(from), &line(to))).unwrap();
    // Whether another level opens anything cannot be told from its name: it may have to be signed off.
    std::thread::sleep(Duration::from_secs(1));
    if !daemon.run(&["unblock", "list", "--state", "asked", "--jsonl"]).ok().lines().is_empty() {
        daemon.sign_off();
    }
    let mut client = Client::connect(daemon.proxy);
    let url = daemon.url("casino.test", "/");
    wait_for("the level", Duration::from_secs(3), || {
        client.ask("GET", &url, &[]);
        daemon.records().last().is_some_and(|record| record["level"] == to)
    });
}

#[test]
fn chromium_loads_a_page_with_its_parts_and_leaves_out_what_is_blocked() {
    let daemon = school("ks2");
    let browser = Browser::start(daemon.proxy);
    browser.open(&daemon.url("library.test", "/site/index.html")).unwrap();
    let seen = browser.script(
        "const wide = id => document.getElementById(id).naturalWidth;
         return { title: document.title, colour: getComputedStyle(document.querySelector('h1')).color,
                  near: wide('near'), far: wide('far'), secure: wide('secure'), blocked: wide('blocked') };",
    );
    let expected = json!({
        "title": "Script ran", "colour": "rgb(1, 2, 3)",
        "near": 40, "far": 40, "secure": 40, "blocked": 0,
    });
    assert_eq!(seen, expected);

    browser.command("/frame", &json!({ "id": 0 })).unwrap();
    let frame = browser.script("return document.querySelector('h1').textContent");
    assert!(frame.as_str().is_some_and(|heading| heading.contains("blocked")), "{frame}");
    browser.command("/frame", &json!({ "id": null })).unwrap();

    let refused = browser.open(&format!("https://{}/", daemon.authority("casino.test")));
    let message = refused.expect_err("a tunnel to a blocked host opens");
    assert!(message.contains("ERR_TUNNEL_CONNECTION_FAILED"), "{message}");

    let reached = daemon.origin.asked();
    assert!(reached.iter().all(|asked| !asked.header("host").unwrap().contains("casino")));
    let records = daemon.wait_records(8);
    let tunnels = records.iter().filter(|record| record["scheme"] == "tunnel");
    assert!(tunnels.clone().any(|record| record["host"] == "library.test"), "{records:#?}");
    assert!(tunnels.clone().any(|record| record["verdict"] == "block"), "{records:#?}");
}

#[test]
fn chromium_finds_the_filter_by_the_proxy_file_of_deploy() {
    let daemon = school("ks2");
    let file = std::fs::read_to_string(repository("deploy/proxy.pac")).unwrap();
    let shipped = "PROXY filter.example.sch.uk:3128";
    assert!(file.contains(shipped), "{file}");
    let file = file.replace(shipped, &format!("PROXY {}", daemon.proxy));
    let kind = "application/x-ns-proxy-autoconfig";
    let address = format!("data:{kind};base64,{}", base64(file.as_bytes()));
    let browser = Browser::launch(&format!("--proxy-pac-url={address}"), None);
    // Only the filter knows the way to this name.
    browser.open(&daemon.url("library.test", "/site/index.html")).unwrap();
    assert_eq!(browser.script("return document.title"), "Script ran");
    browser.open(&daemon.url("casino.test", "/")).unwrap();
    let heading = browser.script("return document.querySelector('h1').textContent");
    assert!(heading.as_str().is_some_and(|heading| heading.contains("blocked")), "{heading}");
}

#[test]
fn every_block_page_reads_well_in_chromium_in_english_and_welsh() {
    let daemon = school("ks1");
    let browser = Browser::start(daemon.proxy);
    let mut headings = std::collections::BTreeSet::new();
    let mut before = "ks1";
    for level in ["ks1", "ks2", "ks3", "staff"] {
        if level != before {
            set_level(&daemon, before, level);
            before = level;
        }
        for (language, scheme) in [("en", "light"), ("cy", "dark"), ("en", "dark"), ("cy", "light")]
        {
            browser.prefer(language, scheme, 320);
            browser.open(&daemon.url("casino.test", "/play")).unwrap();
            let seen = browser.script(MEASURE);
            let what = format!("{level} {language} {scheme}: {seen:#}");
            let picture = browser.picture(&format!("{level}-{language}-{scheme}"));
            assert!(std::fs::metadata(picture).unwrap().len() > 2_000, "an empty picture: {what}");
            check_page(&seen, language, &what);
            headings.insert(format!("{} {}", seen["h1"][0], seen["text"]));
        }
    }
    // The code differs from page to page; the words must differ by level and language at least.
    assert!(headings.len() >= 8, "{headings:#?}");
}

/// What holds for every page, whatever its style.
fn check_page(seen: &Value, language: &str, what: &str) {
    assert_eq!(seen["lang"], language, "{what}");
    assert_eq!(seen["h1"].as_array().unwrap().len(), 1, "{what}");
    assert!(!seen["title"].as_str().unwrap().is_empty(), "{what}");
    assert_eq!(seen["outside"], 0, "something to fetch or run: {what}");
    assert_eq!(seen["loaded"], json!([]), "{what}");
    assert_eq!(seen["cookies"], "SecurityError", "{what}");
    assert_eq!(seen["unnamed"], 0, "a picture without words: {what}");
    assert_eq!(seen["wide"], 0, "scrolls sideways at 320 px: {what}");
    assert!(seen["worst"].as_f64().unwrap() >= 4.5, "too little contrast: {what}");
    assert_eq!(seen["small"], json!([]), "targets under 44 px: {what}");
    assert_eq!(seen["red"], json!([]), "no red: {what}");
    assert_eq!(seen["focusable"], true, "a link that the keyboard cannot reach: {what}");
    let text = seen["text"].as_str().unwrap();
    assert!(!text.contains("127.0.0.1"), "an address is shown: {what}");
    assert!(!text.contains('{') && !text.contains('}'), "a blank was not filled in: {what}");
}

#[test]
fn help_comes_first_for_self_harm_and_locked_pages_say_nothing() {
    let daemon = school("ks3");
    let browser = Browser::start(daemon.proxy);
    browser.prefer("en", "light", 320);
    browser.open(&daemon.url("harm.test", "/")).unwrap();
    let seen = browser.script(MEASURE);
    check_page(&seen, "en", &format!("help: {seen:#}"));
    browser.picture("help-en-light");
    let text = seen["text"].as_str().unwrap();
    let childline = text.find("0800 1111").expect("Childline's number");
    assert!(childline < text.to_lowercase().rfind("code").unwrap(), "help comes first: {text}");

    browser.open(&daemon.url("forbidden.test", "/secret-page")).unwrap();
    let seen = browser.script(MEASURE);
    check_page(&seen, "en", &format!("locked: {seen:#}"));
    browser.picture("locked-en-light");
    let text = seen["text"].as_str().unwrap().to_lowercase();
    for word in ["forbidden.test", "secret-page", "csam", "child sexual", "test-csam"] {
        assert!(!text.contains(word), "{word} is shown: {text}");
    }
}

#[test]
fn pages_fit_the_first_flight_of_a_connection() {
    // Whatever the hour of this run, it is not lunch: three days from now is another day of the week.
    let later = jiff::Zoned::now().checked_add(3.days()).unwrap().strftime("%a").to_string();
    let lunch = ("Mon-Fri 12:10-13:10".to_owned(), format!("{later} 12:10-13:10"));
    let daemon = Daemon::start_with(&Plan { edits: vec![lunch], ..Plan::default() });
    let pages = [
        (crate::daemon::KS1, "casino.test"),
        (crate::daemon::KS2, "casino.test"),
        (crate::daemon::KS3, "arcade.test"),
        (crate::daemon::KS3, "harm.test"),
        (crate::daemon::STAFF, "casino.test"),
        (crate::daemon::STAFF, "forbidden.test"),
    ];
    for (from, host) in pages {
        let mut client = Client::connect_from(from, daemon.proxy);
        for language in ["en-GB,en;q=0.9", "cy"] {
            let headers = [("Accept", "text/html"), ("Accept-Language", language)];
            let answer = client.ask("GET", &daemon.url(host, "/"), &headers);
            let bytes = answer.head.len() + answer.body.len();
            assert!(answer.body.starts_with(b"<!doctype html>"), "{}", answer.text());
            assert!(bytes < 14 * 1024, "{host}: {bytes} bytes");
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.contains("default-src 'none'"), "{policy}");
            assert!(answer.header("set-cookie").is_none());
        }
    }
}

/// RFC 4648 base 64, as WebDriver sends pictures.
fn from_base64(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters: Vec<u8> = text.bytes().filter(|&letter| letter != b'=').map(value).collect();
    let bits = letters.iter().fold((Vec::new(), 0u32, 0), |(mut bytes, word, have), &six| {
        let (word, have) = (word << 6 | u32::from(six), have + 6);
        if have >= 8 {
            bytes.push((word >> (have - 8)) as u8);
            return (bytes, word & ((1 << (have - 8)) - 1), have - 8);
        }
        (bytes, word, have)
    });
    bits.0
}
