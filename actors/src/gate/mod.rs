//! [`Gate`]: who gets in. Every request of a peer that is not trusted passes it twice: [`Gate::knock`], before
//! anything is done for it, counts by address; [`Gate::caller`] asks for credentials.
//!
//! What is kept is bounded, whatever comes: rates, failures and nonces lie in tables that drop the oldest.

mod bounded;
mod guest;
mod rates;

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use restante::focus::identity;
use restante::focus::lockout::{Lockout, LockoutRules, Neighbour};
use restante::focus::realm::Realm;
use restante::focus::rejection::Rejection;
use restante::machine::digest::{Cause, NonceKey, NotTaken, Proof, Replays, Source, Verdict, Verifier};
use restante::machine::sip::Flow;
use restante::store::Owner;
use restante::wire::sip::{HeaderName, Request, StatusCode};

use crate::chance::Chance;
use crate::clock;
use crate::config::{Config, Trust};
use crate::link::SipTransport;
use crate::users::Users;
pub use guest::{Guest, Origin};
use rates::{NodeClock, Rate};

/// Addresses that rates and failures are kept of.
const MOST_ADDRESSES: usize = 1 << 16;
/// Users that rates are kept of.
const MOST_USERS: usize = 1 << 16;
/// Nonces in use whose counts are kept.
const MOST_NONCES: usize = 1 << 16;
/// How often the log tells that one address, or one user, asks for too much.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Who calls, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// His address of record; [`identity::nobody`] for whom a trusted peer asserts nothing that counts.
    pub owner: Owner,
    /// Whether he has proved it here; else a trusted peer says it.
    pub proven: bool,
}

/// The way in.
#[derive(Debug)]
pub struct Gate {
    realm: Realm,
    trust: Trust,
    /// Which domains the other end of a flow has proved by its certificate; set once the sockets are there.
    proven: OnceLock<SipTransport>,
    verifier: Verifier,
    replays: Mutex<Replays>,
    users: Arc<Users>,
    lockout: Mutex<Lockout>,
    requests_of_addresses: Rate<Neighbour>,
    requests_of_users: Rate<u64>,
    deposits_of_users: Rate<u64>,
    limits_trusted_users: bool,
    hasher: RandomState,
    told: Rate<u64>,
}

impl Gate {
    /// The gate of a node with these users.
    #[must_use]
    pub fn new(config: &Config, realm: Realm, users: Arc<Users>) -> Self {
        let (auth, rates) = (&config.auth, &config.rates);
        let key = NonceKey::draw(&mut Chance);
        let lockout =
            LockoutRules { failures: auth.max_failures, window: auth.failure_window, block: auth.block };
        let offered: Vec<_> = auth.algorithms.iter().map(|named| named.algorithm()).collect();
        let of_users = |per_second| Rate::new(per_second, rates.burst, MOST_USERS, NodeClock);
        Self {
            realm,
            trust: config.trust.clone(),
            proven: OnceLock::new(),
            verifier: Verifier::new(config.trust.realm.clone(), key, auth.nonce_lifetime, offered),
            replays: Mutex::new(Replays::new(MOST_NONCES, auth.nonce_lifetime)),
            users,
            lockout: Mutex::new(Lockout::new(lockout, MOST_ADDRESSES)),
            requests_of_addresses: Rate::new(
                rates.requests_per_address,
                rates.burst,
                MOST_ADDRESSES,
                NodeClock,
            ),
            requests_of_users: of_users(rates.requests_per_user),
            deposits_of_users: of_users(rates.deposits_per_user),
            limits_trusted_users: rates.trusted_users,
            hasher: RandomState::new(),
            told: Rate::one_every(TELL_EVERY, MOST_ADDRESSES, NodeClock),
        }
    }

    /// Whether what comes this way is believed without challenge: for the peer's address, or for its certificate.
    #[must_use]
    pub fn trusts(&self, flow: &Flow) -> bool {
        if self.trusts_address(flow.peer.ip()) {
            return true;
        }
        let mut believed = self.trust.certificates().peekable();
        if believed.peek().is_none() {
            return false;
        }
        let proven = self.proven.get().map(|sip| sip.proven(flow)).unwrap_or_default();
        believed.any(|domain| proven.iter().any(|it| it == domain))
    }

