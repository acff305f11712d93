//! `kill -9` under load, round after round: what was acknowledged is there, once, and can be had.

use crate::support::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

const BOB: &str = "sip:bob@example.com";
const SENDERS: usize = 6;
const ENOUGH: usize = 250;

/// What one sender did until the node was gone.
#[derive(Default)]
struct Sent {
    /// Message-IDs that were answered 202.
    acknowledged: Vec<String>,
    /// Requests that were under way.
    open: Vec<Msg>,
}

/// Sends requests, some of them ahead, until the connection breaks.
fn send_until_killed(
    node: std::net::SocketAddr,
    sender: usize,
    count: &AtomicUsize,
    enough: impl Fn(),
) -> Sent {
    let mut ua = Ua::new(node, &format!("sip:sender{sender}@example.org"), true);
    let mut sent = Sent::default();
    loop {
        while sent.open.len() < 8 {
            let length = [20, 300, 5_000, 50_000][(sent.acknowledged.len() + sent.open.len()) % 4];
            let message = ua.request("MESSAGE", BOB).body("application/octet-stream", noise(length));
            if !ua.try_send(&message) {
                return sent;
            }
            sent.open.push(message);
        }
        let Some(answer) = ua.try_wait() else { return sent };
        assert_eq!(answer.status(), 202, "{answer}");
        let at = sent.open.iter().position(|open| answer.answers(open)).expect("an answer to what was asked");
        sent.acknowledged.push(sent.open.swap_remove(at).call_id());
        if count.fetch_add(1, Ordering::SeqCst) + 1 >= ENOUGH {
            enough();
        }
    }
}

/// The ids of all items that are new.
fn all_new(node: &Node) -> Vec<String> {
    let mut bob = Ua::tcp(node, "bob");
    let mut dialog = subscribe(&mut bob, BOB, 600);
    let mut ids = Vec::new();
    loop {
        let summary = Summary::of(&notified(&mut bob, &dialog));
        ids.extend(summary.ids());
        if ids.len() as u64 >= summary.totals().0 {
            break;
        }
    }
    let end = dialog.request(&bob, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "0");
    assert_eq!(bob.ask(end).status(), 200);
    notified(&mut bob, &dialog);
    ids
}

/// One round: load, kill, start, and a look at what is there.
fn round(node: &mut Node, known: &mut BTreeSet<String>) {
    let count = AtomicUsize::new(0);
    let (sender, receiver) = channel();
    let address = node.sip;
    let results: Vec<Sent> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..SENDERS)
            .map(|index| {
                let (count, sender) = (&count, sender.clone());
                scope.spawn(move || {
                    send_until_killed(address, index, count, || sender.send(()).unwrap_or_default())
                })
            })
            .collect();
        receiver.recv_timeout(PATIENCE * 2).expect("enough is acknowledged in time");
        node.kill();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    node.launch();
    let acknowledged: BTreeSet<String> =
        results.iter().flat_map(|result| result.acknowledged.iter().cloned()).collect();
    assert!(acknowledged.len() >= ENOUGH);
    known.extend(acknowledged);
    let listed = all_new(node);
    let there: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(there.len(), listed.len(), "each is listed once");
    let lost: Vec<&String> = known.difference(&there).collect();
    assert!(lost.is_empty(), "{} acknowledged items are lost: {lost:?}", lost.len());
    // What was under way is sent again by its sender, who cannot know; then it is there, once.
    let mut ua = Ua::new(address, "sip:sender@example.org", true);
    for open in results.into_iter().flat_map(|result| result.open) {
        let again = open.with("Via", ua.via());
        known.insert(again.call_id());
        assert_eq!(ua.ask(again).status(), 202);
    }
    let listed = all_new(node);
    let there: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!((there.len(), &there), (listed.len(), &*known), "all, each once");
}

#[test]
fn what_was_acknowledged_is_there_after_every_crash() {
    let summary = "max_items = 10000\nmin_interval = \"10ms\"";
    let mut node = Plan::new().set("summary", summary).set("deposit", "quota_items = 0").start();
    let mut known = BTreeSet::new();
    for _ in 0..4 {
        round(&mut node, &mut known);
    }
    let mut bob = Ua::tcp(&node, "bob");
    let sample: Vec<String> = known.iter().step_by(7).cloned().collect();
    let uris: Vec<String> = sample.iter().map(|id| message_uri(id)).collect();
    let mut call = Invite::list(&bob, &uris, Offer::active()).call(&mut bob);
    for delivered in call.finish(&mut bob, sample.len()) {
        let body = Cpim::parse(&delivered.body).body;
        assert!(body == noise(body.len()), "{:?} is as it was sent", delivered.deferred);
    }
    assert_eq!(fetch(&node, "bob").totals(), ((known.len() - sample.len()) as u64, sample.len() as u64));
}

#[test]
fn acknowledged_messages_of_sessions_are_there_after_every_crash() {
    let mut node = Node::start();
    for round in 0..3 {
        let mut joe = Ua::udp(&node, "sip:joe@example.net");
        let mut calls: Vec<Call> =
            (0..4).map(|_| Invite::new(&joe, BOB, Offer::active()).call(&mut joe)).collect();
        let mut expected: Vec<(String, usize)> = Vec::new();
        for (index, call) in calls.iter_mut().enumerate() {
            for message in 0..=index {
                // Above 32 KiB content is likely to be kept another way than below.
                let body = noise([100, 40_000][message % 2]);
                let chunk =
                    Chunk::whole("application/octet-stream", &body).range(&format!("1-*/{}", body.len()));
                assert_eq!(call.msrp().send(&chunk), 200);
            }
            let half = Chunk::whole("application/octet-stream", noise(9_000)).cut(4_000).remove(0);
            call.msrp().post(&half);
            expected.push((call.dialog.call_id.clone(), index + 1));
        }
        node.kill();
        node.launch();
        until("every draft becomes an item", || {
            (fetch(&node, "bob").totals() == (4, round * 4)).then_some(())
        });
        let mut bob = Ua::udp(&node, "bob");
        for (id, count) in expected {
            for delivered in retrieve(&mut bob, &message_uri(&id), count) {
                let body = Cpim::parse(&delivered.body).body;
                assert!(body == noise(body.len()));
            }
        }
    }
}

#[test]
fn a_crash_amid_retrievals_loses_no_item() {
    let mut node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let mut ids: Vec<String> = (0..40).map(|_| deposit(&mut alice, BOB, "x")).collect();
    ids.sort_unstable();
    drop(alice);
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::new(&bob, BOB, Offer::active()).call(&mut bob);
    call.msrp().receive(15);
    node.kill();
    node.launch();
    let summary = fetch(&node, "bob");
    let (new, old) = summary.totals();
    assert_eq!((new + old, old <= 15), (40, true), "what was not acknowledged is new");
    let mut rest = Vec::new();
    if new > 0 {
        let mut call = Invite::new(&bob, BOB, Offer::active()).call(&mut bob);
        rest = call.finish(&mut bob, new as usize);
    }
    assert!(rest.iter().all(|message| ids.contains(message.deferred.as_ref().unwrap())));
    assert_eq!(fetch(&node, "bob").totals(), (0, 40));
}
