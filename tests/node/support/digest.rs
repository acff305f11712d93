//! The answer to a digest challenge, by hand from RFC 7616 3.4: the tests' own code over the plain hash functions.

use super::sip::Msg;
use sha2::Digest as _;

/// `H(text)` in hexadecimal digits.
pub fn hash(algorithm: &str, text: &str) -> String {
    let bytes: Vec<u8> = match algorithm {
        "SHA-256" => sha2::Sha256::digest(text).to_vec(),
        "MD5" => md5::Md5::digest(text).to_vec(),
        other => panic!("no hash {other}"),
    };
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a challenge says.
#[derive(Clone, Debug)]
pub struct Challenge {
    pub realm: String,
    pub nonce: String,
    pub algorithm: String,
    pub stale: bool,
}

impl Challenge {
    /// The challenges of a 401, in order.
    pub fn all(response: &Msg) -> Vec<Self> {
        assert_eq!(response.status(), 401, "{response}");
        response.all("WWW-Authenticate").iter().map(|text| Self::parse(text)).collect()
    }

    /// The challenge of a proxy.
    pub fn of_proxy(response: &Msg) -> Self {
        assert_eq!(response.status(), 407, "{response}");
        Self::parse(&response.need("Proxy-Authenticate"))
    }

    fn parse(text: &str) -> Self {
        let text = text.strip_prefix("Digest ").unwrap_or_else(|| panic!("not Digest: {text}"));
        let value = |name: &str| {
            text.split(", ").find_map(|param| param.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        let quoted = |name: &str| {
            let value = value(name).unwrap_or_else(|| panic!("no {name}: {text}"));
            value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).expect("quotes").to_owned()
        };
        assert_eq!(quoted("qop"), "auth", "RFC 8760 2.6: always with qop");
        Self {
            realm: quoted("realm"),
            nonce: quoted("nonce"),
            // RFC 7616 3.3: where there is none it is MD5.
            algorithm: value("algorithm").unwrap_or_else(|| "MD5".to_owned()),
            stale: value("stale").is_some_and(|stale| stale == "true"),
        }
    }

    /// An answer for the request line `method uri`, before anything is changed in it.
    pub fn answer(&self, user: &str, password: &str, method: &str, uri: &str) -> Answer {
        let Self { realm, nonce, algorithm, .. } = self.clone();
        Answer {
            a1: format!("{user}:{realm}:{password}"),
            username: user.to_owned(),
            realm,
            nonce,
            algorithm,
            method: method.to_owned(),
            uri: uri.to_owned(),
            nc: 1,
            cnonce: "0a4f113b".to_owned(),
            qop: "auth".to_owned(),
        }
    }
}

/// Credentials in the making.
#[derive(Clone, Debug)]
pub struct Answer {
    pub a1: String,
    pub username: String,
    pub realm: String,
    pub nonce: String,
    pub algorithm: String,
    pub method: String,
    pub uri: String,
    pub nc: u32,
    pub cnonce: String,
    pub qop: String,
}

impl Answer {
    pub fn response(&self) -> String {
        let h = |text: &str| hash(&self.algorithm, text);
        let a2 = h(&format!("{}:{}", self.method, self.uri));
        let Self { nonce, nc, cnonce, qop, .. } = self;
        h(&format!("{}:{nonce}:{nc:08x}:{cnonce}:{qop}:{a2}", h(&self.a1)))
    }

    /// The value of the Authorization field.
    pub fn value(&self) -> String {
        let Self { username, realm, nonce, algorithm, uri, nc, cnonce, qop, .. } = self;
        format!(
            "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{}\", algorithm={algorithm}, cnonce=\"{cnonce}\", qop={qop}, nc={nc:08x}",
            self.response()
        )
    }
}

/// The same request again as RFC 3261 22.2 wants it: another branch, a higher CSeq, credentials.
pub fn authorized(request: &Msg, via: &str, authorization: &str) -> Msg {
    again(request, via, "Authorization", authorization)
}

/// As [`authorized`], for a proxy.
pub fn proxy_authorized(request: &Msg, via: &str, authorization: &str) -> Msg {
    again(request, via, "Proxy-Authorization", authorization)
}

fn again(request: &Msg, via: &str, field: &str, credentials: &str) -> Msg {
    let cseq = request.need("CSeq");
    let (number, method) = cseq.split_once(' ').unwrap();
    let number: u32 = number.parse::<u32>().unwrap() + 1;
    request
        .clone()
        .with("Via", via)
        .with("CSeq", format!("{number} {method}"))
        .without(field)
        .add(field, credentials)
}
