//! Groups of ends: what ends about the same time and was written in the same batch has one record
//! in the index of ends.
//!
//! An entry is not taken back when what it names goes before its time: whoever comes to it looks
//! whether there is still anything to end.

use bytes::Bytes;
use fjall::Slice;
use restante::store::{Owner, SubscriptionCursor};
use restante::time::Timestamp;

use super::codec::{Decoder, Encoder};
use super::keys::MailboxId;

/// The most entries of one group.
pub(super) const GROUP: usize = 256;

/// How far apart, in milliseconds, the ends of one group may lie: a group is written again when
/// some of it have come and others have not.
const SPAN: u64 = 10_000;

/// Something that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The item of this sequence.
    Item(MailboxId, u64),
    /// What is remembered of an item that is gone: its id's place, and its sequence.
    Memory(MailboxId, u64, u64),
    /// A subscription.
    Subscription(SubscriptionCursor),
}

/// Something that ends, and when.
pub(super) type Ending = (Timestamp, End);

/// Sorts `ends` by time and splits them into groups.
pub(super) fn groups(mut ends: Vec<Ending>) -> Vec<Vec<Ending>> {
    ends.sort_by_key(|(at, _)| *at);
    let mut groups: Vec<Vec<Ending>> = Vec::new();
    for ending in ends {
        match groups.last_mut() {
            Some(group)
                if group.len() < GROUP
                    && group.first().is_some_and(|(first, _)| ending.0.0 - first.0 <= SPAN) =>
            {
                group.push(ending);
            }
            _ => groups.push(vec![ending]),
        }
    }
    groups
}

pub(super) fn encode(ends: &[Ending], encoder: &mut Encoder) -> Slice {
    encoder.begin();
    let first = ends.first().map_or(0, |(at, _)| at.0);
    encoder.number(first);
    for (at, end) in ends {
        encoder.number(at.0.saturating_sub(first));
        match end {
            End::Item(mailbox, sequence) => encoder.number(0).number(mailbox.0).number(*sequence),
            End::Memory(mailbox, place, sequence) => {
                encoder.number(1).number(mailbox.0).number(*place).number(*sequence)
            }
            End::Subscription(cursor) => encoder.number(2).bytes(cursor.owner.key()).bytes(&cursor.key),
        };
    }
    encoder.finish()
}

pub(super) fn decode(record: &[u8]) -> Option<Vec<Ending>> {
    let mut fields = Decoder::new(record)?;
    let first = fields.number()?;
    let mut ends = Vec::new();
    while !fields.ended() {
        let at = Timestamp(first.saturating_add(fields.number()?));
        let end = match fields.number()? {
            0 => End::Item(MailboxId(fields.number()?), fields.number()?),
            1 => End::Memory(MailboxId(fields.number()?), fields.number()?, fields.number()?),
            2 => End::Subscription(cursor(fields.bytes()?, &fields.bytes()?)?),
            _ => return None,
        };
        ends.push((at, end));
    }
    Some(ends)
}

fn cursor(owner: Bytes, key: &[u8]) -> Option<SubscriptionCursor> {
    // What is decoded shares the record's memory, which nobody shall hold for one name.
    let owner = Owner::from_key(Bytes::copy_from_slice(&owner))?;
    Some(SubscriptionCursor { owner, key: Bytes::copy_from_slice(key) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn item(at: u64, sequence: u64) -> Ending {
        (Timestamp(at), End::Item(MailboxId(7), sequence))
    }

    #[test]
    fn groups_hold_what_ends_about_the_same_time() {
        let ends = vec![item(30_000, 1), item(1000, 2), item(9000, 3), item(11_001, 4)];
        assert_eq!(
            groups(ends),
            [vec![item(1000, 2), item(9000, 3)], vec![item(11_001, 4)], vec![item(30_000, 1)]]
        );
        let many: Vec<_> = (0..600).map(|number| item(5, number)).collect();
        assert_eq!(groups(many).iter().map(Vec::len).collect::<Vec<_>>(), [256, 256, 88]);
    }

    #[test]
    fn a_group_is_read_as_written() {
        let cursor = SubscriptionCursor { owner: Owner::new(b"b", "x"), key: Bytes::from_static(b"k") };
        let ends = vec![
            item(9, 1),
            (Timestamp(9), End::Memory(MailboxId(2), u64::MAX, 3)),
            (Timestamp(10), End::Subscription(cursor)),
        ];
        assert_eq!(decode(&encode(&ends, &mut Encoder::default())), Some(ends));
        assert_eq!(decode(&Encoder::default().begin().number(1).number(1).number(9).finish()), None);
    }
}
