//! A subscription somebody holds with us: [`Notifier`], the notifier half of one (RFC 6665 4.2),
//! for any event package. Who may subscribe, for how long and what a body says is its user's affair.

mod reason;
mod record;

use std::time::Duration;

use bytes::Bytes;

use super::dialog::Dialog;
use super::session_event::Body;
use super::transport::{Flow, Transport};
use crate::time::Instant;
use crate::wire::sip::{Event, HeaderError, HeaderName, Host, Method, Request, Response, SipUri, StatusCode};

pub use reason::TerminationReason;
pub use record::NotifierRecord;

/// The reason phrase of a 403 to a SUBSCRIBE for something new in a dialog that is there (RFC 6665 4.5.2).
pub const NO_SHARING: &str = "Dialog Sharing Not Supported";

/// How long a subscriber may take to come back by another connection, where there is no other way to him.
const GRACE: Duration = Duration::from_secs(30);

/// Who asks for less before a NOTIFY is sent again is given this.
const SHORTEST_RETRY: Duration = Duration::from_secs(1);

/// How long after a NOTIFY that the DNS gave no way for the next one is tried; then twice as long, up to 320 s.
const UNRESOLVED_RETRY: Duration = Duration::from_secs(5);
const UNRESOLVED_DOUBLINGS: u32 = 6;
/// How often the last NOTIFY of a subscription is tried so: for as long as one that is not answered.
const LAST_TRIES: u32 = 4;

/// A subscription, from the SUBSCRIBE accepted to the last NOTIFY answered.
///
/// One NOTIFY at a time is on its way; changes meanwhile, and those within the least interval, are
/// told by the next one. After each input and command ask [`due`](Self::due): when it says `true`,
/// compose a body (it may take its time) and call [`notify`](Self::notify), or
/// [`defer`](Self::defer) or [`withhold`](Self::withhold); send what it returns to where the dialog's next hop resolves, and hand
/// the outcome to [`handle_response`](Self::handle_response), [`handle_failed`](Self::handle_failed) or
/// [`handle_unresolved`](Self::handle_unresolved). Then arm an alarm for
/// [`poll_timeout`](Self::poll_timeout).
#[derive(Clone, Debug)]
pub struct Notifier {
    dialog: Dialog,
    contact: String,
    event: Bytes,
    /// The connection that the subscriber came on last; unknown after a restart.
    flow: Option<Flow>,
    min_interval: Duration,
    expires: Instant,
    phase: Phase,
    /// Whether a NOTIFY is being composed, on its way, or waits for room.
    busy: Option<Busy>,
    /// Since when there is something to tell, and whether it must not wait for the interval.
    news: Option<(Instant, bool)>,
    last: Option<Instant>,
    /// How many NOTIFYs in a row the DNS gave no way for.
    unresolved: u32,
    /// When it ends, because the connection is gone by which alone its subscriber is reached.
    lost: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Active,
    /// One last NOTIFY is to be answered.
    Ending(TerminationReason, Option<u32>),
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Busy {
    Composing,
    InFlight,
    /// There is no room for it.
    Withheld,
}

/// What came of a NOTIFY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotifyOutcome {
    /// A provisional response: wait.
    Waiting,
    /// The subscriber has it.
    Delivered,
    /// The subscriber does not have it; the subscription goes on with the next change, or with [`Notifier::retry`].
    Refused,
    /// The subscription is over; forget it.
    Ended,
}

/// The answer to a SUBSCRIBE within a subscription.
#[derive(Clone, Debug)]
pub struct Refreshed {
    /// What to answer with.
    pub response: Response,
    /// Whether the NOTIFY that was on its way, or waited for room, was given up, for it may have been lost with its
    /// connection: what comes of it is to be kept from [`Notifier::handle_response`], [`Notifier::handle_failed`],
    /// [`Notifier::handle_unresolved`] and [`Notifier::resume`].
    pub abandoned: bool,
}

impl Notifier {
    /// Accepts a SUBSCRIBE that came over `flow`, for `granted`; zero fetches the state once. Returns the 200 to answer
    /// with; a NOTIFY is due at once, and never two within `min_interval` but to follow a refresh.
    ///
    /// # Errors
    /// The request cannot open a dialog; answer 400.
    pub fn accept(
        now: Instant,
        request: &Request,
        flow: Flow,
        local_tag: &str,
        contact: impl Into<String>,
        granted: Duration,
        min_interval: Duration,
    ) -> Result<(Self, Response), HeaderError> {
        let event = request.headers.get(&HeaderName::Event);
        let mut notifier = Self {
            dialog: Dialog::uas(request, local_tag)?,
            contact: contact.into(),
            event: event.map_or_else(Bytes::new, |event| Bytes::copy_from_slice(event)),
            flow: Some(flow),
            min_interval,
            expires: now,
            phase: Phase::Active,
            busy: None,
            news: None,
            last: None,
            unresolved: 0,
            lost: None,
        };
        let mut response = notifier.grant(now, request, granted);
        Dialog::establish(request, &mut response);
        response.set_to_tag(local_tag);
        Ok((notifier, response))
    }

