//! See `restante_fuzz::bodies::cpim`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::bodies::cpim(data));
