//! The server side of an endpoint: requests in, responses out (RFC 3261 8.2, 9.2, 17.2, 18.2).

use bytes::Bytes;

use super::alarms::Clock;
use super::endpoint::{Endpoint, Txn};
use super::event::{EndpointEvent, FailureCause, ServerTxn, Transmit, TransmitId};
use super::fingerprint::Fingerprint;
use super::reply::{self, Sent};
use super::timers::Timer;
use super::transactions::{Action, server_invite, server_non_invite};
use super::transport::{Destination, Flow};
use crate::time::Instant;
use crate::wire::sip::{HeaderName, Method, Request, Response, StatusCode, Via};

/// On which terms a request is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether it is answered 503 where it is new and belongs to no dialog: there is more to do than can be done. A
    /// repetition of one that is in work is what it always is.
    pub refusing: bool,
    /// Whether the peer may have a datagram's answer sent to somebody else, by `maddr`.
    pub trusted: bool,
}

impl Default for Terms {
    /// Those of a trusted peer at a quiet hour.
    fn default() -> Self {
        Self { refusing: false, trusted: true }
    }
}

/// How a request came.
#[derive(Clone, Copy, Debug)]
struct Arrival<'a> {
    flow: Flow,
    via: &'a Via,
    /// What tells it from others.
    key: Fingerprint,
    terms: Terms,
}

impl Arrival<'_> {
    /// Where its answers go.
    fn sender(&self) -> Destination {
        Destination::of_response(self.via, self.flow, self.terms.trusted)
    }
}

/// What is kept of a server transaction: no request, and of responses what [`Sent`] says.
#[derive(Debug)]
pub(super) struct Server {
    machine: Machine,
    key: Fingerprint,
    merged: Option<Fingerprint>,
    to: Destination,
    sent: Sent,
    /// Whether the user has heard already that a response could not be sent.
    unsent: bool,
    /// Whether the user does not wait for it, because the endpoint itself has answered.
    quiet: bool,
    pub(super) clock: Clock,
}

#[derive(Clone, Copy, Debug)]
enum Machine {
    Invite(server_invite::State),
    NonInvite(server_non_invite::State),
}

/// What a server transaction can meet, whichever it is.
#[derive(Clone, Copy, Debug)]
enum Heard {
    Request,
    Ack,
    Response(StatusCode),
    TransportError,
    Timer(Timer),
}

impl Machine {
    const fn new(method: &Method) -> (Self, &'static [Action]) {
        match method {
            Method::Invite => (Self::Invite(server_invite::State::Proceeding), server_invite::START),
            _ => (Self::NonInvite(server_non_invite::State::Trying), server_non_invite::START),
        }
    }

    fn step(self, heard: Heard) -> Option<(Self, &'static [Action])> {
        match self {
            Self::Invite(state) => {
                use server_invite::Input;
                let input = match heard {
                    Heard::Request => Input::Invite,
                    Heard::Ack => Input::Ack,
                    Heard::Response(status) if status.is_provisional() => Input::RespondProvisional,
                    Heard::Response(status) if status.is_success() => Input::RespondSuccess,
                    Heard::Response(_) => Input::RespondFailure,
                    Heard::TransportError => Input::TransportError,
                    Heard::Timer(timer) => Input::Timer(timer),
                };
                server_invite::step(state, input).map(|step| (Self::Invite(step.next), step.actions))
            }
            Self::NonInvite(state) => {
                use server_non_invite::Input;
                let input = match heard {
                    Heard::Request => Input::Request,
                    Heard::Ack => return None,
                    Heard::Response(status) if status.is_provisional() => Input::RespondProvisional,
                    Heard::Response(_) => Input::RespondFinal,
                    Heard::TransportError => Input::TransportError,
                    Heard::Timer(timer) => Input::Timer(timer),
                };
                server_non_invite::step(state, input).map(|step| (Self::NonInvite(step.next), step.actions))
            }
        }
    }

    const fn is_terminated(self) -> bool {
        matches!(
            self,
            Self::Invite(server_invite::State::Terminated)
                | Self::NonInvite(server_non_invite::State::Terminated)
        )
    }

    /// Whether an INVITE waits for its final response.
    const fn is_pending_invite(self) -> bool {
        matches!(self, Self::Invite(server_invite::State::Proceeding))
    }

    /// Whether an INVITE was answered by a 2xx.
    const fn is_accepted_invite(self) -> bool {
        matches!(self, Self::Invite(server_invite::State::Accepted))
    }
}

impl Endpoint {
    /// Takes a request off the wire: valid, its topmost Via stamped with where it came from.
    pub fn handle_request(&mut self, now: Instant, request: Request, flow: Flow) {
        self.handle_request_on(now, request, flow, Terms::default());
    }

