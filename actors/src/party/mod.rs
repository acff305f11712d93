//! Party: whoever has invited the node, as a Focus or a Recorder sees him: the INVITE dialog, and the MSRP
//! session that it has agreed upon.
//!
//! Its user hands over what comes ([`Party::handle`], [`Party::handle_session`], [`Party::ring`]), then drains
//! [`Party::poll_report`] and [`Party::poll_event`], calls [`Party::flush`] and [`Party::send`], and arms his alarm for
//! [`Party::poll_timeout`].

mod exchanging;
mod hearing;

use std::sync::Arc;

use actix::Recipient;
use restante::focus::delivery::ClientLimits;
use restante::focus::intent;
use restante::focus::rejection::Rejection;
use restante::machine::offer_answer::Exchange;
use restante::machine::sip::{EndedBy, InviteSession, Rejection as SipRejection, ServerTxn, SessionEvent};
use restante::time::Instant;
use restante::wire::sdp::Direction;
use restante::wire::sip::{Method, Request, Response};

use crate::capabilities;
use crate::dialog_port::DialogPort;
use crate::ports::DialogInput;
use crate::records::Tap;
use crate::session::MsrpSession;
use crate::shared::Shared;
use crate::supervision;

/// The Reason of a BYE by a node that stops (RFC 3326 2).
pub const NODE_STOPS: &str = "SIP;text=\"node stops\"";

/// What is agreed with the party from now on.
#[derive(Debug)]
pub struct Agreed {
    /// What may be sent to it.
    pub client: ClientLimits,
    /// In which direction messages go, as seen from here.
    pub direction: Direction,
    /// Whether the session gets another connection: what was not acknowledged has to be sent again.
    pub moved: bool,
}

/// What a party has done.
#[derive(Debug)]
pub enum PartyEvent {
    /// An exchange of descriptions is complete.
    Agreed(Agreed),
    /// The session cannot go on, and why; to be ended by [`Party::bye`].
    Unusable(&'static str),
    /// A MESSAGE came in the dialog (RFC 3428 4); to be answered by [`Party::respond`].
    Message {
        /// Its transaction.
        txn: ServerTxn,
        /// The request.
        request: Box<Request>,
    },
    /// The dialog is over; the MSRP session is to be ended by [`Party::close`].
    Ended(EndedBy),
}

/// The dialog and the session.
pub struct Party {
    shared: Arc<Shared>,
    port: DialogPort,
    invite: InviteSession,
    exchange: Option<Box<Exchange>>,
    tap: Tap,
    session: Option<Box<MsrpSession>>,
    /// When the session ends unless something comes.
    deadline: Option<Instant>,
    /// Whether its connection can be used.
    bound: bool,
    /// Whether its connection was lost, and a new exchange may bring another.
    lost: bool,
    /// Whether the dialog is refused, ended or being ended.
    over: bool,
}

impl Party {
    /// Who has sent the INVITE of `invite`, which is not answered yet.
    #[must_use]
    pub fn new(shared: Arc<Shared>, port: DialogPort, invite: InviteSession) -> Self {
        Self {
            tap: shared.records.tap(invite.dialog().call_id(), port.flow().peer),
            shared,
            port,
            invite,
            exchange: None,
            session: None,
            deadline: None,
            bound: false,
            lost: false,
            over: false,
        }
    }

    /// The Call-ID, which names the session in the log.
    #[must_use]
    pub fn call_id(&self) -> &[u8] {
        self.invite.dialog().call_id()
    }

    /// Our Contact value in the dialog.
    #[must_use]
    pub const fn contact(&self) -> &str {
        self.invite.contact()
    }

    /// The dialog's way to the Endpoint.
    #[must_use]
    pub const fn port(&self) -> &DialogPort {
        &self.port
    }

    /// Where what happens in the session is noted.
    #[must_use]
    pub const fn tap(&self) -> &Tap {
        &self.tap
    }

    /// Makes `user` the dialog's owner.
    pub fn adopt(&mut self, user: Recipient<DialogInput>) {
        self.port.adopt(user);
    }

    /// The MSRP session, while there is one, and where what happens in it is noted.
    pub fn session(&mut self) -> (Option<&mut MsrpSession>, &Tap) {
        (self.session.as_deref_mut(), &self.tap)
    }

    /// Whether there is an MSRP session.
    #[must_use]
    pub const fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// Whether something was sent that is not acknowledged.
    #[must_use]
    pub fn awaits_answers(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.unanswered() > 0)
    }

    /// Whether frames can be sent.
    #[must_use]
    pub const fn is_bound(&self) -> bool {
        self.bound
    }

