//! Offers and answers for MSRP (RFC 4975 8, RFC 6135), the tests' own.

use super::clock::fresh;
use std::net::{IpAddr, SocketAddr};

/// What the tests' side says in an offer, or in an answer.
#[derive(Clone, Debug)]
pub struct Offer {
    pub setup: Option<&'static str>,
    pub accept_types: String,
    pub wrapped: Option<String>,
    pub max_size: Option<u64>,
    pub direction: Option<&'static str>,
}

impl Offer {
    /// The client opens the connection, and says so.
    pub fn active() -> Self {
        Self {
            setup: Some("active"),
            accept_types: "message/cpim text/plain *".into(),
            wrapped: Some("*".into()),
            max_size: None,
            direction: None,
        }
    }

    /// A client of RFC 4975, without RFC 6135.
    pub fn plain() -> Self {
        Self { setup: None, ..Self::active() }
    }

    pub fn passive() -> Self {
        Self { setup: Some("passive"), ..Self::active() }
    }

    pub fn actpass() -> Self {
        Self { setup: Some("actpass"), ..Self::active() }
    }

    /// Takes only these types, and nothing wrapped unless they hold message/cpim.
    pub fn accepts(mut self, types: &str) -> Self {
        self.accept_types = types.to_owned();
        self.wrapped = None;
        self
    }

    pub fn wrapped(mut self, types: &str) -> Self {
        self.wrapped = Some(types.to_owned());
        self
    }

    pub fn direction(mut self, direction: &'static str) -> Self {
        self.direction = Some(direction);
        self
    }

    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = Some(bytes);
        self
    }

    /// The session description; `here` is where the client listens, and `path` its MSRP URI.
    pub fn sdp(&self, here: SocketAddr, path: &str) -> String {
        let (family, ip) = match here.ip() {
            IpAddr::V4(ip) => ("IP4", ip.to_string()),
            IpAddr::V6(ip) => ("IP6", ip.to_string()),
        };
        let port = if self.setup == Some("active") { 9 } else { here.port() };
        let mut text = format!(
            "v=0\r\no=- 2890844526 2890844527 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
             m=message {port} TCP/MSRP *\r\na=accept-types:{}\r\n",
            self.accept_types
        );
        let optional = [
            self.wrapped.as_ref().map(|types| format!("accept-wrapped-types:{types}")),
            self.max_size.map(|size| format!("max-size:{size}")),
            self.setup.map(|setup| format!("setup:{setup}")),
            self.direction.map(str::to_owned),
            Some(format!("path:{path}")),
        ];
        for attribute in optional.into_iter().flatten() {
            text.push_str(&format!("a={attribute}\r\n"));
        }
        text
    }
}

/// A new MSRP URI at this address.
pub fn msrp_uri(here: SocketAddr) -> String {
    format!("msrp://{here}/{};tcp", fresh("client"))
}

/// What the node said in its session description.
#[derive(Clone, Debug)]
pub struct Answer {
    pub text: String,
    pub path: String,
    pub port: u16,
    pub setup: Option<String>,
    pub accept_types: Vec<String>,
    pub max_size: Option<u64>,
}

impl Answer {
    /// Reads a session description with exactly one media line, which is MSRP.
    pub fn parse(body: &[u8]) -> Self {
        let text = String::from_utf8(body.to_vec()).expect("SDP is text");
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(lines[0], "v=0", "{text}");
        for kind in ["o=", "s=", "t="] {
            assert!(lines.iter().any(|line| line.starts_with(kind)), "{kind} in {text}");
        }
        let media: Vec<&&str> = lines.iter().filter(|line| line.starts_with("m=")).collect();
        assert_eq!(media.len(), 1, "{text}");
        let words: Vec<&str> = media[0].split(' ').collect();
        assert_eq!((words[0], words[2], words[3]), ("m=message", "TCP/MSRP", "*"), "{text}");
        let attribute = |name: &str| {
            let found = lines.iter().find_map(|line| line.strip_prefix(&format!("a={name}:")));
            found.map(|value| value.trim().to_owned())
        };
        Self {
            path: attribute("path").expect("RFC 4975 8.1: a=path"),
            port: words[1].parse().expect("a port"),
            setup: attribute("setup"),
            accept_types: attribute("accept-types")
                .expect("RFC 4975 8.6: a=accept-types")
                .split(' ')
                .map(str::to_owned)
                .collect(),
            max_size: attribute("max-size").map(|size| size.parse().unwrap()),
            text,
        }
    }

    /// The version of the o= line.
    pub fn version(&self) -> u64 {
        self.text.lines().find_map(|line| line.strip_prefix("o=")?.split(' ').nth(2)?.parse().ok()).unwrap()
    }

    /// Whether there is this line.
    pub fn says(&self, line: &str) -> bool {
        self.text.lines().any(|said| said == line)
    }

    /// Host and port of the path.
    pub fn address(&self) -> SocketAddr {
        uri_address(&self.path)
    }
}

/// Host and port of an MSRP URI with an IP address.
pub fn uri_address(uri: &str) -> SocketAddr {
    let rest = uri.strip_prefix("msrp://").unwrap_or_else(|| panic!("not an MSRP URI: {uri}"));
    rest.split('/').next().unwrap().parse().unwrap_or_else(|_| panic!("no address in {uri}"))
}
