//! A school with a fake engine behind each host of the shipped search engines, and others behind the addresses of
//! their safe hosts. Each says where it was reached and what it was asked.

use crate::client::{Answer, Client};
use crate::daemon::{Daemon, GUEST, KS3, Plan, Printed, free_port, repository, wait_for};
use crate::inspected::{Secure, authority, trusting};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use toml::Value;

/// Where the engines themselves answer.
pub(crate) const ENGINES: &str = "127.0.0.2";

/// What the shipped file says of one engine.
pub(crate) struct Engine {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) hosts: Vec<String>,
    pub(crate) redialled: Vec<String>,
    pub(crate) refused: Vec<String>,
    pub(crate) plain: Vec<String>,
    pub(crate) safe: String,
    pub(crate) strict: Option<String>,
    pub(crate) path: String,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) cookies: Vec<(String, Option<String>, String)>,
}

/// A host of a pattern.
fn host(pattern: &str) -> String {
    let named = pattern.replace("{country}", "co.uk").replace("{yandex}", "com");
    // `searx.*` is every host with that label.
    named.replace("*.", "some.").replace(".*", ".some.example")
}

fn texts(engine: &Value, key: &str) -> Vec<String> {
    let texts = engine.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    texts.iter().map(|text| host(text.as_str().unwrap())).collect()
}

/// The shipped engines.
pub(crate) fn engines() -> Vec<Engine> {
    let file = repository("rules/defaults/search_engines.toml");
    let file: Value = std::fs::read_to_string(file).unwrap().parse::<toml::Table>().unwrap().into();
    let read = |engine: &Value| {
        let text =
            |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let rows =
            |key: &str| engine.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let redial = engine.get("redial").cloned().unwrap_or(Value::Integer(0));
        let paths = texts(engine, "paths");
        let of_page = |row: &&Value| {
            row.get("paths").is_none() && row.get("add").and_then(Value::as_bool) != Some(false)
        };
        Engine {
            id: text(engine, "id").unwrap(),
            title: text(engine, "title").unwrap(),
            hosts: texts(engine, "hosts"),
            redialled: texts(&redial, "hosts"),
            refused: texts(engine, "refuse"),
            plain: texts(engine, "plain"),
            safe: text(engine, "safe").unwrap(),
            strict: text(&redial, "strict"),
            path: paths.iter().find(|path| *path != "/").cloned().unwrap_or("/".to_owned()),
            parameters: rows("parameters")
                .iter()
                .filter(of_page)
                .map(|row| (text(row, "name").unwrap(), text(row, "strict").unwrap()))
                .collect(),
            headers: rows("headers")
                .iter()
                .map(|row| (text(row, "name").unwrap(), text(row, "strict").unwrap()))
                .collect(),
            cookies: rows("cookies")
                .iter()
                .map(|row| {
                    (text(row, "name").unwrap(), text(row, "part"), text(row, "strict").unwrap())
                })
                .collect(),
        }
    };
    file.get("engine").and_then(Value::as_array).unwrap().iter().map(read).collect()
}

impl Engine {
    /// The hosts that search, or did: the first of many.
    pub(crate) fn some(&self) -> Vec<&String> {
        let most = if self.safe == "none" { 12 } else { 40 };
        self.hosts.iter().chain(&self.redialled).chain(&self.refused).take(most).collect()
    }
}

/// A school with every engine behind its hosts. An engine's answer says where it was reached and what it was asked.
pub(crate) struct Web {
    pub(crate) daemon: Daemon,
    pub(crate) port: u16,
    /// Without TLS.
    pub(crate) plain: u16,
    /// The address of each safe host.
    pub(crate) safe: BTreeMap<String, String>,
    pub(crate) nginx: Child,
}

const ECHO: &str = "$server_addr|$host|$request_uri|cookie=$http_cookie|youtube=$http_youtube_restrict|\
                    google=$http_x_googapps_allowed_domains|$server_protocol";

