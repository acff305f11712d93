//! Records: a bounded ring of recent signalling, for `restante ladder` and whoever asks over HTTP.
//!
//! What is kept is what a ladder shows ([`restante::ladder::Arrow`]): of a SIP message its start line and
//! Call-ID, of an MSRP message its id, type and size (one arrow for a message, however many chunks it had, at
//! the address of the dialog's other side), and what the actors of a retrieval say to each other.
//! Contents, subjects and other header fields are not kept. Addresses of record are masked as in the log
//! when the ring is read, unless `[log] addresses` opens them.

mod reading;
mod said;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use restante::focus::realm::{Place, Realm};
use restante::ladder::{Arrow, Caption, Carrier, caption_of_request, caption_of_response, scan_sip};
use restante::wire::sip::{Request, Response, escape_user};

use crate::redact;

pub use reading::{MOST_READ, ask, read};
pub use said::{Column, FOCUS, Said};

/// The node's column in a ladder.
pub const STORE: &str = "store";

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the peer to the node.
    In,
    /// From the node to the peer.
    Out,
}

enum Entry {
    Sip { way: Way, peer: SocketAddr, caption: Caption },
    Msrp { way: Way, peer: SocketAddr, session: Bytes, said: Said },
    Inside { session: Bytes, from: Column, to: Column, said: Said },
}

struct Noted {
    at_us: u64,
    entry: Entry,
}

/// The ring; clones are the same one.
#[derive(Clone)]
pub struct Records(Arc<Inner>);

struct Inner {
    most: usize,
    realm: Realm,
    ring: Mutex<VecDeque<Noted>>,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").field("most", &self.0.most).finish_non_exhaustive()
    }
}

impl Records {
    /// A ring of the last `most` messages; 0 keeps none.
    #[must_use]
    pub fn new(most: usize, realm: Realm) -> Self {
        Self(Arc::new(Inner { most, realm, ring: Mutex::new(VecDeque::new()) }))
    }

    fn is_off(&self) -> bool {
        self.0.most == 0
    }

    fn ring(&self) -> MutexGuard<'_, VecDeque<Noted>> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, entry: Entry) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let mut ring = self.ring();
        if ring.len() >= self.0.most {
            ring.pop_front();
        }
        ring.push_back(Noted { at_us, entry });
    }

    /// Notes a request that came.
    pub fn request(&self, peer: SocketAddr, request: &Request) {
        if !self.is_off() {
            self.note(Entry::Sip { way: Way::In, peer, caption: caption_of_request(request) });
        }
    }

    /// Notes a response that came.
    pub fn response(&self, peer: SocketAddr, response: &Response) {
        if !self.is_off() {
            self.note(Entry::Sip { way: Way::In, peer, caption: caption_of_response(response) });
        }
    }

    /// Notes a SIP message that leaves.
    pub fn sent(&self, peer: SocketAddr, bytes: &[u8]) {
        if !self.is_off()
            && let Some(caption) = scan_sip(bytes)
        {
            self.note(Entry::Sip { way: Way::Out, peer, caption });
        }
    }

    /// A tap for what belongs to the dialog with this Call-ID, whose other side is `peer`.
    #[must_use]
    pub fn tap(&self, call_id: &[u8], peer: SocketAddr) -> Tap {
        // A copy: what is kept of the session must not keep more of it.
        let dialog = || Dialog { records: self.clone(), session: Bytes::copy_from_slice(call_id), peer };
        Tap((!self.is_off()).then(|| Box::new(dialog())))
    }

    /// The arrows of one session in the order they were noted, or of all.
    #[must_use]
    pub fn arrows(&self, session: Option<&str>) -> Vec<Arrow> {
        let ring = self.ring();
        let wanted = |noted: &&Noted| session.is_none_or(|session| shown(noted.entry.session()) == session);
        ring.iter().filter(wanted).map(|noted| self.arrow(noted)).collect()
    }

    fn arrow(&self, noted: &Noted) -> Arrow {
        let (from, to, carrier, label) = match &noted.entry {
            Entry::Sip { way, peer, caption } => {
                let (from, to) = ends(*way, peer.to_string());
                (from, to, Carrier::Sip, caption.label(|uri| self.uri(uri)))
            }
            Entry::Msrp { way, peer, said, .. } => {
                let (from, to) = ends(*way, peer.to_string());
                (from, to, Carrier::Msrp, said.to_string())
            }
            Entry::Inside { from, to, said, .. } => {
                (from.to_string(), to.to_string(), Carrier::Inside, said.to_string())
            }
        };
        Arrow { at_us: noted.at_us, session: shown(noted.entry.session()), from, to, carrier, label }
    }

    /// A Request-URI as it may be seen: message URIs as they are, addresses of record masked, others left out.
    fn uri(&self, uri: &Bytes) -> String {
        match self.0.realm.place(uri) {
            Ok(Place::Store(Some(user))) => {
                format!("sip:{}@{}", escape_user(&user), self.0.realm.store_host())
            }
            Ok(Place::Store(None)) => format!("sip:{}", self.0.realm.store_host()),
            Ok(Place::Mailbox(owner)) => redact::Redacted(&owner).to_string(),
            // A Contact, in a dialog: it says nothing that the columns do not say.
            Ok(Place::Elsewhere) | Err(_) if redact::are_addresses_open() => uri.escape_ascii().to_string(),
            Ok(Place::Elsewhere) | Err(_) => String::new(),
        }
    }
}

