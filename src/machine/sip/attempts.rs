//! One request and the places it may be tried at: [`Attempts`] (RFC 3263 4.3). What a transaction is
//! remains [`Endpoint`](super::Endpoint)'s affair; each attempt is a transaction of its own.

use std::collections::VecDeque;

use bytes::Bytes;

use super::event::FailureCause;
use super::failed_places::Finding;
use super::locate::{Place, Target, TargetHost};
use super::transport::{Destination, Flow};
use crate::wire::sip::{Request, Response, StatusCode};

/// How a request ended.
#[derive(Debug)]
pub enum Outcome {
    /// By a final response.
    Response(Box<Response>),
    /// Without one.
    Failed(FailureCause),
}

/// What to do next about a request.
#[derive(Debug)]
pub enum NextAttempt {
    /// Send it as a new transaction; it is identical to the one before but for the Via, which the
    /// endpoint adds with a branch of its own (RFC 3263 4.3).
    Send(Box<Request>, Destination),
    /// Find the places of this URI, and hand them to [`Attempts::located`]; or call [`Attempts::handle_unresolved`].
    Locate(Bytes),
    /// Nothing more: this is how it ended.
    Exhausted(Outcome),
}

/// A request on its way: over the connection of its dialog, while that lives, then to each place
/// that its next hop stands for.
///
/// * Command: [`proceed`](Self::proceed), at first and whenever an attempt has failed.
/// * Inputs: [`located`](Self::located), [`handle_unresolved`](Self::handle_unresolved),
///   [`handle_provisional`](Self::handle_provisional), [`handle_outcome`](Self::handle_outcome).
/// * Getter: [`finding`](Self::finding), what the end of an attempt tells of its place.
#[derive(Debug)]
pub struct Attempts {
    request: Option<Box<Request>>,
    /// What is still to be resolved.
    next_hop: Option<Bytes>,
    flow: Option<Flow>,
    places: VecDeque<Destination>,
    /// Whether the next hop stands for several places.
    several: bool,
    /// The place of the current attempt, where the next hop stood for several.
    trying: Option<Destination>,
    /// Whether anybody was heard in the current attempt.
    heard: bool,
    /// How the attempt before ended.
    last: Option<Outcome>,
}

impl Attempts {
    /// The attempts at `request`, whose next hop is the raw URI `next_hop`. Where the dialog was made
    /// over `flow`: `is_open` says whether that connection still lives.
    #[must_use]
    pub fn new(request: Box<Request>, next_hop: Bytes, flow: Option<Flow>, is_open: bool) -> Self {
        let secure = Target::parse(&next_hop).is_ok_and(|target| target.secure);
        // RFC 5630 3.1.3, RFC 3261 26.2.2: what goes to a SIPS URI goes over TLS.
        let flow = flow.filter(|flow| flow.transport.is_secure() || !secure);
        // The connection on which the dialog was made is used while it lives (RFC 5923 in spirit), also
        // where the next hop's name leads nowhere.
        let living = flow.filter(|flow| is_open && flow.transport.is_reliable());
        let places = living.map(Destination::back).into_iter().collect();
        Self {
            request: Some(request),
            next_hop: Some(next_hop),
            flow,
            places,
            several: false,
            trying: None,
            heard: false,
            last: None,
        }
    }

    /// What to do now.
    #[must_use]
    pub fn proceed(&mut self) -> NextAttempt {
        if let Some(to) = self.places.pop_front() {
            self.heard = false;
            self.trying = self.several.then(|| to.clone());
            // The request is kept only while there is somewhere else to go.
            let more = self.next_hop.is_some() || !self.places.is_empty();
            let request = if more { self.request.clone() } else { self.request.take() };
            if let Some(request) = request {
                return NextAttempt::Send(request, to);
            }
        }
        match self.next_hop.take() {
            Some(uri) => NextAttempt::Locate(uri),
            None => {
                let last = self.last.take();
                NextAttempt::Exhausted(last.unwrap_or(Outcome::Failed(FailureCause::Transport)))
            }
        }
    }

