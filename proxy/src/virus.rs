//! One file on its way through the virus scanner: handed over as it comes, held back until the answer.
//!
//! Where no turn is free it is gathered, and handed over once it is whole: a site that is slow, or a client that has it
//! so, does not keep the scanner from others.

use crate::clamd::{Scan, Scanned, Scanner, Turn, Unavailable};
use crate::room::Held;
use crate::scan::Stopped;
use crate::trickle::Trickle;
use bytes::Bytes;
use categorizer::page::Unscannable;
use rules::decide::{ReasonCode, Verdict};
use rules::file::ScanRule;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// One scan.
pub(crate) struct VirusScan {
    rule: ScanRule,
    scanner: Option<Scanner>,
    client: IpAddr,
    state: State,
    /// What came and was not handed over, and how many bytes of each are counted in `copies`.
    waiting: VecDeque<(Bytes, u64)>,
    /// What is kept besides the file as it came: without its coding.
    copies: Option<Held>,
    /// Bytes of that which are being handed over.
    handed: u64,
    /// Bytes that came.
    came: u64,
    is_whole: bool,
    begun: Instant,
    trickle: Trickle,
    /// Milliseconds of the longest scan, with what comes before it.
    longest_ms: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

enum State {
    /// No turn was free.
    Later,
    /// It takes more.
    Ready(Box<Scan>),
    /// It takes what it was given, or answers.
    Busy(Pin<Box<dyn Future<Output = Result<Box<Scan>, Scanned>>>>),
    /// It has answered.
    Done(Scanned),
}

/// What becomes of the file.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is passed on.
    Clean,
    /// It was not scanned, and is passed on all the same: that is recorded.
    Passed(Stopped),
    /// It is refused.
    Refused(Stopped),
}

/// What came first of a file of which it is not known whether it is scanned, without its coding: all of it, or nothing
/// once there is no room for it.
pub(crate) struct Beginning {
    bytes: Vec<u8>,
    place: Option<Held>,
}

impl Beginning {
    /// Nothing yet.
    pub(crate) fn of(scanner: Option<&Scanner>, client: IpAddr) -> Self {
        Self { bytes: Vec::new(), place: scanner.map(|scanner| scanner.hold(client)) }
    }

    /// Takes what comes next.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.place.as_mut().is_some_and(|place| place.add(bytes.len() as u64)) {
            self.bytes.extend_from_slice(bytes);
        } else {
            *self = Self { bytes: Vec::new(), place: None };
        }
    }

    /// What came; `None` where there was no room for it.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        self.place.take().map(|_| std::mem::take(&mut self.bytes))
    }
}

impl VirusScan {
    /// Begins for a client; without a scanner there is no answer, nor about the part of a file. `length` is what was
    /// announced of the file, or 0.
    pub(crate) fn begin(
        (scanner, client): (Option<&Scanner>, IpAddr),
        (rule, is_part): (ScanRule, bool),
        length: u64,
    ) -> Self {
        let settings = scanner.map(Scanner::settings);
        let most = settings.map_or(u64::MAX, |settings| settings.max_file_bytes);
        let state = match scanner {
            None => State::Done(Scanned::Unavailable(Unavailable::Refused)),
            Some(_) if length > most => State::Done(Scanned::TooLarge),
            Some(_) if is_part => State::Done(Scanned::Unavailable(Unavailable::Part)),
            Some(scanner) => match scanner.early_turn(client) {
                Some(turn) => begun_early(scanner, turn),
                None => State::Later,
            },
        };
        let begin_after_ms = settings.map_or(0, |settings| settings.trickle_after_ms);
        Self {
            rule,
            scanner: scanner.cloned(),
            client,
            state,
            waiting: VecDeque::new(),
            copies: scanner.map(|scanner| scanner.hold(client)),
            handed: 0,
            came: 0,
            is_whole: false,
            begun: Instant::now(),
            trickle: Trickle { begin_after_ms, ..Trickle::default() },
            longest_ms: settings
                .map_or(0, |it| it.connect_timeout_ms.saturating_add(it.scan_timeout_ms)),
            timer: None,
        }
    }

