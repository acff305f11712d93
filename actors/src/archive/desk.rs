//! What the writer keeps in memory from batch to batch: sessions under way, and the ledgers of the
//! mailboxes that were in use last.

use restante::store::{Owner, SessionId};
use rustc_hash::FxHashMap;
use std::collections::HashMap;

use super::codec::Encoder;
use super::floor::Floor;
use super::keys::{self, MailboxId};
use super::record::Ledger;
use super::session::Draft;

/// How many ledgers are kept.
const LEDGERS: usize = 1 << 17;

/// How many of them go at once when there are too many.
const MAKE_ROOM: usize = LEDGERS / 64;

/// A mailbox in memory.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) mailbox: MailboxId,
    pub(super) ledger: Ledger,
    /// Pager messages that came since the ledger was written.
    pub(super) behind: u64,
    /// Whether the store has no record of the mailbox yet.
    pub(super) fresh: bool,
    /// Whether the batch writes the ledger.
    pub(super) touched: bool,
    /// Whether the batch changes the mailbox for those who watch it.
    pub(super) changed: bool,
    /// Whether it was used since it was last looked at for one to go.
    used: bool,
}

/// Where a mailbox is kept in memory, until the batch has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeatId(usize);

/// What the writer keeps in memory.
pub(super) struct Desk {
    pub(super) drafts: FxHashMap<SessionId, Draft>,
    pub(super) encoder: Encoder,
    /// Tells groups of ends apart.
    pub(super) next_group: u64,
    /// Where the first group of ends may be, and the first of what remains of items.
    pub(super) ends: Floor,
    pub(super) remains: Floor,
    seats: Vec<Option<Seat>>,
    /// Hashed by a secret, as all that is keyed by what others have chosen: recipients are, and whoever foresees where they
    /// come to lie has all of them lie in one place.
    by_owner: HashMap<Owner, usize>,
    free: Vec<usize>,
    next_mailbox: u64,
    hand: usize,
    limit: usize,
}

impl Desk {
    /// An empty desk, which numbers new mailboxes from `next_mailbox`.
    pub(super) fn new(next_mailbox: u64) -> Self {
        Self {
            drafts: FxHashMap::default(),
            encoder: Encoder::default(),
            next_group: 0,
            ends: Floor::of(keys::ENDS),
            remains: Floor::of(keys::REMAINS),
            seats: Vec::new(),
            by_owner: HashMap::new(),
            free: Vec::new(),
            next_mailbox,
            hand: 0,
            limit: LEDGERS,
        }
    }

    #[cfg(test)]
    pub(super) const fn limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Forgets everything but the numbers given: nobody knows what the disk holds.
    pub(super) fn clear(&mut self) {
        *self = Self { next_group: self.next_group, limit: self.limit, ..Self::new(self.next_mailbox) };
    }

    pub(super) fn find(&mut self, owner: &Owner) -> Option<SeatId> {
        let at = *self.by_owner.get(owner)?;
        let seat = self.seats.get_mut(at)?.as_mut()?;
        seat.used = true;
        Some(SeatId(at))
    }

    /// Seats a mailbox that was read, or, without a number, a new one.
    pub(super) fn seat(&mut self, mailbox: Option<MailboxId>, ledger: Ledger, behind: u64) -> SeatId {
        let fresh = mailbox.is_none();
        let mailbox = mailbox.unwrap_or_else(|| {
            let next = MailboxId(self.next_mailbox);
            self.next_mailbox += 1;
            next
        });
        let owner = ledger.owner.clone();
        let seat = Seat { mailbox, ledger, behind, fresh, touched: false, changed: false, used: true };
        let at = self.free.pop().unwrap_or(self.seats.len());
        match self.seats.get_mut(at) {
            Some(place) => *place = Some(seat),
            None => self.seats.push(Some(seat)),
        }
        self.by_owner.insert(owner, at);
        SeatId(at)
    }

    pub(super) fn at(&self, id: SeatId) -> &Seat {
        // invariant: seats are freed between batches only, and a `SeatId` lives as long as a batch.
        #[allow(clippy::expect_used)]
        self.seats.get(id.0).and_then(Option::as_ref).expect("a seat that is taken")
    }

    pub(super) fn at_mut(&mut self, id: SeatId) -> &mut Seat {
        // invariant: as above.
        #[allow(clippy::expect_used)]
        self.seats.get_mut(id.0).and_then(Option::as_mut).expect("a seat that is taken")
    }

    /// Gives seats free that were not used lately, if there are too many; those whose ledgers are
    /// not written yet come back, to be written now.
    pub(super) fn make_room(&mut self) -> Vec<(MailboxId, Ledger)> {
        let mut behind = Vec::new();
        if self.by_owner.len() <= self.limit {
            return behind;
        }
        let leave = self.limit.saturating_sub(MAKE_ROOM.min(self.limit / 2));
        // Twice round: once to take the mark from each, once to find it still missing.
        for _ in 0..self.seats.len() * 2 {
            if self.by_owner.len() <= leave {
                break;
            }
            self.hand = (self.hand + 1) % self.seats.len();
            let Some(place) = self.seats.get_mut(self.hand) else { break };
            match place {
                Some(seat) if seat.used => seat.used = false,
                Some(_) => {
                    if let Some(seat) = place.take() {
                        self.by_owner.remove(&seat.ledger.owner);
                        self.free.push(self.hand);
                        if seat.behind > 0 {
                            behind.push((seat.mailbox, seat.ledger));
                        }
                    }
                }
                None => {}
            }
        }
        behind
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    // A hash that can be foreseen lets a sender slow down the writer of everybody.
    #[test]
    fn recipients_cannot_be_chosen_to_lie_in_one_place() {
        let desk = Desk::new(1);
        let places = (0..1000_u64).map(|number| {
            // Behind these bytes a hash that is a product is zero whatever follows.
            let mut user = vec![0xd3, 0x08, 0xa3, 0x85, 0x88, 0x6a, 0x3f, 0x24];
            user.extend_from_slice(&number.to_be_bytes());
            desk.by_owner.hasher().hash_one(Owner::new(&user, "somewhere.example.com"))
        });
        assert_eq!(places.collect::<HashSet<_>>().len(), 1000);
    }

    #[test]
    fn seats_not_used_lately_go_first_and_unwritten_ledgers_come_back() {
        let mut desk = Desk::new(1);
        desk.limit(4);
        let owner = |number: u8| Owner::new(&[number], "x");
        let ledger = |number| Ledger { owner: owner(number), ..Ledger::default() };
        for number in 0..5 {
            desk.seat(Some(MailboxId(u64::from(number))), ledger(number), u64::from(number == 1));
        }
        assert_eq!(desk.make_room(), [(MailboxId(1), ledger(1))]);
        assert_eq!(desk.by_owner.len(), 2);
        assert_eq!(desk.make_room(), []);
        let survivor = (0..5).find(|number| desk.find(&owner(*number)).is_some()).unwrap();
        let new = desk.seat(None, ledger(9), 0);
        assert_eq!((desk.at(new).mailbox, desk.at(new).fresh), (MailboxId(1), true));
        assert_eq!(desk.seats.len(), 5, "a free seat is taken again");
        assert!(desk.find(&owner(survivor)).is_some());
    }
}
