//! Party: whoever has invited the node, as a Focus or a Recorder sees him: the INVITE dialog, and the MSRP
//! session that it has agreed upon.
//!
//! Its user hands over what comes ([`Party::handle`], [`Party::handle_session`], [`Party::ring`]), then drains
//! [`Party::poll_report`] and [`Party::poll_event`], calls [`Party::flush`] and [`Party::send`], and arms his alarm for
//! [`Party::poll_timeout`].

use std::sync::Arc;

use actix::Recipient;
use bytes::Bytes;
use restante::focus::delivery::ClientLimits;
use restante::focus::intent;
use restante::focus::recipient_list;
use restante::focus::rejection::{self, Rejection};
use restante::machine::offer_answer::{Agreement, Exchange, Negotiated};
use restante::machine::sip::{
    Body, EndedBy, InviteSession, Rejection as SipRejection, ServerTxn, SessionEvent,
};
use restante::time::Instant;
use restante::wire::sdp::Direction;
use restante::wire::sip::{HeaderName, Method, Request, Response, StatusCode};

use crate::capabilities;
use crate::dialog_port::DialogPort;
use crate::ports::DialogInput;
use crate::records::{Said, Tap, Way};
use crate::refusals;
use crate::session::{Join, MsrpSession, SessionInput, SessionReport};
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

    // ---- the first exchange ----

    /// Accepts the INVITE with an MSRP session for which `user` takes what comes: with an answer to `offer` if that
    /// `fits`, with an offer of our own where there is none. `max_size` bounds what is received; without it
    /// nothing is.
    ///
    /// # Errors
    /// The refusal that the offer deserves; nothing is answered then.
    pub fn accept(
        &mut self,
        now: Instant,
        offer: Option<&Bytes>,
        max_size: Option<u64>,
        fits: impl FnOnce(&Negotiated) -> bool,
        user: &Recipient<SessionInput>,
    ) -> Result<Option<Agreed>, Rejection> {
        let agent = self.shared.agent();
        let uri = self
            .shared
            .mint_msrp_uri(self.port.flow(), offer.map(AsRef::as_ref))
            .ok_or_else(|| Rejection::unavailable(5))?;
        let local = self.shared.local_media(uri.clone(), Direction::SendRecv, max_size.unwrap_or(0));
        let mut exchange = Box::new(Exchange::new(local));
        let (sdp, agreement) = match offer {
            None => (exchange.offer(), None),
            Some(offer) => {
                let (sdp, agreement) =
                    exchange.answer(offer).map_err(|refusal| refusals::of_offer(&refusal, agent))?;
                (sdp, Some(agreement))
            }
        };
        if let Some(Agreement::Session { negotiated, .. }) = &agreement
            && !fits(negotiated)
        {
            return Err(Rejection::new(StatusCode::NOT_ACCEPTABLE_HERE).warning(
                304,
                agent,
                "Media type not available",
            ));
        }
        if self.shared.msrp.is_full() {
            return Err(Rejection::unavailable(5));
        }
        let config = self.shared.session_config(uri, max_size.is_some());
        let resolver = self.shared.resolver.clone();
        let rejoins = !self.shared.config.msrp.rejoin_timeout.is_zero();
        let session = MsrpSession::open(config, self.shared.msrp.clone(), resolver, rejoins, user);
        self.session = Some(Box::new(session));
        self.exchange = Some(exchange);
        // RFC 3261 13.3.1.4: a 2xx to an INVITE SHOULD say what the UAS can do while the session lasts.
        let allow = match max_size {
            Some(_) => Bytes::from_static(rejection::ALLOW.as_bytes()),
            None => Bytes::from(rejection::allow_without(&Method::Message)),
        };
        let can = vec![
            (HeaderName::Allow, allow),
            (HeaderName::Supported, Bytes::from_static(rejection::SUPPORTED.as_bytes())),
            // RFC 6665 4.4.4: SHOULD be in any 2xx that makes a dialog.
            (HeaderName::AllowEvents, Bytes::from_static(rejection::ALLOW_EVENTS.as_bytes())),
        ];
        self.invite.accept(now, Some(Body::sdp(sdp)), can);
        self.deadline = Some(now + self.shared.bind_timeout());
        Ok(agreement.and_then(|agreement| self.agreed(now, agreement).ok()))
    }

    /// Refuses the INVITE.
    pub fn refuse(&mut self, rejection: &Rejection) {
        self.invite.reject(&of_rejection(rejection));
        self.over = true;
    }

    /// Applies what an exchange has led to.
    fn agreed(&mut self, now: Instant, agreement: Agreement) -> Result<Agreed, &'static str> {
        let Agreement::Session { negotiated, moved } = agreement else {
            return Err("the client has ended the stream");
        };
        let moved = moved || self.lost;
        if moved {
            self.bound = false;
            self.lost = false;
            self.deadline = Some(now + self.shared.bind_timeout());
        } else if self.bound {
            self.deadline = Some(now + self.shared.config.msrp.idle_timeout);
        }
        let first = !self.bound && !moved;
        if let Some(session) = self.session.as_mut().filter(|_| moved || first) {
            session.join(Join {
                remote: negotiated.remote_path,
                fingerprints: negotiated.fingerprints,
                connect: negotiated.connect,
                anew: moved,
            });
        }
        let client =
            ClientLimits { accepts: negotiated.remote_accepts, max_size: negotiated.remote_max_size };
        Ok(Agreed { client, direction: negotiated.direction, moved })
    }

    // ---- later ones ----

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

    /// The ACK came: it bears the answer to an offer of ours (RFC 3261 13.2.1).
    fn answered(&mut self, now: Instant, answer: Option<&Bytes>, opening: bool) -> Option<PartyEvent> {
        let exchange = self.exchange.as_mut()?;
        if !exchange.is_offering() {
            return None;
        }
        let agreement = match answer {
            // A peer that only wanted to refresh the session has nothing to say: it goes on as it was.
            None if !opening => return None,
            None => return Some(PartyEvent::Unusable("the ACK brought no answer")),
            Some(answer) => exchange.accept_answer(answer),
        };
        let applied = match agreement {
            Ok(agreement) => self.agreed(now, agreement),
            Err(_) => Err("the ACK brought no usable answer"),
        };
        Some(applied.map_or_else(PartyEvent::Unusable, PartyEvent::Agreed))
    }

    fn reinvited(&mut self, now: Instant, request: &Request) -> Option<PartyEvent> {
        match self.describe(request) {
            Ok((sdp, agreement)) => {
                self.invite.answer_reinvite(now, Ok(Some(Body::sdp(sdp))));
                let applied = self.agreed(now, agreement?);
                Some(applied.map_or_else(PartyEvent::Unusable, PartyEvent::Agreed))
            }
            // RFC 3261 14.2: the session goes on as it was.
            Err(rejection) => {
                self.invite.answer_reinvite(now, Err(of_rejection(&rejection)));
                None
            }
        }
    }

    /// What to say to a re-INVITE, and what it leads to; nothing yet where it brings no offer.
    fn describe(&mut self, request: &Request) -> Result<(Bytes, Option<Agreement>), Rejection> {
        // RFC 5366 5: a recipient-list in a re-INVITE is refused with 420.
        if intent::required(request)? || recipient_list::present(request) {
            return Err(Rejection::bad_extension(recipient_list::OPTION));
        }
        let body = recipient_list::body(request)?;
        let exchange =
            self.exchange.as_mut().ok_or_else(|| Rejection::new(StatusCode::NOT_ACCEPTABLE_HERE))?;
        match body.sdp {
            None => Ok((exchange.offer(), None)),
            Some(offer) => match exchange.answer(&offer) {
                Ok((sdp, agreement)) => Ok((sdp, Some(agreement))),
                Err(refusal) => Err(refusals::of_offer(&refusal, self.shared.agent())),
            },
        }
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
                let (txn, request) = asked.take();
                match intent::required(&request) {
                    Ok(_) => self.invite.handle_request(txn, request),
                    Err(rejection) => self.respond(txn, rejection.response(&request)),
                }
            }
            DialogInput::Ack(request) => self.invite.handle_ack(&request),
            DialogInput::Cancelled(txn) => self.invite.handle_cancelled(txn),
            DialogInput::Response { response, .. } => self.invite.handle_response(&response),
            DialogInput::Failed { .. } => self.invite.handle_failed(),
            // Only NOTIFYs wait.
            DialogInput::Crowded { .. } | DialogInput::Room { .. } => {}
            DialogInput::Drain => self.bye(Some(NODE_STOPS)),
        }
    }

    /// Takes what has come for the MSRP session.
    pub fn handle_session(&mut self, input: SessionInput) {
        if let Some(session) = &mut self.session {
            session.handle(input);
        }
    }

    /// What the MSRP session has to tell, if anything.
    pub fn poll_report(&mut self, now: Instant) -> Option<SessionReport> {
        let report = self.session.as_mut()?.poll_report()?;
        self.heard(now, &report);
        Some(report)
    }

    /// The MSRP session has reported something: the party lives.
    fn heard(&mut self, now: Instant, report: &SessionReport) {
        self.note(report);
        self.bound |= matches!(report, SessionReport::Bound);
        self.lost &= !matches!(report, SessionReport::Rejoined);
        if self.bound && self.deadline.is_some() {
            self.deadline = Some(now + self.shared.config.msrp.idle_timeout);
        }
    }

    fn note(&self, report: &SessionReport) {
        match report {
            SessionReport::Bound => self.tap.msrp(Way::In, || Said::Words("connection bound".into())),
            SessionReport::Started { message_id, content_type, total, .. } => {
                self.tap.msrp(Way::In, || Said::Send {
                    message_id: Some(message_id.as_ref().into()),
                    content_type: content_type.as_deref().unwrap_or_default().into(),
                    total: *total,
                });
            }
            SessionReport::Dropped { .. } => self.tap.msrp(Way::In, || Said::Words("message cut off".into())),
            SessionReport::Delivered(places) => {
                places.iter().for_each(|_| self.tap.msrp(Way::In, || Said::Answer(200)));
            }
            SessionReport::Refused(_, status) => self.tap.msrp(Way::In, || Said::Answer(*status)),
            SessionReport::Lost(cause) | SessionReport::Ended(cause) => {
                self.tap.msrp(Way::In, || Said::Words((*cause).into()));
            }
            SessionReport::Data { .. }
            | SessionReport::Complete { .. }
            | SessionReport::Credit(_)
            | SessionReport::Rejoined => {}
        }
    }

    /// The connection is gone: whether the party is given time for a re-INVITE that brings another.
    pub fn lost(&mut self, now: Instant) -> bool {
        let time = self.shared.config.msrp.rejoin_timeout;
        let waits = !time.is_zero() && self.invite.is_established() && !self.over;
        if waits {
            self.bound = false;
            self.lost = true;
            self.deadline = Some(now + time);
        }
        waits
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
            self.send();
        }
        self.port.forget();
    }
}

/// A refusal as the INVITE session sends it; its reason phrase is the standard one.
fn of_rejection(rejection: &Rejection) -> SipRejection {
    SipRejection { status: rejection.status, headers: rejection.headers.clone() }
}
