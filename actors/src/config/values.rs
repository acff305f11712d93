//! The values with a syntax of their own: listeners, domains, hosts, choices.

use super::raw::Raw;
use super::setting::{Mismatch, Setting, mismatch, quoted, text_setting};
use restante::machine::digest::Algorithm;
use restante::machine::sip::Transport;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// The text of a value was not understood; the key's error says what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed value")]
pub struct Malformed;

/// A domain or host name, in lower case, or an IP address (IPv6 in brackets), as in a SIP URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(String);

impl Domain {
    /// A name that is known to be good, in lower case.
    pub(super) fn known(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Domain {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr =
                inner.strip_suffix(']').ok_or(Malformed)?.parse().map_err(|_| Malformed)?;
            return Ok(Self(format!("[{address}]")));
        }
        let name = text.to_ascii_lowercase();
        let good = !name.is_empty() && name.len() <= 253 && name.split('.').all(is_label);
        if good { Ok(Self(name)) } else { Err(Malformed) }
    }
}

/// Whether `label` may stand between the dots of a host name.
fn is_label(label: &str) -> bool {
    let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    inner && !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
}

text_setting!(Domain, "a host name or an IP address, as example.com or [::1]");

/// The host, and perhaps the port, by which others reach a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// The host; IPv6 in brackets.
    pub host: Domain,
    /// The port, if not the listener's own.
    pub port: Option<u16>,
}

impl fmt::Display for Advertise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => write!(f, "{}", self.host),
        }
    }
}

impl FromStr for Advertise {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                let port: u16 = port.parse().map_err(|_| Malformed)?;
                if port == 0 {
                    return Err(Malformed);
                }
                Ok(Self { host: host.parse()?, port: Some(port) })
            }
            _ => Ok(Self { host: text.parse()?, port: None }),
        }
    }
}

text_setting!(Advertise, "a host, or host:port, as sip.example.com or [2001:db8::1]:5060");

/// An address to listen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listen {
    /// What is spoken there below SIP or MSRP.
    pub transport: Transport,
    /// The address; port 0 = any free one.
    pub address: SocketAddr,
}

impl Listen {
    /// Whether both cannot be bound at once: UDP or not, same port, and the same address, or one of them every
    /// address of the family.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (self.address, other.address);
        let same_family = a.is_ipv4() == b.is_ipv4();
        let same_host = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
        let same_kind = (self.transport == Transport::Udp) == (other.transport == Transport::Udp);
        same_kind && a.port() == b.port() && a.port() != 0 && same_family && same_host
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.label(), self.address)
    }
}

impl Setting for Listen {
    fn expected() -> String {
        String::from("a listener, as udp:127.0.0.1:5060, tls:0.0.0.0:5061 or tcp:[::1]:0")
    }

    fn read(raw: &Raw) -> Result<Self, Mismatch> {
        let text = raw.text().ok_or_else(|| mismatch::<Self>(raw))?;
        let (scheme, address) = text.split_once(':').ok_or_else(|| mismatch::<Self>(raw))?;
        let address: SocketAddr = address.parse().map_err(|_| mismatch::<Self>(raw))?;
        let transport = Transport::parse(scheme.as_bytes()).ok_or_else(|| mismatch::<Self>(raw))?;
        Ok(Self { transport, address })
    }

    fn show(&self) -> String {
        quoted(self)
    }
}

/// Loopback listeners, for defaults.
pub(super) fn listeners(of: &[(Transport, u16)]) -> Vec<Listen> {
    let at = |(transport, port): &(Transport, u16)| Listen {
        transport: *transport,
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, *port)),
    };
    of.iter().map(at).collect()
}

/// Defaults that take more than a word.
pub(super) mod defaults {
    use super::{IpAddr, Ipv4Addr, Ipv6Addr, TrustedPeer};
    use ipnet::{IpNet, Ipv4Net};

    /// 127.0.0.0/8 and ::1/128.
    pub fn loopback() -> Vec<TrustedPeer> {
        let v4 = Ipv4Net::new(Ipv4Addr::new(127, 0, 0, 0), 8).map(IpNet::V4).ok();
        let both = v4.into_iter().chain([IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST))]);
        both.map(TrustedPeer::Network).collect()
    }

    /// What says something of the moment alone: that somebody types (RFC 3994), that he is still there (as
    /// msrp-node-lib sends it every five seconds).
    pub fn of_the_moment() -> Vec<String> {
        ["application/im-iscomposing+xml", "text/x-msrp-heartbeat"].map(String::from).to_vec()
    }
}

