//! Which address a SIP or MSRP URI stands for (RFC 3263 4.1, 4.2; RFC 4975 6.2).
//!
//! IP literals at once, names by the system's resolver, with a time limit and a small cache. NAPTR and
//! SRV records are not asked for.

use bytes::Bytes;
use dashmap::DashMap;
use restante::machine::sip::{Destination, Transport};
use restante::wire::msrp::MsrpUri;
use restante::wire::sip::{Host, Scheme, SipUri};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The port of an MSRP URI that names none (RFC 4975 15.4).
const MSRP_PORT: u16 = 2855;
/// Addresses kept of one name.
const ADDRESSES: usize = 8;

/// Limits of name resolution.
#[derive(Clone, Copy, Debug)]
pub struct ResolverLimits {
    /// How long one name may take.
    pub timeout: Duration,
    /// How long an answer is believed.
    pub keep: Duration,
    /// How long it is believed that a name does not exist.
    pub keep_failure: Duration,
    /// Names kept.
    pub names: usize,
    /// Names asked for at once.
    pub parallel: usize,
}

impl Default for ResolverLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            keep: Duration::from_secs(60),
            keep_failure: Duration::from_secs(5),
            names: 4096,
            parallel: 32,
        }
    }
}

/// Why a URI leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// It is no SIP or SIPS URI.
    #[error("not a SIP URI")]
    Malformed,
    /// Its transport is none the node has.
    #[error("transport not supported")]
    Transport,
    /// Its host has no address.
    #[error("no address for the host")]
    Unknown,
    /// The name was not resolved in time.
    #[error("the name was not resolved in time")]
    Timeout,
}

type Addresses = Arc<[IpAddr]>;
type Lookup = Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;

/// Finds addresses; clones share the cache.
#[derive(Clone)]
pub struct Resolver(Arc<Inner>);

struct Inner {
    limits: ResolverLimits,
    lookup: Box<dyn Fn(String) -> Lookup + Send + Sync>,
    cache: DashMap<String, (Result<Addresses, ResolveError>, Instant)>,
    asking: Semaphore,
}

