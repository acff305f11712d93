//! [`Login`]: the client's side; answers 401 and 407 (RFC 3261 22.2, 22.3, RFC 7616 3.4, RFC 8760 2.4).
//!
//! ```text
//!   request ──▶ server ──▶ 401, 407
//!                            │ challenged(response): Ok, or the credentials are no good
//!                            ▼
//!   authorize(request, cnonce): adds what answers; the same request again, with a higher CSeq
//! ```
//! What was learnt is used for the requests that follow, with rising nonce counts, until the server calls
//! it stale.

use bytes::Bytes;

use super::algorithm::{Algorithm, Digested};
use crate::wire::sip::{Challenge, Credentials, HeaderName, NonceCount, Request, Response};

/// The most realms that are remembered at once: those of a few proxies and of the server.
const MOST_REALMS: usize = 8;

/// One user's name and password, and what servers have asked of him.
#[derive(Clone)]
pub struct Login {
    username: Bytes,
    password: Bytes,
    domains: Vec<Domain>,
    accepted: bool,
}

/// Why a challenge cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The response challenges nobody.
    #[error("status {0} without a challenge")]
    NoChallenge(u16),
    /// No challenge uses a scheme, algorithm and quality of protection that are spoken here.
    #[error("no challenge that can be answered: {0}")]
    NotUnderstood(String),
    /// The name or the password was refused.
    #[error("name or password refused by realm `{0}`")]
    Refused(String),
}

/// A protection domain (RFC 3261 22.1) and how its present challenge is answered.
#[derive(Clone)]
struct Domain {
    proxy: bool,
    challenge: Challenge,
    algorithm: Algorithm,
    secret: String,
    /// Requests that were sent with the challenge's nonce.
    sent: u32,
}

impl Login {
    /// A user who has not been challenged yet. The password is kept for realms that are yet to ask.
    pub fn new(username: impl Into<Bytes>, password: impl Into<Bytes>) -> Self {
        Self { username: username.into(), password: password.into(), domains: Vec::new(), accepted: false }
    }

