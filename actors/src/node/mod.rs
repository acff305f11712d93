//! The node: boots, serves, drains.

mod files;
mod listening;
mod nursery;
mod signals;
mod terms;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, Arbiter, ArbiterHandle, System};
use anyhow::Context as _;
use restante::store::{Store, SubscriptionCursor};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};

use crate::admission::Admission;
use crate::archive::{self, Archive};
use crate::clock;
use crate::config::{Config, Listen, StoreUrl};
use crate::endpoint::{DrainDialogs, SipEndpoint};
use crate::gate::Gate;
use crate::http::{self, Readiness};
use crate::link::{Backlog, Cores, MsrpTransport, Resolver, SipPorts, SipTransport, Stopper, Tls};
use crate::records::Records;
use crate::router::Router;
use crate::shard::{Resume, Shard, Watched, tell_changed};
use crate::shared::Shared;
use crate::supervision::{self, Fatal};
use crate::upkeep;
use crate::users::Users;
use crate::users::watch::Watch;

use nursery::Nursery;
use signals::Signals;

pub use terms::realm;
pub(crate) use terms::tls_files;

/// Subscriptions read from the store at once when the node starts.
const RESUMED_AT_ONCE: usize = 1000;

/// SIP messages that were read and not taken by their endpoint yet, of either sort: some milliseconds of work. What
/// comes beyond waits in the system's buffers, where a message of a dialog, on its own connection, does not wait for it.
const BACKLOG: usize = 512;

