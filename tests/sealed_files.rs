//! The files of sealed days are plain: another program reads them and comes to the same sums.

use crate::secure_origin::python;
use jiff::civil::date;
use ledger::ingest::{Settings, Writer};
use ledger::journal::refused;
use ledger::parts::parts;
use ledger::record::{Context, Decided, Depth, End};
use ledger::seal::seal_days;
use ledger::summary::Summary;
use rules::category::{CategoryId, CategorySet};
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;
use rules::time::UnixMillis;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Wednesday 26 November 2025, 10:00 in London.
const NOW: UnixMillis = UnixMillis(1_764_151_200_000);

fn write_day(state: &Path) {
    let writer = Writer::start(state, Settings::default()).unwrap();
    let journal = writer.journal(0).unwrap();
    let context = Arc::new(Context {
        policy_hash: "0a".repeat(32),
        list_version: "lists-7".into(),
        categories: ["education", "games"].map(str::to_owned).to_vec(),
        levels: ["ks2", "ks3"].map(str::to_owned).to_vec(),
        locked: CategorySet::EMPTY,
        zone: "Europe/London".into(),
    });
    for turn in 0..500_i64 {
        let at = UnixMillis(NOW.0 + turn * 1000);
        let (is_blocked, is_tunnel) = (turn % 7 == 0, turn % 3 == 0);
        let (host, path) = (format!("site{}.test", turn % 40), format!("/caf\u{e9}/{turn}"));
        let decided = Decided {
            id: journal.next_id(at),
            at,
            context: &context,
            user: ["sam.p", "\u{e9}lodie"].get(turn as usize % 3).copied(),
            level: (turn % 2) as u8,
            client: [10, 1, 2, 3].into(),
            method: if is_tunnel { "CONNECT" } else { "GET" },
            scheme: if is_tunnel { Scheme::Tunnel } else { Scheme::Http },
            host: &host,
            port: 443,
            path: (!is_tunnel).then_some(&*path),
            categories: CategorySet::of(CategoryId::from_index((turn % 2) as u8)),
            verdict: if is_blocked { Verdict::Block } else { Verdict::Allow },
            reason: if is_blocked { ReasonCode::Category } else { ReasonCode::Allowed },
            rule: None,
            unblock: None,
            depth: if is_tunnel { Depth::Name } else { Depth::Plain },
            visit: rules::visit::Visit::Unknown,
            words: None,
            signs: &[],
        };
        if is_blocked {
            journal.refuse(&decided, refused(403, 100, 5)).unwrap();
        } else {
            let pending = journal.decide(&decided).unwrap();
            pending.count_down(turn as u64 * 3);
            pending.finish(End::Complete);
        }
    }
    drop(journal);
    writer.stop();
}

#[test]
fn duckdb_reads_a_sealed_day_and_comes_to_the_sums_of_the_reports() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    write_day(state);
    let wait = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let later = UnixMillis(NOW.0 + 2 * 86_400_000);
    wait.block_on(seal_days(state, None, later, || false, |_| {})).unwrap().unwrap();
    let (from, until) = (date(2025, 11, 26), date(2025, 11, 27));
    let sums = wait.block_on(Summary::read(state, from, until)).unwrap();
    let access = state.join("access");
    let file = parts(&access).unwrap()[0].rows(&access);
    let script = "import sys, duckdb\n\
        rows = duckdb.read_parquet(sys.argv[1])\n\
        count = duckdb.sql('''select count(*) filter (verdict = 'allow'),\n\
            count(*) filter (verdict = 'block'), sum(bytes_down),\n\
            count(*) filter (\"user\" = 'élodie'), count(*) filter (\"user\" is null),\n\
            count(\"path\"), epoch_ms(min(\"at\")), max(\"sequence\"), count(distinct \"host\")\n\
            from rows''').fetchall()[0]\n\
        order = duckdb.sql('select \"user\", \"at\", \"sequence\" from rows').fetchall()\n\
        assert order == sorted(order, key=lambda row: (row[0] is None, row[0] or '', row[1])), order\n\
        print(*count, sep='|')\n";
    let output = Command::new(python()).args(["-c", script]).arg(&file).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let of = |person: Option<&str>| -> u64 {
        let people = sums.people.iter().filter(|(key, _)| key.category.is_none());
        people
            .filter(|(key, _)| key.person.as_deref() == person)
            .map(|(_, count)| count.total())
            .sum()
    };
    let expected = format!(
        "{}|{}|{}|{}|{}|333|{}|499|40\n",
        sums.requests.allowed,
        sums.requests.blocked,
        sums.bytes_down,
        of(Some("\u{e9}lodie")),
        of(None),
        NOW.0,
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert_eq!((sums.requests.total(), of(Some("\u{e9}lodie"))), (500, 167));
}
