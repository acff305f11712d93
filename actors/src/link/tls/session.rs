//! One TLS session over a TCP connection, read and written without waiting by two tasks.
//!
//! rustls holds what is under way; an idle session keeps no buffer of plain text.

use super::TlsPeer;
use super::names::sip_domains;
use crate::link::net::{self, TcpStream};
use bytes::BytesMut;
use rustls::Connection;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A connection whose handshake is done.
pub(crate) struct TlsSession {
    tcp: TcpStream,
    session: Mutex<Connection>,
}

/// The connection, as rustls wants it.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Does the handshake; `verified` says whether the peer's certificate was checked by an authority.
///
/// # Errors
/// The connection ended or failed, or the peer does not do as TLS wants: then it has been sent an alert.
pub(crate) async fn handshake(
    tcp: TcpStream,
    mut session: Connection,
    verified: bool,
) -> Result<(TlsSession, TlsPeer), (io::Error, TcpStream)> {
    if let Err(error) = shake_hands(&tcp, &mut session).await {
        return Err((error, tcp));
    }
    let certificate = session.peer_certificates().and_then(|chain| chain.first()).cloned();
    let certificate = certificate.map(rustls::pki_types::CertificateDer::into_owned);
    let domains = certificate.as_ref().filter(|_| verified).map(sip_domains).unwrap_or_default();
    Ok((TlsSession { tcp, session: Mutex::new(session) }, TlsPeer { certificate, domains }))
}

async fn shake_hands(tcp: &TcpStream, session: &mut Connection) -> io::Result<()> {
    loop {
        while session.wants_write() {
            match session.write_tls(&mut Socket(tcp)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => tcp.writable().await?,
                Err(error) => return Err(error),
            }
        }
        if !session.is_handshaking() {
            return Ok(());
        }
        match session.read_tls(&mut Socket(tcp)) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => process(tcp, session)?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tcp.readable().await?,
            Err(error) => return Err(error),
        }
    }
}

/// Understands what was read; what is against TLS is answered by an alert.
fn process(tcp: &TcpStream, session: &mut Connection) -> io::Result<()> {
    session.process_new_packets().map(drop).map_err(|error| {
        let _ = session.write_tls(&mut Socket(tcp));
        io::Error::new(io::ErrorKind::InvalidData, error)
    })
}

impl TlsSession {
    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// The same session, its connection's events told to the runtime this is called on.
    pub(crate) fn here(self) -> io::Result<Self> {
        Ok(Self { tcp: net::here(self.tcp)?, session: self.session })
    }

    fn session(&self) -> MutexGuard<'_, Connection> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends what can be read to `buffer`; 0 is the end.
    pub(crate) fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let mut session = self.session();
        loop {
            let count = drain(&mut session, buffer)?;
            if count != Some(0) {
                return Ok(count.unwrap_or(0));
            }
            self.fetch(&mut session)?;
        }
    }

    /// Reads what can be read into `buffer`; 0 is the end.
    pub(crate) fn try_read_into(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut session = self.session();
        loop {
            match session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            self.fetch(&mut session)?;
        }
    }

    /// Reads from the connection and decrypts; at its end there is plain text no more.
    fn fetch(&self, session: &mut Connection) -> io::Result<()> {
        session.read_tls(&mut Socket(&self.tcp))?;
        process(&self.tcp, session)?;
        if session.wants_write() {
            // An answer of TLS itself. What does not go out now goes with what is written next.
            let _ = session.write_tls(&mut Socket(&self.tcp));
        }
        Ok(())
    }

    /// Encrypts some of the pieces and writes as much as the system takes.
    pub(crate) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut session = self.session();
        flush(&self.tcp, &mut session)?;
        let count = session.writer().write_vectored(pieces)?;
        match flush(&self.tcp, &mut session) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    /// Writes what is encrypted and not yet taken by the system.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        flush(&self.tcp, &mut self.session())
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn close(&self) {
        let mut session = self.session();
        session.send_close_notify();
        let _ = flush(&self.tcp, &mut session);
    }
}

fn flush(tcp: &TcpStream, session: &mut Connection) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(&mut Socket(tcp))?;
    }
    Ok(())
}

/// Moves the plain text at hand into `buffer`: how much, or `None` after the peer's close_notify.
fn drain(session: &mut Connection, buffer: &mut BytesMut) -> io::Result<Option<usize>> {
    let mut reader = session.reader();
    let mut total = 0;
    loop {
        match reader.fill_buf() {
            Ok([]) => return Ok((total > 0).then_some(total)),
            Ok(chunk) => {
                let count = chunk.len();
                buffer.extend_from_slice(chunk);
                reader.consume(count);
                total += count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Some(total)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok((total > 0).then_some(total));
            }
            Err(error) => return Err(error),
        }
    }
}
