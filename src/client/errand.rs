//! A user agent's requests on their way ([`Errand`]): challenges answered (RFC 3261 22.2), the next place tried where
//! one fails (RFC 3263 4.3), and what comes back given to the usage that it belongs to.

use super::opening::Draw;
use super::outbound::Try;
use super::refusal::Refusal;
use super::usage::{Kind, Usage, UserAgentEvent};
use super::user_agent::UserAgent;
use crate::entropy::Entropy;
use crate::machine::sip::{ClientTxn, Destination, FailureCause};
use crate::time::Instant;
use crate::wire::sip::{HeaderName, Method, Request, Response, StatusCode};

/// How often a request is sent to one place: once, with credentials, with a fresh nonce.
const MOST_ATTEMPTS: u8 = 3;

/// A request on its way.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) usage: Usage,
    role: Role,
    /// As it was given, without Via and credentials, where it may have to be sent again.
    request: Option<Box<Request>>,
    /// Whether it went with credentials.
    authorized: bool,
    to: Destination,
    attempts: u8,
    /// Which of the places it was sent to; none within a dialog.
    place: Option<Try>,
    /// When the place is given up, if nothing is heard of it.
    pub(super) until: Option<Instant>,
    /// Whether anything was heard.
    heard: bool,
    /// Whether the place was given up, and the next one tried: a late 2xx is all that still matters.
    given_up: bool,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// What opens the usage, or a SUBSCRIBE that refreshes it.
    Opening,
    Bye,
    /// Nobody waits for the response.
    Unawaited,
}

impl Errand {
    pub(super) const fn new(usage: Usage, role: Role, to: Destination, place: Option<Try>) -> Self {
        Self {
            usage,
            role,
            request: None,
            authorized: false,
            to,
            attempts: 1,
            place,
            until: None,
            heard: false,
            given_up: false,
        }
    }
}

impl UserAgent {
    /// Sends a request outside of any dialog, to the first place.
    pub(super) fn send_out(
        &mut self,
        now: Instant,
        usage: Usage,
        request: Request,
        entropy: &mut dyn Entropy,
    ) {
        let (place, to) = self.outbound.first();
        self.transmit(now, Errand::new(usage, Role::Opening, to, Some(place)), request, entropy);
    }

    /// Sends a request, with credentials where they have been asked for before.
    pub(super) fn transmit(
        &mut self,
        now: Instant,
        mut errand: Errand,
        mut request: Request,
        entropy: &mut dyn Entropy,
    ) {
        let more = errand.place.is_some_and(Try::has_more);
        errand.until = more.then(|| now + self.patience);
        if more || self.login.is_some() {
            errand.request = Some(Box::new(request.clone()));
        }
        if let Some(login) = &mut self.login {
            errand.authorized = login.is_challenged();
            if errand.authorized {
                login.authorize(&mut request, &Draw(entropy).token(16));
            }
        }
        let going = self.usages.get_mut(&errand.usage);
        if let Some(going) = going.filter(|_| errand.role != Role::Unawaited) {
            going.sent(&request, errand.attempts > 1);
            if errand.place.is_some() {
                going.place = Some(errand.to.clone());
            }
        }
        let txn = self.endpoint.request(now, request, errand.to.clone(), entropy);
        if let Some(going) = self.usages.get_mut(&errand.usage)
            && errand.role == Role::Opening
        {
            going.txn = Some(txn);
        }
        self.errands.insert(txn, errand);
    }

    /// Answers a challenge by the same request with credentials. Says whether it could.
    fn answer_challenge(
        &mut self,
        now: Instant,
        txn: ClientTxn,
        response: &Response,
        entropy: &mut dyn Entropy,
    ) -> bool {
        let Some(login) = &mut self.login else { return false };
        if !matches!(response.status.0, 401 | 407) {
            if response.status.is_final() {
                login.accepted();
            }
            return false;
        }
        let Some(errand) = self.errands.get(&txn).filter(|errand| errand.attempts < MOST_ATTEMPTS) else {
            return false;
        };
        // Where it went without, while another request was being challenged, nothing was refused.
        let ready = login.is_challenged() && !errand.authorized;
        if !ready && login.challenged(response).is_err() {
            return false;
        }
        let Some(mut errand) = self.errands.remove(&txn) else { return false };
        let Some(mut request) = errand.request.take() else { return false };
        // RFC 3261 22.2: the CSeq MUST be incremented, as it would be for any new request.
        let number = request.headers.cseq().map_or(1, |cseq| cseq.number) + 1;
        let cseq = format!("{number} {}", request.method);
        request.headers.set(HeaderName::CSeq, cseq);
        errand.attempts += 1;
        self.transmit(now, errand, *request, entropy);
        true
    }

