//! Replays what the fuzzer began with and what it ever found, for the tests of each crate.

use std::path::PathBuf;

/// Gives a function each file of `fuzz/seeds/TARGET` and `fuzz/crashes/TARGET`; there are seeds for every
/// target.
pub(crate) fn replay(target: &str, run: fn(&[u8])) {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut seeds = 0;
    for (folder, is_seed) in [("seeds", true), ("crashes", false)] {
        let Ok(files) = std::fs::read_dir(fuzz.join(folder).join(target)) else { continue };
        for file in files {
            let path = file.unwrap().path();
            println!("{}", path.display());
            run(&std::fs::read(path).unwrap());
            seeds += usize::from(is_seed);
        }
    }
    assert!(seeds >= 3, "{target}: {seeds} seeds");
}
