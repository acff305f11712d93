//! One connection as a stream of bytes that is read and written without waiting, by one reader and one
//! writer at once.
//!
//! Whoever is told [`io::ErrorKind::WouldBlock`] waits for [`Stream::readable`] or [`Stream::writable`].

use super::net::{self, TcpStream};
use bytes::BytesMut;
use std::io::{self, IoSlice};
use std::net::SocketAddr;

/// A connection.
pub(crate) enum Stream {
    /// TCP.
    Plain(TcpStream),
}

impl Stream {
    /// The connection below.
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
        }
    }

    /// The node's address.
    pub(crate) fn local(&self) -> io::Result<SocketAddr> {
        self.tcp().local_addr()
    }

    /// The peer's address.
    pub(crate) fn peer(&self) -> io::Result<SocketAddr> {
        self.tcp().peer_addr()
    }

    /// Waits until there may be something to read.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.tcp().readable().await
    }

    /// Waits until something may be written.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.tcp().writable().await
    }

    /// Reads into the spare room of `buffer`; 0 is the end.
    pub(crate) fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.try_read_buf(buffer),
        }
    }

    /// Writes the pieces, or some of them.
    pub(crate) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.try_write_vectored(pieces),
        }
    }

    /// Discards some of what is there to read; `false` at its end.
    pub(crate) fn try_discard(&self) -> bool {
        // On the stack here, so that no waiting task carries it.
        let mut scratch = [0_u8; 4096];
        match self.tcp().try_read(&mut scratch) {
            Ok(count) => count > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    /// Ends the sending side.
    pub(crate) fn shutdown(&self) {
        net::shutdown_write(self.tcp());
    }
}