    /// The next bytes of the file, which are held and counted as they were sent.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.wait(bytes, 0);
    }

    /// The next bytes of the file, held besides it: they are counted until they were handed over.
    pub(crate) fn push_copy(&mut self, bytes: &[u8]) {
        if matches!(self.state, State::Done(_)) {
            return;
        }
        let counted = bytes.len() as u64;
        if self.copies.as_mut().is_some_and(|copies| copies.add(counted)) {
            self.wait(Bytes::copy_from_slice(bytes), counted);
        } else {
            self.no_room();
        }
    }

    fn wait(&mut self, bytes: Bytes, counted: u64) {
        if matches!(self.state, State::Done(_)) || bytes.is_empty() {
            return;
        }
        self.came = self.came.saturating_add(bytes.len() as u64);
        let most = self.scanner.as_ref().map_or(0, |scanner| scanner.settings().max_file_bytes);
        if self.came > most {
            return self.give_up(Scanned::TooLarge);
        }
        self.waiting.push_back((bytes, counted));
    }

    /// The file is over.
    pub(crate) fn end(&mut self) {
        self.is_whole = true;
    }

    /// The rest of it cannot be decoded.
    pub(crate) fn cannot_be_read(&mut self, why: Unscannable) {
        self.give_up(match why {
            Unscannable::TooLarge => Scanned::TooLarge,
            _ => Scanned::Unavailable(Unavailable::Part),
        });
    }

    /// No more of it may be held back.
    pub(crate) fn no_room(&mut self) {
        self.give_up(Scanned::Unavailable(Unavailable::Busy));
    }

    fn give_up(&mut self, scanned: Scanned) {
        if !matches!(self.state, State::Done(_)) {
            self.state = State::Done(scanned);
            self.waiting = VecDeque::new();
            self.copies = None;
        }
    }

    /// When its client gets the first bytes although there is no answer.
    pub(crate) fn trickles_from(&self) -> Instant {
        self.begun + Duration::from_millis(self.trickle.begin_after_ms)
    }

    /// How long an exchange with it may go without a byte, where others may for so long.
    pub(crate) fn idle_ms(&self, idle_ms: u64) -> u64 {
        const ROOM_MS: u64 = 5_000;
        let is_gathered = matches!(self.state, State::Later) && !self.is_whole;
        if idle_ms == 0 || is_gathered {
            idle_ms
        } else {
            idle_ms.max(self.longest_ms.saturating_add(ROOM_MS))
        }
    }

    /// How many bytes may go now, of so many that came in all and so many that went.
    pub(crate) fn may_go(&self, came: u64, went: u64) -> u64 {
        self.trickle.now(came, went, self.waited_ms())
    }

    fn waited_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Ready when more may go; otherwise the task is woken then.
    pub(crate) fn poll_trickle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let next = Duration::from_millis(self.trickle.next_in_ms(self.waited_ms()));
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(next)));
        ready!(timer.as_mut().poll(cx));
        self.timer = None;
        Poll::Ready(())
    }

    /// Hands over what waits. Ready with the answer, or without where more of the file is wanted.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Answer, &'static str)>> {
        loop {
            match &mut self.state {
                State::Busy(work) => {
                    self.state = match ready!(work.as_mut().poll(cx)) {
                        Ok(scan) => State::Ready(scan),
                        Err(scanned) => State::Done(scanned),
                    };
                    let handed = std::mem::take(&mut self.handed);
                    self.copies.iter_mut().for_each(|copies| copies.let_go(handed));
                }
                State::Done(scanned) => {
                    let word = scanned.word();
                    return Poll::Ready(Some((answer(scanned, self.rule), word)));
                }
                State::Later if !self.is_whole => return Poll::Ready(None),
                State::Later => {
                    let none = State::Done(Scanned::Unavailable(Unavailable::Refused));
                    let scanner = self.scanner.as_ref();
                    self.state = scanner.map_or(none, |scanner| begun(scanner, self.client));
                }
                State::Ready(_) if self.waiting.is_empty() && !self.is_whole => {
                    return Poll::Ready(None);
                }
                State::Ready(_) => self.go_on(),
            }
        }
    }

    /// Hands over the next of what waits, or asks for the answer.
    fn go_on(&mut self) {
        let none = State::Done(Scanned::Unavailable(Unavailable::Fault));
        let State::Ready(scan) = std::mem::replace(&mut self.state, none) else { return };
        self.state = State::Busy(match self.waiting.pop_front() {
            Some((bytes, counted)) => {
                self.handed = counted;
                Box::pin(hand_over(scan, bytes))
            }
            None => Box::pin(async move { Err(scan.finish().await) }),
        });
    }
}

