//! A sealed day answers as it did before, whenever sealing was stopped or killed.

use crate::sample::{
    NOW, WORDS, allowed, blocked, categories, context, rows, sign, start, tunnel, wait,
};
use jiff::civil::{Date, date};
use ledger::journal::{Journal, Pending, refused};
use ledger::notes::Words;
use ledger::parts::{Part, parts, parts_of};
use ledger::query::{AccessLog, AccessRow, Cursor, Filter, Order, Visitor};
use ledger::record::{Depth, End};
use ledger::refusals::Refusals;
use ledger::seal::{SealError, Sealed, seal_days};
use ledger::seen::Seen;
use ledger::summary::Summary;
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;
use rules::time::UnixMillis;
use rules::unblock::UnblockId;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;

pub(crate) const DAY_MS: i64 = 86_400_000;
const DAY: Date = date(2025, 11, 26);
const NEXT_DAY: Date = date(2025, 11, 27);
const STATE: &str = "LEDGER_TEST_SEAL_STATE";
const KILL_AT: &str = "LEDGER_TEST_SEAL_KILL_AT";

/// Long after every day here.
pub(crate) const LATER: UnixMillis = UnixMillis(NOW.0 + 5 * DAY_MS);

/// Some requests of all kinds, `count` a day, by several people in turn; their times go back and forth
/// a little, and some end long after they began.
fn write_days(state: &Path, days: i64, count: u64) {
    let writer = start(state);
    let journal = writer.journal(0).unwrap();
    for day in 0..days {
        write_day(&journal, UnixMillis(NOW.0 + day * DAY_MS), count);
    }
    drop(journal);
    writer.stop();
}

