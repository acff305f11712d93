//! Marking: what was delivered is written down in the store.

use actix::{Addr, AsyncContext, Context, Handler, Message};
use restante::focus::fan_out::Participant;
use restante::store::{After, MessageId};

use super::Focus;
use crate::refusals::store_failed;

/// Items that are marked by one order to the store: what it writes as one batch is bounded between orders.
const MARKS: usize = 64;

/// The store has noted, or failed to note, that items were delivered.
#[derive(Message)]
#[rtype(result = "()")]
struct Marked(Vec<(Participant, bool)>);

impl Focus {
    pub(super) fn mark_all(&self, mut delivered: Vec<(Participant, MessageId)>, ctx: &Context<Self>) {
        while !delivered.is_empty() {
            let rest = delivered.split_off(delivered.len().min(MARKS));
            self.mark(std::mem::replace(&mut delivered, rest), ctx.address());
        }
    }

    /// A task of its own: as futures of the focus' context, all marks under way would be polled for each.
    fn mark(&self, delivered: Vec<(Participant, MessageId)>, me: Addr<Self>) {
        let after = match self.shared.config.retrieval.after {
            crate::config::After::Keep => After::Keep,
            crate::config::After::Delete => After::Delete,
        };
        let ids = delivered.iter().map(|(_, id)| id.clone()).collect();
        let marking = self.shared.store.retrieved_all(self.owner().clone(), ids, after);
        let span = self.span.clone();
        actix::spawn(async move {
            let outcomes = match marking.await {
                Ok(outcomes) => outcomes,
                Err(error) => vec![Err(error); delivered.len()],
            };
            let mut marked = Vec::with_capacity(delivered.len());
            for ((participant, id), outcome) in delivered.into_iter().zip(outcomes) {
                match &outcome {
                    Ok(_) => tracing::info!(parent: &span, message_id = ?id, "delivered"),
                    Err(error) => {
                        store_failed!(error, parent: &span, message_id = ?id, %error, "delivered, but not marked: it stays new");
                    }
                }
                marked.push((participant, outcome.is_ok()));
            }
            me.do_send(Marked(marked));
        });
    }
}

impl Handler<Marked> for Focus {
    type Result = ();
    fn handle(&mut self, marked: Marked, ctx: &mut Self::Context) {
        for (participant, stands) in marked.0 {
            self.retrieval.marked(participant, stands);
        }
        self.turn.end_with(ctx, Self::drain);
    }
}
