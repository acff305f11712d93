//! The state two user agents share: [`Dialog`] (RFC 3261 12, RFC 6665 4.4.1). Who sent what is
//! its user's affair; it knows identifiers, sequence numbers, route set and remote target.

use std::ops::Range;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::written;

use crate::wire::sip::{HeaderError, HeaderName, Method, NameAddr, Request, Response, SipUri, StatusCode};

/// A dialog, from the moment the first response with a To tag goes or comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Parts", into = "Parts")]
pub struct Dialog {
    /// Its parts, one behind the other: thousands of dialogs wait at once, and each part by itself would take more
    /// room than what most of them say.
    text: Bytes,
    /// Where each [`Part`] ends in it.
    ends: [u32; PARTS],
    /// Where each Route value ends, topmost first; they begin where the last part ends.
    routes: Box<[u32]>,
    local_cseq: u32,
    remote_cseq: Option<u32>,
}

/// Why a request is not taken in its dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Its sequence number is no higher than that of the one before.
    OutOfOrder,
    /// A header field cannot be read.
    Malformed(HeaderError),
}

impl From<HeaderError> for Unfit {
    fn from(error: HeaderError) -> Self {
        Self::Malformed(error)
    }
}

impl Unfit {
    /// The refusal of `request`.
    #[must_use]
    pub fn response(&self, request: &Request) -> Response {
        match self {
            // RFC 3261 12.2.2: it MUST be rejected with a 500.
            Self::OutOfOrder => request.respond(StatusCode::SERVER_INTERNAL_ERROR),
            Self::Malformed(error) => request.respond_with(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    }
}

/// What is written in a dialog's text, in this order.
#[derive(Clone, Copy)]
enum Part {
    CallId,
    LocalTag,
    RemoteTag,
    /// The From value of requests sent, with its tag.
    Local,
    /// The To value of requests sent, with its tag.
    Remote,
    RemoteTarget,
}

const PARTS: usize = 6;

/// A dialog part by part: what it is made of, and how it is written down.
#[derive(Serialize, Deserialize)]
struct Parts {
    #[serde(serialize_with = "written::text")]
    call_id: Bytes,
    #[serde(serialize_with = "written::text")]
    local_tag: Bytes,
    #[serde(serialize_with = "written::text")]
    remote_tag: Bytes,
    #[serde(serialize_with = "written::text")]
    local: Bytes,
    #[serde(serialize_with = "written::text")]
    remote: Bytes,
    local_cseq: u32,
    remote_cseq: Option<u32>,
    #[serde(serialize_with = "written::texts")]
    route_set: Vec<Bytes>,
    #[serde(serialize_with = "written::text")]
    remote_target: Bytes,
}

impl From<Parts> for Dialog {
    /// In memory of its own, so that the message it was read from need not be kept.
    fn from(parts: Parts) -> Self {
        let Parts { call_id, local_tag, remote_tag, local, remote, remote_target, .. } = &parts;
        let single = [call_id, local_tag, remote_tag, local, remote, remote_target];
        let all = single.into_iter().chain(&parts.route_set).map(Bytes::len).sum();
        let mut text = Vec::with_capacity(all);
        let mut append = |part: &Bytes| {
            text.extend_from_slice(part);
            u32::try_from(text.len()).unwrap_or(u32::MAX)
        };
        let ends = single.map(&mut append);
        let routes = parts.route_set.iter().map(append).collect();
        let (local_cseq, remote_cseq) = (parts.local_cseq, parts.remote_cseq);
        Self { text: text.into(), ends, routes, local_cseq, remote_cseq }
    }
}

impl From<Dialog> for Parts {
    fn from(dialog: Dialog) -> Self {
        Self {
            call_id: dialog.part(Part::CallId),
            local_tag: dialog.part(Part::LocalTag),
            remote_tag: dialog.part(Part::RemoteTag),
            local: dialog.part(Part::Local),
            remote: dialog.part(Part::Remote),
            local_cseq: dialog.local_cseq,
            remote_cseq: dialog.remote_cseq,
            route_set: dialog.route_set(),
            remote_target: dialog.part(Part::RemoteTarget),
        }
    }
}

impl Dialog {
    /// The dialog that `request` opens when it is answered with `local_tag` (RFC 3261 12.1.1).
    ///
    /// # Errors
    /// A header field the dialog is made of is missing or malformed; answer 400.
    pub fn uas(request: &Request, local_tag: &str) -> Result<Self, HeaderError> {
        let headers = &request.headers;
        headers.record_routes()?;
        headers.path()?;
        let (from, to) = (headers.from()?, headers.to()?);
        let local = value(request.headers.get(&HeaderName::To));
        Ok(Self::from(Parts {
            call_id: headers.call_id()?,
            local_tag: Bytes::copy_from_slice(local_tag.as_bytes()),
            // RFC 3261 12.1.1: a request of an RFC 2543 client may have no tag, which counts as null.
            remote_tag: from.tag().unwrap_or_default(),
            local: if to.tag().is_some() { local } else { with_tag(&local, local_tag) },
            remote: value(request.headers.get(&HeaderName::From)),
            local_cseq: 0,
            remote_cseq: Some(headers.cseq()?.number),
            route_set: route_set(request),
            // RFC 3261 12.1.1: the request MUST have a Contact, or there would be nowhere to send requests to.
            remote_target: one_contact(request)?.ok_or(HeaderError::missing(HeaderName::Contact))?,
        }))
    }

    /// The dialog that `response` opens for `request`, which was sent (RFC 3261 12.1.2).
    ///
    /// # Errors
    /// A header field the dialog is made of is missing or malformed.
    pub fn uac(request: &Request, response: &Response) -> Result<Self, HeaderError> {
        let headers = &response.headers;
        headers.record_routes()?;
        // RFC 3261 12.1.2: the route set MUST be the Record-Route URIs in reverse order.
        let mut route_set: Vec<Bytes> = headers.values(&HeaderName::RecordRoute).collect();
        route_set.reverse();
        let contact = headers.contact()?;
        Ok(Self::from(Parts {
            call_id: headers.call_id()?,
            local_tag: request.headers.from()?.tag().unwrap_or_default(),
            remote_tag: headers.to()?.tag().unwrap_or_default(),
            local: value(request.headers.get(&HeaderName::From)),
            remote: value(headers.get(&HeaderName::To)),
            local_cseq: request.headers.cseq()?.number,
            remote_cseq: None,
            route_set,
            remote_target: in_request(contact.ok_or(HeaderError::missing(HeaderName::Contact))?.uri),
        }))
    }

    /// Where a part begins and ends.
    fn place(&self, part: Part) -> Range<usize> {
        let end = |at: usize| self.ends.get(at).map_or(0, |end| *end as usize);
        let at = part as usize;
        at.checked_sub(1).map_or(0, end)..end(at)
    }

    fn read(&self, part: Part) -> &[u8] {
        self.text.get(self.place(part)).unwrap_or_default()
    }

    fn part(&self, part: Part) -> Bytes {
        self.text.slice_ref(self.read(part))
    }

    /// The Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &[u8] {
        self.read(Part::CallId)
    }

    /// The tag on this side.
    #[must_use]
    pub fn local_tag(&self) -> &[u8] {
        self.read(Part::LocalTag)
    }

    /// The tag on the other side; empty for an RFC 2543 peer.
    #[must_use]
    pub fn remote_tag(&self) -> &[u8] {
        self.read(Part::RemoteTag)
    }

    /// The address on this side, as From of requests sent.
    #[must_use]
    pub fn local(&self) -> &[u8] {
        self.read(Part::Local)
    }

    /// The address on the other side, as To of requests sent.
    #[must_use]
    pub fn remote(&self) -> &[u8] {
        self.read(Part::Remote)
    }

    /// The URI of the peer's Contact.
    #[must_use]
    pub fn remote_target(&self) -> &[u8] {
        self.read(Part::RemoteTarget)
    }

    /// The Route values of requests sent, before strict routers are taken into account.
    #[must_use]
    pub fn route_set(&self) -> Vec<Bytes> {
        self.routes().collect()
    }

    fn routes(&self) -> impl Iterator<Item = Bytes> {
        let mut begin = self.place(Part::RemoteTarget).end;
        let route = move |end: &u32| {
            let end = *end as usize;
            let place = std::mem::replace(&mut begin, end)..end;
            self.text.slice_ref(self.text.get(place).unwrap_or_default())
        };
        self.routes.iter().map(route)
    }

    /// The sequence number of the request sent last.
    #[must_use]
    pub const fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// Whether `request`, received, is part of this dialog (RFC 3261 12.2.2).
    #[must_use]
    pub fn matches(&self, request: &Request) -> bool {
        let headers = &request.headers;
        headers.get(&HeaderName::CallId).is_some_and(|call_id| call_id == self.call_id())
            && headers.to_tag().unwrap_or_default() == self.local_tag()
            && headers.from_tag().unwrap_or_default() == self.remote_tag()
    }

    /// Takes note of a request received in the dialog: its sequence number, and its Contact where
    /// it is a target refresh.
    ///
    /// # Errors
    /// It is out of order, or malformed.
    pub fn accept(&mut self, request: &Request) -> Result<(), Unfit> {
        if !matches!(request.method, Method::Ack | Method::Cancel) {
            self.pass(request)?;
            self.refresh(request);
        }
        Ok(())
    }

    /// Takes note of a request that is not accepted yet, or never: of its sequence number alone, since one that is refused
    /// leaves the dialog as it was (RFC 3261 14.2).
    ///
    /// # Errors
    /// It is out of order, or malformed.
    pub fn pass(&mut self, request: &Request) -> Result<(), Unfit> {
        let number = self.next_number(request)?;
        new_target(request)?;
        self.remote_cseq = Some(number);
        Ok(())
    }

    /// A request that was taken note of is accepted: its Contact is the remote target, where it is a target refresh.
    pub fn refresh(&mut self, request: &Request) {
        // RFC 3261 12.2.2: a target refresh MUST replace the remote target by the Contact, if present.
        let target = new_target(request).ok().flatten();
        if let Some(remote_target) = target.filter(|target| target != self.remote_target()) {
            *self = Self::from(Parts { remote_target, ..Parts::from(self.clone()) });
        }
    }

    fn next_number(&self, request: &Request) -> Result<u32, Unfit> {
        let number = request.headers.cseq()?.number;
        // RFC 3261 12.2.2: a lower number is out of order and MUST be rejected with a 500. The same
        // number again is no retransmission, which the transaction absorbs, so it is out of order too.
        match self.remote_cseq.is_some_and(|last| number <= last) {
            true => Err(Unfit::OutOfOrder),
            false => Ok(number),
        }
    }

    /// Builds the next request of the dialog (RFC 3261 12.2.1.1); body and other header fields are
    /// the caller's to add, the Via is the endpoint's.
    #[must_use]
    pub fn request(&mut self, method: Method, contact: Option<&str>) -> Request {
        // RFC 3261 12.2.1.1: the number MUST rise by one with each request; 8.1.1.5: it stays below 2^31.
        self.local_cseq = (self.local_cseq + 1) & 0x7fff_ffff;
        let mut request = self.build(method, self.local_cseq);
        if let Some(contact) = contact {
            request.headers.push(HeaderName::Contact, Bytes::copy_from_slice(contact.as_bytes()));
        }
        request
    }

    /// Leaves out `count` sequence numbers: those that may have been used by who kept the dialog
    /// before (RFC 3261 12.2.2: gaps are no error).
    pub const fn skip(&mut self, count: u32) {
        self.local_cseq = self.local_cseq.wrapping_add(count) & 0x7fff_ffff;
    }

    /// Takes the last request once more: its transaction is gone, perhaps before it was answered, and can absorb
    /// no repetition.
    pub const fn forgive(&mut self) {
        if let Some(number) = self.remote_cseq {
            self.remote_cseq = number.checked_sub(1);
        }
    }

    /// The ACK to the 2xx that answered the INVITE numbered `cseq` (RFC 3261 13.2.2.4).
    #[must_use]
    pub fn ack(&self, cseq: u32) -> Request {
        self.build(Method::Ack, cseq)
    }

    fn build(&self, method: Method, number: u32) -> Request {
        let (uri, routes) = self.routing();
        let cseq = format!("{number} {method}");
        let mut request = Request::new(method, uri);
        for route in routes {
            request.headers.push(HeaderName::Route, route);
        }
        request.headers.push(HeaderName::MaxForwards, Bytes::from_static(b"70"));
        request.headers.push(HeaderName::From, self.part(Part::Local));
        request.headers.push(HeaderName::To, self.part(Part::Remote));
        request.headers.push(HeaderName::CallId, self.part(Part::CallId));
        request.headers.push(HeaderName::CSeq, cseq);
        request
    }

    /// Request-URI and Route values.
    fn routing(&self) -> (Bytes, Vec<Bytes>) {
        let mut routes = self.route_set();
        let target = self.part(Part::RemoteTarget);
        match routes.first().and_then(route_uri) {
            Some((_, false)) | None => (target, routes),
            // RFC 3261 12.2.1.1: the first route is a strict router: its URI goes into the Request-URI,
            // the remote target to the end of the Route.
            Some((uri, true)) => {
                routes.remove(0);
                routes.push(NameAddr::from_uri(target).encode());
                (uri, routes)
            }
        }
    }

    /// The URI to resolve and send the next request to (RFC 3261 8.1.2): the first route, else the
    /// remote target.
    #[must_use]
    pub fn next_hop(&self) -> Bytes {
        self.routes()
            .next()
            .and_then(|route| NameAddr::parse(&route).ok())
            .map_or_else(|| self.part(Part::RemoteTarget), |route| route.uri)
    }

    /// Makes `response`, which answers `request`, one that opens a dialog: copies the Record-Route
    /// fields (RFC 3261 12.1.1), and the Path (RFC 3327 5.3). To tag and Contact are the caller's.
    pub fn establish(request: &Request, response: &mut Response) {
        // RFC 3261 12.1.1: all Record-Route values MUST be copied, in order and with unknown parameters.
        for value in request.headers.all(&HeaderName::RecordRoute) {
            response.headers.push(HeaderName::RecordRoute, value.clone());
        }
        // RFC 3327 5.3: the Path values are copied into the 2xx, which shows the client who is on its way.
        for value in request.headers.all(&HeaderName::Path) {
            response.headers.push(HeaderName::Path, value.clone());
        }
    }
}

/// Through whom requests to the sender of `request` go.
fn route_set(request: &Request) -> Vec<Bytes> {
    // RFC 3261 12.1.1: the route set MUST be the Record-Route URIs in order, with all parameters.
    let recorded: Vec<Bytes> = request.headers.values(&HeaderName::RecordRoute).collect();
    if !recorded.is_empty() {
        return recorded;
    }
    // RFC 3327 5.4: who sends to a contact without such a route preloads the Path, in its order. The
    // contact comes with the request here, where RFC 3327 has it registered beforehand.
    request.headers.values(&HeaderName::Path).collect()
}

/// RFC 3261 12.2.2, RFC 3311 5.1, RFC 6665 3.1, 3.2: the requests whose Contact replaces the target.
const fn refreshes_target(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer)
}

