//! curl as a pupil's device, read while its answer still comes.

use crate::daemon::Daemon;
use crate::inspected::authority;
use crate::streaming_origin::{PATIENCE, Version};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One request of curl's, and what came of its answer so far.
pub(crate) struct Reader {
    child: Child,
    came: Arc<Came>,
    head: std::path::PathBuf,
}

#[derive(Default)]
struct Came {
    bytes: Mutex<Vec<u8>>,
    ended: AtomicBool,
}

/// What came of an answer that is over.
#[derive(Debug)]
pub(crate) struct Over {
    /// curl's exit code: 0 where the answer ended in order.
    pub code: i32,
    /// The body, its coding taken off.
    pub body: Vec<u8>,
    /// What curl said of it.
    pub said: String,
}

impl Over {
    /// Whether it broke off in the middle, and did not end in order.
    pub(crate) fn is_cut(&self) -> bool {
        // A transfer that was not whole, one that was broken off, and a stream of HTTP/2 that was taken back.
        matches!(self.code, 18 | 56 | 92)
    }
}

impl Reader {
    /// Asks for a URL through the filter. `who` says who asks, in curl's words.
    pub(crate) fn start(
        daemon: &Daemon,
        who: &[&str],
        version: Version,
        url: &str,
        more: &[&str],
    ) -> Self {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let head = daemon.folder().join(format!("head-{}.txt", NUMBER.fetch_add(1, SeqCst)));
        let version = if version == Version::Two { "--http2" } else { "--http1.1" };
        let mut child = Command::new("curl")
            .args(["-sS", "-N", version, "--compressed", "--max-time", "120"])
            .args(["-x", &format!("http://{}", daemon.proxy), "--cacert"])
            .arg(authority(daemon))
            .arg("-D")
            .arg(&head)
            .args(who)
            .args(more)
            .arg(url)
            .env_remove("http_proxy")
            .env_remove("https_proxy")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("curl: {error}\n  fix: run `bash tests/run`"));
        let came = Arc::new(Came::default());
        let (mut out, filled) = (child.stdout.take().unwrap(), Arc::clone(&came));
        std::thread::spawn(move || {
            let mut piece = [0; 64 << 10];
            while let Ok(bytes) = out.read(&mut piece) {
                if bytes == 0 {
                    break;
                }
                filled.bytes.lock().unwrap().extend_from_slice(&piece[..bytes]);
            }
            filled.ended.store(true, SeqCst);
        });
        Self { child, came, head }
    }

    /// The body so far.
    pub(crate) fn body(&self) -> Vec<u8> {
        self.came.bytes.lock().unwrap().clone()
    }

    /// Whether nothing more comes.
    pub(crate) fn has_ended(&self) -> bool {
        self.came.ended.load(SeqCst)
    }

    /// The answer's head, once it is there.
    pub(crate) fn head(&self) -> String {
        let heads = std::fs::read_to_string(&self.head).unwrap_or_default();
        // That of the tunnel stands before it.
        heads.trim_end().rsplit("\r\n\r\n").next().unwrap_or_default().to_owned()
    }

    /// Waits until so much of it came, by what a test counts; `false`: it ended before.
    #[track_caller]
    pub(crate) fn reaches(&self, wanted: impl Fn(&[u8]) -> bool) -> bool {
        let begun = Instant::now();
        loop {
            // In this order: what came last is looked at.
            let ended = self.has_ended();
            if wanted(&self.came.bytes.lock().unwrap()) {
                return true;
            }
            if ended {
                return false;
            }
            let body = || String::from_utf8_lossy(&self.body()).into_owned();
            assert!(begun.elapsed() < PATIENCE, "it does not come: {}", body());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn over(mut self) -> Over {
        let begun = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code().unwrap_or(-1);
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(2));
        };
        self.reaches(|_| false);
        let mut said = String::new();
        let _ = self.child.stderr.take().map(|mut error| error.read_to_string(&mut said));
        Over { code, body: self.body(), said }
    }

    /// Goes away in the middle.
    pub(crate) fn leave(self) {
        drop(self);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
