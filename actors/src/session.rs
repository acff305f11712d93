//! Session: one MSRP session towards a client; the machine of RFC 4975 on its connection.
//!
//! Its user, a Focus or a Recorder, is told by [`SessionReport`]s. What is to be sent comes as
//! [`Deliver`], each with one credit that goes back when the connection has room.

use std::net::SocketAddr;
use std::sync::Arc;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, Recipient};
use bytes::Bytes;
use restante::entropy::Entropy;
use restante::focus::fan_out::Participant;
use restante::machine::msrp::{
    Event, IncomingId, Outgoing, OutgoingId, Session, SessionConfig, SessionFailure, Verdict,
};
use restante::machine::offer_answer::Negotiated;
use restante::time::Instant;
use restante::wire::msrp::MsrpUri;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::OwnedSemaphorePermit;

use crate::alarm::Alarm;
use crate::chance::Chance;
use crate::clock;
use crate::link::{
    Guard, MsrpConnectError, MsrpEvent, MsrpFrames, MsrpLink, MsrpPort, MsrpRegistration, MsrpTarget,
    MsrpTransport, Resolver,
};
use crate::virtual_ua::{Begin, Frame};

/// Frames of a participant, to be sent as one piece.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Deliver {
    /// Whose they are.
    pub participant: Participant,
    /// In order; a body belongs to the message begun last by this participant.
    pub frames: Vec<Frame>,
}

/// What becomes of a message that was received whole.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Judge {
    /// Which one.
    pub id: IncomingId,
    /// Stored, or refused with a status.
    pub verdict: Verdict,
}

/// The session is negotiated to be connected by us.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Connect {
    /// Where to connect, best first; empty: the client's URI leads nowhere.
    to: Vec<SocketAddr>,
}

/// The answer to an offer of ours: the other side is known.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Answered {
    /// The client's path.
    pub remote: Vec<MsrpUri>,
}

/// The session is over.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Close;

/// The opened connection, or why there is none.
#[derive(Message)]
#[rtype(result = "()")]
struct Connected(Result<MsrpLink, MsrpConnectError>);

/// What the user of a session is told.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum SessionReport {
    /// The connection is usable: the client's first frame came, or ours is open.
    Bound,
    /// A message begins to arrive.
    Started {
        /// Its number.
        id: IncomingId,
        /// Its Message-ID.
        message_id: Bytes,
        /// Its Content-Type.
        content_type: Option<Bytes>,
        /// Its other headers.
        headers: Vec<(Bytes, Bytes)>,
        /// Its size, where the sender told it.
        total: Option<u64>,
    },
    /// Bytes of a message.
    Data {
        /// Whose.
        id: IncomingId,
        /// Where they belong, from 0.
        offset: u64,
        /// What they are.
        bytes: Bytes,
        /// Read credit of the connection; to be kept as long as the bytes are.
        credit: ReadCredit,
    },
    /// A message is whole and waits for [`Judge`].
    Complete {
        /// Which one.
        id: IncomingId,
        /// Its size, in bytes.
        size: u64,
    },
    /// A message will not become whole.
    Dropped {
        /// Which one.
        id: IncomingId,
    },
    /// The client has acknowledged a message of this participant.
    Delivered(Participant),
    /// The client has refused a message of this participant with an MSRP status.
    Refused(Participant, u16),
    /// So many pieces have left.
    Credit(usize),
    /// The session is over.
    Ended(&'static str),
}

/// Credit to read on, shared by the bytes of one batch.
#[derive(Clone, Debug, Default)]
pub struct ReadCredit {
    _permit: Option<Arc<OwnedSemaphorePermit>>,
}

/// The actor.
pub struct MsrpSession {
    machine: Session,
    user: actix::WeakRecipient<SessionReport>,
    transport: MsrpTransport,
    registration: Option<MsrpRegistration>,
    link: Option<MsrpLink>,
    alarm: Alarm,
    current: FxHashMap<Participant, OutgoingId>,
    participants: FxHashMap<OutgoingId, Participant>,
    used: FxHashSet<Bytes>,
    owed: usize,
    ended: bool,
}

