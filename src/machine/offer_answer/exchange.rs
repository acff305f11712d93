//! [`Exchange`]: the offers and answers of one session, from its first to its last (RFC 3264
//! sections 5 to 8, RFC 4975 section 8.4).

use std::hash::Hasher;
use std::num::NonZeroU64;

use bytes::Bytes;
use rustc_hash::FxHasher;
use sdp_types::{Media, Session};

use super::refusal::choose;
use super::{
    LocalMedia, Negotiated, Refusal, answered, declined, described, line, offered_setup, settled_by, written,
};
use crate::wire::fingerprint::Fingerprint;
use crate::wire::msrp::MsrpUri;
use crate::wire::sdp::Sdp;

/// What an exchange has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Messages go as agreed.
    Session {
        /// What was agreed.
        negotiated: Negotiated,
        /// Whether the peer's path is another than before: the session needs a new connection.
        moved: bool,
    },
    /// The peer has ended the stream (port 0): there is nothing left to talk about.
    Declined,
}

/// The exchanges of one session.
///
/// Commands: [`answer`](Self::answer) for an offer of the peer; [`offer`](Self::offer), then
/// [`accept_answer`](Self::accept_answer), for one of ours. What is refused leaves everything as it was.
#[derive(Debug)]
pub struct Exchange {
    local: LocalMedia,
    /// What was said last, without its version.
    said: Option<NonZeroU64>,
    /// Whether an offer of ours waits for its answer.
    offering: bool,
    /// The peer's path; empty before the first exchange is complete.
    path: Box<[MsrpUri]>,
    /// The fingerprints of the peer's certificate.
    fingerprints: Box<[Fingerprint]>,
    /// The place of our m= line, and the others, which are declined for good (RFC 3264 8: a stream
    /// keeps its place).
    place: u32,
    others: Box<[Media]>,
}

impl Exchange {
    /// No exchange yet; `local` is what this side brings.
    #[must_use]
    pub fn new(local: LocalMedia) -> Self {
        Self {
            local,
            said: None,
            offering: false,
            path: Box::default(),
            fingerprints: Box::default(),
            place: 0,
            others: Box::new([]),
        }
    }

    /// What this side brings.
    #[must_use]
    pub const fn local(&self) -> &LocalMedia {
        &self.local
    }

