#![no_main]

use xai_insert_fuzz::targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::insert(data));