    /// Whether the dialog is refused, ended or being ended: nothing more is said in it.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// Whether the dialog has ended, and its last request is answered.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.over && self.invite.is_ended()
    }

    /// Refuses the INVITE.
    pub fn refuse(&mut self, rejection: &Rejection) {
        self.invite.reject(&of_rejection(rejection));
        self.over = true;
    }

    // ---- what it has done ----

    /// What the party has done, if anything.
    pub fn poll_event(&mut self, now: Instant) -> Option<PartyEvent> {
        while let Some(event) = self.invite.poll_event() {
            let event = match event {
                SessionEvent::Confirmed { answer } => self.answered(now, answer.as_ref(), true),
                SessionEvent::Reconfirmed { answer } => self.answered(now, answer.as_ref(), false),
                SessionEvent::Reinvite { request } => self.reinvited(now, &request),
                SessionEvent::Unhandled { txn, request } if request.method == Method::Message => {
                    Some(PartyEvent::Message { txn, request: Box::new(request) })
                }
                SessionEvent::Unhandled { txn, request } => {
                    self.port.respond(txn, capabilities::within(&request));
                    None
                }
                SessionEvent::ReinviteCancelled => None,
                SessionEvent::Ended { by } => {
                    self.over = true;
                    self.deadline = None;
                    Some(PartyEvent::Ended(by))
                }
            };
            if event.is_some() {
                return event;
            }
        }
        None
    }

    /// Answers a request in the dialog.
    pub fn respond(&self, txn: ServerTxn, response: Response) {
        self.port.respond(txn, response);
    }

    // ---- what comes ----

    /// Takes what the Endpoint has for the dialog.
    pub fn handle(&mut self, input: DialogInput) {
        match input {
            DialogInput::Request(asked) => {
                let flow = asked.flow();
                let (txn, request) = asked.take();
                match intent::required(&request) {
                    Ok(_) => self.invite.handle_request(txn, request, flow),
                    Err(rejection) => self.respond(txn, rejection.response(&request)),
                }
            }
            DialogInput::Ack(request) => self.invite.handle_ack(&request),
            DialogInput::Cancelled(txn) => self.invite.handle_cancelled(txn),
            DialogInput::GivenUp(txn) => self.invite.handle_given_up(txn),
            DialogInput::Response { response, .. } => self.invite.handle_response(&response),
            DialogInput::Failed { .. } => self.invite.handle_failed(),
            // Only NOTIFYs wait, or have one way alone.
            DialogInput::Crowded { .. } | DialogInput::Room { .. } | DialogInput::LinkGone { .. } => {}
            DialogInput::Drain => self.bye(Some(NODE_STOPS)),
        }
    }

    /// Whether the time is up in which something had to come.
    pub fn ring(&mut self, now: Instant) -> bool {
        self.invite.handle_timeout(now);
        if let Some(session) = &mut self.session {
            session.handle_timeout(now);
        }
        self.deadline.take_if(|deadline| *deadline <= now).is_some()
    }

    /// When to call [`Self::ring`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let session = self.session.as_ref().and_then(|session| session.poll_timeout());
        self.invite.poll_timeout().into_iter().chain(self.deadline).chain(session).min()
    }

    // ---- the end ----

    /// Ends the dialog; nothing is awaited of the session any more.
    pub fn bye(&mut self, reason: Option<&str>) {
        self.deadline = None;
        if !std::mem::replace(&mut self.over, true) {
            self.invite.bye(reason);
        }
    }

    /// Ends the MSRP session; what was said in it leaves.
    pub fn close(&mut self) {
        self.flush();
        self.session = None;
    }

    /// Sends what is to be said in the MSRP session.
    pub fn flush(&mut self) {
        if let Some(session) = &mut self.session {
            session.flush();
        }
    }

    /// Sends what is to be said in the dialog.
    pub fn send(&mut self) {
        self.port.send_all(&mut self.invite);
    }
}

/// Whatever ended its user, nothing is left behind: no session, no dialog, and nobody who waits.
impl Drop for Party {
    fn drop(&mut self) {
        // What has failed is in no state to say anything more.
        if !supervision::has_failed() {
            self.close();
        }
        if !self.invite.is_ended() {
            self.invite.abandon();
        }
        // A BYE that waits for the store is answered: nobody is left who would do it later.
        self.send();
        self.port.forget();
    }
}

/// A refusal as the INVITE session sends it.
fn of_rejection(rejection: &Rejection) -> SipRejection {
    let Rejection { status, reason, headers } = rejection.clone();
    SipRejection { status, reason, headers }
}
