//! The client side of an endpoint: requests out, responses in (RFC 3261 8.1, 9.1, 17.1, 18.1).

use bytes::Bytes;

use super::alarms::Clock;
use super::endpoint::{Endpoint, Fallback, Txn};
use super::event::{ClientTxn, EndpointEvent, FailureCause, Transmit, TransmitId};
use super::fingerprint::Fingerprint;
use super::reply;
use super::timers::Timer;
use super::transactions::{Action, client_invite, client_non_invite};
use super::transport::{Destination, Flow};
use crate::entropy::Entropy;
use crate::time::Instant;
use crate::wire::sip::{HeaderName, Method, Request, Response, StatusCode};

/// What is kept of a client transaction: the message to repeat while it may have to be, and of an
/// INVITE the few header fields its ACK and CANCEL repeat.
#[derive(Debug)]
pub(super) struct Client {
    machine: Machine,
    key: Fingerprint,
    to: Destination,
    attempt: u8,
    message: Bytes,
    skeleton: Option<Box<Request>>,
    fallback: Option<Box<Fallback>>,
    cancel: Cancel,
    /// Whether the endpoint itself sent the request: a CANCEL.
    own: bool,
    pub(super) clock: Clock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cancel {
    No,
    /// As soon as a provisional response comes.
    Wanted,
    Sent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Machine {
    Invite(client_invite::State),
    NonInvite(client_non_invite::State),
}

/// What a client transaction can meet, whichever it is.
#[derive(Clone, Copy, Debug)]
enum Heard {
    Response(StatusCode),
    Cancel,
    TransportError,
    Timer(Timer),
}

impl Machine {
    const fn new(method: &Method) -> (Self, &'static [Action]) {
        match method {
            Method::Invite => (Self::Invite(client_invite::State::Calling), client_invite::START),
            _ => (Self::NonInvite(client_non_invite::State::Trying), client_non_invite::START),
        }
    }

    fn step(self, heard: Heard) -> Option<(Self, &'static [Action])> {
        match self {
            Self::Invite(state) => {
                use client_invite::Input;
                let input = match heard {
                    Heard::Response(status) if status.is_provisional() => Input::Provisional,
                    Heard::Response(status) if status.is_success() => Input::Success,
                    Heard::Response(_) => Input::Failure,
                    Heard::Cancel => Input::Cancel,
                    Heard::TransportError => Input::TransportError,
                    Heard::Timer(timer) => Input::Timer(timer),
                };
                client_invite::step(state, input).map(|step| (Self::Invite(step.next), step.actions))
            }
            Self::NonInvite(state) => {
                use client_non_invite::Input;
                let input = match heard {
                    Heard::Response(status) if status.is_provisional() => Input::Provisional,
                    Heard::Response(_) => Input::Final,
                    // RFC 3261 9.1: a CANCEL SHOULD NOT be sent for a request other than INVITE.
                    Heard::Cancel => return None,
                    Heard::TransportError => Input::TransportError,
                    Heard::Timer(timer) => Input::Timer(timer),
                };
                client_non_invite::step(state, input).map(|step| (Self::NonInvite(step.next), step.actions))
            }
        }
    }

    /// Whether nothing was heard yet.
    const fn is_fresh(self) -> bool {
        matches!(
            self,
            Self::Invite(client_invite::State::Calling) | Self::NonInvite(client_non_invite::State::Trying)
        )
    }

    const fn is_terminated(self) -> bool {
        matches!(
            self,
            Self::Invite(client_invite::State::Terminated)
                | Self::NonInvite(client_non_invite::State::Terminated)
        )
    }

    /// Whether the message may have to be sent again over UDP.
    const fn repeats(self) -> bool {
        matches!(
            self,
            Self::Invite(client_invite::State::Calling | client_invite::State::Completed)
                | Self::NonInvite(client_non_invite::State::Trying | client_non_invite::State::Proceeding)
        )
    }
}

impl Endpoint {
    /// Sends a request: adds its Via and branch, repeats it as UDP requires, and chooses TCP for a
    /// large one where `to` allows. Exactly one final response or failure is reported.
    pub fn request(
        &mut self,
        now: Instant,
        mut request: Request,
        mut to: Destination,
        entropy: &mut dyn Entropy,
    ) -> ClientTxn {
        let branch = self.mint_branch(entropy);
        let addressed = self.address(&mut request, &mut to, &branch);
        let id = self.open_client(now, &request, to, branch.as_bytes(), addressed, false);
        self.prune();
        ClientTxn(id)
    }

    /// Cancels an INVITE that has no final response yet (RFC 3261 9.1); at once, or when its first
    /// provisional response comes. Its final response, mostly a 487, is still reported.
    pub fn cancel(&mut self, now: Instant, txn: ClientTxn) {
        if let Some(client) = self.clients.get_mut(txn.0)
            && client.cancel == Cancel::No
        {
            client.cancel = Cancel::Wanted;
            self.drive_client(now, txn.0, Heard::Cancel, None);
        }
        self.prune();
    }

    /// Takes a response off the wire; one that belongs to no transaction, or comes from elsewhere than its request went,
    /// is dropped.
    pub fn handle_response(&mut self, now: Instant, response: Response, flow: Flow) {
        let asked = |client: &Client| client.to.may_answer_by(&flow);
        if let Some(id) = self.find_client(&response).filter(|id| self.clients.get(*id).is_some_and(asked)) {
            let heard = Heard::Response(response.status);
            if let Some(client) = self.clients.get_mut(id)
                && client.to.transport.is_reliable()
            {
                // RFC 3261 17.1.1.2: the ACK MUST go where the INVITE went, and so does a CANCEL.
                client.to.flow = Some(flow);
            }
            let event = EndpointEvent::Response { txn: ClientTxn(id), response, flow };
            self.drive_client(now, id, heard, Some(event));
            self.cancel_if_wanted(now, id);
        }
        self.prune();
    }

    fn find_client(&self, response: &Response) -> Option<u64> {
        let via = response.headers.via().ok()?;
        // RFC 3261 8.1.3.3: a response with more than one Via was misrouted and SHOULD be discarded.
        if response.headers.values(&HeaderName::Via).nth(1).is_some() {
            return None;
        }
        // RFC 3261 18.1.2: one whose sent-by is not ours MUST be silently discarded.
        let names = self.config.sent_by.iter().map(|(_, _, name)| name);
        if !reply::is_sent_by(&via, names) {
            return None;
        }
        let method = response.headers.cseq().ok()?.method;
        let key = self.fingerprints.client(&via.branch()?, &method);
        self.client_keys.get(&key).copied()
    }

    fn cancel_if_wanted(&mut self, now: Instant, id: u64) {
        if self.clients.get(id).is_some_and(|client| client.cancel == Cancel::Wanted) {
            self.drive_client(now, id, Heard::Cancel, None);
        }
    }

    /// Opens a transaction for a request that has its Via; without an address it fails at once.
    fn open_client(
        &mut self,
        now: Instant,
        request: &Request,
        to: Destination,
        branch: &[u8],
        addressed: Option<(Bytes, Option<Fallback>)>,
        own: bool,
    ) -> u64 {
        let (machine, actions) = Machine::new(&request.method);
        let key = self.fingerprints.client(branch, &request.method);
        let sendable = addressed.is_some();
        let (message, fallback) = addressed.unwrap_or_default();
        let skeleton = (request.method == Method::Invite).then(|| Box::new(skeleton(request)));
        let client = Client {
            machine,
            key,
            to,
            attempt: 0,
            message,
            skeleton,
            fallback: fallback.map(Box::new),
            cancel: Cancel::No,
            own,
            clock: Clock::default(),
        };
        let Some(id) = self.clients.insert(client) else { return u64::MAX };
        self.client_keys.insert(key, id);
        if sendable {
            self.carry_out_client(now, id, actions, None);
        } else {
            self.drive_client(now, id, Heard::TransportError, None);
        }
        id
    }

    /// A request could not be sent. RFC 3261 18.1.1: one sent over TCP for its size SHOULD be
    /// retried over UDP.
    pub(super) fn client_unsent(&mut self, now: Instant, id: u64, attempt: u8) {
        let Some(client) = self.clients.get_mut(id).filter(|client| client.attempt == attempt) else {
            return;
        };
        let Some(fallback) = client.fallback.take().filter(|_| client.machine.is_fresh()) else {
            self.drive_client(now, id, Heard::TransportError, None);
            return;
        };
        client.attempt += 1;
        client.to = Destination { upgrade: false, ..fallback.to };
        client.message = fallback.bytes;
        if let Some(skeleton) = &mut client.skeleton {
            skeleton.headers.set(HeaderName::Via, fallback.via);
        }
        client.clock.clear();
        let actions = match client.machine {
            Machine::Invite(_) => client_invite::START,
            Machine::NonInvite(_) => client_non_invite::START,
        };
        self.carry_out_client(now, id, actions, None);
    }

    pub(super) fn fire_client(&mut self, now: Instant, at: Instant, id: u64) {
        if !self.clients.get(id).is_some_and(|client| client.clock.is_armed(at)) {
            return;
        }
        if let Some(client) = self.clients.get_mut(id) {
            client.clock.disarm();
        }
        while let Some(timer) = self.clients.get_mut(id).and_then(|client| client.clock.fired(now)) {
            self.drive_client(now, id, Heard::Timer(timer), None);
        }
        self.arm_client(id);
    }

    fn arm_client(&mut self, id: u64) {
        if let Some(at) = self.clients.get_mut(id).and_then(|client| client.clock.arm()) {
            self.alarms.push(at, Txn::Client(id));
        }
    }

    /// Steps a transaction; nothing happens where its table absorbs what was heard.
    fn drive_client(&mut self, now: Instant, id: u64, heard: Heard, tell: Option<EndpointEvent>) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let Some((next, actions)) = client.machine.step(heard) else { return };
        client.machine = next;
        self.carry_out_client(now, id, actions, tell);
    }

    fn carry_out_client(
        &mut self,
        now: Instant,
        id: u64,
        actions: &[Action],
        mut tell: Option<EndpointEvent>,
    ) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let (timers, reliable) = (&self.config.timers, client.to.transport.is_reliable());
        let txn = ClientTxn(id);
        let failed = |cause| EndpointEvent::Failed { txn, cause };
        let mut fired = None;
        let mut cancel = None;
        for action in actions {
            match *action {
                Action::Send => self.transmits.push_back(client.transmit(txn)),
                Action::Ack => {
                    client.acknowledge(tell.as_ref());
                    self.transmits.push_back(client.transmit(txn));
                }
                Action::Cancel => {
                    client.cancel = Cancel::Sent;
                    let to = client.to.clone();
                    cancel = client.skeleton.as_deref().and_then(cancellation).map(|cancel| (cancel, to));
                }
                Action::Tell if !client.own => self.events.extend(tell.take()),
                Action::TimedOut if !client.own => self.events.push_back(failed(FailureCause::Timeout)),
                Action::Unsent if !client.own => self.events.push_back(failed(FailureCause::Transport)),
                Action::Start(timer) if client.clock.start(now, timer, timers, reliable) => {
                    fired = Some(timer);
                }
                Action::Again(timer) => client.clock.again(now, timer, timers),
                Action::Slowly(timer) => client.clock.slowly(now, timer, timers),
                Action::Stop(timer) => client.clock.stop(timer),
                _ => {}
            }
        }
        client.forget();
        if client.machine.is_terminated() {
            self.close_client(id);
        } else if let Some(timer) = fired {
            self.drive_client(now, id, Heard::Timer(timer), None);
        } else {
            self.arm_client(id);
        }
        if let Some(((request, branch), to)) = cancel {
            let bytes = request.encode();
            self.open_client(now, &request, to, &branch, Some((bytes, None)), true);
        }
    }

