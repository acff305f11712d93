//! One alarm per actor, armed from its machines' `poll_timeout`.

use actix::{Actor, AsyncContext, Context, SpawnHandle};
use restante::time::Instant;

use crate::clock;

/// An actor's only timer.
#[derive(Debug, Default)]
pub struct Alarm {
    armed: Option<(Instant, SpawnHandle)>,
}

impl Alarm {
    /// Makes sure that `ring` is called at `next` or earlier. An alarm that is set for an earlier
    /// time is left alone: waking early costs less than arming again for every message.
    pub fn arm<A>(&mut self, ctx: &mut Context<A>, next: Option<Instant>, ring: fn(&mut A, &mut Context<A>))
    where
        A: Actor<Context = Context<A>>,
    {
        let Some(next) = next else { return };
        if let Some((at, handle)) = self.armed {
            if at <= next {
                return;
            }
            ctx.cancel_future(handle);
        }
        let handle = ctx.run_later(next - clock::now(), ring);
        self.armed = Some((next, handle));
    }

    /// Notes that the alarm rang.
    pub const fn rang(&mut self) {
        self.armed = None;
    }
}
