//! Offer and answer for MSRP (RFC 3264, RFC 4975 section 8, RFC 4145, RFC 6135): what both sides agree upon.
//!
//! [`answer`], [`offer`] and [`accept_answer`] are one exchange, without state; [`Exchange`] is all those of
//! a session.

mod accept_types;
mod exchange;
mod refusal;

use std::net::IpAddr;

use bytes::Bytes;
use sdp_types::{AddrType, Attribute, Connection, Media, NetType, Origin, Session};

pub use accept_types::AcceptTypes;
pub use exchange::{Agreement, Exchange};
pub use refusal::Refusal;
use refusal::{choose, is_web, protocol};

use crate::wire::fingerprint::Fingerprint;
use crate::wire::msrp::MsrpUri;
use crate::wire::sdp::{Direction, MsrpMedia, Sdp, Setup};

/// The registered port of MSRP, used where our URI has none.
const MSRP_PORT: u16 = 2855;

/// What this side brings to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// The session's own URI, with the address at which connections are accepted.
    pub uri: MsrpUri,
    /// The fingerprint of our certificate, told where `uri` is secure (RFC 8122).
    pub fingerprint: Option<Fingerprint>,
    /// The media types accepted here; none means all.
    pub accept_types: Box<[String]>,
    /// Whether it is said that whatever comes may be wrapped (RFC 4975 8.6): by who receives all there is.
    pub accept_wrapped: bool,
    /// Bytes of the largest message accepted here; 0 says nothing about it.
    pub max_size: u64,
    /// The widest direction allowed, as seen from here.
    pub direction: Direction,
    /// Id and version of the o= line. The version is raised by one before each exchange that changes
    /// the description, and kept where nothing changes (RFC 3264 section 8, RFC 4975 section 8.4).
    pub session: (u64, u64),
}

/// What an exchange has settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Whether this side opens the connection, to the first URI of the path.
    pub connect: bool,
    /// The URIs to the peer, the first hop first.
    pub remote_path: Vec<MsrpUri>,
    /// What may be sent to the peer.
    pub remote_accepts: AcceptTypes,
    /// Bytes of the largest message the peer wants.
    pub remote_max_size: Option<u64>,
    /// In which direction messages go, as seen from here.
    pub direction: Direction,
    /// Whether none go for now.
    pub hold: bool,
    /// The fingerprints of which the peer's certificate must have one; none where it told none.
    pub fingerprints: Vec<Fingerprint>,
}

/// How an offered session wants to be carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carriage {
    /// Within TLS.
    pub secure: bool,
    /// By WebSocket.
    pub web: bool,
}

/// How the MSRP media of an offer that are wanted and can be reached are to be carried, in their order; none
/// of what is no session description.
#[must_use]
pub fn carriages(offer: &[u8]) -> Vec<Carriage> {
    let Ok(offer) = Sdp::parse(offer) else { return Vec::new() };
    let wanted = offer.msrp_lines().filter(MsrpMedia::is_usable);
    wanted.map(|media| Carriage { secure: media.secure, web: media.is_web() }).collect()
}

/// Answers an offer: accepts the first fitting MSRP media and declines all other media.
///
/// # Errors
/// [`Refusal`] when there is none, or the offer is broken.
pub fn answer(offer: &[u8], local: &LocalMedia) -> Result<(Bytes, Negotiated), Refusal> {
    let (answer, negotiated) = answered(&Sdp::parse(offer)?, local)?;
    Ok((written(&answer), negotiated))
}

fn answered(offer: &Sdp, local: &LocalMedia) -> Result<(Session, Negotiated), Refusal> {
    let media = chosen(offer, local)?;
    let remote_accepts = accepted_by(&media);
    // RFC 4975 8.6: a recipient of an offer that understands none of its payload types SHOULD answer 488.
    if !local.accept_types.is_empty() && !remote_accepts.overlaps(&local.accept_types) {
        return Err(Refusal::ContentTypes);
    }
    let (setup, connect) = answered_setup(media.setup);
    // RFC 7977 5.1: WebSocket clients cannot receive connections
    if connect && is_web(&local.uri) {
        return Err(Refusal::Passive);
    }
    // RFC 3264 6.1: sendonly is answered recvonly or inactive, recvonly sendonly or inactive, inactive
    // inactive.
    let direction = media.direction.reversed().and(local.direction);
    let mut answer = described(local);
    // RFC 3264 6: the "t=" line in the answer MUST equal that of the offer.
    answer.times = offer.session().times.clone();
    // RFC 3264 6: for each "m=" line in the offer, there MUST be a corresponding "m=" line in the answer.
    answer.medias = offer
        .session()
        .medias
        .iter()
        .enumerate()
        .map(
            |(index, offered)| {
                if index == media.index { line(local, setup, direction) } else { declined(offered) }
            },
        )
        .collect();
    Ok((answer, settled(media, connect, direction, remote_accepts)))
}

/// Offers one MSRP media, for an INVITE that came without an offer.
#[must_use]
pub fn offer(local: &LocalMedia) -> Bytes {
    offer_as(local, offered_setup(local))
}

/// Offers one MSRP media in the role `setup`: one who cannot be reached is `active`.
#[must_use]
pub fn offer_as(local: &LocalMedia, setup: Setup) -> Bytes {
    let mut offer = described(local);
    offer.medias = vec![line(local, setup, local.direction)];
    written(&offer)
}

/// Our role in an offer.
fn offered_setup(local: &LocalMedia) -> Setup {
    // RFC 6135 4.2.2: a UA that can be reached MUST use "actpass" in offers. RFC 7977 5.1: a WebSocket client
    // cannot be connected to.
    if is_web(&local.uri) { Setup::Passive } else { Setup::ActPass }
}

