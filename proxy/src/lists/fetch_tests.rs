//! Tests of fetching, against scripted servers on this computer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Mutex;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

/// A server that answers each path with what `script` gives, and keeps the heads it was sent.
struct Server {
    base: String,
    heads: Arc<Mutex<Vec<String>>>,
}

type Script = fn(path: &str, head: &str) -> Vec<u8>;

fn answer(stream: &mut (impl Read + Write), script: Script, heads: &Mutex<Vec<String>>) {
    let mut head = String::new();
    let mut reader = BufReader::new(&mut *stream);
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let path = head.split(' ').nth(1).unwrap_or("").to_owned();
    heads.lock().unwrap().push(head.clone());
    let _ = stream.write_all(&script(&path, &head));
    let _ = stream.flush();
}

fn serve(script: Script) -> Server {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(&mut stream.unwrap(), script, &kept);
        }
    });
    Server { base, heads }
}

fn response(status: &str, fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

fn config(folder: &Path, url: &str, more: &str) -> Config {
    let text = format!(
        "{more}\n[[lists]]\nname = \"fetched\"\ncategory = \"games\"\nurl = {url:?}\nmax_download_bytes = 100\n"
    );
    Config::parse_own_lists(&text, "schoolgate.toml", folder).unwrap()
}

async fn get(config: &Config) -> Result<Download, String> {
    let crate::config::ListOrigin::Url(url) = &config.lists[0].origin else { panic!() };
    fetch(config, &config.lists[0], url, NOW).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_second_fetch_asks_whether_anything_is_new() {
    let server = serve(|_, head| {
        let fields = "ETag: \"v1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        match head.contains("if-none-match: \"v1\"")
            && head.contains("if-modified-since: Sun, 06 Nov 1994")
        {
            true => response("304 Not Modified", fields, ""),
            false => response("200 OK", fields, "chess.example\n"),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &format!("{}/list", server.base), "");
    let first = get(&config).await.unwrap();
    assert_eq!(std::fs::read_to_string(&first.path).unwrap(), "chess.example\n");
    assert_eq!(first.date, UnixMillis(784_111_777_000));
    let second = get(&config).await.unwrap();
    assert_eq!((second.hash, second.date), (first.hash, first.date));
    // A damaged copy is not vouched for.
    std::fs::write(&first.path, "damaged").unwrap();
    get(&config).await.unwrap();
    assert_eq!(std::fs::read_to_string(&first.path).unwrap(), "chess.example\n");
    let heads = server.heads.lock().unwrap();
    assert_eq!(heads.len(), 3);
    assert!(!heads[2].contains("if-none-match"), "{}", heads[2]);
    assert!(heads[0].contains("user-agent: schoolgate/"), "{}", heads[0]);
}

#[tokio::test]
async fn faults_of_the_server_are_told_and_leave_what_was_fetched() {
    let server = serve(|path, _| match path {
        "/404" => response("404 Not Found", "", "no"),
        "/304" => response("304 Not Modified", "", ""),
        "/html" => {
            response("200 OK", "Content-Type: text/html; charset=utf-8\r\n", "<p>captive portal")
        }
        "/long" => b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n".to_vec(),
        "/endless" => {
            let chunk = format!("40\r\n{}\r\n", "a".repeat(64)).repeat(3);
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}").into_bytes()
        }
        "/cut" => b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nchess.exam".to_vec(),
        "/cutchunk" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nchess".to_vec(),
        "/loop" => response("302 Found", "Location: /loop\r\n", ""),
        "/nowhere" => response("302 Found", "", ""),
        "/out" => response("301 Moved", "Location: http://lists.example.org/\r\n", ""),
        "/inside" => response("301 Moved", "Location: http://10.0.0.1/\r\n", ""),
        "/file" => response("301 Moved", "Location: file:///etc/passwd\r\n", ""),
        "/junk" => b"SSH-2.0-OpenSSH\r\n\r\n".to_vec(),
        _ => response("200 OK", "", "chess.example\n"),
    });
    let folder = tempfile::tempdir().unwrap();
    for (path, says) in [
        ("/404", "answered 404"),
        ("/304", "304 to a plain request"),
        ("/html", "a web page instead of a list"),
        ("/long", "larger than max_download_bytes, 100"),
        ("/endless", "larger than max_download_bytes, 100"),
        ("/cut", "broke off"),
        ("/cutchunk", "broke off"),
        ("/loop", "more than 5 times"),
        ("/nowhere", "without saying where"),
        ("/out", "not https"),
        ("/inside", "not https"),
        ("/file", "not https"),
        ("/junk", ""),
    ] {
        let config = config(folder.path(), &format!("{}{path}", server.base), "");
        let why = get(&config).await.unwrap_err();
        assert!(why.contains(says), "{path}: {why}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path().join("state/downloads")).unwrap().collect();
    assert!(left.is_empty(), "no half file stays: {left:?}");
}

#[tokio::test]
async fn a_redirect_on_the_same_machine_is_followed() {
    let server = serve(|path, _| match path {
        "/a" => response("301 Moved", "Location: /b?x=1\r\n", ""),
        "/b?x=1" => response("200 OK", "", "chess.example\n"),
        _ => response("404 Not Found", "", ""),
    });
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), &format!("{}/a", server.base), "");
    assert_eq!(
        std::fs::read_to_string(get(&config).await.unwrap().path).unwrap(),
        "chess.example\n"
    );
}

#[tokio::test]
async fn names_lead_where_the_machine_file_says_and_never_inside_unasked() {
    let server = serve(|_, _| response("200 OK", "", "chess.example\n"));
    let port = server.base.rsplit(':').next().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let hosts = "[upstream]\nhosts = { \"lists.test\" = \"127.0.0.1\" }\n";
    let allowed = format!("{hosts}allow_private = [\"lists.test\"]\n");
    let inside = config(folder.path(), &format!("http://lists.test:{port}/x"), &allowed);
    get(&inside).await.unwrap();
    assert!(server.heads.lock().unwrap()[0].contains(&format!("host: lists.test:{port}\r\n")));
    // https may be written without allow_private, and is then not dialled inside.
    let outside = config(folder.path(), &format!("https://lists.test:{port}/x"), hosts);
    let why = get(&outside).await.unwrap_err();
    assert!(why.contains("no address that may be dialled"), "{why}");
    assert_eq!(server.heads.lock().unwrap().len(), 1, "nothing was sent");
}

#[tokio::test]
async fn https_is_trusted_by_the_given_authority_alone() {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certified = rcgen::generate_simple_self_signed(vec!["lists.test".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let tls = Arc::new(tls);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heads);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&tls)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            answer(&mut stream, |_, _| response("200 OK", "", "chess.example\n"), &kept);
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), certified.cert.pem()).unwrap();
    let inside = "[upstream]\nhosts = { \"lists.test\" = \"127.0.0.1\" }\nallow_private = [\"lists.test\"]\n";
    let url = format!("https://lists.test:{port}/list");
    let untrusted = config(folder.path(), &url, inside);
    let why = get(&untrusted).await.unwrap_err();
    assert!(why.contains("TLS: "), "{why}");
    assert!(heads.lock().unwrap().is_empty(), "nothing is asked before the server is known");
    let trusted = config(folder.path(), &url, &format!("{inside}ca_files = [\"ca.pem\"]\n"));
    assert_eq!(
        std::fs::read_to_string(get(&trusted).await.unwrap().path).unwrap(),
        "chess.example\n"
    );
}

