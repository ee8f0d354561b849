//! The store on a real disk, and its files as OpenSSL and Python read them.
#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

use super::*;
use crate::authority::{mobileconfig, pem};
use std::process::{Command, Stdio};

const PASSPHRASE: &str = "correct horse battery";

fn store() -> (tempfile::TempDir, Store) {
    let state = tempfile::tempdir().unwrap();
    let store = Store::of_state(state.path());
    (state, store)
}

fn new(seal: Option<&Passphrase>) -> NewAuthority<'_> {
    NewAuthority { school: "Example Academy", years: 10, seal }
}

fn take(store: &Store, step: Step<'_>) -> Entry {
    let prepared = store.prepare(step).unwrap();
    let entry = prepared.entry().cloned().unwrap();
    prepared.commit().unwrap();
    entry
}

fn standings(store: &Store) -> Vec<(String, Standing)> {
    store.entries().unwrap().into_iter().map(|entry| (entry.id, entry.standing)).collect()
}

/// Runs a program, which must be content; what it printed.
fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let ran = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_new_authority_is_its_owners_alone_and_loads() {
    let (_state, store) = store();
    assert!(Authority::load(store.folder(), None).unwrap().is_none(), "none yet");
    let entry = take(&store, Step::Init(new(None)));
    assert_eq!(mode(store.folder()), 0o700);
    for file in fs::read_dir(store.folder()).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    let loaded = Authority::load(store.folder(), None).unwrap().unwrap();
    assert_eq!(loaded.fingerprint(), entry.facts.fingerprint);
    assert_eq!(entry.sealed, Some(false));
    let again = store.prepare(Step::Init(new(None))).unwrap_err();
    assert!(again.to_string().contains("already") && again.fix().contains("ca rotate"));
}

#[test]
fn openssl_reads_the_root() {
    let (_state, store) = store();
    let entry = take(&store, Step::Init(new(None)));
    let path = store.certificate_path(&entry.id).display().to_string();
    let text = run("openssl", &["x509", "-in", &path, "-noout", "-text"], "");
    for expected in [
        "Version: 3",
        "ecdsa-with-SHA256",
        "prime256v1",
        "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0",
        "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n",
        "X509v3 Subject Key Identifier",
    ] {
        assert!(text.contains(expected), "{expected} is missing: {text}");
    }
    let subject = run("openssl", &["x509", "-in", &path, "-noout", "-subject"], "");
    let year = jiff::Timestamp::now().strftime("%Y").to_string();
    assert!(subject.contains(&format!("Example Academy Schoolgate CA {year} ")), "{subject}");
    let printed = run("openssl", &["x509", "-in", &path, "-noout", "-fingerprint", "-sha256"], "");
    assert!(printed.trim().ends_with(&entry.facts.fingerprint), "{printed}");
    run("openssl", &["verify", "-x509_strict", "-CAfile", &path, &path], "");
    assert_eq!(fs::read_to_string(&path).unwrap(), pem(&entry.certificate));
    let canonical = run("openssl", &["x509", "-in", &path], "");
    assert_eq!(canonical, pem(&entry.certificate), "the PEM that OpenSSL would write");
    let days = (entry.facts.not_after - entry.facts.not_before) / 86_400;
    assert!((3_600..=3_650).contains(&days), "{days}");
}

