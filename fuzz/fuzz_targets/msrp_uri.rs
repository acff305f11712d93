//! See `restante_fuzz::msrp::uri`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::msrp::uri(data));
