//! See `restante_fuzz::bodies::message_summary`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::bodies::message_summary(data));
