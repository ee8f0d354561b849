#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rules::circumvent::fuzzing::way_round(bytes));
