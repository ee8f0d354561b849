//! The program at a terminal: a pseudo-terminal, and somebody who reads and types.

use crate::school::School;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longest wait for words or for the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that runs at a terminal.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
    read: usize,
}

impl Terminal {
    /// Starts the program in a school's folder.
    pub(crate) fn start(school: &School, arguments: &[&str]) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let line = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let stdio = || Stdio::from(line.try_clone().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_schoolgate"))
            .args(arguments)
            .current_dir(school.path(""))
            .env("SCHOOLGATE_SESSIONS", school.path("sessions"))
            .env_remove("SCHOOLGATE_BY")
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .unwrap();
        drop(line);
        let keyboard = File::from(master);
        let mut reader = keyboard.try_clone().unwrap();
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            // The read fails once nobody holds the other end.
            while let Ok(length @ 1..) = reader.read(&mut part) {
                if sender.send(part[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal { child, keyboard, screen, seen: String::new(), read: 0 }
    }

    /// Waits for words; what has come since the last ones.
    pub(crate) fn until(&mut self, words: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(place) = self.seen[self.read..].find(words) {
                let start = self.read;
                self.read += place + words.len();
                return self.seen[start..self.read].to_owned();
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.screen.recv_timeout(left) {
                Ok(part) => self.seen.push_str(&String::from_utf8_lossy(&part)),
                Err(error) => panic!("no {words:?} ({error}): {:?}", self.seen),
            }
        }
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, text: &str) {
        // A question stands on the screen a moment before echo is off, and typing is then dropped.
        std::thread::sleep(Duration::from_millis(200));
        self.keyboard.write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    /// Waits for the end; the exit code.
    pub(crate) fn end(&mut self) -> i32 {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                while let Ok(part) = self.screen.recv_timeout(Duration::from_millis(50)) {
                    self.seen.push_str(&String::from_utf8_lossy(&part));
                }
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no end: {:?}", self.seen);
    }

    /// Everything that was on the screen.
    pub(crate) fn all(&self) -> &str {
        &self.seen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
