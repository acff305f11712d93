//! Tests of the server's side, against the client's and by hand.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;

use super::{Algorithm, Cause, Login, NonceKey, Proof, Secrets, Source, Verdict, Verifier};
use crate::entropy::{Entropy, Sequence};
use crate::time::Instant;
use crate::wire::sip::{Credentials, HeaderName, Method, NonceCount, Request, Response, StatusCode};

const LIFETIME: Duration = Duration::from_secs(300);

struct Door {
    verifier: Verifier,
    secrets: Secrets,
    entropy: Sequence,
    now: Instant,
    source: Source,
}

impl Door {
    fn new() -> Self {
        Self::offering(&[Algorithm::Sha256, Algorithm::Md5])
    }

    fn offering(algorithms: &[Algorithm]) -> Self {
        let mut entropy = Sequence::new(11);
        Self {
            verifier: Verifier::new("example.com", NonceKey::draw(&mut entropy), LIFETIME, algorithms),
            secrets: Secrets::new(b"alice", b"example.com", b"wonderland"),
            entropy,
            now: Instant::from_origin(Duration::from_secs(1000)),
            source: Source { peer: "192.0.2.1".parse().unwrap(), proven: false },
        }
    }

    fn challenge(&mut self, stale: bool) -> Response {
        let challenges = self.verifier.challenges(self.source.peer, stale, self.now, &mut self.entropy);
        let mut response = message().respond(StatusCode::UNAUTHORIZED);
        for challenge in challenges {
            response.headers.push(HeaderName::WwwAuthenticate, challenge.encode());
        }
        response
    }

    fn judge(&self, request: &Request) -> Verdict {
        self.verifier
            .judge(request, self.source, self.now, |name| (name == b"alice").then_some(&self.secrets))
    }

    /// A request of a user who was challenged.
    fn authorized(&mut self, username: &str, password: &str) -> Request {
        let mut login = Login::new(username.to_owned(), password.to_owned());
        login.challenged(&self.challenge(false)).unwrap();
        let mut request = message();
        login.authorize(&mut request, &self.entropy.token(20));
        request
    }

    /// The verdict on good credentials that were changed before the response was computed.
    fn changed(&mut self, change: impl FnOnce(&mut Credentials)) -> Verdict {
        let request = self.authorized("alice", "wonderland");
        let mut credentials = credentials(&request);
        change(&mut credentials);
        self.judge(&resigned(credentials, "alice", "wonderland"))
    }
}

fn message() -> Request {
    Request::new(Method::Message, "sip:bob@example.com")
}

fn credentials(request: &Request) -> Credentials {
    Credentials::parse(request.headers.get(&HeaderName::Authorization).unwrap()).unwrap().unwrap()
}

/// The request with these credentials, whose response is computed by their own algorithm.
fn resigned(mut credentials: Credentials, username: &str, password: &str) -> Request {
    let algorithm = Algorithm::parse(credentials.algorithm.as_deref()).unwrap_or(Algorithm::Md5);
    let secret = algorithm.secret(username.as_bytes(), &credentials.realm, password.as_bytes());
    let digested = super::Digested {
        method: b"MESSAGE",
        uri: &credentials.uri,
        nonce: &credentials.nonce,
        cnonce: &credentials.cnonce,
        nc: credentials.nc.as_bytes(),
        qop: &credentials.qop,
    };
    credentials.response = algorithm.response(&secret, &digested).into();
    let mut request = message();
    request.headers.push(HeaderName::Authorization, credentials.encode());
    request
}

fn with(value: impl Into<Bytes>) -> Request {
    let mut request = message();
    request.headers.push(HeaderName::Authorization, value);
    request
}

