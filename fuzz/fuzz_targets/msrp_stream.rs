//! See `restante_fuzz::msrp::stream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::msrp::stream(data));
