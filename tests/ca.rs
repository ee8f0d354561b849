//! `ca` as a technician uses it: the real program, its files judged by OpenSSL and Python.

use crate::daemon::{Daemon, Printed, repository, run_in};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const PASSPHRASE: &str = "correct horse battery";

/// A school with a state folder, and no filter running.
struct School(tempfile::TempDir);

impl School {
    fn new(machine: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in ["policy.toml", "local/ks1.txt"] {
            let to = folder.path().join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(repository("rules/defaults").join(file), to).unwrap();
        }
        let shipped = rules::defaults::MACHINE.replace("state/policy.toml", "policy.toml");
        fs::write(folder.path().join("schoolgate.toml"), shipped + machine).unwrap();
        Self(folder)
    }

    fn run(&self, line: &str) -> Printed {
        self.run_with_input(line, "")
    }

    fn run_with_input(&self, line: &str, input: &str) -> Printed {
        run_in(self.0.path(), &line.split(' ').collect::<Vec<_>>(), input)
    }

    fn authorities(&self) -> Vec<Value> {
        let shown = self.run("ca show --json").ok().json();
        shown.as_array().unwrap().clone()
    }

    fn standings(&self) -> Vec<String> {
        let word = |one: &Value| one["state"].as_str().unwrap().to_owned();
        self.authorities().iter().map(word).collect()
    }

    /// Files of the authority's folder with an ending.
    fn kept(&self, ending: &str) -> Vec<PathBuf> {
        files(&self.0.path().join("state/ca"), ending)
    }

    fn actions(&self) -> Vec<(String, String)> {
        let asked = "log actions --since 1h --event authority_changed --json";
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let entries = self.run(asked).ok().json();
        let entries = entries.as_array().unwrap();
        entries.iter().map(|entry| (text(&entry["by"]), text(&entry["detail"]))).collect()
    }
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    found.retain(|path| path.to_string_lossy().ends_with(ending));
    found.sort();
    found
}

/// Runs a program, which must be content; its standard output.
fn judged_by(program: &str, arguments: &[&str]) -> Vec<u8> {
    let ran = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{program} {arguments:?}: {errors}");
    ran.stdout
}

/// The secret part of a key's file as it would look in text, in the pieces that lines leave. The
/// public key is in the file too, and in the certificate for everybody.
fn secrets(school: &School) -> Vec<String> {
    let mut pieces = Vec::new();
    for key in school.kept(".key") {
        let text = fs::read_to_string(key).unwrap();
        let lines = || text.lines().filter(|line| !line.starts_with("-----"));
        if text.contains("ENCRYPTED") {
            // The first line is much the same for every key.
            pieces.extend(lines().skip(1).map(str::to_owned));
        } else {
            // Bytes 36 to 67 of a P-256 key (RFC 5958, RFC 5915).
            let all: String = lines().collect();
            pieces.extend([all[48..64].to_owned(), all[64..88].to_owned()]);
        }
    }
    assert!(!pieces.is_empty());
    pieces
}