/// A peer that is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustedPeer {
    /// Whoever connects from there.
    Network(ipnet::IpNet),
    /// Whoever shows a certificate for this domain, signed by an authority of `[tls] client_ca`.
    Certificate(Domain),
}

impl fmt::Display for TrustedPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Certificate(domain) => write!(f, "cert:{domain}"),
        }
    }
}

impl FromStr for TrustedPeer {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text.strip_prefix("cert:") {
            Some(domain) => domain.parse().map(Self::Certificate),
            None => text.parse().map(Self::Network).map_err(|_| Malformed),
        }
    }
}

text_setting!(TrustedPeer, "a network, as 10.0.0.0/8 or ::1/128, or cert: and the domain of a certificate");

/// Where items are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// In a folder of this machine, by the engine that is built in.
    Embedded(PathBuf),
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(folder) => write!(f, "embedded:{}", folder.display()),
        }
    }
}

impl Setting for StoreUrl {
    fn expected() -> String {
        String::from("embedded: and a folder, as embedded:./restante-data")
    }

    fn read(raw: &Raw) -> Result<Self, Mismatch> {
        let text = raw.text().ok_or_else(|| mismatch::<Self>(raw))?;
        match text.split_once(':') {
            Some(("embedded", folder)) if !folder.is_empty() => Ok(Self::Embedded(PathBuf::from(folder))),
            // The rest of the URL may hold a password: it is not repeated.
            Some((scheme @ ("postgres" | "postgresql"), _)) => Err(Mismatch::Unsupported {
                value: format!("{scheme}://"),
                feature: "PostgreSQL",
                instead: "use embedded:<folder>",
            }),
            _ => Err(mismatch::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        quoted(self)
    }
}

/// Declares an enum whose values are words, compared without case.
macro_rules! choice {
    ($(#[doc = $about:literal])+ $Choice:ident, $expected:literal { $( $(#[doc = $doc:literal])+ $Variant:ident = $word:literal, )+ }) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $Choice { $( $(#[doc = $doc])+ $Variant, )+ }

        impl $Choice {
            /// Every choice, in order.
            pub const ALL: &'static [Self] = &[$(Self::$Variant),+];

            /// The word for it.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$Variant => $word, )+ }
            }
        }

        impl fmt::Display for $Choice {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $Choice {
            type Err = Malformed;

            fn from_str(text: &str) -> Result<Self, Malformed> {
                Self::ALL.iter().copied().find(|choice| choice.as_str().eq_ignore_ascii_case(text)).ok_or(Malformed)
            }
        }

        text_setting!($Choice, $expected);
    };
}

choice! {
    /// When NOTIFYs list the headers of items.
    SummaryHeaders, "pending, added or none" {
        /// The first NOTIFY lists every new item, later ones those added since.
        Pending = "pending",
        /// Only what was added since the last NOTIFY: nothing in the first one.
        Added = "added",
        /// Never.
        None = "none",
    }
}

choice! {
    /// A header of an item that a NOTIFY can list, spelled as it is written there.
    SummaryField, "To, From, Subject, Date, Priority or Message-ID" {
        /// To whom.
        To = "To",
        /// From whom.
        From = "From",
        /// About what.
        Subject = "Subject",
        /// When it was sent.
        Date = "Date",
        /// How urgent.
        Priority = "Priority",
        /// By which id it is retrieved.
        MessageId = "Message-ID",
    }
}

choice! {
    /// What becomes of an item that was retrieved.
    After, "keep or delete" {
        /// It stays, as an old one, until it expires.
        Keep = "keep",
        /// It goes.
        Delete = "delete",
    }
}

choice! {
    /// An algorithm of digest for which the users file holds hashes.
    DigestAlgorithm, "SHA-256 or MD5" {
        /// SHA-256.
        Sha256 = "SHA-256",
        /// MD5, for old clients.
        Md5 = "MD5",
    }
}

impl DigestAlgorithm {
    /// As the machine knows it.
    pub const fn algorithm(self) -> Algorithm {
        match self {
            Self::Sha256 => Algorithm::Sha256,
            Self::Md5 => Algorithm::Md5,
        }
    }
}

choice! {
    /// How log lines are written.
    LogFormat, "text or json" {
        /// For people.
        Text = "text",
        /// A JSON object a line.
        Json = "json",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "values_tests.rs"]
mod tests;
