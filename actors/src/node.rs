//! The node: boots, serves, drains.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Arbiter, ArbiterHandle, System};
use anyhow::Context as _;
use restante::focus::pager::DepositRules;
use restante::focus::realm::{Accepts, Realm};
use restante::focus::subscription_terms::SubscriptionTerms;
use restante::focus::subscriptions::SubscriptionRules;
use restante::focus::summary::{Listing, SummaryRules};
use restante::machine::sip::{EndpointConfig, Timers, Transport};
use restante::store::{Store, SubscriptionCursor};
use restante::wire::message_summary;
use restante::wire::sip::Limits;

use crate::admission::Admission;
use crate::archive::{self, Archive};
use crate::clock;
use crate::config::{Config, StoreUrl, SummaryHeaders};
use crate::endpoint::{DrainDialogs, Entrance, SipEndpoint};
use crate::gate::Gate;
use crate::http::{self, Readiness};
use crate::link::{
    Backlog, ConnectionLimits, Cores, DnsSettings, HandshakeLimits, MsrpLimits, MsrpTransport, OutboxLimits,
    Resolver, SipLimits, SipPorts, SipTransport, Stopper, Tls, TlsFiles, WebLimits,
};
use crate::records::Records;
use crate::router::{MOST_SHARDS, Router, shard_name};
use crate::shard::{Attach, Resume, Shard, Totals, Watched, tell_changed};
use crate::shared::{MsrpListener, Shared};
use crate::supervision::{self, Fatal};
use crate::upkeep;
use crate::users::Users;
use crate::users::watch::Watch;

/// Subscriptions read from the store at once when the node starts.
const RESUMED_AT_ONCE: usize = 1000;

/// How long the store's end is waited for.
const STORE_END: Duration = Duration::from_secs(30);

/// Runs the node until it is told to stop.
///
/// # Errors
/// What keeps it from starting or from going on.
pub fn run(config: Config) -> anyhow::Result<()> {
    crate::redact::open_addresses(config.log.addresses);
    let _origin = clock::now();
    supervision::log_panics();
    System::new().block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    serve_until(config, |_| {}, async move { signals.next().await }).await
}

/// Where a node listens: as its configuration writes it, with the ports that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// SIP listeners: `tcp:127.0.0.1:5060`.
    pub sip: Vec<String>,
    /// MSRP listeners: `tcp:127.0.0.1:2855`.
    pub msrp: Vec<String>,
    /// Metrics and health, where they are served.
    pub http: Option<std::net::SocketAddr>,
}

/// Serves until `stop` resolves, to a word that says why; `ready` is told when every listener is bound.
pub(crate) async fn serve_until(
    config: Config,
    ready: impl FnOnce(&Bound),
    stop: impl Future<Output = &'static str>,
) -> anyhow::Result<()> {
    let users = users(&config)?;
    let StoreUrl::Embedded(directory) = &config.store.url;
    let store = open_store(directory.clone(), limits(&config)).await?;
    let metrics = http::install_metrics().context("metrics")?;
    let readiness = Readiness::new();
    let stopper = Stopper::new();
    let arbiters: Vec<Arbiter> = (0..workers(&config)).map(|_| Arbiter::new()).collect();
    let cores = arbiters.iter().map(Arbiter::handle).collect();
    let fatal = Fatal::default();
    let node = Node::boot(config, store, users, cores, stopper.clone(), &fatal).await?;
    let http = node.http(metrics, readiness.clone(), stopper.clone())?;
    node.resume().await?;
    node.keep_certificate()?;
    readiness.set(true);
    node.sweep(readiness.clone());
    metrics::gauge!("restante_workers").set(u32::try_from(node.endpoints.len()).unwrap_or(u32::MAX));
    tracing::info!(
        sip = node.bound_sip.join(","),
        msrp = node.bound_msrp.join(","),
        http = http.map(|addr| addr.to_string()).unwrap_or_default(),
        workers = node.endpoints.len(),
        "ready"
    );
    ready(&Bound { sip: node.bound_sip.clone(), msrp: node.bound_msrp.clone(), http });
    let failed = tokio::select! {
        signal = stop => {
            tracing::info!(signal, "stopping: no new work, sessions get a BYE");
            None
        }
        name = fatal.failed() => Some(name),
    };
    readiness.set(false);
    if let Some(name) = failed {
        // Half a node is worse than none: whoever watches over the process starts it again.
        node.close(&stopper).await;
        anyhow::bail!("{name} has failed: the process ends; what was acknowledged is in the store");
    }
    node.drain(&stopper).await;
    tracing::info!("stopped");
    Ok(())
}

