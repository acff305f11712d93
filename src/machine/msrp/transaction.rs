//! The transactions of requests that we sent: who waits for a response, and until when.

use std::time::Duration;

use super::{OutgoingId, Window};
use crate::time::Instant;

/// What a transaction carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A chunk of a message.
    Chunk(OutgoingId),
    /// An empty SEND that binds the connection.
    Probe,
}

/// Transactions without a response, by number. They are sent in the order in which they were begun: one request
/// stands open at a time.
///
/// What is written lies in the system's buffers before it is on its way: megabytes of them, which a slow peer takes
/// minutes to read and answers chunk by chunk. So a transaction's time is over when it was sent long enough ago, and
/// nothing was answered for as long.
#[derive(Debug)]
pub(super) struct Transactions {
    timeout: Duration,
    pending: Window<u64, Pending>,
    /// Before then nothing expires: the peer answers, or could not do so yet.
    earliest: Instant,
}

#[derive(Debug)]
struct Pending {
    subject: Subject,
    /// From when on no response is waited for; unknown until the request is out.
    deadline: Option<Instant>,
}

impl Transactions {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, pending: Window::default(), earliest: Instant::ZERO }
    }

    /// A request begins to be sent.
    pub(super) fn begin(&mut self, number: u64, subject: Subject) {
        self.pending.insert(number, Pending { subject, deadline: None });
    }

    /// The last byte of a request was sent: the clock runs.
    pub(super) fn sent(&mut self, now: Instant, number: u64) {
        if let Some(pending) = self.pending.get_mut(number) {
            // RFC 4975 7.1.1: 30 seconds from the time the last byte of the transaction is sent.
            pending.deadline = Some(now + self.timeout);
        }
    }

    /// A response came; gives what it is for, once.
    pub(super) fn answered(&mut self, now: Instant, number: u64) -> Option<Subject> {
        let subject = self.forget(number)?;
        self.earliest = now + self.timeout;
        Some(subject)
    }

    /// What was sent last is not on its way before now: nothing expires until it had its time.
    pub(super) fn postpone(&mut self, now: Instant) {
        self.earliest = now + self.timeout;
    }

    /// No response is waited for any more; gives what it would be for.
    pub(super) fn forget(&mut self, number: u64) -> Option<Subject> {
        self.pending.remove(number).map(|pending| pending.subject)
    }

    /// How many wait for a response.
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Takes a transaction whose time is over.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Subject> {
        let (number, _) = self.next().filter(|(_, deadline)| *deadline <= now)?;
        self.forget(number)
    }

    /// When the next transaction expires.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next().map(|(_, deadline)| deadline)
    }

    /// The next that expires, and when: only the last may not be out yet.
    fn next(&self) -> Option<(u64, Instant)> {
        let (number, pending) = self.pending.iter().next()?;
        Some((number, pending.deadline?.max(self.earliest)))
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.pending = Window::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    // proves RFC 4975 7.1.1: the timer starts with the last byte, and a response stops it
    #[test]
    fn the_clock_runs_from_the_last_byte_to_the_response() {
        let mut transactions = Transactions::new(Duration::from_secs(30));
        for number in 1..=3 {
            transactions.begin(number, Subject::Chunk(OutgoingId(number)));
            assert_eq!(transactions.deadline(), (number > 1).then_some(at(31)), "the last is not out yet");
            if number < 3 {
                transactions.sent(at(number), number);
            }
        }
        assert_eq!(transactions.answered(at(2), 1), Some(Subject::Chunk(OutgoingId(1))));
        assert_eq!(transactions.answered(at(9), 1), None);
        assert_eq!(transactions.deadline(), Some(at(32)));
        assert_eq!(transactions.expired(at(31)), None);
        assert_eq!(transactions.expired(at(32)), Some(Subject::Chunk(OutgoingId(2))));
        assert_eq!(transactions.deadline(), None);
        // A response that overtook the end of its request leaves no timer behind.
        assert_eq!(transactions.answered(at(39), 3), Some(Subject::Chunk(OutgoingId(3))));
        transactions.sent(at(40), 3);
        assert_eq!(transactions.deadline(), None);
    }

    #[test]
    fn a_peer_that_answers_slowly_is_waited_for() {
        let mut transactions = Transactions::new(Duration::from_secs(30));
        for number in 1..=9 {
            transactions.begin(number, Subject::Chunk(OutgoingId(1)));
            transactions.sent(at(0), number);
        }
        for number in 1..=8 {
            let now = at(20 * number);
            assert_eq!(transactions.expired(now), None);
            assert!(transactions.answered(now, number).is_some());
            assert_eq!(transactions.deadline(), Some(at(20 * number + 30)));
        }
        // What is given up is no answer.
        transactions.begin(10, Subject::Probe);
        assert_eq!(transactions.forget(10), Some(Subject::Probe));
        assert_eq!(transactions.expired(at(189)), None);
        assert_eq!(transactions.expired(at(190)), Some(Subject::Chunk(OutgoingId(1))));
    }

    // proves RFC 4975 7.1.1: 30 seconds from when the last byte was sent, which others' bytes hold up
    #[test]
    fn what_is_held_up_has_its_time_when_it_is_on_its_way() {
        let mut transactions = Transactions::new(Duration::from_secs(30));
        transactions.begin(1, Subject::Probe);
        transactions.sent(at(0), 1);
        transactions.postpone(at(30));
        assert_eq!(transactions.expired(at(59)), None);
        assert_eq!(transactions.deadline(), Some(at(60)));
        assert_eq!(transactions.expired(at(60)), Some(Subject::Probe));
    }

    #[test]
    fn one_silent_transaction_does_not_let_the_queue_grow() {
        let mut transactions = Transactions::new(Duration::from_secs(30));
        transactions.begin(0, Subject::Probe);
        transactions.sent(at(0), 0);
        for number in 1..10_000 {
            transactions.begin(number, Subject::Probe);
            transactions.sent(at(1), number);
            transactions.answered(at(2), number);
        }
        assert_eq!(transactions.len(), 1);
        assert_eq!(transactions.expired(at(31)), None);
        assert_eq!(transactions.expired(at(32)), Some(Subject::Probe));
    }
}
