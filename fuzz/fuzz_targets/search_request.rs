#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rules::search::fuzzing::search_request(bytes));
