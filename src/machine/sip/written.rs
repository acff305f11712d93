//! How header values are written down with a dialog: as text, where they are. A list of numbers, which is what bytes are
//! otherwise, takes four times the room in the store and its memory. Either is read.

use bytes::Bytes;
use serde::{Serialize, Serializer};

/// Writes a value.
pub(super) fn text<S: Serializer>(value: &Bytes, to: S) -> Result<S::Ok, S::Error> {
    Text(value).serialize(to)
}

/// Writes a list of values.
pub(super) fn texts<S: Serializer>(values: &[Bytes], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(values.iter().map(Text))
}

struct Text<'a>(&'a Bytes);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => to.serialize_str(text),
            Err(_) => to.serialize_bytes(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    struct Kept {
        #[serde(serialize_with = "text")]
        one: Bytes,
        #[serde(serialize_with = "texts")]
        more: Vec<Bytes>,
    }

    #[test]
    fn text_and_bytes_come_back_as_they_were() {
        let kept = Kept {
            one: Bytes::from_static(b"\"Bob\" <sip:b%6Fb@x>"),
            more: vec![Bytes::from_static(b"<sip:p;lr>"), Bytes::from_static(b"\xff\xfe")],
        };
        let json = serde_json::to_string(&kept).unwrap();
        assert_eq!(json, r#"{"one":"\"Bob\" <sip:b%6Fb@x>","more":["<sip:p;lr>",[255,254]]}"#);
        assert_eq!(serde_json::from_str::<Kept>(&json).unwrap(), kept);
    }

    #[test]
    fn what_an_earlier_version_wrote_is_read() {
        let kept: Kept = serde_json::from_str(r#"{"one":[115,105,112],"more":[[120]]}"#).unwrap();
        assert_eq!(kept, Kept { one: Bytes::from_static(b"sip"), more: vec![Bytes::from_static(b"x")] });
    }
}
