//! A 2xx to an INVITE until its ACK comes (RFC 3261 13.3.1.4): when to repeat it, when to give up.

use std::time::Duration;

use super::described::description;
use super::event::ServerTxn;
use super::timers::Timers;
use crate::time::Instant;
use crate::wire::sip::{Request, Response};

/// A 2xx whose ACK has not come.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    pub(super) txn: ServerTxn,
    pub(super) response: Response,
    /// The CSeq number its ACK will bear.
    pub(super) cseq: u32,
    /// Whether it bore an offer, so that the ACK bears the answer.
    pub(super) offered: bool,
    /// Whether it accepted the INVITE that opened the session.
    pub(super) opening: bool,
    interval: Duration,
    next: Instant,
    until: Instant,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Repeat,
    GiveUp,
}

impl Unacknowledged {
    /// `response`, which accepts `invite`, sent just now.
    pub(super) fn new(
        now: Instant,
        txn: ServerTxn,
        invite: &Request,
        response: Response,
        opening: bool,
        timers: &Timers,
    ) -> Self {
        Self {
            txn,
            response,
            cseq: invite.headers.cseq().map_or(0, |cseq| cseq.number),
            offered: description(invite).is_none(),
            opening,
            interval: timers.t1,
            next: now + timers.t1,
            until: now + timers.give_up(),
        }
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.next.min(self.until)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, timers: &Timers) -> Due {
        if self.until <= now {
            Due::GiveUp
        } else if self.next <= now {
            // RFC 3261 13.3.1.4: repeated at T1, doubling up to T2, whatever the transport.
            self.interval = self.interval.saturating_mul(2).min(timers.t2);
            self.next = now + self.interval;
            Due::Repeat
        } else {
            Due::Nothing
        }
    }
}
