//! The Event header field (RFC 6665 8.2.1).

use bytes::Bytes;

use super::grammar::{share, skip_blanks, split_token};
use super::params::Params;

/// An event package and, where one dialog holds several subscriptions, the id of this one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// The package, with its templates: `message-summary`.
    pub package: Bytes,
    /// The `id` parameter.
    pub id: Option<Bytes>,
}

impl Event {
    /// Reads `event-type *( SEMI event-param )`; the error says what is wrong.
    pub fn parse(value: &Bytes) -> Result<Self, &'static str> {
        let (package, rest) = split_token(skip_blanks(value)).ok_or("package")?;
        let params = Params::parse(&share(value, skip_blanks(rest))).ok_or("parameters")?;
        Ok(Self { package: share(value, package), id: params.value("id") })
    }

    /// Whether this is the package called `name`.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        // RFC 6665 8.2.1: event types are compared byte by byte
        self.package == name
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // proves RFC 6665 8.2.1
    #[test]
    fn a_package_and_perhaps_an_id() {
        let event = Event::parse(&Bytes::from_static(b"message-summary ; id=7;x=\"y\"")).unwrap();
        assert!(event.is("message-summary") && !event.is("Message-Summary"));
        assert_eq!(event.id.unwrap(), "7");
        assert!(Event::parse(&Bytes::from_static(b"a b")).is_err());
        assert!(Event::parse(&Bytes::new()).is_err());
    }
}
