//! A subscription we hold with somebody: [`Subscription`], the subscriber half of one (RFC 6665 4.1), for any
//! event package.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::account::Account;
use super::opening::Opening;
use super::refusal::Refusal;
use super::subscription_event::{SubscriptionAction, SubscriptionEnd, SubscriptionEvent};
use crate::machine::sip::{Body, Dialog, FailureCause, ServerTxn, Timers, Unfit};
use crate::time::Instant;
use crate::wire::mime;
use crate::wire::sip::{Event, HeaderError, HeaderName, Method, Request, Response, StatusCode};

/// Before its end a subscription is refreshed, and after an interruption asked for again, but never more often than
/// this.
const SHORTEST: Duration = Duration::from_secs(5);
/// A notifier that wants to be left alone is asked again after this at the latest.
const LONGEST: Duration = Duration::from_secs(3600);

/// A subscription, from the SUBSCRIBE sent to the NOTIFY that ends it.
///
/// * Inputs: the `handle_*`.
/// * Command: [`unsubscribe`](Self::unsubscribe).
/// * After each of them, drain [`poll_action`](Self::poll_action) and [`poll_event`](Self::poll_event), then
///   arm an alarm for [`poll_timeout`](Self::poll_timeout).
///
/// It refreshes itself. Once it has heard of its state, it is kept up: where a refresh fails or the notifier ends it for
/// a while, it is asked for again, at a pace, until somebody answers; a refusal that time does not change ends it.
///
/// Asked for a duration of zero, it fetches the state once and ends.
#[derive(Debug)]
pub struct Subscription {
    subscribe: Request,
    contact: String,
    timers: Timers,
    wanted: Duration,
    dialog: Option<Dialog>,
    phase: Phase,
    /// When it was asked for last.
    asked: Instant,
    /// When to refresh, or to subscribe anew.
    refresh: Option<Instant>,
    /// When the notifier forgets it, or has; after that there is nothing to refresh.
    expires: Option<Instant>,
    /// Whether it is kept up: its state was told.
    kept: bool,
    /// Whether it is interrupted, and that was told.
    interrupted: bool,
    /// When a NOTIFY must have come (RFC 6665 4.1.2.1, Timer N).
    until: Option<Instant>,
    actions: VecDeque<SubscriptionAction>,
    events: VecDeque<SubscriptionEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first SUBSCRIBE has neither an answer nor a NOTIFY.
    Asking,
    Active,
    /// Our wish to end it is on its way.
    Ending,
    Ended,
}

impl Subscription {
    /// Begins with `subscribe`: a SUBSCRIBE with its Event, but without Expires and Via.
    #[must_use]
    pub fn new(
        now: Instant,
        mut subscribe: Request,
        contact: impl Into<String>,
        wanted: Duration,
        timers: Timers,
    ) -> Self {
        let contact = contact.into();
        // RFC 6665 4.1.2.1: SUBSCRIBE requests SHOULD contain an Expires; 3.1: a Contact MUST be there.
        subscribe.headers.push(HeaderName::Contact, contact.clone());
        subscribe.headers.set(HeaderName::Expires, wanted.as_secs().to_string());
        let actions = VecDeque::from([SubscriptionAction::Subscribe(subscribe.clone())]);
        Self {
            subscribe,
            contact,
            timers,
            wanted,
            dialog: None,
            phase: if wanted.is_zero() { Phase::Ending } else { Phase::Asking },
            asked: now,
            refresh: None,
            expires: None,
            kept: false,
            interrupted: false,
            until: Some(now + timers.give_up()),
            actions,
            events: VecDeque::new(),
        }
    }

