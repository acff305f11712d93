//! See `restante_fuzz::bodies::conference_info`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::bodies::conference_info(data));
