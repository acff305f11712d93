//! What no single value can tell: bounds, order, and values that contradict each other.

use super::{Config, Listen, Size};
use restante::focus::NOTIFY_BODY;
use restante::machine::sip::Transport;
use restante::store::MAX_INLINE;
use std::time::Duration;

/// Values that do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The keys that take part; the one to blame first.
    pub keys: Vec<&'static str>,
    /// What is wrong.
    pub problem: String,
}

type Verdict = Result<(), Conflict>;

/// Checks the whole.
///
/// # Errors
/// The first [`Conflict`].
pub fn check(config: &Config) -> Verdict {
    names(config)?;
    listeners(config)?;
    counts(config)?;
    sizes(config)?;
    durations(config)
}

fn conflict(keys: &[&'static str], problem: impl Into<String>) -> Conflict {
    Conflict { keys: keys.to_vec(), problem: problem.into() }
}

fn ensure(good: bool, keys: &[&'static str], problem: impl FnOnce() -> String) -> Verdict {
    if good { Ok(()) } else { Err(conflict(keys, problem())) }
}

fn names(config: &Config) -> Verdict {
    let node = &config.node;
    ensure(!node.domains.is_empty(), &["node.domains"], || "name at least one domain".into())?;
    for (index, domain) in node.domains.iter().enumerate() {
        let twice = node.domains.iter().skip(index + 1).any(|other| other == domain);
        ensure(!twice, &["node.domains"], || format!("`{domain}` is named twice"))?;
    }
    // At the store's host a user part may be a Message-ID; at a served domain it is a recipient.
    ensure(!node.serves(node.store_host.as_str()), &["node.store_host", "node.domains"], || {
        format!("`{}` is one of node.domains: message URIs need a host of their own", node.store_host)
    })?;
    let realm = &config.trust.realm;
    let plain = realm.chars().all(|c| !c.is_control() && c != '"' && c != '\\');
    ensure(plain && !realm.is_empty(), &["trust.realm"], || {
        "expected text without quotes or backslashes".into()
    })?;
    // RFC 8760 2.3: each challenge MUST be of another algorithm.
    let algorithms = &config.auth.algorithms;
    ensure(!algorithms.is_empty(), &["auth.algorithms"], || "name at least one algorithm".into())?;
    for (index, algorithm) in algorithms.iter().enumerate() {
        let twice = algorithms.iter().skip(index + 1).any(|other| other == algorithm);
        ensure(!twice, &["auth.algorithms"], || format!("`{algorithm}` is named twice"))?;
    }
    let types = &config.deposit.ignore_types;
    let is_type = |text: &String| text.split_once('/').is_some_and(|(a, b)| is_token(a) && is_token(b));
    match types.iter().find(|text| !is_type(text)) {
        None => Ok(()),
        Some(text) => {
            let problem = format!("expected a media type, as text/plain, found `{}`", text.escape_default());
            Err(conflict(&["deposit.ignore_types"], problem))
        }
    }
}

/// Whether `text` is a token of RFC 3261 25.1.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b))
}

fn listeners(config: &Config) -> Verdict {
    ensure(!config.sip.listen.is_empty(), &["sip.listen"], || "name at least one listener".into())?;
    ensure(!config.msrp.listen.is_empty(), &["msrp.listen"], || "name at least one listener".into())?;
    let datagram = config.msrp.listen.iter().find(|listen| listen.transport == Transport::Udp);
    if let Some(listen) = datagram {
        return Err(conflict(&["msrp.listen"], format!("`{listen}`: MSRP does not run over udp")));
    }
    secured(config)?;
    let http = config.http.listen.map(|address| Listen { transport: Transport::Tcp, address });
    let all: Vec<(&'static str, Listen)> = (config.sip.listen.iter().map(|at| ("sip.listen", *at)))
        .chain(config.msrp.listen.iter().map(|at| ("msrp.listen", *at)))
        .chain(http.map(|at| ("http.listen", at)))
        .collect();
    for (index, (key, at)) in all.iter().enumerate() {
        if let Some((other_key, other)) = all.iter().take(index).find(|(_, other)| other.overlaps(at)) {
            return Err(conflict(&[key, other_key], format!("{key} `{at}` overlaps {other_key} `{other}`")));
        }
    }
    Ok(())
}

/// What TLS needs, and what needs TLS.
fn secured(config: &Config) -> Verdict {
    let tls = &config.tls;
    ensure(tls.certificate.is_some() == tls.key.is_some(), &["tls.key", "tls.certificate"], || {
        "tls.certificate and tls.key go together: name both or none".into()
    })?;
    let listeners = (config.sip.listen.iter().map(|at| ("sip.listen", at)))
        .chain(config.msrp.listen.iter().map(|at| ("msrp.listen", at)));
    for (key, listen) in listeners.filter(|(_, listen)| listen.transport.is_secure()) {
        ensure(tls.certificate.is_some(), &[key, "tls.certificate"], || {
            format!("`{listen}` needs tls.certificate and tls.key")
        })?;
    }
    ensure(tls.client_ca.is_none() || tls.certificate.is_some(), &["tls.client_ca"], || {
        "client certificates are asked for only where there is tls.certificate".into()
    })?;
    ensure(
        tls.client_ca.is_some() || config.trust.certificates().next().is_none(),
        &["trust.peers"],
        || "certificates are believed only where tls.client_ca names who signs them".into(),
    )?;
    let path = &config.websocket.path;
    ensure(
        path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic() && b != b'?'),
        &["websocket.path"],
        || "expected a path, as /ws".into(),
    )
}

fn counts(config: &Config) -> Verdict {
    let within = |key: &'static str, value: usize, least: usize, most: usize| {
        ensure((least..=most).contains(&value), &[key], || {
            format!("expected a number from {least} to {most}, found {value}")
        })
    };
    const MANY: usize = 100_000_000;
    let Config { node, sip, msrp, tls, deposit, summary, retrieval, store, .. } = config;
    within("node.workers", node.workers, 0, 256)?;
    within("sip.max_headers", sip.max_headers, 16, 100_000)?;
    within("sip.max_connections", sip.max_connections, 1, MANY)?;
    within("sip.max_connections_per_address", sip.max_connections_per_address, 1, MANY)?;
    within("sip.max_transactions", sip.max_transactions, 16, MANY)?;
    within("sip.max_inflight", sip.max_inflight, 1, MANY)?;
    within("msrp.max_incoming", msrp.max_incoming, 1, 10_000)?;
    within("msrp.max_connections", msrp.max_connections, 1, MANY)?;
    within("msrp.max_connections_per_address", msrp.max_connections_per_address, 1, MANY)?;
    within("store.queue", store.queue, 1, 1_000_000)?;
    within("store.batch", store.batch, 1, 100_000)?;
    ensure((1..=100).contains(&deposit.sender_share), &["deposit.sender_share"], || {
        format!("expected a percentage from 1 to 100, found {}", deposit.sender_share)
    })?;
    within("tls.max_handshakes", tls.max_handshakes, 1, MANY)?;
    within("deposit.max_messages", deposit.max_messages, 1, 1_000_000)?;
    within("deposit.sessions_per_user", deposit.sessions_per_user, 1, MANY)?;
    within("deposit.sessions_total", deposit.sessions_total, 1, MANY)?;
    within("summary.max_items", summary.max_items, 1, 100_000)?;
    within("summary.subscriptions_per_user", summary.subscriptions_per_user, 1, MANY)?;
    within("retrieval.max_list", retrieval.max_list, 1, 100_000)?;
    within("retrieval.sessions_per_user", retrieval.sessions_per_user, 1, MANY)?;
    within("retrieval.sessions_total", retrieval.sessions_total, 1, MANY)?;
    Ok(())
}

