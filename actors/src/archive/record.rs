//! The records the engine keeps, and their fields' order.

use bytes::Bytes;
use fjall::Slice;
use restante::store::{
    ContentId, Counts, DepositKey, Envelope, Held, ItemHead, ItemKind, ItemState, MessageId, Owner, Tally,
    beside_content,
};
use restante::time::Timestamp;

use super::codec::{Decoder, Encoder};
use super::keys::MailboxId;

/// Which deposit an item came from, and how long that is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) key: DepositKey,
    pub(super) sender: Owner,
    pub(super) remember_until: Timestamp,
}

/// An item; its sequence is in its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ItemRecord {
    pub(super) head: ItemHead,
    pub(super) origin: Origin,
    /// Under which number its messages are kept.
    pub(super) bundle: u64,
    /// The content of a small pager message: then it has no message record.
    pub(super) body: Option<Bytes>,
}

impl ItemRecord {
    pub(super) fn encode(&self, encoder: &mut Encoder) -> Slice {
        let head = &self.head;
        encoder.begin();
        encoder.flag(head.kind == ItemKind::Session).flag(head.state == ItemState::Old);
        encoder.number(head.arrived.0).number(head.ends.0);
        origin(encoder, &self.origin);
        let id = head.message_id.bytes();
        encoder.option((*id != self.origin.key.call_id).then_some(id));
        envelope(encoder, &head.envelope);
        encoder.number(u64::from(head.messages)).number(head.bytes).number(self.bundle);
        encoder.option(self.body.as_ref());
        encoder.finish()
    }

    pub(super) fn decode(record: &[u8], sequence: u64) -> Option<Self> {
        let mut fields = Decoder::new(record)?;
        let kind = if fields.flag()? { ItemKind::Session } else { ItemKind::Pager };
        let state = if fields.flag()? { ItemState::Old } else { ItemState::New };
        let arrived = Timestamp(fields.number()?);
        let ends = Timestamp(fields.number()?);
        let origin = read_origin(&mut fields)?;
        let message_id = MessageId::new(fields.option()?.unwrap_or_else(|| origin.key.call_id.clone()));
        let envelope = read_envelope(&mut fields)?;
        let (messages, bytes, bundle) = (fields.small()?, fields.number()?, fields.number()?);
        let body = fields.option()?;
        let head = ItemHead { message_id, kind, state, sequence, arrived, ends, envelope, messages, bytes };
        Some(Self { head, origin, bundle, body })
    }

    /// The deposit that is known again by this item, and its sender: an INVITE again is another session.
    pub(super) fn known_by(&self) -> Option<(&DepositKey, &Owner)> {
        (self.head.kind == ItemKind::Pager).then_some((&self.origin.key, &self.origin.sender))
    }
}

/// Where a message's content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the message's record.
    Here(Bytes),
    /// In a record beside it.
    Beside,
    /// In a file.
    File(ContentId),
}

/// A message of an item or of a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MessageRecord {
    pub(super) message_id: Bytes,
    pub(super) content_type: Option<Bytes>,
    pub(super) headers: Vec<(Bytes, Bytes)>,
    pub(super) size: u64,
    pub(super) received: Timestamp,
    pub(super) text: bool,
    pub(super) place: Place,
}

impl MessageRecord {
    pub(super) fn encode(&self, encoder: &mut Encoder) -> Slice {
        encoder.begin().bytes(&self.message_id).option(self.content_type.as_ref()).headers(&self.headers);
        encoder.number(self.size).number(self.received.0).flag(self.text);
        match &self.place {
            Place::Here(bytes) => encoder.number(0).bytes(bytes),
            Place::Beside => encoder.number(1),
            Place::File(id) => encoder.number(2).number(id.0),
        };
        encoder.finish()
    }

    /// What it counts beside its content.
    pub(super) fn beside(&self) -> u64 {
        beside_content(&self.message_id, self.content_type.as_ref(), &self.headers)
    }

    pub(super) fn decode(record: &[u8]) -> Option<Self> {
        let mut fields = Decoder::new(record)?;
        Some(Self {
            message_id: fields.bytes()?,
            content_type: fields.option()?,
            headers: fields.headers()?,
            size: fields.number()?,
            received: Timestamp(fields.number()?),
            text: fields.flag()?,
            place: match fields.number()? {
                0 => Place::Here(fields.bytes()?),
                1 => Place::Beside,
                2 => Place::File(ContentId(fields.number()?)),
                _ => return None,
            },
        })
    }
}

/// A session under way; its messages are counted when the store is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DraftRecord {
    pub(super) origin: Origin,
    pub(super) envelope: Envelope,
    pub(super) began: Timestamp,
    pub(super) ends: Timestamp,
}

impl DraftRecord {
    pub(super) fn encode(&self, encoder: &mut Encoder) -> Slice {
        origin(encoder.begin(), &self.origin);
        envelope(encoder, &self.envelope);
        encoder.number(self.began.0).number(self.ends.0).finish()
    }

