//! Retrieval of a selection: a URI-list in the INVITE (RFC 5366, 5363, 4826).

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

/// A node with `count` items of Bob, and their ids.
fn stocked(plan: Plan, count: usize) -> (Node, Vec<String>) {
    let node = plan.start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let ids = (0..count).map(|index| format!("item{index}@h")).collect::<Vec<_>>();
    for id in &ids {
        deposit_as(&mut alice, BOB, id, "text/plain", id.as_bytes());
    }
    (node, ids)
}

fn uris(ids: &[String]) -> Vec<String> {
    ids.iter().map(|id| message_uri(id)).collect()
}

fn deferred(delivered: &[Delivered]) -> Vec<String> {
    delivered.iter().map(|message| message.deferred.clone().expect("Deferred-Message-ID")).collect()
}

#[test]
fn a_selection_comes_in_the_order_of_the_list() {
    let (node, ids) = stocked(Plan::new(), 5);
    let wanted: Vec<String> = [3, 0, 4].map(|index| ids[index].clone()).to_vec();
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::list(&bob, &uris(&wanted), Offer::active()).call(&mut bob);
    assert!(call.ok.need("Contact").to_ascii_lowercase().contains(";isfocus"), "RFC 4579 5.2: {}", call.ok);
    let delivered = call.finish(&mut bob, 3);
    assert_eq!(deferred(&delivered), wanted);
    for message in &delivered {
        assert_eq!(Cpim::parse(&message.body).body, message.deferred.as_ref().unwrap().as_bytes());
    }
    assert_eq!(fetch(&node, "bob").ids(), ["item1@h", "item2@h"]);
}

#[test]
fn any_uri_at_the_store_takes_a_list() {
    let (node, ids) = stocked(Plan::new(), 2);
    let mut bob = Ua::udp(&node, "bob");
    for uri in [
        "sip:mailserver.example.com",
        "sip:conference-factory@mailserver.example.com",
        "sip:bob@mailserver.example.com",
    ] {
        let mut invite = Invite::list(&bob, &uris(&ids), Offer::active());
        invite.request.start = format!("INVITE {uri} SIP/2.0");
        invite.request = invite.request.with("To", format!("<{uri}>"));
        let mut call = invite.call(&mut bob);
        assert_eq!(deferred(&call.finish(&mut bob, 2)), ids, "{uri}");
    }
}

// proves RFC 5363 4.1: a URI that appears twice is served once
#[test]
fn an_uri_twice_is_delivered_once() {
    let (node, ids) = stocked(Plan::new(), 2);
    let mut bob = Ua::udp(&node, "bob");
    let list = [
        message_uri(&ids[1]),
        message_uri(&ids[0]),
        message_uri(&ids[1]),
        "sip:%69tem0%40h@MAILSERVER.example.com".into(),
    ];
    let mut call = Invite::list(&bob, &list, Offer::active()).call(&mut bob);
    assert_eq!(deferred(&call.finish(&mut bob, 2)), [ids[1].clone(), ids[0].clone()]);
}

#[test]
fn unknown_ones_fail_alone() {
    let (node, ids) = stocked(Plan::new(), 1);
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit_as(&mut alice, "sip:eve@example.com", "eves@h", "text/plain", b"hers");
    let list = [
        message_uri("nobody@h"),
        message_uri("eves@h"),
        message_uri(&ids[0]),
        "sip:item0%40h@elsewhere.example".into(),
    ];
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::list(&bob, &list, Offer::active()).call(&mut bob);
    assert_eq!(deferred(&call.finish(&mut bob, 1)), ids);
    assert_eq!(fetch(&node, "eve").totals(), (1, 0));
}

#[test]
fn a_list_of_unknown_ones_is_not_found() {
    let (node, _) = stocked(Plan::new(), 1);
    let mut bob = Ua::udp(&node, "bob");
    let list = [message_uri("a@h"), message_uri("b@h")];
    assert_eq!(Invite::list(&bob, &list, Offer::active()).refused(&mut bob).status(), 404);
    let mut eve = Ua::udp(&node, "eve");
    let list = [message_uri("item0@h")];
    assert_eq!(Invite::list(&eve, &list, Offer::active()).refused(&mut eve).status(), 404);
}

#[test]
fn a_list_that_is_none_is_bad() {
    let (node, ids) = stocked(Plan::new(), 1);
    let mut bob = Ua::udp(&node, "bob");
    let good = resource_lists(&uris(&ids));
    let lists = [
        resource_lists(&[]),
        good.replace("</list>", ""),
        "not XML at all".into(),
        String::new(),
        "<?xml version=\"1.0\"?><other/>".into(),
        good.replace("uri=", "url="),
    ];
    for xml in lists {
        let mut invite = Invite::new(&bob, "sip:mailserver.example.com", Offer::active());
        invite.request = with_list(invite.request, &xml).add("Require", "recipient-list-invite");
        assert_eq!(invite.refused(&mut bob).status(), 400, "{xml}");
    }
}

