//! How a device takes what a retrieval brings: well, or badly in one of many manners.

use std::collections::HashMap;
use std::time::Duration;

use super::call::{Call, Msrp, PATIENCE};
use super::dice::Dice;
use super::peer::cpim::Cpim;
use super::peer::frame::Frame;
use super::world::World;

/// How a client behaves while it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Good,
    NeverConnects,
    /// At this chunk, each of these.
    Refuses(u64, u16),
    Stalls(u64),
    Cuts(u64),
    Vanishes(u64),
    HangsUp(u64),
    Ignores(u64),
}

impl Manner {
    pub(super) fn drawn(dice: &Dice) -> Self {
        let at = dice.below(4);
        match dice.below(16) {
            0 => Self::NeverConnects,
            1 => Self::Refuses(at, *dice.pick(&[413, 415, 403])),
            2..=3 => Self::Stalls(at),
            4 => Self::Cuts(at),
            5 => Self::Vanishes(at),
            6..=7 => Self::HangsUp(at),
            8 => Self::Ignores(at),
            _ => Self::Good,
        }
    }
}

/// A message on its way: the bytes so far, and whether every chunk was acknowledged.
struct Partial {
    body: Vec<u8>,
    acknowledged: bool,
}

/// What a device has taken of one retrieval.
pub(super) struct Taking<'a> {
    world: &'a World,
    dice: &'a Dice,
    retrieval: usize,
    partial: HashMap<String, Partial>,
    chunks: u64,
    manner: Manner,
}

impl<'a> Taking<'a> {
    /// Begins to take what the retrieval of that number in the ledger brings.
    pub(super) fn new(world: &'a World, dice: &'a Dice, retrieval: usize, manner: Manner) -> Self {
        Self { world, dice, retrieval, partial: HashMap::new(), chunks: 0, manner }
    }

    /// Takes what comes until the node says BYE; whether it did, with nothing left midway.
    pub(super) async fn run(&mut self, call: &mut Call, mut msrp: Msrp) -> bool {
        if self.dice.happens(5) {
            call.reinvite().await;
        }
        loop {
            let heard = tokio::select! {
                biased;
                method = call.attend() => Err(method),
                frame = msrp.next(PATIENCE) => Ok(frame),
            };
            let frame = match heard {
                Err(Some(method)) if method == "BYE" => break,
                Err(_) => continue,
                Ok(Some(frame)) => frame,
                Ok(None) => {
                    if call.hung_up(Duration::from_secs(5)).await {
                        break;
                    }
                    call.bye().await;
                    return false;
                }
            };
            if frame.kind != "SEND" {
                continue;
            }
            let now = self.chunks;
            self.chunks += 1;
            match self.manner {
                Manner::Stalls(at) if at == now => {
                    msrp.stall(Duration::from_millis(self.dice.below(20_000))).await;
                }
                Manner::Cuts(at) if at == now => {
                    msrp.line.wire.cut();
                    call.hung_up(PATIENCE).await;
                    return false;
                }
                Manner::Vanishes(at) if at == now => {
                    msrp.line.wire.vanish();
                    return false;
                }
                Manner::HangsUp(at) if at == now => {
                    call.bye().await;
                    return false;
                }
                _ => {}
            }
            self.chunk(&msrp, &frame);
        }
        // What the BYE overtook is taken, too: it may not arrive unnoticed at another's.
        while let Some(frame) = msrp.next(Duration::from_secs(1)).await {
            if frame.kind == "SEND" {
                self.chunk(&msrp, &frame);
            }
        }
        self.partial.is_empty()
    }

    fn chunk(&mut self, msrp: &Msrp, frame: &Frame) {
        let now = self.chunks.saturating_sub(1);
        let refused = match self.manner {
            Manner::Refuses(at, status) if at == now => Some(status),
            _ => None,
        };
        let ignored = matches!(self.manner, Manner::Ignores(at) if at == now);
        if let Some(status) = refused {
            msrp.respond(frame, status);
        } else if !ignored {
            msrp.respond(frame, 200);
        }
        let Some(body) = &frame.body else { return };
        let id = frame.need("Message-ID").to_owned();
        let partial = self
            .partial
            .entry(id.clone())
            .or_insert_with(|| Partial { body: Vec::new(), acknowledged: true });
        let (start, ..) = frame.range().unwrap_or((1, None, None));
        if start != partial.body.len() as u64 + 1 {
            return self
                .world
                .wrong(format!("a chunk out of order: {start} after {} bytes", partial.body.len()));
        }
        partial.body.extend_from_slice(body);
        partial.acknowledged &= refused.is_none() && !ignored;
        if frame.flag == '+' {
            return;
        }
        let Some(whole) = self.partial.remove(&id) else { return };
        if frame.flag == '$' {
            if frame.get("Success-Report") == Some("yes") {
                msrp.report(frame, whole.body.len());
            }
            let wrapped = frame.need("Content-Type").starts_with("message/cpim");
            let body = if wrapped { Cpim::parse(&whole.body).body } else { whole.body };
            let delivered =
                self.world.ledger(|ledger| ledger.deliver(self.retrieval, &body, whole.acknowledged));
            if let Err(wrong) = delivered {
                self.world.wrong(wrong);
            }
        }
    }
}
