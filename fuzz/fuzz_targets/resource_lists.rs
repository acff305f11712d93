//! See `restante_fuzz::bodies::resource_lists`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::bodies::resource_lists(data));
