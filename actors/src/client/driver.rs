//! The one task that owns a client's user agent and its SIP sockets: commands in, events out.

use std::collections::HashMap;
use std::time::Duration;

use restante::client::{
    InvitationEvent, Invite, Opening, PagerMessage, SubscriptionEvent, Usage, UserAgent, UserAgentEvent,
};
use restante::machine::sip::{Body, TransmitId};
use tokio::sync::{mpsc, oneshot};

use super::stream::Fault;
use super::transport::{Inbound, SipSockets};
use crate::chance::Chance;
use crate::clock;

/// Events of one usage that wait for its user; with more, the usage is given up.
const WAITING: usize = 1024;
/// How long what is going on may take to end, once nobody uses the client any more.
const FAREWELL: Duration = Duration::from_secs(4);

/// What became of a usage.
#[derive(Debug)]
pub(super) enum News {
    /// The user agent's own event.
    Event(UserAgentEvent),
    /// A request could not be sent, for this reason; its failure follows, or the next place is tried.
    Unsent(Fault),
}

/// What the driver is asked to do.
pub(super) enum Command {
    Deposit {
        message: Box<PagerMessage>,
        opening: Opening,
        begun: oneshot::Sender<Begun>,
    },
    Invite {
        invite: Box<OwnedInvite>,
        opening: Opening,
        begun: oneshot::Sender<Begun>,
    },
    Subscribe {
        subscribe: Box<Subscribe>,
        opening: Opening,
        begun: oneshot::Sender<Begun>,
    },
    Bye(Usage),
    Unsubscribe(Usage),
    /// Nobody listens to this usage any more.
    Release(Usage),
    /// End what is going on, then stop.
    Close(oneshot::Sender<()>),
}

/// As [`Invite`], with what it borrows.
pub(super) struct OwnedInvite {
    pub(super) uri: String,
    pub(super) to: String,
    pub(super) body: Body,
    pub(super) needs_list: bool,
    pub(super) about: Option<PagerMessage>,
}

/// What is subscribed to.
pub(super) struct Subscribe {
    pub(super) uri: String,
    pub(super) event: &'static str,
    pub(super) accept: &'static str,
    pub(super) wanted: Duration,
}

/// A usage that has begun: its events, until it is dropped.
pub(super) struct Begun {
    pub(super) usage: Usage,
    events: mpsc::Receiver<News>,
    commands: mpsc::Sender<Command>,
    /// Why a request of it could not be sent.
    unsent: Option<Fault>,
}

impl Begun {
    /// The next event; none when nothing follows.
    pub(super) async fn next(&mut self) -> Option<UserAgentEvent> {
        loop {
            match self.events.recv().await? {
                News::Event(event) => return Some(event),
                News::Unsent(cause) => self.unsent = Some(cause),
            }
        }
    }

    /// Why a request of it could not be sent, if that is what happened.
    pub(super) const fn unsent(&self) -> Option<&Fault> {
        self.unsent.as_ref()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let _ = self.commands.try_send(Command::Release(self.usage));
    }
}

/// The driver's state.
pub(super) struct Driver {
    pub(super) agent: UserAgent,
    pub(super) sockets: SipSockets,
    pub(super) inbound: mpsc::Receiver<Inbound>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) sender: mpsc::WeakSender<Command>,
    pub(super) listeners: HashMap<Usage, mpsc::Sender<News>>,
    pub(super) closing: Option<oneshot::Sender<()>>,
}

impl Driver {
    /// Runs until the client is closed, or nobody has it any more and what is going on has ended.
    pub(super) async fn run(mut self) {
        let mut open = true;
        while open {
            self.drain();
            let alarm = self.agent.poll_timeout();
            tokio::select! {
                command = self.commands.recv() => open = match command {
                    Some(command) => self.obey(command),
                    None => false,
                },
                Some(inbound) = self.inbound.recv() => self.take(inbound),
                Some(connection) = self.sockets.accepted() => self.sockets.adopt(connection),
                () = sleep_until(alarm) => self.agent.handle_timeout(clock::now(), &mut Chance),
            }
        }
        self.farewell().await;
        if let Some(closed) = self.closing.take() {
            let _ = closed.send(());
        }
    }

