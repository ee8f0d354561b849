//! A school whose pupils' pages are looked into, and what it visits: nginx over HTTP/2, with a
//! WebSocket, an event stream and git behind it, and a gRPC server.

use crate::daemon::{Daemon, Plan, Printed, free_port, repository, wait_for};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The host of the pages, of a category that pupils may see.
pub(crate) const SITE: &str = "library.test";
/// A host whose certificate ended long ago.
pub(crate) const EXPIRED: &str = "school.test";
/// A host that pupils may not see.
pub(crate) const BLOCKED: &str = "casino.test";

/// A running school with its site.
pub(crate) struct SecureSchool {
    /// The school; whoever sits at this machine is a pupil of level ks2.
    pub daemon: Daemon,
    /// The port of the pages.
    pub port: u16,
    /// The port of gRPC.
    pub grpc: u16,
    servers: Vec<Child>,
}

/// A request as the site saw it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    /// Method.
    pub method: String,
    /// Path without its query.
    pub path: String,
    /// Version of HTTP, e.g. `HTTP/2.0`.
    pub version: String,
}

impl SecureSchool {
    /// Starts both.
    pub(crate) fn start() -> Self {
        let (port, grpc) = (free_port(), free_port());
        let daemon = Daemon::start_with(&Plan {
            inspected: true,
            tls_ports: vec![port, grpc],
            edits: vec![("[who]\n".into(), "[who]\n\"net:127.0.0.1/32\" = \"ks2\"\n".into())],
            ..Plan::default()
        });
        let mut school = Self { daemon, port, grpc, servers: Vec::new() };
        for (name, hosts, expired) in
            [("site", &[SITE, BLOCKED][..], false), ("expired", &[EXPIRED], true)]
        {
            let (certificate, key) = school.daemon.origin.certificate(hosts, expired);
            std::fs::write(school.file(&format!("{name}.pem")), certificate).unwrap();
            std::fs::write(school.file(&format!("{name}.key")), key).unwrap();
        }
        for from in ["secure/index.html", "site/style.css", "site/picture.svg", "site/script.js"] {
            let from = repository("tests/fixtures").join(from);
            let name = from.file_name().unwrap().to_str().unwrap().to_owned();
            school.publish(&name, &std::fs::read(from).unwrap());
        }
        let (websocket, web) = (free_port(), free_port());
        school.start_python(websocket, web);
        school.start_nginx(websocket, web);
        school
    }