    /// Takes a SUBSCRIBE in the dialog, which came over `flow`: refreshes for `granted`, or ends where that is zero.
    /// After a 200 a NOTIFY is due at once.
    #[must_use]
    pub fn handle_subscribe(
        &mut self,
        now: Instant,
        request: &Request,
        flow: Flow,
        granted: Duration,
    ) -> Refreshed {
        let response = self.refresh(now, request, granted);
        let moved = response.status.is_success() && self.flow.replace(flow).is_none_or(|last| last != flow);
        if moved {
            self.lost = None;
        }
        Refreshed { abandoned: moved && self.abandon(), response }
    }

    fn refresh(&mut self, now: Instant, request: &Request, granted: Duration) -> Response {
        if self.phase != Phase::Active || !self.dialog.matches(request) {
            return request.respond(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST);
        }
        if !self.is_same_event(request) {
            // RFC 6665 4.5.2: another subscription in the same dialog is refused with 403, whose text SHOULD say why.
            return request.respond_with(StatusCode::FORBIDDEN, NO_SHARING);
        }
        match self.dialog.accept(request) {
            Ok(()) => self.grant(now, request, granted),
            Err(unfit) => unfit.response(request),
        }
    }

    /// Takes a request other than SUBSCRIBE in the dialog; gives its refusal where it does not belong there, or is out of
    /// order.
    #[must_use]
    pub fn handle_other(&mut self, request: &Request) -> Option<Response> {
        if self.is_ended() || !self.dialog.matches(request) {
            return Some(request.respond(StatusCode::CALL_OR_TRANSACTION_DOES_NOT_EXIST));
        }
        // None of them changes anything in the dialog of a subscription.
        self.dialog.pass(request).err().map(|unfit| unfit.response(request))
    }

    fn grant(&mut self, now: Instant, request: &Request, granted: Duration) -> Response {
        self.expires = now + granted;
        // RFC 6665 4.2.2: after a 200 to a SUBSCRIBE a NOTIFY MUST be sent immediately.
        self.news = Some((now, true));
        if granted.is_zero() {
            // RFC 6665 4.2.1.4, 4.4.3: unsubscribing and fetching end with a NOTIFY that says so.
            self.end_with(TerminationReason::Timeout, None);
        }
        let mut response = request.respond(StatusCode::OK);
        // RFC 6665 4.2.1.1: the 200 MUST tell the actual duration.
        response.headers.push(HeaderName::Expires, granted.as_secs().to_string());
        response.headers.push(HeaderName::Contact, self.contact.clone());
        response
    }

    fn is_same_event(&self, request: &Request) -> bool {
        let ours = Event::parse(&self.event).ok();
        ours.is_some() && request.headers.event().ok().flatten() == ours
    }

    /// The dialog.
    #[must_use]
    pub const fn dialog(&self) -> &Dialog {
        &self.dialog
    }

    /// The connection that the subscriber came on last, where it is known.
    #[must_use]
    pub const fn flow(&self) -> Option<Flow> {
        self.flow
    }

    /// When it ends unless it is refreshed.
    #[must_use]
    pub const fn expires(&self) -> Instant {
        self.expires
    }

    /// What was granted last is taken back: it ends at `expires` unless it is refreshed.
    pub const fn end_at(&mut self, expires: Instant) {
        self.expires = expires;
    }

    /// Whether it is neither over nor about to be.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// What is subscribed to has changed.
    pub fn changed(&mut self, now: Instant) {
        if self.phase == Phase::Active && self.news.is_none() {
            self.news = Some((now, false));
        }
    }

    /// There is more to tell, which need not wait for the least interval.
    pub fn hasten(&mut self, now: Instant) {
        if self.phase == Phase::Active {
            self.news = Some((now, true));
        }
    }

    /// Ends the subscription with a last NOTIFY, which is due at once; `retry_after` in seconds.
    pub fn terminate(&mut self, now: Instant, reason: TerminationReason, retry_after: Option<u32>) {
        if self.phase == Phase::Active {
            self.end_with(reason, retry_after);
            self.news = Some((now, true));
        }
    }

