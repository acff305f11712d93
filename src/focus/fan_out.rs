//! Fairness among the virtual user agents of one focus.
//!
//! All share one MSRP session. Each is granted credit for a piece in turn, around a ring that begins in the
//! order of the list; pieces are relayed in the order of their grants. So short messages arrive in
//! the list's order, and none waits for a long one to end: a long one gets a piece a round.
//!
//! What is granted together is fetched together, so credit that comes back waits until half of it is at
//! hand: the other half is under way meanwhile.

use crate::queue::Queue;

/// A participant's place in the list.
pub type Participant = usize;

/// Participants in the ring at once. Each that has more than a piece holds what the store has brought along of its
/// item; the others of a long list enter as those before them end.
pub const MOST_AT_ONCE: usize = 1000;

/// The ring, the grants under way and the pieces that came back.
#[derive(Debug)]
pub struct FanOut<P> {
    ring: Queue<Participant>,
    /// Before this one nobody waits.
    next: Participant,
    slots: Queue<Slot<P>>,
    members: Vec<Member>,
    credit: usize,
    /// From how much credit on it is granted.
    batch: usize,
    /// Whether a batch has begun.
    granting: bool,
}

#[derive(Debug)]
struct Slot<P> {
    participant: Participant,
    state: SlotState<P>,
}

#[derive(Debug)]
enum SlotState<P> {
    Awaited,
    Filled(P),
    Void,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    /// Behind those in the ring.
    Waiting,
    /// In the ring, or granted its first piece.
    Fresh,
    /// Has more than one piece: may have several grants under way.
    Streaming,
    Gone,
}

impl<P> FanOut<P> {
    /// A ring of `participants`, in the list's order, with `credit` pieces to begin with.
    #[must_use]
    pub fn new(participants: usize, credit: usize) -> Self {
        let mut fan_out = Self {
            ring: Queue::new(),
            next: 0,
            slots: Queue::new(),
            members: vec![Member::Waiting; participants],
            credit,
            batch: (credit / 2).max(1),
            granting: false,
        };
        fan_out.begin();
        fan_out
    }

    /// The first of those who wait enter the ring.
    fn begin(&mut self) {
        self.next = 0;
        let first = self.members.len().min(MOST_AT_ONCE);
        for _ in 0..first {
            self.enter();
        }
    }

    /// The next of those who wait enters the ring.
    fn enter(&mut self) {
        while let Some(member) = self.members.get_mut(self.next) {
            let participant = self.next;
            self.next += 1;
            if *member == Member::Waiting {
                *member = Member::Fresh;
                self.ring.push_back(participant);
                return;
            }
        }
    }

    /// Grants one piece to whoever's turn it is; `None` without a batch of credit or without anybody to grant. A
    /// batch that has begun goes on until then.
    pub fn grant(&mut self) -> Option<Participant> {
        self.take_back();
        let least = if self.granting { 1 } else { self.batch };
        self.granting = false;
        if self.credit < least {
            return None;
        }
        let participant = loop {
            let candidate = self.ring.pop_front()?;
            if self.member(candidate) != Member::Gone {
                break candidate;
            }
        };
        if self.member(participant) == Member::Streaming {
            self.ring.push_back(participant);
        }
        self.credit -= 1;
        self.granting = true;
        self.slots.push_back(Slot { participant, state: SlotState::Awaited });
        Some(participant)
    }

    /// What nobody waits for any more is credit again.
    fn take_back(&mut self) {
        while self.slots.front().is_some_and(|slot| matches!(slot.state, SlotState::Void)) {
            self.slots.pop_front();
            self.credit += 1;
        }
    }

    /// Takes the piece that answers the oldest open grant of `participant`; `more` says whether
    /// others follow. A piece that nobody was granted is refused (returned).
    pub fn fill(&mut self, participant: Participant, piece: P, more: bool) -> Result<(), P> {
        let open = self
            .slots
            .iter_mut()
            .find(|slot| slot.participant == participant && matches!(slot.state, SlotState::Awaited));
        let Some(slot) = open else { return Err(piece) };
        slot.state = SlotState::Filled(piece);
        if !more {
            self.leave(participant);
        } else if self.member(participant) == Member::Fresh {
            self.members[participant] = Member::Streaming;
            self.ring.push_back(participant);
        }
        Ok(())
    }

