//! See `restante_fuzz::bodies::sdp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::bodies::sdp(data));
