//! How a session comes to its connection: it is known to the links, or opens one itself, once or anew.

use std::sync::Arc;

use actix::Recipient;
use restante::machine::msrp::SessionConfig;
use restante::wire::fingerprint::Fingerprint;
use restante::wire::msrp::MsrpUri;

use super::MsrpSession;
use super::input::{self, Input, SessionInput};
use crate::clock;
use crate::link::{Guard, MsrpConnectError, MsrpLink, MsrpRegistration, MsrpTarget, MsrpTransport};
use crate::seldom::seldom;

/// The other side, that is known, or known anew.
#[derive(Debug)]
pub struct Join {
    /// The client's path, in memory of its own: the session keeps it.
    pub remote: Vec<MsrpUri>,
    /// The fingerprints of which the client's certificate must have one, where it told some.
    pub fingerprints: Vec<Fingerprint>,
    /// Whether we open the connection.
    pub connect: bool,
    /// Whether the session leaves its connection for another: what is under way is forgotten.
    pub anew: bool,
}

/// Makes the session known to the links, before its other side is.
pub(super) fn register(
    transport: &MsrpTransport,
    config: &SessionConfig,
    user: Recipient<SessionInput>,
) -> Box<MsrpRegistration> {
    let guard = if config.local.is_secure() { Guard::Unanswered(Arc::default()) } else { Guard::Plain };
    Box::new(transport.register(config.local.shared_session_id(), guard, input::port(user)))
}

impl MsrpSession {
    /// Whether the other side is known: its connection may come before that.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        !self.machine.remote().is_empty()
    }

    /// The other side is known, or known anew.
    pub fn join(&mut self, join: Join) {
        let next = join.remote.first().filter(|_| join.connect).map(|next| {
            let host = String::from_utf8_lossy(next.host()).into_owned();
            let secure = next.is_secure().then(|| (host, join.fingerprints.clone()));
            (self.resolver.msrp(next), secure)
        });
        let guard = match self.machine.config().local.is_secure() {
            true => Guard::Secure(join.fingerprints),
            false => Guard::Plain,
        };
        if join.anew {
            self.renew(guard, join.remote);
        } else {
            self.machine.set_remote(join.remote);
            if let Some(registration) = &self.registration {
                registration.guard(guard);
            }
        }
        self.epoch += 1;
        if let (Some((resolving, secure)), Some(user)) = (next, self.user.upgrade()) {
            let epoch = self.epoch;
            actix::spawn(async move {
                let addrs = resolving.await.unwrap_or_else(|error| {
                    seldom!(warn, %error, "the client's MSRP URI leads nowhere");
                    Vec::new()
                });
                user.do_send(SessionInput(Input::Resolved { epoch, to: MsrpTarget { addrs, secure } }));
            });
        }
    }

    /// Leaves the connection for another that is to come.
    fn renew(&mut self, guard: Guard, remote: Vec<MsrpUri>) {
        if let Some(registration) = &self.registration {
            registration.leave(guard, &remote);
        }
        self.link = None;
        self.begin_anew(remote);
    }

    pub(super) fn resolved(&self, epoch: u32, to: MsrpTarget) {
        let Some(registration) = self.registration.as_ref().filter(|_| epoch == self.epoch) else { return };
        let Some(user) = self.user.upgrade() else { return };
        let connecting = self.transport.connect(registration, to);
        actix::spawn(async move {
            user.do_send(SessionInput(Input::Connected { epoch, link: connecting.await }));
        });
    }

    pub(super) fn connected(&mut self, epoch: u32, link: Result<MsrpLink, MsrpConnectError>) {
        if epoch != self.epoch {
            return;
        }
        match link {
            Ok(link) => {
                self.link = Some(link);
                let now = clock::now();
                self.machine.handle_bound(now);
                // RFC 4975 5.4: who opens the connection MUST send at once, an empty SEND if need be.
                self.machine.probe(now);
            }
            Err(error) => {
                seldom!(warn, %error, "MSRP connection to the client failed");
                self.lose("connect failed");
            }
        }
    }
}
