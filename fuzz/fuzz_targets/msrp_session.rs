//! See `restante_fuzz::msrp_session::check`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::msrp_session::check(data));