    /// Whether an exchange has been completed.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        !self.path.is_empty()
    }

    /// Whether an offer of ours waits for its answer.
    #[must_use]
    pub const fn is_offering(&self) -> bool {
        self.offering
    }

    /// Answers an offer of the peer: gives the description to answer with, and what then holds. Only in a
    /// later exchange can the peer give up the stream.
    ///
    /// # Errors
    /// [`Refusal`] when the offer cannot be met or is broken.
    pub fn answer(&mut self, offer: &[u8]) -> Result<(Bytes, Agreement), Refusal> {
        self.offering = false;
        let offer = Sdp::parse(offer)?;
        if self.is_settled() && is_declined(&offer, &self.local) {
            // RFC 3264 8.2: a stream that is offered with a port of zero MUST be marked so in the answer.
            let mut answer = described(&self.local);
            answer.times.clone_from(&offer.session().times);
            answer.medias = offer.session().medias.iter().map(declined).collect();
            self.path = Box::default();
            return Ok((self.say(answer), Agreement::Declined));
        }
        let (answer, negotiated) = answered(&offer, &self.local)?;
        self.remember(&answer.medias);
        Ok((self.say(answer), self.settle(negotiated)))
    }

    /// Offers the session, for an INVITE or re-INVITE that came without an offer.
    #[must_use]
    pub fn offer(&mut self) -> Bytes {
        self.offering = true;
        let mut offer = described(&self.local);
        offer.medias = self.others.to_vec();
        let ours = line(&self.local, offered_setup(&self.local), self.local.direction);
        offer.medias.insert((self.place as usize).min(offer.medias.len()), ours);
        self.say(offer)
    }

    /// Takes the answer to what [`offer`](Self::offer) has offered.
    ///
    /// # Errors
    /// [`Refusal`] when the answer is broken, or declines the very first offer.
    pub fn accept_answer(&mut self, answer: &[u8]) -> Result<Agreement, Refusal> {
        self.offering = false;
        let answer = Sdp::parse(answer)?;
        if self.is_settled() && is_declined(&answer, &self.local) {
            self.path = Box::default();
            return Ok(Agreement::Declined);
        }
        let negotiated = settled_by(&answer, &self.local)?;
        Ok(self.settle(negotiated))
    }

    fn settle(&mut self, mut negotiated: Negotiated) -> Agreement {
        // Kept as long as the session: it must not hold the buffer it was parsed from.
        negotiated.remote_path = negotiated.remote_path.iter().map(MsrpUri::detached).collect();
        let same = self.path.len() == negotiated.remote_path.len()
            && self.path.iter().zip(&negotiated.remote_path).all(|(old, new)| old.same_as(new))
            // Another certificate means another connection (RFC 8122 3.4).
            && *self.fingerprints == *negotiated.fingerprints;
        let moved = self.is_settled() && !same;
        if !same {
            self.path = negotiated.remote_path.as_slice().into();
            self.fingerprints = negotiated.fingerprints.as_slice().into();
        }
        Agreement::Session { negotiated, moved }
    }

    fn remember(&mut self, medias: &[Media]) {
        let place = medias.iter().position(|media| media.port != 0).unwrap_or(0);
        self.others =
            medias.iter().enumerate().filter(|(at, _)| *at != place).map(|(_, it)| it.clone()).collect();
        self.place = u32::try_from(place).unwrap_or(u32::MAX);
    }

    /// Writes a description. RFC 3264 8, RFC 4975 8.4: the version MUST rise by one where something has
    /// changed, and MUST stay where nothing has.
    fn say(&mut self, mut description: Session) -> Bytes {
        description.origin.sess_version = 0;
        let mut print = FxHasher::default();
        print.write(&written(&description));
        let print = NonZeroU64::new(print.finish()).unwrap_or(NonZeroU64::MIN);
        if self.said.replace(print).is_some_and(|before| before != print) {
            self.local.session.1 = self.local.session.1.wrapping_add(1);
        }
        description.origin.sess_version = self.local.session.1;
        written(&description)
    }
}

