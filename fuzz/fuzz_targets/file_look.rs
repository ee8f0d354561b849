#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| categorizer::file::fuzzing::file_look(bytes));
