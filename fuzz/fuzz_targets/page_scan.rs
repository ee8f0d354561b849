#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| categorizer::page::fuzzing::page_scan(bytes));
