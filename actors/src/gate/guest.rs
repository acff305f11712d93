//! [`Guest`]: who is let into a dialog that was made once.
//!
//! Tags cannot be guessed, but they can be overheard. So what comes another way than the request that made the
//! dialog needs credentials of the same user; what comes the same way needs none. What a trusted peer brings is
//! believed, unless it asserts that it is another's.

use restante::focus::identity;
use restante::focus::rejection::Rejection;
use restante::machine::sip::Flow;
use restante::store::Owner;
use restante::wire::sip::{Method, Request, StatusCode};

use super::Gate;

/// The other side of a dialog.
#[derive(Clone, Debug)]
pub struct Guest {
    owner: Owner,
    flow: Option<Flow>,
}

impl Guest {
    /// `owner`, who has come by `flow`; none where the dialog is older than this run of the node.
    #[must_use]
    pub const fn new(owner: Owner, flow: Option<Flow>) -> Self {
        Self { owner, flow }
    }

    /// Whether `flow` is the way by which the guest is known: the same connection, or the same address and
    /// port over UDP.
    fn came_by(&self, flow: &Flow) -> bool {
        self.flow.is_some_and(|known| {
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
        // RFC 3261 22.1: MUST NOT challenge an ACK.
        if request.method == Method::Ack {
            return Ok(());
        }
        if self.trusts(flow) {
            let anothers = identity::is_anothers(&self.realm, request, &guest.owner);
            return if anothers { another() } else { Ok(()) };
        }
        if guest.came_by(flow) {
            return Ok(());
        }
        let caller = self.caller(request, flow)?;
        if caller.owner != guest.owner {
            return another();
        }
        guest.flow = Some(*flow);
        Ok(())
    }
}