    pub(super) fn decode(record: &[u8]) -> Option<Self> {
        let mut fields = Decoder::new(record)?;
        Some(Self {
            origin: read_origin(&mut fields)?,
            envelope: read_envelope(&mut fields)?,
            began: Timestamp(fields.number()?),
            ends: Timestamp(fields.number()?),
        })
    }
}

/// One taken id among those of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdEntry {
    /// The rest of the id's hash.
    pub(super) check: u32,
    /// The item's sequence.
    pub(super) sequence: u64,
    /// What is remembered when the item is gone; while it is there, it says all.
    pub(super) gone: Option<Gone>,
}

/// What is remembered of an item that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) message_id: MessageId,
    /// The deposit that is known again.
    pub(super) key: Option<DepositKey>,
    /// Who sent it; nobody where that was not written down, as in earlier versions: then it is known whoever sends it.
    pub(super) sender: Owner,
}

impl Gone {
    /// The deposit that is known again, and its sender.
    pub(super) fn known_by(&self) -> Option<(&DepositKey, &Owner)> {
        Some((self.key.as_ref()?, &self.sender))
    }
}

/// Whether a deposit comes from the sender of one that is known by its key.
pub(super) fn is_of(sender: &Owner, known: &Owner) -> bool {
    sender == known || known.key().is_empty()
}

/// The taken ids whose hashes have one place; nearly always there is one.
pub(super) type IdRecord = Vec<IdEntry>;

pub(super) fn encode_ids(ids: &[IdEntry], encoder: &mut Encoder) -> Slice {
    encoder.begin();
    for id in ids {
        encoder.number(u64::from(id.check)).number(id.sequence).flag(id.gone.is_some());
        if let Some(gone) = &id.gone {
            encoder.bytes(gone.message_id.bytes());
            match &gone.key {
                None => encoder.number(0),
                Some(key) => deposit_key(encoder.number(2), key).bytes(gone.sender.key()),
            };
        }
    }
    encoder.finish()
}

pub(super) fn decode_ids(record: &[u8]) -> Option<IdRecord> {
    let mut fields = Decoder::new(record)?;
    let mut ids = Vec::with_capacity(1);
    while !fields.ended() {
        let (check, sequence) = (fields.small()?, fields.number()?);
        let gone = if fields.flag()? {
            let message_id = MessageId::new(fields.bytes()?);
            let mut sender = Owner::default();
            let key = match fields.number()? {
                0 => None,
                1 => Some(read_deposit_key(&mut fields)?),
                2 => {
                    let key = read_deposit_key(&mut fields)?;
                    sender = read_sender(&mut fields)?;
                    Some(key)
                }
                _ => return None,
            };
            Some(Gone { message_id, key, sender })
        } else {
            None
        };
        ids.push(IdEntry { check, sequence, gone });
    }
    Some(ids)
}

/// What became of a deposit whose item has another id than its Call-ID, for when it comes again.
pub(super) fn encode_outcome(id: &MessageId, sequence: u64, encoder: &mut Encoder) -> Slice {
    encoder.begin().bytes(id.bytes()).number(sequence).finish()
}

pub(super) fn decode_outcome(record: &[u8]) -> Option<(MessageId, u64)> {
    let mut fields = Decoder::new(record)?;
    Some((MessageId::new(fields.bytes()?), fields.number()?))
}

/// The number of an owner's mailbox.
pub(super) fn encode_mailbox(mailbox: MailboxId, encoder: &mut Encoder) -> Slice {
    encoder.begin().number(mailbox.0).finish()
}

pub(super) fn decode_mailbox(record: &[u8]) -> Option<MailboxId> {
    Decoder::new(record)?.number().map(MailboxId)
}

/// A mailbox's counts and the numbers it gives next, as they were when the item of
/// [`Ledger::last_sequence`] had come: pager messages behind it are still to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) owner: Owner,
    pub(super) counts: Counts,
    pub(super) last_sequence: u64,
    pub(super) last_bundle: u64,
    /// How many deposits are remembered apart from their ids.
    pub(super) apart: u64,
    /// Whether what each sender has of the mailbox is written down.
    pub(super) by_sender: bool,
}

impl Ledger {
    pub(super) fn encode(&self, encoder: &mut Encoder) -> Slice {
        encoder.begin().bytes(self.owner.key());
        for tally in [&self.counts.text, &self.counts.multimedia] {
            encoder.number(tally.new).number(tally.old).number(tally.urgent_new).number(tally.urgent_old);
        }
        encoder.number(self.counts.items).number(self.counts.bytes);
        encoder.number(self.last_sequence).number(self.last_bundle).number(self.apart);
        encoder.flag(self.by_sender).finish()
    }

    pub(super) fn decode(record: &[u8]) -> Option<Self> {
        let mut fields = Decoder::new(record)?;
        let owner = Owner::from_key(fields.bytes()?)?;
        let mut tally = || {
            Some(Tally {
                new: fields.number()?,
                old: fields.number()?,
                urgent_new: fields.number()?,
                urgent_old: fields.number()?,
            })
        };
        let (text, multimedia) = (tally()?, tally()?);
        let counts = Counts { text, multimedia, items: fields.number()?, bytes: fields.number()? };
        Some(Self {
            owner,
            counts,
            last_sequence: fields.number()?,
            last_bundle: fields.number()?,
            apart: fields.number()?,
            by_sender: fields.flag()?,
        })
    }

