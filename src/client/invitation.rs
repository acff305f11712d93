//! A session we invite somebody to: [`Invitation`], the UAC half of an INVITE usage (RFC 3261 13.2, 9.1, 15;
//! RFC 6026). What is offered, and whether the answer will do, is its user's affair.

use std::collections::VecDeque;

use bytes::Bytes;

use super::refusal::Refusal;
use crate::machine::sip::{Dialog, FailureCause, ServerTxn};
use crate::wire::sip::{HeaderName, Method, Request, Response, StatusCode};

/// Dialogs of other branches of a forked INVITE that are acknowledged and hung up at most.
const MOST_FORKS: usize = 16;

/// A session, from the INVITE sent to the BYE answered.
///
/// * Inputs: the `handle_*`, for what the endpoint reports of its transactions and this dialog.
/// * Commands: [`cancel`](Self::cancel), [`bye`](Self::bye).
/// * After each of them, drain [`poll_action`](Self::poll_action) and [`poll_event`](Self::poll_event).
///
/// It has no timer of its own. It has to be kept for 64*T1 after its end, for a 2xx may come again until then
/// and each wants its ACK.
#[derive(Debug)]
pub struct Invitation {
    invite: Request,
    dialog: Option<Dialog>,
    /// The ACKs sent, by the tag of the 2xx; the first is that of the dialog we keep.
    acks: Vec<(Bytes, Request)>,
    state: State,
    actions: VecDeque<InvitationAction>,
    events: VecDeque<InvitationEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No final response yet; whether it is not wanted any more.
    Calling { cancelled: bool },
    /// It was accepted.
    Established,
    /// A BYE was sent, for this end.
    Leaving(InvitationEnd),
    /// Nothing is left.
    Ended,
}

/// What a session wants done.
#[derive(Clone, Debug)]
pub enum InvitationAction {
    /// Send the INVITE; its responses go to [`Invitation::handle_response`].
    Invite(Request),
    /// Send a request within the dialog, whose responses go to [`Invitation::handle_bye_response`].
    Bye(Request),
    /// Send this ACK outside of any transaction.
    Ack(Request),
    /// Cancel the INVITE's transaction.
    Cancel,
    /// Send a BYE of a dialog that is not kept; nobody waits for its response.
    HangUp(Request),
    /// Answer a request.
    Respond(ServerTxn, Response),
}

/// What a session tells its user.
#[derive(Debug)]
pub enum InvitationEvent {
    /// A provisional response other than 100.
    Progress(StatusCode),
    /// The INVITE was accepted and acknowledged.
    Accepted(Response),
    /// The INVITE was refused. Nothing follows.
    Refused(Refusal),
    /// The session is over. Nothing follows.
    Ended(InvitationEnd),
}

/// How a session came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InvitationEnd {
    /// The peer sent a BYE.
    Remote,
    /// We sent a BYE, and it was answered or given up.
    Local,
    /// The INVITE was cancelled before it was answered.
    Cancelled,
    /// The INVITE got no final response.
    Failed(FailureCause),
    /// The peer accepted with a response that opens no dialog.
    Unintelligible,
}

impl Invitation {
    /// Begins with `invite`: a whole request, but for its Via.
    #[must_use]
    pub fn new(invite: Request) -> Self {
        let actions = VecDeque::from([InvitationAction::Invite(invite.clone())]);
        let state = State::Calling { cancelled: false };
        Self { invite, dialog: None, acks: Vec::new(), state, actions, events: VecDeque::new() }
    }

    /// The dialog, once the INVITE was accepted.
    #[must_use]
    pub const fn dialog(&self) -> Option<&Dialog> {
        self.dialog.as_ref()
    }

