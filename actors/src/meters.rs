//! What the node counts, for Prometheus: every metric with its kind and a line of help.
//!
//! What counts stands where it happens, by the macros of `metrics`. What takes more than a line to count is here.

use restante::focus::retrieval::{Entry, Failure, State};
use restante::wire::sip::{StatusClass, StatusCode};

/// What kind of value a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rises only.
    Counter,
    /// Rises and falls.
    Gauge,
    /// How often something took how long.
    Histogram,
}

/// A metric: its name, its kind, and what it says.
pub type Meter = (&'static str, Kind, &'static str);

/// All there are.
pub const ALL: &[Meter] = &[
    ("restante_workers", Kind::Gauge, "Session cores"),
    ("restante_ready", Kind::Gauge, "Whether the node takes work: 1 or 0"),
    ("restante_connections", Kind::Gauge, "Open connections"),
    ("restante_connections_total", Kind::Counter, "Connections opened, by the peer (in) or the node (out)"),
    ("restante_connections_closed_total", Kind::Counter, "Connections ended"),
    ("restante_connections_refused_total", Kind::Counter, "Connections sent away, for there were too many"),
    ("restante_handshakes_total", Kind::Counter, "TLS and WebSocket handshakes"),
    ("restante_log_lines_lost_total", Kind::Counter, "Log lines that could not be written"),
    ("restante_tls_reloads_total", Kind::Counter, "Certificates that changed"),
    ("restante_received_bytes_total", Kind::Counter, "Bytes read from connections"),
    ("restante_sip_received_total", Kind::Counter, "SIP messages that came"),
    ("restante_sip_malformed_total", Kind::Counter, "SIP messages that could not be read"),
    ("restante_sip_responses_total", Kind::Counter, "Answers to requests outside of dialogs"),
    ("restante_sip_dropped_total", Kind::Counter, "Datagrams that were not sent"),
    ("restante_sip_send_failed_total", Kind::Counter, "SIP messages whose connection failed"),
    ("restante_sip_stalls_total", Kind::Counter, "Times that SIP was not read because too much waited"),
    (
        "restante_overload_refused_total",
        Kind::Counter,
        "Requests answered 503 because there was too much to do",
    ),
    ("restante_admission_limit", Kind::Gauge, "Requests that are let in at once, at present"),
    ("restante_authentications_total", Kind::Counter, "What came of authenticating who is not trusted"),
    ("restante_refused_total", Kind::Counter, "Requests refused for a rate, or for failed authentication"),
    ("restante_deposits_total", Kind::Counter, "Pager messages, by what became of them"),
    ("restante_session_messages_total", Kind::Counter, "Messages of deposited sessions, stored or refused"),
    ("restante_session_deposits_total", Kind::Counter, "Sessions that became an item, or left none"),
    ("restante_retrievals_total", Kind::Counter, "Retrievals that have ended"),
    (
        "restante_retrieved_items_total",
        Kind::Counter,
        "Items of retrievals that have ended, by what became of them",
    ),
    ("restante_expired_items_total", Kind::Counter, "Items removed because they had ended"),
    ("restante_subscriptions", Kind::Gauge, "Subscriptions"),
    ("restante_notifies_total", Kind::Counter, "NOTIFYs, by their answer"),
    ("restante_notify_waits_total", Kind::Counter, "NOTIFYs held back since their connection had no room"),
    ("restante_store_operations_total", Kind::Counter, "What the store's writer was asked to do"),
    ("restante_store_commit_seconds", Kind::Histogram, "Time to write a batch of the store, with its sync"),
    ("restante_msrp_sessions", Kind::Gauge, "MSRP sessions"),
    ("restante_msrp_frames_total", Kind::Counter, "MSRP requests and responses that came"),
    ("restante_msrp_refused_total", Kind::Counter, "MSRP requests that no session took"),
    ("restante_msrp_stalls_total", Kind::Counter, "Times that MSRP was not read because too much waited"),
];

/// Tells the process's recorder what each metric says.
pub fn describe() {
    for (name, kind, help) in ALL {
        match kind {
            Kind::Counter => metrics::describe_counter!(*name, *help),
            Kind::Gauge => metrics::describe_gauge!(*name, *help),
            Kind::Histogram => metrics::describe_histogram!(*name, *help),
        }
    }
}

/// Counts a retrieval that is over, and what has become of its items.
pub fn retrieval_ended(entries: &[Entry]) {
    metrics::counter!("restante_retrievals_total").increment(1);
    for outcome in OUTCOMES {
        let count = entries.iter().filter(|entry| outcome_of(&entry.state) == outcome).count();
        if count > 0 {
            metrics::counter!("restante_retrieved_items_total", "outcome" => outcome).increment(count as u64);
        }
    }
}

const OUTCOMES: [&str; 6] = ["delivered", "not_found", "not_acceptable", "refused", "broken_off", "failed"];

const fn outcome_of(state: &State) -> &'static str {
    match state {
        State::Departed => "delivered",
        State::Failed(Failure::NotFound) => "not_found",
        State::Failed(Failure::NotAcceptable) => "not_acceptable",
        State::Failed(Failure::Refused(_)) => "refused",
        State::Failed(Failure::Broken) => "broken_off",
        State::Failed(Failure::Store | Failure::Internal)
        | State::Dialing
        | State::Connected { .. }
        | State::Storing => "failed",
    }
}

/// Counts a message of a deposited session: `stored` or `refused`.
pub fn session_message(outcome: &'static str) {
    metrics::counter!("restante_session_messages_total", "outcome" => outcome).increment(1);
}

/// Counts a session that is over: `stored` as an item, or `empty`.
pub fn session_deposit(outcome: &'static str) {
    metrics::counter!("restante_session_deposits_total", "outcome" => outcome).increment(1);
}

/// An event package that the node notifies of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// RFC 3842.
    MessageSummary,
    /// RFC 4575.
    Conference,
}

impl Package {
    const fn label(self) -> &'static str {
        match self {
            Self::MessageSummary => "message-summary",
            Self::Conference => "conference",
        }
    }

    /// Counts a NOTIFY of it that has got this final answer, or none.
    pub fn notified(self, answer: Option<StatusCode>) {
        let outcome = match answer.map(StatusCode::class) {
            Some(StatusClass::Provisional) => return,
            Some(StatusClass::Success) => "delivered",
            Some(_) => "refused",
            None => "unanswered",
        };
        self.count(outcome);
    }

    /// Counts one that was not sent, for the DNS does not answer.
    pub fn unresolved(self) {
        self.count("unresolved");
    }

    fn count(self, outcome: &'static str) {
        let labels = [("event", self.label()), ("outcome", outcome)];
        metrics::counter!("restante_notifies_total", &labels).increment(1);
    }
}

/// The subscriptions of one actor, as `restante_subscriptions` counts them: none when it is dropped.
#[derive(Debug)]
pub struct Subscribed {
    package: Package,
    counted: u32,
}

impl Subscribed {
    /// None yet.
    #[must_use]
    pub const fn to(package: Package) -> Self {
        Self { package, counted: 0 }
    }

    /// There are so many now.
    pub fn count(&mut self, now: usize) {
        let now = u32::try_from(now).unwrap_or(u32::MAX);
        if now != self.counted {
            let gauge = metrics::gauge!("restante_subscriptions", "event" => self.package.label());
            gauge.increment(f64::from(now) - f64::from(self.counted));
            self.counted = now;
        }
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.count(0);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "meters_tests.rs"]
mod tests;
