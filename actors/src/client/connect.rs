//! An INVITE and the MSRP connection it leads to, as the client sets them up.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use restante::client::{InvitationEnd, InvitationEvent, Opening, PagerMessage, UserAgentEvent};
use restante::entropy::Entropy as _;
use restante::machine::msrp::{SessionConfig, SessionLimits};
use restante::machine::offer_answer::{LocalMedia, Negotiated, accept_answer, offer_as};
use restante::machine::sip::Body;
use restante::wire::mime::{self, Part};
use restante::wire::msrp::MsrpUri;
use restante::wire::sdp::{self, Direction, Setup};
use restante::wire::sip::{HeaderName, Response};
use tokio::net::{TcpSocket, TcpStream};

use super::driver::{Begun, Command, OwnedInvite};
use super::error::ClientError;
use super::handle::Client;
use super::msrp::MsrpSession;
use super::stream::{Fault, Stream};
use crate::chance::Chance;
use crate::link::first_of;

/// The port of an MSRP URI that names none (RFC 4975 15.4).
const MSRP_PORT: u16 = 2855;
/// Bytes of one message that are taken at most: as much as a file may hold.
const LARGEST: u64 = 1 << 40;
/// Messages that may arrive at once.
const AT_ONCE: usize = 1024;
/// Bytes of a chunk that is sent.
const CHUNK: u64 = 64 * 1024;

/// What we bring to a session: our URI, and the socket that will have its port.
pub(super) struct OurMedia {
    socket: TcpSocket,
    media: LocalMedia,
}

/// A session that was accepted.
pub(super) struct Accepted {
    pub(super) begun: Begun,
    pub(super) response: Response,
    pub(super) agreed: Negotiated,
}

impl OurMedia {
    /// Binds the socket from which the connection will be opened.
    pub(super) fn prepare(client: &Client, direction: Direction) -> Result<Self, ClientError> {
        let (local, secure) = (client.shared.local, client.shared.secure_sessions);
        let socket = socket_at(local)?;
        let port = socket.local_addr()?.port();
        let host = match local.ip() {
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            std::net::IpAddr::V4(ip) => ip.to_string(),
        };
        // RFC 4975 14.1: at least 80 random bits.
        let uri = MsrpUri::new(secure, &host, port, &Chance.token(20));
        let uri = uri.map_err(|error| ClientError::Msrp(error.to_string()))?;
        let session = (u64::from(port) << 32 | (Chance.next_u64() >> 33), 1);
        // RFC 4975 14.4: MUST include the fingerprint of the certificate in the description
        let fingerprint = secure.then(|| client.shared.secure.fingerprint()).transpose()?;
        // RFC 4975 8.6: wrapped as message/cpim by preference, but anything is taken.
        let accept_types = Box::from(["message/cpim".to_owned(), "*".to_owned()]);
        Ok(Self {
            socket,
            media: LocalMedia {
                uri,
                fingerprint,
                accept_types,
                accept_wrapped: direction.receives(),
                max_size: 0,
                direction,
                session,
            },
        })
    }

    /// The offer: we open the connection, for nobody may be able to reach us.
    pub(super) fn offer(&self) -> Bytes {
        offer_as(&self.media, Setup::Active)
    }

    /// Opens the connection that was agreed upon.
    pub(super) async fn connect(
        self,
        client: &Client,
        agreed: &Negotiated,
        receives: bool,
    ) -> Result<MsrpSession, ClientError> {
        let Some(first) = agreed.remote_path.first() else {
            return Err(ClientError::Msrp("the answer names no way".to_owned()));
        };
        // Without the session-id, which whoever may join must know.
        let scheme = if first.is_secure() { "msrps" } else { "msrp" };
        let port = first.port().unwrap_or(MSRP_PORT);
        let peer = format!("{scheme}://{}:{port}", String::from_utf8_lossy(first.host()));
        let wrong = |cause: String| ClientError::Msrp(format!("no connection to {peer}: {cause}"));
        let found = client.patient(client.shared.resolver.msrp(first)).await?;
        let addrs = found.map_err(|error| wrong(error.to_string()))?;
        let connecting = connect(self.socket, client.shared.local, &addrs, client.patience());
        let tcp = client.patient(connecting).await?;
        let tcp = tcp.map_err(|error| wrong(error.to_string()))?;
        tcp.set_nodelay(true)?;
        let way = (tcp.local_addr()?, tcp.peer_addr()?);
        let secure = first.is_secure();
        let stream: Box<dyn Stream> = if secure {
            let host = String::from_utf8_lossy(first.host()).into_owned();
            let secured = client.shared.secure.session(tcp, &host, &agreed.fingerprints);
            Box::new(client.patient(secured).await?.map_err(|fault| match fault {
                Fault::Unreachable(cause) => wrong(cause),
                Fault::Untrusted(cause) => ClientError::Untrusted { peer: peer.clone(), cause },
            })?)
        } else {
            Box::new(tcp)
        };
        let limits = SessionLimits {
            max_message: LARGEST,
            max_incoming: AT_ONCE,
            max_chunk: CHUNK,
            transaction_timeout: client.shared.config.patience.max(std::time::Duration::from_secs(30)),
            receives,
            ..SessionLimits::default()
        };
        let config = SessionConfig {
            local: self.media.uri,
            remote: agreed.remote_path.clone(),
            limits: limits.into(),
        };
        Ok(MsrpSession::over(stream, way, secure, config, client.shared.eye.clone()))
    }

