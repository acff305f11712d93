//! See `restante_fuzz::differential::check`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::differential::check(data));
