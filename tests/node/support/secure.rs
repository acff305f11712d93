//! A TLS client with blocking sockets, which one thread reads while another writes.

use super::pki::{Authority, Identity};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

/// A TLS connection.
pub struct Secure {
    tcp: TcpStream,
    session: Mutex<Connection>,
    plain: Mutex<Vec<u8>>,
}

/// Believes `authority`, and shows `identity` where it is asked for one.
pub fn tls_client(authority: &Authority, identity: Option<&Identity>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    shown(builder, identity)
}

fn shown(
    builder: rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
    identity: Option<&Identity>,
) -> Arc<ClientConfig> {
    Arc::new(match identity {
        Some(own) => builder.with_client_auth_cert(vec![own.der.clone()], own.secret()).unwrap(),
        None => builder.with_no_client_auth(),
    })
}

impl Secure {
    /// Connects, and does the handshake with a node that is called `name`.
    pub fn connect(addr: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> io::Result<Arc<Self>> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Self::shake_hands(TcpStream::connect(addr)?, Connection::Client(session))
    }

    /// The server's side of a connection that the node has opened.
    pub fn accept(tcp: TcpStream, identity: &Identity) -> io::Result<Arc<Self>> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![identity.der.clone()], identity.secret())
            .unwrap();
        let session = ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
        Self::shake_hands(tcp, Connection::Server(session))
    }

    fn shake_hands(mut tcp: TcpStream, mut session: Connection) -> io::Result<Arc<Self>> {
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(super::PATIENCE))?;
        while session.is_handshaking() {
            session.complete_io(&mut tcp)?;
        }
        tcp.set_read_timeout(None)?;
        Ok(Arc::new(Self { tcp, session: Mutex::new(session), plain: Mutex::default() }))
    }

    /// The certificate that the node has shown.
    pub fn peer(&self) -> Vec<u8> {
        self.session.lock().unwrap().peer_certificates().unwrap()[0].to_vec()
    }

    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut scratch = [0; 16_384];
        loop {
            let mut plain = self.plain.lock().unwrap();
            if !plain.is_empty() {
                let count = buffer.len().min(plain.len());
                buffer[..count].copy_from_slice(&plain[..count]);
                plain.drain(..count);
                return Ok(count);
            }
            if self.decrypt(&mut &[][..], &mut plain)? {
                return Ok(0);
            }
            if !plain.is_empty() {
                continue;
            }
            let count = (&self.tcp).read(&mut scratch)?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let mut bytes = &scratch[..count];
            loop {
                let ended = self.decrypt(&mut bytes, &mut plain)?;
                if ended && plain.is_empty() {
                    return Ok(0);
                }
                if bytes.is_empty() {
                    break;
                }
            }
        }
    }

    /// Decrypts some of `bytes`; whether the peer has said that nothing more comes.
    fn decrypt(&self, bytes: &mut &[u8], plain: &mut Vec<u8>) -> io::Result<bool> {
        let mut session = self.session.lock().unwrap();
        if !bytes.is_empty() {
            session.read_tls(bytes)?;
            session.process_new_packets().map_err(io::Error::other)?;
        }
        let mut scratch = [0; 16_384];
        loop {
            match session.reader().read(&mut scratch) {
                Ok(0) => return Ok(true),
                Ok(count) => plain.extend_from_slice(&scratch[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut session = self.session.lock().unwrap();
        for piece in bytes.chunks(16_384) {
            session.writer().write_all(piece)?;
            while session.wants_write() {
                session.write_tls(&mut &self.tcp)?;
            }
        }
        Ok(())
    }

    pub fn close(&self) {
        let mut session = self.session.lock().unwrap();
        session.send_close_notify();
        let _ = session.write_tls(&mut &self.tcp);
        let _ = self.tcp.shutdown(Shutdown::Both);
    }
}
