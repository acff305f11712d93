//! Every combination of Success-Report and Failure-Report (RFC 4975 7.1.2 to 7.2).

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

/// Sends a chunk with these report headers, then another whose answer shows that the first has been dealt with; gives the
/// REPORTs on it. A status is waited for where it is to be `answered`, since answers need not come in order; else none comes.
fn exchange(
    call: &mut Call,
    success: Option<&'static str>,
    failure: Option<&'static str>,
    answered: bool,
) -> Vec<Frame> {
    let chunk = Chunk { success, failure, ..Chunk::whole("text/plain", "reported") };
    call.msrp().post(&chunk);
    let report = (success == Some("yes")).then(|| call.msrp().report_on(&chunk.message_id));
    let last = Chunk::whole("text/plain", "barrier").success("yes");
    assert_eq!(call.msrp().send(&last), 200);
    call.msrp().report_on(&last.message_id);
    if answered {
        assert_eq!(call.msrp().response_to(&chunk.transaction), 200, "{success:?} {failure:?}");
    }
    assert_eq!(call.msrp().kept(), Vec::<String>::new(), "nothing else was sent");
    report.into_iter().collect()
}

#[test]
fn every_combination_is_answered_as_it_asks() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let mut count = 0;
    for success in [None, Some("no"), Some("yes")] {
        for failure in [None, Some("yes"), Some("no"), Some("partial")] {
            // RFC 4975 7.1.4: no transaction response where "no"; no 200 where "partial".
            let answered = failure.is_none() || failure == Some("yes");
            for report in exchange(&mut call, success, failure, answered) {
                let words: Vec<&str> = report.need("Status").splitn(3, ' ').collect();
                assert_eq!(words[..2], ["000", "200"], "RFC 4975 7.1.3");
                assert_eq!(report.range(), Some((1, Some(8), Some(8))), "the whole message is reported on");
                assert_eq!(report.flag, '$');
            }
            count += 2;
        }
    }
    call.bye(&mut joe);
    let mut bob = Ua::udp(&node, "bob");
    retrieve(&mut bob, &message_uri(&call.dialog.call_id), count);
}

#[test]
fn the_reports_of_a_chunked_message_cover_it() {
    let node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let body = noise(7_000);
    let message = Chunk::whole("application/octet-stream", &body).success("yes").failure("no");
    for chunk in message.cut(2_048) {
        call.msrp().post(&chunk);
    }
    let mut covered = vec![false; body.len()];
    while covered.contains(&false) {
        let report = call.msrp().report_on(&message.message_id);
        let (start, end, total) = report.range().expect("a success report has a Byte-Range");
        assert_eq!(total, Some(7_000));
        covered[start as usize - 1..end.expect("a number") as usize].fill(true);
    }
    call.bye(&mut joe);
    assert_eq!(fetch(&node, "bob").totals(), (1, 0));
}

// proves that a success report is sent after the message is durable
#[test]
fn what_was_reported_survives_a_crash() {
    let mut node = Node::start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    let chunk = Chunk::whole("text/plain", "reported").success("yes").failure("no");
    call.msrp().post(&chunk);
    call.msrp().report_on(&chunk.message_id);
    node.kill();
    node.launch();
    let id = call.dialog.call_id;
    until("the draft becomes an item", || (fetch(&node, "bob").ids() == [id.clone()]).then_some(()));
}

#[test]
fn a_refusal_is_told_as_the_sender_asks() {
    let node = Plan::new().set("msrp", "max_message = 1024").start();
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let mut call = Invite::new(&joe, BOB, Offer::active()).call(&mut joe);
    for failure in [None, Some("yes"), Some("partial")] {
        let chunk = Chunk { failure, ..Chunk::whole("text/plain", "x".repeat(1500)) };
        assert_eq!(call.msrp().send(&chunk), 413, "{failure:?}");
    }
    let silent = Chunk::whole("text/plain", "x".repeat(1500)).failure("no").success("yes");
    call.msrp().post(&silent);
    call.msrp().say("kept");
    assert_eq!(call.msrp().kept(), Vec::<String>::new(), "RFC 4975 7.1.4: no response and no failure report");
    call.bye(&mut joe);
    let mut bob = Ua::udp(&node, "bob");
    retrieve(&mut bob, &message_uri(&call.dialog.call_id), 1);
}