    /// As [`Self::handle_request`], of a peer who is not welcome in all respects.
    pub fn handle_request_on(&mut self, now: Instant, request: Request, flow: Flow, terms: Terms) {
        // Without a Via it belongs to nobody and cannot be answered.
        if let Ok(via) = request.headers.via() {
            if request.method == Method::Ack {
                self.take_ack(now, request, flow, &via);
            } else {
                let key = self.fingerprints.server(&request, &via, &request.method);
                self.take_request(now, request, Arrival { flow, via: &via, key, terms });
            }
        }
        self.prune();
    }

    /// Answers a request. A To tag is added where there is none; further 2xx to an INVITE are sent
    /// as they come (RFC 6026 7.1). `false`: the transaction is gone or already has a final
    /// response, and nothing is sent.
    pub fn respond(&mut self, now: Instant, txn: ServerTxn, response: Response) -> bool {
        let sent = self.send_response(now, txn.0, response);
        self.prune();
        sent
    }

    /// Answers a request finally and forgets it: should it come again, it is a new one. For challenges
    /// and the like to peers that are not known, of whom nothing is to be kept and to whom nothing is to be
    /// sent twice (RFC 3261 8.2.7); and for answers that can be made again. The ACK to such a response is absorbed.
    pub fn respond_and_forget(&mut self, txn: ServerTxn, mut response: Response) -> bool {
        let Some(server) = self.servers.get(txn.0) else { return false };
        let (key, to) = (server.key, server.to.clone());
        // RFC 3261 8.2.7: the To tag MUST be the same for a repetition; it is made from the request.
        self.complete_response(&mut response, key);
        self.transmits.push_back(Transmit { to, bytes: response.encode(), id: TransmitId::Stateless });
        self.close_server(txn.0);
        self.prune();
        true
    }

    fn take_request(&mut self, now: Instant, request: Request, arrival: Arrival<'_>) {
        let Arrival { flow, key, .. } = arrival;
        if let Some(&id) = self.server_keys.get(&key) {
            // A peer that asks again by a connection listens there. Of a datagram that is not known, nor is it of
            // another address; and what was asked in secret is not answered in the clear.
            if let Some(server) = self.servers.get_mut(id)
                && flow.transport.is_reliable()
                && server.to.addr.ip() == flow.peer.ip()
                && (flow.transport.is_secure() || !server.to.transport.is_secure())
            {
                server.to = arrival.sender();
            }
            self.drive_server(now, id, Heard::Request, None);
        } else if request.method == Method::Cancel {
            self.take_cancel(now, &request, arrival);
        } else if self.accepted.holds(now, key) {
            // RFC 3261 17.2.2: in Completed, a repetition is answered with the same response again.
            let accepted = request.respond(StatusCode::ACCEPTED);
            self.answer_stateless(arrival, accepted);
        } else if self.refused.holds(now, key) {
            self.refuse(&request, arrival);
        } else if !self.has_room(&request, arrival.terms) {
            // RFC 3261 8.2.7: the repetition of what was refused without a transaction is refused, too.
            if !flow.transport.is_reliable() {
                self.refused.note(now, key);
            }
            self.refuse(&request, arrival);
        } else {
            let merged = self.fingerprints.merged(&request);
            if merged.is_some_and(|merged| self.ongoing.contains(&merged)) {
                // RFC 3261 8.2.2.2: the same request by another way SHOULD be answered 482.
                let response = request.respond(StatusCode::LOOP_DETECTED);
                self.answer_here(now, &request, arrival, response);
            } else {
                self.open_server(now, request, arrival, merged);
            }
        }
    }

    /// Passes a request that is new to the user.
    fn open_server(
        &mut self,
        now: Instant,
        request: Request,
        arrival: Arrival<'_>,
        merged: Option<Fingerprint>,
    ) {
        let (key, flow) = (arrival.key, arrival.flow);
        let (machine, actions) = Machine::new(&request.method);
        // A 100 is at hand for when one is due.
        let sent = Sent::Whole(match request.method {
            Method::Invite => request.respond(StatusCode::TRYING).encode(),
            _ => Bytes::new(),
        });
        let (to, clock) = (arrival.sender(), Clock::default());
        let server = Server { machine, key, merged, to, sent, unsent: false, quiet: false, clock };
        let Some(id) = self.servers.insert(server) else { return };
        self.server_keys.insert(key, id);
        self.ongoing.extend(merged);
        let event = EndpointEvent::Request { txn: ServerTxn(id), request, flow };
        self.carry_out_server(now, id, actions, Some(event));
    }

