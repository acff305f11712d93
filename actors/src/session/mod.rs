//! Session: one MSRP session towards a client; the machine of RFC 4975 on its connection.
//!
//! It is a part of its dialog's [`crate::party::Party`], not an actor: the Focus or Recorder hands on what comes for it as a
//! [`SessionInput`], drains [`MsrpSession::poll_report`], calls [`MsrpSession::flush`] once for all that it had
//! to say, and arms its alarm for [`MsrpSession::poll_timeout`]. A piece that is delivered takes one credit, which is
//! given back when the connection has room.

mod input;
mod joining;
mod report;
mod underway;

use actix::{Recipient, WeakRecipient};
use bytes::BytesMut;
use restante::focus::fan_out::Participant;
use restante::machine::msrp::{Event, IncomingId, Outgoing, Session, SessionConfig, SessionFailure, Verdict};
use restante::queue::Queue;
use restante::time::Instant;
use restante::wire::msrp::{self, MsrpUri};

use crate::chance::Chance;
use crate::clock;
use crate::fault;
use crate::link::{MsrpEvent, MsrpFrames, MsrpLink, MsrpRegistration, MsrpTransport, Resolver};
use crate::virtual_ua::{Begin, Frame};

use input::Input;
pub use input::SessionInput;
pub use joining::Join;
pub use report::{ReadCredit, SessionReport};
pub use underway::Place;
use underway::Underway;

/// SENDs that wait for their responses at most before no more is taken to be sent, but for what is on its way here:
/// each is remembered until then, and a client need not answer to read.
const MOST_UNANSWERED: usize = 512;

/// The session.
pub struct MsrpSession {
    machine: Session,
    reports: Queue<SessionReport>,
    /// Who hands on what comes.
    user: WeakRecipient<SessionInput>,
    transport: MsrpTransport,
    resolver: Resolver,
    /// Boxed, since it is of use only when a connection comes or goes.
    registration: Option<Box<MsrpRegistration>>,
    link: Option<MsrpLink>,
    underway: Underway,
    owed: u32,
    /// Rises with each [`Join`]: an earlier one's connection comes too late.
    epoch: u32,
    /// Whether the client may open another connection when one was lost.
    rejoins: bool,
    ended: bool,
}

impl MsrpSession {
    /// Starts a session by `config` for `user`; `rejoins` says whether the client may replace a
    /// connection that was lost. It is known to the links when this returns: the
    /// client may connect as soon as it has our session description.
    #[must_use]
    pub fn open(
        config: SessionConfig,
        transport: MsrpTransport,
        resolver: Resolver,
        rejoins: bool,
        user: &Recipient<SessionInput>,
    ) -> Self {
        Self {
            registration: Some(joining::register(&transport, &config, user.clone())),
            machine: Session::new(config, &mut Chance),
            reports: Queue::new(),
            user: user.downgrade(),
            transport,
            resolver,
            link: None,
            underway: Underway::default(),
            owed: 0,
            epoch: 0,
            rejoins,
            ended: false,
        }
    }

    // ---- what comes ----

    /// Takes what has come for the session.
    pub fn handle(&mut self, input: SessionInput) {
        match input.0 {
            Input::Link(MsrpEvent::Frames(frames)) => self.frames(frames),
            // What is owed is paid with the next flush, and what waits is delivered in the next turn.
            Input::Link(MsrpEvent::Drained) => {}
            Input::Link(MsrpEvent::Closed(closed)) => {
                if self.link.as_ref().is_some_and(|link| link.id() == closed.link) {
                    self.machine.handle_closed(clock::now());
                    self.gather(&ReadCredit::default());
                    self.link = None;
                }
            }
            Input::Resolved { epoch, to } => self.resolved(epoch, to),
            Input::Connected { epoch, link } => self.connected(epoch, link),
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = self.machine.poll_timeout().is_some_and(|due| due <= now);
        // RFC 4975 7.1.1: 30 seconds from when the last byte was sent. A connection that takes nothing ends by itself.
        if due && self.is_held_up() {
            self.machine.handle_held_up(now);
        }
        self.machine.handle_timeout(now);
    }

    /// When [`Self::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.machine.poll_timeout()
    }