/// How long the store's end is waited for.
pub(crate) const STORE_END: Duration = Duration::from_secs(30);

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
    mut config: Config,
    ready: impl FnOnce(&Bound),
    stop: impl Future<Output = &'static str>,
) -> anyhow::Result<()> {
    // A signal that comes from now on ends nothing.
    let hangup = signal(SignalKind::hangup())?;
    files::make_room(&mut config);
    let users = users(&config)?;
    let StoreUrl::Embedded(directory) = &config.store.url;
    let store = open_store(directory.clone(), terms::archive_limits(&config)).await?;
    let metrics = http::install_metrics().context("metrics")?;
    let readiness = Readiness::new();
    let stopper = Stopper::new();
    let arbiters: Vec<Arbiter> = (0..terms::workers(&config)).map(|_| Arbiter::new()).collect();
    let cores = arbiters.iter().map(Arbiter::handle).collect();
    let fatal = Fatal::default();
    let node = Node::boot(config, store, users, cores, stopper.clone(), &fatal).await?;
    let http = node.http(metrics, readiness.clone(), stopper.clone())?;
    node.begin().await?;
    node.keep_certificate(hangup);
    readiness.set(true);
    node.sweep(readiness.clone());
    metrics::gauge!("restante_workers").set(u32::try_from(node.endpoints.len()).unwrap_or(u32::MAX));
    let bound = Bound { sip: written(&node.bound_sip), msrp: written(&node.bound_msrp), http };
    tracing::info!(
        sip = bound.sip.join(","),
        msrp = bound.msrp.join(","),
        http = http.map(|addr| addr.to_string()).unwrap_or_default(),
        workers = node.endpoints.len(),
        "ready"
    );
    ready(&bound);
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

fn written(listeners: &[Listen]) -> Vec<String> {
    listeners.iter().map(ToString::to_string).collect()
}

async fn open_store(directory: PathBuf, limits: archive::Limits) -> anyhow::Result<Arc<dyn Store>> {
    let opening = tokio::task::spawn_blocking(move || Archive::open_with(&directory, limits)).await?;
    Ok(Arc::new(opening.context("store")?))
}

/// A booted node.
pub(crate) struct Node {
    pub(crate) shared: Arc<Shared>,
    router: Arc<Router>,
    admission: Admission,
    pub(crate) endpoints: Vec<Addr<SipEndpoint>>,
    pub(crate) shards: Vec<Addr<Shard>>,
    bound_sip: Vec<Listen>,
    bound_msrp: Vec<Listen>,
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
        let (closing, draining) = (Arc::clone(&router), Arc::clone(&router));
        let ports = SipPorts {
            received: Arc::new(move |received| routed.route(received)),
            closed: Arc::new(move |closed| closing.closed(closed.flow)),
            drained: Arc::new(move |link| draining.drained(link)),
        };
        let backlog = Backlog::new(config.sip.max_inflight.min(BACKLOG));
        let admission = Admission::new(config.sip.max_inflight, config.sip.target_delay);
        let tls = Tls::load(terms::tls_files(&config)).context("[tls]")?;
        let (limits, own) = (terms::sip_limits(&config), Arc::clone(&tls));
        let sip = SipTransport::new(limits, ports, backlog, own, cores.clone(), stopper.clone());
        gate.attach(sip.clone());
        let msrp = MsrpTransport::new(terms::msrp_limits(&config), Arc::clone(&tls), cores, stopper);
        let bound_msrp = listening::msrp(&msrp, &config)?;
        // Listeners are bound before the shards start, whose Vias name them; the router holds what comes in between.
        let bound_sip = listening::sip(&sip, &config)?;
        let shared = Arc::new(Shared {
            realm,
            deposit: terms::deposit_rules(&config),
            subscriptions: Arc::new(terms::subscription_rules(&config)),
            store,
            appends: Semaphore::new(terms::appends(&config)),
            expiry: Arc::default(),
            sip: sip.clone(),
            msrp,
            resolver: Resolver::new(&terms::dns_settings(&config))?,
            records,
            timers: Arc::new(terms::timers(&config)),
            sending_limits: Arc::new(terms::session_limits(&config, false)),
            receiving_limits: Arc::new(terms::session_limits(&config, true)),
            sip_listeners: bound_sip.clone(),
            msrp_listeners: bound_msrp.clone(),
            config,
        });

        let watched: Watched = Arc::default();
        let feed = Arc::clone(&watched);
        shared.store.on_change(Arc::new(move |change| tell_changed(&feed, &change.owner)));
        let nursery = Nursery {
            shared: Arc::clone(&shared),
            gate,
            admission: admission.clone(),
            sip: sip.clone(),
            bound: &bound_sip,
            totals: Arc::default(),
            watched,
            fatal,
        };
        let (endpoints, shards) = nursery.start_on(&handles).await?;
        router.attach(endpoints.clone(), sip.sender(|_| {}));
        Ok(Self { shared, router, admission, endpoints, shards, bound_sip, bound_msrp, tls })
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

    /// Goes on with the subscriptions of the last run, and takes what comes when all of them are known: a refresh
    /// that came before would find none, and a new one be resumed beside itself.
    pub(crate) async fn begin(&self) -> anyhow::Result<()> {
        self.resume().await?;
        self.router.open();
        Ok(())
    }

    async fn resume(&self) -> anyhow::Result<()> {
        let mut cursor: Option<SubscriptionCursor> = None;
        let mut resumed = 0_usize;
        let (known, mut all_known) = mpsc::channel(1);
        loop {
            let batch = self.shared.store.subscriptions(cursor.take(), RESUMED_AT_ONCE).await?;
            let Some(last) = batch.last() else { break };
            cursor = Some(last.cursor());
            let now = clock::wall();
            for record in batch {
                // What has ended the upkeep removes, in steps: nobody waits for it.
                if record.expires > now
                    && let Some(shard) = self.shards.get(self.router.shard_of(&record.owner))
                {
                    resumed += 1;
                    shard.do_send(Resume { record, known: known.clone() });
                }
            }
        }
        drop(known);
        // Nothing is sent: it ends when the last mailbox has let go of its end.
        let _ = all_known.recv().await;
        if resumed > 0 {
            tracing::info!(subscriptions = resumed, "subscriptions of the last run go on");
        }
        Ok(())
    }

    /// Reads the certificate again when its files change, and on SIGHUP.
    fn keep_certificate(&self, mut hangup: Signal) {
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
    }

    /// Keeps the store up, and `readiness` true to it.
    pub(crate) fn sweep(&self, readiness: Readiness) {
        actix::spawn(upkeep::keep_up(
            Arc::clone(&self.shared.store),
            Arc::clone(&self.shared.expiry),
            readiness,
        ));
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

    /// Has every session hear that the node stops, and then what is received.
    #[cfg(test)]
    pub(crate) fn receive_behind_the_stop(&self, receive: impl Fn() -> crate::link::SipReceived) {
        for endpoint in &self.endpoints {
            endpoint.do_send(DrainDialogs);
            endpoint.do_send(receive());
        }
    }

    /// Says goodbye to every session, waits as long as configured for the answers to that, and to the requests in work, and closes
    /// the store.
    pub(crate) async fn drain(&self, stopper: &Stopper) {
        let limit = self.shared.config.node.drain;
        let draining = async {
            loop {
                let mut left = 0;
                for endpoint in &self.endpoints {
                    left += endpoint.send(DrainDialogs).await.unwrap_or(0);
                }
                // What came before the stop gets the answer that it deserves.
                if left == 0 && self.admission.in_work() == 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(limit, draining).await.is_err() {
            let requests = self.admission.in_work();
            tracing::warn!(requests, "sessions did not end, or requests were not answered, in time");
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

/// The users who may authenticate, followed as their file changes.
fn users(config: &Config) -> anyhow::Result<Arc<Users>> {
    let Some(path) = &config.auth.users else { return Ok(Arc::default()) };
    let watch = Watch::begin(path, realm(config), &config.trust.realm)?;
    let users = watch.users();
    actix::spawn(watch.follow());
    Ok(users)
}