    /// The name, as far as it is text.
    #[must_use]
    pub fn user(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.username)
    }

    /// Whether a challenge is known, so that [`Self::authorize`] will add something.
    #[must_use]
    pub const fn is_challenged(&self) -> bool {
        !self.domains.is_empty()
    }

    /// Notes that the credentials were taken: any response but 401 and 407 says so. A plain challenge that
    /// comes later is then a nonce that has ended, and not yet a refusal.
    pub const fn accepted(&mut self) {
        self.accepted = true;
    }

    /// Takes the challenges of a 401 or 407, whose request may then be authorized and sent again.
    ///
    /// # Errors
    /// [`LoginError::Refused`] where credentials were sent and are refused: the same request must not be
    /// tried again (RFC 3261 22.1). The others say that nothing can be answered.
    pub fn challenged(&mut self, response: &Response) -> Result<(), LoginError> {
        let mut best: Vec<(bool, Challenge, Algorithm)> = Vec::new();
        let mut passed_over = Vec::new();
        for (name, proxy) in [(HeaderName::WwwAuthenticate, false), (HeaderName::ProxyAuthenticate, true)] {
            for value in response.headers.all(&name) {
                match answerable(value) {
                    Ok((challenge, algorithm)) => prefer(&mut best, proxy, challenge, algorithm),
                    Err(problem) => passed_over.push(problem),
                }
            }
        }
        if best.is_empty() {
            return Err(match passed_over.is_empty() {
                true => LoginError::NoChallenge(response.status.0),
                false => LoginError::NotUnderstood(passed_over.join("; ")),
            });
        }
        let accepted = std::mem::take(&mut self.accepted);
        best.into_iter()
            .try_for_each(|(proxy, challenge, algorithm)| self.learn(proxy, challenge, algorithm, accepted))
    }

    fn learn(
        &mut self,
        proxy: bool,
        challenge: Challenge,
        algorithm: Algorithm,
        accepted: bool,
    ) -> Result<(), LoginError> {
        let known = self
            .domains
            .iter()
            .position(|domain| domain.proxy == proxy && domain.challenge.realm == challenge.realm);
        if let Some(domain) = known.and_then(|at| self.domains.get(at))
            && domain.sent > 0
            && !challenge.stale
            && !accepted
        {
            // RFC 3261 22.1: MUST NOT re-attempt with credentials that have just been rejected, but for
            // a stale nonce.
            let realm = String::from_utf8_lossy(&challenge.realm).into_owned();
            self.domains.retain(|domain| domain.proxy != proxy || domain.challenge.realm != challenge.realm);
            return Err(LoginError::Refused(realm));
        }
        let secret = algorithm.secret(&self.username, &challenge.realm, &self.password);
        let domain = Domain { proxy, challenge, algorithm, secret, sent: 0 };
        match known.and_then(|at| self.domains.get_mut(at)) {
            Some(known) => *known = domain,
            None => {
                if self.domains.len() == MOST_REALMS {
                    self.domains.remove(0);
                }
                self.domains.push(domain);
            }
        }
        Ok(())
    }

    /// Adds credentials for every realm that has asked, in place of those that are there. `cnonce` is a
    /// text that nobody can guess, of token characters, another one for each request.
    pub fn authorize(&mut self, request: &mut Request, cnonce: &str) {
        request.headers.remove(&HeaderName::Authorization);
        request.headers.remove(&HeaderName::ProxyAuthorization);
        for domain in &mut self.domains {
            domain.sent = domain.sent.saturating_add(1);
            let name = match domain.proxy {
                true => HeaderName::ProxyAuthorization,
                false => HeaderName::Authorization,
            };
            let value = domain.answer(&self.username, request, cnonce).encode();
            request.headers.push(name, value);
        }
    }
}

impl Domain {
    fn answer(&self, username: &Bytes, request: &Request, cnonce: &str) -> Credentials {
        let nc = NonceCount::new(self.sent);
        let digested = Digested {
            method: request.method.as_bytes(),
            uri: &request.uri,
            nonce: &self.challenge.nonce,
            cnonce: cnonce.as_bytes(),
            nc: nc.as_bytes(),
            qop: b"auth",
        };
        // RFC 7616 3.4.4: MUST hash the name where the server asks for it.
        let userhash = self.challenge.userhash;
        let username = match userhash {
            true => Bytes::from(self.algorithm.hash(&[username, &self.challenge.realm])),
            false => username.clone(),
        };
        Credentials {
            username,
            realm: self.challenge.realm.clone(),
            nonce: self.challenge.nonce.clone(),
            uri: request.uri.clone(),
            response: self.algorithm.response(&self.secret, &digested).into(),
            // RFC 7616 3.4: the algorithm and the opaque text MUST be those of the challenge.
            algorithm: self.challenge.algorithm.clone(),
            cnonce: Bytes::copy_from_slice(cnonce.as_bytes()),
            opaque: self.challenge.opaque.clone(),
            // RFC 8760 2.6: a UAC MUST send the qop parameter; where none was offered, auth is meant.
            qop: Bytes::from_static(b"auth"),
            nc,
            userhash,
        }
    }
}

/// Reads a challenge that can be answered; the error says why it cannot.
fn answerable(value: &Bytes) -> Result<(Challenge, Algorithm), String> {
    let challenge = Challenge::parse(value)?.ok_or("not Digest")?;
    let algorithm = Algorithm::parse(challenge.algorithm.as_deref()).ok_or_else(|| {
        let name = challenge.algorithm.as_deref().unwrap_or_default();
        format!("algorithm {}", name.escape_ascii())
    })?;
    let auth = |qop: &Bytes| qop.eq_ignore_ascii_case(b"auth");
    if !challenge.qop.is_empty() && !challenge.qop.iter().any(auth) {
        return Err("qop without auth".to_owned());
    }
    Ok((challenge, algorithm))
}