async fn open_store(directory: PathBuf, limits: archive::Limits) -> anyhow::Result<Arc<dyn Store>> {
    let opening = tokio::task::spawn_blocking(move || Archive::open_with(&directory, limits)).await?;
    Ok(Arc::new(opening.context("store")?))
}

fn limits(config: &Config) -> archive::Limits {
    let store = &config.store;
    archive::Limits { queue: store.queue, batch: store.batch, batch_bytes: store.batch_size.as_usize() }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// A booted node.
pub(crate) struct Node {
    pub(crate) shared: Arc<Shared>,
    router: Arc<Router>,
    pub(crate) endpoints: Vec<Addr<SipEndpoint>>,
    pub(crate) shards: Vec<Addr<Shard>>,
    bound_sip: Vec<String>,
    bound_msrp: Vec<String>,
    tls: Arc<Tls>,
}

impl Node {
    /// Binds the listeners and starts a shard on each of the arbiters `handles`.
    pub(crate) async fn boot(
        config: Config,
        store: Arc<dyn Store>,
        users: Arc<Users>,
        handles: Vec<ArbiterHandle>,
        stopper: Stopper,
        fatal: &Fatal,
    ) -> anyhow::Result<Self> {
        let realm = realm(&config);
        let cores = Cores::of_arbiters(&handles).await?;
        let gate = Arc::new(Gate::new(&config, realm.clone(), users));
        let records = Records::new(config.http.records, realm.clone());
        let router = Router::new(realm.clone(), Arc::clone(&gate), records.clone());
        let routed = Arc::clone(&router);
        let ports =
            SipPorts { received: Arc::new(move |received| routed.route(received)), closed: Arc::new(|_| {}) };
        let backlog = Backlog::new(config.sip.max_inflight);
        let admission = Admission::new(config.sip.max_inflight, config.sip.target_delay);
        let tls = Tls::load(tls_files(&config)).context("[tls]")?;
        let (limits, own) = (sip_limits(&config), Arc::clone(&tls));
        let sip = SipTransport::new(limits, ports, backlog, own, cores.clone(), stopper.clone());
        gate.attach(sip.clone());
        let msrp = MsrpTransport::new(msrp_limits(&config), Arc::clone(&tls), cores, stopper);

        let mut bound_msrp = Vec::new();
        let mut msrp_listeners = Vec::new();
        for listen in &config.msrp.listen {
            let transport = listen.transport;
            let bound = msrp.listen(transport, listen.address);
            let addr = bound.with_context(|| format!("cannot listen at {listen}"))?;
            bound_msrp.push(format!("{}:{addr}", transport.label()));
            msrp_listeners.push(MsrpListener { transport, addr });
        }
        let timers = Timers { t1: config.sip.t1, t2: config.sip.t2, t4: config.sip.t4, ..Timers::default() };
        let shared = Arc::new(Shared {
            realm,
            deposit: deposit_rules(&config),
            subscriptions: Arc::new(subscription_rules(&config)),
            store,
            msrp,
            resolver: Resolver::new(&dns_settings(&config))?,
            records,
            timers,
            msrp_listeners,
            config,
        });

        // Listeners are bound before the shards start, whose Vias name them; the router holds what comes in between.
        let mut bound_sip = Vec::new();
        let mut sent_by = Vec::new();
        for listen in &shared.config.sip.listen {
            let transport = listen.transport;
            let bound = match transport {
                Transport::Udp => sip.listen_udp(listen.address),
                stream => sip.listen(stream, listen.address),
            };
            let addr = bound.with_context(|| format!("cannot listen at {listen}"))?;
            bound_sip.push(format!("{}:{addr}", transport.label()));
            sent_by.push((transport, addr, shared.sip_host(transport, addr)));
        }

        let watched: Watched = Arc::default();
        let feed = Arc::clone(&watched);
        shared.store.on_change(Arc::new(move |change| tell_changed(&feed, &change.owner)));
        let totals = Arc::new(Totals::default());
        let mut endpoints = Vec::new();
        let mut shards = Vec::new();
        for (index, handle) in handles.iter().enumerate() {
            let name = shard_name(index);
            let shard = {
                let (name, shared, gate) = (name.clone(), Arc::clone(&shared), Arc::clone(&gate));
                let (totals, watched) = (Arc::clone(&totals), Arc::clone(&watched));
                let vital = fatal.vital(format!("shard {name}"));
                Shard::start_in_arbiter(handle, move |_| {
                    Shard::new(name, shared, gate, totals, watched, vital)
                })
            };
            let mut endpoint_config = EndpointConfig::new(name.clone());
            endpoint_config.timers = timers;
            endpoint_config.sent_by.clone_from(&sent_by);
            endpoint_config.max_transactions = shared.config.sip.max_transactions;
            endpoint_config.server_name = "restante".to_owned();
            let endpoint = {
                let (transport, shared, shard) =
                    (sip.clone(), Arc::clone(&shared), shard.clone().recipient());
                let entrance = Entrance { gate: Arc::clone(&gate), admission: admission.clone() };
                let vital = fatal.vital(format!("SIP endpoint {name}"));
                SipEndpoint::start_in_arbiter(handle, move |_| {
                    SipEndpoint::new(endpoint_config, transport, shared, entrance, shard, name, vital)
                })
            };
            shard.send(Attach(endpoint.clone())).await?;
            endpoints.push(endpoint);
            shards.push(shard);
        }
        router.attach(endpoints.clone(), sip.sender(|_| {}));
        Ok(Self { shared, router, endpoints, shards, bound_sip, bound_msrp, tls })
    }

    /// Serves metrics and health, where configured.
    fn http(
        &self,
        metrics: metrics_exporter_prometheus::PrometheusHandle,
        readiness: Readiness,
        stopper: Stopper,
    ) -> anyhow::Result<Option<std::net::SocketAddr>> {
        let Some(addr) = self.shared.config.http.listen else {
            actix::spawn(http::keep_up(metrics));
            return Ok(None);
        };
        let listener =
            std::net::TcpListener::bind(addr).with_context(|| format!("cannot listen at http {addr}"))?;
        let bound = listener.local_addr()?;
        let records = self.shared.records.clone();
        actix::spawn(async move {
            let stop = async move { stopper.signal().stopped().await };
            if let Err(error) = http::serve(listener, metrics, readiness, records, stop).await {
                tracing::error!(%error, "metrics and health are not served any more");
            }
        });
        Ok(Some(bound))
    }

    /// Goes on with the subscriptions of the last run.
    pub(crate) async fn resume(&self) -> anyhow::Result<()> {
        let mut cursor: Option<SubscriptionCursor> = None;
        let mut resumed = 0_usize;
        loop {
            let batch = self.shared.store.subscriptions(cursor.take(), RESUMED_AT_ONCE).await?;
            let Some(last) = batch.last() else { break };
            cursor = Some(last.cursor());
            let now = clock::wall();
            for record in batch {
                if record.expires <= now {
                    self.shared.store.remove_subscription(record.owner, record.key).await?;
                } else if let Some(shard) = self.shards.get(self.router.shard_of(&record.owner)) {
                    resumed += 1;
                    shard.do_send(Resume(record));
                }
            }
        }
        if resumed > 0 {
            tracing::info!(subscriptions = resumed, "subscriptions of the last run go on");
        }
        Ok(())
    }

    /// Reads the certificate again when its files change, and on SIGHUP.
    fn keep_certificate(&self) -> anyhow::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut hangup = signal(SignalKind::hangup())?;
        let tls = Arc::clone(&self.tls);
        actix::spawn(async move {
            while hangup.recv().await.is_some() {
                let changed = tls.reload();
                tracing::info!(signal = "SIGHUP", changed, "files of [tls] read again");
            }
        });
        if self.tls.is_server() {
            actix::spawn(Arc::clone(&self.tls).watch(self.shared.config.tls.reload));
        }
        Ok(())
    }

    /// Keeps the store up, and `readiness` true to it.
    pub(crate) fn sweep(&self, readiness: Readiness) {
        actix::spawn(upkeep::keep_up(Arc::clone(&self.shared.store), readiness));
    }

    /// What is there that would be gone if nobody had anything to do with the node, in words.
    #[cfg(test)]
    pub(crate) fn observe(&self) -> impl Future<Output = Vec<String>> + use<> {
        let (endpoints, shards) = (self.endpoints.clone(), self.shards.clone());
        let sessions = self.shared.msrp.sessions();
        async move {
            let mut left = Vec::new();
            for endpoint in endpoints {
                left.extend(endpoint.send(crate::endpoint::Observe).await.unwrap_or_default());
            }
            for shard in shards {
                left.extend(shard.send(crate::shard::Observe).await.unwrap_or_default());
            }
            if sessions > 0 {
                left.push(format!("{sessions} MSRP sessions"));
            }
            left
        }
    }

    /// Says goodbye to every session, waits for the answers as long as configured, and closes the store.
    pub(crate) async fn drain(&self, stopper: &Stopper) {
        let limit = self.shared.config.node.drain;
        let draining = async {
            loop {
                let mut left = 0;
                for endpoint in &self.endpoints {
                    left += endpoint.send(DrainDialogs).await.unwrap_or(0);
                }
                if left == 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(limit, draining).await.is_err() {
            tracing::warn!("sessions did not end in time");
        }
        self.close(stopper).await;
    }

    /// Ends connections and listeners, and closes the store.
    async fn close(&self, stopper: &Stopper) {
        stopper.stop();
        if tokio::time::timeout(crate::link::LINGER, stopper.ended()).await.is_err() {
            tracing::warn!("connections did not end in time");
        }
        match tokio::time::timeout(STORE_END, self.shared.store.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "store not closed cleanly"),
            Err(_) => tracing::error!("store not closed: it does not answer"),
        }
    }
}

/// Which URIs belong to a node of this configuration.
#[must_use]
pub fn realm(config: &Config) -> Realm {
    let domains: Vec<String> = config.node.domains.iter().map(|domain| domain.as_str().to_owned()).collect();
    let node = config.node.clone();
    let accepts = (!node.users.is_empty())
        .then(|| -> Accepts { Arc::new(move |user, domain| node.accepts(user, domain)) });
    Realm::new(&domains, config.node.store_host.as_str(), accepts)
}

/// The users who may authenticate, followed as their file changes.
fn users(config: &Config) -> anyhow::Result<Arc<Users>> {
    let Some(path) = &config.auth.users else { return Ok(Arc::default()) };
    let watch = Watch::begin(path, realm(config), &config.trust.realm)?;
    let users = watch.users();
    actix::spawn(watch.follow());
    Ok(users)
}

fn workers(config: &Config) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    match config.node.workers {
        0 => cores.min(MOST_SHARDS),
        some => some.min(MOST_SHARDS),
    }
}