#[test]
fn a_list_with_entities_of_its_own_is_not_expanded() {
    let (node, _) = stocked(Plan::new(), 1);
    let mut bob = Ua::udp(&node, "bob");
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY a \"sip:item0%40h@mailserver.example.com\">]>\
        <resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list><entry uri=\"&a;\"/></list></resource-lists>";
    let mut invite = Invite::new(&bob, "sip:mailserver.example.com", Offer::active());
    invite.request = with_list(invite.request, bomb).add("Require", "recipient-list-invite");
    assert_eq!(invite.refused(&mut bob).status(), 400);
}

#[test]
fn a_multipart_that_is_broken_is_bad() {
    let (node, ids) = stocked(Plan::new(), 1);
    let mut bob = Ua::udp(&node, "bob");
    let mut invite = Invite::list(&bob, &uris(&ids), Offer::active());
    invite.request = invite.request.with("Content-Type", "multipart/mixed;boundary=\"another\"");
    let status = invite.refused(&mut bob).status();
    assert!([400, 415, 488].contains(&status), "{status}");
    let mut invite = Invite::list(&bob, &uris(&ids), Offer::active());
    invite.request = invite.request.with("Content-Type", "multipart/mixed");
    assert_eq!(invite.refused(&mut bob).status(), 400, "no boundary");
}

#[test]
fn a_list_over_the_limit_is_too_large() {
    let (node, ids) = stocked(Plan::new().set("retrieval", "max_list = 3"), 4);
    let mut bob = Ua::udp(&node, "bob");
    assert_eq!(Invite::list(&bob, &uris(&ids), Offer::active()).refused(&mut bob).status(), 413);
    Invite::list(&bob, &uris(&ids[..3]), Offer::active()).call(&mut bob).finish(&mut bob, 3);
}

#[test]
fn a_list_is_taken_without_require() {
    let (node, ids) = stocked(Plan::new(), 2);
    let mut bob = Ua::udp(&node, "bob");
    let mut invite = Invite::list(&bob, &uris(&ids), Offer::active());
    invite.request = invite.request.without("Require");
    assert_eq!(deferred(&invite.call(&mut bob).finish(&mut bob, 2)), ids);
}

#[test]
fn lists_are_read_as_rfc_4826_writes_them() {
    let (node, ids) = stocked(Plan::new(), 3);
    let mut bob = Ua::udp(&node, "bob");
    let [a, b, c] = [0, 1, 2].map(|index| message_uri(&ids[index]));
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a comment --><rl:resource-lists \
         xmlns:rl=\"urn:ietf:params:xml:ns:resource-lists\" xmlns:cp=\"urn:ietf:params:xml:ns:copycontrol\">\
         <rl:list name=\"mine\"><rl:display-name>x &lt; y</rl:display-name>\
         <rl:entry uri='{a}' cp:copyControl=\"to\"><rl:display-name>first</rl:display-name></rl:entry>\
         <rl:list><rl:entry cp:copyControl=\"bcc\" uri=\"{b}\"></rl:entry></rl:list></rl:list>\
         <rl:list><rl:entry uri=\"{}\"/></rl:list></rl:resource-lists>",
        c.replace("%40", "&#37;40")
    );
    let mut invite = Invite::new(&bob, "sip:mailserver.example.com", Offer::active());
    invite.request = with_list(invite.request, &xml).add("Require", "recipient-list-invite");
    assert_eq!(deferred(&invite.call(&mut bob).finish(&mut bob, 3)), ids);
}

#[test]
fn the_parts_may_come_in_any_order_and_with_a_preamble() {
    let (node, ids) = stocked(Plan::new(), 1);
    let mut bob = Ua::udp(&node, "bob");
    let mut invite = Invite::new(&bob, "sip:mailserver.example.com", Offer::active());
    let sdp = String::from_utf8(invite.request.body.clone()).unwrap();
    let body = format!(
        "A preamble\r\n--b=1  \r\ncontent-disposition: Recipient-List; handling=required\r\n\
         CONTENT-TYPE: Application/Resource-Lists+XML; charset=utf-8\r\n\r\n{}\r\n--b=1\r\n\
         Content-Disposition: session\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--b=1--\r\nAn epilogue",
        resource_lists(&uris(&ids))
    );
    invite.request = invite
        .request
        .body("multipart/mixed; boundary=\"b=1\"", body)
        .add("Require", "recipient-list-invite");
    assert_eq!(deferred(&invite.call(&mut bob).finish(&mut bob, 1)), ids);
}

