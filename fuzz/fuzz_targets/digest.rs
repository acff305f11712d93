//! See `restante_fuzz::values::digest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::values::digest(data));
