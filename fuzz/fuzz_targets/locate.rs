//! See `restante_fuzz::dns::locate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::dns::locate(data));
