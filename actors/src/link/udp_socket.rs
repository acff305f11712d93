//! A UDP socket that knows to which address of the node a datagram has come, and sends the answer from there (RFC 3581 4),
//! though it be bound to all addresses of a family: then the system says so with each datagram, if asked, and is told with
//! each answer (RFC 3542 6). A socket that is bound to one address does without.

use super::listen;
use nix::cmsg_space;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Protocol, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use tokio::io::Interest;

/// A datagram that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// Its bytes.
    pub(crate) size: usize,
    /// Where it came from.
    pub(crate) peer: SocketAddr,
    /// Where it came to; what the socket is bound to where the system does not say.
    pub(crate) local: SocketAddr,
}

/// The socket.
pub(crate) struct UdpSocket {
    socket: tokio::net::UdpSocket,
    local: SocketAddr,
}

impl UdpSocket {
    /// Binds one at `addr`, with buffers of about `buffer` bytes; the system may grant less.
    pub(crate) fn bind(addr: SocketAddr, buffer: usize) -> io::Result<Self> {
        let socket = listen::socket(addr, Type::DGRAM, Protocol::UDP)?;
        let _ = socket.set_recv_buffer_size(buffer);
        let _ = socket.set_send_buffer_size(buffer);
        match addr.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
            _ => {}
        }
        socket.bind(&addr.into())?;
        let socket = tokio::net::UdpSocket::from_std(socket.into())?;
        let local = socket.local_addr()?;
        Ok(Self { socket, local })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Takes a datagram that waits.
    pub(crate) fn try_receive(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        if self.local.ip().is_unspecified() {
            return self.socket.try_io(Interest::READABLE, || self.receive(buffer));
        }
        let (size, peer) = self.socket.try_recv_from(buffer)?;
        Ok(Datagram { size, peer, local: self.local })
    }

    /// Sends a datagram, as an answer to one that came to `from`: by that address as long as it is the node's.
    pub(crate) fn try_send(
        &self,
        datagram: &[u8],
        to: SocketAddr,
        from: Option<SocketAddr>,
    ) -> io::Result<()> {
        let from = from.filter(|from| self.local.ip().is_unspecified() && !from.ip().is_unspecified());
        if let Some(from) = from {
            let sent = self.socket.try_io(Interest::WRITABLE, || self.send(datagram, to, from));
            match &sent {
                // That is no address of the node any more: better by another than not at all.
                Err(error) if is_gone(error) => {}
                _ => return sent,
            }
        }
        self.socket.try_send_to(datagram, to).map(drop)
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        let mut control = cmsg_space!(libc::in6_pktinfo);
        let mut buffers = [IoSliceMut::new(buffer)];
        let message = recvmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &mut buffers,
            Some(&mut control),
            MsgFlags::empty(),
        )?;
        let peer = message.address.as_ref().and_then(socket_addr).ok_or(io::ErrorKind::InvalidData)?;
        let told =
            message.cmsgs().ok().and_then(|mut all| all.find_map(|told| told_by(&told, self.local.port())));
        Ok(Datagram { size: message.bytes, peer, local: told.unwrap_or(self.local) })
    }

    fn send(&self, datagram: &[u8], to: SocketAddr, from: SocketAddr) -> io::Result<()> {
        let (fd, buffers, to) =
            (self.socket.as_raw_fd(), [IoSlice::new(datagram)], SockaddrStorage::from(to));
        let send = |from: ControlMessage<'_>| sendmsg(fd, &buffers, &[from], MsgFlags::empty(), Some(&to));
        match from {
            SocketAddr::V4(from) => send(ControlMessage::Ipv4PacketInfo(&libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr { s_addr: from.ip().to_bits().to_be() },
                ipi_addr: libc::in_addr { s_addr: 0 },
            }))?,
            SocketAddr::V6(from) => send(ControlMessage::Ipv6PacketInfo(&libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: from.ip().octets() },
                ipi6_ifindex: from.scope_id(),
            }))?,
        };
        Ok(())
    }
}

/// Where the datagram came to, if that is what the system tells here, and it is an address to answer from.
fn told_by(told: &ControlMessageOwned, port: u16) -> Option<SocketAddr> {
    let local = match told {
        // Not what the datagram names, which may be a group or all hosts, but our address there.
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            SocketAddr::from((Ipv4Addr::from_bits(u32::from_be(info.ipi_spec_dst.s_addr)), port))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            let scope = if ip.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
            SocketAddrV6::new(ip, port, 0, scope).into()
        }
        _ => return None,
    };
    (!local.ip().is_unspecified() && !local.ip().is_multicast()).then_some(local)
}

fn socket_addr(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = || address.as_sockaddr_in().map(|address| (*address).into());
    v4().or_else(|| address.as_sockaddr_in6().map(|address| (*address).into()))
}

/// Whether a datagram was refused for the address that it was to leave from.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable | io::ErrorKind::InvalidInput
    )
}