impl Entry {
    const fn session(&self) -> &Bytes {
        match self {
            Self::Sip { caption, .. } => &caption.call_id,
            Self::Msrp { session, .. } | Self::Inside { session, .. } => session,
        }
    }
}

fn ends(way: Way, peer: String) -> (String, String) {
    match way {
        Way::In => (peer, STORE.to_owned()),
        Way::Out => (STORE.to_owned(), peer),
    }
}

/// A Call-ID as text; what is not printable is escaped.
fn shown(session: &[u8]) -> String {
    session.escape_ascii().to_string()
}

/// Notes what happens in one session; nothing, where nothing is kept.
#[derive(Debug, Default)]
pub struct Tap(Option<Box<Dialog>>);

#[derive(Debug)]
struct Dialog {
    records: Records,
    session: Bytes,
    peer: SocketAddr,
}

impl Tap {
    /// Notes an MSRP message; `said` is only asked where it is kept.
    pub fn msrp(&self, way: Way, said: impl FnOnce() -> Said) {
        if let Some(Dialog { records, session, peer }) = self.0.as_deref() {
            records.note(Entry::Msrp { way, peer: *peer, session: session.clone(), said: said() });
        }
    }

    /// Notes a message between actors; `said` is only asked where it is kept.
    pub fn inside(&self, from: Column, to: Column, said: impl FnOnce() -> Said) {
        if let Some(Dialog { records, session, .. }) = self.0.as_deref() {
            records.note(Entry::Inside { session: session.clone(), from, to, said: said() });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use restante::wire::sip::{HeaderName, Method};

    fn records(most: usize) -> Records {
        Records::new(most, Realm::new(&["example.com".into()], "mailserver.example.com", None))
    }

    fn peer() -> SocketAddr {
        "192.0.2.7:5060".parse().unwrap()
    }

    fn request(uri: &'static str, call_id: &'static str) -> Request {
        let mut request = Request::new(Method::Invite, uri);
        request.headers.push(HeaderName::CallId, call_id);
        request.headers.push(HeaderName::Subject, "a secret");
        request.body = Bytes::from_static(b"another secret");
        request
    }

    #[test]
    fn the_ring_keeps_the_last_ones_and_tells_them_by_session() {
        let records = records(3);
        for call_id in ["one", "two", "one", "two"] {
            records.request(peer(), &request("sip:x%40y@mailserver.example.com", call_id));
        }
        assert_eq!(records.arrows(None).len(), 3);
        let one = records.arrows(Some("one"));
        assert_eq!(one.len(), 1, "the first has left the ring");
        assert_eq!((one[0].from.as_str(), one[0].to.as_str()), ("192.0.2.7:5060", STORE));
        assert_eq!(one[0].label, "INVITE sip:x%40y@mailserver.example.com");
    }

    #[test]
    fn contents_are_not_kept_and_addresses_are_masked() {
        let records = records(9);
        records.request(peer(), &request("sip:bob@example.com", "a\r\nb"));
        records.sent(peer(), &request("sip:bob@192.0.2.7", "c").encode());
        let told = format!("{:?}", records.arrows(None));
        assert!(!told.contains("secret") && !told.contains("bob"), "{told}");
        assert_eq!(records.arrows(None)[0].session, "a\\r\\nb");
        assert_eq!(records.arrows(Some("c")).len(), 1);
    }

    #[test]
    fn a_tap_notes_in_its_session_or_nowhere() {
        let records = records(9);
        let tap = records.tap(b"call", peer());
        tap.msrp(Way::Out, || Said::Answer(200));
        tap.inside(Column::Focus, Column::VirtualUa(0), || Said::Grant);
        let arrows = records.arrows(Some("call"));
        assert_eq!(
            arrows.iter().map(|arrow| arrow.carrier).collect::<Vec<_>>(),
            [Carrier::Msrp, Carrier::Inside]
        );
        Tap::default().msrp(Way::In, || unreachable!("nothing is kept"));
        let off = super::tests::records(0);
        off.tap(b"call", peer()).inside(Column::Focus, Column::Focus, || unreachable!("nothing is kept"));
        off.request(peer(), &request("sip:a@b", "x"));
        assert!(off.arrows(None).is_empty());
    }
}
