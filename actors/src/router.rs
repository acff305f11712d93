//! Which shard a message belongs to. What belongs to one mailbox shares a core; what the node has
//! minted itself (tags, branches, the names of focuses) begins with the shard's two characters.

use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use actix::Addr;
use restante::focus::belongs::{Belongs, belongs};
use restante::focus::realm::Realm;
use restante::machine::sip::{Destination, Flow, StatelessTags, TransmitId};
use restante::store::Owner;
use restante::wire::sip::{
    HeaderName, MAGIC_COOKIE, Message, Method, ParseError, Request, Response, StatusCode, stamp_via, tag_of,
    validate, validate_response,
};
use rustc_hash::FxBuildHasher;

use crate::chance::Chance;
use crate::endpoint::{LinkClosed, LinkRoomy, SipEndpoint};
use crate::gate::Gate;
use crate::link::{SipReceived, SipSender};
use crate::records::Records;
use crate::refusals;
use crate::seldom::Seldom;

/// Length of a shard's name.
const NAME: usize = 2;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// The most shards of a node.
pub const MOST_SHARDS: usize = ALPHABET.len() * ALPHABET.len();

/// How many messages are held that come before the shards have started.
const MOST_EARLY: usize = 4096;

/// The two characters that name a shard.
#[must_use]
pub fn shard_name(index: usize) -> String {
    let digit = |value: usize| char::from(ALPHABET.get(value % ALPHABET.len()).copied().unwrap_or(b'a'));
    [digit(index / ALPHABET.len()), digit(index)].iter().collect()
}

/// The shard that a minted token names.
fn named_shard(token: &[u8]) -> Option<usize> {
    let digit = |byte: &u8| ALPHABET.iter().position(|known| known == byte);
    match token.get(..NAME)? {
        [high, low] => Some(digit(high)? * ALPHABET.len() + digit(low)?),
        _ => None,
    }
}

/// Gives every received message to the endpoint of its shard.
pub struct Router {
    realm: Realm,
    gate: Arc<Gate>,
    records: Records,
    tags: StatelessTags,
    shards: OnceLock<Vec<Addr<SipEndpoint>>>,
    sender: OnceLock<SipSender>,
    open: OnceLock<()>,
    /// What has come before [`Self::open`]; `None` from then on.
    early: Mutex<Option<Vec<SipReceived>>>,
    malformed: Seldom,
}

impl Router {
    /// A router that holds what comes until [`Self::open`].
    #[must_use]
    pub fn new(realm: Realm, gate: Arc<Gate>, records: Records) -> Arc<Self> {
        Arc::new(Self {
            realm,
            gate,
            records,
            tags: StatelessTags::new(&mut Chance),
            shards: OnceLock::new(),
            sender: OnceLock::new(),
            open: OnceLock::new(),
            early: Mutex::new(Some(Vec::new())),
            malformed: Seldom::new(10),
        })
    }

    /// Says who the `shards` are; `sender` sends what is answered without a transaction.
    pub fn attach(&self, shards: Vec<Addr<SipEndpoint>>, sender: SipSender) {
        let _ = self.shards.set(shards);
        let _ = self.sender.set(sender);
    }

    /// Begins to route to the shards that were [attached](Self::attach).
    pub fn open(&self) {
        let _ = self.open.set(());
        let early = self.early.lock().unwrap_or_else(PoisonError::into_inner).take();
        early.into_iter().flatten().for_each(|received| self.route(received));
    }

