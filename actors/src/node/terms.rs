//! What the configuration means to each part of the node, in the part's own terms.

use std::sync::Arc;

use restante::focus::pager::DepositRules;
use restante::focus::realm::{Accepts, Realm};
use restante::focus::subscription_terms::SubscriptionTerms;
use restante::focus::subscriptions::SubscriptionRules;
use restante::focus::summary::{Listing, SummaryRules};
use restante::machine::msrp::SessionLimits;
use restante::machine::sip::Timers;
use restante::wire::message_summary;
use restante::wire::sip::Limits;
use tokio::sync::Semaphore;

use super::files;
use crate::archive;
use crate::config::{Config, SummaryHeaders};
use crate::focus::CREDIT;
use crate::link::{
    ConnectionLimits, DnsSettings, HandshakeLimits, MsrpLimits, OutboxLimits, SipLimits, TlsFiles, WebLimits,
};
use crate::router::MOST_SHARDS;

/// Which URIs belong to a node of this configuration.
#[must_use]
pub fn realm(config: &Config) -> Realm {
    let domains: Vec<String> = config.node.domains.iter().map(|domain| domain.as_str().to_owned()).collect();
    let node = config.node.clone();
    let accepts = (!node.users.is_empty())
        .then(|| -> Accepts { Arc::new(move |user, domain| node.accepts(user, domain)) });
    Realm::new(&domains, config.node.store_host.as_str(), accepts)
}

/// How many cores serve.
pub(super) fn workers(config: &Config) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    match config.node.workers {
        0 => cores.min(MOST_SHARDS),
        some => some.min(MOST_SHARDS),
    }
}

pub(super) fn archive_limits(config: &Config) -> archive::Limits {
    let store = &config.store;
    archive::Limits { queue: store.queue, batch: store.batch, batch_bytes: store.batch_size.as_usize() }
}

/// How much of the store's queue messages of sessions may take: the rest is for who cannot be made to wait.
pub(super) fn appends(config: &Config) -> usize {
    (config.store.queue / 2).clamp(1, Semaphore::MAX_PERMITS)
}

/// The timers of SIP (RFC 3261 17).
pub(super) fn timers(config: &Config) -> Timers {
    Timers { t1: config.sip.t1, t2: config.sip.t2, t4: config.sip.t4, ..Timers::default() }
}

/// What MSRP sessions take: of clients' messages all, or nothing.
pub(super) fn session_limits(config: &Config, receives: bool) -> SessionLimits {
    SessionLimits {
        max_message: config.msrp.max_message.bytes(),
        accepts: if receives { Box::from(["*".to_owned()]) } else { Box::default() },
        max_chunk: config.msrp.max_chunk.bytes(),
        transaction_timeout: config.msrp.transaction_timeout,
        max_incoming: config.msrp.max_incoming,
        receives,
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
    ConnectionLimits { total, reserved: 0, per_address, exempt: Some(Arc::new(exempt)) }
}

pub(super) fn dns_settings(config: &Config) -> DnsSettings {
    DnsSettings {
        servers: config.dns.servers.clone(),
        timeout: config.dns.timeout,
        // The family in which the node is reached is the one in which it surely reaches others.
        ipv6_first: config.sip.listen.first().is_some_and(|listen| listen.address.is_ipv6()),
        sockets: files::for_dns(config),
    }
}

/// How many of `total` SIP connections are kept for peers that are trusted, whom idle strangers must not keep out.
fn reserved(total: usize) -> usize {
    (total / 16).max(4).min(total / 2)
}

pub(super) fn sip_limits(config: &Config) -> SipLimits {
    let sip = &config.sip;
    let connections = connection_limits(config, sip.max_connections, sip.max_connections_per_address);
    SipLimits {
        message: Limits {
            message: sip.max_message.as_usize(),
            headers: sip.max_headers,
            body: sip.max_body.as_usize(),
        },
        connections: ConnectionLimits { reserved: reserved(sip.max_connections), ..connections },
        idle_timeout: sip.idle_timeout,
        handshake: handshake_limits(config, sip.max_message.as_usize()),
        request_timeout: sip.request_timeout,
        ..SipLimits::default()
    }
}

pub(super) fn msrp_limits(config: &Config) -> MsrpLimits {
    let msrp = &config.msrp;
    MsrpLimits {
        connections: connection_limits(config, msrp.max_connections, msrp.max_connections_per_address),
        header: msrp.max_header.as_usize(),
        bind_timeout: msrp.bind_timeout,
        idle_timeout: msrp.idle_timeout,
        handshake: handshake_limits(config, config.websocket.max_message.as_usize()),
        outbox: Arc::new(msrp_outbox(config)),
        ..MsrpLimits::default()
    }
}

/// Retrievals that share a connection (RFC 4975 5.1) and find room in it at the same moment, at most: one for each core.
const AT_ONCE: usize = 16;

/// What waits for a client that reads slowly must not close his connection: behind `high` may come what those have under way
/// who had room for it. Everybody else waits.
fn msrp_outbox(config: &Config) -> OutboxLimits {
    let retrieval = &config.retrieval;
    let under_way = retrieval.window.as_usize().saturating_mul(CREDIT);
    let high = 1 << 20;
    let all = under_way.saturating_mul(AT_ONCE);
    OutboxLimits { max: all.saturating_add(2 * high), high, low: 256 << 10, ..OutboxLimits::default() }
}

pub(super) fn deposit_rules(config: &Config) -> DepositRules {
    DepositRules {
        ignore_types: config.deposit.ignore_types.clone(),
        max_body: config.deposit.max_body.as_usize(),
        lifetime: config.deposit.lifetime,
        max_lifetime: config.deposit.max_lifetime,
    }
}

pub(super) fn subscription_rules(config: &Config) -> SubscriptionRules {
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
        max_body: config.summary.max_body.as_usize(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Size;

    #[test]
    fn what_retrievals_have_under_way_does_not_close_their_connection() {
        let mut config = Config::default();
        for window in [Size::kib(2), Size::kib(64), Size::mib(1)] {
            config.retrieval.window = window;
            let outbox = msrp_outbox(&config);
            let under_way = config.retrieval.sessions_per_user * CREDIT * window.as_usize();
            assert!(outbox.max > outbox.high + under_way, "{window:?}: {outbox:?}");
        }
        config.retrieval.window = Size::gib(1);
        config.retrieval.sessions_per_user = usize::MAX;
        assert!(msrp_outbox(&config).max > 16 << 30);
    }
}
