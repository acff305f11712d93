//! Open files: each connection takes one, and so do the store and who asks for its health. A store that finds none left
//! has failed, so connections leave it some.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Files that connections leave to others: journals and tables of the store, contents that are read and written, listeners,
/// questions to the DNS, and those who ask for metrics and health.
const RESERVED: u64 = 512;

/// Lets the process open as many files as the system allows it, and lets in no more connections than leave room.
pub(super) fn make_room(config: &mut Config) {
    let limit = raise();
    let wanted = (config.sip.max_connections, config.msrp.max_connections);
    let Some((sip, msrp)) = limit.and_then(|limit| fit(limit, wanted.0, wanted.1)) else { return };
    tracing::warn!(
        open_files = limit,
        sip,
        msrp,
        "fewer connections than [sip] and [msrp] max_connections say: raise the limit of open files (ulimit -n, LimitNOFILE=)"
    );
    (config.sip.max_connections, config.msrp.max_connections) = (sip, msrp);
}

/// How many sockets the DNS may take: what nobody else has a claim to, and a part of what connections leave.
pub(super) fn for_dns(config: &Config) -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    share_of_dns(limit, config.sip.max_connections, config.msrp.max_connections)
}

fn share_of_dns(limit: u64, sip: usize, msrp: usize) -> usize {
    let claimed = (sip as u64).saturating_add(msrp as u64).saturating_add(RESERVED);
    let reserved = RESERVED.min(limit / 2);
    usize::try_from(limit.saturating_sub(claimed).max(reserved / 2)).unwrap_or(usize::MAX)
}

/// The limit of open files, raised as far as it may be; `None` where there is none.
fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // What cannot be raised stays as it is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current
}

/// How many connections of SIP and of MSRP fit into `limit` files, in proportion; `None` where all do. One of each does,
/// always.
fn fit(limit: u64, sip: usize, msrp: usize) -> Option<(usize, usize)> {
    let (sip, msrp) = (sip as u64, msrp as u64);
    let wanted = sip.saturating_add(msrp);
    // Of very few files the half is left.
    let room = limit.saturating_sub(RESERVED.min(limit / 2));
    if wanted <= room {
        return None;
    }
    let share = |of: u64| {
        let share = u128::from(room) * u128::from(of) / u128::from(wanted.max(1));
        usize::try_from(share).unwrap_or(usize::MAX).max(1)
    };
    Some((share(sip), share(msrp)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_to_the_store() {
        assert_eq!(fit(1_048_576, 10_000, 10_000), None);
        assert_eq!(fit(20_512, 10_000, 10_000), None);
        assert_eq!(fit(20_511, 10_000, 10_000), Some((9999, 9999)));
        assert_eq!(fit(1024, 10_000, 10_000), Some((256, 256)));
        assert_eq!(fit(1024, 30, 10), None);
        assert_eq!(fit(1024, 3000, 1000), Some((384, 128)));
        assert_eq!(fit(64, 10_000, 10), Some((31, 1)));
        assert_eq!(fit(0, 10, 10), Some((1, 1)));
    }

    #[test]
    fn the_dns_has_what_is_left_over() {
        assert_eq!(share_of_dns(65_536, 10_000, 10_000), 45_024);
        assert_eq!(share_of_dns(20_512, 10_000, 10_000), 256);
        assert_eq!(share_of_dns(1024, 256, 256), 256);
        assert_eq!(share_of_dns(64, 31, 1), 16);
        assert_eq!(share_of_dns(u64::MAX, usize::MAX, 1), 256);
    }

    #[test]
    fn the_limit_is_what_the_system_allows() {
        let limit = raise();
        assert_eq!(limit, getrlimit(Resource::Nofile).maximum, "{limit:?}");
    }
}
