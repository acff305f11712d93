//! The first of several addresses that accepts a connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// Connects to one address after the other until one accepts. One that does not answer has its share of the time that is
/// left of `within`; the last one as long as the caller waits. The error is the last one's, `NotFound` where there is none.
pub(crate) async fn first_of<T, C: Future<Output = io::Result<T>>>(
    addrs: &[SocketAddr],
    within: Duration,
    mut connect: impl FnMut(SocketAddr) -> C,
) -> io::Result<T> {
    let Some((last, others)) = addrs.split_last() else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no address"));
    };
    let end = Instant::now() + within;
    for (tried, addr) in others.iter().enumerate() {
        let now = Instant::now();
        let left = u32::try_from(addrs.len() - tried).unwrap_or(u32::MAX);
        let share = end.saturating_duration_since(now) / left;
        if let Ok(Ok(connected)) = timeout_at(now + share, connect(*addr)).await {
            return Ok(connected);
        }
    }
    connect(*last).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const WITHIN: Duration = Duration::from_secs(12);

    /// What each address does: accepts, refuses, or says nothing.
    async fn connected(peers: &[&str]) -> (io::Result<u16>, u64) {
        let began = Instant::now();
        let addrs: Vec<SocketAddr> =
            (1..).zip(peers).map(|(port, _)| SocketAddr::from(([192, 0, 2, 1], port))).collect();
        let connect = async |addr: SocketAddr| match peers[usize::from(addr.port()) - 1] {
            "accepts" => Ok(addr.port()),
            "refuses" => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => std::future::pending().await,
        };
        let found = tokio::time::timeout(WITHIN, first_of(&addrs, WITHIN, connect)).await;
        (found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())), began.elapsed().as_secs())
    }

    // proves RFC 4975 6.2: the addresses of a name are tried in turn
    #[tokio::test(start_paused = true)]
    async fn an_address_that_does_not_answer_leaves_time_for_the_others() {
        for (peers, found, after) in [
            (vec!["silent", "accepts"], 2, 6),
            (vec!["silent", "silent", "accepts"], 3, 8),
            (vec!["refuses", "silent", "accepts"], 3, 6),
            (vec!["accepts", "silent"], 1, 0),
        ] {
            let (connected, took) = connected(&peers).await;
            assert_eq!((connected.unwrap(), took), (found, after), "{peers:?}");
        }
        for (peers, cause, after) in [
            (vec!["silent"], io::ErrorKind::TimedOut, 12),
            (vec!["silent", "silent"], io::ErrorKind::TimedOut, 12),
            (vec!["silent", "refuses"], io::ErrorKind::ConnectionRefused, 6),
            (vec![], io::ErrorKind::NotFound, 0),
        ] {
            let (connected, took) = connected(&peers).await;
            assert_eq!((connected.unwrap_err().kind(), took), (cause, after), "{peers:?}");
        }
    }
}