    fn close_client(&mut self, id: u64) {
        if let Some(client) = self.clients.remove(id) {
            self.client_keys.remove(&client.key);
        }
    }
}

impl Client {
    fn transmit(&self, txn: ClientTxn) -> Transmit {
        let id = TransmitId::Client(txn, self.attempt);
        Transmit { to: self.to.clone(), bytes: self.message.clone(), id }
    }

    /// Makes the ACK for a response other than 2xx the current message.
    fn acknowledge(&mut self, response: Option<&EndpointEvent>) {
        let (Some(skeleton), Some(EndpointEvent::Response { response, .. })) = (&mut self.skeleton, response)
        else {
            return;
        };
        // RFC 3261 17.1.1.3: the To MUST be that of the response being acknowledged.
        if let Some(to) = response.headers.get(&HeaderName::To) {
            skeleton.headers.set(HeaderName::To, to.clone());
        }
        self.message = skeleton.encode();
    }

    /// Drops what cannot be needed any more.
    fn forget(&mut self) {
        if !self.machine.is_fresh() {
            self.fallback = None;
        }
        if !self.machine.repeats() || self.to.transport.is_reliable() {
            self.message = Bytes::new();
        }
        if matches!(
            self.machine,
            Machine::Invite(client_invite::State::Completed | client_invite::State::Accepted)
        ) {
            self.skeleton = None;
        }
    }
}

