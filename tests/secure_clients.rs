//! Programs that people really use, through tunnels that are looked into: their devices trust the
//! school's authority, and the site speaks HTTP/2.

use crate::client::Client;
use crate::daemon::{Printed, repository, wait_for};
use crate::secure_origin::{BLOCKED, EXPIRED, SITE, SecureSchool, of_python, python};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::time::Duration;

/// Runs a script of the fixtures with Python.
fn run_script(school: &SecureSchool, script: &str, arguments: &[&str]) -> Printed {
    let script = repository("tests/fixtures/secure").join(script).display().to_string();
    school.run(python(), &[&[script.as_str()], arguments].concat())
}

/// curl as a pupil's device runs it.
fn curl(school: &SecureSchool, arguments: &[&str]) -> Printed {
    let (proxy, authority) = (school.proxy(), school.authority_text());
    let usual = ["-sS", "--max-time", "20", "-x", &proxy, "--cacert", &authority];
    school.run("curl", &[&usual[..], arguments].concat())
}

#[test]
fn curl_speaks_both_versions_and_sees_the_page_of_a_block_and_of_a_fault() {
    let school = SecureSchool::start();
    let told = ["-o", "/dev/null", "-w", "%{http_version} %{http_code} %{ssl_verify_result}\n"];
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        for (host, status) in [(SITE, 200), (BLOCKED, 403), (EXPIRED, 403)] {
            let url = school.url(host, &format!("/index.html?{version}"));
            let out = curl(&school, &[&told[..], &[flag, &url]].concat()).ok().out;
            assert_eq!(out, format!("{version} {status} 0\n"), "{flag} {url}");
        }
    }
    // The site's answer came to the proxy over HTTP/2, whatever the client speaks.
    let url = school.url(SITE, "/index.html?via");
    let via = curl(&school, &["-I", "--http1.1", &url]).ok().out.to_lowercase();
    assert!(via.contains("\r\nvia: 2.0 schoolgate"), "{via}");
    let several = ["/style.css", "/script.js", "/picture.svg", "/nowhere"];
    let urls = several.map(|path| school.url(SITE, path));
    let mut arguments = vec!["--http2", "--parallel"];
    for url in &urls {
        arguments.extend(["-o", "/dev/null", url.as_str()]);
    }
    arguments.extend(["-w", "%{http_version} %{http_code}\n"]);
    let out = curl(&school, &arguments).ok().out;
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["2 200", "2 200", "2 200", "2 404"]);

    let seen = school.check_records(&several);
    assert_eq!(seen.len(), 7);
    assert!(seen.iter().all(|seen| seen.version == "HTTP/2.0"), "{seen:?}");
    let records = school.daemon.records();
    let of = |host: &str, reason: &str| {
        let inside = records.iter().filter(|record| record["scheme"] == "https");
        let blocked = inside.filter(|record| record["host"] == host).inspect(|record| {
            assert_eq!(record["verdict"], "block", "{record}");
            assert_eq!(record["reason"], reason, "{record}");
            assert_eq!(record["depth"], "page", "{record}");
            assert_eq!(record["path"], "/index.html", "{record}");
        });
        blocked.count()
    };
    assert_eq!((of(BLOCKED, "category"), of(EXPIRED, "tls_expired")), (2, 2), "{records:#?}");
}

#[test]
fn curl_without_the_authority_sees_nothing() {
    let school = SecureSchool::start();
    let proxy = school.proxy();
    let refused = school.run("curl", &["-sS", "-x", &proxy, &school.url(SITE, "/index.html")]);
    assert_eq!(refused.code, 60, "curl's code for a certificate that it does not trust");
    assert_eq!(refused.out, "");
    assert!(school.seen().is_empty(), "nothing was asked");
}

