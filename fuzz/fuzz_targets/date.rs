//! See `restante_fuzz::values::date`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::values::date(data));
