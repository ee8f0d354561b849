//! Golden decisions: who may see what, when, and why, as a table that people can read.

use crate::daemon::{Plan, run_in, write_school};
use crate::fake_origin::Origin;
use std::collections::BTreeMap;

/// Cases in `golden/decisions.tsv`. Raise it with every case added: a file that is cut short must
/// not pass.
const CASES: usize = 60;

#[test]
fn every_golden_decision_holds() {
    let folder = tempfile::tempdir().unwrap();
    let [proxy, ops] = ["127.0.0.1:9", "127.0.0.1:10"].map(|text| text.parse().unwrap());
    write_school(folder.path(), &Plan::default(), proxy, ops, &Origin::start(&["x.test"]));

    let mut by_asker: BTreeMap<(&str, &str), Vec<[&str; 4]>> = BTreeMap::new();
    let file = include_str!("golden/decisions.tsv");
    for (number, line) in file.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let cells: Vec<&str> = line.split('\t').collect();
        let [level, at, url, verdict, reason] = cells[..] else {
            panic!("decisions.tsv:{}: five columns are wanted, not {}", number + 1, cells.len());
        };
        by_asker.entry((level, at)).or_default().push([url, verdict, reason, line]);
    }

    let mut wrong = Vec::new();
    let mut ran = 0;
    for ((level, at), cases) in by_asker {
        let input: String = cases.iter().map(|case| format!("{}\n", case[0])).collect();
        let asked = ["check", "-", "--as", level, "--at", at, "--jsonl"];
        let answers = run_in(folder.path(), &asked, &input).ok().lines();
        assert_eq!(answers.len(), cases.len(), "one answer a line");
        for ([url, verdict, reason, line], answer) in cases.into_iter().zip(answers) {
            ran += 1;
            assert_eq!(answer["url"], *url);
            if answer["verdict"] != *verdict || answer["reason"] != *reason {
                wrong.push(format!("{line}\n    but: {answer}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {ran} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(ran, CASES, "every case of the file ran");
}
