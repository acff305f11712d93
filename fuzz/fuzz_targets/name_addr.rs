//! See `restante_fuzz::values::name_addr`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::values::name_addr(data));