#[test]
fn curl_uploads_whole_and_downloads_whole() {
    let school = SecureSchool::start();
    let bytes: Vec<u8> =
        (0..5 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    school.publish("large.bin", &bytes);
    for (flag, name) in [("--http1.1", "one"), ("--http2", "two")] {
        let url = school.url(SITE, "/large.bin");
        curl(&school, &[flag, "-o", name, &url]).ok();
        assert!(std::fs::read(school.file(name)).unwrap() == bytes, "{flag}: not what was sent");
    }
    school.check_records(&["/large.bin"]);
}

#[test]
fn git_clones_and_pushes() {
    let school = SecureSchool::start();
    let git = |arguments: &[&str]| school.run("git", arguments);
    let who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
    git(&["init", "-q", "-b", "main", "work"]).ok();
    let text: String =
        (0..20_000).map(|line| format!("{line} {}\n", line * 7919 % 10007)).collect();
    std::fs::write(school.file("work/lesson.txt"), &text).unwrap();
    git(&["-C", "work", "add", "lesson.txt"]).ok();
    git(&[&who[..], &["-C", "work", "commit", "-q", "-m", "Lesson"]].concat()).ok();
    git(&["clone", "-q", "--bare", "work", "repositories/lesson.git"]).ok();
    git(&["-C", "repositories/lesson.git", "config", "http.receivepack", "true"]).ok();

    let proxy = format!("http.proxy={}", school.proxy());
    let trusted = format!("http.sslCAInfo={}", school.authority_text());
    let through =
        |arguments: &[&str]| git(&[&["-c", &proxy, "-c", &trusted][..], &who, arguments].concat());
    through(&["clone", "-q", &school.url(SITE, "/git/lesson.git"), "copy"]).ok();
    assert_eq!(std::fs::read_to_string(school.file("copy/lesson.txt")).unwrap(), text);
    std::fs::write(school.file("copy/more.txt"), text.repeat(3)).unwrap();
    through(&["-C", "copy", "add", "more.txt"]).ok();
    through(&["-C", "copy", "commit", "-q", "-m", "More"]).ok();
    through(&["-C", "copy", "push", "-q"]).ok();
    let log = git(&["-C", "repositories/lesson.git", "log", "--format=%s"]).ok().out;
    assert_eq!(log, "More\nLesson\n");
    let refused = through(&["clone", "-q", &school.url(BLOCKED, "/git/lesson.git"), "blocked"]);
    assert!(refused.code != 0 && refused.err.contains("403"), "{refused:?}");
    school.check_records(&[
        "/git/lesson.git/info/refs",
        "/git/lesson.git/git-upload-pack",
        "/git/lesson.git/git-receive-pack",
    ]);
}

#[test]
fn pip_downloads_from_an_index() {
    let school = SecureSchool::start();
    let wheel = "lesson-1.0-py3-none-any.whl";
    let script = "import sys, zipfile\n\
        with zipfile.ZipFile(sys.argv[1], 'w') as wheel:\n    \
        for name, text in [('lesson.py', ''), ('lesson-1.0.dist-info/RECORD', ''),\n        \
        ('lesson-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: lesson\\nVersion: 1.0\\n'),\n        \
        ('lesson-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')]:\n        \
        wheel.writestr(name, text)\n";
    std::fs::create_dir_all(school.file("pages/simple/lesson")).unwrap();
    school.run(python(), &["-c", script, &format!("pages/simple/lesson/{wheel}")]).ok();
    let link = format!("<!doctype html><a href=\"{wheel}\">{wheel}</a>");
    school.publish("simple/lesson/index.html", link.as_bytes());
    let (proxy, authority) = (school.proxy(), school.authority_text());
    let download = |host: &str| {
        let index = school.url(host, "/simple");
        school.run(
            python(),
            &[
                &["-m", "pip", "--isolated", "--disable-pip-version-check", "--no-cache-dir"][..],
                &["--retries", "0", "--proxy", &proxy, "--cert", &authority],
                &["download", "-q", "-i", &index, "-d", "got", "lesson"],
            ]
            .concat(),
        )
    };
    download(SITE).ok();
    let [got, sent] = ["got", "pages/simple/lesson"]
        .map(|folder| std::fs::read(school.file(folder).join(wheel)).unwrap());
    assert_eq!(got, sent);
    assert_ne!(download(BLOCKED).code, 0);
    school.check_records(&["/simple/lesson/", &format!("/simple/lesson/{wheel}")]);
}

#[test]
fn python_requests_keeps_a_session_and_reads_a_refusal() {
    let school = SecureSchool::start();
    let script = "import sys, requests\n\
        proxy, authority, page, blocked, expired = sys.argv[1:]\n\
        session = requests.Session()\n\
        session.trust_env = False\n\
        session.proxies = {'https': proxy}\n\
        session.verify = authority\n\
        session.headers['Accept'] = 'application/json'\n\
        for number in range(10):\n    \
        answer = session.get(page, params={'number': number}, timeout=20)\n    \
        assert answer.status_code == 200 and 'Fractions' in answer.text, answer.text\n\
        for url, reason in [(blocked, 'category'), (expired, 'tls_expired')]:\n    \
        answer = session.get(url, timeout=20)\n    \
        assert (answer.status_code, answer.json()['reason']) == (403, reason), answer.text\n";
    let [page, blocked, expired] =
        [SITE, BLOCKED, EXPIRED].map(|host| school.url(host, "/index.html"));
    let (proxy, authority) = (school.proxy(), school.authority_text());
    school.run(python(), &["-c", script, &proxy, &authority, &page, &blocked, &expired]).ok();
    let seen = school.check_records(&["/index.html"]);
    assert_eq!(seen.len(), 10, "{seen:?}");
    // One tunnel for ten pages, one for each that was refused.
    let records = school.daemon.records();
    let tunnels = records.iter().filter(|record| record["scheme"] == "tunnel");
    assert_eq!(tunnels.count(), 3, "{records:#?}");
}

#[test]
fn grpc_keeps_its_trailers_and_its_streams() {
    let school = SecureSchool::start();
    let target = format!("{SITE}:{}", school.grpc);
    let (proxy, authority) = (school.proxy(), school.authority_text());
    let done = run_script(&school, "grpc_client.py", &[&proxy, &authority, &target]).ok();
    assert_eq!(done.out, "done\n", "{done:?}");
    let records = school.daemon.wait_records(5);
    let mut paths: Vec<&str> = records
        .iter()
        .filter(|record| record["scheme"] == "https")
        .inspect(|record| {
            assert_eq!(record["depth"], "page", "{record}");
            assert_eq!(record["method"], "POST", "{record}");
            assert_eq!(record["end"], "complete", "{record}");
        })
        .map(|record| record["path"].as_str().unwrap())
        .collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/Lessons/Each", "/Lessons/One", "/Lessons/One", "/Lessons/One"]);
}

#[test]
fn a_websocket_on_a_stream_of_http2_goes_beside_other_requests() {
    let school = SecureSchool::start();
    let [host, port] =
        [school.daemon.proxy.ip().to_string(), school.daemon.proxy.port().to_string()];
    let target = format!("{SITE}:{}", school.port);
    let authority = school.authority_text();
    let arguments = [&host, &port, &authority, &target].map(String::as_str);
    let done = run_script(&school, "websocket_over_http2.py", &arguments).ok();
    assert_eq!(done.out, "done\n", "{done:?}");
    let recorded = |path: &str| {
        let records = school.daemon.wait_records(5);
        let mut found = records.into_iter().filter(|record| record["path"] == path);
        (found.next().unwrap(), found.count())
    };
    let (socket, more) = recorded("/socket/h2");
    assert_eq!((&socket["depth"], more), (&"page".into(), 0), "{socket}");
    assert_eq!(socket["end"], "complete", "{socket}");
    assert_eq!(recorded("/style.css").1, 0);
    let (broken, more) = recorded("/socket/broken");
    assert_eq!((&broken["end"], more), (&"aborted".into(), 0), "{broken}");
    wait_for("what the site saw", Duration::from_secs(5), || school.seen().len() == 4);
}

/// Leads every connection through a tunnel to the site: sslyze can ask for tunnels itself, but does
/// so without the `Host` that RFC 9112, 3.2 demands, and gets its 400.
fn relay(school: &SecureSchool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (proxy, target) = (school.daemon.proxy, format!("{SITE}:{}", school.port));
    std::thread::spawn(move || {
        for from in listener.incoming() {
            let mut from = from.unwrap();
            let target = target.clone();
            std::thread::spawn(move || {
                let Ok(mut client) = Client::try_connect_from(proxy.ip(), proxy) else { return };
                if client.tunnel(&target, &[]).status != 200 {
                    return;
                }
                let mut to = client.stream;
                let (mut from_again, mut to_again) =
                    (from.try_clone().unwrap(), to.try_clone().unwrap());
                let up = std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from_again, &mut to_again);
                    let _ = to_again.shutdown(Shutdown::Write);
                });
                let _ = std::io::copy(&mut to, &mut from);
                let _ = from.shutdown(Shutdown::Both);
                let _ = up.join();
            });
        }
    });
    address
}

#[test]
fn sslyze_finds_what_mozilla_recommends() {
    let school = SecureSchool::start();
    let relay = relay(&school);
    let target = format!("{SITE}:{}{{127.0.0.1}}", relay.port());
    let found = school.run(
        of_python("sslyze"),
        &["--mozilla_config=intermediate", "--certinfo_ca_file", &school.authority_text(), &target],
    );
    assert_eq!(found.code, 0, "{found:?}");
    assert!(found.out.contains("OK - Compliant"), "{}", found.out);
}