    /// Adds a pager message that came behind.
    pub(super) fn add(&mut self, item: &ItemRecord) {
        self.counts.enter(&item.head.envelope, item.head.state);
        self.counts.charge(1, item.head.bytes);
        self.last_bundle = self.last_bundle.max(item.bundle);
    }
}

/// What one sender has of a mailbox.
pub(super) fn encode_held(held: Held, encoder: &mut Encoder) -> Slice {
    encoder.begin().number(held.items).number(held.bytes).finish()
}

pub(super) fn decode_held(record: &[u8]) -> Option<Held> {
    let mut fields = Decoder::new(record)?;
    Some(Held { items: fields.number()?, bytes: fields.number()? })
}

/// A subscription; owner and name are in its key.
pub(super) fn encode_subscription(record: &[u8], expires: Timestamp, encoder: &mut Encoder) -> Slice {
    encoder.begin().number(expires.0).bytes(record).finish()
}

pub(super) fn decode_subscription(record: &[u8]) -> Option<(Bytes, Timestamp)> {
    let mut fields = Decoder::new(record)?;
    let expires = Timestamp(fields.number()?);
    Some((fields.bytes()?, expires))
}

/// A content beside its message's record.
pub(super) fn encode_body(body: &[u8], encoder: &mut Encoder) -> Slice {
    encoder.begin().bytes(body).finish()
}

pub(super) fn decode_body(record: &[u8]) -> Option<Bytes> {
    Decoder::new(record)?.bytes()
}

fn deposit_key<'a>(encoder: &'a mut Encoder, key: &DepositKey) -> &'a mut Encoder {
    encoder.bytes(&key.call_id).bytes(&key.from_tag).number(u64::from(key.cseq))
}

fn read_deposit_key(fields: &mut Decoder) -> Option<DepositKey> {
    Some(DepositKey { call_id: fields.bytes()?, from_tag: fields.bytes()?, cseq: fields.small()? })
}

fn origin(encoder: &mut Encoder, origin: &Origin) {
    deposit_key(encoder, &origin.key).bytes(origin.sender.key()).number(origin.remember_until.0);
}

fn read_sender(fields: &mut Decoder) -> Option<Owner> {
    Some(Owner::from_key(fields.bytes()?).unwrap_or_default())
}

fn read_origin(fields: &mut Decoder) -> Option<Origin> {
    let key = read_deposit_key(fields)?;
    let sender = read_sender(fields)?;
    Some(Origin { key, sender, remember_until: Timestamp(fields.number()?) })
}

fn envelope(encoder: &mut Encoder, envelope: &Envelope) {
    encoder.bytes(&envelope.from).bytes(&envelope.to).option(envelope.subject.as_ref());
    encoder.bytes(&envelope.date).option(envelope.priority.as_ref()).headers(&envelope.content);
    encoder.flag(envelope.expires.is_some());
    if let Some(expires) = envelope.expires {
        encoder.number(expires.0);
    }
    encoder.flag(envelope.text).flag(envelope.urgent);
}

fn read_envelope(fields: &mut Decoder) -> Option<Envelope> {
    Some(Envelope {
        from: fields.bytes()?,
        to: fields.bytes()?,
        subject: fields.option()?,
        date: fields.bytes()?,
        priority: fields.option()?,
        content: fields.headers()?,
        expires: if fields.flag()? { Some(Timestamp(fields.number()?)) } else { None },
        text: fields.flag()?,
        urgent: fields.flag()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key() -> DepositKey {
        DepositKey { call_id: "a".into(), from_tag: "t".into(), cseq: 7 }
    }

    #[test]
    fn what_is_gone_is_read_as_written() {
        let (message_id, sender) = (MessageId::new("a~7"), Owner::new(b"alice", "example.org"));
        let ids = [None, Some(key())].map(|key| {
            let sender = if key.is_some() { sender.clone() } else { Owner::default() };
            IdEntry {
                check: 3,
                sequence: 9,
                gone: Some(Gone { message_id: message_id.clone(), key, sender }),
            }
        });
        assert_eq!(decode_ids(&encode_ids(&ids, &mut Encoder::default())).unwrap(), ids);
    }

    #[test]
    fn what_was_written_without_its_sender_is_known_whoever_sends_it() {
        let mut encoder = Encoder::default();
        encoder.begin().number(3).number(9).flag(true).bytes(b"a~7").flag(true);
        let ids = decode_ids(&deposit_key(&mut encoder, &key()).finish()).unwrap();
        let gone = ids.into_iter().next().unwrap().gone.unwrap();
        let (known, sender) = gone.known_by().unwrap();
        assert_eq!(known, &key());
        assert!(is_of(&Owner::new(b"alice", "example.org"), sender));
        assert!(!is_of(&Owner::new(b"alice", "example.org"), &Owner::new(b"eve", "example.org")));
    }
}
