//! Every file that is shipped for use as it stands loads: `deploy/` and `rules/defaults/`.

use crate::daemon::{Plan, binary, repository, run_in, write_school};
use crate::fake_origin::Origin;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn files(folder: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(repository(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn every_file_in_deploy_is_loaded_by_what_it_is_for() {
    let mut loaded = 0;
    for path in files("deploy") {
        let text = std::fs::read_to_string(&path).unwrap();
        let kind = path.extension().map(|kind| kind.to_string_lossy().into_owned());
        match kind.as_deref() {
            Some("toml") => machine_file(&path),
            Some("service" | "timer" | "socket") => {} // together, below
            Some("yml" | "yaml") => alert_rules(&path, &text),
            Some("pac") => proxy_configuration(&text),
            None if name(&path) == "logrotate" => log_rotation(&path, &text),
            None if name(&path) == "build-profiled" => profiled_build(&text),
            Some("md") => {}
            _ => panic!("no test loads {}", path.display()),
        }
        loaded += 1;
    }
    assert!(loaded >= 5, "only {loaded} files in deploy/");
    units();
}

/// The least that a school's policy may be.
const POLICY: &str = "school = \"S\"\ntimezone = \"Europe/London\"\norder = [\"ks3\"]\n[levels]\nks3 = {}\n\
     [roles]\nit = [\"j.cho\"]\ndsl = [\"q.whitmore\"]\n[unblock]\nauthorise = [\"dsl\"]\n";

/// Without a fault, but that the policy which it names is yet to be put there.
fn machine_file(path: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let machine = folder.path().join("schoolgate.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let named = "policy = \"/etc/schoolgate/policy/policy.toml\"";
    assert!(text.contains(named), "{}", path.display());
    for (policy, code) in [("policy = \"none.toml\"", 3), ("policy = \"policy.toml\"", 0)] {
        std::fs::write(&machine, text.replace(named, policy)).unwrap();
        std::fs::write(folder.path().join("policy.toml"), POLICY).unwrap();
        let said = run_in(folder.path(), &["config", "validate"], "");
        assert_eq!(said.code, code, "{}: {said:?}", path.display());
        assert_eq!(said.err.matches("error:").count(), usize::from(code == 3), "{said:?}");
    }
}

/// `systemd-analyze verify` on copies that start the program under test, as the installed one is
/// not there.
fn units() {
    let folder = tempfile::tempdir().unwrap();
    let mut copies = Vec::new();
    for path in files("deploy") {
        if !matches!(path.extension().and_then(|kind| kind.to_str()), Some("service" | "timer")) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("[Unit]"), "{}", path.display());
        let here = binary().display().to_string();
        let text: Vec<String> = text
            .lines()
            .map(|line| match line.strip_prefix("ExecStart=") {
                Some(start) => {
                    let program = start.split(' ').next().unwrap();
                    line.replacen(program, &here, 1)
                }
                None => line.to_owned(),
            })
            .collect();
        let copy = folder.path().join(name(&path));
        std::fs::write(&copy, text.join("\n")).unwrap();
        copies.push(copy);
    }
    assert!(copies.iter().any(|copy| name(copy) == "schoolgate.service"));
    let verified = program("systemd-analyze").arg("verify").args(&copies).output();
    let verified = verified.unwrap_or_else(|error| panic!("systemd-analyze: {error}\n  {INSTALL}"));
    let said = String::from_utf8_lossy(&verified.stderr);
    // Complaints about units of the machine itself are not ours.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("schoolgate")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[test]
fn the_daemons_unit_lets_it_do_what_it_does_for_those_who_wait() {
    let unit = std::fs::read_to_string(repository("deploy/schoolgate.service")).unwrap();
    let mut allowed = BTreeSet::new();
    for line in unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let (takes_away, calls) = match line.strip_prefix('~') {
            Some(calls) => (true, calls),
            None => (false, line),
        };
        for call in calls.split(' ').flat_map(system_calls) {
            let _ = if takes_away { allowed.remove(&call) } else { allowed.insert(call) };
        }
    }
    // Threads that give way to those that answer, and tunnels whose bytes are not copied.
    for call in ["setpriority", "sched_setattr", "splice", "pipe2", "fcntl"] {
        assert!(allowed.contains(call), "{call} is forbidden");
    }
    for call in ["ptrace", "mount", "chroot", "sched_setscheduler", "kexec_load"] {
        assert!(!allowed.contains(call), "{call} is allowed");
    }
}

/// The system calls of a name as units have it, `@` for a set of them.
fn system_calls(name: &str) -> BTreeSet<String> {
    if !name.starts_with('@') {
        return BTreeSet::from([name.to_owned()]);
    }
    let listed = program("systemd-analyze").args(["syscall-filter", name]).output();
    let listed = listed.unwrap_or_else(|error| panic!("systemd-analyze: {error}\n  {INSTALL}"));
    assert!(listed.status.success(), "{name}: {}", String::from_utf8_lossy(&listed.stderr));
    let text = String::from_utf8(listed.stdout).unwrap();
    let words = text.lines().skip(1).map(str::trim);
    let words = words.filter(|word| !word.is_empty() && !word.starts_with('#'));
    words.flat_map(system_calls).collect()
}

/// What to do where a program is missing.
const INSTALL: &str = "fix: run `bash tests/run`";

/// A program that may stand where only administrators look.
fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"));
    command
}

/// Prometheus alert rules: YAML of the right shape, about metrics that the filter really has.
fn alert_rules(path: &Path, text: &str) {
    let documents = yaml_rust2::YamlLoader::load_from_str(text).unwrap();
    let metrics = metrics_of_a_daemon();
    let mut alerts = 0;
    for group in documents[0]["groups"].as_vec().unwrap() {
        for rule in group["rules"].as_vec().unwrap() {
            let expression = rule["expr"].as_str().unwrap();
            assert!(rule["alert"].as_str().is_some(), "{}: {rule:?}", path.display());
            assert!(rule["annotations"]["summary"].as_str().is_some(), "{rule:?}");
            for word in expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                if OURS.iter().any(|prefix| word.starts_with(prefix)) {
                    let base = word.trim_end_matches("_bucket");
                    let is_told = metrics.contains(&format!("# TYPE {base} "));
                    assert!(is_told, "{expression}: no metric is called {word}");
                }
            }
            alerts += 1;
        }
    }
    assert!(alerts >= 3, "{}: {alerts} alerts", path.display());
    // Prometheus's own tool where it is there: few machines have it.
    if let Ok(checked) = program("promtool").args(["check", "rules"]).arg(path).output() {
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success(), "{}{said}", String::from_utf8_lossy(&checked.stdout));
    }
}