#[test]
fn an_authority_is_made_once_and_shown_without_its_key() {
    let school = School::new("");
    let none = school.run("ca show");
    assert_eq!(none.code, 5, "{none:?}");
    assert!(none.err.contains("schoolgate ca init"), "{none:?}");
    let refused = school.run("ca init --by m.obi");
    assert_eq!((refused.code, refused.err.contains("j.cho")), (4, true), "{refused:?}");
    let would = school.run("ca init --by j.cho --dry-run").ok();
    assert!(would.out.contains("would be made") && school.run("ca show").code == 5, "{would:?}");

    let made = school.run("ca init --by j.cho").ok();
    assert!(made.out.contains("Example Academy Schoolgate CA "), "{made:?}");
    assert!(made.out.contains("schoolgate ca export"), "what to do next: {made:?}");
    let shown = school.authorities();
    let fingerprint = shown[0]["fingerprint_sha256"].as_str().unwrap().to_owned();
    assert_eq!(
        (shown.len(), &shown[0]["state"], &shown[0]["sealed"]),
        (1, &"signs".into(), &false.into())
    );
    assert!(shown[0]["days_left"].as_u64().unwrap() > 3_600, "{shown:?}");
    assert!(made.out.contains(&fingerprint));
    let (by, detail) = &school.actions()[0];
    assert_eq!(by, "j.cho");
    assert!(detail.contains("done: made") && detail.contains(&fingerprint), "{detail}");

    let again = school.run("ca init --by j.cho");
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.err.contains("already") && again.err.contains("fix: "), "{again:?}");
    assert_eq!(school.actions().len(), 1);

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&school.0.path().join("state/ca")), 0o700);
    let keys = school.kept(".key");
    assert_eq!((keys.len(), mode(&keys[0])), (1, 0o600));

    school.run("ca export -o out").ok();
    let mut said = format!("{made:?}{:?}", school.run("ca show"));
    for line in ["status", "doctor", "config show", "log actions --since 1h --json"] {
        let printed = school.run(line);
        said += &format!("{}{}", printed.out, printed.err);
    }
    for file in files(&school.0.path().join("out"), "") {
        said += &String::from_utf8_lossy(&fs::read(file).unwrap());
    }
    for secret in secrets(&school) {
        assert!(!said.contains(&secret), "the key is in what was printed or exported");
    }
}

#[test]
fn exports_are_read_by_openssl_and_by_a_plist_reader() {
    let school = School::new("");
    school.run("ca init").ok();
    let printed = school.run("ca export -o out").ok();
    let folder = school.0.path().join("out");
    let one = |ending: &str| {
        let found = files(&folder, ending);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].display().to_string()
    };
    let (pem, cer, profile) = (one(".pem"), one(".cer"), one(".mobileconfig"));
    let der = fs::read(&cer).unwrap();
    assert_eq!(judged_by("openssl", &["x509", "-in", &pem, "-outform", "DER"]), der);
    let fingerprint = ["x509", "-in", &cer, "-inform", "DER", "-noout", "-fingerprint", "-sha256"];
    let said = String::from_utf8(judged_by("openssl", &fingerprint)).unwrap();
    let fingerprint = said.trim().rsplit('=').next().unwrap();
    assert!(printed.out.contains(fingerprint), "{said} {printed:?}");
    judged_by("openssl", &["verify", "-x509_strict", "-CAfile", &pem, &pem]);
    let script = "import plistlib, sys
profile = plistlib.load(open(sys.argv[1], 'rb'))
sys.stdout.buffer.write(profile['PayloadContent'][0]['PayloadContent'])";
    assert_eq!(judged_by("python3", &["-c", script, &profile]), der);

    let before = fs::read(&profile).unwrap();
    let again = school.run("ca export -o out");
    assert_eq!((again.code, again.err.contains("--yes")), (2, true), "{again:?}");
    school.run("ca export -o out --yes").ok();
    assert_eq!(fs::read(&profile).unwrap(), before, "the same each time");
    school.run("ca export -o other --format cer").ok();
    assert_eq!(files(&school.0.path().join("other"), "").len(), 1);
}

