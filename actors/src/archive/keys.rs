//! The keys of the records: a letter for the kind, the mailbox with its length before it (so that
//! no mailbox's keys lie among another's), then what orders the records in it, numbers big-endian.

use bytes::Bytes;
use restante::store::{ContentId, DepositKey, MessageId, Owner, RecordId};
use restante::time::Timestamp;

/// The first byte of a key.
mod kind {
    pub(super) const BODY: u8 = b'b';
    pub(super) const LEDGER: u8 = b'c';
    pub(super) const DRAFT: u8 = b'd';
    pub(super) const FILE: u8 = b'f';
    pub(super) const ITEM: u8 = b'i';
    pub(super) const DEPOSIT: u8 = b'k';
    pub(super) const MESSAGE: u8 = b'm';
    pub(super) const ID: u8 = b'n';
    pub(super) const SUBSCRIPTION: u8 = b's';
    pub(super) const END: u8 = b'x';
}

/// Something that ends at a time, as the index of ends names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The item of this sequence.
    Item(Owner, u64),
    /// What is remembered of an item that is gone.
    Memory(Owner, MessageId),
    /// A subscription.
    Subscription(Owner, Bytes),
}

fn of(kind: u8, owner: &Owner, rest: usize) -> Vec<u8> {
    let mut key = Vec::with_capacity(3 + owner.key().len() + rest);
    key.push(kind);
    put(&mut key, owner.key());
    key
}

/// Everything that becomes part of a key is bounded by `MAX_KEY` before, hence fits a `u16`.
fn put(key: &mut Vec<u8>, bytes: &[u8]) {
    key.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
    key.extend_from_slice(bytes);
}

pub(super) fn items(owner: &Owner) -> Vec<u8> {
    of(kind::ITEM, owner, 8)
}

pub(super) fn item(owner: &Owner, sequence: u64) -> Vec<u8> {
    let mut key = items(owner);
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// The sequence that ends an item's key, or the number that ends a draft's.
pub(super) fn last_number(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.last_chunk()?))
}

pub(super) fn ids(owner: &Owner) -> Vec<u8> {
    of(kind::ID, owner, 0)
}

pub(super) fn id(owner: &Owner, id: &MessageId) -> Vec<u8> {
    let mut key = of(kind::ID, owner, id.bytes().len());
    key.extend_from_slice(id.bytes());
    key
}

pub(super) fn deposit(owner: &Owner, deposit: &DepositKey) -> Vec<u8> {
    let mut key = of(kind::DEPOSIT, owner, 8 + deposit.call_id.len() + deposit.from_tag.len());
    put(&mut key, &deposit.call_id);
    put(&mut key, &deposit.from_tag);
    key.extend_from_slice(&deposit.cseq.to_be_bytes());
    key
}

pub(super) fn ledger(owner: &Owner) -> Vec<u8> {
    of(kind::LEDGER, owner, 0)
}

pub(super) fn messages(owner: &Owner, bundle: u64) -> Vec<u8> {
    let mut key = of(kind::MESSAGE, owner, 12);
    key.extend_from_slice(&bundle.to_be_bytes());
    key
}

pub(super) fn message(id: &RecordId) -> Vec<u8> {
    let mut key = messages(&id.owner, id.bundle);
    key.extend_from_slice(&id.index.to_be_bytes());
    key
}

/// The message's place in its item, which ends its key.
pub(super) fn index(message: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*message.last_chunk()?))
}

pub(super) fn body(id: &RecordId) -> Vec<u8> {
    let mut key = of(kind::BODY, &id.owner, 12);
    key.extend_from_slice(&id.bundle.to_be_bytes());
    key.extend_from_slice(&id.index.to_be_bytes());
    key
}

pub(super) const DRAFTS: [u8; 1] = [kind::DRAFT];

pub(super) fn drafts(owner: &Owner) -> Vec<u8> {
    of(kind::DRAFT, owner, 8)
}

pub(super) fn draft(owner: &Owner, bundle: u64) -> Vec<u8> {
    let mut key = drafts(owner);
    key.extend_from_slice(&bundle.to_be_bytes());
    key
}

pub(super) const FILES: [u8; 1] = [kind::FILE];

pub(super) fn file(id: ContentId) -> Vec<u8> {
    let mut key = Vec::with_capacity(9);
    key.push(kind::FILE);
    key.extend_from_slice(&id.0.to_be_bytes());
    key
}

