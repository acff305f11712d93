//! The task that writes one connection: it takes all that waits in the outbox and hands it to the socket with few
//! system calls, without copying.

use super::close_cause::CloseCause;
use super::outbox::{Outbox, Taken};
use super::stream::Stream;
use super::web::WebSocket;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::future::ready;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;

/// Pieces handed to the system in one call.
const PIECES: usize = 64;

/// Writes what is pushed until the outbox ends, calling `drained` when waiting senders may go on; `lost` is told the
/// tokens of what was not written.
///
/// No `async fn`, whose task would keep what it was called with beside what becomes of it.
pub(crate) fn write<T: Send + 'static>(
    outbox: Arc<Outbox<T>>,
    stream: Arc<Stream>,
    drained: impl Fn() + Send + Sync,
    lost: impl FnOnce(Vec<T>) + Send,
) -> impl Future<Output = ()> + Send {
    let mut writer = Writer { outbox, stream, drained, hands: VecDeque::new() };
    async move {
        loop {
            match writer.outbox.take(&mut writer.hands) {
                Taken::Some => {
                    if let Err(cause) = writer.flush().await {
                        writer.outbox.abort(cause);
                        break;
                    }
                }
                Taken::Nothing => {
                    writer.hands = VecDeque::new();
                    writer.outbox.filled().await;
                    // What else is ready to be worked off now has something to write too: one call takes all of it.
                    tokio::task::yield_now().await;
                }
                Taken::End => break,
            }
        }
        writer.outbox.rouse();
        let mut left: Vec<T> = writer.hands.drain(..).map(|(_, token)| token).collect();
        left.extend(writer.outbox.take_lost());
        lost(left);
    }
}

/// The task that writes.
struct Writer<T, D> {
    outbox: Arc<Outbox<T>>,
    stream: Arc<Stream>,
    drained: D,
    /// What was taken and is not written yet.
    hands: VecDeque<(Bytes, T)>,
}

impl<T: Send, D: Fn() + Send + Sync> Writer<T, D> {
    /// Writes what is in hand.
    async fn flush(&mut self) -> Result<(), CloseCause> {
        while !self.hands.is_empty() {
            match write_some(&self.stream, &mut self.hands) {
                Ok(count) => {
                    if self.outbox.written(count) {
                        (self.drained)();
                    }
                    // A peer that reads as fast as the node writes must not starve the other tasks of the core.
                    tokio::task::yield_now().await;
                }
                Err(error) => self.hindered(&error).await?,
            }
            if let Some(cause) = self.outbox.cause() {
                return Err(cause);
            }
        }
        // What TLS or a WebSocket has taken is not written yet.
        while let Err(error) = self.stream.try_flush() {
            self.hindered(&error).await?;
        }
        Ok(())
    }

    /// Waits where that helps; boxed, since it is rare: an idle writer does not carry its timer.
    fn hindered(
        &self,
        error: &io::Error,
    ) -> Pin<Box<dyn Future<Output = Result<(), CloseCause>> + Send + '_>> {
        match error.kind() {
            io::ErrorKind::WouldBlock => Box::pin(wait_writable(&self.outbox, &self.stream)),
            io::ErrorKind::Interrupted => Box::pin(ready(Ok(()))),
            kind => Box::pin(ready(Err(CloseCause::Network(kind)))),
        }
    }
}

async fn wait_writable<T: Send>(outbox: &Outbox<T>, stream: &Stream) -> Result<(), CloseCause> {
    tokio::select! {
        biased;
        cause = outbox.given_up() => Err(cause),
        ready = tokio::time::timeout(outbox.stall(), stream.writable()) => match ready {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(CloseCause::Network(error.kind())),
            Err(_) => Err(CloseCause::SlowReader),
        },
    }
}

/// One system call; what it took is dropped from the front of `hands`.
fn write_some<T>(stream: &Stream, hands: &mut VecDeque<(Bytes, T)>) -> io::Result<usize> {
    if let Some(socket) = stream.web() {
        return send_one(socket, hands);
    }
    let mut slices = [IoSlice::new(&[]); PIECES];
    let mut used = 0;
    for (slice, (bytes, _)) in slices.iter_mut().zip(hands.iter()) {
        *slice = IoSlice::new(bytes);
        used += 1;
    }
    let count = stream.try_write(slices.get(..used).unwrap_or_default())?;
    let mut left = count;
    while let Some((bytes, _)) = hands.front_mut() {
        if bytes.len() > left {
            bytes.advance(left);
            break;
        }
        left -= bytes.len();
        hands.pop_front();
    }
    Ok(count)
}

/// Sends the first piece as one WebSocket message.
fn send_one<T>(socket: &WebSocket, hands: &mut VecDeque<(Bytes, T)>) -> io::Result<usize> {
    let Some((message, _)) = hands.front() else { return Ok(0) };
    let count = message.len();
    socket.try_send(message)?;
    hands.pop_front();
    Ok(count)
}