    /// Takes the places that the next hop stands for, best first; none where it leads nowhere.
    pub fn located(&mut self, places: &[Place]) {
        self.several = places.len() > 1;
        for place in places {
            self.places.push_back(self.way(place));
        }
    }

    /// The DNS does not say what the next hop stands for. That is how the request ends, unless a response says otherwise: its
    /// place may be well.
    pub fn handle_unresolved(&mut self) {
        if !matches!(self.last, Some(Outcome::Response(_))) {
            self.last = Some(Outcome::Failed(FailureCause::Unresolved));
        }
    }

    /// The way to a place. Over UDP it begins at the socket to which the dialog's requests came.
    fn way(&self, place: &Place) -> Destination {
        let begins = |flow: &Flow| {
            !flow.transport.is_reliable()
                && flow.transport == place.transport
                && flow.local.is_ipv4() == place.addr.is_ipv4()
        };
        Destination {
            transport: place.transport,
            addr: place.addr,
            flow: self.flow.filter(begins),
            upgrade: place.upgrade,
            domain: place.domain.clone(),
        }
    }

    /// What `outcome`, the end of the current attempt, tells of the place that was tried. `None`: nothing that
    /// could help the next request, for there is no other place to go to.
    #[must_use]
    pub fn finding(&self, outcome: &Outcome) -> Option<(&Destination, Finding)> {
        let finding = match outcome {
            Outcome::Response(response) if response.status == StatusCode::SERVICE_UNAVAILABLE => {
                // RFC 3261 21.5.4: without Retry-After, a 503 says no more than a 500.
                response.headers.retry_after().map_or(Finding::Answered, Finding::Busy)
            }
            Outcome::Failed(FailureCause::Timeout) if !self.heard => Finding::Silent,
            Outcome::Failed(FailureCause::Transport | FailureCause::Unresolved) => Finding::Unreachable,
            Outcome::Response(_) | Outcome::Failed(FailureCause::Timeout) => Finding::Answered,
        };
        self.trying.as_ref().map(|to| (to, finding))
    }

    /// Takes note of a provisional response.
    pub const fn handle_provisional(&mut self) {
        self.heard = true;
    }

    /// Takes the end of an attempt, and gives it back where it is the end of the request; `None`:
    /// [`proceed`](Self::proceed).
    pub fn handle_outcome(&mut self, outcome: Outcome) -> Option<Outcome> {
        // RFC 3263 4.3: a failure is a 503, a transport failure, or a time-out without having received
        // any response. If it occurs, the request is sent to the next element in the list.
        let failed = match &outcome {
            Outcome::Response(response) => response.status == StatusCode::SERVICE_UNAVAILABLE,
            Outcome::Failed(FailureCause::Transport | FailureCause::Unresolved) => true,
            Outcome::Failed(FailureCause::Timeout) => !self.heard,
        };
        if !failed || !self.has_more(&outcome) {
            return Some(outcome);
        }
        self.last = Some(outcome);
        None
    }