    /// Sends a request that failed at one place to the next. Says whether there was one.
    fn go_on(&mut self, now: Instant, txn: ClientTxn, entropy: &mut dyn Entropy) -> bool {
        let Some(errand) = self.errands.get_mut(&txn) else { return false };
        let Some(failed) = errand.place else { return false };
        // A place that fails is remembered, also where it was the last one.
        let Some((place, to)) = self.outbound.after(failed) else { return false };
        let Some(request) = errand.request.take() else { return false };
        let next = Errand::new(errand.usage, errand.role, to, Some(place));
        (errand.given_up, errand.until) = (true, None);
        if let Some(login) = &mut self.login {
            // Another server has other nonces: that it challenges anew is no refusal.
            login.accepted();
        }
        // RFC 3263 4.3: a new transaction, the request is the same but for its Via.
        self.transmit(now, next, *request, entropy);
        true
    }

    /// Gives up places of which nothing was heard in time.
    pub(super) fn give_up_places(&mut self, now: Instant, entropy: &mut dyn Entropy) {
        let due = |errand: &Errand| errand.until.is_some_and(|at| at <= now);
        let silent: Vec<(ClientTxn, Usage)> = self
            .errands
            .iter()
            .filter(|(_, errand)| due(errand))
            .map(|(txn, errand)| (*txn, errand.usage))
            .collect();
        for (txn, usage) in silent {
            self.go_on(now, txn, entropy);
            self.drain(now, usage, entropy);
        }
    }

    /// Takes a response to one of the requests.
    pub(super) fn response(
        &mut self,
        now: Instant,
        txn: ClientTxn,
        response: &Response,
        entropy: &mut dyn Entropy,
    ) {
        let Some(errand) = self.errands.get_mut(&txn) else { return };
        (errand.heard, errand.until) = (true, None);
        let (usage, role, given_up) = (errand.usage, errand.role, errand.given_up);
        if !given_up && self.answer_challenge(now, txn, response, entropy) {
            return self.drain(now, usage, entropy);
        }
        let is_final = response.status.is_final();
        // RFC 3263 4.3: a 503 is a failure of the place.
        let busy = !given_up && response.status == StatusCode::SERVICE_UNAVAILABLE;
        if busy && self.go_on(now, txn, entropy) {
            self.errands.remove(&txn);
            return self.drain(now, usage, entropy);
        }
        if !given_up || response.status.is_success() {
            self.give(now, usage, role, response);
        }
        // Further 2xx to an INVITE may come (RFC 6026 7.2).
        let more = response.status.is_success() && response.is_for(&Method::Invite);
        if is_final && !more {
            self.errands.remove(&txn);
        }
        self.drain(now, usage, entropy);
    }

    /// Gives a response to its usage.
    fn give(&mut self, now: Instant, usage: Usage, role: Role, response: &Response) {
        let is_final = response.status.is_final();
        match (self.usages.get_mut(&usage).map(|going| &mut going.kind), role) {
            (Some(Kind::Session(invitation)), Role::Opening) => invitation.handle_response(response),
            (Some(Kind::Session(invitation)), Role::Bye) if is_final => invitation.handle_bye_response(),
            (Some(Kind::Subscription(subscription)), Role::Opening) => {
                subscription.handle_response(now, response);
            }
            (Some(Kind::Single), _) if is_final => {
                self.usages.remove(&usage);
                self.events.push_back(match response.status.is_success() {
                    true => (usage, UserAgentEvent::Answered(response.clone())),
                    false => (usage, UserAgentEvent::Refused(Refusal::of(response))),
                });
            }
            _ => {}
        }
    }

    /// One of the requests got no final response.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        txn: ClientTxn,
        cause: FailureCause,
        entropy: &mut dyn Entropy,
    ) {
        let Some(errand) = self.errands.get(&txn) else { return };
        let (usage, role, heard, given_up) = (errand.usage, errand.role, errand.heard, errand.given_up);
        // RFC 3263 4.3: a time-out after a provisional response is no failure of the place.
        let of_place = !given_up && (cause != FailureCause::Timeout || !heard);
        let went_on = of_place && self.go_on(now, txn, entropy);
        self.errands.remove(&txn);
        if !given_up && !went_on {
            self.give_failure(now, usage, role, cause);
        }
        self.drain(now, usage, entropy);
    }

    fn give_failure(&mut self, now: Instant, usage: Usage, role: Role, cause: FailureCause) {
        match (self.usages.get_mut(&usage).map(|going| &mut going.kind), role) {
            (Some(Kind::Session(invitation)), Role::Opening) => invitation.handle_failed(cause),
            (Some(Kind::Session(invitation)), Role::Bye) => invitation.handle_bye_response(),
            (Some(Kind::Subscription(subscription)), Role::Opening) => subscription.handle_failed(now, cause),
            (Some(Kind::Single), _) => {
                self.usages.remove(&usage);
                self.events.push_back((usage, UserAgentEvent::Failed(cause)));
            }
            _ => {}
        }
    }
}