    /// Answers a request without the user, in a transaction of its own where there is room.
    fn answer_here(&mut self, now: Instant, request: &Request, arrival: Arrival<'_>, response: Response) {
        if !self.has_room(request, arrival.terms) {
            return self.answer_stateless(arrival, response);
        }
        let (machine, _) = Machine::new(&request.method);
        let (key, to) = (arrival.key, arrival.sender());
        let (sent, clock) = (Sent::Whole(Bytes::new()), Clock::default());
        let server = Server { machine, key, merged: None, to, sent, unsent: false, quiet: true, clock };
        if let Some(id) = self.servers.insert(server) {
            self.server_keys.insert(key, id);
            self.send_response(now, id, response);
        }
    }

    fn answer_stateless(&mut self, arrival: Arrival<'_>, mut response: Response) {
        self.complete_response(&mut response, arrival.key);
        let (to, bytes) = (arrival.sender(), response.encode());
        self.transmits.push_back(Transmit { to, bytes, id: TransmitId::Stateless });
    }

    /// RFC 3261 9.2: answers a CANCEL, and tells the user where it matters.
    fn take_cancel(&mut self, now: Instant, request: &Request, arrival: Arrival<'_>) {
        let keys = CANCELLABLE.map(|method| self.fingerprints.server(request, arrival.via, &method));
        let response = match keys.into_iter().find(|key| self.is_known(now, *key)) {
            Some(named) => {
                let mut response = request.respond(StatusCode::OK);
                // RFC 3261 9.2: the To tag of both responses SHOULD be the same.
                if let Some(tag) = self.cancelled(named) {
                    response.set_to_tag(&tag);
                }
                response
            }
            None => request.respond(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST),
        };
        self.answer_here(now, request, arrival, response);
    }

    /// Whether a request with this key was taken, and is still remembered.
    fn is_known(&mut self, now: Instant, key: Fingerprint) -> bool {
        self.server_keys.contains_key(&key) || self.accepted.holds(now, key)
    }

    /// Cancels the request with this key where that has an effect (RFC 3261 9.2), and gives the To tag of the
    /// response that was sent to it.
    fn cancelled(&mut self, named: Fingerprint) -> Option<String> {
        let Some(&id) = self.server_keys.get(&named) else { return Some(self.tag(named)) };
        let server = self.servers.get(id)?;
        if server.machine.is_pending_invite() {
            self.events.push_back(EndpointEvent::Cancelled { txn: ServerTxn(id) });
        }
        server.sent.tag().map(|tag| String::from_utf8_lossy(&tag).into_owned())
    }

    fn take_ack(&mut self, now: Instant, request: Request, flow: Flow, via: &Via) {
        // RFC 3261 17.2.3: an ACK matches the transaction of the INVITE it acknowledges.
        let key = self.fingerprints.server(&request, via, &Method::Invite);
        let tag = request.headers.to_tag();
        let unique = via.unique_branch().is_some();
        let id = self.server_keys.get(&key).copied().filter(|id| {
            // RFC 3261 17.2.3: without a unique branch, the To tag is that of the response sent.
            unique || self.servers.get(*id).is_some_and(|server| server.sent.tag() == tag)
        });
        let event = EndpointEvent::Ack { request, flow };
        if let Some(id) = id {
            self.drive_server(now, id, Heard::Ack, Some(event));
        } else if tag.is_none_or(|tag| tag != self.tag(key)) {
            self.events.push_back(event);
        }
    }

    /// Whether a new transaction may be opened. Who comes to fetch gets a sixteenth more than who deposits, and
    /// what belongs to a dialog an eighth, so that what is going on can end.
    fn has_room(&self, request: &Request, terms: Terms) -> bool {
        let begins = request.method != Method::Cancel && !request.headers.has_to_tag();
        if terms.refusing && begins {
            return false;
        }
        let most = self.config.max_transactions;
        let taken = self.servers.len() + self.clients.len();
        let more = match request.method {
            _ if !begins => most / 8,
            Method::Message => 0,
            _ => most / 16,
        };
        taken < most + more
    }

    /// RFC 3261 21.5.4: answers 503 and keeps nothing.
    fn refuse(&mut self, request: &Request, arrival: Arrival<'_>) {
        let mut response = request.respond(StatusCode::SERVICE_UNAVAILABLE);
        response.headers.push(HeaderName::RetryAfter, self.config.retry_after.to_string());
        self.answer_stateless(arrival, response);
    }

    /// The tag that goes with a transaction where the user gives none.
    fn tag(&self, key: Fingerprint) -> String {
        key.tag(&self.config.prefix)
    }

    fn complete_response(&self, response: &mut Response, key: Fingerprint) {
        // RFC 3261 8.2.6.2: the UAS MUST add a tag to the To of a response, except to a 100.
        if response.status != StatusCode::TRYING && !response.headers.has_to_tag() {
            response.set_to_tag(&self.tag(key));
        }
        if !self.config.server_name.is_empty() && response.headers.get(&HeaderName::Server).is_none() {
            response.headers.push(HeaderName::Server, self.config.server_name.clone());
        }
    }

