//! See `restante_fuzz::sip::datagram`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| restante_fuzz::sip::datagram(data));