fn write_day(journal: &Rc<Journal>, first: UnixMillis, count: u64) {
    let context = context("Europe/London");
    let people = ["pupil01", "Pupil02", "\u{e9}lodie", "a b", "zed"];
    let mut open: Vec<Pending> = Vec::new();
    for turn in 0..count {
        let mixed = (turn + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let pick = |shift: u32, of: u64| (mixed >> shift) % of;
        let at = UnixMillis(first.0 + turn as i64 * 900 - pick(30, 3000) as i64);
        let id = journal.next_id(at);
        let host = format!("www{}.site{}.test", pick(20, 3), pick(24, 9));
        let folder = ["maths", "Maths", "art"][pick(12, 3) as usize];
        let name = ["", "caf%C3%A9"][pick(26, 2) as usize];
        let path = format!("/{folder}/{mixed:x}_%{name}.html");
        let user = people.get(pick(40, 6) as usize).copied();
        let client = [10, 1, 2, pick(45, 4) as u8].into();
        match pick(50, 8) {
            0 | 1 => {
                let mut decided = blocked(&context, id, at);
                (decided.host, decided.user, decided.client) = (&host, user, client);
                decided.level = pick(33, 3) as u8;
                if pick(36, 4) == 0 {
                    decided.categories = categories(&[4]);
                    decided.reason = ReasonCode::Locked;
                }
                journal.refuse(&decided, refused(403, pick(5, 3000), 20)).unwrap();
            }
            2 | 3 => {
                let mut decided = tunnel(&context, id, at);
                (decided.host, decided.user, decided.client) = (&host, user, client);
                let pending = journal.decide(&decided).unwrap();
                pending.count_up(pick(8, 2000));
                if pick(13, 4) == 0 {
                    pending.add_sign(sign(pick(14, 90) as u16));
                }
                if pick(3, 2) == 0 {
                    pending.set_depth(Depth::Page);
                }
                open.push(pending);
            }
            kind => {
                let mut decided = allowed(&context, id, at);
                (decided.host, decided.path, decided.user) = (&host, Some(&*path), user);
                decided.client = client;
                let text = format!("{} {name} \u{e9}t\u{e9}", pick(21, 90));
                decided.words = (kind == 5).then_some(Words { text: &text, ..WORDS });
                let signs = [sign(pick(22, 50) as u16)];
                decided.signs = if kind == 6 { &signs } else { &[] };
                if kind == 4 {
                    decided.scheme = Scheme::Https;
                    decided.depth = Depth::Page;
                    decided.unblock = Some(UnblockId(pick(9, 3) as u32));
                    decided.reason = ReasonCode::Unblock;
                }
                let pending = journal.decide(&decided).unwrap();
                pending.count_down(pick(2, 1 << 20));
                match pick(16, 5) {
                    0 => open.push(pending),
                    _ => pending.finish(End::Complete),
                }
            }
        }
        if open.len() > 30 {
            let end = [End::Complete, End::Rejected, End::Upstream][pick(17, 3) as usize];
            open.remove(pick(19, 30) as usize).finish(end);
        }
    }
}

fn seal(state: &Path, day: Option<Date>) -> Vec<Sealed> {
    let mut sealed = Vec::new();
    let told = |part: &Sealed| sealed.push(part.clone());
    wait(seal_days(state, day, LATER, || false, told)).unwrap().unwrap();
    sealed
}

fn filters(state: &Path) -> Vec<Filter> {
    let text = |text: &str| Some(text.to_owned());
    let none = Filter::default;
    let all = rows(state);
    let middle = &all[all.len() / 2];
    vec![
        none(),
        Filter { user: text("PUPIL02"), ..none() },
        Filter { user: text("\u{e9}lodie"), ..none() },
        Filter { user: text("\u{c9}lodie"), ..none() },
        Filter { user: text("nobody"), ..none() },
        Filter { level: text("staff"), ..none() },
        Filter { level: text("sta"), ..none() },
        Filter { site: text("site3.test"), ..none() },
        Filter { site: text("www1.site3.test"), ..none() },
        Filter { site: text("ite3.test"), ..none() },
        Filter { site: text("site3.test/maths"), ..none() },
        Filter { site: text("test/art/"), ..none() },
        Filter { site: text("test/ar"), ..none() },
        Filter { category: text("gambling"), ..none() },
        Filter { category: text("gamb"), ..none() },
        Filter { category: text("illegal-csam"), ..none() },
        Filter { verdict: Some(Verdict::Block), ..none() },
        Filter { reason: Some(ReasonCode::Unblock), ..none() },
        Filter { id: Some(middle.id), ..none() },
        Filter { client: Some([10, 1, 2, 3].into()), ..none() },
        Filter { unblock: Some(UnblockId(1)), ..none() },
        Filter { since: Some(middle.at), ..none() },
        Filter { until: Some(middle.at), ..none() },
        Filter { since: Some(middle.at), until: Some(UnixMillis(middle.at.0 + 9000)), ..none() },
        Filter { depth: Some(Depth::Plain), ..none() },
        Filter { depth: Some(Depth::Name), ..none() },
        Filter { depth: Some(Depth::Page), ..none() },
        Filter { text: text("MATHS/"), ..none() },
        Filter { text: text("3.TEST/m"), ..none() },
        Filter { text: text("_%.HTML"), ..none() },
        Filter { text: text("CAF\u{e9}"), ..none() },
        Filter { text: text("site3"), ..none() },
        Filter { text: text("nowhere"), ..none() },
        Filter { telling: true, ..none() },
        Filter { text: text("7 CAF"), text_in_words: true, ..none() },
        Filter { text: text("\u{c9}T\u{e9}"), text_in_words: true, ..none() },
        Filter { text: text("\u{e9}t\u{e9}"), ..none() },
        Filter { text: text("site3"), text_in_words: true, ..none() },
        Filter { text: text("_%"), text_in_words: true, ..none() },
        Filter {
            user: text("zed"),
            verdict: Some(Verdict::Allow),
            depth: Some(Depth::Page),
            text: text("site"),
            ..none()
        },
    ]
}

type Answers = Vec<(Vec<AccessRow>, Vec<Visitor>)>;

/// Every question, asked in pages of `limit` in both orders.
fn answers(state: &Path, filters: &[Filter], limit: usize) -> Answers {
    let mut answers = Vec::new();
    let mut log = AccessLog::new(state);
    for filter in filters {
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = wait(log.page(filter, order, after, limit)).unwrap();
                found.extend(page.rows);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            answers.push((found, wait(log.visitors(filter)).unwrap()));
        }
    }
    answers
}

