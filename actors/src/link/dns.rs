//! Asking the DNS: `hickory-resolver` behind the questions of `restante::machine::sip::locate`. It
//! reads the system's configuration and hosts file, and keeps answers as long as their TTL says,
//! within bounds.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use restante::machine::sip::locate::{Answer, Naptr, NoAnswer, Question, Srv};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Responses kept.
const CACHED: u64 = 8192;
/// How long an answer is believed at most, whatever its TTL.
const LONGEST: Duration = Duration::from_secs(3600);
/// How long it is believed that there is no such record, at least and at most.
const NEGATIVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// Servers that are asked at once, as many as a `resolv.conf` has: one that is silent costs no time then.
const SERVERS: usize = 3;
/// How long the addresses of one family wait for those of the other. RFC 4074 4.1: there are servers that never
/// answer what they do not know the type of.
const GRACE: Duration = Duration::from_millis(500);
/// Sockets that a question without an answer takes at each server: a query for either family, each of which the client
/// repeats three times, by a socket of its own.
const SOCKETS: usize = 8;
/// Questions that are asked at once at most, twice: what is asked just now, and what has had no answer for a while. A
/// second of each, so that a thousand names that nobody answers cost the others four seconds.
const PLACES: usize = 256;

/// How the DNS is asked.
#[derive(Clone, Debug)]
pub struct DnsSettings {
    /// The servers to ask; empty: the system's.
    pub servers: Vec<SocketAddr>,
    /// How long one question may take.
    pub timeout: Duration,
    /// Whether IPv6 addresses come before IPv4 ones.
    pub ipv6_first: bool,
    /// How many sockets may be open for it at once, about.
    pub sockets: usize,
}

