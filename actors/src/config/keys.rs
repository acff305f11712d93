//! Every section and key, declared once: name, type, default, meaning.
//!
//! The doc comment of a key is what `restante config` and `docs/operations.md` print as its meaning.

use super::raw::Raw;
use super::setting::{Mismatch, Setting};
use super::values::{defaults, listeners};
use super::{
    Advertise, After, DigestAlgorithm, Domain, Listen, LogFilter, LogFormat, Size, StoreUrl, SummaryField,
    SummaryHeaders, TrustedPeer, UserRule,
};
use restante::machine::sip::Transport;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// One key as it is shown to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The section, `sip`.
    pub section: &'static str,
    /// What the section is about.
    pub about: &'static [&'static str],
    /// The key within its section, `max_headers`.
    pub name: &'static str,
    /// The lines of its meaning.
    pub meaning: &'static [&'static str],
    /// What a value looks like: "a number".
    pub expected: String,
    /// Its value, as TOML text.
    pub value: String,
}

macro_rules! sections {
    ($( $(#[doc = $about:literal])+ $section:ident : $Section:ident {
        $( $(#[doc = $meaning:literal])+ $key:ident : $kind:ty = $default:expr; )+
    } )+) => {
        /// All that can be configured, by section.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Config { $( $(#[doc = $about])+ pub $section: $Section, )+ }

        $(
            $(#[doc = $about])+
            #[derive(Clone, Debug, PartialEq)]
            pub struct $Section { $( $(#[doc = $meaning])+ pub $key: $kind, )+ }

            impl $Section {
                const ABOUT: &'static [&'static str] = &[$($about),+];
            }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $( $key: $default, )+ }
                }
            }
        )+

        impl Config {
            /// Sets one key from what a file or the environment says; `None` if there is no such key.
            pub(super) fn set(&mut self, section: &str, key: &str, raw: &Raw) -> Option<Result<(), Mismatch>> {
                match (section, key) {
                    $($( (stringify!($section), stringify!($key)) => {
                        Some(Setting::read(raw).map(|value: $kind| self.$section.$key = value))
                    } )+)+
                    _ => None,
                }
            }

            /// Every key with its present value, in the order of declaration.
            pub fn keys(&self) -> Vec<Key> {
                vec![$($( Key {
                    section: stringify!($section),
                    about: $Section::ABOUT,
                    name: stringify!($key),
                    meaning: &[$($meaning),+],
                    expected: <$kind as Setting>::expected(),
                    value: self.$section.$key.show(),
                }, )+)+]
            }
        }
    };
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

sections! {
    /// What the node serves.
    node: Node {
        /// Domains whose recipients' deferred messages are kept: sip:*@example.com. The first one names the mailbox
        /// of a user who is addressed at `store_host`.
        domains: Vec<Domain> = vec![Domain::known("example.com")];
        /// Host of message URIs and of Message-Account; not one of `domains`.
        store_host: Domain = Domain::known("mailserver.example.com");
        /// Users who have a mailbox: `bob` (in every domain) or `bob@example.com`, escaped as in a SIP URI.
        /// Empty: every user of the domains.
        users: Vec<UserRule> = Vec::new();
        /// Session cores (shards); 0 = one per core of the machine.
        workers: usize = 0;
        /// How long a stopping node waits for sessions to end after their BYE.
        drain: Duration = seconds(7);
    }
    /// SIP listeners, limits and timers.
    sip: Sip {
        /// Addresses to listen at: `udp:`, `tcp:`, `tls:` (usual port 5061), `ws:` or `wss:` (WebSocket, RFC 7118) with
        /// an IP address and port; IPv6 in brackets, port 0 = any free one. `tls:` and `wss:` need `[tls] certificate`.
        listen: Vec<Listen> = listeners(&[(Transport::Udp, 5060), (Transport::Tcp, 5060)]);
        /// Host, or host:port, to write into Via and Contact; empty = the address that was asked (a Via names the
        /// listener's, or, where that is all addresses, `store_host`). The port is that of `udp:` and `tcp:` listeners;
        /// others write their own.
        advertise: Option<Advertise> = None;
        /// Size of one SIP message with its header fields; more is answered 413.
        max_message: Size = Size::kib(512);
        /// Number of header fields of one SIP message.
        max_headers: usize = 128;
        /// Size of the body of any request; more is answered 413. A URI-list of a thousand entries must fit.
        max_body: Size = Size::kib(256);
        /// Timer T1 of RFC 3261: estimate of the round trip.
        t1: Duration = Duration::from_millis(500);
        /// Timer T2 of RFC 3261: longest interval between retransmissions.
        t2: Duration = seconds(4);
        /// Timer T4 of RFC 3261: how long a message may stay in the network.
        t4: Duration = seconds(5);
        /// Open SIP connections of the node. A sixteenth of them, at least 4 and at most the half, is kept for addresses that
        /// `[trust] peers` names. Beyond, a request is answered 503, by 64 connections at a time; others, and what begins with
        /// a handshake, are closed at once.
        max_connections: usize = 10_000;
        /// Open SIP connections from one address; peers that `[trust] peers` names are exempt.
        max_connections_per_address: usize = 100;
        /// A SIP connection on which nothing came for so long is closed.
        idle_timeout: Duration = seconds(10 * MINUTE);
        /// A message that has begun on a connection must be complete within this time, else the connection is closed.
        request_timeout: Duration = seconds(10);
        /// SIP transactions alive at once on one core; further requests are answered 503.
        max_transactions: usize = 250_000;
        /// Requests in work at once on the node, waiting for the store or a session, deposits and all others counted
        /// apart; further ones are answered 503.
        max_inflight: usize = 4_096;
        /// While answers take longer than this, fewer requests are let in at once than `max_inflight`, and the others
        /// answered 503.
        target_delay: Duration = Duration::from_millis(250);
        /// A request that the store has not served within this time is answered 503.
        answer_within: Duration = seconds(10);
        /// Where a name stands for several servers, one that does not answer or cannot be reached is tried last for so
        /// long; up to eight times as long if it goes on so. 0 = each request begins with the first.
        avoid_failed: Duration = seconds(MINUTE);
    }
    /// MSRP listeners and limits.
    msrp: Msrp {
        /// Addresses to listen at: `tcp:`, `tls:` (MSRPS), `ws:` or `wss:` (WebSocket, RFC 7977) with an IP address and
        /// port; IPv6 in brackets, port 0 = any free one. `tls:` and `wss:` need `[tls] certificate`.
        listen: Vec<Listen> = listeners(&[(Transport::Tcp, 2855)]);
        /// Host, or host:port, to write into a=path; empty = the address that was asked, where there is a listener, else
        /// that of one near it. The port is that of `tcp:` listeners; others write their own.
        advertise: Option<Advertise> = None;
        /// Size of the header of one MSRP frame.
        max_header: Size = Size::kib(8);
        /// Size of one MSRP message that is deposited; more is answered 413.
        max_message: Size = Size::gib(1);
        /// Bytes of one chunk that the node sends; a chunk is interruptible at any byte.
        max_chunk: Size = Size::kib(64);
        /// Messages of one session that may be arriving at once.
        max_incoming: usize = 16;
        /// Open MSRP connections of the node; beyond, INVITEs are answered 503, and connections closed at once.
        max_connections: usize = 10_000;
        /// Open MSRP connections from one address; peers that `[trust] peers` names are exempt.
        max_connections_per_address: usize = 100;
        /// An MSRP session in which nothing moved for so long is ended with a BYE.
        idle_timeout: Duration = seconds(30 * MINUTE);
        /// A session that has no connection, and a connection that has no session, end after this time.
        bind_timeout: Duration = seconds(30);
        /// How long a session whose connection broke waits for a re-INVITE that brings another; 0 = not at all: it
        /// ends with a BYE at once.
        rejoin_timeout: Duration = seconds(0);
        /// How long the node waits for the response to a SEND (RFC 4975: 30 seconds), while none comes to those
        /// before it either.
        transaction_timeout: Duration = seconds(30);
    }
    /// TLS for SIP and MSRP. The files are PEM; they are read again when they change, and on SIGHUP.
    tls: Tls {
        /// File of the node's certificate, followed by those that certify it; empty = no `tls:` or `wss:` listener.
        certificate: Option<PathBuf> = None;
        /// File of the certificate's private key.
        key: Option<PathBuf> = None;
        /// File of the authorities whose SIP client certificates are believed; empty = none is asked for.
        client_ca: Option<PathBuf> = None;
        /// File of authorities that are believed beside the platform's, for TLS connections that the node opens.
        roots: Option<PathBuf> = None;
        /// How often the files are looked at for changes.
        reload: Duration = seconds(10);
        /// How long a TLS or WebSocket handshake may take.
        handshake_timeout: Duration = seconds(10);
        /// Handshakes under way at once, of SIP and of MSRP each; further connections are closed.
        max_handshakes: usize = 1_000;
    }
    /// What `ws:` and `wss:` listeners demand and bear.
    websocket: Websocket {
        /// The path of the WebSocket; others are answered 404.
        path: String = String::from("/");
        /// Origins whose pages may connect, as `https://www.example.com`; empty = any.
        origins: Vec<String> = Vec::new();
        /// How often a silent client is pinged; after three times as long it is given up.
        ping: Duration = seconds(30);
        /// Size of one WebSocket message, which is one MSRP chunk; more ends the connection. A chunk is in memory until it is whole, and nothing tells a client of this bound: one that sends larger chunks, as RFC 4975 7.1.1 allows, needs it raised. (For SIP: `[sip] max_message`.)
        max_message: Size = Size::mib(1);
    }
    /// What may be deposited, and how long it is kept.
    deposit: Deposit {
        /// Content types of messages that are answered as if stored (202, in a session 200) and are not. What stands here takes the place
        /// of the default; application/im-iscomposing+xml is one of them in any case.
        ignore_types: Vec<String> = defaults::of_the_moment();
        /// Size of the body of a pager message; more is answered 413.
        max_body: Size = Size::kib(64);
        /// Items one mailbox may hold; 0 = no limit.
        quota_items: u64 = 10_000;
        /// Bytes one mailbox may hold, of content and of what is kept with the messages of sessions; 0 = no limit.
        quota_bytes: Size = Size::gib(1);
        /// Percent of that which one sender may take of a mailbox: the rest is for everybody else. 100 = all of it.
        sender_share: u64 = 80;
        /// Items of full size (`max_body`) that one sender may always have in a mailbox with room, whatever his share.
        sender_least: u64 = 100;
        /// How long an item is kept that names no time of its own (Expires).
        lifetime: Duration = seconds(30 * DAY);
        /// The longest time an item may ask for.
        max_lifetime: Duration = seconds(365 * DAY);
        /// How long a deposit is remembered, so that its repetition is answered and not stored again.
        remember: Duration = seconds(7 * DAY);
        /// Messages one deposited session may hold.
        max_messages: usize = 10_000;
        /// Sessions being deposited at once for one mailbox.
        sessions_per_user: usize = 20;
        /// Sessions being deposited at once on the node.
        sessions_total: usize = 10_000;
    }
    /// The message-summary notifications (RFC 3842).
    summary: Summary {
        /// Item headers in NOTIFYs: `pending` (the first lists every new item), `added` (RFC 3842 to the letter:
        /// nothing in the first one), `none`.
        headers: SummaryHeaders = SummaryHeaders::Pending;
        /// Which headers of an item are listed: of a Subject 1 KiB (an eighth of `max_body`, where that is less), the others
        /// whole or, above that, not; the Message-ID always whole.
        fields: Vec<SummaryField> = SummaryField::ALL.to_vec();
        /// Items listed in one NOTIFY; the rest follow in the next ones.
        max_items: usize = 100;
        /// Size of the body of one NOTIFY; what is more follows in the next ones. Some take less: `3KiB` for clients made with
        /// PJSIP, `12KiB` for Kamailio. Less than 48 KiB holds for the state of retrievals, too, which else has 512 KiB where a
        /// connection carries it.
        max_body: Size = Size::kib(48);
        /// Shortest time between two NOTIFYs of one subscription; changes in between are merged.
        min_interval: Duration = seconds(1);
        /// Duration of a subscription that asks for none.
        expires: Duration = seconds(HOUR);
        /// Shortest subscription granted; less is answered 423. Above an hour it counts as an hour (RFC 6665 4.2.1.1).
        min_expires: Duration = seconds(MINUTE);
        /// Longest subscription granted.
        max_expires: Duration = seconds(DAY);
        /// Subscriptions to one mailbox at once. One by WebSocket ends 30 s after its connection, unless it is refreshed by another, and makes room at once for a new one.
        subscriptions_per_user: usize = 20;
    }
    /// Retrieval by INVITE.
    retrieval: Retrieval {
        /// What becomes of an item that was retrieved: `keep` (until it expires) or `delete`.
        after: After = After::Keep;
        /// Entries the URI-lists of one INVITE may have together; more is answered 413.
        max_list: usize = 1_000;
        /// Bytes of content that each item may be read ahead of what the client has taken.
        window: Size = Size::kib(64);
        /// Retrievals of one user at once; further ones are answered 480.
        sessions_per_user: usize = 10;
        /// Retrievals of the node at once; further ones are answered 503.
        sessions_total: usize = 10_000;
    }
    /// Where items are kept.
    store: Store {
        /// `embedded:` and a folder, which is made if absent, with mode 0700.
        url: StoreUrl = StoreUrl::Embedded(PathBuf::from("./restante-data"));
        /// Up to this size a message of a session is gathered in memory before it goes to the store; a larger one is
        /// written as it comes. At most 32 KiB, up to where the store keeps content in its records.
        inline_limit: Size = Size::kib(32);
        /// Operations that may wait for the store; one more is refused, and its request answered 503.
        queue: usize = 8_192;
        /// Operations written to the disk at once, with one sync.
        batch: usize = 1_024;
        /// Size of content after which no further operation is taken into a batch.
        batch_size: Size = Size::mib(8);
    }
    /// Who is believed.
    trust: Trust {
        /// Peers believed without challenge: identity = P-Asserted-Identity, else From. Networks, or `cert:` and the
        /// domain of a client certificate that an authority of `[tls] client_ca` has signed.
        peers: Vec<TrustedPeer> = defaults::loopback();
        /// Whether the From of a peer's request says who calls where it has no P-Asserted-Identity. If not, such a request may leave messages,
        /// and is answered 403 where it asks for any: for peers that pass on what they do not authenticate.
        from: bool = true;
        /// Realm of the digest challenge that everyone else has to answer.
        realm: String = String::from("example.com");
    }
    /// Who is not trusted proves who he is, by digest (RFC 7616).
    auth: Auth {
        /// File of those who may, written by `restante user` and read anew when it changes; empty = nobody.
        users: Option<PathBuf> = None;
        /// The algorithms that are offered, the preferred one first: `SHA-256`, `MD5`. What is not offered is not taken. Clients made
        /// with Sofia-SIP authenticate only where `MD5` is alone, SIPp where it is first.
        algorithms: Vec<DigestAlgorithm> = DigestAlgorithm::ALL.to_vec();
        /// How long a nonce is good; with an older one a client is challenged again, and told that it is stale.
        nonce_lifetime: Duration = seconds(5 * MINUTE);
        /// Failed authentications of one address (IPv6: of one /64) within `failure_window` before it is answered
        /// 403 for `block`; 0 = never.
        max_failures: u32 = 30;
        /// The time in which failures are counted.
        failure_window: Duration = seconds(MINUTE);
        /// How long an address is refused that failed too often.
        block: Duration = seconds(MINUTE);
    }
    /// How much may be asked for; more is answered 503 (an address) or 480 (a user), with Retry-After.
    rates: Rates {
        /// Requests a second from one address (IPv6: from one /64) that `[trust] peers` does not name; 0 = no limit.
        requests_per_address: u32 = 200;
        /// Requests a second of one user who has proved who he is; 0 = no limit.
        requests_per_user: u32 = 100;
        /// Messages and sessions that one such user may leave a second; 0 = no limit.
        deposits_per_user: u32 = 50;
        /// So many seconds' worth may come at once.
        burst: Duration = seconds(10);
        /// Whether the two rates for users hold for those whom a trusted peer asserts, too.
        trusted_users: bool = false;
    }
    /// How names are found (RFC 3263).
    dns: Dns {
        /// DNS servers to ask, with their ports; empty = the system's (`/etc/resolv.conf`, read at start).
        servers: Vec<SocketAddr> = Vec::new();
        /// How long one question to the DNS may take, its repetitions included; a name takes at most three in a row (NAPTR, SRV, addresses), and what is not answered is done without. Once a host has addresses of one family, those of the other are waited for half a second. What is not answered within a second makes room for others, and where very many ask a question waits for its turn, 15 seconds at most.
        timeout: Duration = seconds(5);
    }
    /// Metrics, health and records.
    http: Http {
        /// Address of /metrics, /healthz/live, /healthz/ready and /records; empty = off.
        listen: Option<SocketAddr> = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
        /// How many of the last messages /records tells, for `restante ladder`; 0 = none are kept.
        records: usize = 4096;
    }
    /// The log, on stderr.
    log: Log {
        /// `text` or `json`.
        format: LogFormat = LogFormat::Text;
        /// `error`, `warn`, `info`, `debug`, `trace`, `off`, or directives as in RUST_LOG, which overrides it.
        level: LogFilter = LogFilter::info();
        /// Whether addresses of record are written out; else a short keyed hash stands in their place.
        addresses: bool = false;
    }
}
