//! What comes for an MSRP session, by way of the actor whose part it is.

use actix::{Message, Recipient};

use crate::link::{MsrpConnectError, MsrpEvent, MsrpLink, MsrpPort, MsrpTarget};

/// Something for the session, to be handed to [`super::MsrpSession::handle`].
#[derive(Message)]
#[rtype(result = "()")]
pub struct SessionInput(pub(super) Input);

pub(super) enum Input {
    /// The connection tells it.
    Link(MsrpEvent),
    /// Where to connect; without addresses: the client's URI leads nowhere.
    Resolved {
        /// The number of the [`super::Join`] that asked.
        epoch: u32,
        to: MsrpTarget,
    },
    /// The opened connection, or why there is none.
    Connected {
        /// The number of the [`super::Join`] that asked.
        epoch: u32,
        link: Result<MsrpLink, MsrpConnectError>,
    },
}

/// Where the connection tells the session of `user` what comes.
pub(super) fn port(user: Recipient<SessionInput>) -> MsrpPort {
    MsrpPort::new(move |event| user.do_send(SessionInput(Input::Link(event))))
}