impl Resolver {
    /// A resolver that asks the system.
    #[must_use]
    pub fn new(limits: ResolverLimits) -> Self {
        Self::with_lookup(limits, |name| {
            Box::pin(async move {
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|addr| addr.ip()).collect())
            })
        })
    }

    fn with_lookup(
        limits: ResolverLimits,
        lookup: impl Fn(String) -> Lookup + Send + Sync + 'static,
    ) -> Self {
        let asking = Semaphore::new(limits.parallel.clamp(1, Semaphore::MAX_PERMITS));
        Self(Arc::new(Inner { limits, lookup: Box::new(lookup), cache: DashMap::new(), asking }))
    }

    /// Where a request to the raw URI `uri` (a next hop: Request-URI or route) goes.
    ///
    /// # Errors
    /// The URI is malformed, its transport is not supported, or its host has no address.
    pub fn sip(&self, uri: Bytes) -> impl Future<Output = Result<Destination, ResolveError>> + Send + use<> {
        let resolver = self.clone();
        async move {
            let target = Target::of(&uri)?;
            let (ip, domain) = match target.host {
                Ok(ip) => (ip, None),
                Err(name) => {
                    let domain = Arc::from(name.as_str());
                    (*resolver.name(name).await?.first().ok_or(ResolveError::Unknown)?, Some(domain))
                }
            };
            Ok(Destination {
                transport: target.transport,
                addr: SocketAddr::new(ip, target.port),
                flow: None,
                upgrade: target.upgrade,
                domain,
            })
        }
    }

    /// The addresses to connect to for an MSRP URI, best first.
    ///
    /// # Errors
    /// Its transport is not supported, or its host has no address.
    pub fn msrp(
        &self,
        uri: &MsrpUri,
    ) -> impl Future<Output = Result<Vec<SocketAddr>, ResolveError>> + Send + use<> {
        let resolver = self.clone();
        let supported = !uri.secure && uri.transport.eq_ignore_ascii_case(b"tcp");
        let (literal, host, port) = (uri.address(), uri.host.clone(), uri.port.unwrap_or(MSRP_PORT));
        async move {
            if !supported {
                return Err(ResolveError::Transport);
            }
            if let Some(ip) = literal {
                return Ok(vec![SocketAddr::new(ip, port)]);
            }
            let found = resolver.name(lower(&host)?).await?;
            Ok(found.iter().map(|ip| SocketAddr::new(*ip, port)).collect())
        }
    }

    /// The addresses of a name in lower case.
    async fn name(&self, name: String) -> Result<Addresses, ResolveError> {
        if let Some(known) = self.cached(&name) {
            return known;
        }
        let ask = async {
            let _asking = self.0.asking.acquire().await;
            // While waiting for its turn, another may have asked the same.
            match self.cached(&name) {
                Some(known) => known,
                None => match (self.0.lookup)(name.clone()).await {
                    Ok(found) if !found.is_empty() => Ok(found.into_iter().take(ADDRESSES).collect()),
                    Ok(_) | Err(_) => Err(ResolveError::Unknown),
                },
            }
        };
        let found = tokio::time::timeout(self.0.limits.timeout, ask).await;
        let found = found.unwrap_or(Err(ResolveError::Timeout));
        self.remember(name, found.clone());
        found
    }

    fn cached(&self, name: &str) -> Option<Result<Addresses, ResolveError>> {
        let known = self.0.cache.get(name)?;
        (known.1 > Instant::now()).then(|| known.0.clone())
    }

    fn remember(&self, name: String, found: Result<Addresses, ResolveError>) {
        let now = Instant::now();
        if self.0.cache.len() >= self.0.limits.names {
            self.0.cache.retain(|_, (_, until)| *until > now);
        }
        if self.0.cache.len() < self.0.limits.names {
            let keep = if found.is_ok() { self.0.limits.keep } else { self.0.limits.keep_failure };
            self.0.cache.insert(name, (found, now + keep));
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

/// What a SIP URI says about the way to it.
struct Target {
    /// An address, or a name in lower case.
    host: Result<IpAddr, String>,
    port: u16,
    transport: Transport,
    upgrade: bool,
}

impl Target {
    fn of(raw: &Bytes) -> Result<Self, ResolveError> {
        let uri = SipUri::parse(raw).map_err(|_| ResolveError::Malformed)?;
        let secure = uri.scheme == Scheme::Sips;
        let named = uri.params.value("transport");
        let transport = match &named {
            // RFC 3263 4.1: if the URI specifies a transport protocol, that one SHOULD be used
            Some(name) => Transport::parse(name).ok_or(ResolveError::Transport)?,
            // RFC 3263 4.1: otherwise UDP for a SIP URI with a numeric IP address or a port, TCP for SIPS;
            // without SRV records, for every other too
            None if secure => Transport::Tls,
            None => Transport::Udp,
        };
        // RFC 3261 26.2.2: ";transport=tcp" in a SIPS URI means TLS over TCP
        let transport = match transport {
            Transport::Tcp if secure => Transport::Tls,
            Transport::Udp if secure => return Err(ResolveError::Transport),
            other => other,
        };
        // RFC 3263 4: the TARGET is the maddr parameter, if present, else the host
        let host = match uri.params.value("maddr") {
            Some(maddr) => Host::parse(&maddr).ok_or(ResolveError::Malformed)?,
            None => uri.host,
        };
        let host = match host.ip() {
            Some(ip) => Ok(ip),
            None => match host {
                Host::Name(name) => Err(lower(&name)?),
                Host::V4(ip) => Ok(ip.into()),
                Host::V6(ip) => Ok(ip.into()),
            },
        };
        // RFC 3263 4.2: without a port, the default port of the transport
        let port = uri.port.unwrap_or_else(|| transport.default_port());
        Ok(Self { host, port, transport, upgrade: named.is_none() })
    }
}

fn lower(name: &[u8]) -> Result<String, ResolveError> {
    let name = std::str::from_utf8(name).map_err(|_| ResolveError::Malformed)?;
    let name = name.strip_suffix('.').unwrap_or(name);
    // RFC 1035 2.3.4: names have at most 255 octets
    if name.is_empty() || name.len() > 255 {
        return Err(ResolveError::Malformed);
    }
    Ok(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn resolver(asked: &Arc<AtomicUsize>) -> Resolver {
        let asked = Arc::clone(asked);
        let limits = ResolverLimits { names: 2, ..ResolverLimits::default() };
        Resolver::with_lookup(limits, move |name| {
            asked.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                match name.as_str() {
                    "example.com" => Ok(vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]),
                    "slow.example" => std::future::pending().await,
                    _ => Err(std::io::ErrorKind::NotFound.into()),
                }
            })
        })
    }

    async fn way(uri: &str) -> Result<(Transport, String, bool), ResolveError> {
        let found = resolver(&Arc::default()).sip(Bytes::copy_from_slice(uri.as_bytes())).await?;
        Ok((found.transport, found.addr.to_string(), found.upgrade))
    }

    // proves RFC 3263 4.1, 4.2: transport and port of what the URI says and leaves open
    #[tokio::test]
    async fn transport_and_port_follow_the_uri() {
        let table = [
            ("sip:192.0.2.7", (Transport::Udp, "192.0.2.7:5060", true)),
            ("sip:bob@192.0.2.7:5080", (Transport::Udp, "192.0.2.7:5080", true)),
            ("sip:bob@192.0.2.7;transport=tcp", (Transport::Tcp, "192.0.2.7:5060", false)),
            ("sip:bob@192.0.2.7;transport=UDP", (Transport::Udp, "192.0.2.7:5060", false)),
            ("sip:bob@[2001:db8::7]:5070;transport=tcp", (Transport::Tcp, "[2001:db8::7]:5070", false)),
            ("sips:bob@192.0.2.7", (Transport::Tls, "192.0.2.7:5061", true)),
            ("sips:bob@192.0.2.7;transport=tcp", (Transport::Tls, "192.0.2.7:5061", false)),
            ("sip:bob@EXAMPLE.com", (Transport::Udp, "192.0.2.1:5060", true)),
            ("sip:bob@example.org;maddr=192.0.2.9", (Transport::Udp, "192.0.2.9:5060", true)),
        ];
        for (uri, (transport, addr, upgrade)) in table {
            assert_eq!(way(uri).await, Ok((transport, addr.to_owned(), upgrade)), "{uri}");
        }
    }

    #[tokio::test]
    async fn a_name_goes_along_with_its_address() {
        let resolver = resolver(&Arc::default());
        let named = resolver.sip(Bytes::from_static(b"sips:bob@EXAMPLE.com")).await.unwrap();
        assert_eq!(named.domain.as_deref(), Some("example.com"));
        let literal = resolver.sip(Bytes::from_static(b"sips:bob@192.0.2.7")).await.unwrap();
        assert_eq!(literal.domain, None);
    }

    #[tokio::test(start_paused = true)]
    async fn says_why_a_uri_leads_nowhere() {
        assert_eq!(way("tel:+1").await, Err(ResolveError::Malformed));
        assert_eq!(way("sip:b@192.0.2.7;transport=carrier-pigeon").await, Err(ResolveError::Transport));
        assert_eq!(way("sips:b@192.0.2.7;transport=udp").await, Err(ResolveError::Transport));
        assert_eq!(way("sip:nobody.invalid").await, Err(ResolveError::Unknown));
        assert_eq!(way("sip:slow.example").await, Err(ResolveError::Timeout));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_kept_for_a_while_and_not_too_many() {
        let asked = Arc::new(AtomicUsize::new(0));
        let resolver = resolver(&asked);
        let uri = Bytes::from_static(b"sip:example.com");
        for _ in 0..3 {
            resolver.sip(uri.clone()).await.unwrap();
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        tokio::time::advance(Duration::from_secs(61)).await;
        resolver.sip(uri.clone()).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        for name in ["a", "b", "c", "d"] {
            let _ = resolver.sip(Bytes::from(format!("sip:{name}.invalid"))).await;
        }
        assert_eq!(resolver.0.cache.len(), 2);
    }

    #[tokio::test]
    async fn msrp_uris_have_their_own_port_and_all_addresses() {
        let resolver = resolver(&Arc::default());
        let literal = MsrpUri::parse(b"msrp://192.0.2.7:9/s;tcp").unwrap();
        assert_eq!(resolver.msrp(&literal).await, Ok(vec!["192.0.2.7:9".parse().unwrap()]));
        let name = MsrpUri::parse(b"msrp://example.com/s;tcp").unwrap();
        let both = vec!["192.0.2.1:2855".parse().unwrap(), "[2001:db8::1]:2855".parse().unwrap()];
        assert_eq!(resolver.msrp(&name).await, Ok(both));
        let secure = MsrpUri::parse(b"msrps://example.com/s;tcp").unwrap();
        assert_eq!(resolver.msrp(&secure).await, Err(ResolveError::Transport));
    }
}