    /// Believes what peers prove by certificate at these sockets; the first call counts.
    pub fn attach(&self, sip: SipTransport) {
        let _ = self.proven.set(sip);
    }

    /// Whether `peer` is named by `[trust] peers`.
    #[must_use]
    pub fn trusts_address(&self, peer: IpAddr) -> bool {
        self.trust.names(peer)
    }

    /// Counts a request, before anything is done for it.
    ///
    /// # Errors
    /// 503 where its address asks for too much, 403 where it has failed to authenticate too often; both with
    /// Retry-After.
    pub fn knock(&self, request: &Request, flow: &Flow) -> Result<(), Rejection> {
        if self.trusts(flow) {
            return Ok(());
        }
        let neighbour = Neighbour::from(flow.peer.ip());
        if let Err(seconds) = self.requests_of_addresses.take(&neighbour) {
            metrics::counter!("restante_refused_total", "by" => "address_rate").increment(1);
            if self.told.take(&self.hasher.hash_one(neighbour)).is_ok() {
                tracing::warn!(peer = %address(flow), seconds, "too many requests: address refused");
            }
            return Err(Rejection::because(StatusCode::SERVICE_UNAVAILABLE, "Too Many Requests")
                .with(HeaderName::RetryAfter, seconds.to_string()));
        }
        // What belongs to a dialog may end it; credentials that it brings are refused later.
        if request.headers.has_to_tag() { Ok(()) } else { self.locked_out(flow) }
    }

    fn locked_out(&self, flow: &Flow) -> Result<(), Rejection> {
        let Some(left) = self.lockout().refused(flow.peer.ip().into(), clock::now()) else { return Ok(()) };
        metrics::counter!("restante_refused_total", "by" => "lockout").increment(1);
        Err(Rejection::because(StatusCode::FORBIDDEN, "Too Many Failed Authentications")
            .with(HeaderName::RetryAfter, (left.as_secs() + 1).to_string()))
    }

    /// Finds out who calls.
    ///
    /// # Errors
    /// 401 with challenges where he has to prove it first; 400 where what he brings cannot be read; 403 where
    /// he is not who he says.
    pub fn caller(&self, request: &Request, flow: &Flow) -> Result<Caller, Rejection> {
        if self.trusts(flow) {
            let owner = identity::asserted(&self.realm, request, self.trust.from)?;
            return Ok(Caller { owner, proven: false });
        }
        self.locked_out(flow)?;
        let users = self.users.present();
        let source = source(flow);
        let secrets = |name: &[u8]| users.find(name).map(|user| &user.secrets);
        match self.verifier.judge(request, source, clock::now(), secrets) {
            Verdict::Absent => Err(self.challenge(flow, false)),
            Verdict::Stale => Err(self.challenge(flow, true)),
            Verdict::Improper(problem) => {
                count("improper");
                let reason = format!("Malformed Authorization: {problem}");
                Err(Rejection::because(StatusCode::BAD_REQUEST, reason))
            }
            Verdict::Wrong(cause) => {
                self.failed(flow, cause);
                Err(self.challenge(flow, false))
            }
            Verdict::Proven(proof) => {
                self.take(&proof, flow)?;
                let user = users.find(&proof.username).ok_or_else(|| self.challenge(flow, false))?;
                self.proven(request, flow, user.owner.clone())
            }
        }
    }

    /// Whether an ACK bears the credentials by which `owner`'s INVITE was let in (RFC 3261 13.2.2.4). It is not
    /// challenged where it does not (22.1).
    fn vouches(&self, ack: &Request, flow: &Flow, owner: &Owner) -> bool {
        if self.locked_out(flow).is_err() {
            return false;
        }
        let users = self.users.present();
        let secrets = |name: &[u8]| users.find(name).map(|user| &user.secrets);
        match self.verifier.judge_ack(ack, source(flow), clock::now(), secrets) {
            Verdict::Proven(proof) => users.find(&proof.username).is_some_and(|user| user.owner == *owner),
            Verdict::Wrong(cause) => {
                self.failed(flow, cause);
                false
            }
            Verdict::Absent | Verdict::Stale | Verdict::Improper(_) => false,
        }
    }

