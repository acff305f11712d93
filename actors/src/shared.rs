//! What every actor of the node reads: rules, store, transports. Made once, at boot.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use restante::entropy::Entropy;
use restante::focus::pager::DepositRules;
use restante::focus::realm::Realm;
use restante::focus::subscriptions::SubscriptionRules;
use restante::machine::msrp::{SessionConfig, SessionLimits};
use restante::machine::offer_answer::{LocalMedia, carriages};
use restante::machine::sip::{Flow, Timers, Transport};
use restante::store::{Answer, Owner, Quota, Store, StoreError};
use restante::wire::msrp::MsrpUri;
use restante::wire::sdp::Direction;
use tokio::sync::Semaphore;

use crate::chance::Chance;
use crate::config::{Config, Listen};
use crate::expiry::Expiry;
use crate::link::{MsrpTransport, Resolver, SipTransport};
use crate::listeners;
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
    /// The message store.
    pub store: Arc<dyn Store>,
    /// Room in its queue for messages of sessions: who finds none waits, and his sender with him.
    pub appends: Semaphore,
    /// The clock by which items end.
    pub expiry: Arc<Expiry>,
    /// SIP connections.
    pub sip: SipTransport,
    /// MSRP connections.
    pub msrp: MsrpTransport,
    /// Names to addresses.
    pub resolver: Resolver,
    /// What was said lately.
    pub records: Records,
    /// SIP timers.
    pub timers: Arc<Timers>,
    /// The limits of sessions that only send.
    pub sending_limits: Arc<SessionLimits>,
    /// The limits of sessions that receive.
    pub receiving_limits: Arc<SessionLimits>,
    /// The SIP listeners, with the addresses that are bound.
    pub sip_listeners: Vec<Listen>,
    /// The MSRP listeners, with the addresses that are bound.
    pub msrp_listeners: Vec<Listen>,
}

impl Shared {
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

    /// The `host:port` at which whoever came to `local` finds a listener.
    pub(crate) fn host_port(&self, listener: SocketAddr, local: SocketAddr) -> String {
        let by_name = || format!("{}:{}", self.realm.store_host(), listener.port());
        listeners::address(listener, local).map_or_else(by_name, |address| address.to_string())
    }

    /// A new MSRP URI of this node, near the address that the client knows it by (RFC 4975 14.1:
    /// a session-id that cannot be guessed): at a listener that carries sessions as the offer wants them, or,
    /// where we offer, as the client's SIP comes.
    #[must_use]
    pub fn mint_msrp_uri(&self, flow: &Flow, offer: Option<&[u8]>) -> Option<MsrpUri> {
        let transport = |secure: bool, web: bool| match (secure, web) {
            (false, false) => Transport::Tcp,
            (true, false) => Transport::Tls,
            (false, true) => Transport::Ws,
            (true, true) => Transport::Wss,
        };
        let wanted: Vec<Transport> = match offer {
            Some(offer) => carriages(offer).iter().map(|it| transport(it.secure, it.web)).collect(),
            None => vec![transport(flow.transport.is_secure(), flow.transport.is_web())],
        };
        // Where none fits, the answer says so; where we offer, any is better than none.
        let others = [Transport::Tcp, Transport::Tls, Transport::Wss, Transport::Ws];
        wanted.into_iter().chain(others).find_map(|transport| self.mint_uri_of(transport, flow))
    }

    /// A new MSRP URI at a listener of `transport`, if there is one.
    fn mint_uri_of(&self, transport: Transport, flow: &Flow) -> Option<MsrpUri> {
        let listener = listeners::nearest(&self.msrp_listeners, transport, flow.local)?;
        let host = match &self.config.msrp.advertise {
            Some(advertise) => listeners::advertised(advertise, listener),
            None => self.host_port(listener.address, flow.local),
        };
        let scheme = if transport.is_secure() { "msrps" } else { "msrp" };
        let by = if transport.is_web() { "ws" } else { "tcp" };
        MsrpUri::parse(format!("{scheme}://{host}/{};{by}", Chance.token(24)).as_bytes()).ok()
    }

    /// Our side of a session description, in which whatever comes is taken up to `max_size`; without it nothing is.
    #[must_use]
    pub fn local_media(&self, uri: MsrpUri, direction: Direction, max_size: Option<u64>) -> LocalMedia {
        let id = Chance.next_u64() >> 2;
        let fingerprint = if uri.is_secure() { self.msrp.fingerprint() } else { None };
        LocalMedia {
            uri,
            fingerprint,
            accept_types: Box::default(),
            accept_wrapped: max_size.is_some(),
            max_size: max_size.unwrap_or(0),
            direction,
            session: (id, 1),
        }
    }

    /// The configuration of the MSRP machine for a session whose other side is yet to be told.
    #[must_use]
    pub fn session_config(&self, local: MsrpUri, receives: bool) -> SessionConfig {
        let limits = if receives { &self.receiving_limits } else { &self.sending_limits };
        SessionConfig { local, remote: Vec::new(), limits: Arc::clone(limits) }
    }

    /// What the store answers to a request that somebody waits for, or that it did not in time: a disk that
    /// hangs must not look like silence.
    pub fn in_time<T: Send + 'static>(
        &self,
        answer: Answer<T>,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T> {
        let within = self.config.sip.answer_within;
        async move {
            let late = |_| Err(StoreError::Unavailable(format!("no answer within {within:?}")));
            tokio::time::timeout(within, answer).await.unwrap_or_else(late)
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