#[test]
fn a_long_or_odd_school_name_still_makes_a_name() {
    for (school, start) in [
        ("St Æthelwold's C of E & R C Voluntary Aided Primary School, Llanfair", "St Æthelwold's"),
        ("", "Schoolgate CA "),
        ("  A\nB  ", "A B Schoolgate CA "),
    ] {
        let (_state, store) = store();
        let entry = take(&store, Step::Init(NewAuthority { school, ..new(None) }));
        assert!(entry.facts.name.starts_with(start), "{}", entry.facts.name);
        assert!(entry.facts.name.contains("Schoolgate CA 2"), "{}", entry.facts.name);
        assert!(entry.facts.name.chars().count() <= 64, "{}", entry.facts.name);
    }
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let (_state, store) = store();
    let entry = take(&store, Step::Init(new(None)));
    let path = store.key_path(&entry.id);
    for bits in [0o640, 0o604, 0o620, 0o660] {
        fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
        let error = Authority::load(store.folder(), None).unwrap_err();
        assert!(matches!(error, AuthorityError::Readable { mode, .. } if mode == bits), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert!(error.fix().starts_with("chmod 600"), "{}", error.fix());
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    assert!(Authority::load(store.folder(), None).is_ok());
}

#[test]
fn a_sealed_key_opens_with_its_passphrase_alone_here_and_in_openssl() {
    let (state, store) = store();
    let passphrase = Passphrase::new(PASSPHRASE).unwrap();
    let entry = take(&store, Step::Init(new(Some(&passphrase))));
    assert_eq!(entry.sealed, Some(true));
    let path = store.key_path(&entry.id);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "{text}");
    assert!(Authority::load(store.folder(), Some(&passphrase)).unwrap().is_some());
    let sealed = Authority::load(store.folder(), None).unwrap_err();
    assert!(matches!(sealed, AuthorityError::Sealed { .. }), "{sealed}");
    let other = Passphrase::new("incorrect horse").unwrap();
    let wrong = Authority::load(store.folder(), Some(&other)).unwrap_err();
    assert!(matches!(wrong, AuthorityError::WrongPassphrase { .. }), "{wrong}");
    assert!(!format!("{passphrase:?}{wrong:?}{wrong}").contains("horse"));

    let file = state.path().join("passphrase");
    fs::write(&file, PASSPHRASE).unwrap();
    let given = format!("file:{}", file.display());
    let path = path.display().to_string();
    let opened = run("openssl", &["pkcs8", "-in", &path, "-passin", &given], "");
    let public = run("openssl", &["pkey", "-pubout"], &opened);
    let certificate = store.certificate_path(&entry.id).display().to_string();
    assert_eq!(public, run("openssl", &["x509", "-in", &certificate, "-noout", "-pubkey"], ""));
    let how = run("openssl", &["asn1parse", "-in", &path], "");
    assert!(how.contains("scrypt") && how.contains("aes-256-cbc"), "{how}");
}

#[test]
fn passphrases_are_read_from_a_first_line_that_not_everybody_may_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passphrase");
    let read = |text: &str, bits| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
        Passphrase::read(&path)
    };
    for text in ["correct horse battery\n", "correct horse battery\r\nsecond", PASSPHRASE] {
        let (_state, store) = store();
        let written = read(text, 0o640).unwrap();
        take(&store, Step::Init(new(Some(&written))));
        let same = Passphrase::new(PASSPHRASE).unwrap();
        assert!(Authority::load(store.folder(), Some(&same)).is_ok(), "{text:?}");
    }
    let cases = [("", 0o600), ("\nsecond line\n", 0o600), ("short", 0o600), (PASSPHRASE, 0o604)];
    for (text, bits) in cases {
        assert!(read(text, bits).is_err(), "{text:?} {bits:o}");
    }
    assert!(Passphrase::read(&folder.path().join("gone")).is_err());
}

#[test]
fn rotation_goes_from_next_to_signs_to_retired_and_back() {
    let (_state, store) = store();
    for step in [Step::Successor(new(None)), Step::Activate, Step::Undo, Step::Retire] {
        let error = store.prepare(step).unwrap_err();
        assert!(error.fix().contains("ca init"), "{step:?}: {error}");
    }
    let old = take(&store, Step::Init(new(None))).id;
    for step in [Step::Activate, Step::Undo, Step::Retire] {
        assert!(store.prepare(step).is_err(), "{step:?} without a successor");
    }
    let fresh = take(&store, Step::Successor(new(None))).id;
    assert_eq!(
        standings(&store),
        [(old.clone(), Standing::Signs), (fresh.clone(), Standing::Next)]
    );
    let signs = || Authority::load(store.folder(), None).unwrap().unwrap().fingerprint();
    let of = |id: &str| store.entry(id.to_owned(), Standing::Retired).unwrap().facts.fingerprint;
    assert_eq!(signs(), of(&old), "the successor signs nothing yet");
    assert!(store.prepare(Step::Successor(new(None))).is_err(), "one at a time");

    take(&store, Step::Activate);
    let after = [(fresh.clone(), Standing::Signs), (old.clone(), Standing::Retiring)];
    assert_eq!((standings(&store), signs()), (after.to_vec(), of(&fresh)));
    assert!(store.prepare(Step::Successor(new(None))).is_err(), "the old one is not retired");
    take(&store, Step::Undo);
    assert_eq!(
        standings(&store),
        [(old.clone(), Standing::Signs), (fresh.clone(), Standing::Next)]
    );
    take(&store, Step::Activate);
    assert!(store.key_path(&old).exists());
    take(&store, Step::Retire);
    assert!(!store.key_path(&old).exists(), "its key is gone");
    assert_eq!(standings(&store), [(fresh, Standing::Signs), (old, Standing::Retired)]);
    assert_eq!(store.entries().unwrap()[1].sealed, None);
}

