//! [`Privacy`]: what a sender wants to be kept from the recipient (RFC 3323, RFC 3325 7).
//!
//! The store ends every request, so Via, Contact, Record-Route and the sender's session description go no
//! further whatever is asked: `header`, `session` and `history` are met by that. `user`, and `id` towards
//! somebody outside of the trust domain, which a client is, make the sender anonymous in what is stored. His
//! true identity is used for limits alone and not kept.

use bytes::Bytes;

use super::rejection::Rejection;
use crate::store::Envelope;
use crate::wire::sip::{Request, StatusCode, tag_of};

/// What stands in an anonymous sender's place (RFC 3323 4.1.1.3).
pub const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// What is hidden of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    /// Who sent it.
    pub sender: bool,
    /// What he says of himself beside the content: the Subject (RFC 3323 5.3).
    pub subject: bool,
}

/// Reads what the sender of `request` wants hidden.
///
/// # Errors
/// 400 for a field that cannot be read; 500 for a `critical` wish that cannot be met.
pub fn privacy(request: &Request) -> Result<Privacy, Rejection> {
    let values = request
        .headers
        .privacy()
        .map_err(|error| Rejection::because(StatusCode::BAD_REQUEST, error.to_string()))?;
    if values.is_empty() {
        return Ok(Privacy::default());
    }
    let asked = |wish: &str| values.iter().any(|value| value.eq_ignore_ascii_case(wish.as_bytes()));
    if asked("none") {
        // RFC 3323 5: MUST NOT perform any privacy function.
        return Ok(Privacy::default());
    }
    let unmet: Vec<_> = values.iter().filter(|value| !is_met(value)).collect();
    if asked("critical") && !unmet.is_empty() {
        // RFC 3323 5: MUST fail the request with 500, whose reason SHOULD say what is not supported.
        let unmet: Vec<_> = unmet.iter().map(|value| String::from_utf8_lossy(value)).collect();
        let reason = format!("Privacy Failure: {}", unmet.join("; "));
        return Err(Rejection::because(StatusCode::SERVER_INTERNAL_ERROR, reason));
    }
    Ok(Privacy { sender: asked("id") || asked("user"), subject: asked("user") })
}

fn is_met(value: &Bytes) -> bool {
    ["header", "session", "user", "id", "history", "critical"]
        .iter()
        .any(|known| value.eq_ignore_ascii_case(known.as_bytes()))
}

impl Privacy {
    /// Hides in what is stored what is to be hidden.
    pub fn apply(self, envelope: &mut Envelope) {
        if self.sender {
            // RFC 3323 4.1.1.3: a From MUST have its tag; it tells nothing.
            let tag = tag_of(&envelope.from).unwrap_or_default();
            let tag = String::from_utf8_lossy(&tag);
            envelope.from = match tag.is_empty() {
                true => Bytes::from_static(ANONYMOUS.as_bytes()),
                false => Bytes::from(format!("{ANONYMOUS};tag={tag}")),
            };
        }
        if self.subject {
            // RFC 3323 5.3: MUST remove informational headers, the Subject among them.
            envelope.subject = None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::sip::{HeaderName, Method};

    fn asked(value: &'static str) -> Result<Privacy, Rejection> {
        let mut request = Request::new(Method::Message, "sip:bob@example.com");
        if !value.is_empty() {
            request.headers.push(HeaderName::Privacy, value);
        }
        privacy(&request)
    }

    // proves RFC 3323 4.2, RFC 3325 7, 9.3
    #[test]
    fn the_sender_is_hidden_where_he_asks() {
        let hidden = |value| asked(value).map(|privacy| (privacy.sender, privacy.subject)).unwrap();
        assert_eq!(hidden(""), (false, false));
        assert_eq!(hidden("id"), (true, false));
        assert_eq!(hidden("ID;critical"), (true, false));
        assert_eq!(hidden("user"), (true, true));
        assert_eq!(hidden("header;session;critical"), (false, false));
        assert_eq!(hidden("history"), (false, false));
    }

    // proves RFC 3323 5: none means none
    #[test]
    fn none_hides_nothing() {
        assert_eq!(asked("none"), Ok(Privacy::default()));
        assert_eq!(asked("id;none;unheard-of;critical"), Ok(Privacy::default()));
    }

    // proves RFC 3323 5: a critical wish that cannot be met fails
    #[test]
    fn an_unknown_wish_fails_where_it_is_critical() {
        let failed = asked("id;x-moon;critical;x-mars").unwrap_err();
        assert_eq!(failed.status, StatusCode::SERVER_INTERNAL_ERROR);
        assert_eq!(failed.reason.as_deref(), Some("Privacy Failure: x-moon; x-mars"));
        assert!(asked("id;x-moon").unwrap().sender);
        assert_eq!(asked("id;;").unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn what_is_stored_tells_nothing() {
        let mut envelope = Envelope {
            from: Bytes::from_static(b"\"Alice\" <sip:alice@example.org>;tag=9"),
            subject: Some(Bytes::from_static(b"it is Alice")),
            ..Envelope::default()
        };
        Privacy { sender: true, subject: true }.apply(&mut envelope);
        assert_eq!(envelope.from, "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=9");
        assert_eq!(envelope.subject, None);
    }
}
