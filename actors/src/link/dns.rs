//! Asking the DNS: `hickory-resolver` behind the questions of `restante::machine::sip::locate`. It
//! reads the system's configuration and hosts file, and keeps answers as long as their TTL says,
//! within bounds.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use restante::machine::sip::locate::{Answer, Naptr, NoAnswer, Question, Srv};
use std::net::SocketAddr;
use std::time::Duration;

/// Responses kept.
const CACHED: u64 = 8192;
/// How long an answer is believed at most, whatever its TTL.
const LONGEST: Duration = Duration::from_secs(3600);
/// How long it is believed that there is no such record, at least and at most.
const NEGATIVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// How often a question is sent again to a server that does not answer.
const RETRIES: usize = 2;

/// How the DNS is asked.
#[derive(Clone, Debug)]
pub struct DnsSettings {
    /// The servers to ask; empty: the system's.
    pub servers: Vec<SocketAddr>,
    /// How long one question may take.
    pub timeout: Duration,
    /// Whether IPv6 addresses come before IPv4 ones.
    pub ipv6_first: bool,
}

/// The DNS client cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the DNS cannot be used: {0}")]
pub struct DnsUnusable(#[from] NetError);

/// The DNS as it is configured; clones share the cache.
#[derive(Clone)]
pub(super) struct Dns(TokioResolver);

impl Dns {
    /// Reads the system's configuration where no server is named. Without one, only literal addresses
    /// and the hosts file are left, and a line in the log says so.
    ///
    /// # Errors
    /// The client cannot be set up.
    pub(super) fn new(settings: &DnsSettings) -> Result<Self, DnsUnusable> {
        let provider = TokioRuntimeProvider::default();
        let system = || TokioResolver::builder(provider.clone());
        let mut builder = if settings.servers.is_empty() {
            system().unwrap_or_else(|error| {
                tracing::warn!(%error, "no DNS: the system's resolver configuration cannot be used");
                TokioResolver::builder_with_config(ResolverConfig::default(), provider.clone())
            })
        } else {
            let servers = settings.servers.iter().map(|server| name_server(*server)).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, provider.clone())
        };
        let options = builder.options_mut();
        options.timeout = settings.timeout / 3;
        options.attempts = RETRIES;
        options.cache_size = CACHED;
        options.positive_max_ttl = Some(LONGEST);
        (options.negative_min_ttl, options.negative_max_ttl) = (Some(NEGATIVE.0), Some(NEGATIVE.1));
        options.ip_strategy = match settings.ipv6_first {
            true => LookupIpStrategy::Ipv6AndIpv4,
            false => LookupIpStrategy::Ipv4AndIpv6,
        };
        Ok(Self(builder.build()?))
    }

    /// Asks one question.
    pub(super) async fn ask(self, question: Question) -> Result<Answer, NoAnswer> {
        match question {
            Question::Naptr(name) => {
                let found = self.0.lookup(absolute(&name)?, RecordType::NAPTR).await.map_err(no_answer)?;
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
                let found = self.0.lookup(absolute(&name)?, RecordType::SRV).await.map_err(no_answer)?;
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
                let name = Name::from_ascii(&*name).map_err(|_| NoAnswer::NotFound)?;
                let found = self.0.lookup_ip(name).await.map_err(no_answer)?;
                Ok(Answer::Addresses(found.iter().collect()))
            }
        }
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
    if error.is_no_records_found() {
        return NoAnswer::NotFound;
    }
    tracing::debug!(%error, "the DNS did not answer");
    NoAnswer::Failed
}
