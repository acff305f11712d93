//! What the node writes of where SIP finds it: Contact values (RFC 3261 8.1.1.8), and the host that a Via names.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use restante::machine::sip::{Flow, Transport};
use restante::wire::sip::{HeaderName, NameAddr, Request, Scheme, SipUri};

use crate::config::Listen;
use crate::link::is_ours;
use crate::listeners;
use crate::shared::Shared;

impl Shared {
    /// The `host:port` of a SIP listener, as a Via names it to whomever.
    #[must_use]
    pub fn sip_host(&self, listener: &Listen) -> String {
        self.host_of(listener, listener.address)
    }

    /// The `host:port` of a SIP listener, as it is written to who came to `local`.
    fn host_of(&self, listener: &Listen, local: SocketAddr) -> String {
        match &self.config.sip.advertise {
            Some(advertise) => listeners::advertised(advertise, listener),
            None => self.host_port(listener.address, local),
        }
    }

    /// A Contact value for `user` reached over `flow`, on which `request` came (RFC 3261 8.1.1.8), without
    /// header parameters.
    #[must_use]
    pub fn contact(&self, user: &str, flow: &Flow, request: &Request) -> String {
        let secure = begins_secure(request);
        let listener = self.reached(flow, secure);
        written(user, secure, listener.transport, &self.sip_host(&listener))
    }

    /// Where a dialog that began over `flow` finds the node: what begins securely and came in the clear, from a proxy that ends
    /// TLS, at a listener for TLS, if there is one.
    fn reached(&self, flow: &Flow, secure: bool) -> Listen {
        let own = Listen { transport: flow.transport, address: flow.local };
        if !secure || flow.transport.is_secure() || flow.transport.is_web() {
            return own;
        }
        listeners::nearest(&self.sip_listeners, Transport::Tls, flow.local).copied().unwrap_or(own)
    }

    /// What a Contact value of an earlier run says today: the same where a listener is found at its host still, else the
    /// host of one that is near. As it was, where none can be meant.
    #[must_use]
    pub fn todays_contact(&self, earlier: String) -> String {
        let Some(Earlier { secure, user, host, transports }) = Earlier::read(&earlier) else {
            return earlier;
        };
        let address = host.parse().ok().filter(|address: &SocketAddr| is_ours(address.ip()));
        let local = address.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        let same = self.sip_listeners.iter().filter(|listener| transports.contains(&listener.transport));
        if same.into_iter().any(|listener| self.host_of(listener, local) == host) {
            return earlier;
        }
        let others: &[Transport] =
            if secure { &[] } else { &[Transport::Udp, Transport::Tcp, Transport::Tls] };
        let mut wanted = transports.iter().chain(others);
        wanted
            .find_map(|transport| listeners::nearest(&self.sip_listeners, *transport, local))
            .map(|listener| written(&user, secure, listener.transport, &self.host_of(listener, local)))
            .unwrap_or(earlier)
    }
}

fn written(user: &str, secure: bool, transport: Transport, host: &str) -> String {
    let parameter = match transport {
        Transport::Udp => "",
        // RFC 3261 26.2.2: in a SIPS URI, TLS over TCP is meant by "tcp"
        Transport::Tls if secure => ";transport=tcp",
        Transport::Tcp => ";transport=tcp",
        Transport::Tls => ";transport=tls",
        Transport::Ws | Transport::Wss => ";transport=ws",
    };
    let scheme = if secure { "sips" } else { "sip" };
    format!("<{scheme}:{user}@{host}{parameter}>")
}

/// A Contact value as [`written`], taken apart.
struct Earlier {
    secure: bool,
    user: String,
    host: String,
    /// Those that are written so.
    transports: &'static [Transport],
}

impl Earlier {
    fn read(contact: &str) -> Option<Self> {
        let uri = NameAddr::parse(&Bytes::copy_from_slice(contact.as_bytes())).ok()?.uri;
        let uri = SipUri::parse(&uri).ok()?;
        let secure = uri.scheme == Scheme::Sips;
        let transports: &[Transport] = match uri.transport().as_deref() {
            Some(b"ws") => &[Transport::Ws, Transport::Wss],
            _ if secure => &[Transport::Tls],
            None => &[Transport::Udp],
            Some(b"tcp") => &[Transport::Tcp],
            Some(b"tls") => &[Transport::Tls],
            Some(_) => return None,
        };
        let user = String::from_utf8(uri.user?.to_vec()).ok()?;
        Some(Self { secure, user, host: format!("{}:{}", uri.host, uri.port?), transports })
    }
}

/// RFC 3261 12.1.1: if the request that initiates a dialog has a SIPS URI in the Request-URI, or in the top
/// Record-Route, or in the Contact where there is no Record-Route, the Contact of the response MUST be one.
fn begins_secure(request: &Request) -> bool {
    let is_sips = |uri: &[u8]| uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"sips:"));
    let named = |name: HeaderName| {
        let value = request.headers.values(&name).next()?;
        NameAddr::parse(&value).ok().map(|address| is_sips(&address.uri))
    };
    is_sips(&request.uri)
        || named(HeaderName::RecordRoute).or_else(|| named(HeaderName::Contact)).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let all = Transport::ALL.iter().map(|transport| (false, *transport));
        let secure = [(true, Transport::Tls), (true, Transport::Wss)];
        for (secure, transport) in all.chain(secure) {
            for host in ["192.0.2.1:5060", "[2001:db8::1]:5060", "store.example.com:5061"] {
                let contact = written("summary", secure, transport, host);
                let read = Earlier::read(&contact);
                let agrees = |read: &Earlier| {
                    let Earlier { secure: scheme, user, host: at, transports } = read;
                    (*scheme, user.as_str(), at.as_str()) == (secure, "summary", host)
                        && transports.contains(&transport)
                };
                assert!(read.as_ref().is_some_and(agrees), "{contact}");
            }
        }
        assert!(Earlier::read("<sip:summary@store.example.com>").is_none(), "the node writes its port");
    }
}
