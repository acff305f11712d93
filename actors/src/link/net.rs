//! The sockets that the links stand on: tokio's own, or, in the library's tests, either those or the
//! ends of a simulated network (`sim/net/`). Nothing else in `link/` knows the difference.

#[cfg(not(test))]
pub(crate) use {
    super::udp_socket::UdpSocket,
    tokio::net::{TcpListener, TcpStream},
};

#[cfg(test)]
pub(crate) use crate::sim::net::{TcpListener, TcpStream, UdpSocket};

/// The same connection, its events told to the runtime this is called on.
pub(crate) fn here(tcp: TcpStream) -> std::io::Result<TcpStream> {
    TcpStream::from_std(tcp.into_std()?)
}

/// Has the system take about `bytes` that it cannot send yet, and no more, where it knows how to: what waits in its buffers
/// goes before all that is written later.
pub(crate) fn limit_unsent(socket: &socket2::Socket, bytes: u32) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_notsent_lowat(bytes);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (socket, bytes);
}

#[cfg(not(test))]
mod system {
    use std::io;
    use std::net::{Shutdown, SocketAddr};

    use socket2::{SockRef, TcpKeepalive};

    use super::{TcpListener, TcpStream, UdpSocket};
    use crate::link::listen;

    /// Listens at `addr`.
    pub(crate) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::from_std(listen::bind_tcp(addr)?)
    }

    /// Binds a socket for datagrams at `addr`, with buffers of about `buffer` bytes.
    pub(crate) fn bind_udp(addr: SocketAddr, buffer: usize) -> io::Result<UdpSocket> {
        UdpSocket::bind(addr, buffer)
    }

    /// Has silent peers probed.
    pub(crate) fn keep_alive(stream: &TcpStream, keepalive: &TcpKeepalive) {
        let _ = SockRef::from(stream).set_tcp_keepalive(keepalive);
    }

    /// Has the system hold about `bytes` of what has come and is not read yet; the peer waits with the rest.
    pub(crate) fn receive_buffer(stream: &TcpStream, bytes: usize) {
        let _ = SockRef::from(stream).set_recv_buffer_size(bytes);
    }

    /// As [`super::limit_unsent`].
    pub(crate) fn unsent(stream: &TcpStream, bytes: u32) {
        super::limit_unsent(&SockRef::from(stream), bytes);
    }

    /// Says that nothing more will be written.
    pub(crate) fn shutdown_write(stream: &TcpStream) {
        let _ = SockRef::from(stream).shutdown(Shutdown::Write);
    }
}

#[cfg(not(test))]
pub(crate) use system::{bind_udp, keep_alive, listen, receive_buffer, shutdown_write, unsent};

#[cfg(test)]
pub(crate) use crate::sim::net::{bind_udp, keep_alive, listen, receive_buffer, shutdown_write, unsent};
