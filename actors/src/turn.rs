//! Turn: what an actor does once for all messages that have come, not once for each.

use actix::{Actor, ActorFutureExt, AsyncContext, Context, fut};

/// Whether the actor's work is due at the end of its turn, when its mailbox is empty.
#[derive(Debug, Default)]
pub struct Turn {
    due: bool,
}

impl Turn {
    /// Makes sure that `work` is done once the messages that have come are handled.
    pub fn end_with<A>(&mut self, ctx: &mut Context<A>, work: fn(&mut A, &mut Context<A>))
    where
        A: Actor<Context = Context<A>>,
    {
        if !std::mem::replace(&mut self.due, true) {
            // The context's own futures are polled behind its mailbox.
            ctx.spawn(fut::ready(()).map(move |(), actor, ctx| work(actor, ctx)));
        }
    }

    /// Makes sure that `work` is done once the other tasks of the core had their turns, unless it is done before.
    pub fn go_on_with<A>(&mut self, ctx: &mut Context<A>, work: fn(&mut A, &mut Context<A>))
    where
        A: Actor<Context = Context<A>>,
    {
        if !std::mem::replace(&mut self.due, true) {
            let others = fut::wrap_future::<_, A>(tokio::task::yield_now());
            ctx.spawn(others.map(move |(), actor, ctx| work(actor, ctx)));
        }
    }

    /// Whether the work is to be done.
    #[must_use]
    pub const fn is_due(&self) -> bool {
        self.due
    }

    /// Notes that the work is done.
    pub const fn ended(&mut self) {
        self.due = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix::{Handler, Message};

    #[derive(Default)]
    struct Counter {
        turn: Turn,
        came: usize,
        turns: Vec<usize>,
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Come;

    #[derive(Message)]
    #[rtype(result = "Vec<usize>")]
    struct Turns;

    impl Actor for Counter {
        type Context = Context<Self>;
    }

    impl Handler<Come> for Counter {
        type Result = ();
        fn handle(&mut self, _: Come, ctx: &mut Self::Context) {
            self.came += 1;
            self.turn.end_with(ctx, |counter, _| {
                counter.turn.ended();
                counter.turns.push(std::mem::take(&mut counter.came));
            });
        }
    }

    impl Handler<Turns> for Counter {
        type Result = Vec<usize>;
        fn handle(&mut self, _: Turns, _: &mut Self::Context) -> Self::Result {
            self.turns.clone()
        }
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct GoOn;

    impl Handler<GoOn> for Counter {
        type Result = ();
        fn handle(&mut self, _: GoOn, ctx: &mut Self::Context) {
            self.came += 1;
            self.turn.go_on_with(ctx, |counter, _| {
                if counter.turn.is_due() {
                    counter.turn.ended();
                    counter.turns.push(std::mem::take(&mut counter.came));
                }
            });
        }
    }

    #[actix::test]
    async fn who_goes_on_lets_others_come_in_between() {
        let counter = Counter::default().start();
        counter.do_send(GoOn);
        let others = async {
            assert_eq!(counter.send(Turns).await.ok(), Some(Vec::new()));
            counter.do_send(Come);
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        };
        others.await;
        assert_eq!(counter.send(Turns).await.ok(), Some(vec![2]));
    }

    #[actix::test]
    async fn what_has_come_at_once_is_worked_off_at_once() {
        let counter = Counter::default().start();
        (0..5).for_each(|_| counter.do_send(Come));
        tokio::task::yield_now().await;
        counter.do_send(Come);
        tokio::task::yield_now().await;
        assert_eq!(counter.send(Turns).await.ok(), Some(vec![5, 1]));
    }
}
