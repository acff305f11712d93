//! Where a SIP or MSRP URI leads (RFC 3263; RFC 4975 6.2): the machine that knows what to ask
//! (`restante::machine::sip::locate`), driven over the DNS.

use super::dns::{Dns, DnsSettings, DnsUnusable};
use bytes::Bytes;
use restante::machine::sip::Transport;
use restante::machine::sip::locate::{Answer, Locate, LocateError, NoAnswer, Place, Question, Target};
use restante::wire::msrp::MsrpUri;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::chance::Chance;

/// The transports that requests can be sent over, best first.
const TRANSPORTS: &[Transport] = &[Transport::Udp, Transport::Tcp, Transport::Tls];
/// The port of an MSRP URI that names none (RFC 4975 15.4).
const MSRP_PORT: u16 = 2855;
/// Addresses of an MSRP URI that are tried.
const ADDRESSES: usize = 8;
/// Questions asked at once on the whole node; further ones wait, within their time.
const PARALLEL: usize = 64;

type Asking = Pin<Box<dyn Future<Output = Result<Answer, NoAnswer>> + Send>>;

/// Finds places; clones share what they know.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    ask: Box<dyn Fn(Question, Instant) -> Asking + Send + Sync>,
    timeout: Duration,
    asking: Semaphore,
}

impl Resolver {
    /// A resolver that asks the DNS.
    ///
    /// # Errors
    /// The DNS client cannot be set up.
    pub fn new(settings: &DnsSettings) -> Result<Self, DnsUnusable> {
        let dns = Dns::new(settings)?;
        Ok(Self::asking(settings.timeout, move |question, deadline| {
            Box::pin(dns.clone().ask(question, deadline))
        }))
    }

