//! Turns: the sessions of one connection, each of which may have more to send than it takes now.
//!
//! Who is first told that there is room need not be first to ask, and whoever is answered has something to send again
//! before all others: so a session that waits has its turn before any whose last one was later.

use super::msrp_link::MsrpPort;
use bytes::Bytes;

/// The sessions that are bound to a connection, in the order of their last turns.
#[derive(Default)]
pub(super) struct Turns(Vec<Bound>);

struct Bound {
    session: Bytes,
    port: MsrpPort,
    wait: Wait,
    /// The place of the outbox behind what it sent last.
    end: u64,
    /// Whether that was seen waiting.
    waited: bool,
}

/// Whether a session waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// It has not asked, or had its turn.
    No,
    /// It is to be told.
    Asked,
    /// It was told, and is about to take its turn or to pass.
    Told,
}

impl Turns {
    /// How many sessions there are.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The only one, where there is one alone.
    pub(super) fn only(&self) -> Option<(Bytes, MsrpPort)> {
        let [only] = self.0.as_slice() else { return None };
        Some((only.session.clone(), only.port.clone()))
    }

    pub(super) fn add(&mut self, session: Bytes, port: MsrpPort) {
        // Most connections have one session for as long as they live.
        self.0.reserve_exact(1);
        self.0.push(Bound { session, port, wait: Wait::No, end: 0, waited: false });
    }

    pub(super) fn remove(&mut self, session: &[u8]) {
        self.0.retain(|it| it.session != session);
    }

    pub(super) fn remove_all(&mut self) -> Vec<(Bytes, MsrpPort)> {
        std::mem::take(&mut self.0).into_iter().map(|it| (it.session, it.port)).collect()
    }

    /// Whether it is the session's turn, where there is room; if not, it waits.
    pub(super) fn ask(&mut self, session: &[u8], has_room: bool) -> bool {
        self.granted(session, has_room).is_some()
    }

    /// The session, and those behind it, if it is its turn; if not, it waits. One that is not bound has none behind it.
    fn granted(&mut self, session: &[u8], has_room: bool) -> Option<&mut [Bound]> {
        let at = self.0.iter().position(|it| it.session == session).unwrap_or(self.0.len());
        let (ahead, behind) = self.0.split_at_mut_checked(at)?;
        let is_bound = !behind.is_empty();
        if has_room && (!is_bound || ahead.iter().all(|it| it.wait == Wait::No)) {
            return Some(behind);
        }
        behind.first_mut().into_iter().for_each(|it| it.wait = Wait::Asked);
        None
    }

    /// Takes the session's turn, if it is, where there is room: it is the last then.
    pub(super) fn take(&mut self, session: &[u8], has_room: bool) -> bool {
        let Some(behind) = self.granted(session, has_room) else { return false };
        if let Some(first) = behind.first_mut() {
            first.wait = Wait::No;
            behind.rotate_left(1);
        }
        true
    }

    /// A session that was told and has not asked since has nothing to send.
    pub(super) fn pass(&mut self, session: &[u8]) {
        if let Some(it) = self.find(session).filter(|it| it.wait == Wait::Told) {
            it.wait = Wait::No;
        }
    }

    /// The first of those who wait, unless it has been told.
    pub(super) fn next(&mut self) -> Option<MsrpPort> {
        let next = self.0.iter_mut().find(|it| it.wait != Wait::No).filter(|it| it.wait == Wait::Asked)?;
        next.wait = Wait::Told;
        Some(next.port.clone())
    }

    /// Those who wait, to be told that there is room again.
    pub(super) fn drained(&mut self) -> Vec<MsrpPort> {
        let asked = self.0.iter_mut().filter(|it| it.wait == Wait::Asked);
        let told = asked.map(|it| {
            it.wait = Wait::Told;
            it.port.clone()
        });
        told.collect()
    }

    /// Notes where what the session sent last ends.
    pub(super) fn sent(&mut self, session: &[u8], end: u64) {
        if let Some(it) = self.find(session) {
            it.end = end;
        }
    }

    /// Whether what the session sent last is not written yet, or was not when this was asked before.
    pub(super) fn holds_up(&mut self, session: &[u8], has_written: impl Fn(u64) -> bool) -> bool {
        let Some(it) = self.find(session) else { return false };
        let waits = !has_written(it.end);
        std::mem::replace(&mut it.waited, waits) || waits
    }