    /// Whether the INVITE was accepted and no BYE has been sent or received.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.state == State::Established
    }

    /// Whether the session is over.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// The next thing to hand to the endpoint.
    pub fn poll_action(&mut self) -> Option<InvitationAction> {
        self.actions.pop_front()
    }

    /// The next thing for the user to know.
    pub fn poll_event(&mut self) -> Option<InvitationEvent> {
        self.events.pop_front()
    }

    /// The INVITE, or the BYE, was sent as `request`; `again` where that is a repetition with credentials, and so
    /// with the next sequence number (RFC 3261 22.2).
    pub fn sent(&mut self, request: &Request, again: bool) {
        if request.method == Method::Invite {
            self.invite = request.clone();
        } else if let Some(dialog) = self.dialog.as_mut().filter(|_| again) {
            dialog.skip(1);
        }
    }

    /// Gives the session up before it is accepted; where it is, [`Self::bye`].
    pub fn cancel(&mut self) {
        match &mut self.state {
            State::Calling { cancelled } if !*cancelled => {
                *cancelled = true;
                self.actions.push_back(InvitationAction::Cancel);
            }
            State::Established => self.bye(None),
            _ => {}
        }
    }

    /// Ends the session: by a BYE, or by a CANCEL where the INVITE is not answered yet. `reason` is a Reason
    /// value (RFC 3326).
    pub fn bye(&mut self, reason: Option<&str>) {
        match self.state {
            State::Calling { .. } => self.cancel(),
            State::Established => self.leave(InvitationEnd::Local, reason),
            State::Leaving(_) | State::Ended => {}
        }
    }

    /// Takes a response to the INVITE.
    pub fn handle_response(&mut self, response: &Response) {
        if response.status.is_provisional() {
            if matches!(self.state, State::Calling { .. }) && response.status != StatusCode::TRYING {
                self.events.push_back(InvitationEvent::Progress(response.status));
            }
        } else if response.status.is_success() {
            self.accepted(response);
        } else if let State::Calling { cancelled } = self.state {
            // The ACK to other than 2xx is the transaction's (RFC 3261 17.1.1.3).
            match (cancelled, response.status) {
                (true, StatusCode::REQUEST_TERMINATED) => self.end(InvitationEnd::Cancelled),
                _ => {
                    self.state = State::Ended;
                    self.events.push_back(InvitationEvent::Refused(Refusal::of(response)));
                }
            }
        }
    }

    /// The INVITE got no final response.
    pub fn handle_failed(&mut self, cause: FailureCause) {
        match self.state {
            State::Calling { cancelled: true } => self.end(InvitationEnd::Cancelled),
            State::Calling { .. } => self.end(InvitationEnd::Failed(cause)),
            _ => {}
        }
    }

    /// Takes the final response to our BYE, or that none came.
    pub fn handle_bye_response(&mut self) {
        // RFC 3261 15.1.1: the session is over when the BYE is sent, whatever it is answered.
        if let State::Leaving(end) = self.state {
            self.end(end);
        }
    }

    /// Whether `request` belongs to the session's dialog.
    #[must_use]
    pub fn matches(&self, request: &Request) -> bool {
        self.dialog.as_ref().is_some_and(|dialog| dialog.matches(request))
    }

    /// Takes a request of the dialog, other than ACK and CANCEL.
    pub fn handle_request(&mut self, txn: ServerTxn, request: &Request) {
        let gone = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
        let Some(dialog) = self.dialog.as_mut().filter(|_| self.state != State::Ended) else {
            return self.respond(txn, request.respond(gone));
        };
        if let Err(unfit) = dialog.accept(request) {
            return self.respond(txn, unfit.response(request));
        }
        match request.method {
            Method::Bye => {
                self.respond(txn, request.respond(StatusCode::OK));
                let end = if let State::Leaving(end) = self.state { end } else { InvitationEnd::Remote };
                self.end(end);
            }
            Method::Options => self.respond(txn, request.respond(StatusCode::OK)),
            // RFC 3311 5.2: without an offer it refreshes the target and nothing else.
            Method::Update if request.body.is_empty() => {
                self.respond(txn, request.respond(StatusCode::OK));
            }
            // RFC 3261 14.2: a change that is not acceptable is answered 488, and the session goes on as it was.
            Method::Invite | Method::Update => {
                self.respond(txn, request.respond(StatusCode::NOT_ACCEPTABLE_HERE));
            }
            // RFC 6086 4.2.2: no package is announced, so none is acceptable.
            Method::Info => self.respond(txn, request.respond(StatusCode::BAD_INFO_PACKAGE)),
            _ => {
                let mut response = request.respond(StatusCode::METHOD_NOT_ALLOWED);
                response.headers.push(HeaderName::Allow, Bytes::from_static(super::stray::ALLOW));
                self.respond(txn, response);
            }
        }
    }

    fn accepted(&mut self, response: &Response) {
        let tag = response.headers.to_tag().unwrap_or_default();
        if let Some((_, ack)) = self.acks.iter().find(|(known, _)| *known == tag) {
            // RFC 3261 13.2.2.4: the ACK MUST be passed to the transport every time the 2xx comes.
            return self.actions.push_back(InvitationAction::Ack(ack.clone()));
        }
        let cseq = self.invite.headers.cseq().map_or(1, |cseq| cseq.number);
        let Ok(mut dialog) = Dialog::uac(&self.invite, response) else {
            if matches!(self.state, State::Calling { .. }) {
                self.end(InvitationEnd::Unintelligible);
            }
            return;
        };
        if self.acks.len() >= MOST_FORKS {
            return;
        }
        let mut ack = dialog.ack(cseq);
        // RFC 3261 22.1: the ACK has the credentials that the INVITE had.
        for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
            for value in self.invite.headers.all(&name) {
                ack.headers.push(name.clone(), value.clone());
            }
        }
        self.acks.push((tag, ack.clone()));
        self.actions.push_back(InvitationAction::Ack(ack));
        match self.state {
            State::Calling { cancelled } => {
                self.dialog = Some(dialog);
                self.state = State::Established;
                if cancelled {
                    // RFC 3261 15: the CANCEL came too late: what was accepted is ended by a BYE.
                    self.leave(InvitationEnd::Cancelled, None);
                } else {
                    self.events.push_back(InvitationEvent::Accepted(response.clone()));
                }
            }
            // RFC 3261 13.2.2.4: dialogs of further 2xx that are not wanted are ended by a BYE.
            _ => self.actions.push_back(InvitationAction::HangUp(dialog.request(Method::Bye, None))),
        }
    }

    fn respond(&mut self, txn: ServerTxn, response: Response) {
        self.actions.push_back(InvitationAction::Respond(txn, response));
    }

    fn leave(&mut self, end: InvitationEnd, reason: Option<&str>) {
        let Some(dialog) = &mut self.dialog else { return };
        let mut bye = dialog.request(Method::Bye, None);
        if let Some(reason) = reason {
            bye.headers.push(HeaderName::Reason, Bytes::copy_from_slice(reason.as_bytes()));
        }
        self.state = State::Leaving(end);
        self.actions.push_back(InvitationAction::Bye(bye));
    }

    fn end(&mut self, end: InvitationEnd) {
        self.state = State::Ended;
        self.events.push_back(InvitationEvent::Ended(end));
    }
}
