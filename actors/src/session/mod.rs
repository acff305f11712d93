//! Session: one MSRP session towards a client; the machine of RFC 4975 on its connection.
//!
//! Its user, a Focus or a Recorder, is told by [`SessionReport`]s. What is to be sent comes as
//! [`Deliver`], each with one credit that goes back when the connection has room.

mod command;
mod joining;
mod report;
mod underway;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, Recipient};
use bytes::BytesMut;
use restante::focus::fan_out::Participant;
use restante::machine::msrp::{Event, Outgoing, Session, SessionConfig, SessionFailure};
use restante::time::Instant;
use restante::wire::msrp::{self, MsrpUri};

use crate::alarm::Alarm;
use crate::chance::Chance;
use crate::clock;
use crate::link::{MsrpEvent, MsrpFrames, MsrpLink, MsrpPort, MsrpRegistration, MsrpTransport, Resolver};
use crate::turn::Turn;
use crate::virtual_ua::{Begin, Frame};
use crate::{fault, supervision};

pub use command::{Close, Deliver, Join, Judge, Withdraw};
pub use report::{ReadCredit, SessionReport};
pub use underway::Place;
use underway::Underway;

/// SENDs that wait for their responses at most before no more is taken to be sent, but for what is on its way here:
/// each is remembered until then, and a client need not answer to read.
const MOST_UNANSWERED: usize = 512;

/// The actor.
pub struct MsrpSession {
    machine: Session,
    user: actix::WeakRecipient<SessionReport>,
    transport: MsrpTransport,
    resolver: Resolver,
    /// Boxed: with it the actor's task would be a step of the allocator larger.
    registration: Option<Box<MsrpRegistration>>,
    link: Option<MsrpLink>,
    alarm: Alarm,
    turn: Turn,
    underway: Underway,
    owed: u32,
    /// Rises with each [`Join`]: an earlier one's connection comes too late.
    epoch: u32,
    /// How many connections the session has left.
    round: u32,
    /// Whether the client may open another connection when one was lost.
    rejoins: bool,
    ended: bool,
}