/// The ACK to a response other than 2xx, but for its To (RFC 3261 17.1.1.3).
fn skeleton(invite: &Request) -> Request {
    let mut ack = Request::new(Method::Ack, invite.uri.clone());
    for name in [HeaderName::Via, HeaderName::Route, HeaderName::From, HeaderName::To, HeaderName::CallId] {
        // RFC 3261 17.1.1.3: the topmost Via alone; the Route fields of the INVITE.
        let most = if name == HeaderName::Via { 1 } else { usize::MAX };
        for value in invite.headers.all(&name).take(most) {
            ack.headers.push(name.clone(), value.clone());
        }
    }
    let number = invite.headers.cseq().map_or(0, |cseq| cseq.number);
    ack.headers.push(HeaderName::CSeq, format!("{number} ACK"));
    ack.headers.push(HeaderName::MaxForwards, Bytes::from_static(b"70"));
    ack
}

/// The CANCEL for an INVITE, and its branch (RFC 3261 9.1: all as in the request cancelled).
fn cancellation(skeleton: &Request) -> Option<(Request, Bytes)> {
    let branch = skeleton.headers.via().ok()?.branch()?;
    let number = skeleton.headers.cseq().ok()?.number;
    let mut cancel = skeleton.clone();
    cancel.method = Method::Cancel;
    cancel.headers.set(HeaderName::CSeq, format!("{number} CANCEL"));
    Some((cancel, branch))
}
