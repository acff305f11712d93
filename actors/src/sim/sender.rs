//! Who writes to somebody who is away: pager messages and sessions, well or badly behaved.

use std::collections::HashMap;
use std::time::Duration;

use super::call::{Begun, Call, Invite, Msrp, PATIENCE};
use super::dice::Dice;
use super::ledger::Sent;
use super::peer::clock::fresh;
use super::peer::frame::Chunk;
use super::peer::sip::Msg;
use super::ua::Ua;
use super::world::World;

/// Sends a few messages and sessions, with pauses.
pub(crate) async fn sender(world: World, ua: Ua, dice: Dice) {
    for _ in 0..dice.between(1, 4) {
        dice.pause(8_000).await;
        if dice.happens(60) { pager(&world, &ua, &dice).await } else { session(&world, &ua, &dice).await }
    }
}

/// A content for `owner`, which begins with a token of its own.
fn content(world: &World, owner: &str, call_id: &str, session: bool, dice: &Dice) -> (String, Vec<u8>) {
    let token = fresh("token");
    let mut body = format!("{token} for {owner}: ").into_bytes();
    let size = if dice.happens(15) { dice.between(3_000, 20_000) } else { dice.between(1, 900) };
    let filler = b"abcdefghijklmnopqrstuvwxyz".repeat(size as usize / 26 + 1);
    body.extend_from_slice(&filler[..size as usize]);
    let sent = Sent {
        owner: owner.to_owned(),
        body: body.clone(),
        call_id: call_id.to_owned(),
        acknowledged: false,
        aborted: false,
        session,
        expires: false,
    };
    world.ledger(|ledger| ledger.send(&token, sent));
    (token, body)
}

async fn pager(world: &World, ua: &Ua, dice: &Dice) {
    let owner = world.anyone(dice);
    let uri = world.aor(&owner);
    let tcp = dice.happens(30);
    let request = ua.request("MESSAGE", &uri, tcp);
    let call_id = request.call_id();
    let (token, body) = content(world, &owner, &call_id, false, dice);
    let mut request = request.body("text/plain", &body);
    if dice.happens(20) {
        request = request.add("Priority", "urgent").add("Subject", "hurry");
    }
    settle(world, ua, &token, &request).await;
    if dice.happens(30) {
        // The same again, much later perhaps, by whatever transport: stored once.
        dice.pause(40_000).await;
        let again = request.clone().with("Via", ua.via(dice.happens(50)));
        settle(world, ua, &token, &again).await;
    }
    if dice.happens(15) {
        // The Call-ID again for something else: another item.
        let other = ua.request("MESSAGE", &uri, tcp).with("Call-ID", &call_id).with("CSeq", "7 MESSAGE");
        let (token, body) = content(world, &owner, &call_id, false, dice);
        settle(world, ua, &token, &other.body("text/plain", &body)).await;
    }
}

async fn settle(world: &World, ua: &Ua, token: &str, request: &Msg) {
    let Some(response) = ua.ask(request).await else { return };
    match response.status() {
        202 => world.ledger(|ledger| ledger.acknowledge(token)),
        480 | 503 => {}
        other => world.wrong(format!("a deposit was answered {other}: {response}")),
    }
}

async fn session(world: &World, ua: &Ua, dice: &Dice) {
    let owner = world.anyone(dice);
    let invite = Invite::new(world, ua, &world.aor(&owner), dice);
    let call_id = invite.request.call_id();
    if dice.happens(7) {
        let Some(asking) = ua.begin(&invite.request).await else { return };
        asking.regret(Duration::from_millis(dice.below(400))).await;
        return;
    }
    let mut call = match invite.call(world, ua).await {
        Begun::Up(call) => call,
        Begun::Refused(response) => {
            let known = [480, 503, 487].contains(&response.status());
            if !known {
                world.wrong(format!("a session was refused {response}"));
            }
            return;
        }
        Begun::Silent => return,
    };
    if dice.happens(7) {
        // Never connects.
        call.hung_up(PATIENCE).await;
        return;
    }
    let Some(msrp) = call.join().await else {
        call.bye().await;
        return;
    };
    talk(world, dice, &owner, &call_id, &mut call, msrp).await;
}

