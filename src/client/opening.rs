//! Requests that open something: outside of any dialog (RFC 3261 8.1.1).

use bytes::Bytes;

use super::account::Account;
use crate::entropy::Entropy;
use crate::wire::sip::{HeaderName, Method, Request};

/// What identifies a request outside of dialogs: Call-ID and From tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The Call-ID.
    pub call_id: String,
    /// The tag of From.
    pub tag: String,
}

/// Draws a Call-ID at `host` and a From tag.
#[must_use]
pub fn identify(host: &str, entropy: &mut dyn Entropy) -> Opening {
    // RFC 3261 8.1.1.4: globally unique over space and time; 19.3: a tag has at least 32 random bits.
    let mut draw = Draw(entropy);
    Opening { call_id: format!("{}@{host}", draw.token(26)), tag: draw.token(16) }
}

/// Gives a borrowed source the methods that want a sized one.
pub(super) struct Draw<'a>(pub &'a mut dyn Entropy);

impl Entropy for Draw<'_> {
    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

impl Opening {
    /// A request from `account` to `uri`, without Via, Contact and body. To names `to`.
    #[must_use]
    pub fn request(&self, method: Method, uri: &str, to: &str, account: &Account) -> Request {
        let cseq = format!("1 {method}");
        let mut request = Request::new(method, Bytes::copy_from_slice(uri.as_bytes()));
        let headers = &mut request.headers;
        headers.push(HeaderName::MaxForwards, Bytes::from_static(b"70"));
        headers.push(HeaderName::From, self.from(account));
        headers.push(HeaderName::To, format!("<{to}>"));
        headers.push(HeaderName::CallId, self.call_id.clone());
        headers.push(HeaderName::CSeq, cseq);
        request
    }

    /// `request`, which was refused or whose dialog is over, as one that opens another dialog.
    pub(super) fn reopen(&self, request: &mut Request, account: &Account) {
        let cseq = format!("1 {}", request.method);
        let headers = &mut request.headers;
        for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
            headers.remove(&name);
        }
        headers.set(HeaderName::From, self.from(account));
        headers.set(HeaderName::CallId, self.call_id.clone());
        headers.set(HeaderName::CSeq, cseq);
    }

    fn from(&self, account: &Account) -> Vec<u8> {
        [account.name_addr().as_ref(), b";tag=", self.tag.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::entropy::Sequence;

    // proves RFC 3261 8.1.1: the header fields that every request has
    #[test]
    fn a_request_has_what_it_must_have() {
        let account = Account::parse("Bob <sip:bob@example.com>").unwrap();
        let opening = identify("host.invalid", &mut Sequence::new(1));
        let uri = "sip:alice@example.org";
        let request = opening.request(Method::Message, uri, uri, &account);
        let headers = &request.headers;
        assert_eq!(headers.from().unwrap().tag().unwrap(), opening.tag);
        assert_eq!(headers.from().unwrap().uri, "sip:bob@example.com");
        assert_eq!((headers.to().unwrap().uri, headers.to_tag()), ("sip:alice@example.org".into(), None));
        assert_eq!(headers.call_id().unwrap(), opening.call_id);
        assert_eq!((headers.cseq().unwrap().number, headers.cseq().unwrap().method), (1, Method::Message));
        assert_eq!(headers.max_forwards().unwrap(), Some(70));
        assert_ne!(opening, identify("host.invalid", &mut Sequence::new(2)));
    }
}
