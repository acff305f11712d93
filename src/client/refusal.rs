//! A response that says no: [`Refusal`], what a person or a program needs of it.

use std::fmt;
use std::time::Duration;

use crate::wire::sip::{HeaderName, Response, StatusCode};

/// A final response other than 2xx.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// The reason phrase.
    pub reason: String,
    /// The text of the first Warning.
    pub warning: Option<String>,
    /// How long to wait before it is tried again.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// What `response` says.
    #[must_use]
    pub fn of(response: &Response) -> Self {
        let text = |name: HeaderName| {
            response.headers.get(&name).map(|value| String::from_utf8_lossy(value).into_owned())
        };
        Self {
            status: response.status,
            reason: String::from_utf8_lossy(&response.reason).into_owned(),
            warning: text(HeaderName::Warning).map(|value| warn_text(&value)),
            retry_after: response.headers.retry_after(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.reason)?;
        if let Some(warning) = &self.warning {
            write!(f, " ({warning})")?;
        }
        match self.retry_after {
            Some(after) => write!(f, ", to be tried again in {} s", after.as_secs()),
            None => Ok(()),
        }
    }
}

/// RFC 3261 20.43: `warn-code agent "text"`.
fn warn_text(value: &str) -> String {
    let quoted = value.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"'));
    quoted.map_or(value, |(text, _)| text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sip::{Method, Request};

    #[test]
    fn warning_and_retry_after_are_told() {
        let request = Request::new(Method::Message, "sip:bob@example.com");
        let mut response = request.respond(StatusCode::TEMPORARILY_UNAVAILABLE);
        response.headers.push(HeaderName::Warning, "399 store.example.com \"mailbox full\"");
        response.headers.push(HeaderName::RetryAfter, "30 (busy);duration=3600");
        let refusal = Refusal::of(&response);
        assert_eq!(
            refusal.to_string(),
            "480 Temporarily Unavailable (mailbox full), to be tried again in 30 s"
        );
        assert_eq!(Refusal::of(&request.respond(StatusCode::NOT_FOUND)).to_string(), "404 Not Found");
    }
}