#[test]
fn pager_messages_and_sessions_are_listed_alike() {
    let (node, ids) = stocked(Plan::new(), 1);
    let mut joe = Ua::udp(&node, "sip:joe@example.net");
    let session = deposit_session(&mut joe, BOB, &["one", "two"]);
    let mut bob = Ua::udp(&node, "bob");
    let list = [message_uri(&session), message_uri(&ids[0])];
    let mut call = Invite::list(&bob, &list, Offer::active()).call(&mut bob);
    let delivered = call.finish(&mut bob, 3);
    let bodies = |id: &str| {
        let of = delivered.iter().filter(|message| message.deferred.as_deref() == Some(id));
        of.map(|message| Cpim::parse(&message.body).body).collect::<Vec<_>>()
    };
    assert_eq!(bodies(&session), [b"one", b"two"]);
    assert_eq!(bodies(&ids[0]), [ids[0].as_bytes()]);
    assert_eq!(fetch(&node, "bob").totals(), (0, 2));
}

#[test]
fn one_that_is_refused_does_not_hold_up_the_others() {
    let (node, ids) = stocked(Plan::new(), 3);
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::list(&bob, &uris(&ids), Offer::active()).call(&mut bob);
    let refused = ids[1].clone();
    let delivered = call.msrp().receive_with(2, |frame| {
        if frame.get("Deferred-Message-ID") == Some(&refused) { Verdict::Refuse(415) } else { Verdict::Take }
    });
    call.wait_bye(&mut bob);
    assert_eq!(deferred(&delivered), [ids[0].clone(), ids[2].clone()]);
    assert_eq!(fetch(&node, "bob").ids(), [refused]);
}

#[test]
fn one_that_cannot_be_taken_fails_alone() {
    let (node, ids) = stocked(Plan::new(), 1);
    let mut alice = Ua::udp(&node, "sip:alice@example.org");
    deposit_as(&mut alice, BOB, "image@h", "image/png", b"\x89PNG");
    let mut bob = Ua::udp(&node, "bob");
    let list = [message_uri("image@h"), message_uri(&ids[0])];
    let mut call = Invite::list(&bob, &list, Offer::active().accepts("text/plain")).call(&mut bob);
    assert_eq!(deferred(&call.finish(&mut bob, 1)), ids);
    assert_eq!(fetch(&node, "bob").ids(), ["image@h"]);
}

#[test]
fn a_bye_midway_leaves_the_rest_new() {
    let (node, ids) = stocked(Plan::new(), 5);
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::list(&bob, &uris(&ids), Offer::active()).call(&mut bob);
    let mut taken = Vec::new();
    while taken.len() < 2 {
        let frame = call.msrp().next_send();
        taken.extend(call.msrp().handle_send(frame, &mut |_| Verdict::Take));
    }
    // The answers are on the same connection as nothing else: a fetch that shows two old ones says they were read.
    until("two are old", || (fetch(&node, "bob").totals() == (3, 2)).then_some(()));
    call.bye(&mut bob);
    assert_eq!(fetch(&node, "bob").ids(), ids[2..]);
}

#[test]
fn a_long_list_comes_whole() {
    let (node, ids) = stocked(Plan::new(), 120);
    let mut bob = Ua::tcp(&node, "bob");
    let mut call = Invite::list(&bob, &uris(&ids), Offer::active()).call(&mut bob);
    let mut delivered = deferred(&call.finish(&mut bob, 120));
    delivered.sort_unstable();
    let mut expected = ids;
    expected.sort_unstable();
    assert_eq!(delivered, expected);
    assert_eq!(fetch(&node, "bob").totals(), (0, 120));
}

// More of them than are opened at once: those behind must have their turn all the same, and the call its end.
#[test]
fn a_long_list_of_what_the_client_does_not_take_comes_to_its_end() {
    let node = Node::start();
    let mut alice = Ua::tcp(&node, "sip:alice@example.org");
    let mut ids: Vec<String> = (0..60).map(|index| format!("image{index}@h")).collect();
    for id in &ids {
        deposit_as(&mut alice, BOB, id, "image/png", b"png");
    }
    let mut bob = Ua::tcp(&node, "bob");
    let offer = || Offer::active().accepts("text/plain");
    let mut call = Invite::list(&bob, &uris(&ids), offer()).call(&mut bob);
    assert_eq!(call.finish(&mut bob, 0).len(), 0);
    ids.push(deposit(&mut alice, BOB, "text"));
    let mut call = Invite::list(&bob, &uris(&ids), offer()).call(&mut bob);
    assert_eq!(call.finish(&mut bob, 1)[0].body, b"text");
    assert_eq!(fetch(&node, "bob").totals(), (60, 1));
}

#[test]
fn to_a_passive_client_the_focus_connects() {
    let (node, ids) = stocked(Plan::new(), 2);
    let mut bob = Ua::udp(&node, "bob");
    let mut call = Invite::list(&bob, &uris(&ids), Offer::passive()).call(&mut bob);
    assert_eq!(deferred(&call.finish(&mut bob, 2)), ids);
}