/// How the names of all metrics of the filter begin.
const OURS: [&str; 3] = ["proxy_", "ledger_", "categorizer_"];

#[test]
fn every_metric_is_documented_and_every_documented_one_is_there() {
    let metrics = metrics_of_a_daemon();
    let told: std::collections::BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let text = std::fs::read_to_string(repository("docs/metrics.md")).unwrap();
    let documented: std::collections::BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next())
        .flat_map(|names| names.split("`, `"))
        .map(|name| name.trim_matches('`'))
        .filter(|name| OURS.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    assert_eq!(told, documented);
    assert!(told.iter().all(|name| OURS.iter().any(|prefix| name.starts_with(prefix))), "{told:?}");
}

fn metrics_of_a_daemon() -> String {
    let daemon = crate::daemon::Daemon::start_without_people();
    daemon.get_from(crate::daemon::KS2, &daemon.url("library.test", "/"));
    daemon.get_from(crate::daemon::KS2, &daemon.url("casino.test", "/"));
    let answer = daemon.ops_get("/metrics").unwrap();
    assert_eq!(answer.status, 200);
    let text = answer.text();
    for private in ["library.test", "casino.test", "127.22.0.1"] {
        assert!(!text.contains(private), "{private} is in the metrics");
    }
    text
}

/// A PAC file: the function browsers call, no look-ups, and no way round the filter for the web.
fn proxy_configuration(text: &str) {
    let code: String = text.lines().map(|line| line.split("//").next().unwrap()).collect();
    assert!(code.contains("function FindProxyForURL"));
    for call in ["dnsResolve", "isResolvable", "isInNet", "myIpAddress"] {
        assert!(!code.contains(call), "{call} asks the network");
    }
    assert!(!code.contains("; DIRECT") && !code.contains(";DIRECT"), "DIRECT as a fallback");
    assert_eq!(code.matches('{').count(), code.matches('}').count());
}

fn log_rotation(path: &Path, text: &str) {
    assert!(text.contains('{') && text.contains('}'));
    // A rotation as on a server, but of a log in this folder, and for whoever runs the tests.
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let owner = "create 0640 schoolgate schoolgate";
    assert!(text.contains("/var/log/schoolgate/access.log") && text.contains(owner), "{text}");
    let here = folder.path().display().to_string();
    let text = text.replace("/var/log/schoolgate", &here).replace(owner, "create 0640");
    std::fs::write(at("access.log"), "a line\n").unwrap();
    std::fs::write(at("logrotate"), text).unwrap();
    let mut rotate = program("logrotate");
    let rotated = rotate.arg("-f").arg("-s").arg(at("state")).arg(at("logrotate")).output();
    let rotated = rotated.unwrap_or_else(|error| panic!("logrotate: {error}\n  {INSTALL}"));
    let said = String::from_utf8_lossy(&rotated.stderr);
    assert!(rotated.status.success(), "{}: {said}", path.display());
    assert_eq!(std::fs::read_to_string(at("access.log.1")).unwrap(), "a line\n", "{said}");
    assert_eq!(std::fs::read_to_string(at("access.log")).unwrap(), "", "{said}");
}

