//! Answers to requests that no transaction is made for: [`StatelessTags`] (RFC 3261 8.2.7).

use super::fingerprint::Fingerprints;
use crate::entropy::Entropy;
use crate::wire::sip::Request;

/// The To tags of stateless answers: the same for the same request, unguessable from outside.
#[derive(Debug)]
pub struct StatelessTags(Fingerprints);

impl StatelessTags {
    /// Draws the key that tags are made with; it is good for one run of the node.
    #[must_use]
    pub fn new(entropy: &mut dyn Entropy) -> Self {
        Self(Fingerprints::new(entropy))
    }

    /// The To tag of the answer to `request`, which may be malformed.
    #[must_use]
    pub fn tag(&self, request: &Request) -> String {
        // RFC 3261 8.2.7: To tags MUST be generated in a stateless manner, one that will generate the same tag
        // for the same request consistently.
        self.0.identical(request).tag("")
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::incoming;
    use super::*;
    use crate::entropy::Sequence;
    use crate::wire::sip::{HeaderName, Method};

    // proves RFC 3261 8.2.7
    #[test]
    fn the_same_request_has_the_same_tag_and_another_has_another() {
        let tags = StatelessTags::new(&mut Sequence::new(1));
        let request = || incoming(Method::Message, "z9hG4bKm1");
        let tag = tags.tag(&request());
        assert_eq!(tag, tags.tag(&request()));
        for (name, value) in [
            (HeaderName::Via, "SIP/2.0/UDP pc.example.com;branch=z9hG4bKm2"),
            (HeaderName::CallId, "another"),
            (HeaderName::CSeq, "4711 MESSAGE"),
            (HeaderName::From, "<sip:alice@example.org>;tag=another"),
            (HeaderName::To, "<sip:carol@example.com>"),
        ] {
            let mut other = request();
            other.headers.set(name.clone(), value);
            assert_ne!(tag, tags.tag(&other), "{name:?}");
        }
        let others = StatelessTags::new(&mut Sequence::new(2));
        assert_ne!(tag, others.tag(&request()), "nobody else can make it");
    }

    #[test]
    fn what_is_missing_or_malformed_has_a_tag_too() {
        let tags = StatelessTags::new(&mut Sequence::new(1));
        let mut bare = incoming(Method::Message, "z9hG4bKm1");
        for name in [HeaderName::Via, HeaderName::CallId, HeaderName::CSeq, HeaderName::From, HeaderName::To]
        {
            bare.headers.remove(&name);
        }
        assert_eq!(tags.tag(&bare).len(), 13);
        bare.headers.push(HeaderName::CSeq, "what?");
        assert_eq!(tags.tag(&bare), tags.tag(&bare));
    }
}