/// Whether every media that we could use has port 0.
fn is_declined(sdp: &Sdp, local: &LocalMedia) -> bool {
    matches!(choose(sdp, &local.uri), Err(Refusal::Declined))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::wire::sdp::Direction;

    fn exchange() -> Exchange {
        Exchange::new(LocalMedia {
            uri: MsrpUri::parse(b"msrp://bob.example.com:8493/si438dsaodes;tcp").unwrap(),
            fingerprint: None,
            accept_types: Box::default(),
            accept_wrapped: true,
            max_size: 0,
            direction: Direction::SendRecv,
            session: (7, 1),
        })
    }

    fn offered(port: u16, session: &str, more: &str) -> Vec<u8> {
        format!(
            "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\nm=message {port} TCP/MSRP *\r\na=accept-types:*\r\n\
             a=path:msrp://h:7394/{session};tcp\r\n{more}"
        )
        .into_bytes()
    }

    fn version(text: &[u8]) -> u64 {
        Sdp::parse(text).unwrap().session().origin.sess_version
    }

    fn session(agreement: Agreement) -> (Negotiated, bool) {
        match agreement {
            Agreement::Session { negotiated, moved } => (negotiated, moved),
            Agreement::Declined => panic!("declined"),
        }
    }

    // proves RFC 3264 section 8, RFC 4975 section 8.4
    #[test]
    fn the_version_rises_only_with_changes() {
        let mut exchange = exchange();
        let first = exchange.answer(&offered(1, "a", "")).unwrap().0;
        let same = exchange.answer(&offered(1, "a", "")).unwrap().0;
        assert_eq!(first, same);
        let held = exchange.answer(&offered(1, "a", "a=inactive\r\n")).unwrap().0;
        assert_eq!((version(&first), version(&held)), (1, 2));
        let again = exchange.answer(&offered(1, "a", "")).unwrap().0;
        assert_eq!(version(&again), 3);
        let offer = exchange.offer();
        assert_eq!((version(&offer), exchange.offer()), (4, offer));
    }

    // proves RFC 3264 sections 8.3.1 and 8.4: another path is another connection, a hold is none
    #[test]
    fn another_path_moves_the_session_and_a_hold_does_not() {
        let mut exchange = exchange();
        let (first, moved) = session(exchange.answer(&offered(1, "a", "")).unwrap().1);
        assert!(!moved && !first.hold);
        let (held, moved) = session(exchange.answer(&offered(1, "a", "a=inactive\r\n")).unwrap().1);
        assert!(!moved && held.hold && !held.direction.sends());
        let (_, moved) = session(exchange.answer(&offered(1, "b", "")).unwrap().1);
        assert!(moved);
        assert!(!session(exchange.answer(&offered(1, "b", "")).unwrap().1).1);
        // RFC 4975 6.1: the host is compared without case.
        let other = String::from_utf8(offered(1, "b", "")).unwrap().replace("//h:", "//H:");
        assert!(!session(exchange.answer(other.as_bytes()).unwrap().1).1);
    }

    // proves RFC 3264 section 8.2
    #[test]
    fn a_stream_that_ends_is_answered_with_port_zero() {
        let mut exchange = exchange();
        assert_eq!(exchange.answer(&offered(0, "a", "")), Err(Refusal::Declined), "not as the first offer");
        exchange.answer(&offered(1, "a", "")).unwrap();
        let (text, agreement) = exchange.answer(&offered(0, "a", "")).unwrap();
        assert_eq!(agreement, Agreement::Declined);
        let answer = Sdp::parse(&text).unwrap();
        assert_eq!(answer.session().medias.iter().map(|media| media.port).collect::<Vec<_>>(), [0]);
        assert_eq!(version(&text), 2);
    }

    // proves RFC 3264 section 8: the m= lines of an offer of ours match those of what was agreed before
    #[test]
    fn an_offer_of_ours_keeps_the_places_of_all_streams() {
        let mut exchange = exchange();
        let offer = String::from_utf8(offered(1, "a", "")).unwrap();
        let offer =
            offer.replace("m=message", "m=audio 9 RTP/AVP 0\r\nm=message") + "m=video 9 RTP/AVP 31\r\n";
        exchange.answer(offer.as_bytes()).unwrap();
        let ours = Sdp::parse(&exchange.offer()).unwrap();
        let lines: Vec<(&str, u16)> =
            ours.session().medias.iter().map(|media| (media.media.as_str(), media.port)).collect();
        assert_eq!(lines, [("audio", 0), ("message", 8493), ("video", 0)]);
        let answer = offer.replace("audio 9", "audio 0").replace("video 9", "video 0").replace("/a;", "/b;");
        assert!(session(exchange.accept_answer(answer.as_bytes()).unwrap()).1);
        let gone = answer.replace("message 1 ", "message 0 ");
        assert_eq!(exchange.accept_answer(gone.as_bytes()).unwrap(), Agreement::Declined);
    }

    #[test]
    fn what_is_refused_leaves_everything_as_it_was() {
        let mut exchange = exchange();
        let first = exchange.answer(&offered(1, "a", "")).unwrap().0;
        let audio = b"v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";
        assert_eq!(exchange.answer(audio), Err(Refusal::NoMessages));
        assert!(exchange.answer(b"nonsense").is_err());
        assert_eq!(exchange.answer(&offered(1, "a", "")).unwrap().0, first);
    }
}
