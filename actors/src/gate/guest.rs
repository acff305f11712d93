//! [`Guest`]: who is let into a dialog that was made once.
//!
//! Tags cannot be guessed, but they can be overheard. So what comes another way than the request that made the
//! dialog needs credentials of the same user; what comes the same way needs none. What a trusted peer brings is
//! believed, unless it asserts that it is another's.

use std::sync::Arc;

use restante::focus::identity;
use restante::focus::rejection::Rejection;
use restante::machine::sip::Flow;
use restante::store::Owner;
use restante::wire::sip::{Request, StatusCode};

use super::Gate;

/// Who has made a dialog, and the way he came.
#[derive(Debug)]
pub struct Origin {
    /// Who he is.
    pub owner: Owner,
    /// How he came.
    pub flow: Flow,
}

/// The other side of a dialog.
#[derive(Clone, Debug)]
pub struct Guest {
    who: Who,
    /// By which way he has come last, where it is another than the first or that is not kept.
    since: Option<Box<Flow>>,
}

#[derive(Clone, Debug)]
enum Who {
    Origin(Arc<Origin>),
    Owner(Owner),
}

impl Guest {
    /// Who has made the dialog.
    #[must_use]
    pub const fn new(origin: Arc<Origin>) -> Self {
        Self { who: Who::Origin(origin), since: None }
    }

    /// `owner`, who has come by `flow`; none where the dialog is older than this run of the node.
    #[must_use]
    pub fn of(owner: Owner, flow: Option<Flow>) -> Self {
        Self { who: Who::Owner(owner), since: flow.map(Box::new) }
    }

    fn owner(&self) -> &Owner {
        match &self.who {
            Who::Origin(origin) => &origin.owner,
            Who::Owner(owner) => owner,
        }
    }

    /// Whether `flow` is the way by which the guest is known: the same connection, or the same address and
    /// port over UDP.
    fn came_by(&self, flow: &Flow) -> bool {
        let at_first = match &self.who {
            Who::Origin(origin) => Some(&origin.flow),
            Who::Owner(_) => None,
        };
        self.since.as_deref().or(at_first).is_some_and(|known| {
            known.transport == flow.transport
                && known.connection == flow.connection
                && known.peer == flow.peer
        })
    }
}

impl Gate {
    /// Judges a request within the dialog of `guest`.
    ///
    /// # Errors
    /// As [`Gate::caller`]; 403 where it is somebody else's dialog.
    pub fn guest(&self, guest: &mut Guest, request: &Request, flow: &Flow) -> Result<(), Rejection> {
        let another = || Err(Rejection::because(StatusCode::FORBIDDEN, "Dialog Of Another User"));
        if self.trusts(flow) {
            let anothers = identity::is_anothers(&self.realm, request, guest.owner());
            return if anothers { another() } else { Ok(()) };
        }
        if guest.came_by(flow) {
            return Ok(());
        }
        let caller = self.caller(request, flow)?;
        if caller.owner != *guest.owner() {
            return another();
        }
        guest.since = Some(Box::new(*flow));
        Ok(())
    }

    /// Whether an ACK within the dialog of `guest` is taken for his. It cannot be challenged (RFC 3261 22.1), so it
    /// has to come as the dialog's requests do, or with the credentials of its INVITE; one that brings no answer says
    /// nothing that others could make use of.
    pub fn acknowledges(&self, guest: &Guest, ack: &Request, flow: &Flow) -> bool {
        if self.trusts(flow) {
            return !identity::is_anothers(&self.realm, ack, guest.owner());
        }
        ack.body.is_empty() || guest.came_by(flow) || self.vouches(ack, flow, guest.owner())
    }
}
