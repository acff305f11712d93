//! A connection of a device, written to by a task of its own.

use std::rc::Rc;

use tokio::sync::mpsc;

use super::net::Wire;
use super::world::World;

/// The connection; clones are the same.
#[derive(Clone)]
pub(crate) struct Line {
    queue: mpsc::UnboundedSender<Vec<u8>>,
    pub(crate) wire: Rc<Wire>,
}

impl Line {
    pub(crate) fn new(world: &World, wire: Wire) -> Self {
        let wire = Rc::new(wire);
        let (queue, mut waiting) = mpsc::unbounded_channel::<Vec<u8>>();
        let writer = Rc::clone(&wire);
        world.spawn(async move {
            while let Some(bytes) = waiting.recv().await {
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    match writer.try_write(rest) {
                        Ok(count) => rest = &rest[count..],
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                            writer.writable().await;
                        }
                        Err(_) => return,
                    }
                }
            }
        });
        Self { queue, wire }
    }

    pub(crate) fn write(&self, bytes: Vec<u8>) {
        let _ = self.queue.send(bytes);
    }

    /// More bytes; `None` at the end of the connection.
    pub(crate) async fn read(&self, buffer: &mut Vec<u8>) -> Option<usize> {
        loop {
            match self.wire.try_read(16 << 10, |bytes| buffer.extend_from_slice(bytes)) {
                Ok(0) => return None,
                Ok(count) => return Some(count),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => self.wire.readable().await,
                Err(_) => return None,
            }
        }
    }
}
