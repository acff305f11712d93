//! A response that could not be sent the way its request came: who is to get it ([`Sender`],
//! RFC 3263 5).

use std::net::IpAddr;

use bytes::Bytes;

use super::locate::{Target, TargetHost};
use super::reply::sent_response;
use super::transport::Transport;
use crate::wire::sip::Via;

/// Who sent the request that a response answers, as its topmost Via says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The address it came from.
    pub source: IpAddr,
    /// Whom it named as sender: where to look next.
    pub target: Target,
}

impl Sender {
    /// Reads the sender out of an encoded response of our own. `None`: the Via leads nowhere else than
    /// where the response went already.
    #[must_use]
    pub fn of(response: &Bytes) -> Option<Self> {
        let via = sent_response(response)?.headers.via().ok()?;
        let target = Target::of_via(&via).ok()?;
        let source = source(&via)?;
        // RFC 3261 18.2.2: over TCP it went to the source's address and the port of sent-by.
        let tried = target.transport.is_some_and(Transport::is_reliable)
            && target.host == TargetHost::Address(source);
        (!tried).then_some(Self { source, target })
    }
}

/// RFC 3261 18.2.1: `received`, written where the source was not what sent-by says, else sent-by.
fn source(via: &Via) -> Option<IpAddr> {
    if via.params.has("received") { via.received() } else { via.host.ip() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::test_support::bare;
    use super::*;
    use crate::wire::sip::{HeaderName, Method, StatusCode};

    fn sender(via: &'static str) -> Option<(String, TargetHost, Option<u16>)> {
        let mut request = bare(Method::Message, "m", 1);
        request.headers.push_front(HeaderName::Via, via);
        let sender = Sender::of(&request.respond(StatusCode::ACCEPTED).encode())?;
        Some((sender.source.to_string(), sender.target.host, sender.target.port))
    }

    // proves RFC 3263 5: the sent-by of the topmost Via
    #[test]
    fn the_sender_is_what_the_via_names() {
        let name = || TargetHost::Name("pc.example.com".into());
        assert_eq!(
            sender("SIP/2.0/TCP PC.example.com;branch=z9hG4bKa;received=192.0.2.9"),
            Some(("192.0.2.9".into(), name(), None))
        );
        assert_eq!(
            sender("SIP/2.0/UDP pc.example.com:5099;branch=z9hG4bKa;received=2001:db8::9"),
            Some(("2001:db8::9".into(), name(), Some(5099)))
        );
        assert_eq!(
            sender("SIP/2.0/TCP 10.0.0.1:5099;branch=z9hG4bKa;received=192.0.2.9").unwrap().1,
            TargetHost::Address("10.0.0.1".parse().unwrap())
        );
        assert_eq!(sender("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa;rport=7").unwrap().2, None);
    }

    #[test]
    fn where_it_went_already_it_does_not_go_again() {
        assert_eq!(sender("SIP/2.0/TCP 192.0.2.9:5099;branch=z9hG4bKa"), None);
        assert_eq!(sender("SIP/2.0/TLS 192.0.2.9;branch=z9hG4bKa;received=192.0.2.9"), None);
        assert_eq!(
            sender("SIP/2.0/TCP pc.example.com;branch=z9hG4bKa"),
            None,
            "nobody knows where it came from"
        );
        assert_eq!(Sender::of(&Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n")), None);
    }
}