/// The remote target that a request in a dialog names.
fn new_target(request: &Request) -> Result<Option<Bytes>, HeaderError> {
    if refreshes_target(&request.method) { one_contact(request) } else { Ok(None) }
}

fn value(header: Option<&Bytes>) -> Bytes {
    header.cloned().unwrap_or_default()
}

fn with_tag(value: &[u8], tag: &str) -> Bytes {
    Bytes::from([value, b";tag=", tag.as_bytes()].concat())
}

/// The URI of a Contact as the remote target: without what RFC 3261 19.1.1, table 1, does not allow in the Contact of a
/// dialog, nor in the Request-URI that it becomes.
fn in_request(uri: Bytes) -> Bytes {
    SipUri::in_request(&uri).unwrap_or(uri)
}

/// The URI of the Contact of a request that makes a dialog or refreshes its target; none where it has no Contact.
fn one_contact(request: &Request) -> Result<Option<Bytes>, HeaderError> {
    let malformed = |problem| HeaderError::malformed(HeaderName::Contact, problem);
    let mut contacts = request.headers.values(&HeaderName::Contact);
    let Some(contact) = contacts.next() else { return Ok(None) };
    // RFC 3261 8.1.1.8: it MUST contain exactly one SIP or SIPS URI.
    if contacts.next().is_some() {
        return Err(malformed("not exactly one"));
    }
    let uri = NameAddr::parse(&contact).map_err(malformed)?.uri;
    SipUri::in_request(&uri).map(Some).map_err(|_| malformed("not a SIP URI"))
}

/// The URI of a route and whether it is that of a strict router, as which it goes into a
/// Request-URI; `None` for a URI of another scheme.
fn route_uri(route: &Bytes) -> Option<(Bytes, bool)> {
    let route = NameAddr::parse(route).ok()?;
    let uri = SipUri::parse(&route.uri).ok()?;
    if uri.is_loose_route() {
        return Some((route.uri, false));
    }
    // RFC 3261 12.2.1.1: parameters not allowed in a Request-URI are stripped.
    Some((SipUri::in_request(&route.uri).ok()?, true))
}
