//! What every actor of the node reads: rules, store, transports. Made once, at boot.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use restante::entropy::Entropy;
use restante::focus::pager::DepositRules;
use restante::focus::realm::Realm;
use restante::focus::subscriptions::SubscriptionRules;
use restante::machine::msrp::SessionConfig;
use restante::machine::offer_answer::LocalMedia;
use restante::machine::sip::{Flow, Timers};
use restante::store::{Owner, Quota, Store};
use restante::wire::msrp::MsrpUri;
use restante::wire::sdp::Direction;

use crate::chance::Chance;
use crate::config::Config;
use crate::link::{MsrpTransport, Resolver};
use crate::records::Records;

/// The node's common ground.
pub struct Shared {
    /// As configured.
    pub config: Config,
    /// Which URIs are ours.
    pub realm: Realm,
    /// What deposits keep.
    pub deposit: DepositRules,
    /// How summaries are subscribed to and written.
    pub subscriptions: Arc<SubscriptionRules>,
    /// Who is believed.
    pub trusted: Vec<IpNet>,
    /// The message store.
    pub store: Arc<dyn Store>,
    /// MSRP connections.
    pub msrp: MsrpTransport,
    /// Names to addresses.
    pub resolver: Resolver,
    /// What was said lately.
    pub records: Records,
    /// SIP timers.
    pub timers: Timers,
    /// The bound MSRP listeners: address, and what is written into a=path.
    pub msrp_listeners: Vec<(SocketAddr, String)>,
}

impl Shared {
    /// Whether a peer's assertions are believed.
    #[must_use]
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted.iter().any(|net| net.contains(&peer))
    }

    /// What one mailbox may hold.
    #[must_use]
    pub fn quota(&self) -> Quota {
        let deposit = &self.config.deposit;
        Quota::shared(
            deposit.quota_items,
            deposit.quota_bytes.bytes(),
            deposit.sender_share,
            deposit.sender_least,
            deposit.max_body.bytes(),
        )
    }

    /// Who speaks in `Warning`s.
    #[must_use]
    pub fn agent(&self) -> &str {
        self.realm.store_host()
    }

    /// The `host:port` under which the node is reached again over this flow.
    #[must_use]
    pub fn contact_host(&self, flow: &Flow) -> String {
        match &self.config.sip.advertise {
            Some(advertise) => {
                format!("{}:{}", advertise.host.as_str(), advertise.port.unwrap_or_else(|| flow.local.port()))
            }
            None if flow.local.ip().is_unspecified() => {
                format!("{}:{}", self.realm.store_host(), flow.local.port())
            }
            None => flow.local.to_string(),
        }
    }

    /// A Contact value for `user` reached over `flow` (RFC 3261 8.1.1.8), without header parameters.
    #[must_use]
    pub fn contact(&self, user: &str, flow: &Flow) -> String {
        let transport = match flow.transport.is_reliable() {
            true => format!(";transport={}", flow.transport.via_name().to_ascii_lowercase()),
            false => String::new(),
        };
        format!("<sip:{user}@{}{transport}>", self.contact_host(flow))
    }

    /// A new MSRP URI of this node, near the address that the client knows it by (RFC 4975 14.1:
    /// a session-id that cannot be guessed).
    #[must_use]
    pub fn mint_msrp_uri(&self, flow: &Flow) -> Option<MsrpUri> {
        let near = |(listener, _): &&(SocketAddr, String)| listener.is_ipv4() == flow.local.is_ipv4();
        let (listener, advertised) =
            self.msrp_listeners.iter().find(near).or_else(|| self.msrp_listeners.first())?;
        let host = match (advertised.is_empty(), listener.ip().is_unspecified()) {
            (false, _) => advertised.clone(),
            (true, true) => SocketAddr::new(flow.local.ip(), listener.port()).to_string(),
            (true, false) => listener.to_string(),
        };
        MsrpUri::parse(format!("msrp://{host}/{};tcp", Chance.token(24)).as_bytes()).ok()
    }

    /// Our side of a session description.
    #[must_use]
    pub fn local_media(&self, uri: MsrpUri, direction: Direction, max_size: u64) -> LocalMedia {
        let id = Chance.next_u64() >> 2;
        LocalMedia { uri, accept_types: Vec::new(), max_size, direction, session: (id, 1) }
    }

    /// The configuration of the MSRP machine for a session whose other side is yet to be told.
    #[must_use]
    pub fn session_config(&self, local: MsrpUri, receives: bool) -> SessionConfig {
        SessionConfig {
            local,
            remote: Vec::new(),
            max_message: self.config.msrp.max_message.bytes(),
            accepts: vec!["*".to_owned()],
            max_chunk: self.config.msrp.max_chunk.bytes(),
            transaction_timeout: self.config.msrp.transaction_timeout,
            max_incoming: self.config.msrp.max_incoming,
            receives,
        }
    }

    /// How long an unbound session may stay so.
    #[must_use]
    pub const fn bind_timeout(&self) -> Duration {
        self.config.msrp.bind_timeout
    }

    /// An owner as he may be logged.
    #[must_use]
    pub fn redacted(&self, owner: &Owner) -> String {
        crate::redact::Redacted(owner).to_string()
    }

    /// A tag for dialogs of shard `shard`: its first two characters name the shard.
    #[must_use]
    pub fn mint_tag(&self, shard: &str) -> String {
        format!("{shard}{}", Chance.token(18))
    }
}