    fn has_more(&self, outcome: &Outcome) -> bool {
        let Some(next_hop) = &self.next_hop else { return !self.places.is_empty() };
        // A numeric next hop is the peer that has just said 503 over its connection.
        let numeric =
            || Target::parse(next_hop).is_ok_and(|target| matches!(target.host, TargetHost::Address(_)));
        !(matches!(outcome, Outcome::Response(_)) && numeric())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::test_support::{bare, tcp, udp};
    use super::super::transport::Transport;
    use super::*;
    use crate::wire::sip::{HeaderName, Method};
    use std::time::Duration;

    fn attempts(next_hop: &'static str, flow: Option<Flow>, is_open: bool) -> Attempts {
        Attempts::new(Box::new(bare(Method::Notify, "n", 1)), Bytes::from(next_hop), flow, is_open)
    }

    fn place(transport: Transport, addr: &str) -> Place {
        Place { transport, addr: addr.parse().unwrap(), upgrade: true, domain: None }
    }

    /// What is to be done, in a word.
    fn next(attempts: &mut Attempts) -> String {
        match attempts.proceed() {
            NextAttempt::Send(request, to) => {
                assert_eq!(request.headers.call_id().unwrap(), "n");
                format!("{} {}", to.transport, to.addr)
            }
            NextAttempt::Locate(uri) => format!("locate {}", String::from_utf8_lossy(&uri)),
            NextAttempt::Exhausted(Outcome::Failed(cause)) => format!("{cause:?}"),
            NextAttempt::Exhausted(Outcome::Response(response)) => response.status.to_string(),
        }
    }

    fn answer(status: StatusCode) -> Outcome {
        Outcome::Response(Box::new(bare(Method::Notify, "n", 1).respond(status)))
    }

    // proves RFC 3263 4.3
    #[test]
    fn a_failure_leads_to_the_next_place_and_anything_else_is_the_end() {
        let two = [place(Transport::Udp, "192.0.2.1:5060"), place(Transport::Tcp, "192.0.2.2:5070")];
        let timeout = || Outcome::Failed(FailureCause::Timeout);
        let failures =
            [answer(StatusCode::SERVICE_UNAVAILABLE), timeout(), Outcome::Failed(FailureCause::Transport)];
        for failure in failures {
            let mut attempts = attempts("sip:example.com", None, false);
            assert_eq!(next(&mut attempts), "locate sip:example.com");
            attempts.located(&two);
            assert_eq!(next(&mut attempts), "UDP 192.0.2.1:5060");
            assert!(attempts.handle_outcome(failure).is_none());
            assert_eq!(next(&mut attempts), "TCP 192.0.2.2:5070");
            assert!(attempts.handle_outcome(timeout()).is_some(), "no third place");
        }
        for end in [answer(StatusCode::OK), answer(StatusCode(481)), answer(StatusCode(500))] {
            let mut attempts = attempts("sip:example.com", None, false);
            next(&mut attempts);
            attempts.located(&two);
            next(&mut attempts);
            assert!(attempts.handle_outcome(end).is_some());
        }
    }

    // proves RFC 3263 4.3: "without ever having received any response, provisional or final"
    #[test]
    fn a_time_out_after_a_provisional_response_is_the_end() {
        let mut attempts = attempts("sip:example.com", None, false);
        next(&mut attempts);
        attempts.located(&[place(Transport::Udp, "192.0.2.1:5060"), place(Transport::Udp, "192.0.2.2:5060")]);
        next(&mut attempts);
        attempts.handle_provisional();
        assert!(attempts.handle_outcome(Outcome::Failed(FailureCause::Timeout)).is_some());
    }

    // proves RFC 3261 21.5.4 in what a 503 tells
    #[test]
    fn each_outcome_tells_of_its_place_where_there_is_another() {
        let found = |places: &[Place], outcome: &Outcome| {
            let mut attempts = attempts("sip:example.com", None, false);
            next(&mut attempts);
            attempts.located(places);
            next(&mut attempts);
            attempts.finding(outcome).map(|(to, finding)| (to.addr.port(), finding))
        };
        let two = [place(Transport::Udp, "192.0.2.1:5061"), place(Transport::Udp, "192.0.2.1:5062")];
        let (silent, refused) =
            (Outcome::Failed(FailureCause::Timeout), Outcome::Failed(FailureCause::Transport));
        assert_eq!(found(&two, &silent), Some((5061, Finding::Silent)));
        assert_eq!(found(&two, &refused), Some((5061, Finding::Unreachable)));
        assert_eq!(found(&two, &answer(StatusCode(481))), Some((5061, Finding::Answered)));
        assert_eq!(found(&two, &answer(StatusCode(503))), Some((5061, Finding::Answered)));
        let mut busy = bare(Method::Notify, "n", 1).respond(StatusCode(503));
        busy.headers.push(HeaderName::RetryAfter, "18000;duration=3600");
        let busy = Outcome::Response(Box::new(busy));
        assert_eq!(found(&two, &busy), Some((5061, Finding::Busy(Duration::from_secs(18_000)))));
        assert_eq!(found(&two[..1], &silent), None, "nowhere else to go");
        let mut living = attempts("sip:example.com", Some(tcp()), true);
        next(&mut living);
        assert!(living.finding(&silent).is_none(), "a connection is no place");
    }

    #[test]
    fn a_living_connection_comes_first_and_is_replaced() {
        let mut attempts = attempts("sip:example.com", Some(tcp()), true);
        assert_eq!(next(&mut attempts), "TCP 192.0.2.1:40000");
        assert!(attempts.handle_outcome(Outcome::Failed(FailureCause::Transport)).is_none());
        assert_eq!(next(&mut attempts), "locate sip:example.com");
        attempts.located(&[place(Transport::Udp, "192.0.2.7:5060")]);
        assert_eq!(next(&mut attempts), "UDP 192.0.2.7:5060");
    }

    #[test]
    fn a_connection_that_is_gone_or_not_secure_enough_is_not_used() {
        assert_eq!(next(&mut attempts("sip:example.com", Some(tcp()), false)), "locate sip:example.com");
        assert_eq!(next(&mut attempts("sips:example.com", Some(tcp()), true)), "locate sips:example.com");
        assert_eq!(next(&mut attempts("sip:example.com", Some(udp()), true)), "locate sip:example.com");
    }

    #[test]
    fn the_last_failure_is_the_outcome_where_the_name_leads_nowhere() {
        let mut attempts = attempts("sip:example.com", Some(tcp()), true);
        next(&mut attempts);
        assert!(attempts.handle_outcome(answer(StatusCode::SERVICE_UNAVAILABLE)).is_none());
        next(&mut attempts);
        attempts.located(&[]);
        assert_eq!(next(&mut attempts), "503");
        let mut attempts = super::tests::attempts("sip:nobody.invalid", None, false);
        next(&mut attempts);
        attempts.located(&[]);
        assert_eq!(next(&mut attempts), "Transport");
    }

    #[test]
    fn what_the_dns_does_not_say_is_no_failure_of_the_next_hop() {
        let failures = [FailureCause::Transport, FailureCause::Timeout].map(Outcome::Failed);
        for failure in failures {
            let mut attempts = attempts("sip:example.com", Some(tcp()), true);
            next(&mut attempts);
            assert!(attempts.handle_outcome(failure).is_none());
            assert_eq!(next(&mut attempts), "locate sip:example.com");
            attempts.handle_unresolved();
            assert_eq!(next(&mut attempts), "Unresolved");
        }
        let mut attempts = attempts("sip:example.com", Some(tcp()), true);
        next(&mut attempts);
        assert!(attempts.handle_outcome(answer(StatusCode::SERVICE_UNAVAILABLE)).is_none());
        next(&mut attempts);
        attempts.handle_unresolved();
        assert_eq!(next(&mut attempts), "503", "somebody has answered");
    }

    #[test]
    fn a_peer_with_a_numeric_contact_is_not_asked_twice_after_a_503() {
        let mut attempts = attempts("sip:bob@192.0.2.1:5062", Some(tcp()), true);
        next(&mut attempts);
        assert!(attempts.handle_outcome(answer(StatusCode::SERVICE_UNAVAILABLE)).is_some());
    }

    // proves RFC 3581 4 in what applies to requests: the socket stays the same
    #[test]
    fn datagrams_leave_by_the_socket_of_the_dialog() {
        let mut attempts = attempts("sip:example.com", Some(udp()), true);
        next(&mut attempts);
        attempts
            .located(&[place(Transport::Udp, "192.0.2.7:5060"), place(Transport::Udp, "[2001:db8::1]:5060")]);
        let flows = std::iter::from_fn(|| match attempts.proceed() {
            NextAttempt::Send(_, to) => Some(to.flow),
            _ => None,
        });
        assert_eq!(flows.collect::<Vec<_>>(), [Some(udp()), None]);
    }
}
