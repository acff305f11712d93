//! On which terms subscriptions to a package are granted (RFC 6665 4.2.1.1, 3.1.3): in which form, and for
//! how long.

use std::time::Duration;

use super::rejection::Rejection;
use super::{body, intent};
use crate::wire::sip::{HeaderError, HeaderName, MediaType, Request, StatusCode};

const HOUR: Duration = Duration::from_secs(3600);

/// The terms of one package.
#[derive(Clone, Debug)]
pub struct SubscriptionTerms {
    /// The media type of its notifications.
    pub media_type: &'static str,
    /// What a subscription lasts that asks for nothing.
    pub expires: Duration,
    /// The shortest that is granted; less is refused with 423. An hour is granted in any case.
    pub min_expires: Duration,
    /// The longest that is granted; more is shortened to it.
    pub max_expires: Duration,
}

impl SubscriptionTerms {
    /// For how long a SUBSCRIBE is granted; zero is a fetch, or the end of a subscription.
    ///
    /// # Errors
    /// 420 where something is required that is not known, 489 where that is the package, 415 where there is a body that may not be ignored, 406 where the subscriber does not take the package's form, 423 with Min-Expires, 400 naming the header
    /// that cannot be read.
    pub fn grant(&self, request: &Request) -> Result<Duration, Rejection> {
        // RFC 3261 8.2.2.3, 12.2.2: a refresh is judged as the first SUBSCRIBE was.
        intent::required(request)?;
        intent::package(request)?;
        // RFC 3842 3.3 defines no body of SUBSCRIBE; RFC 4575 3.2 speaks of filters, of which none is understood.
        body::none(request)?;
        let accepts = request.headers.accept().map_err(bad)?;
        // RFC 6665 3.1.3, RFC 3261 20.1, 21.4.7: a body in a form that Accept does not name is not sent; an empty one names
        // none.
        if accepts.is_some_and(|ranges| !MediaType::admit(&ranges, self.media_type)) {
            return Err(Rejection::new(StatusCode::NOT_ACCEPTABLE).with(HeaderName::Accept, self.media_type));
        }
        let asked = request.headers.expires().map_err(bad)?;
        let Some(asked) = asked.map(|seconds| Duration::from_secs(seconds.into())) else {
            return Ok(self.expires);
        };
        // RFC 6665 4.2.1.1: if and only if it is shorter than an hour, too; 423 MUST come with Min-Expires.
        let least = self.min_expires.min(HOUR);
        if !asked.is_zero() && asked < least {
            return Err(Rejection::new(StatusCode::INTERVAL_TOO_BRIEF)
                .with(HeaderName::MinExpires, least.as_secs().to_string()));
        }
        Ok(asked.min(self.max_expires))
    }
}

fn bad(error: HeaderError) -> Rejection {
    Rejection::because(StatusCode::BAD_REQUEST, error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::sip::{Limits, Message, Method, parse_datagram};

    fn terms() -> SubscriptionTerms {
        SubscriptionTerms {
            media_type: "application/conference-info+xml",
            expires: Duration::from_secs(600),
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(900),
        }
    }

    fn request(headers: &[(HeaderName, &'static str)]) -> Request {
        let mut request = Request::new(Method::Subscribe, "sip:bob@example.com");
        request.headers.push(HeaderName::Event, "conference");
        headers.iter().for_each(|(name, value)| request.headers.push(name.clone(), *value));
        request
    }

    // proves RFC 6665 4.2.1.1 and 3.1.3
    #[test]
    fn a_subscription_is_granted_within_its_terms() {
        let asked = |headers: &[(HeaderName, &'static str)]| {
            terms()
                .grant(&request(headers))
                .map(|granted| granted.as_secs())
                .map_err(|refused| refused.status.0)
        };
        let table: [(&[(HeaderName, &'static str)], _); 12] = [
            (&[], Ok(600)),
            (&[(HeaderName::Expires, "0")], Ok(0)),
            (&[(HeaderName::Expires, "59")], Err(423)),
            (&[(HeaderName::Expires, "60")], Ok(60)),
            (&[(HeaderName::Expires, "90000")], Ok(900)),
            (&[(HeaderName::Expires, "soon")], Err(400)),
            (&[(HeaderName::Accept, "application/*")], Ok(600)),
            (&[(HeaderName::Accept, "text/plain, application/Conference-Info+XML")], Ok(600)),
            (&[(HeaderName::Accept, "application/pidf+xml")], Err(406)),
            (&[(HeaderName::Accept, "")], Err(406)),
            (&[(HeaderName::Accept, "*/*, application/conference-info+xml;q=0")], Err(406)),
            (&[(HeaderName::Accept, "*/*;q=0, application/conference-info+xml")], Ok(600)),
        ];
        for (headers, granted) in table {
            assert_eq!(asked(headers), granted, "{headers:?}");
        }
    }

    // proves RFC 6665 4.2.1.1
    #[test]
    fn an_hour_is_never_too_brief() {
        let (min_expires, max_expires) = (HOUR * 2, HOUR * 3);
        let terms = SubscriptionTerms { expires: HOUR * 2, min_expires, max_expires, ..terms() };
        let asked = |seconds| terms.grant(&request(&[(HeaderName::Expires, seconds)]));
        for seconds in ["3600", "3601", "7199"] {
            assert_eq!(asked(seconds).unwrap().as_secs().to_string(), seconds);
        }
        let refused = asked("3599").unwrap_err();
        assert_eq!(refused.status.0, 423);
        assert_eq!(refused.headers, [(HeaderName::MinExpires, "3600".into())]);
        assert_eq!(terms.grant(&request(&[])).unwrap(), HOUR * 2);
    }

    // proves RFC 3261 8.2.3, 20.1 and 20.11, RFC 3842 3.3
    #[test]
    fn a_body_that_may_not_be_ignored_is_not_supported() {
        let asked = |headers: &[(HeaderName, &'static str)]| {
            let mut request = request(headers);
            request.headers.push(HeaderName::Via, "SIP/2.0/UDP a;branch=z9hG4bK1");
            request.headers.push(HeaderName::From, "<sip:bob@example.com>;tag=1");
            request.headers.push(HeaderName::To, "<sip:bob@example.com>");
            request.headers.push(HeaderName::CallId, "abc@host");
            request.headers.push(HeaderName::CSeq, "1 SUBSCRIBE");
            request.body = "--b\r\nContent-Type: x/y\r\n\r\n?\r\n--b--".into();
            let refused = terms().grant(&request).err()?;
            // As it comes to the other end.
            match parse_datagram(refused.response(&request).encode(), &Limits::default()) {
                Ok(Message::Response(response)) => Some(response),
                _ => None,
            }
        };
        let typed = |media_type| (HeaderName::ContentType, media_type);
        for media_type in ["application/simple-filter+xml", "multipart/mixed;boundary=b"] {
            let refused = asked(&[typed(media_type)]).unwrap();
            assert_eq!(refused.status.0, 415);
            assert_eq!(refused.headers.accept(), Ok(Some(Vec::new())), "nothing is accepted");
        }
        let coded = asked(&[typed("text/plain"), (HeaderName::ContentEncoding, "gzip")]).unwrap();
        assert_eq!(coded.headers.get(&HeaderName::AcceptEncoding).unwrap(), "identity");
        let optional = (HeaderName::ContentDisposition, "render;handling=optional");
        assert!(asked(&[typed("x/y"), optional.clone()]).is_none());
        assert!(asked(&[typed("multipart/mixed;boundary=b"), optional]).is_none());
    }
}