impl MsrpSession {
    /// Starts a session by `config` that reports to `user`; `rejoins` says whether the client may replace a
    /// connection that was lost. It is known to the links when this returns: the
    /// client may connect as soon as it has our session description.
    #[must_use]
    pub fn open(
        config: SessionConfig,
        transport: MsrpTransport,
        resolver: Resolver,
        rejoins: bool,
        user: &Recipient<SessionReport>,
    ) -> Addr<Self> {
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(64);
            let registration = joining::register(&transport, &config, ctx.address());
            Self {
                machine: Session::new(config, &mut Chance),
                user: user.downgrade(),
                transport,
                resolver,
                registration: Some(registration),
                link: None,
                alarm: Alarm::default(),
                turn: Turn::default(),
                underway: Underway::default(),
                owed: 0,
                epoch: 0,
                round: 0,
                rejoins,
                ended: false,
            }
        })
    }

    fn report(&self, report: SessionReport) {
        if let Some(user) = self.user.upgrade() {
            user.do_send(report);
        }
    }

    fn drain(&mut self, ctx: &mut Context<Self>, credit: &ReadCredit) {
        self.turn.ended();
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
        // RFC 4975 5.1: several sessions may share the connection; none may write into the chunk of
        // another, so none leaves one open.
        if self.machine.has_open_chunk() {
            self.machine.interrupt(clock::now());
        }
        if let Some(link) = self.link.clone() {
            self.transmit(&link);
        }
        self.pay();
        self.alarm.arm(ctx, self.machine.poll_timeout(), Self::ring);
    }

    fn report_delivered(&self, delivered: &mut Vec<Place>) {
        if !delivered.is_empty() {
            self.report(SessionReport::Delivered(std::mem::take(delivered)));
        }
    }

    /// Works off what did not come from the connection: it holds no credit to read on.
    fn end_turn(&mut self, ctx: &mut Context<Self>) {
        self.drain(ctx, &ReadCredit::default());
    }

    fn transmit(&mut self, link: &MsrpLink) {
        if link.carries_messages() {
            let mut all = BytesMut::new();
            while let Some(bytes) = self.machine.poll_transmit() {
                all.extend_from_slice(&bytes);
            }
            // What the link takes no more is lost with it.
            let _ = msrp::frames(all.freeze()).try_for_each(|frame| link.send(frame));
            return;
        }
        while let Some(bytes) = self.machine.poll_transmit() {
            if link.send(bytes).is_err() {
                break;
            }
        }
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
        let room =
            self.link.as_ref().is_some_and(MsrpLink::has_room) && self.machine.unanswered() < MOST_UNANSWERED;
        if room && self.owed > 0 {
            let owed = std::mem::take(&mut self.owed);
            self.report(SessionReport::Credit(owed as usize));
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

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.alarm.rang();
        self.machine.handle_timeout(clock::now());
        self.end_turn(ctx);
    }

    fn frames(&mut self, frames: MsrpFrames, ctx: &mut Context<Self>) {
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
        self.drain(ctx, &credit);
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
        self.round += 1;
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

/// Where the connection tells this session what comes.
fn port(session: Addr<MsrpSession>) -> MsrpPort {
    MsrpPort::new(move |event| session.do_send(FromLink(event)))
}

/// What the connection tells.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct FromLink(MsrpEvent);

/// Also where the session has failed, whoever uses it must not wait for it.
impl Drop for MsrpSession {
    fn drop(&mut self) {
        if supervision::has_failed() {
            tracing::error!(
                sending = self.underway.len(),
                "the MSRP session has failed: its dialog ends; what was not acknowledged stays new"
            );
            self.end("the MSRP session has failed");
        }
    }
}

impl Actor for MsrpSession {
    type Context = Context<Self>;
}

impl Handler<FromLink> for MsrpSession {
    type Result = ();
    fn handle(&mut self, event: FromLink, ctx: &mut Self::Context) {
        match event.0 {
            MsrpEvent::Frames(frames) => self.frames(frames, ctx),
            MsrpEvent::Drained(_) => self.end_turn(ctx),
            MsrpEvent::Closed(closed) => {
                if self.link.as_ref().is_some_and(|link| link.id() == closed.link) {
                    self.machine.handle_closed(clock::now());
                    self.end_turn(ctx);
                    self.link = None;
                }
            }
        }
    }
}

impl Handler<Withdraw> for MsrpSession {
    type Result = ();
    fn handle(&mut self, withdraw: Withdraw, ctx: &mut Self::Context) {
        if let Some(id) = self.underway.withdraw(withdraw.participant) {
            self.machine.abort(clock::now(), id);
            self.end_turn(ctx);
        }
    }
}

impl Handler<Deliver> for MsrpSession {
    type Result = ();
    fn handle(&mut self, deliver: Deliver, ctx: &mut Self::Context) {
        let now = clock::now();
        let frames = if deliver.round == self.round { deliver.frames } else { Vec::new() };
        for frame in frames {
            match frame {
                Frame::Begin(begin) => self.begin(now, deliver.participant, *begin),
                Frame::Body(bytes) => {
                    if let Some(id) = self.underway.current(deliver.participant) {
                        self.machine.data(now, id, bytes);
                    }
                }
            }
        }
        self.owed += 1;
        self.turn.end_with(ctx, Self::end_turn);
    }
}

impl Handler<Judge> for MsrpSession {
    type Result = ();
    fn handle(&mut self, judge: Judge, ctx: &mut Self::Context) {
        self.machine.answer(clock::now(), judge.id, &judge.verdict);
        self.turn.end_with(ctx, Self::end_turn);
    }
}

impl Handler<Close> for MsrpSession {
    type Result = ();
    fn handle(&mut self, _: Close, ctx: &mut Self::Context) {
        self.end_turn(ctx);
        self.ended = true;
        self.registration = None;
        ctx.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::focus::Focus;
    use crate::mailbox::Mailbox;
    use restante::machine::offer_answer::Exchange;

    /// Thousands of these wait at once: what makes one larger should be worth it. With 400 bytes of actix' and tokio's, a
    /// session's task is one of 640 bytes, and a focus' one of 1024; the next steps of the allocator are 768 and 1280.
    #[test]
    fn what_waits_is_small() {
        assert!(size_of::<MsrpSession>() <= 240, "a session: {}", size_of::<MsrpSession>());
        assert!(size_of::<Focus>() <= 624, "a focus: {}", size_of::<Focus>());
        assert!(size_of::<Exchange>() <= 192, "an exchange: {}", size_of::<Exchange>());
        assert!(size_of::<Mailbox>() <= 300, "a mailbox: {}", size_of::<Mailbox>());
    }
}
