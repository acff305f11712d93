//! [`Verifier`]: the server's side; challenges, and judges credentials (RFC 3261 22.1, 22.2, RFC 7616 3.3,
//! 3.4, RFC 8760 2.3). It keeps nothing of a challenge: whoever passes is told by [`Verdict::Proven`], whose
//! nonce count must then be taken from [`super::Replays`].

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use subtle::ConstantTimeEq;

use super::algorithm::{Algorithm, Digested, Secrets};
use super::nonce::{NonceId, NonceKey};
use crate::entropy::Entropy;
use crate::time::Instant;
use crate::wire::sip::{Challenge, Credentials, HeaderName, Method, Request, SipUri, realm_of};

/// Authorization fields of one request that are looked at.
const MOST_FIELDS: usize = 8;

/// A realm's challenges and their answers.
#[derive(Debug)]
pub struct Verifier {
    realm: Bytes,
    key: NonceKey,
    lifetime: Duration,
    /// What is offered, in the order of preference (RFC 8760 2.3).
    offered: Box<[Algorithm]>,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The address.
    pub peer: IpAddr,
    /// Whether a handshake has shown that the peer receives there; a datagram's source can be forged.
    pub proven: bool,
}

/// What the credentials of a request are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There are none for this realm: to be challenged.
    Absent,
    /// Their nonce is not of use any more: to be challenged with `stale`.
    Stale,
    /// They cannot be read, or do not fit the request: 400 with this reason.
    Improper(&'static str),
    /// They are wrong: to be challenged anew, and counted against the peer.
    Wrong(Cause),
    /// The user has the password.
    Proven(Proof),
}

/// Who has shown that he is who he says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The user name as it was sent.
    pub username: Bytes,
    /// The nonce.
    pub nonce: NonceId,
    /// The nonce count.
    pub nc: u32,
}

/// Why an attempt to authenticate failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// There is no such user.
    UnknownUser,
    /// The digest does not match.
    WrongPassword,
    /// The user is not who the request claims to be from.
    NotSender,
}

impl Cause {
    /// One word for the log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown-user",
            Self::WrongPassword => "wrong-password",
            Self::NotSender => "not-sender",
        }
    }
}

impl Verifier {
    /// The verifier of `realm`, whose nonces live for `lifetime`; it offers these algorithms, each once and the preferred one
    /// first, and takes no other.
    #[must_use]
    pub fn new(
        realm: impl Into<Bytes>,
        key: NonceKey,
        lifetime: Duration,
        offered: impl Into<Box<[Algorithm]>>,
    ) -> Self {
        Self { realm: realm.into(), key, lifetime, offered: offered.into() }
    }

    /// The challenges for `peer`, the preferred one first. Each has a nonce of its own, so that the answer
    /// to one is none to the other.
    #[must_use]
    pub fn challenges(
        &self,
        peer: IpAddr,
        stale: bool,
        now: Instant,
        entropy: &mut dyn Entropy,
    ) -> Vec<Challenge> {
        let challenge = |algorithm: &Algorithm| Challenge {
            realm: self.realm.clone(),
            nonce: self.key.mint(*algorithm, peer, now, entropy).into(),
            opaque: None,
            algorithm: Some(Bytes::from_static(algorithm.name().as_bytes())),
            // RFC 8760 2.6: MUST always send qop.
            qop: vec![Bytes::from_static(b"auth")],
            stale,
            userhash: false,
        };
        self.offered.iter().map(challenge).collect()
    }