    /// Invites, and waits for the answer.
    pub(super) async fn invite(
        &self,
        client: &Client,
        invite: OwnedInvite,
        opening: Opening,
    ) -> Result<Accepted, ClientError> {
        client.secure_enough(&invite.uri)?;
        let invite = Box::new(invite);
        let mut begun = client.begin(|begun| Command::Invite { invite, opening, begun }).await?;
        loop {
            // A peer that rings is there: then a person may need longer.
            match client.patient(begun.next()).await? {
                Some(UserAgentEvent::Session(InvitationEvent::Accepted(response))) => {
                    let agreed = self.agree(&response);
                    return match agreed {
                        Ok(agreed) => Ok(Accepted { begun, response, agreed }),
                        // The drop of what has begun says BYE.
                        Err(error) => Err(error),
                    };
                }
                Some(UserAgentEvent::Session(InvitationEvent::Refused(refusal))) => {
                    return Err(client.refused(refusal));
                }
                Some(UserAgentEvent::Session(InvitationEvent::Ended(end))) => {
                    return Err(match end {
                        InvitationEnd::Failed(cause) => client.unreachable(cause, begun.unsent()),
                        other => ClientError::Ended(format!("{other:?}")),
                    });
                }
                Some(_) => {}
                None => return Err(ClientError::Closed),
            }
        }
    }

    fn agree(&self, response: &Response) -> Result<Negotiated, ClientError> {
        let content_type = response.headers.get(&HeaderName::ContentType).cloned().unwrap_or_default();
        let part = Part::new(content_type, response.body.clone());
        let answer = mime::body_of(&[part], sdp::MEDIA_TYPE).unwrap_or_default();
        let agreed = accept_answer(&self.media, &answer);
        let agreed = agreed.map_err(|error| ClientError::Msrp(error.to_string()))?;
        if !agreed.connect {
            return Err(ClientError::Msrp(
                "the peer wants to connect to us, who offered to connect".to_owned(),
            ));
        }
        Ok(agreed)
    }
}

/// A socket that connects from this address.
fn socket_at(local: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if local.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(local.ip(), 0))?;
    Ok(socket)
}

/// Connects to the first address that takes it: by `socket` at first, and then by others like it.
async fn connect(
    socket: TcpSocket,
    local: SocketAddr,
    addrs: &[SocketAddr],
    within: Duration,
) -> io::Result<TcpStream> {
    let addrs: Vec<_> = addrs.iter().copied().filter(|addr| addr.is_ipv4() == local.is_ipv4()).collect();
    if addrs.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address that can be reached"));
    }
    let mut socket = Some(socket);
    first_of(&addrs, within, |addr| {
        let by = socket.take().map_or_else(|| socket_at(local), Ok);
        async move { by?.connect(addr).await }
    })
    .await
}

/// An INVITE to `uri`, with this body.
pub(super) fn invite(uri: String, body: Body, needs_list: bool, about: Option<PagerMessage>) -> OwnedInvite {
    OwnedInvite { to: uri.clone(), uri, body, needs_list, about }
}

/// The URI of the Contact, where it is that of a focus (RFC 4579 5.2).
pub(super) fn focus_of(response: &Response) -> Option<String> {
    let contact = response.headers.contact().ok()??;
    contact.params.has("isfocus").then(|| String::from_utf8_lossy(&contact.uri).into_owned())
}
