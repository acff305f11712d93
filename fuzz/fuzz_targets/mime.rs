//! See `restante_fuzz::bodies::mime`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::bodies::mime(data));