/// The files that `[tls]` names.
pub(crate) fn tls_files(config: &Config) -> TlsFiles {
    let tls = &config.tls;
    TlsFiles {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        client_ca: tls.client_ca.clone(),
        roots: tls.roots.clone(),
        roots_alone: false,
    }
}

fn handshake_limits(config: &Config, message: usize) -> HandshakeLimits {
    let (tls, websocket) = (&config.tls, &config.websocket);
    HandshakeLimits {
        timeout: tls.handshake_timeout,
        parallel: tls.max_handshakes,
        web: WebLimits {
            path: websocket.path.clone(),
            origins: websocket.origins.clone(),
            ping: websocket.ping,
            message,
        },
    }
}

fn connection_limits(config: &Config, total: usize, per_address: usize) -> ConnectionLimits {
    let trusted: Vec<_> = config.trust.networks().copied().collect();
    let exempt = move |peer: std::net::IpAddr| trusted.iter().any(|net| net.contains(&peer.to_canonical()));
    ConnectionLimits { total, per_address, exempt: Some(Arc::new(exempt)) }
}

fn dns_settings(config: &Config) -> DnsSettings {
    DnsSettings {
        servers: config.dns.servers.clone(),
        timeout: config.dns.timeout,
        // The family in which the node is reached is the one in which it surely reaches others.
        ipv6_first: config.sip.listen.first().is_some_and(|listen| listen.address.is_ipv6()),
    }
}