    /// Removes a participant that has ended; its grants that are still open become credit again.
    pub fn leave(&mut self, participant: Participant) {
        let member = self.members.get_mut(participant).map(|member| std::mem::replace(member, Member::Gone));
        if matches!(member, Some(Member::Fresh | Member::Streaming)) {
            self.enter();
        }
        for slot in self.slots.iter_mut() {
            if slot.participant == participant && matches!(slot.state, SlotState::Awaited) {
                slot.state = SlotState::Void;
            }
        }
    }

    /// Removes a participant that has failed, with the pieces of it that were not relayed.
    pub fn withdraw(&mut self, participant: Participant) {
        self.leave(participant);
        for slot in self.slots.iter_mut().filter(|slot| slot.participant == participant) {
            slot.state = SlotState::Void;
        }
    }

    /// Begins again with these participants alone, in the list's order: no piece is under way any more. Credit of
    /// pieces that were relayed is still to come back.
    pub fn restart(&mut self, participants: &[Participant]) {
        self.credit += self.slots.len();
        self.slots.clear();
        self.members.fill(Member::Gone);
        self.ring.clear();
        for participant in participants {
            if let Some(member) = self.members.get_mut(*participant) {
                *member = Member::Waiting;
            }
        }
        self.begin();
    }

    /// Whether there is a piece to [`Self::relay`].
    pub fn is_ready(&mut self) -> bool {
        self.take_back();
        self.slots.front().is_some_and(|slot| matches!(slot.state, SlotState::Filled(_)))
    }

    /// The next piece to relay, in the order of the grants; `None` while that one is awaited.
    pub fn relay(&mut self) -> Option<(Participant, P)> {
        self.take_back();
        let slot = self.slots.pop_front()?;
        match slot.state {
            SlotState::Filled(piece) => Some((slot.participant, piece)),
            SlotState::Awaited | SlotState::Void => {
                self.slots.push_front(slot);
                None
            }
        }
    }

    /// Returns credit for `pieces` that have left the node.
    pub const fn credit(&mut self, pieces: usize) {
        self.credit += pieces;
    }