    /// A file of the school's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.daemon.folder().join(name)
    }

    /// Puts a page on the site.
    pub(crate) fn publish(&self, path: &str, bytes: &[u8]) {
        let file = self.file("pages").join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    /// The URL of a path at a host.
    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.port)
    }

    /// The school's own authority, as devices have it.
    pub(crate) fn authority(&self) -> PathBuf {
        let entries = std::fs::read_dir(self.file("ca")).unwrap();
        let mut files = entries.map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some_and(|end| end == "pem")).unwrap()
    }

    /// The same as text, for command lines.
    pub(crate) fn authority_text(&self) -> String {
        self.authority().display().to_string()
    }

    /// The proxy as programs take it.
    pub(crate) fn proxy(&self) -> String {
        format!("http://{}", self.daemon.proxy)
    }

    /// Runs a program in the school's folder, without this test's surroundings.
    pub(crate) fn run(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Printed {
        let program = program.as_ref();
        let output = Command::new(program)
            .args(arguments)
            .current_dir(self.daemon.folder())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.daemon.folder())
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap_or_else(|error| {
                panic!("{}: {error}\n  fix: run `bash tests/run`", program.display())
            });
        Printed {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// What the site was asked, sorted. A request stands here once its answer has ended.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let text = std::fs::read_to_string(self.file("nginx-access.log")).unwrap_or_default();
        let mut seen: Vec<Seen> = text
            .lines()
            .map(|line| {
                let mut parts = line.split(' ').map(str::to_owned);
                let mut next = || parts.next().unwrap();
                Seen { method: next(), path: next(), version: next() }
            })
            .collect();
        seen.sort();
        seen
    }

    /// Method and path of every allowed request to the site's pages in the log, sorted; all were
    /// looked into.
    pub(crate) fn recorded(&self) -> Vec<(String, String)> {
        let records = self.daemon.records();
        let codes: std::collections::HashSet<_> =
            records.iter().map(|record| record["code"].as_str()).collect();
        assert_eq!(codes.len(), records.len(), "a code stands for one request");
        let mut pages: Vec<(String, String)> = records
            .iter()
            .filter(|record| record["scheme"] == "https" && record["verdict"] == "allow")
            .filter(|record| record["port"] == self.port)
            .map(|record| {
                assert_eq!(record["depth"], "page", "{record}");
                assert_eq!(record["host"], SITE, "{record}");
                let text = |key: &str| record[key].as_str().unwrap().to_owned();
                // A WebSocket on a stream of HTTP/2 is opened by CONNECT, and goes to the site by
                // GET (RFC 8441, 5).
                (text("method").replace("CONNECT", "GET"), text("path"))
            })
            .collect();
        pages.sort();
        pages
    }

    /// Waits until the log holds exactly what the site was asked, each request once, and these paths
    /// among them; gives what the site saw.
    #[track_caller]
    pub(crate) fn check_records(&self, paths: &[&str]) -> Vec<Seen> {
        let mut pair = (Vec::new(), Vec::new());
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(15) {
            pair = (self.seen(), self.recorded());
            let asked = pair.0.iter().map(|seen| (&seen.method, &seen.path));
            let there = |path: &&str| pair.1.iter().any(|(_, recorded)| recorded == path);
            if asked.eq(pair.1.iter().map(|(method, path)| (method, path)))
                && paths.iter().all(there)
            {
                return pair.0;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("asked and recorded differ, or {paths:?} are missing: {pair:#?}");
    }

    fn start_python(&mut self, websocket: u16, web: u16) {
        std::fs::create_dir_all(self.file("repositories")).unwrap();
        let [certificate, key] = ["site.pem", "site.key"].map(|name| self.file(name));
        let mut child = Command::new(python())
            .arg(repository("tests/fixtures/secure/origin.py"))
            .args([websocket, web, self.grpc].map(|port| port.to_string()))
            .args([certificate, key, self.file("repositories")])
            .env_remove("http_proxy")
            .env_remove("https_proxy")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        self.servers.push(child);
        assert_eq!(said, "ready\n", "the site's Python did not start");
    }

    fn start_nginx(&mut self, websocket: u16, web: u16) {
        let folder = self.daemon.folder();
        let at = |name: &str| folder.join(name).display().to_string();
        let port = self.port;
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};\n", at(&format!("nginx-{kind}"))))
            .concat();
        // One process, so that its end is the end of all, with this test's rights on its folder.
        let configuration = format!(
            "daemon off; master_process off; pid {pid}; error_log {error};\n\
             events {{}}\n\
             http {{\n{temporary}\
             map $request_uri $path {{ ~^(?<before>[^?]*) $before; }}\n\
             log_format short '$request_method $path $server_protocol'; access_log {access} short;\n\
             types {{ text/html html; text/css css; text/javascript js; image/svg+xml svg; }}\n\
             server {{\n\
               listen 127.0.0.1:{port} ssl http2 default_server; server_name {SITE};\n\
               ssl_certificate {site}; ssl_certificate_key {site_key}; root {pages};\n\
               location /socket {{ proxy_pass http://127.0.0.1:{websocket}; proxy_http_version 1.1;\n\
                 proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}\n\
               location /events {{ proxy_pass http://127.0.0.1:{web}; proxy_buffering off; }}\n\
               location /git/ {{ proxy_pass http://127.0.0.1:{web}/; client_max_body_size 0; }}\n\
             }}\n\
             server {{\n\
               listen 127.0.0.1:{port} ssl http2; server_name {EXPIRED};\n\
               ssl_certificate {old}; ssl_certificate_key {old_key}; root {pages};\n\
             }}\n}}\n",
            pid = at("nginx.pid"),
            error = at("nginx-error.log"),
            access = at("nginx-access.log"),
            site = at("site.pem"),
            site_key = at("site.key"),
            old = at("expired.pem"),
            old_key = at("expired.key"),
            pages = at("pages"),
        );
        let file = self.file("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let said = std::fs::File::create(self.file("nginx-said.log")).unwrap();
        let child = Command::new(nginx())
            .args(["-p", &at(""), "-c", &at("nginx.conf")])
            .stdin(Stdio::null())
            .stderr(said)
            .spawn()
            .unwrap_or_else(|error| panic!("nginx: {error}\n  fix: run `bash tests/run`"));
        self.servers.push(child);
        wait_for("nginx", Duration::from_secs(20), || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }
}

impl Drop for SecureSchool {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
        if std::thread::panicking() {
            for name in ["nginx-said.log", "nginx-error.log"] {
                eprintln!("{}", std::fs::read_to_string(self.file(name)).unwrap_or_default());
            }
        }
    }
}

/// nginx, which lies where only administrators look.
fn nginx() -> &'static str {
    if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" }
}

/// A program of the Python environment that `tests/run` makes.
pub(crate) fn of_python(program: &str) -> PathBuf {
    let folder = std::env::var_os("SCHOOLGATE_TEST_PYTHON").map_or_else(
        || {
            let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
            let cache = cache.unwrap_or_else(|| {
                PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache")
            });
            cache.join("schoolgate-tests/python")
        },
        PathBuf::from,
    );
    let file = folder.join("bin").join(program);
    assert!(file.exists(), "{} is missing\n  fix: run `bash tests/run`", file.display());
    file
}

/// Python with the packages of `tests/requirements.txt`.
pub(crate) fn python() -> PathBuf {
    of_python("python")
}
