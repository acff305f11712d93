//! One connection as a stream of bytes, or of WebSocket messages, that is read and written without
//! waiting, by one reader and one writer at once.
//!
//! Whoever is told [`io::ErrorKind::WouldBlock`] waits for [`Stream::readable`], [`Stream::poll_readable`] or
//! [`Stream::writable`].

use super::net::{self, TcpStream};
use super::tls::TlsSession;
use super::web::WebSocket;
use bytes::BytesMut;
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::task::{Context, Poll};

/// A connection.
pub(crate) enum Stream {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsSession>),
    /// WebSocket messages over one of the others.
    Web(Box<WebSocket>),
}

/// What a read has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    /// So many bytes; over a WebSocket, one message.
    Bytes(usize),
    /// Nothing to be understood, but the peer lives.
    Sign,
    /// Nothing more comes.
    End,
}

impl Got {
    const fn of(count: usize) -> Self {
        if count == 0 { Self::End } else { Self::Bytes(count) }
    }
}

impl Stream {
    /// The connection below.
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(session) => session.tcp(),
            Self::Web(socket) => socket.below().tcp(),
        }
    }

    /// The same connection, its events told to the runtime this is called on.
    pub(crate) fn here(self) -> io::Result<Self> {
        Ok(match self {
            Self::Plain(tcp) => Self::Plain(net::here(tcp)?),
            Self::Tls(session) => Self::Tls(Box::new(session.here()?)),
            Self::Web(socket) => Self::Web(Box::new(socket.here()?)),
        })
    }

    /// The WebSocket, where it is one.
    pub(crate) fn web(&self) -> Option<&WebSocket> {
        match self {
            Self::Web(socket) => Some(socket),
            Self::Plain(_) | Self::Tls(_) => None,
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

    /// As [`Stream::readable`], for whoever waits long: it keeps no future. One waits so at a time.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_read_ready(context)
    }

    /// Waits until something may be written.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.tcp().writable().await
    }

    /// Appends what can be read to `buffer`.
    pub(crate) fn try_read(&self, buffer: &mut BytesMut) -> io::Result<Got> {
        match self {
            Self::Plain(tcp) => tcp.try_read_buf(buffer).map(Got::of),
            Self::Tls(session) => session.try_read(buffer).map(Got::of),
            Self::Web(socket) => socket.try_read(buffer),
        }
    }

    /// Writes the pieces, or some of them. Not for WebSockets, which carry messages.
    pub(crate) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.try_write_vectored(pieces),
            Self::Tls(session) => session.try_write(pieces),
            Self::Web(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Writes what was taken by [`Stream::try_write`] and is still here.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(session) => session.try_flush(),
            Self::Web(socket) => socket.try_flush(),
        }
    }

    /// Writes all, waiting where there is no room; for who has the stream alone. Not for WebSockets either.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match Octets(self).write(bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
        while let Err(error) = self.try_flush() {
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(error);
            }
            self.writable().await?;
        }
        Ok(())
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

    /// Ends the sending side, by the words of each layer.
    pub(crate) fn shutdown(&self) {
        match self {
            Self::Plain(tcp) => net::shutdown_write(tcp),
            Self::Tls(session) => {
                session.close();
                net::shutdown_write(session.tcp());
            }
            Self::Web(socket) => {
                socket.close();
                socket.below().shutdown();
            }
        }
    }
}

/// A stream of bytes for those who want to read and write it as such.
pub(crate) struct Octets<'a>(pub(crate) &'a Stream);

impl Read for Octets<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0 {
            Stream::Plain(tcp) => tcp.try_read(buffer),
            Stream::Tls(session) => session.try_read_into(buffer),
            Stream::Web(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl Write for Octets<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(&[IoSlice::new(bytes)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.try_flush()
    }
}
