//! Where a response goes (RFC 3261 18.2.2, RFC 3581 4), whether one that came is ours
//! (RFC 3261 18.1.2), and what one that was sent said.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::transport::{Destination, Flow};
use crate::wire::sip::{
    HeaderName, Host, Limits, Message, Method, Response, StatusCode, Via, parse_datagram,
};

impl Destination {
    /// Where the responses to a request go that came by `flow` with `via` on top, stamped. `trusted`: whether its
    /// sender may have a datagram's answer sent to somebody else, by `maddr`.
    #[must_use]
    pub fn of_response(via: &Via, flow: Flow, trusted: bool) -> Self {
        let sent_by_port = via.port.unwrap_or(flow.transport.default_port());
        let addr = if flow.transport.is_reliable() {
            // RFC 3261 18.2.2: over the same connection; if that is gone, to the address the request came
            // from and the port of sent-by.
            SocketAddr::new(flow.peer.ip(), sent_by_port)
        } else if let Some(named) = maddr(via).filter(|_| trusted) {
            // RFC 3261 18.2.2: with maddr, the response MUST go there, to the port of sent-by. Not for a
            // stranger: he would have us send to whom he likes without so much as a forged source. By 18.1.1
            // maddr is for requests to a multicast group, of which none comes here.
            SocketAddr::new(named, sent_by_port)
        } else if via.wants_rport() {
            // RFC 3581 4: to the address and port the request came from, from where it was received.
            flow.peer
        } else {
            // RFC 3261 18.2.2: to the received address, which is that of sent-by where they are the same,
            // and the port of sent-by.
            SocketAddr::new(flow.peer.ip(), sent_by_port)
        };
        Self { transport: flow.transport, addr, flow: Some(flow), upgrade: false, domain: None }
    }
}

fn maddr(via: &Via) -> Option<IpAddr> {
    match Host::parse(&via.params.value("maddr")?)? {
        Host::V4(address) => Some(address.into()),
        Host::V6(address) => Some(address.into()),
        Host::Name(_) => None,
    }
}

/// Whether `via` names as sender one of `names`.
pub(super) fn is_sent_by<'a>(via: &Via, mut names: impl Iterator<Item = &'a String>) -> bool {
    let mut sent_by = String::with_capacity(48);
    let _ = match via.port {
        Some(port) => write!(sent_by, "{}:{port}", via.host),
        None => write!(sent_by, "{}", via.host),
    };
    names.any(|name| name.eq_ignore_ascii_case(&sent_by))
}

const OWN: Limits = Limits { message: usize::MAX, headers: usize::MAX, body: usize::MAX };

/// Whether a response is the 202 to a MESSAGE outside of a dialog, and follows from the request alone
/// (RFC 3261 8.2.6.2): what is to be added is the endpoint's own.
pub(super) fn is_accepted(response: &Response) -> bool {
    let copied = [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];
    response.status == StatusCode::ACCEPTED
        && response.reason == StatusCode::ACCEPTED.reason()
        && response.body.is_empty()
        && response.headers.iter().all(|header| copied.contains(&header.name))
        && !response.headers.has_to_tag()
        && response.headers.cseq().is_ok_and(|cseq| cseq.method == Method::Message)
}

/// What a server transaction keeps of the response that it sent last.
#[derive(Debug)]
pub(super) enum Sent {
    /// The response, encoded; a 100 that waits to be sent; empty before there is one.
    Whole(Bytes),
    /// Of a 2xx to an INVITE the To tag, for a CANCEL (RFC 3261 9.2) or the ACK of an old client (17.2.3). The user alone
    /// sends such a response again (RFC 6026 7.1): kept whole, it would lie there for 32 s of every session.
    Tag(Option<Box<[u8]>>),
}

impl Sent {
    /// What is kept of a 2xx to an INVITE.
    pub(super) fn tag_of(response: &Response) -> Self {
        Self::Tag(response.headers.to_tag().map(|tag| tag.as_ref().into()))
    }

    /// The response, where it may be needed again.
    pub(super) const fn whole(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Tag(_) => None,
        }
    }

    /// The To tag of the response.
    pub(super) fn tag(&self) -> Option<Bytes> {
        match self {
            Self::Whole(bytes) => sent_response(bytes)?.headers.to_tag(),
            Self::Tag(tag) => tag.as_deref().map(Bytes::copy_from_slice),
        }
    }
}

