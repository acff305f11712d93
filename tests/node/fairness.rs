//! No message waits for a long one to end (RFC 4975 7.1.1: interruptible chunks).

use crate::support::frame::response;
use crate::support::*;
use std::collections::HashMap;

const BOB: &str = "sip:bob@example.com";

/// Deposits a message of this size in a session.
fn deposit_large(ua: &mut Ua, bytes: usize) -> String {
    let mut call = Invite::new(ua, BOB, Offer::active()).call(ua);
    let chunk = Chunk::whole("application/octet-stream", noise(bytes)).range(&format!("1-*/{bytes}"));
    assert_eq!(call.msrp().send(&chunk), 200);
    call.bye(ua);
    call.dialog.call_id
}

#[test]
fn a_small_message_behind_a_long_one_ends_before_it() {
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let large = deposit_large(&mut alice, 30_000_000);
    let small = deposit(&mut alice, BOB, "small");
    let mut bob = Ua::udp(&node, "bob");
    let list = [message_uri(&large), message_uri(&small)];
    let mut call = Invite::list(&bob, &list, Offer::active()).call(&mut bob);
    let first = call.msrp().receive(1).remove(0);
    assert_eq!(first.deferred.as_ref(), Some(&small));
    let sent: usize = call.msrp().arriving().iter().map(|(_, bytes)| bytes).sum();
    assert!(sent < 10_000_000, "{sent} bytes of the long one came before the small one ended");
    let second = call.msrp().receive(1).remove(0);
    call.wait_bye(&mut bob);
    assert_eq!(second.deferred.as_ref(), Some(&large));
    assert!(Cpim::parse(&second.body).body == noise(30_000_000));
    assert!(second.chunks > 1);
}

#[test]
fn long_messages_share_the_connection() {
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let ids: Vec<String> = (0..3).map(|index| deposit_large(&mut alice, 4_000_000 + index)).collect();
    let uris: Vec<String> = ids.iter().map(|id| message_uri(id)).collect();
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::list(&bob, &uris, Offer::active()).call(&mut bob);
    call.msrp().receive(1);
    let others: Vec<usize> = call.msrp().arriving().into_iter().map(|(_, bytes)| bytes).collect();
    assert!(others.len() == 2 || others.is_empty(), "the others have begun: {others:?}");
    assert!(others.iter().all(|bytes| *bytes > 2_000_000), "each had its share: {others:?}");
    call.msrp().receive(2);
    call.wait_bye(&mut bob);
    assert_eq!(fetch(&node, "bob").totals(), (0, 3));
}

#[test]
fn a_slow_client_gets_all_and_holds_up_nobody() {
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let large = deposit_large(&mut alice, 12_000_000);
    let small = deposit(&mut alice, BOB, "small");
    let mut slow = Ua::udp(&node, "bob");
    let mut call = Invite::new(&slow, &message_uri(&large), Offer::active()).call_unbound(&mut slow);
    let mut msrp = call.connect();
    msrp.small_window();
    msrp.post(&Chunk::empty());
    // It reads nothing while another device of the same user retrieves.
    let mut other = Ua::udp(&node, "bob");
    retrieve(&mut other, &message_uri(&small), 1);
    let delivered = msrp.receive(1).remove(0);
    assert_eq!(Cpim::parse(&delivered.body).body.len(), 12_000_000);
    slow.wait_and_ok("BYE", &call.dialog.call_id);
    call.dialog.cseq += 1;
    assert_eq!(fetch(&node, "bob").totals(), (0, 2));
}

/// Retrievals of one client over one connection, by the paths of his side.
struct Shared {
    msrp: Msrp,
    calls: Vec<Call>,
    /// Bytes that have come of each.
    came: HashMap<String, usize>,
}

impl Shared {
    /// Retrieves these, each by a call of its own; of the connection's nothing is read meanwhile.
    fn begin(bob: &mut Ua, ids: &[&String]) -> Self {
        let mut invite = |id: &&String| Invite::new(bob, &message_uri(id), Offer::active()).call_unbound(bob);
        let calls: Vec<Call> = ids.iter().map(&mut invite).collect();
        let mut msrp = calls[0].connect();
        msrp.small_window();
        for call in &calls {
            msrp.write(&Chunk::empty().encode(&call.answer.path, &call.local));
        }
        Self { msrp, calls, came: HashMap::new() }
    }

