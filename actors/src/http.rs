//! What operators ask over HTTP: `/metrics` for Prometheus, `/healthz/live` and `/healthz/ready`;
//! and `/records`, what was said lately.
//!
//! The listener is bound by whoever starts the node, so that a port in use is known before anything else happens.
//! Connections are bounded in number and in the time they may stay silent.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use crate::meters;
use crate::records::Records;
use restante::wire::sip::unescape;

/// Open connections; a further one takes the place of another.
const MAX_CONNECTIONS: usize = 64;
/// A connection that neither reads nor writes for so long is closed.
const SILENCE: Duration = Duration::from_secs(30);
/// How long open connections may go on after the stop.
const GRACE: Duration = Duration::from_secs(1);
/// How often the metrics' own store is tidied, scraped or not.
const UPKEEP: Duration = Duration::from_secs(5);
/// Upper bounds of the histograms that count seconds.
const SECONDS: [f64; 14] =
    [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Whether the node takes work, and if not, why; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Ready>);

#[derive(Debug, Default)]
struct Ready {
    takes: AtomicBool,
    why_not: Mutex<String>,
}

impl Readiness {
    /// Not ready yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says whether the node takes work: true once every listener is bound, false as soon as it drains.
    pub fn set(&self, ready: bool) {
        self.become_ready(ready, String::new());
    }

    /// Says that the node takes no work, and why.
    pub fn refuse(&self, why: String) {
        self.become_ready(false, why);
    }

    fn become_ready(&self, ready: bool, why_not: String) {
        *self.why() = why_not;
        metrics::gauge!("restante_ready").set(if ready { 1.0 } else { 0.0 });
        self.0.takes.store(ready, Ordering::Release);
    }

    /// Why the node takes no work, if that was said.
    pub fn why_not(&self) -> Option<String> {
        Some(self.why().clone()).filter(|why| !why.is_empty())
    }

    fn why(&self) -> MutexGuard<'_, String> {
        self.0.why_not.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the node takes work.
    pub fn is_ready(&self) -> bool {
        self.0.takes.load(Ordering::Acquire)
    }
}

/// The process's metrics recorder, which is installed the first time: several nodes in one process share it.
/// Histograms whose names end in `seconds` get buckets.
///
/// # Errors
/// A recorder of somebody else is installed already.
pub fn install_metrics() -> Result<PrometheusHandle, BuildError> {
    static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = installed.as_ref() {
        return Ok(handle.clone());
    }
    let handle = builder()?.install_recorder()?;
    meters::describe();
    *installed = Some(handle.clone());
    Ok(handle)
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix(String::from("seconds")), &SECONDS)
}

/// Tidies the metrics' store from time to time, for a node without HTTP; [`serve`] does it by itself.
pub async fn keep_up(metrics: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP);
    loop {
        ticks.tick().await;
        metrics.run_upkeep();
    }
}

/// Serves on a bound listener until `stop` resolves; open requests then have a second to end.
///
/// # Errors
/// The listener cannot be used by the runtime.
pub async fn serve(
    listener: std::net::TcpListener,
    metrics: PrometheusHandle,
    readiness: Readiness,
    records: Records,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = Bounded::new(TcpListener::from_std(listener)?, MAX_CONNECTIONS, SILENCE);
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let signal = async move {
        stop.await;
        let _ = stopping.send(());
    };
    let serving =
        axum::serve(listener, router(metrics.clone(), readiness, records)).with_graceful_shutdown(signal);
    let overdue = async move {
        let _ = stopped.await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = async { serving.await } => result,
        () = overdue => Ok(()),
        () = keep_up(metrics) => Ok(()),
    }
}

fn router(metrics: PrometheusHandle, readiness: Readiness, records: Records) -> Router {
    Router::new()
        .route("/metrics", get(scrape).with_state(metrics))
        .route("/healthz/live", get(live))
        .route("/healthz/ready", get(ready_or_not).with_state(readiness))
        .route("/records", get(recent).with_state(records))
}