/// A scan that waits for its turn, and for its connection.
fn begun(scanner: &Scanner, client: IpAddr) -> State {
    let scanner = scanner.clone();
    State::Busy(Box::pin(async move {
        scanner.begin(client).await.map(Box::new).map_err(Scanned::Unavailable)
    }))
}

/// A scan that has its turn, and waits for its connection.
fn begun_early(scanner: &Scanner, turn: Turn) -> State {
    let scanner = scanner.clone();
    State::Busy(Box::pin(async move {
        scanner.begin_early(turn).await.map(Box::new).map_err(Scanned::Unavailable)
    }))
}

async fn hand_over(mut scan: Box<Scan>, bytes: Bytes) -> Result<Box<Scan>, Scanned> {
    match scan.feed(&bytes).await.cloned() {
        None => Ok(scan),
        Some(scanned) => Err(scanned),
    }
}

fn answer(scanned: &Scanned, rule: ScanRule) -> Answer {
    let (code, verdict, said) = match scanned {
        Scanned::Clean => return Answer::Clean,
        Scanned::Virus(name) => (ReasonCode::Virus, Verdict::Block, name.as_str()),
        Scanned::TooLarge => (ReasonCode::ScanTooLarge, rule.if_too_large, scanned.word()),
        Scanned::Unavailable(_) => {
            (ReasonCode::ScanUnavailable, rule.if_unavailable, scanned.word())
        }
    };
    let said = Stopped { code, rule: Some(format!("virus scanner: {said}").into()) };
    match verdict {
        Verdict::Block => Answer::Refused(said),
        Verdict::Allow => Answer::Passed(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ScannerPlace, ScannerSettings};

    /// One that nobody answers for.
    fn scanner(max_scans: usize) -> Scanner {
        Scanner::new(ScannerSettings {
            place: ScannerPlace::Socket("/nowhere".into()),
            connect_timeout_ms: 1,
            scan_timeout_ms: 1,
            max_file_bytes: 100,
            max_scans,
            trickle_after_ms: 1,
        })
    }

    #[test]
    fn a_client_holds_a_quarter_and_what_was_scanned_leaves_room_for_what_waits() {
        let scanner = scanner(8);
        let client = IpAddr::from([10, 0, 0, 1]);
        let mut file = scanner.hold(client);
        assert!(file.add(200) && !scanner.hold(client).add(1));
        scanner.leaves(&mut file);
        assert!(scanner.hold(client).add(200), "it waits for its client alone");
    }

    #[test]
    fn what_is_kept_without_its_coding_counts_until_it_is_given_up() {
        let scanner = scanner(1);
        let client = IpAddr::from([10, 0, 0, 1]);
        let is_full = || !scanner.hold(client).add(1);
        let mut beginning = Beginning::of(Some(&scanner), client);
        beginning.push(&[1; 60]);
        beginning.push(&[2; 40]);
        assert!(is_full());
        assert_eq!(beginning.take().map(|bytes| bytes.len()), Some(100));
        assert!(!is_full());
        let mut beginning = Beginning::of(Some(&scanner), client);
        beginning.push(&[1; 60]);
        beginning.push(&[2; 41]);
        assert!(!is_full() && beginning.take().is_none(), "half a file is none");

        let rule = ScanRule { if_unavailable: Verdict::Block, if_too_large: Verdict::Block };
        let begin = || VirusScan::begin((Some(&scanner), client), (rule, false), 0);
        let mut scan = begin();
        scan.push_copy(&[1; 100]);
        assert!(is_full() && !matches!(scan.state, State::Done(_)));
        let mut other = begin();
        other.push_copy(&[1; 1]);
        assert!(matches!(other.state, State::Done(Scanned::Unavailable(Unavailable::Busy))));
        scan.push(Bytes::from_static(b"x"));
        assert!(!is_full(), "it is given up, and holds nothing");
        assert!(matches!(scan.state, State::Done(Scanned::TooLarge)));
    }
}