    /// The dialog, once there is one.
    #[must_use]
    pub const fn dialog(&self) -> Option<&Dialog> {
        self.dialog.as_ref()
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// The next thing to hand to the endpoint.
    pub fn poll_action(&mut self) -> Option<SubscriptionAction> {
        self.actions.pop_front()
    }

    /// The next thing for the user to know.
    pub fn poll_event(&mut self) -> Option<SubscriptionEvent> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match (self.refresh, self.until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// The SUBSCRIBE was sent as `request`; `again` where that is a repetition with credentials, and so with the
    /// next sequence number (RFC 3261 22.2).
    pub fn sent(&mut self, request: &Request, again: bool) {
        match &mut self.dialog {
            Some(dialog) if again => dialog.skip(1),
            Some(_) => {}
            None => self.subscribe = request.clone(),
        }
    }

    /// Ends the subscription; the NOTIFY that confirms it is still awaited.
    pub fn unsubscribe(&mut self, now: Instant) {
        match self.phase {
            Phase::Active if self.dialog.is_some() => {
                self.phase = Phase::Ending;
                // RFC 6665 4.1.2.3: unsubscribing is a refresh with an Expires of 0.
                self.again(now, Duration::ZERO);
            }
            Phase::Asking | Phase::Active => self.end(SubscriptionEnd::Done),
            Phase::Ending | Phase::Ended => {}
        }
    }

    /// Takes a response to a SUBSCRIBE.
    pub fn handle_response(&mut self, now: Instant, response: &Response) {
        if response.status.is_provisional() || self.is_ended() {
            return;
        }
        if response.status.is_success() {
            return self.granted(now, response);
        }
        let longer = response.headers.get(&HeaderName::MinExpires).and_then(|value| seconds(value));
        if response.status == StatusCode::INTERVAL_TOO_BRIEF
            && let Some(longer) = longer.filter(|longer| *longer > self.wanted)
        {
            // RFC 6665 4.1.2.1 with RFC 3261 21.4.17: tried again with the least that is granted.
            self.wanted = longer;
            return self.retry(now);
        }
        let refusal = Refusal::of(response);
        let (after, end) = (refusal.retry_after, SubscriptionEnd::Refused(refusal));
        match response.status.0 {
            // RFC 6665 4.1.2.2: 481 says that the subscription is over, as was wanted.
            481 if self.phase == Phase::Ending && self.dialog.is_some() => self.end(SubscriptionEnd::Done),
            // RFC 5057 5.1: these end the subscription; another may be granted.
            408 | 480 | 481 => self.lost(now, after, end),
            // RFC 6665 4.1.2.2: after these it is still valid.
            500 | 503 | 504 => self.interrupt(now, after, end),
            _ => self.end(end),
        }
    }

    /// A SUBSCRIBE was not answered, or could not be sent.
    pub fn handle_failed(&mut self, now: Instant, cause: FailureCause) {
        let end = SubscriptionEnd::Failed(cause);
        match cause {
            _ if self.is_ended() => {}
            FailureCause::Transport | FailureCause::Unresolved => self.interrupt(now, None, end),
            // RFC 3261 12.2.1.2: a request in a dialog that is not answered ends the dialog.
            _ => self.lost(now, None, end),
        }
    }

    /// Subscribes anew, as `opening` says, outside of the dialog that there was.
    pub fn anew(&mut self, now: Instant, opening: &Opening, account: &Account) {
        if self.is_ended() {
            return;
        }
        opening.reopen(&mut self.subscribe, account);
        self.subscribe.headers.set(HeaderName::Expires, self.wanted.as_secs().to_string());
        (self.dialog, self.phase, self.expires) = (None, Phase::Asking, None);
        (self.asked, self.until) = (now, Some(now + self.timers.give_up()));
        self.actions.push_back(SubscriptionAction::Subscribe(self.subscribe.clone()));
    }

    /// Whether `request` is a NOTIFY of this subscription.
    #[must_use]
    pub fn matches(&self, request: &Request) -> bool {
        match &self.dialog {
            Some(dialog) => dialog.matches(request),
            // RFC 6665 4.1.2.4: before there is a dialog a NOTIFY is matched by Call-ID, tag and Event.
            None => {
                let ours = &self.subscribe.headers;
                request.headers.get(&HeaderName::CallId) == ours.get(&HeaderName::CallId)
                    && request.headers.to_tag() == ours.from_tag()
                    && self.is_same_event(request)
            }
        }
    }

    /// Takes a request of this subscription: a NOTIFY, or what does not belong here.
    pub fn handle_request(&mut self, now: Instant, txn: ServerTxn, request: &Request) {
        if request.method != Method::Notify || !self.is_same_event(request) || self.is_ended() {
            // RFC 6665 4.1.3: a NOTIFY that matches no subscription is answered 481.
            let status = StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST;
            return self.actions.push_back(SubscriptionAction::Respond(txn, request.respond(status)));
        }
        // RFC 6665 4.1.3: a NOTIFY without Subscription-State is malformed.
        let missing = || Unfit::Malformed(HeaderError::missing(HeaderName::SubscriptionState));
        let state = request.headers.get(&HeaderName::SubscriptionState);
        let taken = self.open(request).and_then(|()| state.cloned().ok_or_else(missing));
        let answer = match &taken {
            Ok(_) => request.respond(StatusCode::OK),
            Err(unfit) => unfit.response(request),
        };
        self.actions.push_back(SubscriptionAction::Respond(txn, answer));
        if let Ok(state) = taken {
            self.notified(now, &state, request);
        }
    }

    /// Refreshes what is due, and gives up what was not confirmed in time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.until.is_some_and(|at| at <= now) {
            self.until = None;
            // RFC 6665 4.1.2.1: without a NOTIFY before Timer N fires, the subscription has failed.
            return match self.phase {
                Phase::Ended => {}
                _ => self.lost(now, None, SubscriptionEnd::Failed(FailureCause::Timeout)),
            };
        }
        if self.refresh.is_some_and(|at| at <= now) {
            self.refresh = None;
            let is_valid = self.expires.is_none_or(|expires| now < expires);
            match self.phase {
                Phase::Active if is_valid => self.again(now, self.wanted),
                Phase::Active | Phase::Asking => self.actions.push_back(SubscriptionAction::Anew),
                Phase::Ending | Phase::Ended => {}
            }
        }
    }

