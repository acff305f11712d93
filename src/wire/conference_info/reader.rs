//! Conference information from XML: what a subscriber learns from one document.

use super::{
    ConferenceInfo, Disconnection, DisconnectionMethod, Endpoint, EndpointStatus, JoiningMethod, NAMESPACE,
    State, User,
};
use crate::wire::xml::{self, Element, XmlError, XmlLimits};

/// Why a document was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConferenceInfoError {
    /// Not XML.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// Missing, or not what the schema allows: this element or attribute.
    #[error("conference information with an unexpected {0}")]
    Unexpected(&'static str),
}

impl ConferenceInfo {
    /// Reads a document of at most 1 MiB.
    ///
    /// # Errors
    /// [`ConferenceInfoError`] when it is broken XML or no conference information.
    pub fn parse(xml: &[u8]) -> Result<Self, ConferenceInfoError> {
        let root = xml::parse(xml, XmlLimits { bytes: 1 << 20, depth: 16, elements: 20_000 })?;
        if !root.is(NAMESPACE, "conference-info") {
            return Err(ConferenceInfoError::Unexpected("root element"));
        }
        let version = root.attribute("version").and_then(|text| text.trim().parse().ok());
        let state = root.child("conference-state");
        Ok(Self {
            entity: entity(&root)?,
            version: version.ok_or(ConferenceInfoError::Unexpected("version"))?,
            state: state_of(&root)?,
            subject: root
                .child("conference-description")
                .and_then(|it| it.child_text("subject"))
                .map(Into::into),
            user_count: state.and_then(|it| it.child_text("user-count")).and_then(|text| text.parse().ok()),
            active: state.and_then(|it| it.child_text("active")).map(|text| matches!(text, "true" | "1")),
            users: match root.child("users") {
                Some(users) => children(users, "user").map(User::read).collect::<Result<_, _>>()?,
                None => Vec::new(),
            },
        })
    }
}

impl User {
    fn read(element: &Element) -> Result<Self, ConferenceInfoError> {
        Ok(Self {
            entity: entity(element)?,
            state: state_of(element)?,
            display_text: element.child_text("display-text").map(Into::into),
            endpoints: children(element, "endpoint").map(Endpoint::read).collect::<Result<_, _>>()?,
        })
    }
}

impl Endpoint {
    fn read(element: &Element) -> Result<Self, ConferenceInfoError> {
        let method = enumerated(element, "disconnection-method", DisconnectionMethod::parse)?;
        let info = element.child("disconnection-info");
        Ok(Self {
            entity: entity(element)?,
            state: state_of(element)?,
            status: enumerated(element, "status", EndpointStatus::parse)?,
            joining: enumerated(element, "joining-method", JoiningMethod::parse)?,
            disconnection: method.map(|method| Disconnection {
                method,
                reason: info.and_then(|it| it.child_text("reason")).map(Into::into),
                when: info.and_then(|it| it.child_text("when")).map(Into::into),
            }),
        })
    }
}

fn children<'a>(parent: &'a Element, name: &'static str) -> impl Iterator<Item = &'a Element> {
    parent.children.iter().filter(move |child| child.is(NAMESPACE, name))
}

fn entity(element: &Element) -> Result<String, ConferenceInfoError> {
    element.attribute("entity").map(str::to_owned).ok_or(ConferenceInfoError::Unexpected("entity"))
}

// RFC 4575 4.4: the default value of any 'state' attribute is "full".
fn state_of(element: &Element) -> Result<State, ConferenceInfoError> {
    match element.attribute("state") {
        None => Ok(State::Full),
        Some(text) => State::parse(text).ok_or(ConferenceInfoError::Unexpected("state")),
    }
}

fn enumerated<T>(
    parent: &Element,
    name: &'static str,
    parse: fn(&str) -> Option<T>,
) -> Result<Option<T>, ConferenceInfoError> {
    match parent.child_text(name) {
        None => Ok(None),
        Some(text) => parse(text).map(Some).ok_or(ConferenceInfoError::Unexpected(name)),
    }
}
