//! The keys of the records: a letter for the kind, then what orders the records of that kind,
//! numbers big-endian.
//!
//! A mailbox has a number, so that its keys are short and no mailbox's lie among another's; a
//! Message-ID stands in a key as a hash, and the record says which ids it is about.

use bytes::Bytes;
use fjall::Slice;
use restante::store::{ContentId, DepositKey, MessageId, Owner, SubscriptionCursor};
use restante::time::Timestamp;
use xxhash_rust::xxh3::xxh3_128;

/// The first byte of a key.
mod kind {
    pub(super) const BODY: u8 = b'b';
    pub(super) const LEDGER: u8 = b'c';
    pub(super) const DRAFT: u8 = b'd';
    pub(super) const FILE: u8 = b'f';
    pub(super) const ITEM: u8 = b'i';
    pub(super) const DEPOSIT: u8 = b'k';
    pub(super) const MESSAGE: u8 = b'm';
    pub(super) const IDS: u8 = b'n';
    pub(super) const MAILBOX: u8 = b'o';
    pub(super) const REMAINS: u8 = b'r';
    pub(super) const SUBSCRIPTION: u8 = b's';
    pub(super) const SENDER: u8 = b't';
    pub(super) const ENDS: u8 = b'x';
}

/// A key. Up to 20 bytes need no memory of their own.
pub(super) type Key = Slice;

/// The number of a mailbox, never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct MailboxId(pub(super) u64);

/// Names a message's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageKey {
    pub(super) mailbox: MailboxId,
    /// The number, in the mailbox, of the item's set of messages.
    pub(super) bundle: u64,
    /// The message's place in the item, from 0.
    pub(super) index: u32,
}

/// A Message-ID as keys and records name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IdHash {
    /// Stands in the key.
    pub(super) place: u64,
    /// Tells ids of one place apart, nearly always.
    pub(super) check: u32,
}

impl IdHash {
    pub(super) fn of(id: &MessageId) -> Self {
        let hash = xxh3_128(id.bytes());
        Self { place: (hash >> 64) as u64, check: hash as u32 }
    }
}

/// Names a record in the log: its kind, and the numbers in its key. Names of people are left out.
pub(super) fn tag(key: &[u8]) -> String {
    let kind = key.first().copied().unwrap_or_default();
    let numbers = match kind {
        kind::MAILBOX | kind::SUBSCRIPTION => 0,
        kind::SENDER | kind::DEPOSIT => 8,
        _ => 20,
    };
    let name = char::from(kind).escape_default().to_string();
    key.iter().skip(1).take(numbers).fold(name + ":", |tag, byte| format!("{tag}{byte:02x}"))
}

/// Whether records of this key are contents, large and read in order, or lead to them.
pub(super) fn is_content(key: &[u8]) -> bool {
    matches!(key.first(), Some(&(kind::ITEM | kind::MESSAGE | kind::BODY)))
}

/// Whether records of this key are all that is written where an item is marked: no deposit writes nothing else.
pub(super) fn is_mark(key: &[u8]) -> bool {
    matches!(key.first(), Some(&(kind::ITEM | kind::LEDGER)))
}

fn of(kind: u8, mailbox: MailboxId) -> [u8; 9] {
    let mut key = [kind; 9];
    if let Some(place) = key.last_chunk_mut() {
        *place = mailbox.0.to_be_bytes();
    }
    key
}

fn numbered(kind: u8, mailbox: MailboxId, number: u64) -> Key {
    let mut key = [0; 17];
    if let Some(place) = key.first_chunk_mut() {
        *place = of(kind, mailbox);
    }
    if let Some(place) = key.last_chunk_mut() {
        *place = number.to_be_bytes();
    }
    key.into()
}

fn message_key(kind: u8, id: MessageKey) -> Key {
    let mut key = [0; 21];
    let numbered = numbered(kind, id.mailbox, id.bundle);
    if let Some((place, index)) = key.split_at_mut_checked(numbered.len()) {
        place.copy_from_slice(&numbered);
        index.copy_from_slice(&id.index.to_be_bytes());
    }
    key.into()
}

