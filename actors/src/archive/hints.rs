//! Where items were found last. Who retrieves a list asks for each of its items three times, when the list is accepted and when the
//! item is opened and marked; the id's own record, which lies anywhere among all ids, has to be found for the first alone.

use std::num::NonZeroU64;
use std::sync::Mutex;

use super::keys::{IdHash, MailboxId};
use super::pool::lock;

/// How many items are remembered, at 40 bytes each.
const PLACES: usize = 1 << 13;

/// Where an item was found.
#[derive(Clone, Copy, Debug)]
struct Place {
    mailbox: MailboxId,
    id: IdHash,
    /// They begin with 1.
    sequence: NonZeroU64,
}

/// The places. Each item has one room, which it takes from whoever has it.
///
/// They bind nobody: whoever looks there sees by the item's record whether it is still the one that is meant.
#[derive(Debug)]
pub(super) struct Hints(Box<[Mutex<Option<Place>>]>);

impl Hints {
    fn room(&self, mailbox: MailboxId, id: IdHash) -> Option<&Mutex<Option<Place>>> {
        // The place is a hash already; items of one name in two mailboxes have two rooms.
        let number = id.place ^ mailbox.0.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0.get(usize::try_from(number % PLACES as u64).unwrap_or_default())
    }

    /// The sequence under which an item was found last.
    pub(super) fn get(&self, mailbox: MailboxId, id: IdHash) -> Option<u64> {
        let place = (*lock(self.room(mailbox, id)?))?;
        (place.mailbox == mailbox && place.id == id).then_some(place.sequence.get())
    }

    /// Notes where an item was found.
    pub(super) fn note(&self, mailbox: MailboxId, id: IdHash, sequence: u64) {
        if let Some((room, sequence)) = self.room(mailbox, id).zip(NonZeroU64::new(sequence)) {
            *lock(room) = Some(Place { mailbox, id, sequence });
        }
    }
}

impl Default for Hints {
    fn default() -> Self {
        Self((0..PLACES).map(|_| Mutex::default()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use restante::store::MessageId;

    fn id(name: &'static str) -> IdHash {
        IdHash::of(&MessageId::new(Bytes::from_static(name.as_bytes())))
    }

    #[test]
    fn what_was_found_last_is_known_by_mailbox_and_id() {
        let hints = Hints::default();
        hints.note(MailboxId(1), id("a"), 7);
        hints.note(MailboxId(2), id("a"), 8);
        hints.note(MailboxId(1), id("b"), 9);
        let found = [(1, "a"), (2, "a"), (1, "b"), (2, "b"), (3, "a")]
            .map(|(mailbox, name)| hints.get(MailboxId(mailbox), id(name)));
        assert_eq!(found, [Some(7), Some(8), Some(9), None, None]);
        hints.note(MailboxId(1), id("a"), 70);
        assert_eq!(hints.get(MailboxId(1), id("a")), Some(70));
    }

    #[test]
    fn a_room_is_small() {
        assert_eq!(size_of::<Mutex<Option<Place>>>(), 40);
    }

    #[test]
    fn a_room_that_is_taken_is_another_items() {
        let hints = Hints::default();
        let (first, other) = (id("a"), IdHash { check: id("a").check ^ 1, ..id("a") });
        hints.note(MailboxId(1), first, 7);
        assert_eq!(hints.get(MailboxId(1), other), None);
        hints.note(MailboxId(1), other, 8);
        assert_eq!((hints.get(MailboxId(1), first), hints.get(MailboxId(1), other)), (None, Some(8)));
    }
}