fn sizes(config: &Config) -> Verdict {
    let within = |key: &'static str, value: Size, least: Size, most: Size| {
        ensure((least..=most).contains(&value), &[key], || {
            format!("expected a size from {least} to {most}, found {value}")
        })
    };
    let Config { sip, msrp, websocket, deposit, summary, retrieval, store, .. } = config;
    let tib = Size::gib(1024);
    within("sip.max_message", sip.max_message, Size::kib(4), Size::gib(1))?;
    within("sip.max_body", sip.max_body, Size::kib(1), Size::gib(1))?;
    within("msrp.max_header", msrp.max_header, Size::kib(1), Size::mib(16))?;
    within("msrp.max_message", msrp.max_message, Size::of(1), tib)?;
    // RFC 4975 7.1.1: chunks of more than 2048 octets MUST be interruptible; ours are, and shorter ones waste.
    within("msrp.max_chunk", msrp.max_chunk, Size::kib(2), Size::gib(1))?;
    // A WebSocket message is held whole.
    within("websocket.max_message", websocket.max_message, Size::kib(4), Size::mib(64))?;
    within("deposit.max_body", deposit.max_body, Size::of(1), Size::gib(1))?;
    within("summary.max_body", summary.max_body, Size::kib(1), Size::of(NOTIFY_BODY as u64))?;
    within("retrieval.window", retrieval.window, Size::kib(2), Size::gib(1))?;
    within("store.inline_limit", store.inline_limit, Size::of(0), Size::of(MAX_INLINE as u64))?;
    within("store.batch_size", store.batch_size, Size::kib(64), Size::gib(1))?;
    ensure(sip.max_body <= sip.max_message, &["sip.max_body", "sip.max_message"], || {
        format!("sip.max_body ({}) is more than sip.max_message ({})", sip.max_body, sip.max_message)
    })?;
    ensure(deposit.max_body <= sip.max_body, &["deposit.max_body", "sip.max_body"], || {
        format!("deposit.max_body ({}) is more than sip.max_body ({})", deposit.max_body, sip.max_body)
    })
}

