//! The descriptions that are exchanged with a party: with the INVITE, and later (RFC 3264 5, 8).

use actix::Recipient;
use bytes::Bytes;
use restante::focus::delivery::ClientLimits;
use restante::focus::intent;
use restante::focus::recipient_list;
use restante::focus::rejection::{self, Rejection};
use restante::machine::offer_answer::{Agreement, Exchange, Negotiated};
use restante::machine::sip::Body;
use restante::time::Instant;
use restante::wire::sdp::Direction;
use restante::wire::sip::{HeaderName, Method, Request, StatusCode};

use super::{Agreed, Party, PartyEvent, of_rejection};
use crate::refusals;
use crate::session::{Join, MsrpSession, SessionInput};

impl Party {
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
            .ok_or_else(Rejection::unavailable_for_now)?;
        let local = self.shared.local_media(uri.clone(), Direction::SendRecv, max_size);
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
            return Err(Rejection::unavailable_for_now());
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
        if let Some(session) = self.session.as_mut().filter(|session| moved || !session.is_joined()) {
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

    /// The ACK came: it bears the answer to an offer of ours (RFC 3261 13.2.1).
    pub(super) fn answered(
        &mut self,
        now: Instant,
        answer: Option<&Bytes>,
        opening: bool,
    ) -> Option<PartyEvent> {
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

    pub(super) fn reinvited(&mut self, now: Instant, request: &Request) -> Option<PartyEvent> {
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
}