// proves RFC 8760 2.3: the preferred algorithm first, each once; RFC 8760 2.6: always with qop
#[test]
fn two_challenges_the_stronger_first() {
    let response = Door::new().challenge(false);
    let fields: Vec<String> = response
        .headers
        .all(&HeaderName::WwwAuthenticate)
        .map(|value| String::from_utf8(value.to_vec()).unwrap())
        .collect();
    assert_eq!(fields.len(), 2);
    assert!(fields[0].starts_with(r#"Digest realm="example.com", qop="auth", algorithm=SHA-256, nonce=""#));
    assert!(fields[1].starts_with(r#"Digest realm="example.com", qop="auth", algorithm=MD5, nonce=""#));
    assert!(fields.iter().all(|field| !field.contains("stale") && field.len() < 120), "{fields:?}");
    let stale = Door::new().challenge(true);
    assert!(stale.headers.all(&HeaderName::WwwAuthenticate).all(|field| field.ends_with(b", stale=true")));
}

// proves RFC 7616 3.4.1
#[test]
fn who_knows_the_password_is_proven() {
    let mut door = Door::new();
    let request = door.authorized("alice", "wonderland");
    assert_eq!(credentials(&request).algorithm.unwrap(), "SHA-256");
    let Verdict::Proven(proof) = door.judge(&request) else { unreachable!() };
    assert_eq!((proof.username.as_ref(), proof.nc, proof.nonce.made()), (b"alice".as_ref(), 1, door.now));
}

#[test]
fn the_second_challenge_serves_old_clients() {
    let mut door = Door::new();
    let mut response = door.challenge(false);
    let md5 = response.headers.all(&HeaderName::WwwAuthenticate).nth(1).unwrap().clone();
    response.headers.set(HeaderName::WwwAuthenticate, md5);
    let mut login = Login::new("alice", "wonderland");
    login.challenged(&response).unwrap();
    let mut request = message();
    login.authorize(&mut request, "c");
    assert!(matches!(door.judge(&request), Verdict::Proven(_)));
    // RFC 7616 3.4: without the parameter, MD5 is meant.
    let unnamed = Credentials { algorithm: None, ..credentials(&request) };
    assert!(matches!(door.judge(&with(unnamed.encode())), Verdict::Proven(_)));
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_wrong() {
    let mut door = Door::new();
    let request = door.authorized("alice", "Wonderland");
    assert_eq!(door.judge(&request), Verdict::Wrong(Cause::WrongPassword));
    let request = door.authorized("bob", "wonderland");
    assert_eq!(door.judge(&request), Verdict::Wrong(Cause::UnknownUser));
    let mut zeros = credentials(&door.authorized("alice", "wonderland"));
    zeros.response = Bytes::new();
    assert_eq!(door.judge(&with(zeros.encode())), Verdict::Wrong(Cause::WrongPassword));
}

#[test]
fn what_is_for_others_is_no_credential() {
    let mut door = Door::new();
    assert_eq!(door.judge(&message()), Verdict::Absent);
    assert_eq!(door.judge(&with("Basic YWxpY2U6d29uZGVybGFuZA==")), Verdict::Absent);
    assert_eq!(door.changed(|credentials| credentials.realm = "other.example".into()), Verdict::Absent);
    assert_eq!(door.judge(&with("Digest realm=\"other.example\", nonce=\"x\"")), Verdict::Absent);
    let mut both = with("Digest realm=\"other.example\", nonce=\"x\"");
    let good = door.authorized("alice", "wonderland");
    both.headers
        .push(HeaderName::Authorization, good.headers.get(&HeaderName::Authorization).unwrap().clone());
    assert!(matches!(door.judge(&both), Verdict::Proven(_)));
}

// proves RFC 8760 3: the answer to one challenge is none to another by a weaker algorithm
#[test]
fn a_downgrade_is_no_answer() {
    let mut door = Door::new();
    let downgraded = door.changed(|credentials| credentials.algorithm = Some("MD5".into()));
    assert_eq!(downgraded, Verdict::Stale, "a nonce that was made for SHA-256");
    for unknown in ["SHA-256-sess", "SHA-512-256", "SHA-1", "none"] {
        let verdict = door.changed(|credentials| credentials.algorithm = Some(unknown.into()));
        assert_eq!(verdict, Verdict::Absent, "{unknown}");
    }
}

#[test]
fn what_is_not_offered_is_not_taken() {
    for (offered, other) in [(Algorithm::Md5, "SHA-256"), (Algorithm::Sha256, "MD5")] {
        let mut door = Door::offering(&[offered]);
        let challenges = door.challenge(false);
        assert_eq!(challenges.headers.all(&HeaderName::WwwAuthenticate).count(), 1);
        let request = door.authorized("alice", "wonderland");
        assert_eq!(credentials(&request).algorithm.unwrap(), offered.name());
        assert!(matches!(door.judge(&request), Verdict::Proven(_)));
        let verdict = door.changed(|credentials| credentials.algorithm = Some(other.into()));
        assert_eq!(verdict, Verdict::Absent, "{other}");
    }
    let mut door = Door::offering(&[Algorithm::Sha256]);
    let unnamed = door.changed(|credentials| credentials.algorithm = None);
    assert_eq!(unnamed, Verdict::Absent, "MD5 is meant");
    let both = Door::offering(&[Algorithm::Md5, Algorithm::Sha256]).challenge(false);
    let first = both.headers.get(&HeaderName::WwwAuthenticate).unwrap();
    assert!(String::from_utf8_lossy(first).contains("algorithm=MD5"), "in the order in which they are named");
}

// proves RFC 7616 3.4.6, RFC 3261 19.1.4: another resource is refused, another spelling is none
#[test]
fn the_uri_must_name_what_is_asked_for() {
    let mut door = Door::new();
    for same in ["sip:bob@EXAMPLE.com", "sip:%62ob@example.com"] {
        let verdict = door.changed(|credentials| credentials.uri = same.into());
        assert!(matches!(verdict, Verdict::Proven(_)), "{same}");
    }
    for other in ["sip:Bob@example.com", "sips:bob@example.com", "sip:example.com", "*", ""] {
        let verdict = door.changed(|credentials| credentials.uri = other.into());
        assert_eq!(verdict, Verdict::Improper("uri of another resource"), "{other}");
    }
}

#[test]
fn what_was_not_offered_is_improper() {
    let mut door = Door::new();
    let verdict = door.changed(|credentials| credentials.qop = "auth-int".into());
    assert_eq!(verdict, Verdict::Improper("qop that was not offered"));
    let verdict = door.changed(|credentials| credentials.userhash = true);
    assert_eq!(verdict, Verdict::Improper("userhash that was not offered"));
    let verdict = door.changed(|credentials| credentials.nc = NonceCount::default());
    assert_eq!(verdict, Verdict::Improper("nc that does not count from one"));
    assert_eq!(door.judge(&with("Digest username=\"alice")), Verdict::Improper("unterminated quoted string"));
}

// proves RFC 7616 3.4.1: what is hashed is the text as it was sent
#[test]
fn capitals_are_no_wrong_password() {
    let mut door = Door::new();
    let verdict = door.changed(|credentials| {
        let text = String::from_utf8(credentials.encode().to_vec()).unwrap();
        let capital = text.replace("nc=00000001", "nc=0000000B").replace("qop=auth", "qop=AUTH");
        *credentials = Credentials::parse(&capital.into()).unwrap().unwrap();
    });
    assert!(matches!(verdict, Verdict::Proven(Proof { nc: 11, .. })), "{verdict:?}");
    let request = door.authorized("alice", "wonderland");
    let mut shouted = credentials(&request);
    shouted.response = shouted.response.to_ascii_uppercase().into();
    assert!(matches!(door.judge(&with(shouted.encode())), Verdict::Proven(_)));
}

// proves RFC 7616 3.3: stale where the nonce has ended and the password is right
#[test]
fn an_old_nonce_is_stale_for_who_knows_the_password() {
    let mut door = Door::new();
    let good = door.authorized("alice", "wonderland");
    let bad = door.authorized("alice", "guess");
    door.now += LIFETIME;
    assert!(matches!(door.judge(&good), Verdict::Proven(_)));
    door.now += Duration::from_millis(1);
    assert_eq!(door.judge(&good), Verdict::Stale);
    assert_eq!(
        door.judge(&bad),
        Verdict::Wrong(Cause::WrongPassword),
        "an old nonce is no cover for guessing"
    );
}

#[test]
fn a_nonce_of_another_address_tells_nothing_of_the_password() {
    let mut door = Door::new();
    let good = door.authorized("alice", "wonderland");
    let bad = door.authorized("alice", "guess");
    door.source.peer = IpAddr::from([198, 51, 100, 9]);
    assert_eq!((door.judge(&good), door.judge(&bad)), (Verdict::Stale, Verdict::Stale));
    door.source.proven = true;
    assert_eq!(door.judge(&good), Verdict::Stale);
    assert_eq!(door.judge(&bad), Verdict::Wrong(Cause::WrongPassword));
}