    fn send_response(&mut self, now: Instant, id: u64, mut response: Response) -> bool {
        let heard = Heard::Response(response.status);
        let Some(server) = self.servers.get(id) else { return false };
        if server.machine.step(heard).is_none() {
            return false;
        }
        if !server.to.transport.is_reliable() && reply::is_accepted(&response) {
            // The answer to its repetition follows from the repetition: a fingerprint is all to keep until timer J,
            // of which a node that is asked for much would otherwise keep a million transactions.
            let key = server.key;
            self.accepted.note(now, key);
            return self.respond_and_forget(ServerTxn(id), response);
        }
        self.complete_response(&mut response, server.key);
        if let Some(server) = self.servers.get_mut(id) {
            server.sent = Sent::Whole(response.encode());
        }
        let sent = self.drive_server(now, id, heard, None);
        if let Some(server) = self.servers.get_mut(id).filter(|server| server.machine.is_accepted_invite()) {
            server.sent = Sent::tag_of(&response);
        }
        sent
    }

    pub(super) fn server_unsent(&mut self, now: Instant, id: u64) {
        self.drive_server(now, id, Heard::TransportError, None);
    }

    pub(super) fn fire_server(&mut self, now: Instant, at: Instant, id: u64) {
        if !self.servers.get(id).is_some_and(|server| server.clock.is_armed(at)) {
            return;
        }
        if let Some(server) = self.servers.get_mut(id) {
            server.clock.disarm();
        }
        while let Some(timer) = self.servers.get_mut(id).and_then(|server| server.clock.fired(now)) {
            self.drive_server(now, id, Heard::Timer(timer), None);
        }
        self.arm_server(id);
    }

    fn arm_server(&mut self, id: u64) {
        if let Some(at) = self.servers.get_mut(id).and_then(|server| server.clock.arm()) {
            self.alarms.push(at, Txn::Server(id));
        }
    }

    /// Steps a transaction; `false` where its table absorbs what was heard.
    fn drive_server(&mut self, now: Instant, id: u64, heard: Heard, tell: Option<EndpointEvent>) -> bool {
        let Some(server) = self.servers.get_mut(id) else { return false };
        let Some((next, actions)) = server.machine.step(heard) else { return false };
        server.machine = next;
        self.carry_out_server(now, id, actions, tell);
        true
    }

    fn carry_out_server(
        &mut self,
        now: Instant,
        id: u64,
        actions: &[Action],
        mut tell: Option<EndpointEvent>,
    ) {
        let Some(server) = self.servers.get_mut(id) else { return };
        let (timers, reliable) = (&self.config.timers, server.to.transport.is_reliable());
        let txn = ServerTxn(id);
        let mut fired = None;
        for action in actions {
            match *action {
                Action::Send => {
                    if let Some(bytes) = server.sent.whole().cloned() {
                        let to = server.to.clone();
                        self.transmits.push_back(Transmit { to, bytes, id: TransmitId::Server(txn) });
                    }
                }
                Action::GiveUp => {
                    let tag = server.key.tag(&self.config.prefix);
                    if let Some(last) = server.sent.whole() {
                        server.sent = Sent::Whole(reply::give_up(last, &tag));
                    }
                }
                Action::Tell => self.events.extend(tell.take()),
                Action::TimedOut if !server.quiet => {
                    self.events.push_back(EndpointEvent::Ended { txn, cause: FailureCause::Timeout });
                    server.quiet = true;
                }
                Action::Unsent if !server.quiet && !server.unsent => {
                    self.events.push_back(EndpointEvent::Ended { txn, cause: FailureCause::Transport });
                    server.unsent = true;
                }
                Action::Start(timer) if server.clock.start(now, timer, timers, reliable) => {
                    fired = Some(timer);
                }
                Action::Again(timer) => server.clock.again(now, timer, timers),
                Action::Slowly(timer) => server.clock.slowly(now, timer, timers),
                Action::Stop(timer) => server.clock.stop(timer),
                _ => {}
            }
        }
        if server.machine.is_terminated() {
            self.close_server(id);
        } else if let Some(timer) = fired {
            self.drive_server(now, id, Heard::Timer(timer), None);
        } else {
            self.arm_server(id);
        }
    }

    fn close_server(&mut self, id: u64) {
        if let Some(server) = self.servers.remove(id) {
            self.server_keys.remove(&server.key);
            if let Some(merged) = server.merged {
                self.ongoing.remove(&merged);
            }
        }
    }
}

/// The methods whose transactions a CANCEL may name; it has an effect on the first one alone.
const CANCELLABLE: [Method; 12] = [
    Method::Invite,
    Method::Message,
    Method::Subscribe,
    Method::Options,
    Method::Bye,
    Method::Update,
    Method::Info,
    Method::Notify,
    Method::Publish,
    Method::Refer,
    Method::Register,
    Method::Prack,
];