/// Reads back a response of our own.
pub(super) fn sent_response(last: &Bytes) -> Option<Response> {
    match parse_datagram(last.clone(), &OWN) {
        Ok(Message::Response(response)) => Some(response),
        _ => None,
    }
}

/// The 408 that takes the place of the provisional response `last`.
pub(super) fn give_up(last: &Bytes, tag: &str) -> Bytes {
    let Some(mut response) = sent_response(last) else { return last.clone() };
    response.status = StatusCode::REQUEST_TIMEOUT;
    response.reason = Bytes::from_static(StatusCode::REQUEST_TIMEOUT.reason().as_bytes());
    response.body = Bytes::new();
    response.set_to_tag(tag);
    response.encode()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::machine::sip::transport::Transport;
    use bytes::Bytes;

    fn via(text: &'static str) -> Via {
        Via::parse(&Bytes::from_static(text.as_bytes())).unwrap()
    }

    fn goes_to(transport: Transport, text: &'static str) -> String {
        goes(transport, text, true)
    }

    fn goes(transport: Transport, text: &'static str, trusted: bool) -> String {
        let flow = Flow {
            transport,
            connection: 7,
            local: "10.0.0.1:5060".parse().unwrap(),
            peer: "192.0.2.9:40000".parse().unwrap(),
        };
        let to = Destination::of_response(&via(text), flow, trusted);
        assert_eq!(to.flow, Some(flow));
        to.addr.to_string()
    }

    // proves RFC 3261 18.2.2, RFC 3581 4
    #[test]
    fn datagrams_go_back_by_maddr_then_rport_then_sent_by() {
        let udp = |text| goes_to(Transport::Udp, text);
        assert_eq!(
            udp("SIP/2.0/UDP pc.example.com:5099;branch=z9hG4bKa;received=192.0.2.9"),
            "192.0.2.9:5099"
        );
        assert_eq!(udp("SIP/2.0/UDP pc.example.com;branch=z9hG4bKa;received=192.0.2.9"), "192.0.2.9:5060");
        assert_eq!(
            udp("SIP/2.0/UDP pc.example.com;branch=z9hG4bKa;rport=40000;received=192.0.2.9"),
            "192.0.2.9:40000"
        );
        assert_eq!(
            udp("SIP/2.0/UDP pc.example.com:5070;maddr=224.0.1.75;branch=z9hG4bKa;rport=40000"),
            "224.0.1.75:5070"
        );
    }

    #[test]
    fn a_stranger_sends_nobody_else_an_answer() {
        let stranger = |text| goes(Transport::Udp, text, false);
        let via = "SIP/2.0/UDP pc.example.com:5070;maddr=203.0.113.7;branch=z9hG4bKa;received=192.0.2.9";
        assert_eq!(goes_to(Transport::Udp, via), "203.0.113.7:5070");
        assert_eq!(stranger(via), "192.0.2.9:5070");
        let via = "SIP/2.0/UDP pc.example.com:5070;maddr=224.0.1.75;branch=z9hG4bKa;rport=40000";
        assert_eq!(stranger(via), "192.0.2.9:40000");
    }

    // proves RFC 3261 18.2.2
    #[test]
    fn streams_go_back_by_the_connection_or_to_the_port_of_sent_by() {
        assert_eq!(
            goes_to(Transport::Tcp, "SIP/2.0/TCP pc.example.com:5099;branch=z9hG4bKa"),
            "192.0.2.9:5099"
        );
        assert_eq!(
            goes_to(Transport::Tls, "SIP/2.0/TLS pc.example.com;branch=z9hG4bKa;rport=40000"),
            "192.0.2.9:5061"
        );
    }

    // proves RFC 3261 18.1.2
    #[test]
    fn a_response_is_ours_by_its_sent_by() {
        let names = ["store.example.com:5060".to_owned(), "[::1]:5060".to_owned()];
        assert!(is_sent_by(&via("SIP/2.0/UDP Store.example.com:5060;branch=z9hG4bKa"), names.iter()));
        assert!(is_sent_by(&via("SIP/2.0/UDP [::1]:5060;branch=z9hG4bKa"), names.iter()));
        assert!(!is_sent_by(&via("SIP/2.0/UDP store.example.com:5061;branch=z9hG4bKa"), names.iter()));
    }
}