fn with_tail(head: &[u8], parts: &[&[u8]]) -> Key {
    let mut key = Vec::with_capacity(head.len() + parts.iter().map(|part| part.len() + 2).sum::<usize>());
    key.extend_from_slice(head);
    for part in parts {
        // Everything that becomes part of a key is bounded by `MAX_KEY` before, hence fits a `u16`.
        key.extend_from_slice(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
        key.extend_from_slice(part);
    }
    key.into()
}

/// The number that ends a key: an item's sequence, a draft's bundle, a content's id.
pub(super) fn last_number(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.last_chunk()?))
}

/// The mailbox in a key that has one.
pub(super) fn mailbox_of(key: &[u8]) -> Option<MailboxId> {
    Some(MailboxId(u64::from_be_bytes(*key.get(1..)?.first_chunk()?)))
}

pub(super) const MAILBOXES: [u8; 1] = [kind::MAILBOX];

/// Where the number of the owner's mailbox is.
pub(super) fn mailbox(owner: &Owner) -> Key {
    with_tail(&MAILBOXES, &[owner.key()])
}

/// The owner in a key of [`mailbox`].
pub(super) fn owner(key: &[u8]) -> Option<Owner> {
    Owner::from_key(Bytes::copy_from_slice(key.get(3..)?))
}

pub(super) const LEDGERS: [u8; 1] = [kind::LEDGER];

pub(super) fn ledger(mailbox: MailboxId) -> Key {
    of(kind::LEDGER, mailbox).into()
}

pub(super) const ITEMS: [u8; 1] = [kind::ITEM];

pub(super) fn items(mailbox: MailboxId) -> Key {
    of(kind::ITEM, mailbox).into()
}

pub(super) fn item(mailbox: MailboxId, sequence: u64) -> Key {
    numbered(kind::ITEM, mailbox, sequence)
}

pub(super) fn all_ids(mailbox: MailboxId) -> Key {
    of(kind::IDS, mailbox).into()
}

/// The ids of this place.
pub(super) fn ids(mailbox: MailboxId, place: u64) -> Key {
    numbered(kind::IDS, mailbox, place)
}

pub(super) fn deposits(mailbox: MailboxId) -> Key {
    of(kind::DEPOSIT, mailbox).into()
}

/// Where the outcome of a deposit is; without a sender, where versions that did not tell senders apart wrote it.
pub(super) fn deposit(mailbox: MailboxId, key: &DepositKey, sender: Option<&Owner>) -> Key {
    let (head, cseq) = (of(kind::DEPOSIT, mailbox), key.cseq.to_be_bytes());
    match sender {
        Some(sender) => with_tail(&head, &[&key.call_id, &key.from_tag, &cseq, sender.key()]),
        None => with_tail(&head, &[&key.call_id, &key.from_tag, &cseq]),
    }
}

pub(super) fn senders(mailbox: MailboxId) -> Key {
    of(kind::SENDER, mailbox).into()
}

pub(super) fn sender(mailbox: MailboxId, sender: &Owner) -> Key {
    with_tail(&of(kind::SENDER, mailbox), &[sender.key()])
}

pub(super) const MESSAGES: [u8; 1] = [kind::MESSAGE];

pub(super) fn messages(mailbox: MailboxId, bundle: u64) -> Key {
    numbered(kind::MESSAGE, mailbox, bundle)
}

pub(super) fn message(id: MessageKey) -> Key {
    message_key(kind::MESSAGE, id)
}

/// The message's place in its item, which ends its key.
pub(super) fn index(message: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*message.last_chunk()?))
}

pub(super) fn body(id: MessageKey) -> Key {
    message_key(kind::BODY, id)
}

pub(super) const DRAFTS: [u8; 1] = [kind::DRAFT];

pub(super) fn drafts(mailbox: MailboxId) -> Key {
    of(kind::DRAFT, mailbox).into()
}

pub(super) fn draft(mailbox: MailboxId, bundle: u64) -> Key {
    numbered(kind::DRAFT, mailbox, bundle)
}

pub(super) const REMAINS: [u8; 1] = [kind::REMAINS];

pub(super) fn all_remains(mailbox: MailboxId) -> Key {
    of(kind::REMAINS, mailbox).into()
}

/// What is left of the messages of an item that is gone.
pub(super) fn remains(mailbox: MailboxId, bundle: u64) -> Key {
    numbered(kind::REMAINS, mailbox, bundle)
}

pub(super) const FILES: [u8; 1] = [kind::FILE];