impl MsrpSession {
    /// Starts a session by `config` that reports to `user`. It is known to the links when this returns: the
    /// client may connect as soon as it has our session description.
    #[must_use]
    pub fn open(
        config: SessionConfig,
        transport: MsrpTransport,
        user: &Recipient<SessionReport>,
    ) -> Addr<Self> {
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(64);
            let registration =
                transport.register(config.local.session_id.clone(), Guard::Plain, port(ctx.address()));
            Self::new(config, transport, user, registration)
        })
    }

    fn new(
        config: SessionConfig,
        transport: MsrpTransport,
        user: &Recipient<SessionReport>,
        registration: MsrpRegistration,
    ) -> Self {
        Self {
            machine: Session::new(config, &mut Chance),
            user: user.downgrade(),
            transport,
            registration: Some(registration),
            link: None,
            alarm: Alarm::default(),
            current: FxHashMap::default(),
            participants: FxHashMap::default(),
            used: FxHashSet::default(),
            owed: 0,
            ended: false,
        }
    }

    fn report(&self, report: SessionReport) {
        if let Some(user) = self.user.upgrade() {
            user.do_send(report);
        }
    }

    fn drain(&mut self, ctx: &mut Context<Self>, credit: &ReadCredit) {
        while let Some(event) = self.machine.poll_event() {
            self.event(event, credit);
        }
        // RFC 4975 5.1: several sessions may share the connection; none may write into the chunk of
        // another, so none leaves one open.
        if self.machine.has_open_chunk() {
            self.machine.interrupt(clock::now());
        }
        if let Some(link) = &self.link {
            while let Some(bytes) = self.machine.poll_transmit() {
                if link.send(bytes).is_err() {
                    break;
                }
            }
        }
        self.pay();
        self.alarm.arm(ctx, self.machine.poll_timeout(), Self::ring);
    }

    fn event(&mut self, event: Event, credit: &ReadCredit) {
        match event {
            Event::Started { id, message_id, content_type, headers, total } => {
                self.report(SessionReport::Started { id, message_id, content_type, headers, total });
            }
            Event::Data { id, offset, bytes } => {
                self.report(SessionReport::Data { id, offset, bytes, credit: credit.clone() });
            }
            Event::Complete { id, size } => self.report(SessionReport::Complete { id, size }),
            Event::Dropped { id, .. } => self.report(SessionReport::Dropped { id }),
            Event::Bound => self.report(SessionReport::Bound),
            Event::Sent { .. } => {}
            Event::Delivered { id } => {
                if let Some(participant) = self.participants.remove(&id) {
                    self.report(SessionReport::Delivered(participant));
                }
            }
            Event::Refused { id, status } => {
                if let Some(participant) = self.participants.remove(&id) {
                    self.report(SessionReport::Refused(participant, status));
                }
            }
            Event::Failed(failure) => self.end(cause(&failure)),
        }
    }

    /// Gives credit back while the connection has room; else it is owed until it drains.
    fn pay(&mut self) {
        let room = self.link.as_ref().is_some_and(MsrpLink::has_room);
        if room && self.owed > 0 {
            let owed = std::mem::take(&mut self.owed);
            self.report(SessionReport::Credit(owed));
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
        self.drain(ctx, &ReadCredit::default());
    }

    fn frames(&mut self, frames: MsrpFrames, ctx: &mut Context<Self>) {
        let now = clock::now();
        if self.link.as_ref().is_none_or(|link| link.id() != frames.link.id()) {
            self.link = Some(frames.link);
            self.machine.handle_bound(now);
        }
        let credit = ReadCredit { _permit: frames.permit.map(Arc::new) };
        for piece in frames.pieces {
            self.machine.handle_piece(now, piece);
        }
        self.drain(ctx, &credit);
    }

    fn begin(&mut self, now: Instant, participant: Participant, begin: Begin) {
        let message_id = self.message_id(begin.message_id);
        let outgoing = Outgoing {
            message_id,
            content_type: begin.presented.content_type,
            headers: begin.presented.headers,
            total: begin.presented.total,
        };
        let id = self.machine.begin(now, outgoing);
        self.current.insert(participant, id);
        self.participants.insert(id, participant);
    }

    /// RFC 4975 7.1: a Message-ID is unique within the session. The one of the deposit is kept
    /// where it can be; two items may have been deposited with the same.
    fn message_id(&mut self, deposited: Bytes) -> Bytes {
        let fits = (4..=32).contains(&deposited.len())
            && deposited.iter().all(|b| b.is_ascii_alphanumeric() || b".-+%=".contains(b));
        if fits && self.used.insert(deposited.clone()) {
            return deposited;
        }
        Bytes::from(Chance.token(20))
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

/// Connects a session to its other side: by our connection where that was negotiated.
pub fn connect(session: &Addr<MsrpSession>, resolver: &Resolver, negotiated: &Negotiated) {
    let Some(next) = negotiated.remote_path.first().filter(|_| negotiated.connect) else { return };
    let resolving = resolver.msrp(next);
    let session = session.clone();
    actix::spawn(async move {
        match resolving.await {
            Ok(to) => session.do_send(Connect { to }),
            Err(error) => {
                tracing::warn!(%error, "the client's MSRP URI leads nowhere");
                session.do_send(Connect { to: Vec::new() });
            }
        }
    });
}

impl Actor for MsrpSession {
    type Context = Context<Self>;
}

impl Handler<FromLink> for MsrpSession {
    type Result = ();
    fn handle(&mut self, event: FromLink, ctx: &mut Self::Context) {
        match event.0 {
            MsrpEvent::Frames(frames) => self.frames(frames, ctx),
            MsrpEvent::Drained(_) => self.drain(ctx, &ReadCredit::default()),
            MsrpEvent::Closed(closed) => {
                if self.link.as_ref().is_some_and(|link| link.id() == closed.link) {
                    self.link = None;
                    self.machine.handle_closed(clock::now());
                    self.drain(ctx, &ReadCredit::default());
                    self.end("connection closed");
                }
            }
        }
    }
}

impl Handler<Connect> for MsrpSession {
    type Result = ();
    fn handle(&mut self, connect: Connect, ctx: &mut Self::Context) {
        let Some(registration) = &self.registration else { return };
        let connecting = self
            .transport
            .connect(registration.session().clone(), MsrpTarget { addrs: connect.to, secure: None });
        let me = ctx.address();
        actix::spawn(async move { me.do_send(Connected(connecting.await)) });
    }
}

impl Handler<Connected> for MsrpSession {
    type Result = ();
    fn handle(&mut self, connected: Connected, ctx: &mut Self::Context) {
        match connected.0 {
            Ok(link) => {
                self.link = Some(link);
                let now = clock::now();
                self.machine.handle_bound(now);
                // RFC 4975 5.4: who opens the connection MUST send at once, an empty SEND if need be.
                self.machine.probe(now);
                self.report(SessionReport::Bound);
                self.drain(ctx, &ReadCredit::default());
            }
            Err(error) => {
                tracing::warn!(%error, "MSRP connection to the client failed");
                self.end("connect failed");
            }
        }
    }
}

impl Handler<Answered> for MsrpSession {
    type Result = ();
    fn handle(&mut self, answered: Answered, ctx: &mut Self::Context) {
        self.machine.set_remote(answered.remote.iter().map(MsrpUri::detached).collect());
        self.drain(ctx, &ReadCredit::default());
    }
}

impl Handler<Deliver> for MsrpSession {
    type Result = ();
    fn handle(&mut self, deliver: Deliver, ctx: &mut Self::Context) {
        let now = clock::now();
        for frame in deliver.frames {
            match frame {
                Frame::Begin(begin) => self.begin(now, deliver.participant, *begin),
                Frame::Body(bytes) => {
                    if let Some(id) = self.current.get(&deliver.participant) {
                        self.machine.data(now, *id, bytes);
                    }
                }
            }
        }
        self.owed += 1;
        self.drain(ctx, &ReadCredit::default());
    }
}

impl Handler<Judge> for MsrpSession {
    type Result = ();
    fn handle(&mut self, judge: Judge, ctx: &mut Self::Context) {
        self.machine.answer(clock::now(), judge.id, &judge.verdict);
        self.drain(ctx, &ReadCredit::default());
    }
}

impl Handler<Close> for MsrpSession {
    type Result = ();
    fn handle(&mut self, _: Close, ctx: &mut Self::Context) {
        self.drain(ctx, &ReadCredit::default());
        self.registration = None;
        ctx.stop();
    }
}
