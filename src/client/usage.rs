//! What a user agent was asked to do ([`Usage`]), what it tells of it ([`UserAgentEvent`]), and what it keeps of
//! it.

use super::invitation::{Invitation, InvitationEvent};
use super::pager::PagerMessage;
use super::refusal::Refusal;
use super::subscription::Subscription;
use super::subscription_event::SubscriptionEvent;
use crate::machine::sip::{Body, ClientTxn, Destination, Dialog, FailureCause};
use crate::time::Instant;
use crate::wire::sip::{Request, Response};

/// Names something a user agent was asked to do; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usage(pub(super) u64);

/// What a user agent tells its user of a [`Usage`].
#[derive(Debug)]
pub enum UserAgentEvent {
    /// A request of its own was answered with 2xx. Nothing follows.
    Answered(Response),
    /// It was refused. Nothing follows.
    Refused(Refusal),
    /// It was not answered. Nothing follows.
    Failed(FailureCause),
    /// Something happened to a session.
    Session(InvitationEvent),
    /// Something happened to a subscription.
    Subscription(SubscriptionEvent),
}

/// A session to be opened.
#[derive(Clone, Debug)]
pub struct Invite<'a> {
    /// The Request-URI.
    pub uri: &'a str,
    /// The URI in To.
    pub to: &'a str,
    /// The offer, with a URI-list where there is one.
    pub body: Body,
    /// Whether the peer must understand the URI-list.
    pub needs_list: bool,
    /// What is told about it: subject, priority, date and expiry of the message that is deposited.
    pub about: Option<&'a PagerMessage>,
}

/// What is kept of a usage.
#[derive(Debug)]
pub(super) struct Going {
    pub(super) kind: Kind,
    /// The transaction that opens it, at the place that was tried last.
    pub(super) txn: Option<ClientTxn>,
    /// That place: requests of its dialog go there, too.
    pub(super) place: Option<Destination>,
}

/// The three kinds of usages.
#[derive(Debug)]
pub(super) enum Kind {
    /// One request.
    Single,
    /// A session.
    Session(Box<Invitation>),
    /// A subscription.
    Subscription(Box<Subscription>),
}

impl Going {
    pub(super) const fn new(kind: Kind) -> Self {
        Self { kind, txn: None, place: None }
    }

    /// The session, where it is one.
    pub(super) fn invitation(&mut self) -> Option<&mut Invitation> {
        match &mut self.kind {
            Kind::Session(invitation) => Some(invitation),
            Kind::Single | Kind::Subscription(_) => None,
        }
    }

    /// The subscription, where it is one.
    pub(super) fn subscription(&mut self) -> Option<&mut Subscription> {
        match &mut self.kind {
            Kind::Subscription(subscription) => Some(subscription),
            Kind::Single | Kind::Session(_) => None,
        }
    }

    /// Its dialog, once there is one.
    pub(super) fn dialog(&self) -> Option<&Dialog> {
        match &self.kind {
            Kind::Single => None,
            Kind::Session(invitation) => invitation.dialog(),
            Kind::Subscription(subscription) => subscription.dialog(),
        }
    }

    /// When it wants to be told the time.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.kind {
            Kind::Subscription(subscription) => subscription.poll_timeout(),
            Kind::Single | Kind::Session(_) => None,
        }
    }

    /// Whether `request` belongs to it.
    pub(super) fn matches(&self, request: &Request) -> bool {
        match &self.kind {
            Kind::Single => false,
            Kind::Session(invitation) => invitation.matches(request),
            Kind::Subscription(subscription) => subscription.matches(request),
        }
    }

    /// One of its requests was sent as `request`; `again` where with the next sequence number.
    pub(super) fn sent(&mut self, request: &Request, again: bool) {
        match &mut self.kind {
            Kind::Single => {}
            Kind::Session(invitation) => invitation.sent(request, again),
            Kind::Subscription(subscription) => subscription.sent(request, again),
        }
    }
}