#[test]
fn a_step_that_is_not_committed_leaves_nothing() {
    let (_state, store) = store();
    drop(store.prepare(Step::Init(new(None))).unwrap());
    assert_eq!(fs::read_dir(store.folder()).unwrap().count(), 0);
    take(&store, Step::Init(new(None)));
    let before = standings(&store);
    drop(store.prepare(Step::Successor(new(None))).unwrap());
    assert_eq!(standings(&store), before);
    assert_eq!(fs::read_dir(store.folder()).unwrap().count(), 3);
}

#[test]
fn a_successor_is_sealed_by_the_passphrase_that_opens_the_current() {
    let (_state, store) = store();
    let right = Passphrase::new(PASSPHRASE).unwrap();
    take(&store, Step::Init(new(Some(&right))));
    assert!(store.prepare(Step::Successor(new(None))).is_err(), "none");
    let wrong = Passphrase::new("another passphrase").unwrap();
    assert!(store.prepare(Step::Successor(new(Some(&wrong)))).is_err(), "another");
    assert_eq!(take(&store, Step::Successor(new(Some(&right)))).sealed, Some(true));
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let (_state, store) = store();
    let entry = take(&store, Step::Init(new(None)));
    let next = take(&store, Step::Successor(new(None)));
    let key = store.key_path(&entry.id);
    let kept = fs::read(&key).unwrap();
    fs::copy(store.key_path(&next.id), &key).unwrap();
    let swapped = Authority::load(store.folder(), None).unwrap_err();
    assert!(swapped.to_string().contains("not its certificate's"), "{swapped}");
    fs::write(&key, "no key").unwrap();
    assert!(Authority::load(store.folder(), None).is_err());
    fs::write(&key, kept).unwrap();
    assert!(Authority::load(store.folder(), None).is_ok());
    fs::copy(store.certificate_path(&next.id), store.certificate_path(&entry.id)).unwrap();
    assert!(Authority::load(store.folder(), None).is_err(), "another certificate");
    for text in ["", "{}", "{\"signs\": \"../../etc/x\"}", "[]"] {
        fs::write(store.folder().join(REGISTER), text).unwrap();
        assert!(Authority::load(store.folder(), None).is_err(), "{text:?}");
    }
}

#[test]
fn apples_profile_holds_every_certificate_and_never_changes() {
    let (_state, store) = store();
    let entries = [take(&store, Step::Init(new(None))), take(&store, Step::Successor(new(None)))];
    let all: Vec<&Entry> = entries.iter().collect();
    let text = mobileconfig("Smith & Sons <Academy>", &all);
    assert_eq!(text, mobileconfig("Smith & Sons <Academy>", &all));
    let script = "
import json, plistlib, sys, uuid
profile = plistlib.loads(sys.stdin.buffer.read(), fmt=plistlib.FMT_XML)
assert profile['PayloadType'] == 'Configuration' and profile['PayloadVersion'] == 1
ids = [uuid.UUID(profile['PayloadUUID'])]
for payload in profile['PayloadContent']:
    assert payload['PayloadType'] == 'com.apple.security.root', payload
    assert payload['PayloadVersion'] == 1 and payload['PayloadIdentifier']
    ids.append(uuid.UUID(payload['PayloadUUID']))
assert len(set(ids)) == 3 and all(id.version == 8 for id in ids), ids
assert profile['PayloadOrganization'] == 'Smith & Sons <Academy>'
print(json.dumps([payload['PayloadContent'].hex() for payload in profile['PayloadContent']]))
";
    let printed = run("python3", &["-c", script], &text);
    let read: Vec<String> = serde_json::from_str(&printed).unwrap();
    let expected: Vec<String> = entries.iter().map(|entry| hex(&entry.certificate)).collect();
    assert_eq!(read, expected);
}