    /// What there is to tell, if anything.
    pub fn poll_report(&mut self) -> Option<SessionReport> {
        if self.reports.is_empty() {
            self.gather(&ReadCredit::default());
        }
        self.reports.pop_front()
    }

    /// How many requests of this side wait for a response.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.machine.unanswered()
    }

    // ---- what is to be said ----

    /// Sends frames of a participant as one piece, in order; a body belongs to the message begun last by it. They leave with
    /// the next [`Self::flush`].
    pub fn deliver(&mut self, now: Instant, participant: Participant, frames: Vec<Frame>) {
        for frame in frames {
            match frame {
                Frame::Begin(begin) => self.begin(now, participant, *begin),
                Frame::Body(bytes) => {
                    if let Some(id) = self.underway.current(participant) {
                        self.machine.data(now, id, bytes);
                    }
                }
            }
        }
        self.owed += 1;
    }

    /// Gives up the message that this participant has begun and not finished.
    pub fn withdraw(&mut self, now: Instant, participant: Participant) {
        if let Some(id) = self.underway.withdraw(participant) {
            self.machine.abort(now, id);
        }
    }

    /// Says what becomes of a message that was received whole: it is stored, or refused with a status.
    pub fn judge(&mut self, now: Instant, id: IncomingId, verdict: &Verdict) {
        self.machine.answer(now, id, verdict);
    }

    /// Hands to the connection what was said since the last time, and has the credit back that this leaves room for.
    pub fn flush(&mut self) {
        // Others may write behind: none leaves a chunk open.
        if self.machine.has_open_chunk() {
            self.machine.interrupt(clock::now());
        }
        if let Some(link) = self.link.clone() {
            self.transmit(&link);
            if let Some(registration) = &self.registration {
                link.end_turn(registration.session());
            }
        }
        self.pay();
    }

    /// Begins a turn to [`Self::deliver`]: gives how many bytes may be delivered in it, none while the connection is to
    /// drain first.
    pub fn turn(&self) -> usize {
        let (Some(link), Some(registration)) = (&self.link, &self.registration) else { return 0 };
        link.turn(registration.session())
    }

    /// Whether what was flushed last waited behind what others have sent.
    fn is_held_up(&self) -> bool {
        let (Some(link), Some(registration)) = (&self.link, &self.registration) else { return false };
        link.holds_up(registration.session())
    }

    /// Whether there may be another [`Self::turn`] at once for what was not delivered in this one; if not, something comes
    /// when there may.
    #[must_use]
    pub fn may_go_on(&self) -> bool {
        let (Some(link), Some(registration)) = (&self.link, &self.registration) else { return false };
        link.may_go_on(registration.session())
    }

    // ---- the turn of the wheel ----

    /// Makes reports of what the machine has to tell; what came holds `credit`.
    fn gather(&mut self, credit: &ReadCredit) {
        let mut delivered = Vec::new();
        while let Some(event) = self.machine.poll_event() {
            match event {
                Event::Sent { .. } => {}
                Event::Delivered { id } => delivered.extend(self.underway.ended(id)),
                // What came behind an acknowledgement may end the session: that must be told behind it, too.
                event => {
                    self.report_delivered(&mut delivered);
                    self.event(event, credit);
                }
            }
        }
        self.report_delivered(&mut delivered);
    }

    fn report(&mut self, report: SessionReport) {
        self.reports.push_back(report);
    }

    fn report_delivered(&mut self, delivered: &mut Vec<Place>) {
        if !delivered.is_empty() {
            self.report(SessionReport::Delivered(std::mem::take(delivered)));
        }
    }

    fn transmit(&mut self, link: &MsrpLink) {
        let sent = self.write(link);
        if let Some(registration) = self.registration.as_ref().filter(|_| sent && self.unanswered() > 0) {
            link.sent(registration.session());
        }
    }

    /// Writes what there is; whether there was something.
    fn write(&mut self, link: &MsrpLink) -> bool {
        if link.carries_messages() {
            let mut all = BytesMut::new();
            while let Some(bytes) = self.machine.poll_transmit() {
                all.extend_from_slice(&bytes);
            }
            let some = !all.is_empty();
            // What the link takes no more is lost with it.
            let _ = msrp::frames(all.freeze()).try_for_each(|frame| link.send(frame));
            return some;
        }
        // RFC 4975 5.1: sessions share the connection across threads, and none may write into the chunk of another.
        let mut some = false;
        let pieces = std::iter::from_fn(|| self.machine.poll_transmit()).inspect(|_| some = true);
        let _ = link.send_together(pieces);
        some
    }

    fn event(&mut self, event: Event, credit: &ReadCredit) {
        match event {
            Event::Started { id, message_id, content_type, headers, total, answered } => {
                self.report(SessionReport::Started {
                    id,
                    message_id,
                    content_type,
                    headers,
                    total,
                    answered,
                });
            }
            Event::Described { id, content_type, headers } => {
                self.report(SessionReport::Described { id, content_type, headers });
            }
            Event::Data { id, offset, bytes } => {
                self.report(SessionReport::Data { id, offset, bytes, credit: credit.clone() });
            }
            Event::Complete { id, size } => {
                self.report(SessionReport::Complete { id, size, credit: credit.clone() });
            }
            Event::Dropped { id, .. } => self.report(SessionReport::Dropped { id }),
            Event::Bound => self.report(SessionReport::Bound),
            Event::Sent { .. } | Event::Delivered { .. } => {}
            Event::Refused { id, status } => {
                if let Some((participant, _)) = self.underway.ended(id) {
                    self.report(SessionReport::Refused(participant, status));
                }
            }
            Event::Failed(SessionFailure::ConnectionClosed) => self.lose("connection closed"),
            Event::Failed(failure) => self.end(cause(&failure)),
        }
    }

    /// Gives credit back while the connection has room and the client answers; else it is owed until it drains, or
    /// more is answered.
    fn pay(&mut self) {
        if self.owed == 0 || self.machine.unanswered() >= MOST_UNANSWERED {
            return;
        }
        if self.link.as_ref().is_some_and(MsrpLink::has_room) {
            let owed = std::mem::take(&mut self.owed);
            self.report(SessionReport::Credit(owed as usize));
        } else {
            // Something comes when it has drained.
            let _ = self.may_go_on();
        }
    }

    /// The connection is gone: told once for each.
    fn lose(&mut self, cause: &'static str) {
        self.link = None;
        if !self.ended {
            self.report(SessionReport::Lost(cause));
        }
    }

    fn end(&mut self, cause: &'static str) {
        if !std::mem::replace(&mut self.ended, true) {
            self.report(SessionReport::Ended(cause));
        }
    }

    fn frames(&mut self, frames: MsrpFrames) {
        let now = clock::now();
        if self.link.as_ref().is_none_or(|link| link.id() != frames.link.id()) {
            // What a connection still brought that the session has left is nobody's.
            if self.registration.as_ref().and_then(|registration| registration.link())
                != Some(frames.link.id())
            {
                return;
            }
            self.link = Some(frames.link);
            if self.rejoins && self.machine.is_over() && !self.ended {
                let remote = self.machine.remote().to_vec();
                self.begin_anew(remote);
                self.report(SessionReport::Rejoined);
            }
        }
        let credit = ReadCredit::new(frames.permit);
        for piece in frames.pieces {
            self.machine.handle_piece(now, piece);
        }
        self.gather(&credit);
    }

    fn begin(&mut self, now: Instant, participant: Participant, begin: Begin) {
        fault::strike("session.begin", &begin.message_id);
        let place = (participant, begin.message);
        let name = self.underway.name(place, &begin.message_id);
        let outgoing = Outgoing {
            message_id: name.clone(),
            content_type: begin.presented.content_type,
            headers: begin.presented.headers,
            total: begin.presented.total,
        };
        let id = self.machine.begin(now, outgoing);
        self.underway.begun(place, id, name);
    }

    /// What was under way over the former connection is forgotten.
    fn begin_anew(&mut self, remote: Vec<MsrpUri>) {
        self.machine.renew(remote);
        self.underway.forget();
        let owed = std::mem::take(&mut self.owed);
        if owed > 0 {
            self.report(SessionReport::Credit(owed as usize));
        }
    }
}

const fn cause(failure: &SessionFailure) -> &'static str {
    match failure {
        SessionFailure::ConnectionClosed => "connection closed",
        SessionFailure::Refused(_) => "session refused by the peer",
        SessionFailure::Reported(_) => "the peer reported a failure",
        SessionFailure::ProbeTimeout => "the binding request was not answered",
    }
}
