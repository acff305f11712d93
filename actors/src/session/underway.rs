//! Underway: the messages on their way to the client, whose they are, and the names that they have there.

use bytes::Bytes;
use restante::entropy::Entropy;
use restante::focus::fan_out::Participant;
use restante::machine::msrp::{OutgoingId, Window};
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::collections::BTreeSet;
use std::hash::BuildHasher;

use crate::chance::Chance;

/// A message: the participant whose it is, and its place in the participant's item.
pub type Place = (Participant, u32);

/// What is begun and not yet acknowledged. It comes with the first message: most sessions that wait have none yet.
#[derive(Default)]
pub(super) struct Underway(Option<Box<Tables>>);

#[derive(Default)]
struct Tables {
    sending: Window<OutgoingId, Sending>,
    /// What each participant has begun last, until that has ended.
    current: Window<Participant, OutgoingId>,
    used: Used,
    /// The names that messages had over a former connection: over another one they are the same again.
    left: Option<Box<FxHashMap<Place, Bytes>>>,
}

struct Sending {
    place: Place,
    /// Its Message-ID.
    name: Bytes,
}

/// Which names were used already, by hash: where two have the same one, a new name is given without need. Senders choose them,
/// and an ordered set has no collisions to exploit. Of most
/// sessions that wait one was.
#[derive(Default)]
struct Used {
    first: Option<u64>,
    more: BTreeSet<u64>,
}

impl Used {
    /// Whether it was not used before.
    fn insert(&mut self, name: &[u8]) -> bool {
        let hash = FxBuildHasher.hash_one(name);
        match self.first {
            None => {
                self.first = Some(hash);
                true
            }
            Some(first) => first != hash && self.more.insert(hash),
        }
    }
}

impl Underway {
    fn tables(&mut self) -> &mut Tables {
        self.0.get_or_insert_default()
    }

    /// RFC 4975 7.1: a Message-ID is unique within the session. The one of the deposit is kept
    /// where it can be; two items may have been deposited with the same.
    // RFC 4975 5.4: content that is sent again MUST have the Message-ID that it had before.
    pub(super) fn name(&mut self, place: Place, deposited: &[u8]) -> Bytes {
        let tables = self.tables();
        if let Some(name) = tables.left.as_mut().and_then(|left| left.remove(&place)) {
            return name;
        }
        let fits = (4..=32).contains(&deposited.len())
            && deposited.iter().all(|b| b.is_ascii_alphanumeric() || b".-+%=".contains(b));
        // A copy: the name outlives what was read of the item.
        match fits && tables.used.insert(deposited) {
            true => Bytes::copy_from_slice(deposited),
            false => Bytes::from(Chance.token(20)),
        }
    }

    /// The message at `place` is begun, as `id`, with that name.
    pub(super) fn begun(&mut self, place: Place, id: OutgoingId, name: Bytes) {
        let tables = self.tables();
        tables.sending.insert(id, Sending { place, name });
        tables.current.insert(place.0, id);
    }

    /// What `participant` has begun last, if that has not ended.
    pub(super) fn current(&self, participant: Participant) -> Option<OutgoingId> {
        self.0.as_ref()?.current.get(participant).copied()
    }

    /// The client has the whole of it, or does not take it: it will not be sent again.
    pub(super) fn ended(&mut self, id: OutgoingId) -> Option<Place> {
        let tables = self.0.as_mut()?;
        let Sending { place, .. } = tables.sending.remove(id)?;
        if tables.current.get(place.0) == Some(&id) {
            tables.current.remove(place.0);
        }
        Some(place)
    }

    /// What `participant` has begun last is given up.
    pub(super) fn withdraw(&mut self, participant: Participant) -> Option<OutgoingId> {
        let id = self.current(participant)?;
        self.ended(id).map(|_| id)
    }

    /// The connection is left: what was begun over it is not any more; names stay.
    pub(super) fn forget(&mut self) {
        if let Some(tables) = &mut self.0 {
            let left = tables.sending.take().map(|(_, sending)| (sending.place, sending.name));
            tables.left.get_or_insert_default().extend(left);
            tables.current = Window::default();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use restante::entropy::Sequence;
    use restante::machine::msrp::{Outgoing, Session, SessionConfig};
    use restante::wire::msrp::MsrpUri;

    /// How many messages wait to be acknowledged.
    fn waiting(underway: &Underway) -> usize {
        underway.0.as_ref().map_or(0, |tables| tables.sending.len())
    }

    const DEPOSITED: &[u8] = b"as-deposited";

    /// So many numbers, as a session gives them.
    fn ids<const N: usize>() -> [OutgoingId; N] {
        let uri = MsrpUri::parse(b"msrp://store.example.com:2855/s;tcp").unwrap();
        let mut session = Session::new(SessionConfig::new(uri, Vec::new()), &mut Sequence::new(1));
        [(); N].map(|()| {
            let (message_id, content_type) = (Bytes::from_static(b"name"), Bytes::from_static(b"text/plain"));
            let outgoing = Outgoing { message_id, content_type, headers: Vec::new(), total: 1 };
            session.begin(restante::time::Instant::from_origin(std::time::Duration::ZERO), outgoing)
        })
    }

    // proves RFC 4975 7.1: Message-IDs are unique within a session
    #[test]
    fn the_name_of_the_deposit_is_kept_where_it_can_be() {
        let mut underway = Underway::default();
        let [one, other, third] = [1, 2, 3].map(|item| underway.name((item, 0), DEPOSITED));
        assert_eq!(one, DEPOSITED);
        assert!(other != DEPOSITED && third != DEPOSITED, "three items were deposited with one name");
        assert_ne!(other, third);
        let [one, again] = [4, 5].map(|item| underway.name((item, 0), b"another"));
        assert!(one == "another" && again != "another", "also where it was not the first");
        for (at, unfit) in (0..).zip(["", "abc", "a b c d", "123456789012345678901234567890123"]) {
            let name = underway.name((3, at), unfit.as_bytes());
            assert!((4..=32).contains(&name.len()) && name != unfit, "{unfit}");
        }
    }

    // proves RFC 4975 5.4: content that is sent again has the Message-ID that it had before
    #[test]
    fn what_is_sent_again_has_its_name_again() {
        let mut underway = Underway::default();
        underway.name((1, 0), DEPOSITED);
        let [once, again] = ids();
        let place = (2, 0);
        let first = underway.name(place, DEPOSITED);
        for id in [once, again] {
            underway.begun(place, id, first.clone());
            underway.forget();
            underway.forget();
            assert_eq!((waiting(&underway), underway.current(2)), (0, None));
            assert_eq!(underway.name(place, DEPOSITED), first);
        }
    }

    #[test]
    fn what_has_ended_is_not_under_way() {
        let mut underway = Underway::default();
        let [first, others, second] = ids();
        for (place, id) in [((1, 0), first), ((2, 0), others), ((1, 1), second)] {
            let name = underway.name(place, DEPOSITED);
            underway.begun(place, id, name);
        }
        assert_eq!((underway.current(1), underway.current(2)), (Some(second), Some(others)));
        assert_eq!(underway.ended(second), Some((1, 1)));
        assert_eq!(underway.ended(second), None);
        // The one before waits for its answer: there is nothing to give up, and nothing more comes of it.
        assert_eq!((underway.current(1), underway.withdraw(1)), (None, None));
        assert_eq!(underway.ended(first), Some((1, 0)));
        assert_eq!(underway.withdraw(2), Some(others));
        assert_eq!((underway.withdraw(2), underway.current(2), waiting(&underway)), (None, None, 0));
    }
}
