//! The session somebody invited us to: [`InviteSession`], the UAS half of an INVITE usage
//! (RFC 3261 13.3, 14.2, 15; RFC 6026; RFC 3311). Which offer gets which answer is its user's
//! affair; so are Require and everything else that can be said of a request before it gets here.

use std::sync::Arc;

use bytes::Bytes;

use super::described::description;
use super::dialog::Dialog;
use super::event::ServerTxn;
use super::session_event::{Body, EndedBy, Rejection, SessionAction, SessionEvent};
use super::timers::Timers;
use super::transport::Flow;
use super::unacknowledged::{Due, Unacknowledged};
use crate::queue::Queue;
use crate::time::Instant;
use crate::wire::sip::{HeaderError, HeaderName, Method, Request, Response, StatusCode};

/// A session, from the INVITE received to the BYE answered.
///
/// * Inputs: the `handle_*`, for what the endpoint reports of this dialog and its transactions.
/// * Commands: [`accept`](Self::accept) or [`reject`](Self::reject);
///   [`answer_reinvite`](Self::answer_reinvite); [`bye`](Self::bye).
/// * After each of them, drain [`poll_action`](Self::poll_action) and
///   [`poll_event`](Self::poll_event), then arm an alarm for [`poll_timeout`](Self::poll_timeout).
///
/// A 2xx is repeated until its ACK comes; a BYE waits for that ACK.
#[derive(Debug)]
pub struct InviteSession {
    pub(super) dialog: Dialog,
    /// By which way the request came that moved the target last.
    flow: Option<Box<Flow>>,
    contact: Box<str>,
    timers: Arc<Timers>,
    pub(super) state: State,
    /// Boxed, as is what follows: a session that waits has neither.
    pub(super) pending: Option<Box<Pending>>,
    pub(super) awaiting: Option<Box<Unacknowledged>>,
    pub(super) bye: Option<Option<String>>,
    actions: Queue<SessionAction>,
    pub(super) events: Queue<SessionEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The INVITE has no final response.
    Early,
    /// It was accepted.
    Established,
    /// A BYE was sent.
    Leaving(EndedBy),
    /// Nothing is left.
    Ended,
}

/// A request the user has to answer: the INVITE, a re-INVITE, or an UPDATE with an offer.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) txn: ServerTxn,
    pub(super) request: Request,
    /// By which way it came; unknown for the INVITE.
    pub(super) flow: Option<Flow>,
}

impl InviteSession {
    /// Begins with an INVITE that `txn` brought. `local_tag` goes into every To, `contact` is our
    /// Contact value.
    ///
    /// # Errors
    /// The INVITE cannot open a dialog; answer 400.
    pub fn new(
        invite: Request,
        txn: ServerTxn,
        local_tag: &str,
        contact: impl Into<String>,
        timers: impl Into<Arc<Timers>>,
    ) -> Result<Self, HeaderError> {
        Ok(Self {
            dialog: Dialog::uas(&invite, local_tag)?,
            flow: None,
            contact: contact.into().into_boxed_str(),
            timers: timers.into(),
            state: State::Early,
            pending: Some(Box::new(Pending { txn, request: invite, flow: None })),
            awaiting: None,
            bye: None,
            actions: Queue::new(),
            events: Queue::new(),
        })
    }

    /// The dialog.
    #[must_use]
    pub const fn dialog(&self) -> &Dialog {
        &self.dialog
    }

    /// By which way the re-INVITE or UPDATE came that was accepted last: there the peer is now. Unknown where it has not moved
    /// since its INVITE.
    #[must_use]
    pub fn flow(&self) -> Option<Flow> {
        self.flow.as_deref().copied()
    }

    /// Our Contact value.
    #[must_use]
    pub const fn contact(&self) -> &str {
        &self.contact
    }

    /// The INVITE, re-INVITE or UPDATE that waits for the user's answer.
    #[must_use]
    pub fn pending(&self) -> Option<&Request> {
        self.pending.as_ref().map(|pending| &pending.request)
    }