#[tokio::test]
async fn two_lists_of_one_url_cost_one_request() {
    let server = serve(|_, _| response("200 OK", "", "chess.example\n"));
    let folder = tempfile::tempdir().unwrap();
    let url = format!("{}/list", server.base);
    let text = format!(
        "[[lists]]\nname = \"a\"\ncategory = \"games\"\nurl = {url:?}\n[[lists]]\nname = \"b\"\ncategory = \"adult\"\nurl = {url:?}\n"
    );
    let config = Config::parse_own_lists(&text, "schoolgate.toml", folder.path()).unwrap();
    let log = ledger::changes::ChangeLog::open(&config.state).await.unwrap();
    let lists = super::super::Lists::new(&config, &log);
    let index = lists.index(&super::super::catalogue(&config).unwrap(), NOW).await.unwrap();
    assert_eq!(index.lists().len(), 2);
    assert_eq!(server.heads.lock().unwrap().len(), 1);
    // Not due again before its hours are over; then once more.
    assert_eq!(lists.due_mark(UnixMillis(NOW.0 + 23 * 3_600_000)), None);
    assert!(lists.due_mark(UnixMillis(NOW.0 + 25 * 3_600_000)).is_some());
}

#[test]
fn http_dates_are_read() {
    assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(UnixMillis(784_111_777_000)));
    assert_eq!(http_date("yesterday"), None);
}