/// All that reports are made of.
fn sums(state: &Path) -> (Summary, BTreeMap<String, Seen>, Refusals) {
    let (from, until) = (date(2025, 11, 1), date(2025, 12, 31));
    wait(async {
        (
            Summary::read(state, from, until).await.unwrap(),
            Seen::of_days(state, from, until).await.unwrap(),
            Refusals::read(state, from, until).await.unwrap(),
        )
    })
}

/// The files of the access log.
fn files(state: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(state.join("access")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    // Beside a file that is being read.
    names.retain(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
    names.sort();
    names
}

#[test]
fn the_same_questions_have_the_same_answers_before_and_after() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    write_days(state, 3, 700);
    let filters = filters(state);
    let (before, sums_before) = (answers(state, &filters, 7), sums(state));
    assert!(before.iter().filter(|(rows, _)| rows.is_empty()).count() <= 14, "most find something");
    let mut held = AccessLog::new(state);
    let halfway = wait(held.page(&filters[0], Order::NewestFirst, None, 333)).unwrap().next;

    let sealed = seal(state, Some(NEXT_DAY));
    assert_eq!(sealed.len(), 1);
    assert_eq!(sealed[0].rows, 700);
    let expected = [
        "access-2025-11-26.db",
        "access-2025-11-27.parquet",
        "access-2025-11-27.sums.db",
        "access-2025-11-28.db",
    ];
    assert_eq!(files(state), expected);
    assert_eq!(answers(state, &filters, 7), before, "one of three days");

    assert_eq!(seal(state, None).len(), 2);
    assert_eq!(files(state).iter().filter(|name| name.ends_with(".parquet")).count(), 3);
    for limit in [7, 50, 10_000] {
        assert_eq!(answers(state, &filters, limit), before, "pages of {limit}");
    }
    assert_eq!(sums(state), sums_before);
    // A reader that began before goes on, and so does a cursor in other hands.
    let rest = |log: &mut AccessLog| {
        wait(log.page(&filters[0], Order::NewestFirst, halfway, 5000)).unwrap().rows
    };
    let expected = rest(&mut AccessLog::new(state));
    assert_eq!(expected.len(), 2100 - 333);
    assert_eq!(rest(&mut held), expected);
    for row in expected.iter().step_by(97) {
        let found = wait(AccessLog::new(state).find(row.id)).unwrap();
        assert_eq!(found.as_ref(), Some(row));
    }
    assert!(seal(state, None).is_empty(), "nothing waits any more");
}

#[test]
fn stopped_at_any_step_the_day_is_whole_and_the_next_attempt_seals_it() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    write_days(state, 1, 300);
    let all = rows(state);
    for step in 1.. {
        let mut left = step;
        let stop = || {
            left -= 1;
            left == 0
        };
        match wait(seal_days(state, None, LATER, stop, |_| {})) {
            Err(SealError::Stopped) => assert_eq!(rows(state), all, "stopped at step {step}"),
            done => {
                done.unwrap().unwrap();
                assert!(step > 8, "there are steps to stop at: {step}");
                break;
            }
        }
    }
    seal(state, None);
    assert_eq!(files(state), ["access-2025-11-26.parquet", "access-2025-11-26.sums.db"]);
    assert_eq!(rows(state), all);
}

/// Not a test of its own: the process that is killed.
#[test]
fn killed_sealing() {
    let (Some(state), Some(step)) = (std::env::var_os(STATE), std::env::var_os(KILL_AT)) else {
        return;
    };
    let mut left: u32 = step.to_str().unwrap().parse().unwrap();
    let kill = || {
        left -= 1;
        if left == 0 {
            let pid = std::process::id().to_string();
            let _ = Command::new("kill").args(["-9", &pid]).status();
        }
        false
    };
    wait(seal_days(Path::new(&state), None, LATER, kill, |_| {})).unwrap().unwrap();
}