/// The DNS client cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the DNS cannot be used: {0}")]
pub struct DnsUnusable(#[from] NetError);

/// The DNS as it is configured; clones share the cache.
#[derive(Clone)]
pub(super) struct Dns {
    resolver: TokioResolver,
    /// What completes a name of few labels, in this order.
    search: Arc<[Name]>,
    /// A name of more labels than these is tried as it is first.
    ndots: usize,
    /// How many are asked at once.
    servers: usize,
    ipv6_first: bool,
}

impl Dns {
    /// Reads the system's configuration where no server is named. Without one, only literal addresses
    /// and the hosts file are left, and a line in the log says so.
    ///
    /// # Errors
    /// The client cannot be set up.
    pub(super) fn new(settings: &DnsSettings) -> Result<Self, DnsUnusable> {
        let (config, mut options) = if settings.servers.is_empty() {
            read_system_conf().unwrap_or_else(|error| {
                tracing::warn!(%error, "no DNS: the system's resolver configuration cannot be used");
                Default::default()
            })
        } else {
            let servers = settings.servers.iter().map(|server| name_server(*server)).collect();
            (ResolverConfig::from_parts(None, Vec::new(), servers), ResolverOpts::default())
        };
        let search = config.domain().into_iter().chain(config.search()).cloned().collect();
        // A query is repeated within this time, and an answer to any of its repetitions counts. It ends before the
        // question does, so that the resolver learns which server was silent.
        options.timeout = settings.timeout - settings.timeout / 16;
        options.attempts = 0;
        options.num_concurrent_reqs = SERVERS;
        options.cache_size = CACHED;
        options.positive_max_ttl = Some(LONGEST);
        (options.negative_min_ttl, options.negative_max_ttl) = (Some(NEGATIVE.0), Some(NEGATIVE.1));
        let (ndots, servers) = (options.ndots, config.name_servers().len().clamp(1, SERVERS));
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        Ok(Self { resolver: builder.build()?, search, ndots, servers, ipv6_first: settings.ipv6_first })
    }

    /// How many questions may be asked at once, and how many more may be late, with so many sockets.
    pub(super) fn places(&self, sockets: usize) -> usize {
        (sockets / (2 * SOCKETS * self.servers)).clamp(4, PLACES)
    }

    /// Asks one question, whose answer is of no use after `deadline`.
    pub(super) async fn ask(self, question: Question, deadline: Instant) -> Result<Answer, NoAnswer> {
        match question {
            Question::Naptr(name) => {
                let found =
                    self.resolver.lookup(absolute(&name)?, RecordType::NAPTR).await.map_err(no_answer)?;
                let naptr = |data: &RData| match data {
                    RData::NAPTR(naptr) => Some(Naptr {
                        order: naptr.order,
                        preference: naptr.preference,
                        flags: naptr.flags.to_vec(),
                        service: naptr.services.to_vec(),
                        regexp: naptr.regexp.to_vec(),
                        replacement: naptr.replacement.to_ascii(),
                    }),
                    _ => None,
                };
                Ok(Answer::Naptr(found.answers().iter().filter_map(|record| naptr(&record.data)).collect()))
            }
            Question::Srv(name) => {
                let found =
                    self.resolver.lookup(absolute(&name)?, RecordType::SRV).await.map_err(no_answer)?;
                let srv = |data: &RData| match data {
                    RData::SRV(srv) => Some(Srv {
                        priority: srv.priority,
                        weight: srv.weight,
                        port: srv.port,
                        target: srv.target.to_ascii(),
                    }),
                    _ => None,
                };
                Ok(Answer::Srv(found.answers().iter().filter_map(|record| srv(&record.data)).collect()))
            }
            // Hosts may be local names: the search list of the system and its hosts file are obeyed.
            Question::Addresses(name) => {
                for name in self.candidates(&name)? {
                    match self.addresses(&name, deadline).await {
                        Err(NoAnswer::NotFound) => {}
                        found => return found.map(Answer::Addresses),
                    }
                }
                Err(NoAnswer::NotFound)
            }
        }
    }

    /// The names that a host may have, in the order in which they are tried.
    fn candidates(&self, host: &str) -> Result<Vec<Name>, NoAnswer> {
        let name = absolute(host)?;
        let relative = Name::from_ascii(host).map_err(|_| NoAnswer::NotFound)?;
        let completed = self.search.iter().filter_map(|domain| relative.clone().append_domain(domain).ok());
        let as_it_is_first = usize::from(name.num_labels()) > self.ndots || name.is_localhost();
        let mut names = Vec::new();
        let (first, last) = if as_it_is_first { (Some(name), None) } else { (None, Some(name)) };
        for name in first.into_iter().chain(completed).chain(last) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    async fn addresses(&self, name: &Name, deadline: Instant) -> Result<Vec<IpAddr>, NoAnswer> {
        let of = |family| async move {
            let found = self.resolver.lookup(name.clone(), family).await.map_err(no_answer)?;
            let found: Vec<_> = found.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
            if found.is_empty() { Err(NoAnswer::NotFound) } else { Ok(found) }
        };
        let (ipv4, ipv6) = (of(RecordType::A), of(RecordType::AAAA));
        match self.ipv6_first {
            true => either(ipv6, ipv4, deadline).await,
            false => either(ipv4, ipv6, deadline).await,
        }
    }
}

/// The addresses of two families, `first` before `second`: those of one alone where the other has none, or does
/// not answer soon after it.
async fn either(
    first: impl Future<Output = Result<Vec<IpAddr>, NoAnswer>>,
    second: impl Future<Output = Result<Vec<IpAddr>, NoAnswer>>,
    deadline: Instant,
) -> Result<Vec<IpAddr>, NoAnswer> {
    tokio::pin!(first, second);
    let (mut one, mut other, mut patience) = (None, None, None);
    while one.is_none() || other.is_none() {
        tokio::select! {
            found = &mut first, if one.is_none() => one = Some(found),
            found = &mut second, if other.is_none() => other = Some(found),
            () = tokio::time::sleep_until(patience.unwrap_or(deadline)), if patience.is_some() => break,
        }
        if patience.is_none() && [&one, &other].into_iter().any(|of| matches!(of, Some(Ok(_)))) {
            patience = Some(deadline.min(Instant::now() + GRACE));
        }
    }
    match (one, other) {
        (Some(Ok(mut found)), Some(Ok(more))) => {
            found.extend(more);
            Ok(found)
        }
        (Some(Ok(found)), _) | (_, Some(Ok(found))) => Ok(found),
        (Some(Err(NoAnswer::NotFound)), Some(Err(NoAnswer::NotFound))) => Err(NoAnswer::NotFound),
        _ => Err(NoAnswer::Failed),
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let mut config = NameServerConfig::udp_and_tcp(server.ip());
    for connection in &mut config.connections {
        connection.port = server.port();
    }
    config
}

/// A name that is not completed by the search list.
fn absolute(name: &str) -> Result<Name, NoAnswer> {
    let mut name = Name::from_ascii(name).map_err(|_| NoAnswer::NotFound)?;
    name.set_fqdn(true);
    Ok(name)
}

fn no_answer(error: NetError) -> NoAnswer {
    if let NetError::Dns(DnsError::NoRecordsFound(none)) = &error
        && matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
    {
        return NoAnswer::NotFound;
    }
    tracing::debug!(%error, "the DNS did not answer");
    NoAnswer::Failed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[tokio::test]
    async fn questions_take_no_more_sockets_than_they_may() {
        let mut dns = dns(&[]);
        assert_eq!([0, 256, 1600, 100_000].map(|sockets| dns.places(sockets)), [4, 16, 100, 256]);
        dns.servers = 3;
        assert_eq!([256, 1600, 100_000].map(|sockets| dns.places(sockets)), [5, 33, 256]);
    }

    type Found = Result<Vec<IpAddr>, NoAnswer>;

    fn dns(search: &[&str]) -> Dns {
        let (timeout, servers) = (Duration::from_secs(5), vec!["192.0.2.53:53".parse().unwrap()]);
        let mut dns = Dns::new(&DnsSettings { servers, timeout, ipv6_first: false, sockets: 256 }).unwrap();
        dns.search = search.iter().map(|name| Name::from_ascii(name).unwrap()).collect();
        dns
    }

    async fn after(milliseconds: u64, found: Found) -> Found {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        found
    }

    /// What comes of two answers, each after so many milliseconds, of a question of five seconds; and when.
    async fn of(one: (u64, Found), other: (u64, Found)) -> (Found, u64) {
        let begun = Instant::now();
        let found = either(after(one.0, one.1), after(other.0, other.1), begun + Duration::from_secs(5));
        (found.await, u64::try_from(begun.elapsed().as_millis()).unwrap())
    }

    // proves RFC 4074 4.1: what one family is slow to say does not cost the other
    #[tokio::test(start_paused = true)]
    async fn the_addresses_of_one_family_wait_for_the_other_for_a_while_only() {
        let ip = |ip: &str| Ok(vec![ip.parse().unwrap()]);
        let (v4, v6) = (|| ip("192.0.2.1"), || ip("2001:db8::1"));
        let both = Ok(vec![v4().unwrap()[0], v6().unwrap()[0]]);
        assert_eq!(of((10, v4()), (20, v6())).await, (both.clone(), 20));
        assert_eq!(of((300, v4()), (20, v6())).await, (both, 300), "in the order of preference");
        assert_eq!(of((10, v4()), (60_000, v6())).await, (v4(), 510));
        assert_eq!(of((60_000, v4()), (10, v6())).await, (v6(), 510));
        assert_eq!(
            of((4900, v4()), (60_000, v6())).await,
            (v4(), 5000),
            "not longer than the question may take"
        );
        let (none, failed) = (|| Err(NoAnswer::NotFound), || Err(NoAnswer::Failed));
        assert_eq!(of((10, none()), (3000, v6())).await, (v6(), 3000));
        assert_eq!(of((3000, v4()), (10, failed())).await, (v4(), 3000));
        assert_eq!(of((10, none()), (20, none())).await, (none(), 20));
        assert_eq!(of((10, none()), (20, failed())).await, (failed(), 20), "it may have some");
    }

    #[tokio::test]
    async fn a_host_is_completed_by_the_search_list() {
        let names = |search: &[&str], host: &str| -> Vec<String> {
            dns(search).candidates(host).unwrap().iter().map(Name::to_ascii).collect()
        };
        assert_eq!(names(&[], "phone"), ["phone."]);
        let search = ["b.test.", "c.test.", "b.test."];
        assert_eq!(names(&search, "phone"), ["phone.b.test.", "phone.c.test.", "phone."]);
        assert_eq!(names(&search, "phone.a.test")[..2], ["phone.a.test.", "phone.a.test.b.test."]);
        assert_eq!(names(&search, "localhost")[0], "localhost.");
    }
}
