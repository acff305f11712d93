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
#[derive(Debug)]
pub(super) struct Transactions {
    timeout: Duration,
    pending: Window<u64, Pending>,
}

#[derive(Debug)]
struct Pending {
    subject: Subject,
    /// From when on no response is waited for; unknown until the request is out.
    deadline: Option<Instant>,
}

impl Transactions {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, pending: Window::default() }
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
    pub(super) fn answered(&mut self, number: u64) -> Option<Subject> {
        self.pending.remove(number).map(|pending| pending.subject)
    }

    /// Takes a transaction whose time is over.
    pub(super) fn expired(&mut self, now: Instant) -> Option<Subject> {
        let (number, _) = self.next().filter(|(_, deadline)| *deadline <= now)?;
        self.answered(number)
    }

    /// When the next transaction expires.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next().map(|(_, deadline)| deadline)
    }

    /// The next that expires, and when: only the last may not be out yet.
    fn next(&self) -> Option<(u64, Instant)> {
        let (number, pending) = self.pending.iter().next()?;
        Some((number, pending.deadline?))
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
        assert_eq!(transactions.answered(1), Some(Subject::Chunk(OutgoingId(1))));
        assert_eq!(transactions.answered(1), None);
        assert_eq!(transactions.deadline(), Some(at(32)));
        assert_eq!(transactions.expired(at(31)), None);
        assert_eq!(transactions.expired(at(32)), Some(Subject::Chunk(OutgoingId(2))));
        assert_eq!(transactions.deadline(), None);
        // A response that overtook the end of its request leaves no timer behind.
        assert_eq!(transactions.answered(3), Some(Subject::Chunk(OutgoingId(3))));
        transactions.sent(at(40), 3);
        assert_eq!(transactions.deadline(), None);
    }

    #[test]
    fn one_silent_transaction_does_not_let_the_queue_grow() {
        let mut transactions = Transactions::new(Duration::from_secs(30));
        transactions.begin(0, Subject::Probe);
        transactions.sent(at(0), 0);
        for number in 1..10_000 {
            transactions.begin(number, Subject::Probe);
            transactions.sent(at(1), number);
            transactions.answered(number);
        }
        assert_eq!(transactions.pending.len(), 1);
        assert_eq!(transactions.expired(at(30)), Some(Subject::Probe));
    }
}
