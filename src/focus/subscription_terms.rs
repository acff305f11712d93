//! On which terms subscriptions to a package are granted (RFC 6665 4.2.1.1, 3.1.3): in which form, and for
//! how long.

use std::time::Duration;

use super::intent;
use super::rejection::Rejection;
use crate::wire::sip::{HeaderError, HeaderName, Request, StatusCode};

/// The terms of one package.
#[derive(Clone, Debug)]
pub struct SubscriptionTerms {
    /// The media type of its notifications.
    pub media_type: &'static str,
    /// What a subscription lasts that asks for nothing.
    pub expires: Duration,
    /// The shortest that is granted; less is refused with 423.
    pub min_expires: Duration,
    /// The longest that is granted; more is shortened to it.
    pub max_expires: Duration,
}

impl SubscriptionTerms {
    /// For how long a SUBSCRIBE is granted; zero is a fetch, or the end of a subscription.
    ///
    /// # Errors
    /// 420 where something is required that is not known, 406 where the subscriber does not take the package's form, 423 with Min-Expires, 400 naming the header
    /// that cannot be read.
    pub fn grant(&self, request: &Request) -> Result<Duration, Rejection> {
        // RFC 3261 8.2.2.3, 12.2.2: a refresh is judged as the first SUBSCRIBE was.
        intent::required(request)?;
        let accepts = request.headers.accept().map_err(bad)?;
        // RFC 6665 3.1.3, RFC 3261 21.4.7: a body in a form that Accept does not name is not sent.
        if accepts
            .is_some_and(|types| !types.is_empty() && !types.iter().any(|kind| kind.admits(self.media_type)))
        {
            return Err(Rejection::new(StatusCode::NOT_ACCEPTABLE).with(HeaderName::Accept, self.media_type));
        }
        let asked = request.headers.expires().map_err(bad)?;
        let Some(asked) = asked.map(|seconds| Duration::from_secs(seconds.into())) else {
            return Ok(self.expires);
        };
        // RFC 6665 4.2.1.1: 423 MUST come with Min-Expires.
        if !asked.is_zero() && asked < self.min_expires {
            return Err(Rejection::new(StatusCode::INTERVAL_TOO_BRIEF)
                .with(HeaderName::MinExpires, self.min_expires.as_secs().to_string()));
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
    use crate::wire::sip::Method;

    // proves RFC 6665 4.2.1.1 and 3.1.3
    #[test]
    fn a_subscription_is_granted_within_its_terms() {
        let terms = SubscriptionTerms {
            media_type: "application/conference-info+xml",
            expires: Duration::from_secs(600),
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(900),
        };
        let asked = |headers: &[(HeaderName, &'static str)]| {
            let mut request = Request::new(Method::Subscribe, "sip:bob@example.com");
            headers.iter().for_each(|(name, value)| request.headers.push(name.clone(), *value));
            terms.grant(&request).map(|granted| granted.as_secs()).map_err(|refused| refused.status.0)
        };
        let table: [(&[(HeaderName, &'static str)], _); 9] = [
            (&[], Ok(600)),
            (&[(HeaderName::Expires, "0")], Ok(0)),
            (&[(HeaderName::Expires, "59")], Err(423)),
            (&[(HeaderName::Expires, "60")], Ok(60)),
            (&[(HeaderName::Expires, "90000")], Ok(900)),
            (&[(HeaderName::Expires, "soon")], Err(400)),
            (&[(HeaderName::Accept, "application/*")], Ok(600)),
            (&[(HeaderName::Accept, "text/plain, application/Conference-Info+XML")], Ok(600)),
            (&[(HeaderName::Accept, "application/pidf+xml")], Err(406)),
        ];
        for (headers, granted) in table {
            assert_eq!(asked(headers), granted, "{headers:?}");
        }
    }
}
