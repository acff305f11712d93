//! Who should get nowhere: peers that nobody trusts, and noise.

use super::dice::Dice;
use super::peer::sip::Msg;
use super::ua::Ua;
use super::world::{NODE, World};

/// Tries this and that.
pub(crate) async fn stranger(world: World, ua: Ua, dice: Dice) {
    for _ in 0..dice.between(1, 5) {
        dice.pause(10_000).await;
        let uri = world.aor(&world.anyone(&dice));
        match dice.below(4) {
            0 => babble(&ua, &uri, &dice),
            1 => shout(&world, &ua, &dice).await,
            _ => {
                let method = *dice.pick(&["MESSAGE", "INVITE", "SUBSCRIBE", "OPTIONS", "BYE", "NONSENSE"]);
                let request = ua.request(method, &uri, dice.happens(30)).body("text/plain", "let me in");
                refused(&world, &ua, &request).await;
            }
        }
    }
}

/// Nothing that a stranger asks for is done.
async fn refused(world: &World, ua: &Ua, request: &Msg) {
    if let Some(response) = ua.ask(request).await
        && response.status() < 300
        && request.method() != "OPTIONS"
    {
        world.wrong(format!("a stranger got {response} for {request}"));
    }
}

/// Sends a datagram that once was a request.
fn babble(ua: &Ua, uri: &str, dice: &Dice) {
    let mut bytes = ua.request("MESSAGE", uri, false).body("text/plain", "noise").encode();
    for _ in 0..dice.between(1, 6) {
        let at = usize::try_from(dice.below(bytes.len() as u64)).unwrap();
        match dice.below(3) {
            0 => bytes[at] = dice.draw() as u8,
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, dice.draw() as u8),
        }
    }
    // Whatever it means now, it comes from nobody who would hear an answer.
    let via = b"z9hG4bK";
    if !bytes.windows(via.len()).any(|window| window == via) {
        ua.babble(&bytes);
    }
}

/// Talks nonsense on a connection, and is hung up upon in the end.
async fn shout(world: &World, ua: &Ua, dice: &Dice) {
    let port = *dice.pick(&[5060, 2855]);
    let local = Some(std::net::SocketAddr::new(ua.ip(), 0));
    let Ok(wire) = world.fabric().connect(local, std::net::SocketAddr::new(NODE, port)).await else { return };
    let noise: Vec<u8> = match dice.below(3) {
        0 => (0..dice.between(1, 3_000)).map(|_| dice.draw() as u8).collect(),
        1 => b"MSRP a786hjs2 SEND\r\nTo-Path: msrp://127.0.0.1:2855/guessed;tcp\r\n\
               From-Path: msrp://203.0.113.1:7/me;tcp\r\nMessage-ID: 87652\r\nByte-Range: 1-2/2\r\n\
               Content-Type: text/plain\r\n\r\nhi\r\n-------a786hjs2$\r\n"
            .to_vec(),
        _ => b"MSRP half a fra".to_vec(),
    };
    let _ = wire.try_write(&noise);
    if dice.happens(50) {
        wire.vanish();
    }
    dice.pause(20_000).await;
}
