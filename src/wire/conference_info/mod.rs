//! Conference information documents (RFC 4575): the state of a focus and of whom it invited.
//!
//! Written and read are the elements a retrieval needs: description, counts, users with their
//! endpoints and how these joined and left. Media, sidebars and hosts are neither written nor kept.

mod reader;
mod writer;

pub use reader::ConferenceInfoError;

/// The namespace of conference information.
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:conference-info";

/// The media type of conference information.
pub const MEDIA_TYPE: &str = "application/conference-info+xml";

/// An enumeration of the schema: its variants and their spelling.
macro_rules! schema_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// The value as the schema spells it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The value of this spelling.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

schema_enum! {
    /// How much an element tells (RFC 4575 section 4.4).
    State {
        /// All there is: what was known before is replaced.
        Full = "full",
        /// What has changed.
        Partial = "partial",
        /// The element has ceased to exist.
        Deleted = "deleted",
    }
}

schema_enum! {
    /// Where an endpoint stands (RFC 4575 section 5.7.3).
    EndpointStatus {
        /// Not yet in the session, waiting for policy.
        Pending = "pending",
        /// The focus is inviting the endpoint.
        DialingOut = "dialing-out",
        /// The endpoint is joining.
        DialingIn = "dialing-in",
        /// The endpoint has answered 180.
        Alerting = "alerting",
        /// In the session, on hold.
        OnHold = "on-hold",
        /// In the session.
        Connected = "connected",
        /// In the session, not heard.
        MutedViaFocus = "muted-via-focus",
        /// On the way out.
        Disconnecting = "disconnecting",
        /// Out.
        Disconnected = "disconnected",
    }
}

schema_enum! {
    /// How an endpoint joined (RFC 4575 section 5.7.4).
    JoiningMethod {
        /// It invited the focus.
        DialedIn = "dialed-in",
        /// The focus invited it.
        DialedOut = "dialed-out",
        /// It is the focus.
        FocusOwner = "focus-owner",
    }
}

schema_enum! {
    /// How an endpoint left (RFC 4575 section 5.7.6).
    DisconnectionMethod {
        /// It sent a BYE.
        Departed = "departed",
        /// It was sent out.
        Booted = "booted",
        /// It never got in.
        Failed = "failed",
        /// It answered 486.
        Busy = "busy",
    }
}

/// How and why an endpoint left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnection {
    /// The manner.
    pub method: DisconnectionMethod,
    /// Why, in words; RFC 4575 5.7.7 suggests the value of a Reason header.
    pub reason: Option<String>,
    /// When, as an RFC 3339 date.
    pub when: Option<String>,
}

/// One device by which a user takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its contact URI: the key among its siblings.
    pub entity: String,
    /// How much of it is told.
    pub state: State,
    /// Where it stands.
    pub status: Option<EndpointStatus>,
    /// How it joined.
    pub joining: Option<JoiningMethod>,
    /// How it left, if it did.
    pub disconnection: Option<Disconnection>,
}

impl Endpoint {
    /// An endpoint that the focus invites, wholly described.
    #[must_use]
    pub fn dialed_out(entity: impl Into<String>, status: EndpointStatus) -> Self {
        Self {
            entity: entity.into(),
            state: State::Full,
            status: Some(status),
            joining: Some(JoiningMethod::DialedOut),
            disconnection: None,
        }
    }

    /// The same endpoint, gone.
    #[must_use]
    pub fn disconnected(mut self, method: DisconnectionMethod, reason: Option<String>) -> Self {
        self.status = Some(EndpointStatus::Disconnected);
        self.disconnection = Some(Disconnection { method, reason, when: None });
        self
    }
}

/// One participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The participant's URI: the key among its siblings.
    pub entity: String,
    /// How much of it is told.
    pub state: State,
    /// A name for people.
    pub display_text: Option<String>,
    /// The devices.
    pub endpoints: Vec<Endpoint>,
}

impl User {
    /// A user with one endpoint of the same URI, wholly described.
    #[must_use]
    pub fn with_endpoint(endpoint: Endpoint) -> Self {
        Self {
            entity: endpoint.entity.clone(),
            state: State::Full,
            display_text: None,
            endpoints: vec![endpoint],
        }
    }

    /// A user that is no longer there.
    #[must_use]
    pub fn deleted(entity: impl Into<String>) -> Self {
        Self { entity: entity.into(), state: State::Deleted, display_text: None, endpoints: Vec::new() }
    }
}

/// One document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConferenceInfo {
    /// The conference URI.
    pub entity: String,
    /// Rises by one with every change told to this subscription (RFC 4575 section 5.2).
    pub version: u32,
    /// How much the document tells.
    pub state: State,
    /// What the conference is about.
    pub subject: Option<String>,
    /// How many users there are.
    pub user_count: Option<u32>,
    /// Whether the conference goes on.
    pub active: Option<bool>,
    /// The participants: all in a full document, the changed ones in a partial one.
    pub users: Vec<User>,
}

impl ConferenceInfo {
    /// A document that tells everything.
    #[must_use]
    pub fn full(entity: impl Into<String>, version: u32, users: Vec<User>) -> Self {
        let user_count = u32::try_from(users.len()).ok();
        Self { user_count, users, ..Self::bare(entity, version, State::Full) }
    }

    /// A document that tells of the users that changed.
    #[must_use]
    pub fn partial(entity: impl Into<String>, version: u32, users: Vec<User>) -> Self {
        Self { users, ..Self::bare(entity, version, State::Partial) }
    }

    /// A document that tells that the conference is over.
    #[must_use]
    pub fn deleted(entity: impl Into<String>, version: u32) -> Self {
        Self::bare(entity, version, State::Deleted)
    }

    fn bare(entity: impl Into<String>, version: u32, state: State) -> Self {
        let entity = entity.into();
        Self { entity, version, state, subject: None, user_count: None, active: None, users: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