    /// The connection is gone over which it was made, and with it, it may be, the way of the NOTIFYs: a refresh, by a
    /// new connection, makes another (RFC 6665 4.4.1: the Contact and the flow are those of the last SUBSCRIBE).
    pub fn handle_connection_lost(&mut self, now: Instant) {
        if self.phase == Phase::Active && self.dialog.is_some() {
            // One whose connections do not last is not asked without pause.
            let soon = now.max(self.asked + SHORTEST);
            self.refresh = Some(self.refresh.map_or(soon, |due| due.min(soon)));
        }
    }

    fn granted(&mut self, now: Instant, response: &Response) {
        if self.dialog.is_none() {
            self.dialog = Dialog::uac(&self.subscribe, response).ok();
        }
        let granted = response.headers.get(&HeaderName::Expires).and_then(|value| seconds(value));
        let granted = granted.unwrap_or(self.wanted);
        if self.phase == Phase::Asking {
            self.phase = Phase::Active;
            self.events.push_back(SubscriptionEvent::Accepted(granted));
        }
        if self.phase == Phase::Active {
            self.lasts(now, granted);
        }
    }

    /// Takes note that it is granted for so long.
    fn lasts(&mut self, now: Instant, granted: Duration) {
        self.interrupted = false;
        (self.refresh, self.expires) = (Some(now + ahead(granted)), Some(now + granted));
    }

    /// Takes note of a NOTIFY in the dialog; one that comes before the 2xx makes it (RFC 6665 4.1.2.4, 4.4.1).
    fn open(&mut self, notify: &Request) -> Result<(), Unfit> {
        if let Some(dialog) = &mut self.dialog {
            return dialog.accept(notify);
        }
        let tag = self.subscribe.headers.from_tag().unwrap_or_default();
        let mut dialog = Dialog::uas(notify, &String::from_utf8_lossy(&tag))?;
        dialog.skip(self.subscribe.headers.cseq().map_or(1, |cseq| cseq.number));
        self.dialog = Some(dialog);
        Ok(())
    }

    fn notified(&mut self, now: Instant, state: &Bytes, request: &Request) {
        (self.until, self.kept) = (None, !self.wanted.is_zero());
        let content_type = request.headers.get(&HeaderName::ContentType).cloned().unwrap_or_default();
        if !request.body.is_empty() {
            let body = Body::new(content_type, request.body.clone());
            self.events.push_back(SubscriptionEvent::Notified(body));
        }
        if mime::value(state) == "terminated" {
            return self.terminated(now, state);
        }
        if self.phase == Phase::Asking {
            self.phase = Phase::Active;
            self.events.push_back(SubscriptionEvent::Accepted(self.wanted));
        }
        // RFC 6665 4.1.3: the duration in a NOTIFY MUST be taken as the new one.
        let left = mime::parameter(state, "expires").and_then(|value| seconds(&value));
        if let (Phase::Active, Some(left)) = (self.phase, left) {
            self.lasts(now, left);
        }
        if self.phase == Phase::Ending {
            self.until = Some(now + self.timers.give_up());
        }
    }