    /// Ends what is going on, and waits until it has ended.
    async fn farewell(&mut self) {
        let usages: Vec<Usage> = self.agent.usages().collect();
        for usage in usages {
            self.release(usage);
        }
        let ending = async {
            loop {
                self.drain();
                if self.agent.is_idle() {
                    break;
                }
                let alarm = self.agent.poll_timeout();
                tokio::select! {
                    Some(inbound) = self.inbound.recv() => self.take(inbound),
                    Some(connection) = self.sockets.accepted() => self.sockets.adopt(connection),
                    () = sleep_until(alarm) => self.agent.handle_timeout(clock::now(), &mut Chance),
                }
            }
        };
        if tokio::time::timeout(FAREWELL, ending).await.is_err() {
            tracing::debug!("not everything was answered before the client closed");
        }
        // What was answered last is still in the hands of a connection's task.
        self.drain();
        self.sockets.flush().await;
    }

    fn obey(&mut self, command: Command) -> bool {
        let now = clock::now();
        match command {
            Command::Deposit { message, opening, begun } => {
                let usage = self.agent.deposit(now, &message, &opening, &mut Chance);
                self.begin(usage, begun);
            }
            Command::Invite { invite, opening, begun } => {
                let OwnedInvite { uri, to, body, needs_list, about } = *invite;
                let invite = Invite { uri: &uri, to: &to, body, needs_list, about: about.as_ref() };
                let usage = self.agent.invite(now, invite, &opening, &mut Chance);
                self.begin(usage, begun);
            }
            Command::Subscribe { subscribe, opening, begun } => {
                let Subscribe { uri, event, accept, wanted } = *subscribe;
                let usage = self.agent.subscribe(now, (&uri, event, accept), wanted, &opening, &mut Chance);
                self.begin(usage, begun);
            }
            Command::Bye(usage) => self.agent.bye(now, usage, None, &mut Chance),
            Command::Unsubscribe(usage) => self.agent.unsubscribe(now, usage, &mut Chance),
            Command::Release(usage) => self.release(usage),
            Command::Close(closed) => {
                self.closing = Some(closed);
                return false;
            }
        }
        true
    }

    fn begin(&mut self, usage: Usage, begun: oneshot::Sender<Begun>) {
        let Some(commands) = self.sender.upgrade() else { return };
        let (listener, events) = mpsc::channel(WAITING);
        self.listeners.insert(usage, listener);
        // Where the asker is gone, the drop of what he was to get releases the usage.
        let _ = begun.send(Begun { usage, events, commands, unsent: None });
    }

    fn release(&mut self, usage: Usage) {
        self.listeners.remove(&usage);
        let now = clock::now();
        self.agent.bye(now, usage, None, &mut Chance);
        self.agent.unsubscribe(now, usage, &mut Chance);
    }

    fn take(&mut self, inbound: Inbound) {
        let now = clock::now();
        match inbound {
            Inbound::Message(message, flow) => {
                self.agent.handle_message(now, *message, flow, &mut Chance);
            }
            Inbound::Unsent(id, cause) => self.unsent(id, cause),
            Inbound::Closed(connection) => {
                if let Some((transport, peer)) = self.sockets.closed(connection) {
                    self.agent.handle_connection_lost(now, transport, peer);
                }
            }
        }
    }

    fn unsent(&mut self, id: TransmitId, cause: Fault) {
        if let Some(listener) = self.agent.sender_of(id).and_then(|usage| self.listeners.get(&usage)) {
            // What is tried again and again, while nobody listens, leaves room for what has to be heard.
            if listener.capacity() > listener.max_capacity() / 2 {
                let _ = listener.try_send(News::Unsent(cause));
            }
        }
        self.agent.handle_transport_error(clock::now(), id, &mut Chance);
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.agent.poll_transmit() {
            if let Err((id, cause)) = self.sockets.send(transmit) {
                self.unsent(id, cause);
            }
        }
        while let Some((usage, event)) = self.agent.poll_event() {
            let last = is_last(&event);
            let Some(listener) = self.listeners.get(&usage) else { continue };
            if let Err(mpsc::error::TrySendError::Full(_)) = listener.try_send(News::Event(event)) {
                tracing::warn!("a client's user does not take what comes; it is ended");
                self.release(usage);
            } else if last {
                self.listeners.remove(&usage);
            }
        }
    }
}

/// Whether nothing of the usage follows.
const fn is_last(event: &UserAgentEvent) -> bool {
    match event {
        UserAgentEvent::Answered(_) | UserAgentEvent::Refused(_) | UserAgentEvent::Failed(_) => true,
        UserAgentEvent::Session(event) => {
            matches!(event, InvitationEvent::Ended(_) | InvitationEvent::Refused(_))
        }
        UserAgentEvent::Subscription(event) => matches!(event, SubscriptionEvent::Ended(_)),
    }
}

/// Sleeps until an instant of the node's clock; for ever where there is none.
pub(super) async fn sleep_until(at: Option<restante::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep(at - clock::now()).await,
        None => std::future::pending().await,
    }
}
