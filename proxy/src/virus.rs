//! One file on its way through the virus scanner: handed over as it comes, held back until the answer.

use crate::clamd::{Scan, Scanned, Scanner, Unavailable};
use crate::scan::Stopped;
use crate::trickle::Trickle;
use bytes::Bytes;
use categorizer::page::Unscannable;
use rules::decide::{ReasonCode, Verdict};
use rules::file::ScanRule;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// One scan.
pub(crate) struct VirusScan {
    rule: ScanRule,
    state: State,
    /// What came and was not handed over.
    waiting: VecDeque<Bytes>,
    is_whole: bool,
    begun: Instant,
    trickle: Trickle,
    /// Milliseconds of the longest scan, with what comes before it.
    longest_ms: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

enum State {
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

impl VirusScan {
    /// Begins; without a scanner there is no answer, nor about the part of a file. `length` is what was announced of
    /// the file, or 0.
    pub(crate) fn begin(
        scanner: Option<&Scanner>,
        (rule, is_part): (ScanRule, bool),
        length: u64,
    ) -> Self {
        let settings = scanner.map(Scanner::settings);
        let most = settings.map_or(u64::MAX, |settings| settings.max_file_bytes);
        let state = match scanner {
            None => State::Done(Scanned::Unavailable(Unavailable::Refused)),
            Some(_) if length > most => State::Done(Scanned::TooLarge),
            Some(_) if is_part => State::Done(Scanned::Unavailable(Unavailable::Part)),
            Some(scanner) => {
                let scanner = scanner.clone();
                State::Busy(Box::pin(async move {
                    scanner.begin().await.map(Box::new).map_err(Scanned::Unavailable)
                }))
            }
        };
        let begin_after_ms = settings.map_or(0, |settings| settings.trickle_after_ms);
        Self {
            rule,
            state,
            waiting: VecDeque::new(),
            is_whole: false,
            begun: Instant::now(),
            trickle: Trickle { begin_after_ms, ..Trickle::default() },
            longest_ms: settings
                .map_or(0, |it| it.connect_timeout_ms.saturating_add(it.scan_timeout_ms)),
            timer: None,
        }
    }

    /// The next bytes of the file, without its coding.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if !matches!(self.state, State::Done(_)) && !bytes.is_empty() {
            self.waiting.push_back(bytes);
        }
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
        }
    }

    /// When its client gets the first bytes although there is no answer.
    pub(crate) fn trickles_from(&self) -> Instant {
        self.begun + Duration::from_millis(self.trickle.begin_after_ms)
    }

    /// How long an exchange with it may go without a byte, where others may for so long.
    pub(crate) fn idle_ms(&self, idle_ms: u64) -> u64 {
        const ROOM_MS: u64 = 5_000;
        if idle_ms == 0 { 0 } else { idle_ms.max(self.longest_ms.saturating_add(ROOM_MS)) }
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
                }
                State::Done(scanned) => {
                    let word = scanned.word();
                    return Poll::Ready(Some((answer(scanned, self.rule), word)));
                }
                State::Ready(_) if self.waiting.is_empty() && !self.is_whole => {
                    return Poll::Ready(None);
                }
                State::Ready(_) => {
                    let none = State::Done(Scanned::Unavailable(Unavailable::Fault));
                    if let State::Ready(scan) = std::mem::replace(&mut self.state, none) {
                        self.state = State::Busy(match self.waiting.pop_front() {
                            Some(bytes) => Box::pin(hand_over(scan, bytes)),
                            None => Box::pin(async move { Err(scan.finish().await) }),
                        });
                    }
                }
            }
        }
    }
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
