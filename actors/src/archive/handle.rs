//! The way to the writer: what it is told, and when that is answered.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use restante::store::{Answer, StoreError};
use tokio::sync::oneshot;

use super::standing::{Standing, closed};
use super::transaction::Transaction;
use super::tree::Durable;

/// Tells the caller of an operation, when it is known whether the batch was written as durably as was asked.
pub(super) type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// An operation, which writes into the batch.
pub(super) type Operation = Box<dyn FnOnce(&mut Transaction<'_>) -> Reply + Send>;

/// What the writer is told.
pub(super) enum Order {
    Apply(Operation, Durable),
    Stop,
}

/// The way to the writer; cheap to clone.
#[derive(Clone)]
pub(super) struct WriterHandle {
    orders: SyncSender<Order>,
    standing: Arc<Standing>,
}

impl WriterHandle {
    /// The way of `orders` to a writer of this standing.
    pub(super) const fn new(orders: SyncSender<Order>, standing: Arc<Standing>) -> Self {
        Self { orders, standing }
    }

    /// Queues an operation at once; the answer comes when it is durable.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        self.submit_as(Durable::First, operation)
    }

    /// Queues an operation at once; the answer comes when it is as `durable` as is asked for.
    pub(super) fn submit_as<T: Send + 'static>(
        &self,
        durable: Durable,
        operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        if let Err(error) = self.standing.refusal() {
            return Box::pin(std::future::ready(Err(error)));
        }
        let (order, answer) = order(durable, operation);
        match self.orders.try_send(order) {
            Ok(()) => answer,
            Err(TrySendError::Full(_)) => Box::pin(std::future::ready(Err(StoreError::Busy))),
            Err(TrySendError::Disconnected(_)) => Box::pin(std::future::ready(Err(closed()))),
        }
    }

    /// Whether the store takes anything.
    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Ends the writer once what is queued is done, if there is room to say so.
    pub(super) fn stop(&self) -> bool {
        !matches!(self.orders.try_send(Order::Stop), Err(TrySendError::Full(_)))
    }

    /// Refuses everything from now on; the answer comes when all that was queued before is done.
    pub(super) fn close(&self) -> Answer<()> {
        if !self.standing.close() {
            return Box::pin(std::future::ready(Err(closed())));
        }
        let (last, answer) = order(Durable::First, |_| Ok(()));
        if let Err(TrySendError::Full(last)) = self.orders.try_send(last) {
            // The end is never refused for want of room: it waits, but not on the caller's thread.
            let orders = self.orders.clone();
            let wait = move || drop(orders.send(last));
            if let Err(error) = std::thread::Builder::new().name("archive-close".into()).spawn(wait) {
                return Box::pin(std::future::ready(Err(StoreError::Unavailable(error.to_string()))));
            }
        }
        answer
    }
}

/// An order for the writer, and the answer that comes when it is as `durable` as that.
fn order<T: Send + 'static>(
    durable: Durable,
    operation: impl FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
) -> (Order, Answer<T>) {
    let (answer, answered) = oneshot::channel();
    let apply: Operation = Box::new(move |transaction| {
        let outcome = transaction.operation(operation);
        Box::new(move |committed| {
            // The caller may have gone; the operation stands all the same.
            let _ = answer.send(outcome.and_then(|value| committed.map(|()| value)));
        })
    });
    (Order::Apply(apply, durable), Box::pin(async move { answered.await.unwrap_or_else(|_| Err(closed())) }))
}
