//! A page-mode message to be deposited: [`PagerMessage`] (RFC 3428).

use std::time::Duration;

use super::account::Account;
use super::opening::Opening;
use crate::machine::sip::Body;
use crate::time::Timestamp;
use crate::wire::date;
use crate::wire::sip::{HeaderName, Method, Request};

/// One message, and what is told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PagerMessage {
    /// The recipient's SIP URI.
    pub to: String,
    /// The content and its type.
    pub body: Body,
    /// About what.
    pub subject: Option<String>,
    /// `emergency`, `urgent`, `normal`, `non-urgent` (RFC 3261 20.26).
    pub priority: Option<String>,
    /// How long it is worth keeping, in whole seconds.
    pub expires: Option<Duration>,
    /// When it was written.
    pub date: Option<Timestamp>,
}

impl PagerMessage {
    /// A text/plain message in UTF-8.
    #[must_use]
    pub fn text(to: impl Into<String>, text: impl Into<String>) -> Self {
        let body = Body::new("text/plain;charset=UTF-8", text.into());
        Self { to: to.into(), body, subject: None, priority: None, expires: None, date: None }
    }

    /// The MESSAGE request.
    #[must_use]
    pub fn request(&self, opening: &Opening, account: &Account) -> Request {
        let mut request = opening.request(Method::Message, &self.to, &self.to, account);
        self.describe(&mut request);
        request.headers.push(HeaderName::ContentType, self.body.content_type.clone());
        request.body = self.body.bytes.clone();
        request
    }

    /// Adds what is told about the message. RFC 3428 4: no Contact.
    pub(super) fn describe(&self, request: &mut Request) {
        let headers = &mut request.headers;
        if let Some(subject) = &self.subject {
            headers.push(HeaderName::Subject, subject.clone());
        }
        if let Some(priority) = &self.priority {
            headers.push(HeaderName::Priority, priority.clone());
        }
        if let Some(date) = self.date {
            headers.push(HeaderName::Date, date::sip_date(date));
        }
        if let Some(expires) = self.expires {
            headers.push(HeaderName::Expires, expires.as_secs().to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::client::identify;
    use crate::entropy::Sequence;

    // proves RFC 3428 4
    #[test]
    fn a_message_tells_what_it_was_given_and_has_no_contact() {
        let account = Account::parse("alice@example.org").unwrap();
        let message = PagerMessage {
            subject: Some("carpool\r\nX: y".into()),
            priority: Some("urgent".into()),
            expires: Some(Duration::from_secs(60)),
            date: Some(Timestamp(963_202_981_000)),
            ..PagerMessage::text("sip:bob@example.com", "hello")
        };
        let request = message.request(&identify("h", &mut Sequence::new(1)), &account);
        let value =
            |name| request.headers.get(&name).map(|value| String::from_utf8_lossy(value).into_owned());
        assert_eq!(request.uri, "sip:bob@example.com");
        assert_eq!(value(HeaderName::Priority).unwrap(), "urgent");
        assert_eq!(value(HeaderName::Expires).unwrap(), "60");
        assert_eq!(value(HeaderName::Date).unwrap(), "Mon, 10 Jul 2000 04:23:01 GMT");
        assert_eq!(value(HeaderName::Contact), None);
        let wire = String::from_utf8(request.encode().to_vec()).unwrap();
        assert!(wire.contains("\r\nSubject: carpool  X: y\r\n"), "one line: {wire}");
        assert!(wire.ends_with("\r\n\r\nhello"));
    }
}
