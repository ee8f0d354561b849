//! Programs that people really use, through the proxy.

use crate::daemon::{Daemon, PASSWORD, Plan, Printed};
use std::path::Path;
use std::process::Command;

/// Runs a client; panics with a way out if it is not installed.
fn run(program: &str, arguments: &[&str], folder: &Path) -> Printed {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}\n  fix: run `bash tests/run`"));
    Printed {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The proxy's URL with credentials, as programs take it.
fn proxy_url(daemon: &Daemon, user: &str) -> String {
    format!("http://{user}:{}@{}", PASSWORD.replace(' ', "%20"), daemon.proxy)
}

/// Writes the test authority's certificate where programs can read it.
fn authority_file(daemon: &Daemon) -> String {
    let path = daemon.folder().join("authority.pem");
    std::fs::write(&path, &daemon.origin.authority_pem).unwrap();
    path.display().to_string()
}

#[test]
fn curl_gets_posts_uploads_and_tunnels() {
    let daemon = Daemon::start();
    let folder = daemon.folder();
    let authority = authority_file(&daemon);
    let proxy = format!("http://{}", daemon.proxy);
    let user = format!("ms.obi:{PASSWORD}");
    let usual = ["-sS", "--max-time", "20", "-x", &proxy, "-U", &user, "--cacert", &authority];
    let curl = |more: &[&str]| run("curl", &[&usual[..], more].concat(), folder);

    let http = daemon.url("library.test", "/echo");
    assert!(curl(&[&http]).ok().out.contains("GET /echo HTTP/1.1"));
    let head = curl(&["-I", &daemon.url("library.test", "/size/77")]).ok().out.to_lowercase();
    assert!(head.contains("content-length: 77"), "{head}");

    let file = folder.join("upload.bin");
    std::fs::write(&file, vec![7; 2 << 20]).unwrap();
    let path = file.display().to_string();
    let uploaded = curl(&["-T", &path, &http]).ok().out;
    assert!(uploaded.contains("\"body_bytes\":2097152"), "{uploaded}");
    let piped = curl(&["-T", "-", "-H", "Transfer-Encoding: chunked", &http]).ok().out;
    assert!(piped.contains("\"body_bytes\":0"), "standard input is empty here: {piped}");
    let posted = curl(&["--data-binary", &format!("@{path}"), "-H", "Expect: 100-continue", &http]);
    assert!(posted.ok().out.contains("\"body_bytes\":2097152"));

    let https = format!("https://{}/echo", daemon.authority("library.test"));
    let secure = curl(&[&https]).ok().out;
    assert!(secure.contains("GET /echo HTTP/1.1"), "{secure}");
    assert!(daemon.origin.asked().last().unwrap().tls);

    let blocked = format!("https://{}/", daemon.authority("casino.test"));
    let refused = curl(&[&blocked]);
    assert_eq!(refused.code, 56, "curl's code for a refused tunnel: {refused:?}");
    let status = ["-o", "/dev/null", "-w", "%{http_code} %{content_type}"];
    let page = curl(&[&status[..], &[&daemon.url("casino.test", "/")]].concat()).ok().out;
    assert!(page.starts_with("403 "), "{page}");

    let wrong = ["-sS", "-x", &proxy, "-U", "ms.obi:wrong", "-o", "/dev/null"];
    let wrong = run("curl", &[&wrong[..], &["-w", "%{http_code}", &http]].concat(), folder);
    assert_eq!(wrong.out, "407", "{wrong:?}");
    assert_eq!(daemon.origin.asked().len(), 6);
}

#[test]
fn programs_that_ask_for_json_get_the_reason_as_json() {
    let daemon = Daemon::start();
    let proxy = proxy_url(&daemon, "kim");
    let url = daemon.url("casino.test", "/");
    let json = run(
        "curl",
        &["-sS", "-x", &proxy, "-H", "Accept: application/json", &url],
        daemon.folder(),
    );
    let problem = json.ok().json();
    assert_eq!(problem["reason"], "category", "{problem}");
    let code = problem["code"].as_str().unwrap();
    daemon.wait_records(1);
    assert_eq!(daemon.run(&["explain", code]).code, 0);
}

#[test]
fn wget_downloads_over_http_and_https() {
    let daemon = Daemon::start();
    let authority = authority_file(&daemon);
    let proxy = format!("http://{}", daemon.proxy);
    let options = [
        "-q".to_owned(),
        "--tries=1".to_owned(),
        "--timeout=20".to_owned(),
        "-e".to_owned(),
        format!("http_proxy={proxy}"),
        "-e".to_owned(),
        format!("https_proxy={proxy}"),
        "--proxy-user=ms.obi".to_owned(),
        format!("--proxy-password={PASSWORD}"),
        format!("--ca-certificate={authority}"),
        "-O".to_owned(),
        "-".to_owned(),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let wget = |url: &str| run("wget", &[&options[..], &[url]].concat(), daemon.folder());
    assert_eq!(wget(&daemon.url("library.test", "/size/5000")).ok().out.len(), 5000);
    let https = format!("https://{}/size/6000", daemon.authority("library.test"));
    assert_eq!(wget(&https).ok().out.len(), 6000);
    assert_eq!(wget(&daemon.url("casino.test", "/")).code, 8, "wget's code for an error answer");
}

#[test]
fn git_clones_over_http_and_https() {
    let daemon = Daemon::start();
    let folder = daemon.folder();
    let authority = authority_file(&daemon);
    let git = |arguments: &[&str]| run("git", arguments, folder);
    let who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
    git(&["init", "-q", "-b", "main", "work"]).ok();
    std::fs::write(folder.join("work/lesson.txt"), "fractions\n".repeat(5000)).unwrap();
    git(&["-C", "work", "add", "lesson.txt"]).ok();
    git(&[&who[..], &["-C", "work", "commit", "-q", "-m", "Lesson"]].concat()).ok();
    git(&["clone", "-q", "--bare", "work", "bare.git"]).ok();
    git(&["-C", "bare.git", "update-server-info"]).ok();
    daemon.origin.add_folder("bare.git", folder.join("bare.git"));

    let proxy = format!("http.proxy={}", proxy_url(&daemon, "ms.obi"));
    let trust = format!("http.sslCAInfo={authority}");
    let clone = |url: &str, to: &str| {
        git(&["-c", &proxy, "-c", &trust, "clone", "-q", url, to]);
        std::fs::read_to_string(folder.join(to).join("lesson.txt")).map(|text| text.len()).ok()
    };
    assert_eq!(clone(&daemon.url("library.test", "/bare.git"), "plain"), Some(50_000));
    let https = format!("https://{}/bare.git", daemon.authority("library.test"));
    assert_eq!(clone(&https, "secure"), Some(50_000));
    assert_eq!(clone(&daemon.url("casino.test", "/bare.git"), "blocked"), None);
}

#[test]
fn python_requests_keeps_a_session() {
    let daemon = Daemon::start();
    let authority = authority_file(&daemon);
    let script = r#"
import sys, requests
proxy, http, https, blocked, authority = sys.argv[1:]
session = requests.Session()
session.trust_env = False
session.proxies = {"http": proxy, "https": proxy}
session.verify = authority
for _ in range(5):
    assert session.get(http, timeout=20).json()["line"].startswith("GET /echo")
sent = session.post(http, data=b"x" * 100000, timeout=20).json()
assert sent["body_bytes"] == 100000, sent
assert session.get(https, timeout=20).json()["line"].startswith("GET /echo")
refused = session.get(blocked, headers={"Accept": "application/problem+json"}, timeout=20)
assert refused.status_code == 403, refused.status_code
assert refused.headers["content-type"].startswith("application/problem+json"), refused.headers
print(refused.json()["reason"])
"#;
    let has_requests =
        |python: &&str| run(python, &["-c", "import requests"], daemon.folder()).code == 0;
    let python = ["/usr/bin/python3", "python3"]
        .into_iter()
        .filter(|python| Command::new(python).arg("--version").output().is_ok())
        .find(has_requests)
        .unwrap_or_else(|| panic!("no Python with requests\n  fix: run `bash tests/run`"));
    let https = format!("https://{}/echo", daemon.authority("library.test"));
    let arguments = [
        "-c",
        script,
        &proxy_url(&daemon, "ms.obi"),
        &daemon.url("library.test", "/echo"),
        &https,
        &daemon.url("casino.test", "/"),
        &authority,
    ];
    assert_eq!(run(python, &arguments, daemon.folder()).ok().out.trim(), "category");
    assert_eq!(daemon.wait_records(8).len(), 8);
}

#[test]
fn apt_updates_and_downloads_a_package() {
    // What installs programs is the technician's to fetch.
    let edits = vec![("it = [\"j.cho\"]".to_owned(), "it = [\"j.cho\", \"ms.obi\"]".to_owned())];
    let daemon = Daemon::start_with(&Plan { edits, people: true, ..Plan::default() });
    let folder = daemon.folder();
    let text = |path: &str, text: &str| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let control = "Package: lesson\nVersion: 1.0\nArchitecture: all\n\
                   Maintainer: Test <test@example.org>\nDescription: A lesson\n";
    text("package/DEBIAN/control", control);
    text("package/usr/share/lesson/text", "fractions\n");
    std::fs::create_dir_all(folder.join("archive")).unwrap();
    run("dpkg-deb", &["-b", "--root-owner-group", "package", "archive/lesson_1.0_all.deb"], folder)
        .ok();
    let bytes = std::fs::metadata(folder.join("archive/lesson_1.0_all.deb")).unwrap().len();
    let sum = run("sha256sum", &["archive/lesson_1.0_all.deb"], folder).ok().out;
    let sum = sum.split(' ').next().unwrap();
    let entry = format!("{control}Filename: ./lesson_1.0_all.deb\nSize: {bytes}\nSHA256: {sum}\n");
    text("archive/Packages", &entry);
    daemon.origin.add_folder("archive", folder.join("archive"));

    text(
        "apt/sources.list",
        &format!("deb [trusted=yes] {} ./\n", daemon.url("library.test", "/archive")),
    );
    for path in ["apt/lists/partial", "apt/cache/archives/partial", "apt/empty"] {
        std::fs::create_dir_all(folder.join(path)).unwrap();
    }
    text("apt/status", "");
    let at = |path: &str| folder.join("apt").join(path).display().to_string();
    let configuration = format!(
        "Dir::Etc::sourcelist \"{}\"; Dir::Etc::sourceparts \"{empty}\"; Dir::Etc::parts \"{empty}\";\n\
         Dir::Etc::main \"/dev/null\"; Dir::State::lists \"{}\"; Dir::State::status \"{}\"; Dir::Cache \"{}\";\n\
         Acquire::http::Proxy \"{}\"; APT::Sandbox::User \"\"; Acquire::Retries \"0\"; Debug::NoLocking \"1\";\n",
        at("sources.list"),
        at("lists"),
        at("status"),
        at("cache"),
        proxy_url(&daemon, "ms.obi"),
        empty = at("empty"),
    );
    text("apt/apt.conf", &configuration);
    let configuration = at("apt.conf");
    let apt = |arguments: &[&str]| {
        run(
            "env",
            &[&["APT_CONFIG", &configuration].join("="), "apt-get"][..]
                .iter()
                .copied()
                .chain(arguments.iter().copied())
                .collect::<Vec<_>>(),
            folder,
        )
    };
    apt(&["update"]).ok();
    apt(&["download", "lesson"]).ok();
    assert_eq!(std::fs::metadata(folder.join("lesson_1.0_all.deb")).unwrap().len(), bytes);
    let hosts: Vec<serde_json::Value> = daemon.wait_records(2);
    assert!(hosts.iter().all(|record| record["host"] == "library.test"), "{hosts:?}");
}
