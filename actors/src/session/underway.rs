//! Underway: the messages on their way to the client, whose they are, and the names that they have there.

use bytes::Bytes;
use restante::entropy::Entropy;
use restante::focus::fan_out::Participant;
use restante::machine::msrp::OutgoingId;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use std::hash::BuildHasher;

use crate::chance::Chance;

/// A message: the participant whose it is, and its place in the participant's item.
pub type Place = (Participant, u32);

/// What is begun and not yet acknowledged. It comes with the first message: most sessions that wait have none yet.
#[derive(Default)]
pub(super) struct Underway(Option<Box<Tables>>);

#[derive(Default)]
struct Tables {
    /// What each participant is in the midst of.
    current: FxHashMap<Participant, OutgoingId>,
    sending: FxHashMap<OutgoingId, Place>,
    /// Which message has which Message-ID: over another connection it is the same again.
    names: FxHashMap<Place, Bytes>,
    /// What was used already, by hash: where two have the same one, a new name is given without need.
    used: FxHashSet<u64>,
}

impl Underway {
    fn tables(&mut self) -> &mut Tables {
        self.0.get_or_insert_default()
    }

    /// RFC 4975 7.1: a Message-ID is unique within the session. The one of the deposit is kept
    /// where it can be; two items may have been deposited with the same.
    // RFC 4975 5.4: content that is sent again MUST have the Message-ID that it had before.
    pub(super) fn name(&mut self, place: Place, deposited: Bytes) -> Bytes {
        let tables = self.tables();
        if let Some(name) = tables.names.get(&place) {
            return name.clone();
        }
        let fits = (4..=32).contains(&deposited.len())
            && deposited.iter().all(|b| b.is_ascii_alphanumeric() || b".-+%=".contains(b));
        let free = fits && tables.used.insert(FxBuildHasher.hash_one(&deposited));
        // A copy: the name outlives what was read of the item.
        let name = if free { Bytes::copy_from_slice(&deposited) } else { Bytes::from(Chance.token(20)) };
        tables.names.insert(place, name.clone());
        name
    }

    /// The message at `place` is begun, as `id`.
    pub(super) fn begun(&mut self, place: Place, id: OutgoingId) {
        let tables = self.tables();
        tables.current.insert(place.0, id);
        tables.sending.insert(id, place);
    }

    /// What `participant` has begun last.
    pub(super) fn current(&self, participant: Participant) -> Option<OutgoingId> {
        self.0.as_ref()?.current.get(&participant).copied()
    }

    /// The client has the whole of it: it will not be sent again.
    pub(super) fn delivered(&mut self, id: OutgoingId) -> Option<Place> {
        let tables = self.0.as_mut()?;
        let place = tables.sending.remove(&id)?;
        tables.names.remove(&place);
        Some(place)
    }

    /// The client does not take it.
    pub(super) fn refused(&mut self, id: OutgoingId) -> Option<Place> {
        self.0.as_mut()?.sending.remove(&id)
    }

    /// What `participant` has begun last is given up.
    pub(super) fn withdraw(&mut self, participant: Participant) -> Option<OutgoingId> {
        let tables = self.0.as_mut()?;
        let id = tables.current.remove(&participant)?;
        tables.sending.remove(&id);
        Some(id)
    }

    /// The connection is left: what was begun over it is not any more; names stay.
    pub(super) fn forget(&mut self) {
        if let Some(tables) = &mut self.0 {
            tables.current.clear();
            tables.sending.clear();
        }
    }

    /// How many messages wait to be acknowledged.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |tables| tables.sending.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deposited() -> Bytes {
        Bytes::from_static(b"as-deposited")
    }

    // proves RFC 4975 7.1: Message-IDs are unique within a session
    #[test]
    fn the_name_of_the_deposit_is_kept_where_it_can_be() {
        let mut underway = Underway::default();
        let [one, other] = [1, 2].map(|item| underway.name((item, 0), deposited()));
        assert_eq!(one, deposited());
        assert_ne!(other, deposited(), "two items were deposited with one name");
        for (at, unfit) in (0..).zip(["", "abc", "a b c d", "123456789012345678901234567890123"]) {
            let name = underway.name((3, at), Bytes::from_static(unfit.as_bytes()));
            assert!((4..=32).contains(&name.len()) && name != unfit, "{unfit}");
        }
    }

    // proves RFC 4975 5.4: content that is sent again has the Message-ID that it had before
    #[test]
    fn what_is_sent_again_has_its_name_again() {
        let mut underway = Underway::default();
        underway.name((1, 0), deposited());
        let place = (2, 0);
        let first = underway.name(place, deposited());
        underway.forget();
        assert_eq!(underway.name(place, deposited()), first);
    }
}
