//! Addresses of record in the log: hidden behind a short keyed hash, unless `[log] addresses` opens them.
//!
//! The hash is keyed with a secret drawn once per process: within one run the same address always gives the same
//! mask, so that its lines can be followed, and nobody can find the address by hashing candidates.

use std::fmt::{self, Write};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static OPEN: AtomicBool = AtomicBool::new(false);
static KEY: OnceLock<RandomState> = OnceLock::new();

/// Says whether addresses are written out; the default is not.
pub fn open_addresses(open: bool) {
    OPEN.store(open, Ordering::Relaxed);
}

/// Whether addresses are written out.
#[must_use]
pub fn are_addresses_open() -> bool {
    OPEN.load(Ordering::Relaxed)
}

/// Shows an address of record, or its mask `~` and ten hexadecimal digits.
///
/// Use it as a tracing field: `mailbox = %Redacted(&owner)`.
#[derive(Clone, Copy)]
pub struct Redacted<T>(pub T);

impl<T: fmt::Display> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if are_addresses_open() { self.0.fmt(f) } else { write!(f, "~{:010x}", mask(&self.0)? >> 24) }
    }
}

/// As [`fmt::Display`]: a derived `Debug` must not be the way around the mask.
impl<T: fmt::Display> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The keyed hash of what `shown` displays.
fn mask(shown: &impl fmt::Display) -> Result<u64, fmt::Error> {
    let mut sink = HashSink(KEY.get_or_init(RandomState::new).build_hasher());
    write!(sink, "{shown}")?;
    Ok(sink.0.finish())
}

/// Hashes what is written to it, however it is cut into pieces.
struct HashSink<H>(H);

impl<H: Hasher> Write for HashSink<H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0.write_u8(byte);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test, because the switch is the whole process's.
    #[test]
    fn addresses_are_masked_until_opened() {
        let bob = Redacted("sip:bob@example.com").to_string();
        assert_eq!(bob.len(), 11);
        assert!(bob.starts_with('~') && bob.bytes().skip(1).all(|b| b.is_ascii_hexdigit()), "{bob}");
        assert_eq!(bob, Redacted(b"sip:bob@example.com".escape_ascii()).to_string(), "pieces do not matter");
        assert_eq!(bob, format!("{:?}", Redacted(String::from("sip:bob@example.com"))));
        assert_ne!(bob, Redacted("sip:bo@example.com").to_string());

        open_addresses(true);
        assert_eq!(Redacted("sip:bob@example.com").to_string(), "sip:bob@example.com");
        open_addresses(false);
        assert_eq!(Redacted("sip:bob@example.com").to_string(), bob);
    }
}
