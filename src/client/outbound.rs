//! Where a user agent's requests go: the places of its node or proxy ([`Outbound`], RFC 3263 4.3), and the next hop
//! of a dialog.

use std::net::SocketAddr;

use crate::machine::sip::{Destination, Dialog, Transport};
use crate::wire::sip::{Host, SipUri};

/// The places of one node or proxy, the best first; at least one.
#[derive(Debug)]
pub(super) struct Outbound {
    places: Vec<Destination>,
    /// The place that is not known to have failed.
    current: usize,
}

/// A place that is being tried, and how many are left to be tried after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Try {
    place: usize,
    left: usize,
}

impl Try {
    /// Whether there is another place after this one.
    pub(super) const fn has_more(self) -> bool {
        self.left > 0
    }
}

impl Outbound {
    pub(super) fn new(best: Destination, others: Vec<Destination>) -> Self {
        let mut places = vec![best];
        places.extend(others);
        Self { places, current: 0 }
    }

    /// The place to begin with.
    pub(super) fn first(&self) -> (Try, Destination) {
        self.at(Try { place: self.current, left: self.places.len() - 1 })
    }

    /// The place to go on with after one that has failed, which no request begins with any more for now.
    pub(super) fn after(&mut self, failed: Try) -> Option<(Try, Destination)> {
        let next = (failed.place + 1) % self.places.len();
        if self.current == failed.place {
            self.current = next;
        }
        let left = failed.left.checked_sub(1)?;
        Some(self.at(Try { place: next, left }))
    }

    fn at(&self, this: Try) -> (Try, Destination) {
        // invariant: places are counted modulo their number, which is not 0.
        (this, self.places[this.place].clone())
    }
}

/// Where the next request of a dialog goes that was made at `place`: over a connection the same way; over UDP to where
/// the dialog says, if that is an address (RFC 3261 12.2.1.1).
pub(super) fn next_hop(place: &Destination, dialog: Option<&Dialog>) -> Destination {
    if place.transport != Transport::Udp {
        return place.clone();
    }
    dialog.and_then(address).unwrap_or_else(|| place.clone())
}

/// The address a dialog's next hop names, if it does.
fn address(dialog: &Dialog) -> Option<Destination> {
    let uri = SipUri::parse(&dialog.next_hop()).ok()?;
    let transport = match uri.transport() {
        Some(name) => Transport::parse(&name)?,
        None => Transport::Udp,
    };
    let ip = match &uri.host {
        Host::V4(ip) => (*ip).into(),
        Host::V6(ip) => (*ip).into(),
        Host::Name(_) => return None,
    };
    let port = uri.port.unwrap_or_else(|| transport.default_port());
    matches!(transport, Transport::Udp | Transport::Tcp)
        .then(|| Destination::new(transport, SocketAddr::new(ip, port)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn place(port: u16) -> Destination {
        Destination::new(Transport::Tcp, SocketAddr::from(([192, 0, 2, 1], port)))
    }

    // proves RFC 3263 4.3
    #[test]
    fn each_place_is_tried_once_and_one_that_failed_is_not_begun_with() {
        let mut outbound = Outbound::new(place(1), vec![place(2), place(3)]);
        let (first, to) = outbound.first();
        assert_eq!(to, place(1));
        let (second, to) = outbound.after(first).unwrap();
        assert_eq!((to, outbound.first().1), (place(2), place(2)));
        // Another request that began at the first place learns nothing that is not known.
        assert_eq!(outbound.after(first).unwrap().1, place(2));
        let (third, to) = outbound.after(second).unwrap();
        assert!(to == place(3) && !third.has_more());
        assert!(outbound.after(third).is_none(), "all have been tried");
        assert_eq!(outbound.first().1, place(1), "and are tried again by the next request");
        let mut alone = Outbound::new(place(1), Vec::new());
        let (only, _) = alone.first();
        assert!(alone.after(only).is_none());
        assert_eq!(alone.first().1, place(1));
    }
}
