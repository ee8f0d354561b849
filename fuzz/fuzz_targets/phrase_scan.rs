#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| categorizer::phrase::fuzzing::phrase_scan(bytes));