    /// Whether the INVITE was accepted and no BYE has been sent or received.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.state == State::Established
    }

    /// Whether a 2xx waits for its ACK.
    #[must_use]
    pub const fn is_awaiting_ack(&self) -> bool {
        self.awaiting.is_some()
    }

    /// Whether the session is over.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// The next thing to hand to the endpoint.
    pub fn poll_action(&mut self) -> Option<SessionAction> {
        self.actions.pop_front()
    }

    /// The next thing for the user to know.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.awaiting.as_deref().map(Unacknowledged::poll_timeout)
    }

    /// Accepts the INVITE with an answer, or with an offer where it bore none; `headers` are added.
    pub fn accept(&mut self, now: Instant, body: Option<Body>, headers: Vec<(HeaderName, Bytes)>) {
        if self.state == State::Early && self.pending.is_some() {
            self.state = State::Established;
            self.answer_ok(now, body, headers, true);
        }
    }

    /// Rejects the INVITE.
    pub fn reject(&mut self, rejection: &Rejection) {
        if self.state == State::Early {
            self.refuse_pending(rejection);
            self.end(EndedBy::Rejected);
        }
    }

    /// Answers the re-INVITE or UPDATE reported by [`SessionEvent::Reinvite`]. Rejected, the session
    /// goes on as it was (RFC 3261 14.2).
    pub fn answer_reinvite(&mut self, now: Instant, answer: Result<Option<Body>, Rejection>) {
        if self.state != State::Established {
            return;
        }
        match answer {
            Ok(body) => self.answer_ok(now, body, Vec::new(), false),
            Err(rejection) => self.refuse_pending(&rejection),
        }
    }

    /// Ends the session: with a BYE, as soon as the ACK to a 2xx has come; with a 480 where the
    /// INVITE is not answered yet. `reason` is a Reason value (RFC 3326).
    pub fn bye(&mut self, reason: Option<&str>) {
        match self.state {
            State::Early => self.reject(&Rejection::from(StatusCode::TEMPORARILY_UNAVAILABLE)),
            // RFC 3261 15: the callee MUST NOT send a BYE until it has the ACK or has given it up.
            State::Established if self.awaiting.is_some() => self.bye = Some(reason.map(str::to_owned)),
            State::Established => self.leave(EndedBy::Local, reason),
            State::Leaving(_) | State::Ended => {}
        }
    }

    /// Gives the session up, its user having failed: what waits for an answer gets a 500, and where there is
    /// a session, the peer a BYE, whatever else is open. Nothing is awaited after that.
    pub fn abandon(&mut self) {
        match self.state {
            State::Early => self.reject(&Rejection::from(StatusCode::SERVER_INTERNAL_ERROR)),
            State::Established => {
                self.refuse_pending(&Rejection::from(StatusCode::SERVER_INTERNAL_ERROR));
                self.leave(EndedBy::Failed, Some("SIP;cause=500;text=\"Server Internal Error\""));
                self.end(EndedBy::Failed);
            }
            State::Leaving(by) => self.end(by),
            State::Ended => {}
        }
    }

    /// Takes a request of this dialog, other than ACK and CANCEL, which came over `flow` from somebody who may send in it.
    pub fn handle_request(&mut self, txn: ServerTxn, request: Request, flow: Flow) {
        if !self.dialog.matches(&request) || self.is_ended() {
            return self.refuse(txn, &request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
        }
        // RFC 3261 14.2: what is refused leaves the dialog as it was; its target moves with a 2xx.
        if let Err(unfit) = self.dialog.pass(&request) {
            return self.refuse_by(txn, unfit.response(&request));
        }
        match (&request.method, self.state) {
            (Method::Bye, _) => self.take_bye(txn, &request),
            // RFC 3261 12.2.2: after a BYE of our own there is no session left to speak of.
            (_, State::Leaving(_)) => {
                self.refuse(txn, &request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
            }
            (Method::Invite, _) => self.take_reinvite(txn, request, flow),
            (Method::Update, _) => self.take_update(txn, request, flow),
            (Method::Info, _) => self.take_info(txn, &request),
            // RFC 3262 3: a PRACK that matches no reliable provisional response, of which there is none.
            (Method::Prack, _) => {
                self.refuse(txn, &request, StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
            }
            _ => self.events.push_back(SessionEvent::Unhandled { txn, request }),
        }
        self.bye_if_possible();
    }

    /// Takes an ACK; one of another dialog is of no account, though it bear our tag.
    pub fn handle_ack(&mut self, request: &Request) {
        if !self.dialog.matches(request) {
            return;
        }
        let number = request.headers.cseq().map(|cseq| cseq.number);
        // RFC 3261 17.1.1.3, 13.2.2.4: the CSeq number is that of the INVITE.
        let Some(awaiting) = self.awaiting.take_if(|awaiting| number == Ok(awaiting.cseq)) else { return };
        let answer = description(request);
        self.events.push_back(match awaiting.opening {
            true => SessionEvent::Confirmed { answer },
            false => SessionEvent::Reconfirmed { answer },
        });
        if let Some(reason) = self.bye.take() {
            self.leave(EndedBy::Local, reason.as_deref());
        }
    }

    /// The endpoint answered a CANCEL for `txn`. Where the INVITE was accepted meanwhile, its 2xx has not been sent, and a
    /// 487 in its place.
    pub fn handle_cancelled(&mut self, txn: ServerTxn) {
        let crossed = |awaiting: &Unacknowledged| awaiting.opening && awaiting.txn == txn;
        if self.state == State::Established && self.awaiting.as_deref().is_some_and(crossed) {
            return self.end(EndedBy::Cancelled);
        }
        if self.pending.as_ref().is_none_or(|pending| pending.txn != txn) {
            return;
        }
        // RFC 3261 9.2: the INVITE SHOULD be answered 487 at once.
        self.refuse_pending(&Rejection::from(StatusCode::REQUEST_TERMINATED));
        match self.state {
            State::Early => self.end(EndedBy::Cancelled),
            _ => self.events.push_back(SessionEvent::ReinviteCancelled),
        }
    }

    /// Takes a response to our BYE.
    pub fn handle_response(&mut self, response: &Response) {
        // RFC 3261 15.1.1: the session is over when the BYE is sent, whatever it is answered.
        if let State::Leaving(by) = self.state
            && response.status.is_final()
        {
            self.end(by);
        }
    }

    /// Our BYE was not answered, or could not be sent.
    pub fn handle_failed(&mut self) {
        if let State::Leaving(by) = self.state {
            self.end(by);
        }
    }

    /// The endpoint has answered `txn` itself, since the user did not in time.
    pub fn handle_given_up(&mut self, txn: ServerTxn) {
        if self.pending.take_if(|pending| pending.txn == txn).is_some() {
            match self.state {
                State::Early => self.end(EndedBy::Failed),
                _ => self.bye_if_possible(),
            }
        }
    }

    /// Repeats a 2xx that is due, or gives its ACK up.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(awaiting) = &mut self.awaiting else { return };
        match awaiting.handle_timeout(now, &self.timers) {
            Due::Nothing => {}
            Due::Repeat => {
                let (txn, response) = (awaiting.txn, awaiting.response.clone());
                self.respond(txn, response);
            }
            Due::GiveUp => {
                // RFC 3261 13.3.1.4: without an ACK for 64*T1 the session SHOULD be terminated by a BYE.
                self.awaiting = None;
                let reason = self.bye.take().flatten();
                self.leave(EndedBy::AckTimeout, reason.as_deref());
            }
        }
    }

    /// Accepts what is pending.
    fn answer_ok(
        &mut self,
        now: Instant,
        body: Option<Body>,
        headers: Vec<(HeaderName, Bytes)>,
        opening: bool,
    ) {
        let Some(pending) = self.pending.take() else { return };
        let Pending { txn, request, flow } = *pending;
        self.refresh(&request, flow);
        let mut response = self.establishing(&request, StatusCode::OK);
        for (name, value) in headers {
            response.headers.push(name, value);
        }
        if let Some(body) = body {
            response.headers.push(HeaderName::ContentType, body.content_type);
            response.body = body.bytes;
        }
        if request.method == Method::Invite {
            let (copy, timers) = (response.clone(), &self.timers);
            self.awaiting = Some(Box::new(Unacknowledged::new(now, txn, &request, copy, opening, timers)));
        }
        self.actions.push_back(SessionAction::Respond(txn, response));
        self.bye_if_possible();
    }

    /// Takes over where the peer is now, after a request that is accepted.
    pub(super) fn refresh(&mut self, request: &Request, flow: Option<Flow>) {
        self.dialog.refresh(request);
        if let Some(flow) = flow.filter(|flow| self.flow() != Some(*flow)) {
            self.flow = Some(Box::new(flow));
        }
    }

    /// A response that opens or refreshes the dialog.
    fn establishing(&self, request: &Request, status: StatusCode) -> Response {
        let mut response = request.respond(status);
        Dialog::establish(request, &mut response);
        self.with_contact(self.tagged(response))
    }

    pub(super) fn with_contact(&self, mut response: Response) -> Response {
        // RFC 3261 12.1.1: the UAS MUST add a Contact.
        response.headers.push(HeaderName::Contact, self.contact.to_string());
        response
    }

    fn tagged(&self, mut response: Response) -> Response {
        response.set_to_tag(&String::from_utf8_lossy(self.dialog.local_tag()));
        response
    }

    pub(super) fn respond(&mut self, txn: ServerTxn, response: Response) {
        self.actions.push_back(SessionAction::Respond(txn, response));
    }

    pub(super) fn refuse(&mut self, txn: ServerTxn, request: &Request, status: StatusCode) {
        self.refuse_by(txn, request.respond(status));
    }

    fn refuse_by(&mut self, txn: ServerTxn, mut response: Response) {
        if response.status == StatusCode::SERVER_INTERNAL_ERROR {
            // RFC 3261 14.2: Retry-After with a value between 0 and 10 seconds, which differs from call to call.
            let spread = self.dialog.call_id().iter().fold(0_u32, |sum, byte| sum + u32::from(*byte));
            response.headers.push(HeaderName::RetryAfter, (spread % 11).to_string());
        }
        self.respond(txn, response);
    }

    pub(super) fn refuse_pending(&mut self, rejection: &Rejection) {
        let Some(pending) = self.pending.take() else { return };
        let Pending { txn, request, .. } = *pending;
        let response = match &rejection.reason {
            Some(reason) => request.respond_with(rejection.status, reason),
            None => request.respond(rejection.status),
        };
        let mut response = self.tagged(response);
        for (name, value) in &rejection.headers {
            response.headers.push(name.clone(), value.clone());
        }
        self.respond(txn, response);
    }

    /// Sends a BYE that was held back, where nothing keeps it any more.
    fn bye_if_possible(&mut self) {
        if self.state == State::Established
            && self.awaiting.is_none()
            && let Some(reason) = self.bye.take()
        {
            self.leave(EndedBy::Local, reason.as_deref());
        }
    }

    fn leave(&mut self, by: EndedBy, reason: Option<&str>) {
        self.refuse_pending(&Rejection::from(StatusCode::REQUEST_TERMINATED));
        let mut bye = self.dialog.request(Method::Bye, None);
        if let Some(reason) = reason {
            bye.headers.push(HeaderName::Reason, Bytes::copy_from_slice(reason.as_bytes()));
        }
        self.state = State::Leaving(by);
        self.actions.push_back(SessionAction::Request(bye));
    }

    pub(super) fn end(&mut self, by: EndedBy) {
        self.state = State::Ended;
        self.awaiting = None;
        self.bye = None;
        self.pending = None;
        self.events.push_back(SessionEvent::Ended { by });
    }
}
