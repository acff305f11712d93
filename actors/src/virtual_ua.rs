//! VirtualUa: the virtual user agent of one stored-message URI. It opens its item and replays it
//! as typed SEND frames over the internal MSRP channel, as far as the focus grants credit.

use std::sync::Arc;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, Recipient, WrapFuture,
};
use bytes::Bytes;
use restante::focus::delivery::{self, ClientLimits, Presented};
use restante::focus::fan_out::Participant;
use restante::focus::retrieval::Failure;
use restante::store::{Content, Item, MessageId, Owner, Store, StoreError, StoredMessage};

/// Credit for one piece.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Grant;

/// The focus needs this virtual user agent no more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct HangUp;

/// One typed SEND frame of the internal MSRP channel.
#[derive(Debug)]
pub enum Frame {
    /// A message begins.
    Begin(Box<Begin>),
    /// Bytes of the message that was begun last.
    Body(Bytes),
}

/// The head of a replayed message.
#[derive(Debug)]
pub struct Begin {
    /// The Message-ID it was deposited with, if any.
    pub message_id: Bytes,
    /// How it is presented to the client.
    pub presented: Presented,
}

/// What one grant brought.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Replayed {
    /// Who replays.
    pub participant: Participant,
    /// The frames and whether more follow, or why there are none.
    pub outcome: Result<Piece, Failure>,
}

/// At most a window of content.
#[derive(Debug)]
pub struct Piece {
    /// Frames in order.
    pub frames: Vec<Frame>,
    /// Whether others follow.
    pub more: bool,
}

/// The actor.
pub struct VirtualUa {
    participant: Participant,
    owner: Owner,
    message_id: MessageId,
    store: Arc<dyn Store>,
    client: Arc<ClientLimits>,
    focus: Recipient<Replayed>,
    window: usize,
    grants: usize,
    busy: bool,
    replay: Option<Replay>,
}

/// An open item and the place in it.
struct Replay {
    item: Item,
    message: usize,
    offset: Option<u64>,
}

impl VirtualUa {
    /// A virtual user agent for `message_id` of `owner`; `window` bounds a piece, in bytes.
    #[must_use]
    pub fn new(
        participant: Participant,
        (owner, message_id): (Owner, MessageId),
        store: Arc<dyn Store>,
        client: Arc<ClientLimits>,
        focus: Recipient<Replayed>,
        window: usize,
    ) -> Self {
        Self {
            participant,
            owner,
            message_id,
            store,
            client,
            focus,
            window: window.max(1),
            grants: 0,
            busy: false,
            replay: None,
        }
    }

    fn step(&mut self, ctx: &mut Context<Self>) {
        if self.busy || self.grants == 0 {
            return;
        }
        self.grants -= 1;
        self.busy = true;
        if self.replay.is_some() {
            self.replay_piece(ctx);
            return;
        }
        let opening = self.store.open(self.owner.clone(), self.message_id.clone());
        ctx.spawn(opening.into_actor(self).map(|opened, ua, ctx| ua.opened(opened, ctx)));
    }

    fn opened(&mut self, opened: Result<Option<Item>, StoreError>, ctx: &mut Context<Self>) {
        match opened {
            Ok(Some(item)) => match self.unacceptable(&item) {
                None => {
                    self.replay = Some(Replay { item, message: 0, offset: None });
                    self.replay_piece(ctx);
                }
                Some(failure) => self.end(Err(failure), ctx),
            },
            Ok(None) => self.end(Err(Failure::NotFound), ctx),
            Err(error) => {
                tracing::error!(message_id = ?self.message_id, %error, "item cannot be opened");
                self.end(Err(Failure::Store), ctx);
            }
        }
    }

    /// An item is delivered whole or not at all, so every message must be acceptable.
    fn unacceptable(&self, item: &Item) -> Option<Failure> {
        let takes = |message: &StoredMessage| delivery::present(&item.head, message, &self.client).is_some();
        (!item.messages.iter().all(takes)).then_some(Failure::NotAcceptable)
    }

    /// Gathers frames until a window is full or content has to be read.
    fn replay_piece(&mut self, ctx: &mut Context<Self>) {
        let mut frames = Vec::new();
        let mut room = self.window;
        while let Some(replay) = &mut self.replay {
            let Some(message) = replay.item.messages.get(replay.message) else {
                return self.end(Ok(Piece { frames, more: false }), ctx);
            };
            let offset = match replay.offset {
                Some(offset) => offset,
                None => {
                    let Some(presented) = delivery::present(&replay.item.head, message, &self.client) else {
                        return self.end(Err(Failure::NotAcceptable), ctx);
                    };
                    let prefix = presented.prefix.clone();
                    frames.push(Frame::Begin(Box::new(Begin {
                        message_id: message.message_id.clone(),
                        presented,
                    })));
                    if !prefix.is_empty() {
                        room = room.saturating_sub(prefix.len());
                        frames.push(Frame::Body(prefix));
                    }
                    replay.offset = Some(0);
                    0
                }
            };
            if offset >= message.size {
                replay.message += 1;
                replay.offset = None;
                continue;
            }
            if room == 0 {
                return self.hand_over(Piece { frames, more: true }, ctx);
            }
            let len = usize::try_from(message.size - offset).unwrap_or(usize::MAX).min(room);
            if let Content::Inline(body) = &message.content {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let end = start.saturating_add(len).min(body.len());
                frames.push(Frame::Body(body.slice(start.min(end)..end)));
                replay.offset = Some(offset + len as u64);
                room -= len;
                continue;
            }
            let reading = self.store.read(message.content.clone(), offset, len);
            ctx.spawn(reading.into_actor(self).map(move |read, ua, ctx| ua.read(frames, read, ctx)));
            return;
        }
    }

    fn read(&mut self, mut frames: Vec<Frame>, read: Result<Bytes, StoreError>, ctx: &mut Context<Self>) {
        let Some(replay) = &mut self.replay else { return };
        match read {
            Ok(bytes) if !bytes.is_empty() => {
                let offset = replay.offset.unwrap_or(0) + bytes.len() as u64;
                replay.offset = Some(offset);
                frames.push(Frame::Body(bytes));
                let ended =
                    replay.item.messages.get(replay.message).is_none_or(|message| offset >= message.size)
                        && replay.message + 1 >= replay.item.messages.len();
                if ended {
                    self.end(Ok(Piece { frames, more: false }), ctx)
                } else {
                    self.hand_over(Piece { frames, more: true }, ctx)
                }
            }
            Ok(_) => {
                tracing::error!(message_id = ?self.message_id, "content ends before its recorded size");
                self.end(Err(Failure::Store), ctx);
            }
            Err(error) => {
                tracing::error!(message_id = ?self.message_id, %error, "content cannot be read");
                self.end(Err(Failure::Store), ctx);
            }
        }
    }

    fn hand_over(&mut self, piece: Piece, ctx: &mut Context<Self>) {
        self.busy = false;
        self.focus.do_send(Replayed { participant: self.participant, outcome: Ok(piece) });
        self.step(ctx);
    }

    fn end(&mut self, outcome: Result<Piece, Failure>, ctx: &mut Context<Self>) {
        self.focus.do_send(Replayed { participant: self.participant, outcome });
        ctx.stop();
    }
}

impl Actor for VirtualUa {
    type Context = Context<Self>;
}

impl Handler<Grant> for VirtualUa {
    type Result = ();
    fn handle(&mut self, _: Grant, ctx: &mut Self::Context) {
        self.grants += 1;
        self.step(ctx);
    }
}

impl Handler<HangUp> for VirtualUa {
    type Result = ();
    fn handle(&mut self, _: HangUp, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
