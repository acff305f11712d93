//! The bytes of a record: a version, a checksum, then fields one after the other.
//!
//! Numbers are little-endian base-128, byte strings have their length before them. A record whose
//! version or checksum is not what it should be is damaged, and is never half read.

use bytes::Bytes;
use fjall::Slice;
use xxhash_rust::xxh3::xxh3_64;

/// The version written, and the only one read.
const VERSION: u8 = 2;

/// Version and checksum.
const PREFIX: usize = 5;

/// How much memory is kept from one record to the next.
const KEPT: usize = 64 << 10;

/// Writes one record's fields after the other's, in the same memory.
#[derive(Default)]
pub(super) struct Encoder(Vec<u8>);

impl Encoder {
    /// Begins a record.
    pub(super) fn begin(&mut self) -> &mut Self {
        self.0.clear();
        self.0.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
        self
    }

    pub(super) fn number(&mut self, mut number: u64) -> &mut Self {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
        self
    }

    pub(super) fn flag(&mut self, flag: bool) -> &mut Self {
        self.number(u64::from(flag))
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn option(&mut self, bytes: Option<&Bytes>) -> &mut Self {
        self.flag(bytes.is_some());
        if let Some(bytes) = bytes {
            self.bytes(bytes);
        }
        self
    }

    pub(super) fn headers(&mut self, headers: &[(Bytes, Bytes)]) -> &mut Self {
        self.number(headers.len() as u64);
        for (name, value) in headers {
            self.bytes(name).bytes(value);
        }
        self
    }

    /// Ends the record.
    pub(super) fn finish(&mut self) -> Slice {
        let sum = checksum(self.0.get(PREFIX..).unwrap_or_default());
        if let Some(place) = self.0.get_mut(1..PREFIX) {
            place.copy_from_slice(&sum);
        }
        let record = Slice::from(self.0.as_slice());
        self.0.clear();
        self.0.shrink_to(KEPT);
        record
    }
}

/// Reads a record's fields; `None` when it is damaged.
pub(super) struct Decoder {
    fields: Bytes,
    at: usize,
}

impl Decoder {
    /// Checks version and checksum, and copies the record once: its byte strings are slices of
    /// that copy.
    pub(super) fn new(record: &[u8]) -> Option<Self> {
        let (prefix, fields) = record.split_at_checked(PREFIX)?;
        let sound = prefix.first() == Some(&VERSION) && prefix.get(1..)? == checksum(fields);
        sound.then(|| Self { fields: Bytes::copy_from_slice(fields), at: 0 })
    }

    /// Whether all fields have been read.
    pub(super) fn ended(&self) -> bool {
        self.at >= self.fields.len()
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.fields.get(self.at)?;
            self.at += 1;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.number()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(super) fn bytes(&mut self) -> Option<Bytes> {
        let len = usize::try_from(self.number()?).ok()?;
        let end = self.at.checked_add(len).filter(|end| *end <= self.fields.len())?;
        let bytes = self.fields.slice(self.at..end);
        self.at = end;
        Some(bytes)
    }

    pub(super) fn option(&mut self) -> Option<Option<Bytes>> {
        if self.flag()? { Some(Some(self.bytes()?)) } else { Some(None) }
    }

    pub(super) fn headers(&mut self) -> Option<Vec<(Bytes, Bytes)>> {
        let count = usize::try_from(self.number()?).ok()?;
        // Each takes two bytes at least, so a wrong count cannot ask for much memory.
        if count > self.fields.len() {
            return None;
        }
        (0..count).map(|_| Some((self.bytes()?, self.bytes()?))).collect()
    }
}

fn checksum(fields: &[u8]) -> [u8; 4] {
    (xxh3_64(fields) as u32).to_le_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(number: u64, flag: bool, raw: Vec<u8>, some: Option<Vec<u8>>) {
            let some = some.map(Bytes::from);
            let headers = vec![(Bytes::from(raw.clone()), Bytes::new())];
            let mut encoder = Encoder::default();
            encoder.begin().number(number).flag(flag).bytes(&raw).option(some.as_ref()).headers(&headers);
            let mut decoder = Decoder::new(&encoder.finish()).unwrap();
            prop_assert_eq!(decoder.number(), Some(number));
            prop_assert_eq!(decoder.flag(), Some(flag));
            prop_assert_eq!(decoder.bytes(), Some(Bytes::from(raw)));
            prop_assert_eq!(decoder.option(), Some(some));
            prop_assert_eq!(decoder.headers(), Some(headers));
            prop_assert_eq!(decoder.number(), None);
        }

        #[test]
        fn any_flipped_bit_is_noticed(raw: Vec<u8>, at: prop::sample::Index, bit in 0..8u8) {
            let mut record = Encoder::default().begin().bytes(&raw).finish().to_vec();
            let at = at.index(record.len());
            record[at] ^= 1 << bit;
            prop_assert!(Decoder::new(&record).is_none());
        }
    }

    #[test]
    fn lengths_beyond_the_record_are_refused() {
        let record = Encoder::default().begin().number(u64::MAX).finish();
        assert_eq!(Decoder::new(&record).unwrap().bytes(), None);
        assert_eq!(Decoder::new(&record).unwrap().headers(), None);
        assert!(Decoder::new(b"").is_none());
    }
}