/// One chunk to be sent: whose message, and whether it is the last of it.
struct Step {
    token: String,
    chunk: Chunk,
    last: bool,
}

/// The chunks of some messages, shuffled as interleaved messages are: each in its own order.
fn script(world: &World, owner: &str, call_id: &str, dice: &Dice) -> Vec<Step> {
    let mut messages: Vec<Vec<Step>> = Vec::new();
    for _ in 0..dice.between(1, 4) {
        let (token, body) = content(world, owner, call_id, true, dice);
        let mut whole = Chunk::whole("text/plain", &body);
        if dice.happens(20) {
            whole = whole.success("yes");
        }
        let size = usize::try_from(dice.between(50, 4_000)).unwrap();
        let mut chunks = if body.len() > size { whole.cut(size) } else { vec![whole] };
        if dice.happens(12) && chunks.len() > 1 {
            chunks.truncate(usize::try_from(dice.between(1, chunks.len() as u64 - 1)).unwrap());
            if let Some(last) = chunks.last_mut() {
                last.flag = '#';
            }
            world.ledger(|ledger| ledger.abort(&token));
        }
        let count = chunks.len();
        let steps = chunks.into_iter().enumerate().map(|(at, chunk)| {
            let last = at + 1 == count && chunk.flag == '$';
            Step { token: token.clone(), chunk, last }
        });
        messages.push(steps.rev().collect());
    }
    let mut script = Vec::new();
    while !messages.is_empty() {
        let at = usize::try_from(dice.below(messages.len() as u64)).unwrap();
        match messages[at].pop() {
            Some(step) => script.push(step),
            None => drop(messages.remove(at)),
        }
    }
    script
}

async fn talk(world: &World, dice: &Dice, owner: &str, call_id: &str, call: &mut Call, mut msrp: Msrp) {
    let steps = script(world, owner, call_id, dice);
    let breaks = dice.happens(15).then(|| dice.below(steps.len() as u64));
    let mut waiting: HashMap<String, (String, bool)> = HashMap::new();
    let mut reported: HashMap<String, String> = HashMap::new();
    for (at, step) in steps.into_iter().enumerate() {
        if breaks == Some(at as u64) {
            break;
        }
        waiting.insert(step.chunk.transaction.clone(), (step.token.clone(), step.last));
        if step.last {
            world.ledger(|ledger| ledger.whole(&step.token));
        }
        reported.insert(step.chunk.message_id.clone(), step.token);
        msrp.send(&step.chunk);
        if dice.happens(20) {
            listen(world, &mut msrp, &mut waiting, &reported, Duration::from_millis(dice.below(300))).await;
        }
    }
    match (breaks, dice.below(3)) {
        (Some(_), 0) => return msrp.line.wire.cut(),
        (Some(_), 1) => return msrp.line.wire.vanish(),
        (Some(_), _) => {}
        (None, _) => listen(world, &mut msrp, &mut waiting, &reported, PATIENCE).await,
    }
    if dice.happens(10) {
        call.reinvite().await;
    }
    call.bye().await;
}

/// Takes what the node says to what was sent.
async fn listen(
    world: &World,
    msrp: &mut Msrp,
    waiting: &mut HashMap<String, (String, bool)>,
    reported: &HashMap<String, String>,
    span: Duration,
) {
    while !waiting.is_empty() {
        let Some(frame) = msrp.next(span).await else { return };
        if frame.kind == "REPORT" {
            if frame.need("Status") == "000 200 OK" || frame.need("Status") == "000 200" {
                world.ledger(|ledger| ledger.acknowledge(&reported[frame.need("Message-ID")]));
            }
            continue;
        }
        if frame.kind == "SEND" && frame.body.is_none() {
            // Who opens the connection sends an empty one.
            msrp.respond(&frame, 200);
            continue;
        }
        if !frame.is_response() {
            world.wrong(format!("a recorder sends {frame:?}"));
            return;
        }
        match waiting.remove(&frame.transaction) {
            Some((token, true)) if frame.status() == 200 => world.ledger(|ledger| ledger.acknowledge(&token)),
            Some(_) => {}
            None => world.wrong(format!("an MSRP response to nothing, or the second one: {frame:?}")),
        }
    }
}
