//! VirtualUa: the virtual user agent of one stored-message URI. It takes its item as the store opens it, and replays it
//! as typed SEND frames over the internal MSRP channel, as far as the focus grants credit.

use std::sync::Arc;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, Recipient, WrapFuture,
};
use bytes::Bytes;
use restante::focus::acknowledged::Acknowledged;
use restante::focus::delivery::{self, ClientLimits, Presented};
use restante::focus::fan_out::Participant;
use restante::focus::retrieval::Failure;
use restante::store::{Answer, Content, Item, MessageId, Store, StoreError, StoredMessage};

use crate::expiry::Expiry;
use crate::refusals::store_failed;
use crate::seldom::seldom;
use crate::{fault, supervision};

/// Credit for one more piece.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Grant;

/// What the client takes from now on; a message that has begun is not touched by it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Limits(pub Arc<ClientLimits>);

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

impl Frame {
    /// Bytes of content in it.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Begin(_) => 0,
            Self::Body(bytes) => bytes.len(),
        }
    }
}

/// The head of a replayed message.
#[derive(Debug)]
pub struct Begin {
    /// Its place in the item, from 0.
    pub message: u32,
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
    /// For which of the focus' connections.
    pub round: u32,
    /// The frames and whether more follow, or why there are none.
    pub outcome: Result<Piece, Failure>,
}

/// Messages that a piece begins at most: each is a SEND that is remembered until it is answered, however small.
const MOST_OF_A_PIECE: usize = 32;

/// At most a window of content.
#[derive(Debug)]
pub struct Piece {
    /// Frames in order.
    pub frames: Vec<Frame>,
    /// Whether others follow.
    pub more: bool,
}

/// Everything a virtual user agent is born with.
pub struct VirtualUaBirth {
    /// Its place among the focus' participants.
    pub participant: Participant,
    /// Which item.
    pub message_id: MessageId,
    /// What was acknowledged over a former connection: it is not replayed again.
    pub acknowledged: Acknowledged,
    /// The number of the focus' connection.
    pub round: u32,
    /// Where the item is.
    pub store: Arc<dyn Store>,
    /// The clock by which it ends.
    pub expiry: Arc<Expiry>,
    /// What the client takes.
    pub client: Arc<ClientLimits>,
    /// Who grants and is replayed to.
    pub focus: Recipient<Replayed>,
    /// Bytes of a piece at most.
    pub window: usize,
}

/// The actor.
pub struct VirtualUa {
    birth: VirtualUaBirth,
    /// The item, until it is waited for.
    opening: Option<Answer<Option<Item>>>,
    grants: usize,
    busy: bool,
    replay: Option<Replay>,
    ended: bool,
}

/// An open item and the place in it.
struct Replay {
    item: Item,
    message: usize,
    offset: Option<u64>,
}

impl VirtualUa {
    /// A virtual user agent of an item that the store is `opening`; it is born with its first grant.
    #[must_use]
    pub fn new(birth: VirtualUaBirth, opening: Answer<Option<Item>>) -> Self {
        Self { birth, opening: Some(opening), grants: 1, busy: false, replay: None, ended: false }
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
        if let Some(opening) = self.opening.take() {
            ctx.spawn(opening.into_actor(self).map(|opened, ua, ctx| ua.opened(opened, ctx)));
        }
    }

    fn opened(&mut self, opened: Result<Option<Item>, StoreError>, ctx: &mut Context<Self>) {
        fault::strike("virtual_ua.open", self.birth.message_id.bytes());
        match opened {
            Ok(Some(item)) if item.head.has_ended(self.birth.expiry.now()) => {
                self.end(Err(Failure::NotFound), ctx);
            }
            Ok(Some(item)) => match self.unacceptable(&item) {
                None => {
                    self.replay = Some(Replay { item, message: 0, offset: None });
                    self.replay_piece(ctx);
                }
                Some(failure) => self.end(Err(failure), ctx),
            },
            Ok(None) => self.end(Err(Failure::NotFound), ctx),
            Err(error) => {
                store_failed!(&error, message_id = ?self.birth.message_id, %error, "item cannot be opened");
                self.end(Err(Failure::Store), ctx);
            }
        }
    }

    /// An item is delivered whole or not at all, so every message must be acceptable. Where there is one, its
    /// replay tells.
    fn unacceptable(&self, item: &Item) -> Option<Failure> {
        let takes =
            |message: &StoredMessage| delivery::is_presentable(&item.head, message, &self.birth.client);
        (item.messages.len() > 1 && !item.messages.iter().all(takes)).then_some(Failure::NotAcceptable)
    }