impl Web {
    pub(crate) fn start(edits: &[(&str, &str)]) -> Self {
        let engines = engines();
        let (port, plain) = (free_port(), free_port());
        let safe: BTreeMap<String, String> = engines
            .iter()
            .filter_map(|engine| engine.strict.clone())
            .zip(10..)
            .map(|(host, last)| (host, format!("127.0.0.{last}")))
            .collect();
        let leak = |text: &str| &*text.to_owned().leak();
        let mut hosts: BTreeMap<&'static str, Vec<&'static str>> = BTreeMap::new();
        for engine in &engines {
            for host in engine.some().into_iter().chain(&engine.plain) {
                hosts.insert(leak(host), vec![ENGINES]);
            }
        }
        for host in ["accounts.google.co.uk", "docs.google.com", "library.test.example"] {
            hosts.insert(host, vec![ENGINES]);
        }
        for (host, address) in &safe {
            hosts.insert(leak(host), vec![leak(address)]);
        }
        let names: Vec<&str> = hosts.keys().copied().collect();
        let daemon = Daemon::start_with(&Plan {
            inspected: true,
            tls_ports: vec![port],
            hosts: hosts.clone().into_iter().collect(),
            edits: [
                (
                    "pupil = { safe_search = true, inspect = \"page\" }",
                    "pupil = { safe_search = true, video = \"strict\", images = \"safe\", inspect = \"page\" }",
                ),
                ("guest = {}", "guest = { safe_search = true, video = \"strict\" }"),
            ]
            .iter()
            .chain(edits)
            .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()))
            .collect(),
            ..Plan::default()
        });
        let folder = daemon.folder().to_owned();
        let at = |name: &str| folder.join(name).display().to_string();
        // One safe host shows a certificate that is not the engine's.
        let own = ["strict-safe-search.ecosia.org"];
        for (name, names) in [("web", &names[..]), ("own", &own[..])] {
            let (certificate, key) = daemon.origin.certificate(names, false);
            std::fs::write(at(&format!("{name}.pem")), certificate).unwrap();
            std::fs::write(at(&format!("{name}.key")), key).unwrap();
        }
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};\n", at(&format!("nginx-{kind}"))))
            .concat();
        let mut servers = String::new();
        for address in [ENGINES].into_iter().chain(safe.values().map(String::as_str)) {
            let name =
                if Some(address) == safe.get(own[0]).map(String::as_str) { "own" } else { "web" };
            let _ = writeln!(
                servers,
                "server {{ listen {address}:{port} ssl http2; listen {address}:{plain}; server_name _;\n\
                 ssl_certificate {}; ssl_certificate_key {};\n\
                 location / {{ default_type text/plain; return 200 \"{ECHO}\"; }} }}",
                at(&format!("{name}.pem")),
                at(&format!("{name}.key")),
            );
        }
        let configuration = format!(
            "daemon off; master_process off; pid {}; error_log {};\n\
             events {{}}\nhttp {{ access_log off; large_client_header_buffers 4 64k; {temporary}{servers} }}\n",
            at("web.pid"),
            at("web-error.log"),
        );
        std::fs::write(at("web.conf"), configuration).unwrap();
        let program = if std::path::Path::new("/usr/sbin/nginx").exists() {
            "/usr/sbin/nginx"
        } else {
            "nginx"
        };
        let nginx = Command::new(program)
            .args(["-p", &at(""), "-c", &at("web.conf")])
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(at("web-said.log")).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("nginx: {error}\n  fix: run `bash tests/run`"));
        wait_for("nginx", Duration::from_secs(20), || {
            std::net::TcpStream::connect((ENGINES, port)).is_ok()
        });
        Self { daemon, port, plain, safe, nginx }
    }

    /// Asks a host of an engine over HTTP/1.1: looked into where the school's authority is trusted.
    pub(crate) fn ask(
        &self,
        from: IpAddr,
        host: &str,
        path: &str,
        fields: &str,
    ) -> Result<Answer, String> {
        let pem = match from {
            GUEST => self.daemon.origin.authority_pem.clone().into_bytes(),
            _ => std::fs::read(authority(&self.daemon)).unwrap(),
        };
        let authority = format!("{host}:{}", self.port);
        let config = trusting(&pem, &[b"http/1.1"]);
        let tunnel = Secure::open_to(&self.daemon, from, &authority, host, config);
        let mut tunnel = tunnel.map_err(|error| error.to_string())?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n");
        std::io::Write::write_all(&mut tunnel.stream, request.as_bytes()).unwrap();
        tunnel.read().map_err(|error| error.to_string())
    }

    /// The answer to a CONNECT alone.
    pub(crate) fn connect(&self, from: IpAddr, host: &str) -> Answer {
        let mut client = Client::connect_from(from, self.daemon.proxy);
        client.tunnel(&format!("{host}:{}", self.port), &[])
    }

    /// curl over HTTP/2 from a pupil's address.
    pub(crate) fn curl(&self, host: &str, path: &str, more: &[&str]) -> Printed {
        let proxy = format!("http://{}", self.daemon.proxy);
        let url = format!("https://{host}:{}{path}", self.port);
        let pem = authority(&self.daemon).display().to_string();
        let from = KS3.to_string();
        let usual = ["-sS", "--http2", "--max-time", "20", "-x", &proxy, "--cacert", &pem];
        let output = Command::new("curl")
            .args(usual)
            .args(["--interface", &from, &url])
            .args(more)
            .output()
            .unwrap();
        Printed {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
        if std::thread::panicking() {
            let said = std::fs::read_to_string(self.daemon.folder().join("web-said.log"));
            eprintln!("{}{}", said.unwrap_or_default(), self.daemon.said());
        }
    }
}