    fn find(&mut self, session: &[u8]) -> Option<&mut Bound> {
        self.0.iter_mut().find(|it| it.session == session)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::msrp_link::MsrpEvent;
    use super::*;
    use std::sync::mpsc::{self, Receiver};

    /// Sessions, and who of them is told something.
    fn bound(sessions: [&'static str; 3]) -> (Turns, Receiver<&'static str>) {
        let mut turns = Turns::default();
        let (tell, told) = mpsc::channel();
        for session in sessions {
            let tell = tell.clone();
            turns.add(
                Bytes::from_static(session.as_bytes()),
                MsrpPort::new(move |_| tell.send(session).unwrap()),
            );
        }
        (turns, told)
    }

    fn tell(ports: impl IntoIterator<Item = MsrpPort>) {
        for port in ports {
            port.tell(MsrpEvent::Drained);
        }
    }

    /// Who is told that there is room, in this order.
    fn drained(turns: &mut Turns, told: &Receiver<&'static str>) -> String {
        tell(turns.drained());
        told.try_iter().collect()
    }

    /// Who is told that it is his turn.
    fn next(turns: &mut Turns, told: &Receiver<&'static str>) -> String {
        tell(turns.next());
        told.try_iter().collect()
    }

    #[test]
    fn who_had_his_turn_last_is_told_last_that_there_is_room() {
        let (mut turns, told) = bound(["a", "b", "c"]);
        assert_eq!(drained(&mut turns, &told), "", "nobody waits");
        for (taken, order) in [("", "abc"), ("a", "bca"), ("b", "cab"), ("", "cab")] {
            assert_eq!(taken.is_empty(), !turns.take(taken.as_bytes(), !taken.is_empty()));
            for session in [b"a", b"b", b"c"] {
                assert!(!turns.ask(session, false));
            }
            assert_eq!(drained(&mut turns, &told), order);
            assert_eq!(drained(&mut turns, &told), "", "they are told");
        }
    }

    #[test]
    fn nobody_comes_before_who_waits_for_longer() {
        let (mut turns, told) = bound(["a", "b", "c"]);
        for session in [b"a", b"b", b"c"] {
            assert!(!turns.take(session, false));
        }
        assert_eq!(drained(&mut turns, &told), "abc");
        assert!(!turns.take(b"c", true) && !turns.take(b"b", true), "they are told before he has come");
        assert_eq!(next(&mut turns, &told), "", "he is told");
        assert!(turns.take(b"a", true));
        turns.pass(b"a");
        assert_eq!(next(&mut turns, &told), "b");
        assert!(!turns.ask(b"a", true), "who is answered has something to send again");
        assert!(turns.take(b"b", true));
        assert_eq!(next(&mut turns, &told), "c");
        assert!(turns.take(b"c", true));
        assert_eq!(next(&mut turns, &told), "a");
        assert!(turns.take(b"a", true));
        assert_eq!(next(&mut turns, &told), "");
    }

    #[test]
    fn who_has_nothing_to_send_or_is_gone_is_not_waited_for() {
        let (mut turns, told) = bound(["a", "b", "c"]);
        for session in [b"a", b"b", b"c"] {
            assert!(!turns.take(session, false));
        }
        assert_eq!(drained(&mut turns, &told), "abc");
        turns.pass(b"a");
        assert!(!turns.take(b"c", true));
        turns.remove(b"b");
        assert_eq!(next(&mut turns, &told), "c");
        assert!(turns.ask(b"a", true) && turns.take(b"c", true) && turns.take(b"a", true));
    }

    #[test]
    fn it_is_known_whether_what_a_session_sent_still_waits() {
        let (mut turns, _told) = bound(["a", "b", "c"]);
        turns.sent(b"a", 500);
        turns.sent(b"b", 800);
        let nothing = |end| end == 0;
        assert!(turns.holds_up(b"a", nothing) && turns.holds_up(b"b", nothing));
        let first = |end| end <= 500;
        assert!(
            turns.holds_up(b"a", first) && turns.holds_up(b"b", first),
            "nobody knows since when it is written"
        );
        assert!(!turns.holds_up(b"a", first) && turns.holds_up(b"b", first), "it was written before");
        let all = |_| true;
        assert!(turns.holds_up(b"b", all));
        assert!(!turns.holds_up(b"b", all) && !turns.holds_up(b"unknown", all));
    }
}