    /// One last NOTIFY is to come, which is tried as often as it may be.
    const fn end_with(&mut self, reason: TerminationReason, retry_after: Option<u32>) {
        self.phase = Phase::Ending(reason, retry_after);
        self.unresolved = 0;
    }

    /// Whether a NOTIFY is to be composed now. Says `true` once, and then no more until
    /// [`notify`](Self::notify), [`defer`](Self::defer) or [`withhold`](Self::withhold).
    #[must_use]
    pub fn due(&mut self, now: Instant) -> bool {
        let due = self.due_at().is_some_and(|at| at <= now);
        if due {
            self.news = None;
            self.busy = Some(Busy::Composing);
        }
        due
    }

    fn due_at(&self) -> Option<Instant> {
        let (since, at_once) = self.news.filter(|_| self.busy.is_none() && !self.is_ended())?;
        let earliest = self.last.map_or(since, |last| last + self.min_interval);
        Some(if at_once { since } else { since.max(earliest) })
    }

    /// Builds the NOTIFY; its outcome is awaited before another is due.
    #[must_use]
    pub fn notify(&mut self, now: Instant, body: Option<Body>) -> Request {
        self.busy = Some(Busy::InFlight);
        self.last = Some(now);
        if self.phase != Phase::Active {
            self.news = None;
        }
        let mut request = self.dialog.request(Method::Notify, Some(&self.contact));
        // RFC 6665 4.1.3, 8.2.1: the Event of the SUBSCRIBE MUST be repeated, with its id.
        request.headers.push(HeaderName::Event, self.event.clone());
        request.headers.push(HeaderName::SubscriptionState, self.subscription_state(now));
        if let Some(body) = body {
            request.headers.push(HeaderName::ContentType, body.content_type);
            request.body = body.bytes;
        }
        request
    }

    fn subscription_state(&self, now: Instant) -> String {
        match self.phase {
            // RFC 6665 4.2.2: active MUST come with the time remaining.
            // Not zero while it lasts: the last second is one, too.
            Phase::Active => format!("active;expires={}", (self.expires - now).as_secs().max(1)),
            // RFC 6665 4.2.2: terminated SHOULD come with a reason, and may with retry-after.
            Phase::Ending(reason, Some(seconds)) => {
                format!("terminated;reason={};retry-after={seconds}", reason.as_str())
            }
            Phase::Ending(reason, None) => format!("terminated;reason={}", reason.as_str()),
            Phase::Ended => "terminated;reason=timeout".to_owned(),
        }
    }

    /// The body could not be composed: the NOTIFY is due again after the least interval.
    pub fn defer(&mut self, now: Instant) {
        if self.busy == Some(Busy::Composing) {
            self.busy = None;
            let after = self.min_interval.max(Duration::from_millis(100));
            self.news = Some((now + after, true));
        }
    }

    /// The NOTIFY that is being composed, or has just been, was not sent: there is no room for it where it goes. None is due until
    /// [`resume`](Self::resume); the next one says what is true then.
    pub fn withhold(&mut self, now: Instant) {
        if matches!(self.busy, Some(Busy::Composing | Busy::InFlight)) {
            self.busy = Some(Busy::Withheld);
            // It was due: the interval since the last one that was sent is over.
            self.news = Some((now, true));
        }
    }

    /// There is room for the NOTIFY that was [withheld](Self::withhold): it is due.
    pub fn resume(&mut self) {
        if self.busy == Some(Busy::Withheld) {
            self.busy = None;
        }
    }

    /// Who comes back by another connection may never have had the NOTIFY that is on its way, and would have the next
    /// one only when that has timed out. RFC 6665 4.2.2: it MUST be sent immediately.
    fn abandon(&mut self) -> bool {
        self.busy.take_if(|busy| *busy != Busy::Composing).is_some()
    }

    /// Whether a NOTIFY is being composed.
    #[must_use]
    pub fn is_composing(&self) -> bool {
        self.busy == Some(Busy::Composing)
    }

    /// Takes the status of a response to the NOTIFY.
    pub fn handle_response(&mut self, status: StatusCode) -> NotifyOutcome {
        if self.busy != Some(Busy::InFlight) || status.is_provisional() {
            return NotifyOutcome::Waiting;
        }
        self.unresolved = 0;
        self.busy = None;
        // RFC 6665 4.2.2: after one of these the notifier MUST remove the subscription.
        let fatal = matches!(status.0, 404 | 405 | 410 | 416 | 480..=485 | 489 | 501 | 604);
        if fatal || self.is_last_sent() {
            self.phase = Phase::Ended;
            return NotifyOutcome::Ended;
        }
        if status.is_success() { NotifyOutcome::Delivered } else { NotifyOutcome::Refused }
    }

