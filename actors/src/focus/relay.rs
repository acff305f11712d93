//! Relay: the virtual user agents of a focus, and the way of their pieces into the client's session.

use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, Context};
use restante::focus::delivery::{ClientLimits, Presented};
use restante::focus::fan_out::{FanOut, Participant};
use restante::focus::retrieval::Retrieval;
use restante::store::Owner;

use crate::clock;
use crate::records::{Column, Said, Tap, Way};
use crate::session::MsrpSession;
use crate::shared::Shared;
use crate::virtual_ua::{Begin, Frame, Grant, HangUp, Limits, Piece, Replayed, VirtualUa, VirtualUaBirth};

use super::Focus;

/// Pieces under way between the store and the client's connection, each of `[retrieval] window` bytes at most.
pub const CREDIT: usize = 16;

/// What every virtual user agent of a focus is born with.
pub(super) struct Nursery<'a> {
    pub(super) owner: &'a Owner,
    pub(super) shared: &'a Shared,
    /// Bytes of a piece at most.
    pub(super) window: usize,
    /// Who grants and is replayed to.
    pub(super) focus: &'a Context<Focus>,
}

/// Bytes that a piece takes on the connection, about.
fn cost(piece: &Piece) -> usize {
    // Besides its content: heads and end-lines.
    const FRAME: usize = 512;
    piece.frames.iter().map(|frame| FRAME.saturating_add(frame.size())).sum()
}

/// Notes what a virtual user agent has replayed.
pub(super) fn note_replayed(tap: &Tap, participant: Participant, piece: &Piece) {
    tap.inside(Column::VirtualUa(participant), Column::Focus, || Said::Replayed {
        bytes: piece.frames.iter().map(Frame::size).sum(),
        more: piece.more,
    });
}

/// A message that begins to leave.
fn sent(begin: &Begin) -> Said {
    let Presented { content_type, total, .. } = &begin.presented;
    Said::Send { message_id: None, content_type: content_type.as_ref().into(), total: Some(*total) }
}

/// Who replays, and what is under way.
pub(super) struct Relay {
    fan_out: FanOut<Piece>,
    agents: Vec<Option<Addr<VirtualUa>>>,
    client: Option<Arc<ClientLimits>>,
    /// Whether the client receives nothing for now.
    held: bool,
    /// Rises with each connection: what an agent of a former one replays is nobody's any more.
    round: u32,
}

impl Relay {
    /// So many participants, none of whom replays yet.
    pub(super) fn new(participants: usize) -> Self {
        let agents = (0..participants).map(|_| None).collect();
        let credit = if participants == 0 { 0 } else { CREDIT };
        Self { fan_out: FanOut::new(participants, credit), agents, client: None, held: false, round: 0 }
    }

    /// What the client takes from now on, and whether it takes nothing (RFC 3264 8.4).
    pub(super) fn agree(&mut self, client: ClientLimits, held: bool) {
        let client = Arc::new(client);
        for agent in self.agents.iter().flatten() {
            agent.do_send(Limits(Arc::clone(&client)));
        }
        self.client = Some(client);
        self.held = held;
    }

    /// Whether the client receives nothing for now.
    pub(super) const fn is_held(&self) -> bool {
        self.held
    }

    /// Grants what credit there is; virtual user agents are born with their first grant.
    pub(super) fn grant(&mut self, retrieval: &Retrieval, nursery: &Nursery<'_>, tap: &Tap) {
        let Some(client) = self.client.as_ref().filter(|_| !self.held) else { return };
        let entry = |participant: Participant| {
            let entry = retrieval.entries().get(participant)?;
            Some((participant, entry.message_id.clone()?, entry.acknowledged.clone()))
        };
        let mut born = Vec::new();
        while let Some(participant) = self.fan_out.grant() {
            tap.inside(Column::Focus, Column::VirtualUa(participant), || Said::Grant);
            match self.agents.get(participant) {
                Some(Some(agent)) => agent.do_send(Grant),
                Some(None) => born.extend(entry(participant)),
                None => {}
            }
        }
        if born.is_empty() {
            return;
        }
        // One visit to the store serves all that are born together.
        let ids = born.iter().map(|(_, id, _)| id.clone()).collect();
        let opening = nursery.shared.store.open_all(nursery.owner.clone(), ids);
        let focus = nursery.focus.address().recipient();
        for ((participant, message_id, acknowledged), opening) in born.into_iter().zip(opening) {
            let birth = VirtualUaBirth {
                participant,
                message_id,
                acknowledged,
                round: self.round,
                store: Arc::clone(&nursery.shared.store),
                expiry: Arc::clone(&nursery.shared.expiry),
                client: Arc::clone(client),
                focus: focus.clone(),
                window: nursery.window,
            };
            if let Some(slot) = self.agents.get_mut(participant) {
                *slot = Some(VirtualUa::new(birth, opening).start());
            }
        }
    }

    /// Whether this was replayed for the present connection.
    pub(super) const fn expects(&self, replayed: &Replayed) -> bool {
        replayed.round == self.round
    }

    /// Takes a piece of this round.
    pub(super) fn take(&mut self, participant: Participant, piece: Piece) {
        let more = piece.more;
        // Who has nothing more to replay has ended by itself.
        if self.fan_out.fill(participant, piece, more).is_ok()
            && !more
            && let Some(agent) = self.agents.get_mut(participant)
        {
            *agent = None;
        }
    }

    /// Whether there is something to forward.
    pub(super) fn is_ready(&mut self) -> bool {
        !self.held && self.fan_out.is_ready()
    }

    /// Hands the pieces whose turn it is to the session, as many as it takes in a turn; others may share its connection.
    pub(super) fn forward(
        &mut self,
        retrieval: &mut Retrieval,
        (mut session, tap): (Option<&mut MsrpSession>, &Tap),
    ) {
        if !self.is_ready() {
            return;
        }
        let now = clock::now();
        let mut room = session.as_deref().map_or(usize::MAX, MsrpSession::turn);
        while room > 0 {
            let Some((participant, piece)) = self.fan_out.relay() else { return };
            room = room.saturating_sub(cost(&piece));
            for frame in &piece.frames {
                if let Frame::Begin(begin) = frame {
                    retrieval.begun(participant, begin.message);
                    tap.msrp(Way::Out, || sent(begin));
                }
            }
            if let Some(session) = session.as_deref_mut() {
                session.deliver(now, participant, piece.frames);
            }
            if !piece.more {
                retrieval.replayed(participant);
            }
        }
    }

    /// So many pieces have left.
    pub(super) const fn credit(&mut self, pieces: usize) {
        self.fan_out.credit(pieces);
    }

    /// Nothing more comes of this participant; a message that is midway is given up.
    pub(super) fn leave(&mut self, participant: Participant, session: Option<&mut MsrpSession>) {
        self.fan_out.withdraw(participant);
        self.hang_up(participant);
        if let Some(session) = session {
            session.withdraw(clock::now(), participant);
        }
    }

    /// Begins again over another connection, with these participants.
    pub(super) fn restart(&mut self, participants: &[Participant]) {
        self.round += 1;
        (0..self.agents.len()).for_each(|participant| self.hang_up(participant));
        self.fan_out.restart(participants);
    }

    /// Nothing more comes of anybody, and nothing more leaves.
    pub(super) fn end(&mut self) {
        for participant in 0..self.agents.len() {
            self.fan_out.withdraw(participant);
            self.hang_up(participant);
        }
    }

    fn hang_up(&mut self, participant: Participant) {
        if let Some(agent) = self.agents.get_mut(participant).and_then(Option::take) {
            agent.do_send(HangUp);
        }
    }
}