/// The arrows of `?session=<Call-ID>`, or of all sessions: JSON, one a line.
async fn recent(State(records): State<Records>, RawQuery(query): RawQuery) -> impl IntoResponse {
    let wanted = query
        .as_deref()
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|pair| pair.strip_prefix("session="));
    let session = wanted.map(|raw| String::from_utf8_lossy(&unescape(raw.as_bytes())).into_owned());
    let lines: String = records
        .arrows(session.as_deref())
        .iter()
        .filter_map(|arrow| serde_json::to_string(arrow).ok())
        .map(|line| line + "\n")
        .collect();
    ([(header::CONTENT_TYPE, "application/x-ndjson")], lines)
}

async fn scrape(State(metrics): State<PrometheusHandle>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
}

async fn live() -> &'static str {
    "live\n"
}

async fn ready_or_not(State(readiness): State<Readiness>) -> (StatusCode, String) {
    if readiness.is_ready() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    let why = readiness.why_not().map_or(String::new(), |why| format!(": {why}"));
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready{why}\n"))
}

/// A listener of so many connections at once: one more takes the place of the one that has asked for nothing for longest,
/// so that nobody keeps an orchestrator's question out by asking slowly.
struct Bounded {
    inner: TcpListener,
    permits: Arc<Semaphore>,
    open: Vec<Weak<Stay>>,
    silence: Duration,
}

impl Bounded {
    fn new(inner: TcpListener, connections: usize, silence: Duration) -> Self {
        Self { inner, permits: Arc::new(Semaphore::new(connections)), open: Vec::new(), silence }
    }

    /// Has the connection closed that was answered longest ago, of those never answered where there are some.
    fn make_room(&self) {
        let open = self.open.iter().filter_map(Weak::upgrade);
        if let Some(longest) = open.filter(|stay| !stay.state().over).min_by_key(|stay| stay.state().since())
        {
            longest.end();
        }
    }
}

impl axum::serve::Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, peer) = axum::serve::Listener::accept(&mut self.inner).await;
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                self.make_room();
                // The semaphore is never closed; were it, there would be connections without a permit, not none.
                Arc::clone(&self.permits).acquire_owned().await.ok()
            }
        };
        let stay = Arc::new(Stay::new());
        self.open.retain(|stay| stay.strong_count() > 0);
        self.open.push(Arc::downgrade(&stay));
        let deadline = Box::pin(tokio::time::sleep(self.silence));
        (Connection { stream, deadline, silence: self.silence, stay, _permit: permit }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// What the listener knows of a connection.
struct Stay(Mutex<StayState>);

struct StayState {
    opened: Instant,
    /// When something was written last.
    answered: Option<Instant>,
    over: bool,
    task: Option<Waker>,
}

impl Stay {
    fn new() -> Self {
        Self(Mutex::new(StayState { opened: Instant::now(), answered: None, over: false, task: None }))
    }

    fn state(&self) -> MutexGuard<'_, StayState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        let mut state = self.state();
        state.over = true;
        let task = state.task.take();
        drop(state);
        task.into_iter().for_each(Waker::wake);
    }
}

impl StayState {
    /// Orders connections: those that were never answered come first, then those whose answer is longest ago.
    fn since(&self) -> (Option<Instant>, Instant) {
        (self.answered, self.opened)
    }
}

/// A connection that fails when it has been silent for too long, or its place is needed.
struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    silence: Duration,
    stay: Arc<Stay>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Puts the deadline off if something moved, and fails if it has passed meanwhile.
    fn watch<T>(&mut self, context: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let mut state = self.stay.state();
        if state.over {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if moved.is_ready() {
            self.deadline.as_mut().reset(Instant::now() + self.silence);
            return moved;
        }
        state.task = Some(context.waker().clone());
        drop(state);
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watch(context, moved)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write(context, bytes);
        if moved.is_ready() {
            self.stay.state().answered = Some(Instant::now());
        }
        self.watch(context, moved)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "http_tests.rs"]
mod tests;