    /// The NOTIFY was [refused](NotifyOutcome::Refused) by this response: another is due at the time that it tells, if any.
    /// Gives how long that is.
    pub fn retry(&mut self, now: Instant, response: &Response) -> Option<Duration> {
        // RFC 3261 21.5.1, 21.5.4: with Retry-After the condition is temporary.
        let temporary =
            matches!(response.status, StatusCode::SERVER_INTERNAL_ERROR | StatusCode::SERVICE_UNAVAILABLE);
        // RFC 6665 4.2.2: what follows a refresh is sent at once.
        let at_once = self.news.is_some_and(|(_, at_once)| at_once);
        let asked = response.headers.retry_after().filter(|_| temporary && self.is_active() && !at_once)?;
        // The end of the subscription is told when it comes, whatever was asked.
        let after = asked.max(SHORTEST_RETRY).min(self.expires - now);
        self.news = Some((now + after, false));
        Some(after)
    }

    /// The NOTIFY was not answered, or could not be sent: RFC 6665 4.2.2: the subscription SHOULD be
    /// removed.
    pub fn handle_failed(&mut self) {
        self.busy = None;
        self.phase = Phase::Ended;
    }

    /// The NOTIFY was not sent, for the DNS did not say where it goes. That is no word of the subscriber: another is due
    /// after a while, which grows. Gives how long that is; `None` where it was the last one and has been tried often enough.
    pub fn handle_unresolved(&mut self, now: Instant) -> Option<Duration> {
        if self.busy != Some(Busy::InFlight) {
            return None;
        }
        let doublings = self.unresolved.min(UNRESOLVED_DOUBLINGS);
        self.unresolved = self.unresolved.saturating_add(1);
        if !self.is_active() && self.unresolved >= LAST_TRIES {
            self.handle_failed();
            return None;
        }
        self.busy = None;
        let mut after = UNRESOLVED_RETRY * 2_u32.pow(doublings);
        if self.is_active() {
            // Its end is told when it comes.
            after = after.min(self.expires - now);
        }
        // Also what is to be told at once: there is no way for it.
        self.news = Some((now + after, false));
        Some(after)
    }

    /// The connection with this number is gone. RFC 7118 5: nobody connects to a WebSocket client; so a subscriber that
    /// was reached by it alone has a while to refresh by another.
    pub fn handle_connection_lost(&mut self, now: Instant, connection: u64) {
        let is_ours = self.flow.is_some_and(|flow| flow.connection == connection && flow.transport.is_web());
        if is_ours && self.phase == Phase::Active && self.lost.is_none() && !self.is_reached_otherwise() {
            self.lost = Some(now + GRACE);
        }
    }

    /// Whether the dialog's next hop may be reached without the connection that the subscriber came on.
    fn is_reached_otherwise(&self) -> bool {
        let Ok(uri) = SipUri::parse(&self.dialog.next_hop()) else { return false };
        let transport = uri.transport().and_then(|name| Transport::parse(&name));
        // RFC 7118 5: who has no name of his own writes one in `.invalid` (RFC 2606).
        let is_named =
            !matches!(&uri.host, Host::Name(name) if name.to_ascii_lowercase().ends_with(b".invalid"));
        is_named && transport.is_none_or(|transport| !transport.is_web())
    }

    /// When it ends for want of a connection, if it does.
    #[must_use]
    pub const fn lost(&self) -> Option<Instant> {
        self.lost
    }

    /// Which of these was cut off first from its subscriber, if one was: as one whose page was loaded anew it makes room for
    /// another.
    pub fn lost_first<'a>(known: impl Iterator<Item = (usize, &'a Self)>) -> Option<usize> {
        known.filter_map(|(at, known)| Some((known.lost()?, at))).min().map(|(_, at)| at)
    }

    /// Whether the NOTIFY that says that it is over has been sent.
    fn is_last_sent(&self) -> bool {
        matches!(self.phase, Phase::Ending(..)) && self.news.is_none()
    }

    /// Ends the subscription where its time is up.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.lost.is_some_and(|lost| lost <= now) {
            // There is no way for a NOTIFY.
            self.phase = Phase::Ended;
        } else if self.expires <= now {
            // RFC 6665 4.2.1.4: an expired one ends with a NOTIFY that says so.
            self.terminate(now, TerminationReason::Timeout, None);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and ask [`due`](Self::due).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let expiry = (self.phase == Phase::Active).then_some(self.expires);
        let lost = self.lost.filter(|_| !self.is_ended());
        [self.due_at(), expiry, lost].into_iter().flatten().min()
    }
}