    /// Gathers frames until a window is full or content has to be read.
    fn replay_piece(&mut self, ctx: &mut Context<Self>) {
        let (mut frames, mut begun) = (Vec::new(), 0);
        let mut room = self.birth.window.max(1);
        while let Some(replay) = &mut self.replay {
            let Some(message) = replay.item.messages.get(replay.message) else {
                return self.end(Ok(Piece { frames, more: false }), ctx);
            };
            let number = u32::try_from(replay.message).unwrap_or(u32::MAX);
            let offset = match replay.offset {
                Some(offset) => offset,
                None if self.birth.acknowledged.contains(number) => {
                    replay.message += 1;
                    continue;
                }
                None if begun == MOST_OF_A_PIECE => {
                    return self.hand_over(Piece { frames, more: true }, ctx);
                }
                None => {
                    begun += 1;
                    let Some(presented) = delivery::present(&replay.item.head, message, &self.birth.client)
                    else {
                        return self.end(Err(Failure::NotAcceptable), ctx);
                    };
                    let prefix = presented.prefix.clone();
                    frames.push(Frame::Begin(Box::new(Begin {
                        message: number,
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
            let left = usize::try_from(message.size - offset).unwrap_or(usize::MAX);
            if let Content::Inline(body) = &message.content {
                let len = left.min(room);
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let end = start.saturating_add(len).min(body.len());
                frames.push(Frame::Body(body.slice(start.min(end)..end)));
                replay.offset = Some(offset + len as u64);
                room -= len;
                continue;
            }
            // One visit to the disk serves every grant at hand: each costs two changes of thread.
            let ahead = self.grants.saturating_mul(self.birth.window);
            let len = left.min(room.saturating_add(ahead));
            let reading = self.birth.store.read(message.content.clone(), offset, len);
            ctx.spawn(reading.into_actor(self).map(move |read, ua, ctx| ua.read(frames, room, read, ctx)));
            return;
        }
    }

    /// Hands over what was read: the first piece has `room` bytes left, each other is a window's and takes a
    /// grant of its own.
    fn read(
        &mut self,
        mut frames: Vec<Frame>,
        room: usize,
        read: Result<Bytes, StoreError>,
        ctx: &mut Context<Self>,
    ) {
        let Some(replay) = &mut self.replay else { return };
        let mut bytes = match read {
            Ok(bytes) if !bytes.is_empty() => bytes,
            Ok(_) => {
                seldom!(error, message_id = ?self.birth.message_id, "content ends before its recorded size");
                return self.end(Err(Failure::Store), ctx);
            }
            Err(error) => {
                store_failed!(&error, message_id = ?self.birth.message_id, %error, "content cannot be read");
                return self.end(Err(Failure::Store), ctx);
            }
        };
        let offset = replay.offset.unwrap_or(0) + bytes.len() as u64;
        replay.offset = Some(offset);
        let ended = replay.item.messages.get(replay.message).is_none_or(|message| offset >= message.size)
            && replay.message + 1 >= replay.item.messages.len();
        let mut room = room;
        loop {
            frames.push(Frame::Body(bytes.split_to(bytes.len().min(room))));
            if bytes.is_empty() {
                break;
            }
            self.tell(Ok(Piece { frames: std::mem::take(&mut frames), more: true }));
            self.grants = self.grants.saturating_sub(1);
            room = self.birth.window.max(1);
        }
        if ended {
            self.end(Ok(Piece { frames, more: false }), ctx);
        } else {
            self.hand_over(Piece { frames, more: true }, ctx);
        }
    }

    fn hand_over(&mut self, piece: Piece, ctx: &mut Context<Self>) {
        self.busy = false;
        self.tell(Ok(piece));
        self.step(ctx);
    }

    fn end(&mut self, outcome: Result<Piece, Failure>, ctx: &mut Context<Self>) {
        self.ended = true;
        self.tell(outcome);
        ctx.stop();
    }

    fn tell(&self, outcome: Result<Piece, Failure>) {
        let VirtualUaBirth { participant, round, .. } = self.birth;
        self.birth.focus.do_send(Replayed { participant, round, outcome });
    }
}

impl Drop for VirtualUa {
    fn drop(&mut self) {
        if supervision::has_failed() && !self.ended {
            tracing::error!(message_id = ?self.birth.message_id, "the virtual user agent has failed: its item stays new, the others go on");
            self.tell(Err(Failure::Internal));
        }
    }
}

impl Actor for VirtualUa {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.step(ctx);
    }
}

impl Handler<Grant> for VirtualUa {
    type Result = ();
    fn handle(&mut self, _: Grant, ctx: &mut Self::Context) {
        self.grants += 1;
        self.step(ctx);
    }
}

impl Handler<Limits> for VirtualUa {
    type Result = ();
    fn handle(&mut self, limits: Limits, _: &mut Self::Context) {
        self.birth.client = limits.0;
    }
}

impl Handler<HangUp> for VirtualUa {
    type Result = ();
    fn handle(&mut self, _: HangUp, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