/// What the script says where it cannot do its work: a whole build takes too long for a test. Programs of its folder stand in
/// for those that build.
fn profiled_build(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("deploy")).unwrap();
    std::fs::write(at("deploy/build-profiled"), text).unwrap();
    let put = |name: &str, text: &str| {
        std::fs::write(at(name), format!("#!/bin/sh\n{text}")).unwrap();
        std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    put("rustc", "printf 'host: somewhere\\nLLVM version: 999.1\\n'\n");
    put("profdata", "exit 0\n");
    let run = |profdata: Option<&str>| {
        let mut script = Command::new("bash");
        script.arg(at("deploy/build-profiled")).env("ASKED", at("asked"));
        script.env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
        script.env_remove("LLVM_PROFDATA").env_remove("RUSTFLAGS");
        script.envs(profdata.map(|name| ("LLVM_PROFDATA", at(name))));
        let output = script.output().unwrap();
        let asked = std::fs::read_to_string(at("asked")).unwrap_or_default();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), asked)
    };
    let (status, said, asked) = run(None);
    assert!(said.contains("no llvm-profdata of LLVM 999 was found"), "{said}");
    assert_eq!((status, &*asked), (Some(1), ""), "nothing is built before it is known: {said}");
    // Benches that miss a must are no reason to stop, and one that counted nothing is.
    put(
        "cargo",
        "echo \"$RUSTFLAGS $*\" >> \"$ASKED\"\ncase $* in *no-run*) ;; *-binary*|*reading) exit 7;; esac\n",
    );
    let (status, said, asked) = run(Some("profdata"));
    assert!(said.contains("nothing was counted"), "{said}");
    assert_eq!(status, Some(1), "{said}");
    assert!(asked.starts_with("-Cprofile-generate="), "{asked}");
    for bench in ["--bench compare", "--reads", "--only month", "--bench reading"] {
        assert!(asked.contains(bench), "{bench}: {asked}");
    }
    assert!(!asked.contains("profile-use"), "{asked}");
}

#[test]
fn the_starter_policy_is_valid_and_its_own_tests_pass() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = repository("rules/defaults/policy.toml");
    let run = |arguments: &[&str]| {
        let output =
            Command::new(binary()).args(arguments).current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        format!("{}{said}", String::from_utf8_lossy(&output.stdout))
    };
    let policy = shipped.display().to_string();
    run(&["policy", "validate", &policy]);
    run(&["policy", "test", &policy]);
    run(&["config", "validate"]);
}

#[test]
fn every_starter_list_is_in_force_with_the_category_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut asked = Vec::new();
    let mut lists = 0;
    for path in files("rules/defaults/lists") {
        lists += 1;
        let category = path.file_stem().unwrap().to_string_lossy().into_owned();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let entry = line.split('#').next().unwrap().trim();
            if !entry.is_empty() {
                asked.push((entry.to_owned(), category.clone()));
            }
        }
    }
    let mut child = Command::new(binary())
        .args(["check", "-", "--as", "staff", "--jsonl"])
        .current_dir(folder.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let input: String = asked.iter().map(|(entry, _)| format!("{entry}\n")).collect();
    let mut to = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut to, input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let answers: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), asked.len());
    for (answer, (entry, category)) in answers.iter().zip(&asked) {
        let has = answer["categories"]
            .as_array()
            .is_some_and(|all| all.contains(&category.as_str().into()));
        assert!(has, "{entry} of {category}.txt: {answer}");
    }
    assert!(lists > 20 && asked.len() > 300, "{lists} lists, {} entries", asked.len());
}

#[test]
fn the_sample_policy_of_the_tests_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let [proxy, ops] = ["127.0.0.1:9", "127.0.0.1:10"].map(|text| text.parse().unwrap());
    write_school(folder.path(), &Plan::default(), proxy, ops, &Origin::start(&["x.test"]));
    run_in(folder.path(), &["policy", "validate"], "").ok();
    run_in(folder.path(), &["policy", "test"], "").ok();
    run_in(folder.path(), &["config", "validate"], "").ok();
}
