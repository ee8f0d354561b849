//! Debian's clamd, with one signature of the tests' own and none of ClamAV's: nothing is fetched.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the signature looks for. It is no virus, and no scanner but the tests' own knows it.
pub(crate) const MARKER: &[u8] = b"schoolgate test marker, harmless, 7c1e5a";
/// What clamd calls it.
pub(crate) const VIRUS: &str = "Schoolgate.Test.Marker.UNOFFICIAL";

/// A clamd that runs until it is dropped.
pub(crate) struct Clamd {
    child: Child,
    folder: tempfile::TempDir,
    /// Where it listens besides its socket.
    pub(crate) tcp: SocketAddr,
}

impl Clamd {
    /// Starts one that takes files of 4 MiB, and waits until it answers.
    pub(crate) fn start() -> Clamd {
        Self::start_taking("4M")
    }

    /// The same that takes files of this size, as clamd.conf has it.
    pub(crate) fn start_taking(largest: &str) -> Clamd {
        let program = ["/usr/sbin/clamd", "/usr/local/sbin/clamd", "/usr/bin/clamd"];
        let program = program.into_iter().find(|path| Path::new(path).exists());
        let program =
            program.expect("clamd is missing: apt-get install clamav-daemon, or tests/run");
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("db")).unwrap();
        // NAME:TARGET:OFFSET:HEX; any kind of file, anywhere in it.
        let hex: String = MARKER.iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(at("db/test.ndb"), format!("Schoolgate.Test.Marker:0:*:{hex}\n")).unwrap();
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let tcp = free.local_addr().unwrap();
        drop(free);
        let text = format!(
            "DatabaseDirectory {}\nLocalSocket {}\nTCPSocket {}\nTCPAddr 127.0.0.1\nForeground yes\n\
             StreamMaxLength {largest}\nMaxThreads 4\n",
            at("db").display(),
            at("clamd.ctl").display(),
            tcp.port()
        );
        std::fs::write(at("clamd.conf"), text).unwrap();
        let child = Command::new(program)
            .arg("--config-file")
            .arg(at("clamd.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let clamd = Clamd { child, folder, tcp };
        let begun = Instant::now();
        while !clamd.answers() {
            assert!(begun.elapsed() < Duration::from_secs(60), "clamd does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        clamd
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("clamd.ctl")
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn answers(&self) -> bool {
        let ask = || -> std::io::Result<Vec<u8>> {
            let mut stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"zPING\0")?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer == b"PONG\0")
    }
}

impl Drop for Clamd {
    fn drop(&mut self) {
        self.kill();
    }
}