/// Keeps for each realm the strongest algorithm; of equals the one that stands first.
fn prefer(
    best: &mut Vec<(bool, Challenge, Algorithm)>,
    proxy: bool,
    challenge: Challenge,
    offered: Algorithm,
) {
    // RFC 8760 2.4: the topmost that is supported, or what local policy says; ours: never the weaker one.
    let same =
        |known: &&mut (bool, Challenge, Algorithm)| known.0 == proxy && known.1.realm == challenge.realm;
    match best.iter_mut().find(same) {
        Some(known) if offered < known.2 => *known = (proxy, challenge, offered),
        Some(_) => {}
        None => best.push((proxy, challenge, offered)),
    }
}

/// A password is not for logs.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({} realms)", self.domains.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::sip::{Method, StatusCode};

    const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

    fn challenge(realm: &str, algorithm: &str, nonce: &str, stale: bool) -> String {
        let stale = if stale { ", stale=true" } else { "" };
        format!(
            r#"Digest realm="{realm}", qop="auth, auth-int", algorithm={algorithm}, nonce="{nonce}", opaque="FQhe"{stale}"#
        )
    }

    fn response(status: StatusCode, fields: &[(HeaderName, String)]) -> Response {
        let mut response = Request::new(Method::Options, "sip:a@b").respond(status);
        for (name, value) in fields {
            response.headers.push(name.clone(), value.clone());
        }
        response
    }

    fn unauthorized(fields: &[String]) -> Response {
        let fields: Vec<_> =
            fields.iter().map(|value| (HeaderName::WwwAuthenticate, value.clone())).collect();
        response(StatusCode::UNAUTHORIZED, &fields)
    }

    fn sent(login: &mut Login, name: &HeaderName) -> Credentials {
        let mut request = Request::new(Method::Other("GET".into()), "/dir/index.html");
        login.authorize(&mut request, CNONCE);
        Credentials::parse(request.headers.get(name).unwrap()).unwrap().unwrap()
    }

    // proves RFC 7616 3.9.1, RFC 8760 2.4: the example, answered by its strongest algorithm
    #[test]
    fn the_example_of_the_rfc_is_answered() {
        let realm = "http-auth@example.org";
        let mut login = Login::new("Mufasa", "Circle of Life");
        assert!(!login.is_challenged());
        let both = [challenge(realm, "SHA-256", NONCE, false), challenge(realm, "MD5", NONCE, false)];
        login.challenged(&unauthorized(&both)).unwrap();
        let answer = sent(&mut login, &HeaderName::Authorization);
        assert_eq!(answer.response, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
        assert_eq!((answer.nc.value(), answer.opaque.as_deref()), (1, Some(b"FQhe".as_ref())));
        assert_eq!(
            (answer.qop.as_ref(), answer.algorithm.as_deref()),
            (b"auth".as_ref(), Some(b"SHA-256".as_ref()))
        );

        let mut old = Login::new("Mufasa", "Circle of Life");
        old.challenged(&unauthorized(&both[1..])).unwrap();
        assert_eq!(sent(&mut old, &HeaderName::Authorization).response, "8ca523f5e9506fed4657c9700eebdbec");
    }

    // proves RFC 7616 3.4: nc counts the requests of a nonce
    #[test]
    fn the_nonce_count_rises_until_the_nonce_is_stale() {
        let mut login = Login::new("alice", "secret");
        login.challenged(&unauthorized(&[challenge("a", "SHA-256", "one", false)])).unwrap();
        assert_eq!(sent(&mut login, &HeaderName::Authorization).nc.value(), 1);
        assert_eq!(sent(&mut login, &HeaderName::Authorization).nc.value(), 2);
        login.challenged(&unauthorized(&[challenge("a", "SHA-256", "two", true)])).unwrap();
        let fresh = sent(&mut login, &HeaderName::Authorization);
        assert_eq!((fresh.nc.value(), fresh.nonce.as_ref()), (1, b"two".as_ref()));
    }

    // proves RFC 3261 22.1: credentials that were rejected are not tried again
    #[test]
    fn a_second_challenge_means_that_the_password_is_wrong() {
        let mut login = Login::new("alice", "wrong");
        login.challenged(&unauthorized(&[challenge("a", "SHA-256", "one", false)])).unwrap();
        let _ = sent(&mut login, &HeaderName::Authorization);
        let refused = login.challenged(&unauthorized(&[challenge("a", "SHA-256", "two", false)]));
        assert_eq!(refused, Err(LoginError::Refused("a".into())));
        assert!(!login.is_challenged());
    }

    #[test]
    fn a_challenge_after_success_is_answered_once_more() {
        let mut login = Login::new("alice", "secret");
        let plain = |nonce| unauthorized(&[challenge("a", "SHA-256", nonce, false)]);
        login.challenged(&plain("one")).unwrap();
        let _ = sent(&mut login, &HeaderName::Authorization);
        login.accepted();
        login.challenged(&plain("two")).unwrap();
        let _ = sent(&mut login, &HeaderName::Authorization);
        assert_eq!(login.challenged(&plain("three")), Err(LoginError::Refused("a".into())));
    }

    // proves RFC 7616 3.4.4; the example of 3.9.2, but by SHA-512/256: the RFC's own digits are the first
    // half of a plain SHA-512 (erratum 4897)
    #[test]
    fn a_name_is_hashed_where_the_server_asks() {
        let mut login = Login::new("J\u{e4}s\u{f8}n Doe", "Secret, or not?");
        let asked =
            r#"Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, nonce="n", userhash=true"#;
        login.challenged(&unauthorized(&[asked.to_owned()])).unwrap();
        let answer = sent(&mut login, &HeaderName::Authorization);
        assert!(answer.userhash);
        assert_eq!(answer.username, "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b");
    }

    // proves RFC 3261 22.3: a proxy and the server may both ask
    #[test]
    fn proxy_and_server_are_answered_side_by_side() {
        let mut login = Login::new("alice", "secret");
        login.challenged(&unauthorized(&[challenge("a", "SHA-512-256", "one", false)])).unwrap();
        let fields = [(HeaderName::ProxyAuthenticate, challenge("a", "MD5", "two", false))];
        login.challenged(&response(StatusCode::PROXY_AUTHENTICATION_REQUIRED, &fields)).unwrap();
        let mut request = Request::new(Method::Message, "sip:bob@example.com");
        request.headers.push(HeaderName::Authorization, "Digest old");
        login.authorize(&mut request, CNONCE);
        let all = |name| request.headers.all(&name).count();
        assert_eq!((all(HeaderName::Authorization), all(HeaderName::ProxyAuthorization)), (1, 1));
    }

    // proves RFC 8760 2.4: MUST ignore a challenge that is not understood
    #[test]
    fn what_is_not_understood_is_passed_over() {
        let mut login = Login::new("alice", "secret");
        let odd = [
            "Basic realm=\"a\"".to_owned(),
            challenge("a", "SHA-9", "one", false),
            "Digest realm=a".to_owned(),
        ];
        let error = login.challenged(&unauthorized(&odd)).unwrap_err();
        assert!(matches!(&error, LoginError::NotUnderstood(why) if why.contains("SHA-9")), "{error}");
        assert_eq!(login.challenged(&unauthorized(&[])), Err(LoginError::NoChallenge(401)));
        let mut with_good = odd.to_vec();
        with_good.push(challenge("a", "MD5", "one", false));
        login.challenged(&unauthorized(&with_good)).unwrap();
        assert_eq!(sent(&mut login, &HeaderName::Authorization).nonce, "one");
        assert!(!format!("{login:?}").contains("secret"));
    }
}