fn sip_limits(config: &Config) -> SipLimits {
    let sip = &config.sip;
    SipLimits {
        message: Limits {
            message: sip.max_message.as_usize(),
            headers: sip.max_headers,
            body: sip.max_body.as_usize(),
        },
        connections: connection_limits(config, sip.max_connections, sip.max_connections_per_address),
        idle_timeout: sip.idle_timeout,
        handshake: handshake_limits(config, sip.max_message.as_usize()),
        request_timeout: sip.request_timeout,
        ..SipLimits::default()
    }
}

fn msrp_limits(config: &Config) -> MsrpLimits {
    let msrp = &config.msrp;
    MsrpLimits {
        connections: connection_limits(config, msrp.max_connections, msrp.max_connections_per_address),
        header: msrp.max_header.as_usize(),
        bind_timeout: msrp.bind_timeout,
        idle_timeout: msrp.idle_timeout,
        handshake: handshake_limits(config, config.websocket.max_message.as_usize()),
        // A session's window is what may wait; a piece more is under way when the queue fills.
        outbox: OutboxLimits { max: 8 << 20, high: 1 << 20, low: 256 << 10, ..OutboxLimits::default() },
        ..MsrpLimits::default()
    }
}

fn deposit_rules(config: &Config) -> DepositRules {
    DepositRules {
        ignore_types: config.deposit.ignore_types.clone(),
        max_body: config.deposit.max_body.as_usize(),
        lifetime: config.deposit.lifetime,
        max_lifetime: config.deposit.max_lifetime,
    }
}

fn subscription_rules(config: &Config) -> SubscriptionRules {
    let summary = &config.summary;
    SubscriptionRules {
        terms: SubscriptionTerms {
            media_type: message_summary::MEDIA_TYPE,
            expires: summary.expires,
            min_expires: summary.min_expires,
            max_expires: summary.max_expires,
        },
        summary: summary_rules(config),
        min_interval: summary.min_interval,
        most: summary.subscriptions_per_user,
        agent: config.node.store_host.as_str().to_owned(),
    }
}

fn summary_rules(config: &Config) -> SummaryRules {
    SummaryRules {
        listing: match config.summary.headers {
            SummaryHeaders::Pending => Listing::Pending,
            SummaryHeaders::Added => Listing::Added,
            SummaryHeaders::None => Listing::None,
        },
        fields: config.summary.fields.iter().map(|field| field.as_str().to_owned()).collect(),
        max_items: config.summary.max_items,
    }
}