    /// Whether nobody is left in the ring and no piece is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.slots.is_empty() && self.members.iter().all(|member| *member == Member::Gone)
    }

    fn member(&self, participant: Participant) -> Member {
        self.members.get(participant).copied().unwrap_or(Member::Gone)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Serves everybody at once: participant i has `sizes[i]` pieces.
    fn play(sizes: &[usize], credit: usize) -> Vec<Participant> {
        let mut fan_out = FanOut::new(sizes.len(), credit);
        let mut left = sizes.to_vec();
        let mut order = Vec::new();
        while !fan_out.is_idle() {
            let mut granted = Vec::new();
            while let Some(participant) = fan_out.grant() {
                granted.push(participant);
            }
            assert!(granted.len() <= credit);
            for participant in granted {
                if left[participant] > 0 {
                    left[participant] -= 1;
                    fan_out.fill(participant, (), left[participant] > 0).unwrap();
                }
            }
            while let Some((participant, ())) = fan_out.relay() {
                order.push(participant);
                fan_out.credit(1);
            }
        }
        order
    }

    #[test]
    fn short_messages_keep_the_order_of_the_list() {
        assert_eq!(play(&[1; 20], 4), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn nobody_waits_for_a_long_message_to_end() {
        let order = play(&[1000, 1, 1, 1000, 1], 4);
        assert_eq!(order.len(), 2003);
        let last_short = order.iter().rposition(|p| [1, 2, 4].contains(p)).unwrap();
        assert!(last_short < 10, "{last_short}");
        // the two long ones share evenly
        let halfway = order.iter().take(1000).filter(|p| **p == 0).count();
        assert!((450..550).contains(&halfway), "{halfway}");
    }

    #[test]
    fn a_long_list_enters_as_those_before_it_end() {
        assert_eq!(play(&[1; 2500], 16), (0..2500).collect::<Vec<_>>());
        let order = play(&[3; MOST_AT_ONCE + 2], 4);
        let first = |participant| order.iter().position(|p| *p == participant).unwrap();
        assert!(first(MOST_AT_ONCE) > 2 * MOST_AT_ONCE, "it begins when the first one has ended");
        assert_eq!(order.len(), 3 * (MOST_AT_ONCE + 2));
        // Who fails while he waits lets nobody in.
        let mut fan_out = FanOut::<()>::new(MOST_AT_ONCE + 3, 1);
        fan_out.leave(MOST_AT_ONCE);
        assert_eq!(fan_out.ring.len(), MOST_AT_ONCE);
        fan_out.leave(7);
        let entered = |participant| fan_out.members[participant] == Member::Fresh;
        assert!(entered(MOST_AT_ONCE + 1) && !entered(MOST_AT_ONCE + 2));
        fan_out.restart(&[MOST_AT_ONCE + 2]);
        assert_eq!(fan_out.grant(), Some(MOST_AT_ONCE + 2));
    }

    #[test]
    fn a_single_long_message_has_all_the_credit() {
        let mut fan_out = FanOut::new(1, 8);
        assert_eq!(fan_out.grant(), Some(0));
        assert_eq!(fan_out.grant(), None);
        fan_out.fill(0, (), true).unwrap();
        assert_eq!((0..10).filter_map(|_| fan_out.grant()).count(), 7);
    }

    #[test]
    fn credit_that_comes_back_is_granted_in_batches() {
        let mut fan_out = FanOut::new(100, 8);
        let batch = |fan_out: &mut FanOut<()>| {
            let granted: Vec<_> = std::iter::from_fn(|| fan_out.grant()).collect();
            granted.iter().for_each(|participant| fan_out.fill(*participant, (), false).unwrap());
            granted.len()
        };
        assert_eq!(batch(&mut fan_out), 8);
        let sizes: Vec<_> = (0..20)
            .map(|_| {
                fan_out.relay().unwrap();
                fan_out.credit(1);
                batch(&mut fan_out)
            })
            .collect();
        assert_eq!(sizes, [[0, 0, 0, 4]; 5].concat());
    }

    // Nothing else may come to the focus that has it grant again.
    #[test]
    fn what_those_had_who_failed_is_granted_at_once() {
        for leave in [FanOut::<()>::leave, FanOut::<()>::withdraw] {
            let mut fan_out = FanOut::new(9, 4);
            for group in [0..4, 4..8, 8..9] {
                let granted: Vec<_> = std::iter::from_fn(|| fan_out.grant()).collect();
                assert_eq!(granted, group.clone().collect::<Vec<_>>());
                // The first of them last: what is behind it comes back with it.
                group.rev().for_each(|participant| leave(&mut fan_out, participant));
            }
            assert_eq!((fan_out.grant(), fan_out.relay()), (None, None));
            assert!(fan_out.is_idle());
        }
    }

    #[test]
    fn pieces_are_relayed_in_the_order_of_their_grants() {
        let mut fan_out = FanOut::new(3, 3);
        while fan_out.grant().is_some() {}
        fan_out.fill(2, "c", false).unwrap();
        assert_eq!((fan_out.is_ready(), fan_out.relay()), (false, None));
        fan_out.fill(0, "a", false).unwrap();
        assert!(fan_out.is_ready());
        assert_eq!(fan_out.relay(), Some((0, "a")));
        assert!(!fan_out.is_ready());
        fan_out.leave(1);
        assert!(fan_out.is_ready());
        assert_eq!(fan_out.relay(), Some((2, "c")));
        assert_eq!(fan_out.relay(), None);
        assert!(fan_out.is_idle());
    }

    #[test]
    fn nothing_more_is_relayed_of_who_has_failed() {
        let mut fan_out = FanOut::new(2, 2);
        while fan_out.grant().is_some() {}
        fan_out.fill(0, "a", true).unwrap();
        fan_out.fill(1, "b", true).unwrap();
        fan_out.withdraw(0);
        assert_eq!((fan_out.relay(), fan_out.relay()), (Some((1, "b")), None));
        assert_eq!((fan_out.grant(), fan_out.grant()), (Some(1), None), "its credit serves the other");
    }

    #[test]
    fn a_restart_has_all_the_credit_but_what_was_relayed() {
        let mut fan_out = FanOut::new(3, 3);
        while fan_out.grant().is_some() {}
        fan_out.fill(0, "a", true).unwrap();
        fan_out.fill(1, "b", false).unwrap();
        assert_eq!(fan_out.relay(), Some((0, "a")));
        fan_out.restart(&[0, 1]);
        assert_eq!(fan_out.relay(), None);
        assert_eq!((fan_out.grant(), fan_out.grant(), fan_out.grant()), (Some(0), Some(1), None));
        fan_out.credit(1);
        assert_eq!(fan_out.grant(), None, "each is granted once until it shows that it has more");
        fan_out.fill(0, "a", true).unwrap();
        assert_eq!(fan_out.grant(), Some(0));
    }

    #[test]
    fn a_piece_without_a_grant_is_refused() {
        let mut fan_out = FanOut::new(1, 1);
        assert_eq!(fan_out.fill(0, "x", false), Err("x"));
        assert_eq!(fan_out.fill(7, "x", false), Err("x"));
    }
}
