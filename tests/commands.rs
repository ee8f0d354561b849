//! The command line's contract: words, columns and exit codes that scripts rely on.

use crate::daemon::{Daemon, KS2};

#[test]
fn a_code_from_a_block_page_is_explained() {
    let daemon = Daemon::start_without_people();
    let answer = daemon.get_from(KS2, &daemon.url("casino.test", "/"));
    let code = daemon.wait_records(1)[0]["code"].as_str().unwrap().to_owned();
    assert!(answer.text().contains(&code));
    let said = daemon.run(&["explain", &code]).ok().out;
    for word in ["casino.test", "ks2", "gambling", "test-gambling"] {
        assert!(said.contains(word), "{word} is missing: {said}");
    }
    let spoken = code.to_lowercase().replace('-', " ");
    let words: Vec<&str> = ["explain"].into_iter().chain(spoken.split(' ')).collect();
    assert_eq!(daemon.run(&words).ok().out, said, "a code read out over the telephone");
    assert_eq!(daemon.run(&["explain", "00000-00000"]).code, 5, "no such code");
}
