//! The records the engine keeps, and their fields' order.

use bytes::Bytes;
use restante::store::{
    ContentId, Counts, DepositKey, Envelope, ItemHead, ItemKind, ItemState, MessageId, Tally,
};
use restante::time::Timestamp;

use super::codec::{Decoder, Encoder};

/// Which deposit an item came from, and how long that is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) key: DepositKey,
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
    pub(super) fn encode(&self) -> Vec<u8> {
        let head = &self.head;
        let mut encoder = Encoder::with_capacity(384 + self.body.as_ref().map_or(0, Bytes::len));
        encoder.flag(head.kind == ItemKind::Session).flag(head.state == ItemState::Old);
        encoder.number(head.arrived.0).number(head.ends.0);
        origin(&mut encoder, &self.origin);
        let id = head.message_id.bytes();
        encoder.option((*id != self.origin.key.call_id).then_some(id));
        envelope(&mut encoder, &head.envelope);
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
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.bytes(&self.message_id).option(self.content_type.as_ref()).headers(&self.headers);
        encoder.number(self.size).number(self.received.0).flag(self.text);
        match &self.place {
            Place::Here(bytes) => encoder.number(0).bytes(bytes),
            Place::Beside => encoder.number(1),
            Place::File(id) => encoder.number(2).number(id.0),
        };
        encoder.finish()
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
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::with_capacity(384);
        origin(&mut encoder, &self.origin);
        envelope(&mut encoder, &self.envelope);
        encoder.number(self.began.0).number(self.ends.0);
        encoder.finish()
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

/// What an id stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IdRecord {
    /// The item of this sequence.
    Live(u64),
    /// An item that is gone, and the deposit it came from.
    Gone(DepositKey),
}

impl IdRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        match self {
            Self::Live(sequence) => {
                encoder.flag(true).number(*sequence);
            }
            Self::Gone(key) => {
                encoder.flag(false);
                deposit_key(&mut encoder, key);
            }
        }
        encoder.finish()
    }

    pub(super) fn decode(record: &[u8]) -> Option<Self> {
        let mut fields = Decoder::new(record)?;
        if fields.flag()? {
            Some(Self::Live(fields.number()?))
        } else {
            Some(Self::Gone(read_deposit_key(&mut fields)?))
        }
    }
}

/// What became of a deposit, for when it comes again.
pub(super) fn encode_outcome(id: &MessageId, sequence: u64) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.bytes(id.bytes()).number(sequence);
    encoder.finish()
}

pub(super) fn decode_outcome(record: &[u8]) -> Option<(MessageId, u64)> {
    let mut fields = Decoder::new(record)?;
    Some((MessageId::new(fields.bytes()?), fields.number()?))
}

/// A mailbox's counts and the numbers it gives next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) counts: Counts,
    pub(super) last_sequence: u64,
    pub(super) last_bundle: u64,
}

impl Ledger {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        for tally in [&self.counts.text, &self.counts.multimedia] {
            encoder.number(tally.new).number(tally.old).number(tally.urgent_new).number(tally.urgent_old);
        }
        encoder.number(self.counts.items).number(self.counts.bytes);
        encoder.number(self.last_sequence).number(self.last_bundle);
        encoder.finish()
    }

    pub(super) fn decode(record: &[u8]) -> Option<Self> {
        let mut fields = Decoder::new(record)?;
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
        Some(Self { counts, last_sequence: fields.number()?, last_bundle: fields.number()? })
    }
}

/// A subscription; owner and name are in its key.
pub(super) fn encode_subscription(record: &[u8], expires: Timestamp) -> Vec<u8> {
    let mut encoder = Encoder::with_capacity(record.len() + 16);
    encoder.number(expires.0).bytes(record);
    encoder.finish()
}

pub(super) fn decode_subscription(record: &[u8]) -> Option<(Bytes, Timestamp)> {
    let mut fields = Decoder::new(record)?;
    let expires = Timestamp(fields.number()?);
    Some((fields.bytes()?, expires))
}

/// A content beside its message's record.
pub(super) fn encode_body(body: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::with_capacity(body.len() + 8);
    encoder.bytes(body);
    encoder.finish()
}

pub(super) fn decode_body(record: &[u8]) -> Option<Bytes> {
    Decoder::new(record)?.bytes()
}

fn deposit_key(encoder: &mut Encoder, key: &DepositKey) {
    encoder.bytes(&key.call_id).bytes(&key.from_tag).number(u64::from(key.cseq));
}

fn read_deposit_key(fields: &mut Decoder) -> Option<DepositKey> {
    Some(DepositKey { call_id: fields.bytes()?, from_tag: fields.bytes()?, cseq: fields.small()? })
}

fn origin(encoder: &mut Encoder, origin: &Origin) {
    deposit_key(encoder, &origin.key);
    encoder.number(origin.remember_until.0);
}

fn read_origin(fields: &mut Decoder) -> Option<Origin> {
    Some(Origin { key: read_deposit_key(fields)?, remember_until: Timestamp(fields.number()?) })
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
