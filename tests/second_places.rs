//! Where checkpoints are kept besides the log: an address that they are posted to, and mail by a real mail
//! server over TLS.

use crate::daemon::{Daemon, Plan, free_port, repository, wait_for};
use crate::secure_origin::python;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// A mail server; ends with the test.
pub(crate) struct MailServer(Child);

impl MailServer {
    /// Under a certificate for `name`; takes mail of whoever has `password`.
    pub(crate) fn start(daemon: &Daemon, port: u16, name: &str, password: &str) -> Self {
        let (certificate, key) = daemon.origin.certificate(&[name], false);
        let file = |file: &str| daemon.folder().join(file);
        std::fs::write(file("mail.pem"), certificate).unwrap();
        std::fs::write(file("mail.key"), key).unwrap();
        let mut child = Command::new(python())
            .arg(repository("tests/fixtures/mail_server.py"))
            .arg(port.to_string())
            .args([file("mail.pem"), file("mail.key")])
            .args(["filter", password])
            .arg(file("mail.txt"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n", "the mail server did not start");
        Self(child)
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn school(port: u16) -> Daemon {
    let machine = format!(
        "[audit]\nmail_to = [\"Governors <governors@school.example>\", \"head@school.example\"]\n\
         [mail]\nserver = \"localhost:{port}\"\nfrom = \"filter@school.example\"\n\
         user = \"filter\"\npassword_file = \"mail-password\"\n"
    );
    // Inspected: the proxy trusts the authority of the tests.
    let daemon = Daemon::start_with(&Plan { machine, inspected: true, ..Plan::default() });
    std::fs::write(daemon.folder().join("mail-password"), "right horse\nnot this line\n").unwrap();
    daemon
}

/// Asks for a checkpoint, which is brought to all places that lack one.
fn ask_for_checkpoint(daemon: &Daemon) -> String {
    daemon.run(&["audit", "checkpoint"]).ok().out
}

fn status(daemon: &Daemon) -> String {
    daemon.run(&["doctor", "--json"]).out
}

#[test]
fn the_first_checkpoint_of_a_day_is_mailed_once_and_only_over_tls_and_to_the_right_server() {
    let port = free_port();
    let daemon = school(port);
    let mails = || std::fs::read_to_string(daemon.folder().join("mail.txt")).unwrap_or_default();
    wait_for("a place that cannot be reached", PATIENCE, || {
        status(&daemon).contains("do not reach mail to governors@school.example")
    });

    // A server that is somebody else's gets neither mail nor password.
    let other = MailServer::start(&daemon, port, "other.example", "right horse");
    ask_for_checkpoint(&daemon);
    wait_for("a certificate that is refused", PATIENCE, || {
        status(&daemon).contains("certificate not valid for name")
    });
    drop(other);

    // Nor is anything sent where the password is not taken, and it stands in no message.
    let wrong = MailServer::start(&daemon, port, "localhost", "another horse");
    ask_for_checkpoint(&daemon);
    wait_for("a password that is refused", PATIENCE, || status(&daemon).contains("535"));
    drop(wrong);
    assert_eq!(mails(), "");

    let _right = MailServer::start(&daemon, port, "localhost", "right horse");
    let note = ask_for_checkpoint(&daemon);
    wait_for("mail", PATIENCE, || mails().ends_with("END\n"));
    let mail = mails();
    assert!(mail.starts_with("TO governors@school.example, head@school.example\n"), "{mail}");
    assert!(mail.contains("From: filter@school.example"), "{mail}");
    assert!(mail.contains("Subject: Checkpoint of the filtering log of "), "{mail}");
    // Lines of a mail may be cut (RFC 2045, 6.7): what they hold may not.
    let joined = mail.replace("=\r\n", "").replace("=3D", "=");
    let root = note.lines().nth(2).unwrap();
    assert!(joined.contains(root) && joined.contains("--against"), "{note}\n{mail}");
    wait_for("a place that is reached again", PATIENCE, || {
        !status(&daemon).contains("do not reach mail to")
    });

    // Once a day, whatever is signed.
    ask_for_checkpoint(&daemon);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(mails().matches("END\n").count(), 1, "{}", mails());

    let actions = daemon.run(&["log", "actions", "--event", "checkpoint_failed", "--jsonl"]).ok();
    assert!(actions.out.contains("mail to governors@school.example"), "{}", actions.out);
    for text in [daemon.said(), actions.out, status(&daemon)] {
        assert!(!text.contains("right horse"), "{text}");
    }
}

#[test]
fn each_checkpoint_is_posted_to_the_webhook() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let machine = format!("[audit]\nwebhook = \"http://library.test:{port}/kept/secret-part\"\n");
    let daemon = Daemon::start_with(&Plan { machine, ..Plan::default() });
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut asked = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&asked).contains("\u{2014} ") {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&asked));
        asked.extend_from_slice(&piece[..read]);
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    let asked = String::from_utf8_lossy(&asked).into_owned();
    assert!(asked.starts_with("POST /kept/secret-part HTTP/1.1\r\n"), "{asked}");
    wait_for("a place that is reached", PATIENCE, || {
        daemon.run(&["status"]).out.contains(&format!("also at http://library.test:{port}"))
    });
    // What stands behind the host is often a secret.
    for text in [daemon.said(), daemon.run(&["status"]).out, status(&daemon)] {
        assert!(!text.contains("secret-part"), "{text}");
    }
}
