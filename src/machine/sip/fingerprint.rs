//! How a message finds its transaction (RFC 3261 17.1.3, 17.2.3, 8.2.2.2): the fields the RFC
//! compares, condensed into 128 bits under a secret key, so that a transaction is found by one
//! look-up, keeps no strings, and nobody outside can make two of them collide.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;

use smallvec::SmallVec;

use crate::entropy::Entropy;
use crate::wire::sip::{HeaderName, Headers, Host, Method, Request, Via};

/// The identity of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u128);

impl Fingerprint {
    /// One for tests.
    #[cfg(test)]
    pub(super) const fn numbered(number: u128) -> Self {
        Self(number)
    }

    /// `prefix` and thirteen characters of `a-z2-7` that follow from the fingerprint: a tag which a
    /// stateless answer to the same request repeats (RFC 3261 8.2.7).
    pub(super) fn tag(self, prefix: &str) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let mut tag = String::with_capacity(prefix.len() + 13);
        tag.push_str(prefix);
        tag.extend((0..13).map(|n| char::from(ALPHABET[(self.0 >> (n * 5) & 31) as usize])));
        tag
    }
}

/// Takes fingerprints under a key of its own.
#[derive(Debug)]
pub(super) struct Fingerprints {
    key: [u64; 4],
}

impl Fingerprints {
    pub(super) fn new(entropy: &mut dyn Entropy) -> Self {
        Self { key: std::array::from_fn(|_| entropy.next_u64()) }
    }

    fn take(&self, fields: Fields) -> Fingerprint {
        let [a, b, c, d] = self.key;
        let half = |one: u64, other: u64| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u64(one);
            hasher.write_u64(other);
            hasher.write(&fields.0);
            u128::from(hasher.finish())
        };
        Fingerprint(half(a, b) << 64 | half(c, d))
    }

    /// The client transaction a response belongs to.
    pub(super) fn client(&self, branch: &[u8], method: &Method) -> Fingerprint {
        // RFC 3261 17.1.3: the branch, and the method of the CSeq.
        self.take(Fields::new(b'c').add(branch).add(method.as_bytes()))
    }

    /// The server transaction `request` belongs to, taken as if it had `method`: INVITE for an ACK
    /// and for what a CANCEL is to cancel.
    pub(super) fn server(&self, request: &Request, via: &Via, method: &Method) -> Fingerprint {
        let method_name = method.as_bytes();
        match via.unique_branch() {
            // RFC 3261 17.2.3: the branch, the sent-by of the topmost Via, and the method.
            Some(branch) => {
                let headers = &request.headers;
                let mut fields = Fields::new(b's').add(&branch).add(method_name).host(&via.host);
                fields = fields.add(&via.port.unwrap_or(0).to_be_bytes());
                // Not all senders choose a branch anew for each request (RFC 3261 8.1.1.7). What a repetition, an
                // ACK and a CANCEL have in common with their request tells others from it (9.1, 17.1.1.3).
                fields = fields.add(text(headers, &HeaderName::CallId));
                fields = fields.add(number(text(headers, &HeaderName::CSeq)));
                // A MESSAGE that is taken for another would be answered 202, and lost.
                if *method == Method::Message {
                    fields = fields.add(&request.uri).add(text(headers, &HeaderName::From));
                }
                self.take(fields)
            }
            None => {
                let headers = &request.headers;
                let mut fields = Fields::new(b'l');
                fields = fields.add(&request.uri).add(&field(headers, &HeaderName::CallId)).add(method_name);
                fields = fields.add(&headers.from_tag().unwrap_or_default()).add(&cseq_number(headers));
                fields = fields.add(&headers.values(&HeaderName::Via).next().unwrap_or_default());
                // RFC 3261 17.2.3: an ACK bears the To tag of the response, which is compared apart.
                if *method != Method::Invite {
                    fields = fields.add(&headers.to_tag().unwrap_or_default());
                }
                self.take(fields)
            }
        }
    }

    /// What a request has in common with its repetition, however malformed it is.
    pub(super) fn identical(&self, request: &Request) -> Fingerprint {
        let headers = &request.headers;
        let mut fields = Fields::new(b'i').add(request.method.as_bytes()).add(&request.uri);
        fields = match headers.via() {
            // What was stamped upon it differs where the repetition takes another way.
            Ok(via) => fields.add(&via.branch().unwrap_or_default()).host(&via.host),
            Err(_) => fields.add(&headers.values(&HeaderName::Via).next().unwrap_or_default()),
        };
        for name in [HeaderName::CallId, HeaderName::CSeq, HeaderName::From, HeaderName::To] {
            fields = fields.add(&field(headers, &name));
        }
        self.take(fields)
    }

    /// What two requests have in common that came of one by different ways; `None` where it does
    /// not matter.
    pub(super) fn merged(&self, request: &Request) -> Option<Fingerprint> {
        let headers = &request.headers;
        // A MESSAGE is stored once however often it comes, and the sender may try another transport.
        // RFC 3261 8.2.2.2: without a To tag, the From tag, Call-ID and CSeq are compared.
        if request.method == Method::Message || headers.has_to_tag() {
            return None;
        }
        let fields = Fields::new(b'm').add(&headers.from_tag().unwrap_or_default());
        let fields = fields.add(&field(headers, &HeaderName::CallId)).add(&cseq_number(headers));
        Some(self.take(fields.add(request.method.as_bytes())))
    }
}

fn field(headers: &Headers, name: &HeaderName) -> bytes::Bytes {
    headers.get(name).cloned().unwrap_or_default()
}

fn text<'a>(headers: &'a Headers, name: &HeaderName) -> &'a [u8] {
    headers.get(name).map_or(&[], |value| value.as_ref())
}

/// The digits that a CSeq begins with, without zeros in front: it is the number that counts.
fn number(cseq: &[u8]) -> &[u8] {
    let end = cseq.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(cseq.len());
    let begin = cseq.iter().position(|byte| *byte != b'0').unwrap_or(end);
    cseq.get(begin..end).unwrap_or_default()
}

fn cseq_number(headers: &Headers) -> [u8; 4] {
    headers.cseq().map_or(0, |cseq| cseq.number).to_be_bytes()
}

/// Fields one after the other, each with its length, so that none runs into the next.
struct Fields(SmallVec<[u8; 256]>);

impl Fields {
    fn new(kind: u8) -> Self {
        Self(SmallVec::from_slice(&[kind]))
    }

    fn add(mut self, field: &[u8]) -> Self {
        self.0.extend_from_slice(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(field);
        self
    }

    fn host(self, host: &Host) -> Self {
        match host {
            Host::Name(name) => self.add(&name.to_ascii_lowercase()),
            Host::V4(address) => self.add(&address.octets()),
            Host::V6(address) => self.add(&address.octets()),
        }
    }
}