pub(super) fn file(id: ContentId) -> Key {
    let mut key = [kind::FILE; 9];
    if let Some(place) = key.last_chunk_mut() {
        *place = id.0.to_be_bytes();
    }
    key.into()
}

pub(super) const SUBSCRIPTIONS: [u8; 1] = [kind::SUBSCRIPTION];

/// The first key behind all of a kind.
pub(super) fn behind(kind: [u8; 1]) -> Key {
    kind.map(|letter| letter.saturating_add(1)).into()
}

pub(super) fn subscription(owner: &Owner, name: &[u8]) -> Key {
    with_tail(&SUBSCRIPTIONS, &[owner.key(), name])
}

/// What a key of [`subscription`] names.
pub(super) fn parse_subscription(key: &[u8]) -> Option<SubscriptionCursor> {
    let part = |bytes: &[u8]| -> Option<(Bytes, usize)> {
        let (len, rest) = bytes.split_first_chunk()?;
        let len = usize::from(u16::from_be_bytes(*len));
        Some((Bytes::copy_from_slice(rest.get(..len)?), 2 + len))
    };
    let (owner, len) = part(key.get(1..)?)?;
    let (name, _) = part(key.get(1 + len..)?)?;
    Some(SubscriptionCursor { owner: Owner::from_key(owner)?, key: name })
}

pub(super) const ENDS: [u8; 1] = [kind::ENDS];

/// A group of ends, the first of which comes `at` that time; `number` tells it from others.
pub(super) fn ends(at: Timestamp, number: u64) -> Key {
    numbered(kind::ENDS, MailboxId(at.0), number)
}

/// When the first of a group of ends comes.
pub(super) fn time_of(ends: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*ends.get(1..)?.first_chunk()?))
}

/// The first key behind all groups that begin by `now`.
pub(super) fn ends_after(now: Timestamp) -> Key {
    match now.0.checked_add(1) {
        Some(next) => ends(Timestamp(next), 0),
        None => behind(ENDS),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn keys_of_a_mailbox_sort_by_number_and_lie_together() {
        let (a, b) = (MailboxId(1), MailboxId(256));
        assert!(item(a, 255) < item(a, 256));
        assert!(item(a, u64::MAX) < item(b, 0));
        assert!(item(a, 7).starts_with(&items(a)) && !item(b, 7).starts_with(&items(a)));
        assert_eq!((mailbox_of(&item(b, 7)), last_number(&item(b, 7))), (Some(b), Some(7)));
        let message_key = MessageKey { mailbox: a, bundle: 3, index: 9 };
        assert!(message(message_key).starts_with(&messages(a, 3)));
        assert_eq!(index(&message(message_key)), Some(9));
        assert!(is_content(&body(message_key)) && is_content(&item(a, 1)) && !is_content(&ledger(a)));
    }

    #[test]
    fn no_senders_key_is_anothers() {
        let sender = |name: &[u8]| sender(MailboxId(1), &Owner::new(name, "x"));
        assert_ne!(sender(b"a"), sender(b"a@x"));
        let deposit = |call_id: &'static str, tag: &'static str| {
            let key = DepositKey { call_id: call_id.into(), from_tag: tag.into(), cseq: 1 };
            deposit(MailboxId(1), &key, Some(&Owner::new(b"a", "x")))
        };
        assert_ne!(deposit("ab", "c"), deposit("a", "bc"));
    }

    #[test]
    fn groups_of_ends_sort_by_time() {
        assert!(ends(Timestamp(255), 9) < ends(Timestamp(256), 0));
        assert!(ends(Timestamp(256), u64::MAX) < ends_after(Timestamp(256)));
        assert!(ends(Timestamp(257), 0) >= ends_after(Timestamp(256)));
        assert!(ends(Timestamp(u64::MAX), u64::MAX) < ends_after(Timestamp(u64::MAX)));
    }

    #[test]
    fn owners_and_subscriptions_are_read_as_written() {
        let bob = Owner::new(b"b@\x00", "x");
        assert_eq!(owner(&mailbox(&bob)), Some(bob.clone()));
        let cursor = SubscriptionCursor { owner: bob.clone(), key: Bytes::from_static(b"k\x00") };
        assert_eq!(parse_subscription(&subscription(&bob, b"k\x00")), Some(cursor));
        assert_eq!(parse_subscription(b"s\x00"), None);
    }
}