    fn terminated(&mut self, now: Instant, state: &[u8]) {
        let text = |name| mime::parameter(state, name);
        let reason = text("reason").map(|value| String::from_utf8_lossy(&value).into_owned());
        let reason = reason.unwrap_or_default();
        let retry_after = text("retry-after").and_then(|value| seconds(&value));
        // RFC 6665 4.1.3: after these nobody subscribes anew, after any other reason one may.
        let is_final = matches!(reason.as_str(), "rejected" | "noresource" | "invariant");
        let end = SubscriptionEnd::Terminated { reason, retry_after };
        match self.phase {
            Phase::Ending => self.end(SubscriptionEnd::Done),
            _ if is_final => self.end(end),
            _ => self.lost(now, retry_after, end),
        }
    }

    /// The notifier knows it no more, or will not: where it is kept up, it is asked for anew.
    fn lost(&mut self, now: Instant, after: Option<Duration>, end: SubscriptionEnd) {
        self.expires = Some(now);
        self.interrupt(now, after, end);
    }

    /// Something stands in its way: where it is kept up, it is asked for again a while later.
    fn interrupt(&mut self, now: Instant, after: Option<Duration>, end: SubscriptionEnd) {
        if !self.kept || self.phase == Phase::Ending {
            return self.end(end);
        }
        let again = match after {
            Some(after) => now + after.clamp(SHORTEST, LONGEST),
            None => now.max(self.asked + SHORTEST),
        };
        (self.refresh, self.until) = (Some(again), None);
        if !std::mem::replace(&mut self.interrupted, true) {
            self.events.push_back(SubscriptionEvent::Interrupted(end));
        }
    }

    fn is_same_event(&self, request: &Request) -> bool {
        let of = |request: &Request| request.headers.event().ok().flatten();
        let ours: Option<Event> = of(&self.subscribe);
        ours.is_some() && of(request) == ours
    }

    /// Sends a SUBSCRIBE within the dialog.
    fn again(&mut self, now: Instant, wanted: Duration) {
        let Some(dialog) = &mut self.dialog else { return };
        let mut request = dialog.request(Method::Subscribe, Some(&self.contact));
        for name in [HeaderName::Event, HeaderName::Accept] {
            if let Some(value) = self.subscribe.headers.get(&name) {
                request.headers.push(name, value.clone());
            }
        }
        request.headers.push(HeaderName::Expires, wanted.as_secs().to_string());
        (self.asked, self.until) = (now, Some(now + self.timers.give_up()));
        self.actions.push_back(SubscriptionAction::Subscribe(request));
    }

    /// Asks again, after a refusal that says how.
    fn retry(&mut self, now: Instant) {
        if self.dialog.is_some() {
            return self.again(now, self.wanted);
        }
        let number = self.subscribe.headers.cseq().map_or(1, |cseq| cseq.number) + 1;
        let headers = &mut self.subscribe.headers;
        headers.set(HeaderName::CSeq, format!("{number} SUBSCRIBE"));
        headers.set(HeaderName::Expires, self.wanted.as_secs().to_string());
        self.actions.push_back(SubscriptionAction::Subscribe(self.subscribe.clone()));
    }

    fn end(&mut self, end: SubscriptionEnd) {
        self.phase = Phase::Ended;
        (self.refresh, self.until) = (None, None);
        self.events.push_back(SubscriptionEvent::Ended(end));
    }
}

/// How long after it was granted a subscription is refreshed: well before its end.
fn ahead(granted: Duration) -> Duration {
    (granted - granted / 4).max(SHORTEST.min(granted))
}

fn seconds(text: &[u8]) -> Option<Duration> {
    std::str::from_utf8(text).ok()?.trim().parse().ok().map(Duration::from_secs)
}
