//! Doubles of tokio's sockets. On a thread that simulates they are ends of its [`Fabric`], on every other
//! thread what tokio gives: the same code of `link/` runs on both.

mod fabric;
mod pipe;

use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, BytesMut};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::link::Datagram;

pub(crate) use fabric::{Fabric, Hatch, Letterbox, Weather};
pub(crate) use pipe::Wire;

/// A TCP connection.
pub(crate) enum TcpStream {
    Real(tokio::net::TcpStream),
    Simulated(Wire),
}

/// A TCP connection between two cores.
pub(crate) enum HandedOver {
    Real(std::net::TcpStream),
    Simulated(Wire),
}

impl TcpStream {
    pub(crate) async fn connect(addr: impl std::borrow::Borrow<SocketAddr>) -> io::Result<Self> {
        let addr = *addr.borrow();
        match Fabric::here() {
            Some(fabric) => fabric.connect(None, addr).await.map(Self::Simulated),
            None => tokio::net::TcpStream::connect(addr).await.map(Self::Real),
        }
    }

    pub(crate) fn from_std(stream: HandedOver) -> io::Result<Self> {
        match stream {
            HandedOver::Real(stream) => tokio::net::TcpStream::from_std(stream).map(Self::Real),
            HandedOver::Simulated(wire) => Ok(Self::Simulated(wire)),
        }
    }

    pub(crate) fn into_std(self) -> io::Result<HandedOver> {
        match self {
            Self::Real(stream) => stream.into_std().map(HandedOver::Real),
            Self::Simulated(wire) => Ok(HandedOver::Simulated(wire)),
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Real(stream) => stream.local_addr(),
            Self::Simulated(wire) => Ok(wire.local),
        }
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Real(stream) => stream.peer_addr(),
            Self::Simulated(wire) => Ok(wire.peer),
        }
    }

    pub(crate) fn set_nodelay(&self, on: bool) -> io::Result<()> {
        match self {
            Self::Real(stream) => stream.set_nodelay(on),
            Self::Simulated(_) => Ok(()),
        }
    }

    pub(crate) fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Real(stream) => stream.poll_read_ready(context),
            Self::Simulated(wire) => wire.poll_readable(context).map(Ok),
        }
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Real(stream) => stream.readable().await,
            Self::Simulated(wire) => {
                wire.readable().await;
                Ok(())
            }
        }
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Real(stream) => stream.writable().await,
            Self::Simulated(wire) => {
                wire.writable().await;
                Ok(())
            }
        }
    }

    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Real(stream) => stream.try_read(buffer),
            Self::Simulated(wire) => wire.try_read(buffer.len(), |bytes| {
                buffer[..bytes.len()].copy_from_slice(bytes);
            }),
        }
    }

    pub(crate) fn try_read_buf(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Real(stream) => stream.try_read_buf(buffer),
            Self::Simulated(wire) => {
                let room = buffer.capacity() - buffer.len();
                wire.try_read(room, |bytes| buffer.put_slice(bytes))
            }
        }
    }

    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Real(stream) => stream.try_write_vectored(slices),
            Self::Simulated(wire) => {
                let mut bytes = Vec::with_capacity(slices.iter().map(|slice| slice.len()).sum());
                slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
                wire.try_write(&bytes)
            }
        }
    }
}

/// What stands on a connection in one go, as TLS does, stands on a real one.
impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Real(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Simulated(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Real(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Simulated(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Real(stream) => Pin::new(stream).poll_flush(context),
            Self::Simulated(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Real(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Simulated(_) => Poll::Ready(Ok(())),
        }
    }
}

/// A listening socket.
pub(crate) enum TcpListener {
    Real(tokio::net::TcpListener),
    Simulated(Arc<Hatch>),
}

impl TcpListener {
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Real(listener) => listener.local_addr(),
            Self::Simulated(hatch) => Ok(hatch.local),
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match self {
            Self::Real(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((TcpStream::Real(stream), peer))
            }
            Self::Simulated(hatch) => {
                let wire = hatch.accept().await;
                let peer = wire.peer;
                Ok((TcpStream::Simulated(wire), peer))
            }
        }
    }
}

/// A socket for datagrams.
pub(crate) enum UdpSocket {
    Real(crate::link::UdpSocket),
    Simulated(Arc<Letterbox>),
}

impl UdpSocket {
    pub(crate) fn local_addr(&self) -> SocketAddr {
        match self {
            Self::Real(socket) => socket.local_addr(),
            Self::Simulated(letterbox) => letterbox.local,
        }
    }

    pub(crate) fn try_send(
        &self,
        datagram: &[u8],
        to: SocketAddr,
        from: Option<SocketAddr>,
    ) -> io::Result<()> {
        match self {
            Self::Real(socket) => socket.try_send(datagram, to, from),
            Self::Simulated(letterbox) => {
                letterbox.post(datagram, to);
                Ok(())
            }
        }
    }

    pub(crate) fn try_receive(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        match self {
            Self::Real(socket) => socket.try_receive(buffer),
            Self::Simulated(letterbox) => {
                let (datagram, peer) = letterbox.take().ok_or(io::ErrorKind::WouldBlock)?;
                buffer[..datagram.len()].copy_from_slice(&datagram);
                Ok(Datagram { size: datagram.len(), peer, local: letterbox.local })
            }
        }
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Real(socket) => socket.readable().await,
            Self::Simulated(letterbox) => {
                letterbox.filled().await;
                Ok(())
            }
        }
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Real(socket) => socket.writable().await,
            Self::Simulated(_) => Ok(()),
        }
    }
}

/// As `link::net`'s.
pub(crate) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    match Fabric::here() {
        Some(fabric) => fabric.listen(addr).map(TcpListener::Simulated),
        None => tokio::net::TcpListener::from_std(crate::link::bind_tcp(addr)?).map(TcpListener::Real),
    }
}

/// As `link::net`'s.
pub(crate) fn bind_udp(addr: SocketAddr, buffer: usize) -> io::Result<UdpSocket> {
    match Fabric::here() {
        Some(fabric) => Ok(UdpSocket::Simulated(fabric.bind(addr))),
        None => crate::link::UdpSocket::bind(addr, buffer).map(UdpSocket::Real),
    }
}

/// As `link::net`'s.
pub(crate) fn keep_alive(stream: &TcpStream, keepalive: &TcpKeepalive) {
    if let TcpStream::Real(stream) = stream {
        let _ = SockRef::from(stream).set_tcp_keepalive(keepalive);
    }
}

/// As `link::net`'s.
pub(crate) fn receive_buffer(stream: &TcpStream, bytes: usize) {
    if let TcpStream::Real(stream) = stream {
        let _ = SockRef::from(stream).set_recv_buffer_size(bytes);
    }
}

/// As `link::net`'s.
pub(crate) fn unsent(stream: &TcpStream, bytes: u32) {
    if let TcpStream::Real(stream) = stream {
        crate::link::limit_unsent(&SockRef::from(stream), bytes);
    }
}

/// As `link::net`'s.
pub(crate) fn shutdown_write(stream: &TcpStream) {
    match stream {
        TcpStream::Real(stream) => {
            let _ = SockRef::from(stream).shutdown(Shutdown::Write);
        }
        TcpStream::Simulated(wire) => wire.finish(),
    }
}