    /// Takes the nonce count of good credentials, once.
    fn take(&self, proof: &Proof, flow: &Flow) -> Result<(), Rejection> {
        let taken = lock(&self.replays).take(proof.nonce, proof.nc, clock::now());
        taken.map_err(|not_taken| {
            if not_taken == NotTaken::Replayed {
                self.replayed(flow);
            }
            // Whoever knows the password can go on with another nonce.
            self.challenge(flow, true)
        })
    }

    fn proven(&self, request: &Request, flow: &Flow, owner: Owner) -> Result<Caller, Rejection> {
        if !identity::is_sender(&self.realm, request, &owner) {
            self.failed(flow, Cause::NotSender);
            return Err(Rejection::because(StatusCode::FORBIDDEN, "From Is Another User"));
        }
        count("proven");
        self.lockout().succeed(flow.peer.ip().into());
        Ok(Caller { owner, proven: true })
    }

    fn challenge(&self, flow: &Flow, stale: bool) -> Rejection {
        count(if stale { "stale" } else { "challenged" });
        let challenges = self.verifier.challenges(flow.peer.ip(), stale, clock::now(), &mut Chance);
        Rejection::unauthorized(&challenges)
    }

    /// Counts a failed authentication against its address, and tells the log.
    fn failed(&self, flow: &Flow, cause: Cause) {
        count("failed");
        // RFC 7616 3.4: a login failure SHOULD be logged. The line holds nothing that the peer could write,
        // so that tools as fail2ban can act upon it.
        tracing::warn!(target: "restante::auth", peer = %address(flow), cause = %cause.word(), "auth failed");
        if self.lockout().fail(flow.peer.ip().into(), clock::now()) {
            tracing::warn!(peer = %address(flow), "too many failed authentications: address refused for a while");
        }
    }

    /// Tells the log of an answer that was good once. It counts against nobody: it is no guess, and whoever has
    /// overheard it can send it in its owner's name.
    fn replayed(&self, flow: &Flow) {
        count("replayed");
        let neighbour = Neighbour::from(flow.peer.ip());
        if self.told.take(&self.hasher.hash_one((neighbour, "replayed"))).is_ok() {
            tracing::warn!(target: "restante::auth", peer = %address(flow), "used answer repeated: challenged anew");
        }
    }

    /// Counts a request of a caller.
    ///
    /// # Errors
    /// 480 with Retry-After: he asks for too much.
    pub fn request_of(&self, caller: &Caller) -> Result<(), Rejection> {
        self.user_rate(&self.requests_of_users, caller, "too many requests of this user")
    }

    /// Counts a deposit of a caller.
    ///
    /// # Errors
    /// 480 with Retry-After: he sends too much.
    pub fn deposit_of(&self, caller: &Caller) -> Result<(), Rejection> {
        self.user_rate(&self.deposits_of_users, caller, "too many deposits of this user")
    }

    fn user_rate(&self, rate: &Rate<u64>, caller: &Caller, what: &'static str) -> Result<(), Rejection> {
        // Whom no peer asserts has no rate of his own: he is all of them.
        if !caller.proven && !self.limits_trusted_users || identity::is_nobody(&caller.owner) {
            return Ok(());
        }
        let key = self.hasher.hash_one(&caller.owner);
        rate.take(&key).map_err(|seconds| {
            metrics::counter!("restante_refused_total", "by" => "user_rate").increment(1);
            if self.told.take(&key).is_ok() {
                let user = crate::redact::Redacted(&caller.owner);
                tracing::warn!(%user, seconds, "{what}: refused");
            }
            Rejection::too_many(self.realm.store_host(), what, seconds)
        })
    }

    fn lockout(&self) -> MutexGuard<'_, Lockout> {
        lock(&self.lockout)
    }
}

/// A table stays good where whoever held it panicked: each change is one step.
fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

fn source(flow: &Flow) -> Source {
    Source { peer: flow.peer.ip(), proven: flow.transport.is_reliable() }
}

/// The peer's address without its port.
fn address(flow: &Flow) -> IpAddr {
    flow.peer.ip().to_canonical()
}

fn count(outcome: &'static str) {
    metrics::counter!("restante_authentications_total", "outcome" => outcome).increment(1);
}