/// The media to be used.
fn chosen(sdp: &Sdp, local: &LocalMedia) -> Result<MsrpMedia, Refusal> {
    let media = choose(sdp, &local.uri)?;
    // RFC 8122 5.1: a certificate MUST be verified against a fingerprint that was told
    if media.secure && media.fingerprints.as_ref().is_some_and(Vec::is_empty) {
        return Err(Refusal::Fingerprint);
    }
    Ok(media)
}

/// Takes the answer to what [`offer`] has offered.
///
/// # Errors
/// [`Refusal`] when the peer declined the media, or the answer is broken.
pub fn accept_answer(local: &LocalMedia, answer: &[u8]) -> Result<Negotiated, Refusal> {
    settled_by(&Sdp::parse(answer)?, local)
}

fn settled_by(answer: &Sdp, local: &LocalMedia) -> Result<Negotiated, Refusal> {
    let media = chosen(answer, local)?;
    let remote_accepts = accepted_by(&media);
    // RFC 4975 8.5: without a=setup in the answer, the party that sent the offer connects; not to a WebSocket
    // client, RFC 7977 5.1.
    let connect = media.setup != Some(Setup::Active) && !is_web(&local.uri);
    let direction = media.direction.reversed().and(local.direction);
    Ok(settled(media, connect, direction, remote_accepts))
}

/// Our role in the answer, and whether it makes us connect.
const fn answered_setup(offered: Option<Setup>) -> (Setup, bool) {
    match offered {
        Some(Setup::Passive) => (Setup::Active, true),
        // RFC 6135 4.2.2: SHOULD answer "passive" to "actpass" when not behind a NAT.
        Some(Setup::Active | Setup::ActPass) => (Setup::Passive, false),
        // RFC 6135 4.2.1: "holdconn" MUST be ignored, and MUST NOT be sent: as without a=setup the
        // offerer connects.
        Some(Setup::HoldConn) | None => (Setup::Passive, false),
    }
}

fn accepted_by(media: &MsrpMedia) -> AcceptTypes {
    AcceptTypes::new(&media.accept_types, &media.accept_wrapped_types)
}

fn settled(media: MsrpMedia, connect: bool, direction: Direction, remote_accepts: AcceptTypes) -> Negotiated {
    Negotiated {
        connect,
        remote_path: media.path,
        remote_accepts,
        remote_max_size: media.max_size,
        direction,
        hold: direction == Direction::Inactive,
        fingerprints: media.fingerprints.filter(|_| media.secure).unwrap_or_default(),
    }
}

/// The session's part of our description.
fn described(local: &LocalMedia) -> Session {
    // RFC 4975 8.1: the connection address MUST be the address or name of the MSRP URI in the path attribute.
    let (addrtype, address) = match local.uri.address() {
        Some(IpAddr::V6(address)) => (AddrType::Ip6, address.to_string()),
        Some(IpAddr::V4(address)) => (AddrType::Ip4, address.to_string()),
        None => (AddrType::Ip4, String::from_utf8_lossy(local.uri.host()).into_owned()),
    };
    let (id, version) = local.session;
    let mut session = Session::new(Origin::new(id, version, NetType::In, addrtype.clone(), &address), "-");
    session.set_connection(Connection::new(NetType::In, addrtype, &address));
    session
}

/// Our m= line with its attributes.
fn line(local: &LocalMedia, setup: Setup, direction: Direction) -> Media {
    let value = |name: &str, value: &str| Attribute::with_value(name, value);
    let types = if local.accept_types.is_empty() { "*".to_owned() } else { local.accept_types.join(" ") };
    let mut attributes = vec![value("accept-types", &types)];
    // RFC 4975 8.6: what is listed in accept-types may be wrapped, too. Some wrap nothing, and so tell nothing of what CPIM
    // has room for, where that is not said.
    if local.accept_wrapped {
        attributes.push(value("accept-wrapped-types", "*"));
    }
    attributes.extend([
        value("path", &local.uri.to_string()),
        // RFC 6135 4.2.1: MUST always include an explicit a=setup attribute.
        value("setup", setup.as_str()),
        Attribute::new(direction.as_str()),
    ]);
    if let Some(fingerprint) = local.fingerprint.as_ref().filter(|_| local.uri.is_secure()) {
        // RFC 4975 14.4: MUST use the certificate fingerprint attribute and MUST include this in the SDP
        attributes.push(value("fingerprint", &fingerprint.to_string()));
    }
    if local.max_size > 0 {
        attributes.push(value("max-size", &local.max_size.to_string()));
    }
    Media {
        media: "message".to_owned(),
        // RFC 4975 8.1: the port MUST match that of the URI in the path attribute, also where we are active.
        port: local.uri.port().unwrap_or(MSRP_PORT),
        num_ports: None,
        proto: protocol(local.uri.is_secure()).to_owned(),
        fmt: "*".to_owned(),
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes,
    }
}

/// RFC 3264 6: to reject an offered stream, the port number MUST be set to zero; proto and formats as
/// they came.
fn declined(offered: &Media) -> Media {
    Media {
        port: 0,
        num_ports: None,
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
        media: offered.media.clone(),
        proto: offered.proto.clone(),
        fmt: offered.fmt.clone(),
    }
}

fn written(session: &Session) -> Bytes {
    let mut out = Vec::with_capacity(512);
    // Writing to memory cannot fail.
    let _ = session.write(&mut out);
    Bytes::from(out)
}

#[cfg(test)]
mod tests;
