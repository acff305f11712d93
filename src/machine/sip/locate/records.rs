//! What is asked of the DNS ([`Question`]), what comes back ([`Answer`]), and the orders in which
//! NAPTR and SRV records are taken (RFC 3403 4.1, RFC 3263 4.1, RFC 2782).

use std::net::IpAddr;
use std::sync::Arc;

use super::target::domain;
use crate::entropy::Entropy;
use crate::machine::sip::transport::Transport;

/// SRV records of one service that are looked at.
const RECORDS: usize = 64;

/// What to ask of the DNS. Names are in lower case, without the dot of the root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// The NAPTR records of a domain.
    Naptr(Arc<str>),
    /// The SRV records of a service.
    Srv(Arc<str>),
    /// The A and AAAA records of a host, in the order in which they are to be tried.
    Addresses(Arc<str>),
}

/// What was found; empty where there is nothing of the kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Naptr`].
    Naptr(Vec<Naptr>),
    /// To [`Question::Srv`].
    Srv(Vec<Srv>),
    /// To [`Question::Addresses`].
    Addresses(Vec<IpAddr>),
}

/// Why a question was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// There is no such name, or no record of the kind.
    NotFound,
    /// Nobody answered in time, or said only that something is wrong.
    Failed,
}

/// A NAPTR record (RFC 3403 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// Lower ones are taken first, and higher ones not at all where one of these can be used.
    pub order: u16,
    /// Lower ones are taken first.
    pub preference: u16,
    /// `s`: the replacement names SRV records.
    pub flags: Vec<u8>,
    /// Such as `SIP+D2U`.
    pub service: Vec<u8>,
    /// Empty in what RFC 3263 defines.
    pub regexp: Vec<u8>,
    /// The name of the SRV records.
    pub replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lower ones are tried first.
    pub priority: u16,
    /// The share among those of equal priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; `.`: the service is not offered.
    pub target: String,
}

impl Srv {
    /// The host, if it is one.
    pub(super) fn host(&self) -> Option<Arc<str>> {
        domain(self.target.as_bytes()).ok()
    }

    /// Whether it says that the service is not offered.
    pub(super) fn is_denial(&self) -> bool {
        matches!(self.target.as_str(), "." | "")
    }
}

/// The transport of a NAPTR service (RFC 3263 4.1, RFC 7118 8.4), and whether it is for SIPS.
fn service(name: &[u8]) -> Option<(Transport, bool)> {
    const SERVICES: [(&[u8], Transport, bool); 5] = [
        (b"SIP+D2U", Transport::Udp, false),
        (b"SIP+D2T", Transport::Tcp, false),
        (b"SIPS+D2T", Transport::Tls, true),
        (b"SIP+D2W", Transport::Ws, false),
        (b"SIPS+D2W", Transport::Wss, true),
    ];
    SERVICES
        .into_iter()
        .find(|(known, ..)| name.eq_ignore_ascii_case(known))
        .map(|(_, transport, secure)| (transport, secure))
}

/// The SRV names that the NAPTR records lead to, best first, each with its transport. `secure`: for
/// a SIPS URI.
pub(super) fn services(
    records: &[Naptr],
    secure: bool,
    supported: &[Transport],
) -> Vec<(Transport, Arc<str>)> {
    let usable = |record: &Naptr| {
        // RFC 3263 4.1: the record has an empty regular expression, and its replacement is an SRV name.
        let (transport, secured) = service(&record.service)
            .filter(|_| record.regexp.is_empty() && record.flags.eq_ignore_ascii_case(b"s"))?;
        // RFC 3263 4.1: for a SIPS URI what is not SIPS MUST be discarded, and so MUST be transports
        // that are not supported.
        let wanted = supported.contains(&transport) && (secured || !secure);
        let name = domain(record.replacement.as_bytes()).ok().filter(|_| wanted)?;
        Some(((record.order, record.preference), transport, name))
    };
    let mut found: Vec<_> = records.iter().filter_map(usable).collect();
    found.sort_by_key(|(rank, ..)| *rank);
    // RFC 3403 4.1: once a match is found, records of a higher order MUST NOT be considered.
    let order = found.first().map_or(0, |((order, _), ..)| *order);
    found
        .into_iter()
        .take_while(|((other, _), ..)| *other == order)
        .map(|(_, transport, name)| (transport, name))
        .collect()
}

/// The name of the SRV records of `name` for `transport` (RFC 3263 4.2; RFC 7118 for WebSocket).
pub(super) fn srv_name(name: &str, transport: Transport) -> Arc<str> {
    let (service, protocol) = match transport {
        Transport::Udp => ("_sip", "_udp"),
        Transport::Tcp => ("_sip", "_tcp"),
        // RFC 3263 4.2: whoever wishes to use TLS asks for `_sips`, for a SIP URI too.
        Transport::Tls => ("_sips", "_tcp"),
        Transport::Ws => ("_sip", "_ws"),
        Transport::Wss => ("_sips", "_ws"),
    };
    format!("{service}.{protocol}.{name}").into()
}

/// The order in which SRV records are tried (RFC 2782, *Usage rules*): by priority, and within one
/// priority drawn by weight.
pub(super) fn srv_order(mut records: Vec<Srv>, entropy: &mut dyn Entropy) -> Vec<Srv> {
    // RFC 2782: of one priority, those of weight 0 are placed first.
    records.sort_by_key(|record| (record.priority, record.weight != 0));
    records.truncate(RECORDS);
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let alike = records.iter().take_while(|record| record.priority == priority);
        let sum: u64 = alike.map(|record| u64::from(record.weight)).sum();
        // RFC 2782: a uniform random number between 0 and the sum, inclusive; the first record whose
        // running sum is not below it.
        let drawn = entropy.next_u64() % (sum + 1);
        let mut running = 0;
        let reaches = |record: &Srv| {
            running += u64::from(record.weight);
            running >= drawn
        };
        let at = records.iter().position(reaches).unwrap_or_default();
        ordered.push(records.remove(at));
    }
    ordered
}
