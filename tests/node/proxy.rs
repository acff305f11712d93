//! Subscribers behind a proxy's one connection: all of them are to be told at once, and the proxy does not read.

use crate::limits::resident;
use crate::support::*;

const SUBSCRIBERS: usize = 2_000;

/// How many NOTIFYs have waited for room so far.
fn waits(node: &Node) -> u64 {
    let text = node.get("/metrics").1;
    let line = text.lines().find_map(|line| line.strip_prefix("restante_notify_waits_total "));
    line.map_or(0, |count| count.parse().unwrap())
}

#[test]
fn all_subscribers_behind_a_proxy_that_does_not_read_for_a_while_are_told() {
    // On a machine that is busy nothing times out meanwhile, and nothing is refused.
    let node = Plan::new().set("sip", "t1 = \"4s\"\ntarget_delay = \"10s\"").start();
    let mut proxy = Proxy::connect(&node);
    proxy.subscribe(SUBSCRIBERS);
    let (before, memory) = (proxy.notifies, resident(&node));
    let mut senders = Proxy::connect(&node);
    senders.deposit(SUBSCRIBERS);
    until("NOTIFYs wait", || (waits(&node) > 0).then_some(()));
    senders.deposit(SUBSCRIBERS);
    let grown = resident(&node).saturating_sub(memory);
    assert!(grown < 64 << 20, "{grown} bytes more while the proxy did not read");
    proxy.read_until(|proxy| proxy.told.values().all(|told| told.totals == (2, 0)));
    let notifies = proxy.notifies - before;
    assert!(notifies < 2 * SUBSCRIBERS, "{notifies}: who waited was told of both at once");
    // It is well from then on.
    senders.deposit(2);
    proxy.read_until(|proxy| proxy.told.values().filter(|told| told.totals == (3, 0)).count() == 2);
}
