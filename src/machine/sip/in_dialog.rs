//! What a session does with the requests that come in its dialog: BYE (RFC 3261 15.1.2), re-INVITE
//! (14.2), UPDATE (RFC 3311 5.2), INFO (RFC 6086 4.2.2).

use bytes::Bytes;

use super::described::is_of_no_account;
use super::event::ServerTxn;
use super::invite_session::{InviteSession, Pending, State};
use super::session_event::{EndedBy, Rejection, SessionEvent};
use super::transport::Flow;
use crate::wire::sip::{HeaderName, Request, StatusCode};

impl InviteSession {
    pub(super) fn take_bye(&mut self, txn: ServerTxn, request: &Request) {
        self.respond(txn, request.respond(StatusCode::OK));
        // RFC 3261 15.1.2: pending requests MUST still be answered, a 487 is RECOMMENDED.
        self.refuse_pending(&Rejection::from(StatusCode::REQUEST_TERMINATED));
        match self.state {
            State::Leaving(by) => self.end(by),
            _ => self.end(EndedBy::Remote),
        }
    }

    pub(super) fn take_reinvite(&mut self, txn: ServerTxn, request: Request, flow: Flow) {
        if self.pending.is_some() {
            // RFC 3261 14.2: a second INVITE before the first is answered MUST get 500 with Retry-After.
            self.refuse(txn, &request, StatusCode::SERVER_INTERNAL_ERROR);
        } else if self.awaiting.is_some() || self.bye.is_some() {
            // RFC 3261 14.2, RFC 5407 3.1.4: while our own INVITE exchange is open: 491.
            self.refuse(txn, &request, StatusCode::REQUEST_PENDING);
        } else {
            self.events.push_back(SessionEvent::Reinvite { request: request.clone() });
            self.pending = Some(Box::new(Pending { txn, request, flow: Some(flow) }));
        }
    }

    pub(super) fn take_update(&mut self, txn: ServerTxn, request: Request, flow: Flow) {
        if is_of_no_account(&request) {
            // RFC 3311 5.2: without an offer it refreshes the target and nothing else.
            self.refresh(&request, Some(flow));
            let response = self.with_contact(request.respond(StatusCode::OK));
            self.respond(txn, response);
        } else if self.pending.is_some() {
            // RFC 3311 5.2: an offer received is not answered yet: MUST be 500 with Retry-After.
            self.refuse(txn, &request, StatusCode::SERVER_INTERNAL_ERROR);
        } else if self.awaiting.as_ref().is_some_and(|awaiting| awaiting.offered) {
            // RFC 3311 5.2: an offer of ours is not answered yet: MUST be 491.
            self.refuse(txn, &request, StatusCode::REQUEST_PENDING);
        } else {
            self.events.push_back(SessionEvent::Reinvite { request: request.clone() });
            self.pending = Some(Box::new(Pending { txn, request, flow: Some(flow) }));
        }
    }

    pub(super) fn take_info(&mut self, txn: ServerTxn, request: &Request) {
        let mut response = request.respond(StatusCode::OK);
        if request.headers.contains(&HeaderName::parse(b"Info-Package")) {
            // RFC 6086 4.2.2: a package not announced MUST be answered 469, with our (empty) Recv-Info.
            response = request.respond(StatusCode::BAD_INFO_PACKAGE);
            response.headers.push(HeaderName::parse(b"Recv-Info"), Bytes::new());
        } else if !is_of_no_account(request) {
            // RFC 6086 4.2.2, RFC 3261 8.2.3: a body that is not understood and not optional: 415.
            response = request.respond(StatusCode::UNSUPPORTED_MEDIA_TYPE);
            response.headers.push(HeaderName::Accept, Bytes::new());
        }
        self.respond(txn, response);
    }
}