#[test]
fn an_authority_is_replaced_in_steps_each_recorded_and_said() {
    let school = School::new("");
    let early = school.run("ca rotate --by j.cho");
    assert_eq!((early.code, early.err.contains("ca init")), (2, true), "{early:?}");
    school.run("ca init --by j.cho").ok();
    let old = school.authorities()[0]["fingerprint_sha256"].clone();
    let next = school.run("ca rotate --by j.cho").ok();
    assert!(next.out.contains("ca rotate --activate --by j.cho"), "{next:?}");
    assert_eq!(school.standings(), ["signs", "next"]);
    assert_eq!(school.authorities()[0]["fingerprint_sha256"], old);
    school.run("ca export -o out").ok();
    assert_eq!(files(&school.0.path().join("out"), ".pem").len(), 2, "devices get both");

    let unasked = school.run("ca rotate --activate --by j.cho");
    assert_eq!((unasked.code, unasked.err.contains("--yes")), (2, true), "{unasked:?}");
    assert_eq!(school.authorities()[0]["fingerprint_sha256"], old);
    let active = school.run("ca rotate --activate --by j.cho --yes").ok();
    assert!(active.out.contains("--undo") && active.out.contains("--retire"), "{active:?}");
    assert_eq!(school.standings(), ["signs", "retiring"]);
    assert_eq!(school.authorities()[1]["fingerprint_sha256"], old);
    school.run("ca rotate --undo --by j.cho --yes").ok();
    assert_eq!(school.authorities()[0]["fingerprint_sha256"], old);
    school.run("ca rotate --activate --by j.cho --yes").ok();
    school.run("ca rotate --retire --by j.cho --yes").ok();
    assert_eq!(school.standings(), ["signs", "retired"]);
    assert_eq!(school.kept(".key").len(), 1, "the old key is destroyed");
    let done: Vec<String> = school
        .actions()
        .into_iter()
        .map(|(_, detail)| detail.split(';').next().unwrap().to_owned())
        .collect();
    let steps = ["made", "next made", "signs", "signs again", "signs", "retired"];
    assert_eq!(done, steps.map(|step| format!("done: {step}")));
    for line in
        ["ca rotate --activate --undo", "ca rotate --retire --years 3", "ca init --years 11"]
    {
        assert_eq!(school.run(line).code, 2, "{line}");
    }
}

#[test]
fn a_sealed_key_needs_its_passphrase() {
    let school = School::new("\n[ca]\npassphrase_file = \"passphrase\"\n");
    let file = school.0.path().join("passphrase");
    fs::write(&file, PASSPHRASE).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let open = school.run("ca init");
    assert_eq!((open.code, open.err.contains("chmod 600")), (1, true), "{open:?}");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let made = school.run("ca init").ok();
    assert!(made.out.contains("sealed") && !made.out.contains("not sealed"), "{made:?}");
    assert_eq!(school.authorities()[0]["sealed"], true);
    let key = school.kept(".key")[0].display().to_string();
    let given = format!("file:{}", file.display());
    let opened = judged_by("openssl", &["pkcs8", "-in", &key, "-passin", &given]);
    assert!(String::from_utf8(opened).unwrap().contains("BEGIN PRIVATE KEY"));
    assert!(school.run("doctor").out.contains("ok       authority: Example Academy"));

    let other = school.run_with_input("ca rotate --passphrase-file -", "another passphrase\n");
    assert_eq!((other.code, school.standings().len()), (2, 1), "{other:?}");
    fs::write(&file, "the wrong passphrase").unwrap();
    let doctor = school.run("doctor");
    assert!(doctor.out.contains("problem  authority: "), "{doctor:?}");
    assert!(doctor.out.contains("does not open this key"), "{doctor:?}");
    for printed in [made, other, doctor] {
        for secret in [PASSPHRASE, "another passphrase", "the wrong passphrase"] {
            assert!(!printed.out.contains(secret) && !printed.err.contains(secret), "{printed:?}");
        }
    }
}

#[test]
fn status_and_doctor_tell_of_the_authority_of_a_running_filter() {
    let daemon = Daemon::start_without_people();
    let doctor = daemon.run(&["doctor"]);
    assert!(doctor.out.contains("note     authority: none"), "{doctor:?}");
    assert!(daemon.run(&["status"]).out.contains("authority none"));
    daemon.run(&["ca", "init", "--by", "j.cho"]).ok();
    assert!(daemon.run(&["doctor"]).out.contains("ok       authority: "));
    assert!(daemon.run(&["status"]).out.contains("Schoolgate CA "));
    let folder = daemon.folder().join("state/ca");
    let key = files(&folder, ".key").remove(0);
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let doctor = daemon.run(&["doctor"]);
    assert_eq!(doctor.code, 7, "{doctor:?}");
    assert!(doctor.out.contains("other accounts may read it"), "{doctor:?}");
    assert!(doctor.out.contains("chmod 600"), "{doctor:?}");
}
