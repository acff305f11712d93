//! A stranger's SIP and MSRP peer: nothing in here is the project's code.

pub mod call;
pub mod clock;
pub mod cpim;
pub mod digest;
pub mod dns;
pub mod frame;
pub mod msrp;
pub mod node;
pub mod pki;
pub mod ports;
pub mod proxy;
pub mod sdp;
pub mod secure;
pub mod sip;
pub mod summary;
pub mod tunnel;
pub mod ua;
pub mod websocket;

pub use call::{Call, Invite, deposit_session, message_uri, resource_lists, retrieve, until, with_list};
pub use clock::{Deadline, PATIENCE, fresh, noise};
pub use cpim::{Cpim, rfc3339};
pub use digest::{Challenge, authorized};
pub use dns::{Dns, Zone};
pub use frame::{Chunk, Frame};
pub use msrp::{Delivered, Msrp, Verdict};
pub use node::{Node, Plan, add_user, is_ready, restante};
pub use pki::{Authority, Identity};
pub use proxy::Proxy;
pub use sdp::{Answer, Offer};
pub use secure::{Secure, tls_client};
pub use sip::{Msg, address, escape_user, parameter};
pub use summary::{
    QUIET, Summary, brisk, deposit, deposit_as, fetch, fetch_by, notified, shown, subscribe,
    subscribe_request,
};
pub use tunnel::{Carrier, Framing, tunnel};
pub use ua::{Dialog, Ua};