fn durations(config: &Config) -> Verdict {
    let Config { sip, msrp, tls, websocket, deposit, summary, auth, dns, .. } = config;
    let positive = [
        ("sip.t1", sip.t1),
        ("sip.t2", sip.t2),
        ("sip.t4", sip.t4),
        ("sip.idle_timeout", sip.idle_timeout),
        ("sip.request_timeout", sip.request_timeout),
        ("sip.target_delay", sip.target_delay),
        ("sip.answer_within", sip.answer_within),
        ("msrp.idle_timeout", msrp.idle_timeout),
        ("msrp.bind_timeout", msrp.bind_timeout),
        ("msrp.transaction_timeout", msrp.transaction_timeout),
        ("tls.reload", tls.reload),
        ("tls.handshake_timeout", tls.handshake_timeout),
        ("websocket.ping", websocket.ping),
        ("deposit.lifetime", deposit.lifetime),
        ("summary.expires", summary.expires),
        ("auth.nonce_lifetime", auth.nonce_lifetime),
        ("auth.failure_window", auth.failure_window),
        ("auth.block", auth.block),
        ("dns.timeout", dns.timeout),
    ];
    for (key, value) in positive {
        ensure(value > Duration::ZERO, &[key], || "expected a duration longer than 0s".into())?;
    }
    let ordered = |lower: (&'static str, Duration), upper: (&'static str, Duration)| {
        ensure(lower.1 <= upper.1, &[lower.0, upper.0], || format!("{} is longer than {}", lower.0, upper.0))
    };
    ordered(("sip.t1", sip.t1), ("sip.t2", sip.t2))?;
    ordered(("deposit.lifetime", deposit.lifetime), ("deposit.max_lifetime", deposit.max_lifetime))?;
    ordered(("summary.min_expires", summary.min_expires), ("summary.expires", summary.expires))?;
    ordered(("summary.expires", summary.expires), ("summary.max_expires", summary.max_expires))
}