pub(super) const SUBSCRIPTIONS: [u8; 1] = [kind::SUBSCRIPTION];

/// The first key behind all subscriptions.
pub(super) const SUBSCRIPTIONS_END: [u8; 1] = [kind::SUBSCRIPTION + 1];

pub(super) fn subscription(owner: &Owner, name: &[u8]) -> Vec<u8> {
    let mut key = of(kind::SUBSCRIPTION, owner, name.len());
    key.extend_from_slice(name);
    key
}

/// The owner in a key, and what follows it.
pub(super) fn split(key: &[u8]) -> Option<(Owner, &[u8])> {
    let (len, rest) = key.get(1..)?.split_first_chunk()?;
    let (owner, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Some((Owner::from_key(Bytes::copy_from_slice(owner))?, rest))
}

pub(super) const ENDS: [u8; 1] = [kind::END];

/// The first key behind all that ends by `now`.
pub(super) fn ends_after(now: Timestamp) -> Vec<u8> {
    match now.0.checked_add(1) {
        Some(next) => [&ENDS[..], &next.to_be_bytes()].concat(),
        None => vec![kind::END + 1],
    }
}

/// The key in the index of ends; `None` for what never ends.
pub(super) fn end(at: Timestamp, end: &End) -> Option<Vec<u8>> {
    if at.0 == u64::MAX {
        return None;
    }
    let mut key = Vec::with_capacity(64);
    key.push(kind::END);
    key.extend_from_slice(&at.0.to_be_bytes());
    let (letter, owner, rest) = match end {
        End::Item(owner, sequence) => (b'i', owner, &sequence.to_be_bytes()[..]),
        End::Memory(owner, id) => (b'm', owner, &id.bytes()[..]),
        End::Subscription(owner, name) => (b's', owner, &name[..]),
    };
    key.push(letter);
    put(&mut key, owner.key());
    key.extend_from_slice(rest);
    Some(key)
}

/// What a key in the index of ends names, and when that ends.
pub(super) fn parse_end(key: &[u8]) -> Option<(Timestamp, End)> {
    let (at, rest) = key.get(1..)?.split_first_chunk()?;
    let at = Timestamp(u64::from_be_bytes(*at));
    // The letter stands where the kind does in other keys.
    let (owner, name) = split(rest)?;
    let end = match rest.first()? {
        b'i' => End::Item(owner, u64::from_be_bytes(name.try_into().ok()?)),
        b'm' => End::Memory(owner, MessageId::new(Bytes::copy_from_slice(name))),
        b's' => End::Subscription(owner, Bytes::copy_from_slice(name)),
        _ => return None,
    };
    Some((at, end))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn no_mailbox_lies_within_another() {
        let (a, b) = (Owner::new(b"a", "x"), Owner::new(b"a@xa", "x"));
        assert!(!item(&b, 1).starts_with(&items(&a)));
        assert!(!deposit(&b, &DepositKey::default()).starts_with(&of(kind::DEPOSIT, &a, 0)));
    }

    #[test]
    fn items_sort_by_arrival_and_ends_by_time() {
        let owner = Owner::new(b"a", "x");
        assert!(item(&owner, 255) < item(&owner, 256));
        let at = |at| end(Timestamp(at), &End::Item(owner.clone(), 1)).unwrap();
        assert!(at(255) < at(256));
        assert!(at(256) < ends_after(Timestamp(256)));
        assert!(at(257) >= ends_after(Timestamp(256)));
        assert!(at(u64::MAX - 1) < ends_after(Timestamp(u64::MAX)));
        assert_eq!(end(Timestamp(u64::MAX), &End::Item(owner, 1)), None);
    }

    #[test]
    fn ends_are_read_as_written() {
        let owner = Owner::new(b"a@\x00", "x");
        for what in [
            End::Item(owner.clone(), 7),
            End::Memory(owner.clone(), MessageId::new("c@d")),
            End::Subscription(owner, Bytes::from_static(b"")),
        ] {
            let key = end(Timestamp(9), &what).unwrap();
            assert_eq!(parse_end(&key), Some((Timestamp(9), what)));
        }
        assert_eq!(parse_end(b"x12345678i\x00\x09a"), None);
    }
}
