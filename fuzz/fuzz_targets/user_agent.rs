//! See `restante_fuzz::user_agent::check`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::user_agent::check(data));