    /// Holds a message that comes while the node starts: its listeners are bound before its shards are there, and
    /// over TCP nobody would send it again. Gives it back once the node serves.
    fn hold(&self, received: SipReceived) -> Option<SipReceived> {
        if self.open.get().is_some() {
            return Some(received);
        }
        match self.early.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            None => Some(received),
            Some(early) => {
                if early.len() < MOST_EARLY {
                    early.push(received);
                }
                None
            }
        }
    }

    /// Takes a message off a link.
    pub fn route(&self, received: SipReceived) {
        let Some(mut received) = self.hold(received) else { return };
        match &mut received.message {
            Ok(Message::Request(request)) => {
                stamp_via(request, received.flow.peer);
                if !self.lets_in(request, received.flow) {
                    return;
                }
                self.records.request(received.flow.peer, request);
                if let Err((status, reason)) = validate(request) {
                    return self.reject(request, received.flow, status, &reason);
                }
                let shard = self.shard_of_request(request);
                self.give(shard, received);
            }
            Ok(Message::Response(response)) => {
                // RFC 3261 8.1.3.3: a response with more than our Via was misrouted.
                if let Err(problem) = validate_response(response) {
                    tracing::debug!(peer = %received.flow.peer, %problem, "response dropped");
                    return;
                }
                self.records.response(received.flow.peer, response);
                if let Some(shard) = shard_of_response(response) {
                    self.give(shard, received);
                }
            }
            Err(ParseError::Reject { request, status, reason }) => {
                stamp_via(request, received.flow.peer);
                if self.lets_in(request, received.flow) {
                    self.reject(request, received.flow, *status, reason);
                }
            }
            Err(ParseError::Silent(_)) => {}
        }
    }

    /// Tells every shard of a SIP connection that was crowded and is no longer.
    pub fn drained(&self, link: u64) {
        for endpoint in self.shards.get().into_iter().flatten() {
            endpoint.do_send(LinkRoomy { link });
        }
    }

    /// Tells every shard of a SIP connection that is gone, where it cannot be replaced.
    pub fn closed(&self, flow: Flow) {
        if flow.transport.is_web() {
            for endpoint in self.shards.get().into_iter().flatten() {
                endpoint.do_send(LinkClosed { link: flow.connection });
            }
        }
    }

    fn give(&self, shard: usize, received: SipReceived) {
        let Some(shards) = self.shards.get() else { return };
        if let Some(endpoint) = shards.get(shard % shards.len().max(1)) {
            endpoint.do_send(received);
        }
    }

    /// Whether a request passes the gate, before anything else is done for it; if not, it is answered here.
    fn lets_in(&self, request: &Request, flow: Flow) -> bool {
        // RFC 3261 17.1.1.3: an ACK is never answered; it goes with an INVITE that was counted.
        if request.method == Method::Ack {
            return true;
        }
        match self.gate.knock(request, &flow) {
            Ok(()) => true,
            Err(rejection) => {
                self.answer(request, flow, rejection.response(request));
                false
            }
        }
    }

    /// Answers a malformed request without a transaction: a repetition gets the same answer.
    fn reject(&self, request: &Request, flow: Flow, status: StatusCode, reason: &str) {
        let (call_id, method) = (request.headers.call_id_text(), &request.method);
        let (peer, code) = (flow.peer, status.0);
        match self.malformed.tell(std::time::Instant::now()) {
            Some(left_out) => {
                tracing::warn!(?call_id, %method, %peer, status = code, reason, left_out, "malformed request refused");
            }
            None => {
                tracing::debug!(?call_id, %method, %peer, status = code, reason, "malformed request refused")
            }
        }
        // RFC 3261 17.1.1.3: an ACK is never answered.
        if request.method != Method::Ack {
            self.answer(request, flow, request.respond_with(status, reason));
        }
    }

    fn answer(&self, request: &Request, flow: Flow, mut response: Response) {
        refusals::count(response.status);
        let Some(sender) = self.sender.get() else { return };
        response.set_to_tag(&self.tags.tag(request));
        let to = match request.headers.via() {
            Ok(via) => Destination::of_response(&via, flow, self.gate.trusts(&flow)),
            Err(_) => Destination::back(flow),
        };
        let bytes = response.encode();
        self.records.sent(to.addr, &bytes);
        sender.send(&to, bytes, TransmitId::Stateless);
    }

    fn shard_of_request(&self, request: &Request) -> usize {
        if let Some(shard) =
            request.headers.get(&HeaderName::To).and_then(tag_of).and_then(|tag| named_shard(&tag))
        {
            return shard;
        }
        match belongs(&self.realm, request) {
            Belongs::Mailbox(owner) => self.shard_of(&owner),
            Belongs::Focus(id) => named_shard(id.as_bytes()).unwrap_or(0),
            Belongs::Call => self.shard_by(request.headers.get(&HeaderName::CallId)),
        }
    }

    /// The shard of a mailbox.
    #[must_use]
    pub fn shard_of(&self, owner: &Owner) -> usize {
        self.shard_by(owner)
    }

    fn shard_by(&self, key: impl Hash) -> usize {
        let hash = FxBuildHasher.hash_one(key);
        let shards = self.shards.get().map_or(1, Vec::len).max(1);
        usize::try_from(hash % shards as u64).unwrap_or(0)
    }
}

fn shard_of_response(response: &Response) -> Option<usize> {
    let branch = response.headers.via().ok()?.branch()?;
    let minted = branch.strip_prefix(MAGIC_COOKIE.as_bytes())?;
    named_shard(minted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_found_by_its_name() {
        for index in [0, 1, 31, 32, 1023] {
            let token = format!("{}whatever", shard_name(index));
            assert_eq!(named_shard(token.as_bytes()), Some(index));
        }
        assert_eq!(named_shard(b"A"), None);
        assert_eq!(named_shard(b"!!abc"), None);
    }
}
