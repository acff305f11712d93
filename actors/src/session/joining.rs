//! How a session comes to its connection: it is known to the links, or opens one itself, once or anew.

use std::sync::Arc;

use actix::{Addr, AsyncContext, Context, Handler, Message};
use restante::machine::msrp::SessionConfig;
use restante::wire::msrp::MsrpUri;

use super::{Join, MsrpSession, port};
use crate::clock;
use crate::link::{Guard, MsrpConnectError, MsrpLink, MsrpRegistration, MsrpTarget, MsrpTransport};

/// Where to connect; without addresses: the client's URI leads nowhere.
#[derive(Message)]
#[rtype(result = "()")]
struct Resolved {
    epoch: u32,
    to: MsrpTarget,
}

/// The opened connection, or why there is none.
#[derive(Message)]
#[rtype(result = "()")]
struct Connected {
    epoch: u32,
    link: Result<MsrpLink, MsrpConnectError>,
}

/// Makes the session known to the links, before its other side is.
pub(super) fn register(
    transport: &MsrpTransport,
    config: &SessionConfig,
    session: Addr<MsrpSession>,
) -> Box<MsrpRegistration> {
    let guard = if config.local.is_secure() { Guard::Unanswered(Arc::default()) } else { Guard::Plain };
    Box::new(transport.register(config.local.shared_session_id(), guard, port(session)))
}

impl MsrpSession {
    /// Leaves the connection for another that is to come.
    fn renew(&mut self, remote: Vec<MsrpUri>, ctx: &Context<Self>) {
        // Registered anew, the session is bound to nothing; the former registration ends.
        self.registration = Some(register(&self.transport, self.machine.config(), ctx.address()));
        self.link = None;
        self.begin_anew(remote);
    }
}

impl Handler<Join> for MsrpSession {
    type Result = ();
    fn handle(&mut self, join: Join, ctx: &mut Self::Context) {
        let next = join.remote.first().filter(|_| join.connect).map(|next| {
            let host = String::from_utf8_lossy(next.host()).into_owned();
            let secure = next.is_secure().then(|| (host, join.fingerprints.clone()));
            (self.resolver.msrp(next), secure)
        });
        if join.anew {
            self.renew(join.remote, ctx);
        } else {
            self.machine.set_remote(join.remote);
        }
        if let (Some(registration), true) = (&self.registration, self.machine.config().local.is_secure()) {
            registration.guard(Guard::Secure(join.fingerprints));
        }
        self.epoch += 1;
        if let Some((resolving, secure)) = next {
            let (epoch, me) = (self.epoch, ctx.address());
            actix::spawn(async move {
                let addrs = resolving.await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "the client's MSRP URI leads nowhere");
                    Vec::new()
                });
                me.do_send(Resolved { epoch, to: MsrpTarget { addrs, secure } });
            });
        }
        self.end_turn(ctx);
    }
}

impl Handler<Resolved> for MsrpSession {
    type Result = ();
    fn handle(&mut self, resolved: Resolved, ctx: &mut Self::Context) {
        let epoch = resolved.epoch;
        let Some(registration) = self.registration.as_ref().filter(|_| epoch == self.epoch) else { return };
        let connecting = self.transport.connect(registration.session().clone(), resolved.to);
        let me = ctx.address();
        actix::spawn(async move { me.do_send(Connected { epoch, link: connecting.await }) });
    }
}

impl Handler<Connected> for MsrpSession {
    type Result = ();
    fn handle(&mut self, connected: Connected, ctx: &mut Self::Context) {
        if connected.epoch != self.epoch {
            return;
        }
        match connected.link {
            Ok(link) => {
                self.link = Some(link);
                let now = clock::now();
                self.machine.handle_bound(now);
                // RFC 4975 5.4: who opens the connection MUST send at once, an empty SEND if need be.
                self.machine.probe(now);
            }
            Err(error) => {
                tracing::warn!(%error, "MSRP connection to the client failed");
                self.lose("connect failed");
            }
        }
        self.end_turn(ctx);
    }
}