    /// Reads and answers until the message of this call has come whole.
    fn read_until(&mut self, call: usize) {
        let wanted = self.calls[call].local.clone();
        loop {
            let frame = self.msrp.read(PATIENCE).expect("the connection stays open");
            let Some(body) = frame.body.as_ref().filter(|_| frame.kind == "SEND") else { continue };
            let to = frame.need("To-Path").to_owned();
            *self.came.entry(to.clone()).or_default() += body.len();
            self.msrp.write(&response(&frame, 200, "OK"));
            if frame.flag == '$' && to == wanted {
                return;
            }
        }
    }
}

// proves RFC 4975 5.1: sessions share a connection
#[test]
fn retrievals_that_share_a_connection_wait_until_it_has_room() {
    const RETRIEVALS: usize = 30;
    let node = Plan::new().set("retrieval", "sessions_per_user = 100").start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let large = deposit_large(&mut alice, 1_500_000);
    let small = deposit(&mut alice, BOB, "small");
    let mut bob = Ua::tcp(&node, "bob");
    let mut list = vec![&large; RETRIEVALS];
    list.push(&small);
    let mut shared = Shared::begin(&mut bob, &list);
    // All have something to send, of which nothing is read.
    let bound = |metrics: &str| {
        let frames = metrics.lines().find_map(|line| line.strip_prefix("restante_msrp_frames_total "));
        // And the two of the deposit.
        frames.is_some_and(|frames| frames.parse::<f64>().unwrap() >= (list.len() + 2) as f64)
    };
    until("all are bound", || bound(&node.get("/metrics").1).then_some(()));
    bob.barrier();
    shared.read_until(RETRIEVALS);
    let sent: usize = shared.came.values().sum();
    assert!(sent < 15_000_000, "{sent} bytes of the others came before the small one");
    for call in 0..RETRIEVALS {
        let whole = |shared: &Shared| {
            shared.came.get(&shared.calls[call].local).is_some_and(|bytes| *bytes > 1_500_000)
        };
        if !whole(&shared) {
            shared.read_until(call);
        }
        let came: Vec<usize> = shared.came.values().copied().collect();
        if call == 0 {
            let least = came.iter().filter(|bytes| **bytes > 1000).min().unwrap();
            assert!(*least > 1_000_000, "each had its share: {came:?}");
        }
    }
    for call in &shared.calls {
        call.wait_bye(&mut bob);
    }
}

#[test]
fn a_client_that_reads_and_does_not_answer_is_not_sent_everything() {
    // A message is a piece, or more; or a piece has room for hundreds.
    let large = "four".repeat(512);
    for (window, message, messages, most) in
        [("2048", large.as_str(), 800, 600), ("\"64KiB\"", "four", 2500, 1100)]
    {
        let node = Plan::new().set("retrieval", &format!("window = {window}")).start();
        let mut alice = Ua::tcp(&node, "sip:alice@example.org");
        let id = deposit_session(&mut alice, BOB, &vec![message; messages]);
        let mut bob = Ua::udp(&node, "bob");
        let mut call = Invite::new(&bob, &message_uri(&id), Offer::active()).call(&mut bob);
        let mut unanswered: Vec<_> = (0..512).map(|_| call.msrp().next_send()).collect();
        // What the node has to say comes before its answer to this; many rounds, since the store reads meanwhile.
        let mut quiet = 0;
        while quiet < 200 {
            call.msrp().bind();
            let before = unanswered.len();
            while call.msrp().kept().iter().any(|kept| kept.starts_with("SEND")) {
                unanswered.push(call.msrp().next_send());
            }
            quiet = if unanswered.len() == before { quiet + 1 } else { 0 };
        }
        assert!(unanswered.len() < most, "{} are sent", unanswered.len());
        let mut done = Vec::new();
        for frame in unanswered {
            done.extend(call.msrp().handle_send(frame, &mut |_| Verdict::Take));
        }
        done.extend(call.msrp().receive(messages - done.len()));
        assert_eq!(done.len(), messages);
        call.wait_bye(&mut bob);
        assert_eq!(fetch(&node, "bob").totals(), (0, 1));
    }
}