    /// Judges a request's credentials; `secrets` finds those of a user name.
    #[must_use]
    pub fn judge<'s>(
        &self,
        request: &Request,
        source: Source,
        now: Instant,
        secrets: impl FnOnce(&[u8]) -> Option<&'s Secrets>,
    ) -> Verdict {
        let (credentials, algorithm) = match self.credentials(request) {
            Ok(found) => found,
            Err(verdict) => return verdict,
        };
        if let Some(problem) = improper(&credentials, request) {
            return Verdict::Improper(problem);
        }
        self.weigh(credentials, algorithm, request.method.as_bytes(), source, now, secrets)
    }

    /// Judges the credentials of an ACK, which are those of its INVITE (RFC 3261 13.2.2.4): made for another
    /// method and another URI. Their nonce count was taken with the INVITE and is not to be taken again.
    #[must_use]
    pub fn judge_ack<'s>(
        &self,
        ack: &Request,
        source: Source,
        now: Instant,
        secrets: impl FnOnce(&[u8]) -> Option<&'s Secrets>,
    ) -> Verdict {
        match self.credentials(ack) {
            Ok((credentials, algorithm)) => {
                self.weigh(credentials, algorithm, Method::Invite.as_bytes(), source, now, secrets)
            }
            Err(verdict) => verdict,
        }
    }

    /// Judges whether credentials are made with the user's password, for a request of this method.
    fn weigh<'s>(
        &self,
        credentials: Credentials,
        algorithm: Algorithm,
        method: &[u8],
        source: Source,
        now: Instant,
        secrets: impl FnOnce(&[u8]) -> Option<&'s Secrets>,
    ) -> Verdict {
        let id = self.key.open(&credentials.nonce, algorithm, source.peer);
        if id.is_none() && !source.proven {
            // No word about the password to somebody who need not be at that address: he could guess on
            // without end, or have somebody else blocked.
            return Verdict::Stale;
        }
        let known = secrets(&credentials.username);
        if !is_right(&credentials, algorithm, known, method) {
            return Verdict::Wrong(if known.is_some() { Cause::WrongPassword } else { Cause::UnknownUser });
        }
        match id.filter(|id| now.saturating_since(id.made()) <= self.lifetime) {
            Some(nonce) => {
                Verdict::Proven(Proof { username: credentials.username, nonce, nc: credentials.nc.value() })
            }
            // RFC 7616 3.3: stale only where the nonce is invalid.
            None => Verdict::Stale,
        }
    }

    /// The first credentials for this realm by an algorithm that is offered.
    fn credentials(&self, request: &Request) -> Result<(Credentials, Algorithm), Verdict> {
        let mut verdict = Verdict::Absent;
        for value in request.headers.all(&HeaderName::Authorization).take(MOST_FIELDS) {
            match Credentials::parse(value) {
                Ok(Some(credentials)) if credentials.realm == self.realm =>
                // An algorithm that was not offered answers nothing.
                {
                    if let Some(algorithm) = self.offered(&credentials) {
                        return Ok((credentials, algorithm));
                    }
                }
                // RFC 3261 22.3: credentials for other realms are other servers' affair.
                Ok(_) => {}
                Err(_) if realm_of(value).is_some_and(|realm| realm != self.realm) => {}
                Err(problem) => verdict = Verdict::Improper(problem),
            }
        }
        Err(verdict)
    }

    fn offered(&self, credentials: &Credentials) -> Option<Algorithm> {
        Algorithm::parse(credentials.algorithm.as_deref())
            .filter(|algorithm| self.offered.contains(algorithm))
    }
}

/// What is wrong with credentials beside the digest.
fn improper(credentials: &Credentials, request: &Request) -> Option<&'static str> {
    if !credentials.qop.eq_ignore_ascii_case(b"auth") {
        return Some("qop that was not offered");
    }
    if credentials.userhash {
        return Some("userhash that was not offered");
    }
    if credentials.nc.value() == 0 {
        return Some("nc that does not count from one");
    }
    // RFC 7616 3.4.6: the resource MUST be the one of the request line; if not, 400 SHOULD be returned.
    (!is_same_resource(&credentials.uri, &request.uri)).then_some("uri of another resource")
}

fn is_same_resource(said: &Bytes, asked: &Bytes) -> bool {
    said == asked
        || SipUri::parse(said)
            .is_ok_and(|said| SipUri::parse(asked).is_ok_and(|asked| said.equivalent(&asked)))
}

/// Whether the digest is that of the password. An unknown user takes as long as a known one.
fn is_right(
    credentials: &Credentials,
    algorithm: Algorithm,
    secrets: Option<&Secrets>,
    method: &[u8],
) -> bool {
    const NOBODY: &str = "0000000000000000000000000000000000000000000000000000000000000000";
    let nobody = NOBODY.get(..algorithm.digits()).unwrap_or_default();
    let known = secrets.and_then(|secrets| secrets.of(algorithm));
    let digested = Digested {
        method,
        uri: &credentials.uri,
        nonce: &credentials.nonce,
        cnonce: &credentials.cnonce,
        nc: credentials.nc.as_bytes(),
        qop: &credentials.qop,
    };
    let expected = algorithm.response(known.unwrap_or(nobody), &digested);
    // LHEX is lower case; some write capitals.
    let response = credentials.response.to_ascii_lowercase();
    let equal: bool = expected.as_bytes().ct_eq(&response).into();
    equal && known.is_some()
}