    fn asking(timeout: Duration, ask: impl Fn(Question, Instant) -> Asking + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { ask: Box::new(ask), timeout, asking: Semaphore::new(PARALLEL) }))
    }

    /// Where a request to the raw URI `uri` (a next hop: Request-URI or route) may go, best first.
    ///
    /// # Errors
    /// It leads nowhere.
    pub fn sip(&self, uri: &Bytes) -> impl Future<Output = Result<Vec<Place>, LocateError>> + Send + use<> {
        let (resolver, target) = (self.clone(), Target::parse(uri));
        async move { resolver.locate(target?).await }
    }

    /// The same, where nothing has to be asked for it.
    #[must_use]
    pub fn sip_at_once(&self, uri: &Bytes) -> Option<Result<Vec<Place>, LocateError>> {
        match Target::parse(uri) {
            Ok(target) => Locate::new(target, TRANSPORTS).outcome().cloned(),
            Err(error) => Some(Err(error)),
        }
    }

    /// Where `target` is.
    ///
    /// # Errors
    /// It is nowhere.
    pub async fn locate(&self, target: Target) -> Result<Vec<Place>, LocateError> {
        let mut locate = Locate::new(target, TRANSPORTS);
        let mut asked = JoinSet::new();
        while locate.outcome().is_none() {
            while let Some(question) = locate.poll_question() {
                let asking = self.clone().answer(question.clone());
                asked.spawn(async move { (question, asking.await) });
            }
            match asked.join_next().await {
                Some(Ok((question, answer))) => locate.handle_answer(&question, answer, &mut Chance),
                // A task that panicked or was cancelled: its question has no answer.
                Some(Err(_)) | None => break,
            }
        }
        locate.into_outcome()
    }

    /// The addresses to connect to for an MSRP URI, best first (RFC 4975 6.2: no SRV, the port is known).
    ///
    /// # Errors
    /// Its transport is not supported, or its host has no address.
    pub fn msrp(
        &self,
        uri: &MsrpUri,
    ) -> impl Future<Output = Result<Vec<SocketAddr>, LocateError>> + Send + use<> {
        let resolver = self.clone();
        // RFC 7977 5.1: who speaks WebSocket cannot be connected to.
        let supported = uri.transport().eq_ignore_ascii_case(b"tcp");
        let (literal, host, port) = (uri.address(), uri.host().to_vec(), uri.port().unwrap_or(MSRP_PORT));
        async move {
            if !supported {
                return Err(LocateError::Transport);
            }
            let found: Vec<IpAddr> = match literal {
                Some(ip) => vec![ip],
                None => resolver.addresses(&host).await?,
            };
            Ok(found.into_iter().take(ADDRESSES).map(|ip| SocketAddr::new(ip, port)).collect())
        }
    }

    async fn addresses(self, host: &[u8]) -> Result<Vec<IpAddr>, LocateError> {
        let host = std::str::from_utf8(host).map_err(|_| LocateError::Malformed)?;
        match self.answer(Question::Addresses(host.to_ascii_lowercase().into())).await {
            Ok(Answer::Addresses(found)) if !found.is_empty() => Ok(found),
            Ok(_) | Err(NoAnswer::NotFound) => Err(LocateError::NotFound),
            Err(NoAnswer::Failed) => Err(LocateError::Timeout),
        }
    }

    async fn answer(self, question: Question) -> Result<Answer, NoAnswer> {
        let deadline = Instant::now() + self.0.timeout;
        let ask = async {
            let _turn = self.0.asking.acquire().await;
            (self.0.ask)(question, deadline).await
        };
        tokio::time::timeout_at(deadline, ask).await.unwrap_or(Err(NoAnswer::Failed))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("timeout", &self.0.timeout).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use restante::machine::sip::locate::Srv;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn resolver(asked: &Arc<AtomicUsize>) -> Resolver {
        let asked = Arc::clone(asked);
        Resolver::asking(Duration::from_secs(5), move |question, _| {
            asked.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                match question {
                    Question::Srv(name) if &*name == "_sip._udp.example.com" => Ok(Answer::Srv(vec![
                        Srv { priority: 2, weight: 0, port: 5062, target: "slow.example".into() },
                        Srv { priority: 1, weight: 0, port: 5061, target: "example.com".into() },
                    ])),
                    Question::Addresses(name) if &*name == "example.com" => Ok(Answer::Addresses(vec![
                        "192.0.2.1".parse().unwrap(),
                        "2001:db8::1".parse().unwrap(),
                    ])),
                    Question::Addresses(name) if &*name == "slow.example" => std::future::pending().await,
                    _ => Err(NoAnswer::NotFound),
                }
            })
        })
    }

    async fn way(uri: &'static str) -> Result<Vec<String>, LocateError> {
        let found = resolver(&Arc::default()).sip(&Bytes::from_static(uri.as_bytes())).await?;
        Ok(found.iter().map(|place| format!("{} {}", place.transport, place.addr)).collect())
    }

    // proves RFC 3263 4.2: what one server's name is slow to say holds up the others for a while only
    #[tokio::test(start_paused = true)]
    async fn places_are_found_by_questions() {
        let all = way("sip:bob@EXAMPLE.com").await.unwrap();
        assert_eq!(all, ["UDP 192.0.2.1:5061", "UDP [2001:db8::1]:5061"]);
        assert_eq!(way("sip:bob@example.com:5080;transport=tcp").await.unwrap()[0], "TCP 192.0.2.1:5080");
        assert_eq!(way("sip:slow.example:5060").await, Err(LocateError::Timeout));
        assert_eq!(way("sip:nobody.invalid").await, Err(LocateError::NotFound));
        assert_eq!(way("tel:+1").await, Err(LocateError::Malformed));
    }

    #[tokio::test]
    async fn nothing_is_asked_about_a_numeric_address() {
        let asked = Arc::default();
        let resolver = resolver(&asked);
        let numeric = Bytes::from_static(b"sip:bob@192.0.2.7:5080");
        assert_eq!(resolver.sip(&numeric).await.unwrap()[0].addr, "192.0.2.7:5080".parse().unwrap());
        assert!(resolver.sip_at_once(&numeric).unwrap().is_ok());
        assert!(resolver.sip_at_once(&Bytes::from_static(b"sip:example.com")).is_none());
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }

    // proves RFC 4975 6.2
    #[tokio::test]
    async fn msrp_uris_have_their_own_port_and_all_addresses() {
        let resolver = resolver(&Arc::default());
        let literal = MsrpUri::parse(b"msrp://192.0.2.7:9/s;tcp").unwrap();
        assert_eq!(resolver.msrp(&literal).await, Ok(vec!["192.0.2.7:9".parse().unwrap()]));
        let name = MsrpUri::parse(b"msrp://Example.com/s;tcp").unwrap();
        let both = vec!["192.0.2.1:2855".parse().unwrap(), "[2001:db8::1]:2855".parse().unwrap()];
        assert_eq!(resolver.msrp(&name).await, Ok(both));
        let secure = MsrpUri::parse(b"msrps://example.com/s;ws").unwrap();
        assert_eq!(resolver.msrp(&secure).await, Err(LocateError::Transport));
    }
}
