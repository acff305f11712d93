//! Conference information as XML: elements in the order of the schema (RFC 4575 section 6).

use std::fmt::Write as _;

use bytes::Bytes;

use super::{ConferenceInfo, Disconnection, Endpoint, NAMESPACE, State, User};
use crate::wire::xml;

impl ConferenceInfo {
    /// How many bytes the element takes that is around the users.
    pub const AROUND_USERS: usize = "<users state=\"partial\">\r\n</users>\r\n".len();

    /// The document as XML.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = String::with_capacity(256 + self.users.len() * 256);
        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<conference-info");
        attribute(&mut out, "xmlns", NAMESPACE);
        attribute(&mut out, "entity", &self.entity);
        attribute(&mut out, "state", self.state.as_str());
        // RFC 4575 4.3: the 'version' attribute MUST be included in the root element.
        attribute(&mut out, "version", &self.version.to_string());
        // RFC 4575 4.4: a parent element with "deleted" state SHOULD NOT contain child elements.
        if self.state == State::Deleted {
            out.push_str("/>\r\n");
            return Bytes::from(out);
        }
        out.push_str(">\r\n");
        self.encode_description(&mut out);
        self.encode_conference_state(&mut out);
        self.encode_users(&mut out);
        out.push_str("</conference-info>\r\n");
        Bytes::from(out)
    }

    // RFC 4575 5.2: a full document MUST at least include <conference-description> and <users>.
    fn encode_description(&self, out: &mut String) {
        match &self.subject {
            Some(subject) => {
                out.push_str("<conference-description>");
                text_element(out, "subject", subject);
                out.push_str("</conference-description>\r\n");
            }
            None if self.state == State::Full => out.push_str("<conference-description/>\r\n"),
            None => {}
        }
    }

    fn encode_conference_state(&self, out: &mut String) {
        if self.user_count.is_none() && self.active.is_none() {
            return;
        }
        out.push_str("<conference-state>");
        if let Some(count) = self.user_count {
            text_element(out, "user-count", &count.to_string());
        }
        if let Some(active) = self.active {
            text_element(out, "active", if active { "true" } else { "false" });
        }
        out.push_str("</conference-state>\r\n");
    }

    fn encode_users(&self, out: &mut String) {
        if self.users.is_empty() && self.state == State::Partial {
            return;
        }
        out.push_str("<users");
        attribute(out, "state", self.state.as_str());
        out.push_str(">\r\n");
        for user in &self.users {
            user.encode(out, self.state);
        }
        out.push_str("</users>\r\n");
    }
}

impl User {
    /// How many bytes the element takes in a document, at most.
    #[must_use]
    pub fn written(&self) -> usize {
        let mut out = String::new();
        self.encode(&mut out, State::Partial);
        out.len()
    }

    fn encode(&self, out: &mut String, parent: State) {
        let state = within(parent, self.state);
        out.push_str("<user");
        attribute(out, "entity", &self.entity);
        attribute(out, "state", state.as_str());
        if state == State::Deleted {
            out.push_str("/>\r\n");
            return;
        }
        out.push_str(">\r\n");
        if let Some(text) = &self.display_text {
            text_element(out, "display-text", text);
        }
        for endpoint in &self.endpoints {
            endpoint.encode(out, state);
        }
        out.push_str("</user>\r\n");
    }
}

impl Endpoint {
    // The order of the children is that of the schema's xs:sequence (RFC 4575 section 6).
    fn encode(&self, out: &mut String, parent: State) {
        let state = within(parent, self.state);
        out.push_str("<endpoint");
        attribute(out, "entity", &self.entity);
        attribute(out, "state", state.as_str());
        if state == State::Deleted {
            out.push_str("/>\r\n");
            return;
        }
        out.push('>');
        if let Some(status) = self.status {
            text_element(out, "status", status.as_str());
        }
        if let Some(joining) = self.joining {
            text_element(out, "joining-method", joining.as_str());
        }
        if let Some(gone) = &self.disconnection {
            text_element(out, "disconnection-method", gone.method.as_str());
            gone.encode_info(out);
        }
        out.push_str("</endpoint>\r\n");
    }
}

impl Disconnection {
    fn encode_info(&self, out: &mut String) {
        if self.reason.is_none() && self.when.is_none() {
            return;
        }
        out.push_str("<disconnection-info>");
        if let Some(when) = &self.when {
            text_element(out, "when", when);
        }
        if let Some(reason) = &self.reason {
            text_element(out, "reason", reason);
        }
        out.push_str("</disconnection-info>");
    }
}

/// The state a child may claim: RFC 4575 4.4: if the parent's 'state' is "full", the state of its
/// children MUST be "full".
const fn within(parent: State, own: State) -> State {
    match parent {
        State::Full => State::Full,
        State::Partial | State::Deleted => own,
    }
}

fn attribute(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, " {name}=\"");
    xml::escape_into(out, value);
    out.push('"');
}

fn text_element(out: &mut String, name: &str, text: &str) {
    let _ = write!(out, "<{name}>");
    xml::escape_into(out, text);
    let _ = write!(out, "</{name}>");
}
