//! Free ports below the ephemeral range, so that no connection takes one between the choice and its use;
//! and connections that are waited for, but not for ever.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

use socket2::SockRef;

use super::clock::PATIENCE;

const FIRST: u16 = 10_000;
const LAST: u16 = 31_000;

/// A port that is free for UDP and for TCP at `host`. Whoever can should take it at once ([`bound`]): other
/// programs that tests start choose ports of this range as well.
pub fn free(host: IpAddr) -> u16 {
    bound(host).0.local_addr().unwrap().port()
}

/// Sockets for UDP and for TCP at one free port of `host`.
pub fn bound(host: IpAddr) -> (UdpSocket, TcpListener) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(step < LAST - FIRST, "no free port left");
        // Processes start at different places, so that two test runs at once do not meet.
        let start = (std::process::id() % 400) as u16 * 50;
        let address = SocketAddr::new(host, FIRST + (start + step) % (LAST - FIRST));
        if let (Ok(udp), Ok(tcp)) = (UdpSocket::bind(address), TcpListener::bind(address)) {
            return (udp, tcp);
        }
    }
}

/// The connection that the node opens to `listener`.
pub fn accept(listener: &TcpListener) -> TcpStream {
    // On Linux the receive timeout of a listening socket bounds accept().
    SockRef::from(listener).set_read_timeout(Some(PATIENCE)).unwrap();
    listener.accept().expect("the node connects").0
}
