//! The id of an item in its mailbox, and how one is chosen.

use std::fmt;

use bytes::Bytes;

/// How many candidates are tried one after the other before larger steps are taken.
const LINEAR: u64 = 16;

/// The id of an item, unique in its mailbox: the Call-ID that brought it, or that with a suffix.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Bytes);

impl MessageId {
    /// No id: what a record has before one is chosen.
    pub const EMPTY: Self = Self(Bytes::new());

    /// The id with these bytes.
    pub fn new(id: impl Into<Bytes>) -> Self {
        Self(id.into())
    }

    /// The id's bytes, unescaped.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// A copy that shares no memory with what it was read from: who keeps an id for long must not keep the item too.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// Chooses the id for a deposit: the Call-ID; if that is taken `<Call-ID>~<CSeq>`, then
    /// `<Call-ID>~<CSeq>~2` and so on.
    ///
    /// After a few of these it takes larger steps, so that somebody who uses one Call-ID for
    /// everything does not make his deposits ever slower; the id is free and new all the same.
    ///
    /// # Errors
    /// Those of `taken`.
    pub fn choose<E>(
        call_id: &Bytes,
        cseq: u32,
        mut taken: impl FnMut(&Self) -> Result<bool, E>,
    ) -> Result<Self, E> {
        let plain = Self(call_id.clone());
        if !taken(&plain)? {
            return Ok(plain);
        }
        for round in 1..=LINEAR {
            let candidate = Self::candidate(call_id, cseq, round);
            if !taken(&candidate)? {
                return Ok(candidate);
            }
        }
        // Invariant of both loops: `low` is taken.
        let (mut low, mut high) = (LINEAR, LINEAR * 2);
        while taken(&Self::candidate(call_id, cseq, high))? {
            low = high;
            high = high.saturating_mul(2);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if taken(&Self::candidate(call_id, cseq, middle))? {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(Self::candidate(call_id, cseq, high))
    }

    fn candidate(call_id: &Bytes, cseq: u32, round: u64) -> Self {
        let mut id = call_id.to_vec();
        id.extend_from_slice(format!("~{cseq}").as_bytes());
        if round > 1 {
            id.extend_from_slice(format!("~{round}").as_bytes());
        }
        Self(id.into())
    }
}

impl fmt::Debug for MessageId {
    /// Quoted and escaped: what a peer chose cannot forge a field or a line of the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::collections::HashSet;
    use std::convert::Infallible;

    fn choose(ids: &HashSet<MessageId>, cseq: u32, asked: &mut u32) -> MessageId {
        MessageId::choose::<Infallible>(&Bytes::from_static(b"a@b"), cseq, |id| {
            *asked += 1;
            Ok(ids.contains(id))
        })
        .unwrap()
    }

    #[test]
    fn what_is_detached_lies_elsewhere() {
        let record = Bytes::from(vec![b'x'; 100]);
        let id = MessageId::new(record.slice(10..20));
        let detached = id.detached();
        assert_eq!(detached, id);
        assert!(!record.as_ptr_range().contains(&detached.bytes().as_ptr()));
    }

    #[test]
    fn the_debug_form_is_quoted_and_cannot_be_left() {
        let id = MessageId::new(&b"a@b\" x=1\r\n\xff"[..]);
        assert_eq!(format!("{id:?}"), r#""a@b\" x=1\r\n\xff""#);
    }

    #[test]
    fn suffixes_follow_the_call_id_cseq_and_count() {
        let mut ids = HashSet::new();
        for expected in ["a@b", "a@b~7", "a@b~7~2", "a@b~7~3"] {
            let id = choose(&ids, 7, &mut 0);
            assert_eq!(id.bytes(), expected);
            ids.insert(id);
        }
        assert_eq!(choose(&ids, 8, &mut 0).bytes(), "a@b~8");
    }

    #[test]
    fn thousands_of_the_same_call_id_stay_cheap_and_distinct() {
        let mut ids = HashSet::new();
        for _ in 0..3000 {
            let mut asked = 0;
            let id = choose(&ids, 1, &mut asked);
            assert!(asked <= 17 + 2 * 12, "{asked} lookups");
            assert!(ids.insert(id));
        }
    }
}
