//! Which of the node's listeners somebody is told of: the one that he can reach best.

use std::net::SocketAddr;

use restante::machine::sip::Transport;

use crate::config::{Advertise, Listen};

/// The listener of `transport` that whoever came to `local` can reach best: at that very address; at all addresses of its
/// family; at another of its family, or of the other one, where there is nothing better.
pub fn nearest(listeners: &[Listen], transport: Transport, local: SocketAddr) -> Option<&Listen> {
    let fitting = listeners.iter().filter(|listener| listener.transport == transport);
    fitting.min_by_key(|listener| distance(listener.address, local))
}

fn distance(listener: SocketAddr, local: SocketAddr) -> u8 {
    let (of_all, of_family) = (listener.ip().is_unspecified(), listener.is_ipv4() == local.is_ipv4());
    match (of_all, of_family) {
        _ if listener.ip() == local.ip() => 0,
        (true, true) => 1,
        (false, true) => 2,
        // Of all addresses of the other family none is known.
        (false, false) => 3,
        (true, false) => 4,
    }
}

/// The address at which whoever came to `local` reaches `listener`; `None` where it is known by name only: one of all
/// addresses of the other family, for no socket takes both.
pub fn address(listener: SocketAddr, local: SocketAddr) -> Option<SocketAddr> {
    let reached = if listener.ip().is_unspecified() { local.ip() } else { listener.ip() };
    let is_there = listener.is_ipv4() == reached.is_ipv4() && !reached.is_unspecified();
    // Without the zone of a link-local address, which is nobody else's affair (RFC 6874 4).
    is_there.then(|| SocketAddr::new(reached, listener.port()))
}

/// The `host:port` of a listener as the configuration has it advertised: its port is that of plain listeners.
pub fn advertised(advertise: &Advertise, listener: &Listen) -> String {
    let plain = matches!(listener.transport, Transport::Udp | Transport::Tcp);
    let port = advertise.port.filter(|_| plain).unwrap_or_else(|| listener.address.port());
    format!("{}:{port}", advertise.host.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn chosen(listeners: &[(Transport, &str)], local: &str) -> Option<String> {
        let listen =
            |&(transport, at): &(Transport, &str)| Listen { transport, address: at.parse().unwrap() };
        let listeners: Vec<Listen> = listeners.iter().map(listen).collect();
        let local = local.parse().unwrap();
        let listener = nearest(&listeners, Transport::Tcp, local)?.address;
        Some(address(listener, local).map_or_else(|| format!("by name, at {listener}"), |at| at.to_string()))
    }

    // proves RFC 4975 8.2: the path is where the connection is accepted
    #[test]
    fn the_nearest_listener_is_told() {
        let here = "10.1.0.1:5060";
        let all = [
            (Transport::Tls, "10.1.0.1:1"),
            (Transport::Tcp, "[::1]:2"),
            (Transport::Tcp, "[::]:3"),
            (Transport::Tcp, "10.2.0.1:4"),
            (Transport::Tcp, "0.0.0.0:5"),
            (Transport::Tcp, "10.1.0.1:6"),
        ];
        for (most, told) in [(6, "10.1.0.1:6"), (5, "10.1.0.1:5"), (4, "10.2.0.1:4"), (3, "[::1]:2")] {
            assert_eq!(chosen(&all[..most], here).as_deref(), Some(told));
        }
        assert_eq!(chosen(&all[2..3], here).as_deref(), Some("by name, at [::]:3"));
        assert_eq!(chosen(&all[..1], here), None);
        assert_eq!(
            chosen(&[(Transport::Tcp, "0.0.0.0:5")], "[2001:db8::1]:5060").as_deref(),
            Some("by name, at 0.0.0.0:5")
        );
        assert_eq!(
            chosen(&[(Transport::Tcp, "[::]:5")], "[2001:db8::1]:5060").as_deref(),
            Some("[2001:db8::1]:5")
        );
        // Came to a group: nobody knows at which address.
        assert_eq!(
            chosen(&[(Transport::Tcp, "0.0.0.0:5")], "0.0.0.0:5060").as_deref(),
            Some("by name, at 0.0.0.0:5")
        );
    }

    #[test]
    fn a_zone_is_not_told() {
        let link_local = "[fe80::1%2]:5060".parse().unwrap();
        assert_eq!(address("[::]:5".parse().unwrap(), link_local).unwrap().to_string(), "[fe80::1]:5");
        assert_eq!(address(link_local, link_local).unwrap().to_string(), "[fe80::1]:5060");
    }
}