#[test]
fn killed_at_any_step_nothing_is_lost_or_double() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    write_days(state, 1, 300);
    let (all, sums_before) = (rows(state), sums(state));
    let mut kills = 0;
    for step in 1.. {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "sealing::killed_sealing", "--nocapture"]);
        child.env(STATE, state).env(KILL_AT, step.to_string());
        let status = child.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert_eq!(rows(state), all, "killed at step {step}");
        assert_eq!(sums(state), sums_before, "killed at step {step}");
        if status.success() {
            break;
        }
        kills += 1;
    }
    assert!(kills > 8, "{kills} kills");
    seal(state, None);
    assert_eq!(files(state), ["access-2025-11-26.parquet", "access-2025-11-26.sums.db"]);
    assert_eq!(rows(state), all);
}

#[test]
fn what_comes_for_a_sealed_day_makes_a_second_part_that_is_sealed_in_its_turn() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    write_days(state, 2, 200);
    seal(state, Some(DAY));
    let before = rows(state);
    let writer = start(state);
    let journal = writer.journal(0).unwrap();
    write_day(&journal, NOW, 50);
    drop(journal);
    writer.stop();
    let first = Part { day: DAY, number: 1, sealed: true };
    let second = Part { day: DAY, number: 2, sealed: false };
    assert_eq!(parts_of(&state.join("access"), DAY).unwrap(), [first, second]);
    let with_late = rows(state);
    assert_eq!(with_late.len(), before.len() + 50);
    assert_eq!(with_late[..200], before[..200], "what was sealed keeps its places");
    assert_eq!(with_late[200].cursor, Cursor { day: DAY, sequence: 200 });
    let (asked, sums_before) = (filters(state), sums(state));
    let answered = answers(state, &asked, 33);
    assert_eq!(seal(state, None).len(), 2);
    assert!(parts(&state.join("access")).unwrap().iter().all(|part| part.sealed));
    assert_eq!(answers(state, &asked, 33), answered);
    assert_eq!(sums(state), sums_before);
}

#[test]
fn a_journal_that_is_read_again_after_its_day_was_sealed_stores_nothing_twice() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    let writer = start(state);
    let journal = writer.journal(0).unwrap();
    write_day(&journal, NOW, 120);
    write_day(&journal, UnixMillis(NOW.0 + DAY_MS), 80);
    journal.flush();
    drop(journal);
    // The journal as a kill would leave it: everything stored, the file still there.
    let kept: Vec<_> = crate::sample::journal_files(state)
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    assert!(!kept.is_empty());
    writer.stop();
    let all = rows(state);
    assert_eq!(all.len(), 200);
    seal(state, Some(DAY));
    for (path, bytes) in kept {
        std::fs::write(path, bytes).unwrap();
    }
    ledger::ingest::recover(state).unwrap().unwrap();
    assert_eq!(rows(state).len(), 200);
    assert_eq!(rows(state), all);
}

#[test]
fn a_damaged_sealed_file_gives_an_error_or_the_right_rows_and_never_others() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    write_days(state, 1, 120);
    let all = rows(state);
    let part = seal(state, None).remove(0).part;
    let path = part.rows(&state.join("access"));
    let whole = std::fs::read(&path).unwrap();
    let mut told = 0;
    for place in (0..whole.len()).step_by(13) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x41;
        std::fs::write(&path, &damaged).unwrap();
        let mut log = AccessLog::new(state);
        match wait(log.page(&Filter::default(), Order::OldestFirst, None, 1000)) {
            Ok(page) => assert!(page.rows == all, "byte {place} of {}", whole.len()),
            Err(_) => told += 1,
        }
    }
    assert!(told > whole.len() / 13 / 2, "{told} told of");
}
