//! The lobby: a peer for whom there is no connection left is told so before he is sent away (RFC 3261 21.5.4).
//!
//! Few are in it at once, for four seconds each at most: who finds no room here either is closed at once.

use super::net::TcpStream;
use super::open::see_off;
use super::stop::Stop;
use super::stream::{Got, Stream};
use crate::chance::Chance;
use bytes::{Bytes, BytesMut};
use restante::entropy::Entropy as _;
use restante::wire::sip::{
    HeaderName, Limits, Message, Method, Request, StatusCode, StreamDecoder, StreamEvent, stamp_via,
};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Peers that are in it at once.
const ROOM: usize = 64;
/// How long each has to say what he wants.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes that are read of each.
const MOST: usize = 64 << 10;
/// Seconds after which to try again.
const RETRY_AFTER: &str = "5";

/// Clones are the same one.
#[derive(Clone)]
pub(crate) struct Lobby {
    room: Arc<Semaphore>,
    limits: Limits,
}

impl Lobby {
    /// For peers whose messages are within `limits`.
    pub(crate) fn new(limits: &Limits) -> Self {
        let limits = Limits { message: limits.message.min(MOST), ..*limits };
        Self { room: Arc::new(Semaphore::new(ROOM)), limits }
    }

    /// Answers the first request that comes over `tcp`, and ends the connection.
    pub(crate) fn turn_away(&self, tcp: TcpStream, peer: SocketAddr, mut stop: Stop) {
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else { return };
        let limits = self.limits;
        tokio::spawn(async move {
            let stream = Stream::Plain(tcp);
            tokio::select! {
                biased;
                () = stop.stopped() => {}
                told = tokio::time::timeout(PATIENCE, tell(&stream, peer, limits)) => {
                    if matches!(told, Ok(Ok(()))) {
                        see_off(&stream).await;
                    }
                }
            }
            drop(place);
        });
    }
}

async fn tell(stream: &Stream, peer: SocketAddr, limits: Limits) -> io::Result<()> {
    let request = first_request(stream, limits).await?;
    stream.write_all(&refusal(request, peer)).await
}

/// The first request that gets a response.
async fn first_request(stream: &Stream, limits: Limits) -> io::Result<Request> {
    let (mut buffer, mut decoder) = (BytesMut::new(), StreamDecoder::new(limits));
    loop {
        while let Some(event) = decoder.decode(&mut buffer) {
            match event {
                StreamEvent::Message(Message::Request(request)) if request.method != Method::Ack => {
                    return Ok(request);
                }
                StreamEvent::Message(_) | StreamEvent::Ping => {}
                StreamEvent::Malformed(_) | StreamEvent::Broken(_) => {
                    return Err(ErrorKind::InvalidData.into());
                }
            }
        }
        stream.readable().await?;
        buffer.reserve(4 << 10);
        match stream.try_read(&mut buffer) {
            Ok(Got::End) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn refusal(mut request: Request, peer: SocketAddr) -> Bytes {
    stamp_via(&mut request, peer);
    let mut response = request.respond(StatusCode::SERVICE_UNAVAILABLE);
    response.headers.push(HeaderName::RetryAfter, RETRY_AFTER);
    if !response.headers.has_to_tag() {
        response.set_to_tag(&Chance.token(13));
    }
    response.encode()
}
