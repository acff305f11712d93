//! Dialogs: RFC 3261 12, loose and strict routing, sequence numbers, survival of a restart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::test_support::{bare, like};
use super::{Dialog, Unfit};
use crate::wire::sip::{HeaderName, Method, Request, StatusCode};

fn invite(record_routes: &[&'static str]) -> Request {
    let mut invite = bare(Method::Invite, "call", 10);
    for route in record_routes {
        invite.headers.push(HeaderName::RecordRoute, *route);
    }
    invite
}

fn routes(request: &Request) -> Vec<String> {
    let values = request.headers.values(&HeaderName::Route);
    values.map(|value| String::from_utf8(value.to_vec()).unwrap()).collect()
}

fn in_dialog(method: Method, cseq: u32) -> Request {
    let mut request = bare(method, "call", cseq);
    request.headers.set(HeaderName::To, "<sip:bob@example.com>;tag=b1");
    request
}

// proves RFC 3261 12.1.1, 12.2.1.1
#[test]
fn a_request_of_the_answerer_mirrors_the_invite() {
    let invite = invite(&["<sip:p2.example.com;lr>, <sip:p1.example.com;lr;x=1>"]);
    let mut dialog = Dialog::uas(&invite, "b1").unwrap();
    let bye = dialog.request(Method::Bye, Some("<sip:bob@192.0.2.2>"));
    assert_eq!(bye.uri, "sip:alice@192.0.2.1");
    assert_eq!(bye.headers.get(&HeaderName::From).unwrap(), "<sip:bob@example.com>;tag=b1");
    assert_eq!(bye.headers.get(&HeaderName::To).unwrap(), "<sip:alice@example.org>;tag=a1");
    assert_eq!(bye.headers.get(&HeaderName::CallId).unwrap(), "call");
    assert_eq!(bye.headers.get(&HeaderName::CSeq).unwrap(), "1 BYE");
    assert_eq!(bye.headers.get(&HeaderName::MaxForwards).unwrap(), "70");
    assert_eq!(bye.headers.get(&HeaderName::Contact).unwrap(), "<sip:bob@192.0.2.2>");
    assert_eq!(routes(&bye), ["<sip:p2.example.com;lr>", "<sip:p1.example.com;lr;x=1>"]);
    assert_eq!(dialog.next_hop(), "sip:p2.example.com;lr");
    assert_eq!(dialog.request(Method::Bye, None).headers.cseq().unwrap().number, 2);
}

// proves RFC 3261 12.1.1
#[test]
fn record_routes_are_copied_into_the_response() {
    let invite = invite(&["<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>"]);
    let mut response = invite.respond(StatusCode::OK);
    Dialog::establish(&invite, &mut response);
    let copied: Vec<_> = response.headers.all(&HeaderName::RecordRoute).collect();
    assert_eq!(copied, ["<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>"]);
}

// proves RFC 3327 5.3, 5.4: the Path is the preloaded route of who has no Record-Route
#[test]
fn a_path_is_the_route_where_none_was_recorded() {
    let path = "<sip:P3.EXAMPLEHOME.COM;lr>,<sip:P1.EXAMPLEVISITED.COM;lr>";
    let mut pathed = invite(&[]);
    pathed.headers.push(HeaderName::Path, path);
    let mut dialog = Dialog::uas(&pathed, "b1").unwrap();
    let bye = dialog.request(Method::Bye, None);
    assert_eq!(routes(&bye), ["<sip:P3.EXAMPLEHOME.COM;lr>", "<sip:P1.EXAMPLEVISITED.COM;lr>"]);
    assert_eq!(
        (bye.uri, dialog.next_hop()),
        ("sip:alice@192.0.2.1".into(), "sip:P3.EXAMPLEHOME.COM;lr".into())
    );
    let mut ok = pathed.respond(StatusCode::OK);
    Dialog::establish(&pathed, &mut ok);
    assert_eq!(ok.headers.get(&HeaderName::Path).unwrap(), path);
    let mut both = invite(&["<sip:p2.example.com;lr>"]);
    both.headers.push(HeaderName::Path, path);
    assert_eq!(Dialog::uas(&both, "b1").unwrap().route_set(), ["<sip:p2.example.com;lr>"]);
    pathed.headers.set(HeaderName::Path, "<sip:p1.example.com");
    assert_eq!(Dialog::uas(&pathed, "b1").unwrap_err().header, HeaderName::Path);
}

// proves RFC 3261 12.1.2
#[test]
fn the_asker_reverses_the_route() {
    let invite = invite(&[]);
    let mut ok = invite.respond(StatusCode::OK);
    ok.set_to_tag("b1");
    ok.headers.push(HeaderName::RecordRoute, "<sip:p2.example.com;lr>, <sip:p1.example.com;lr>");
    ok.headers.push(HeaderName::Contact, "<sip:bob@192.0.2.2:5080>");
    let mut dialog = Dialog::uac(&invite, &ok).unwrap();
    let ack = dialog.ack(10);
    assert_eq!((ack.uri.clone(), ack.headers.cseq().unwrap().number), ("sip:bob@192.0.2.2:5080".into(), 10));
    assert_eq!(routes(&ack), ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"]);
    let bye = dialog.request(Method::Bye, None);
    assert_eq!(bye.headers.get(&HeaderName::CSeq).unwrap(), "11 BYE");
    assert_eq!(bye.headers.get(&HeaderName::To).unwrap(), "<sip:bob@example.com>;tag=b1");
    let uas = Dialog::uas(&invite, "b1").unwrap();
    assert!(uas.matches(&bye));
}

// proves RFC 3261 12.2.1.1, 16.12.1.2 (strict routers)
#[test]
fn a_strict_router_gets_the_request_uri() {
    let invite = invite(&[
        "<sip:strict.example.com;transport=tcp;method=INVITE?Subject=x>",
        "<sip:p1.example.com;lr>",
    ]);
    let mut dialog = Dialog::uas(&invite, "b1").unwrap();
    let bye = dialog.request(Method::Bye, None);
    assert_eq!(bye.uri, "sip:strict.example.com;transport=tcp");
    assert_eq!(routes(&bye), ["<sip:p1.example.com;lr>", "<sip:alice@192.0.2.1>"]);
    assert!(dialog.next_hop().starts_with(b"sip:strict.example.com"));
}

// proves RFC 3261 12.2.2
#[test]
fn requests_out_of_order_are_refused_and_contacts_refresh_the_target() {
    let mut dialog = Dialog::uas(&invite(&[]), "b1").unwrap();
    assert_eq!(dialog.accept(&in_dialog(Method::Info, 9)), Err(Unfit::OutOfOrder));
    assert_eq!(dialog.accept(&in_dialog(Method::Info, 10)), Err(Unfit::OutOfOrder));
    let mut info = in_dialog(Method::Info, 40);
    info.headers.set(HeaderName::Contact, "<sip:elsewhere@192.0.2.7>");
    assert_eq!(dialog.accept(&info), Ok(()));
    assert_eq!(dialog.remote_target(), b"sip:alice@192.0.2.1", "INFO is no target refresh");
    let mut update = like(&info, Method::Update);
    update.headers.set(HeaderName::CSeq, "41 UPDATE");
    assert_eq!(dialog.accept(&update), Ok(()));
    assert_eq!(dialog.remote_target(), b"sip:elsewhere@192.0.2.7");
    assert_eq!(dialog.accept(&in_dialog(Method::Ack, 10)), Ok(()), "an ACK bears an older number");
}

// proves RFC 3261 12.2.2: of a target refresh nothing changes but the target
#[test]
fn what_is_beside_a_refreshed_target_stays_as_it_was() {
    let recorded = ["<sip:p2.example.com;lr>", "<sip:p1.example.com;lr;x=1>"];
    let mut dialog = Dialog::uas(&invite(&recorded), "b1").unwrap();
    for (cseq, target) in [(11, "sip:a-longer-name-than-before@192.0.2.77:5070"), (12, "sip:a@192.0.2.1")] {
        let mut invite = in_dialog(Method::Invite, cseq);
        invite.headers.set(HeaderName::Contact, format!("<{target}>"));
        assert_eq!(dialog.accept(&invite), Ok(()));
        let bye = dialog.request(Method::Bye, None);
        assert_eq!(bye.uri, target);
        assert_eq!(routes(&bye), recorded);
        let ids = [dialog.call_id(), dialog.local_tag(), dialog.remote_tag()];
        assert_eq!(ids, [&b"call"[..], b"b1", b"a1"]);
        let ends = [dialog.local(), dialog.remote()];
        assert_eq!(ends, [&b"<sip:bob@example.com>;tag=b1"[..], b"<sip:alice@example.org>;tag=a1"]);
    }
}

/// Thousands of dialogs wait at once.
#[test]
fn a_dialog_is_small() {
    assert!(size_of::<Dialog>() <= 88, "{}", size_of::<Dialog>());
}

// proves RFC 3261 12.2.2
#[test]
fn a_dialog_is_known_by_three_values() {
    let dialog = Dialog::uas(&invite(&[]), "b1").unwrap();
    assert!(dialog.matches(&in_dialog(Method::Bye, 11)));
    for (name, value) in [
        (HeaderName::CallId, "other"),
        (HeaderName::From, "<sip:alice@example.org>;tag=a2"),
        (HeaderName::To, "<sip:bob@example.com>;tag=b2"),
        (HeaderName::To, "<sip:bob@example.com>"),
    ] {
        let mut stray = in_dialog(Method::Bye, 11);
        stray.headers.set(name, value);
        assert!(!dialog.matches(&stray), "{value}");
    }
}

#[test]
fn without_a_contact_there_is_no_dialog() {
    let mut invite = invite(&[]);
    invite.headers.remove(&HeaderName::Contact);
    assert_eq!(Dialog::uas(&invite, "b1").unwrap_err().to_string(), "Missing Contact");
    let invite = self::invite(&["<broken"]);
    assert!(Dialog::uas(&invite, "b1").is_err());
}

/// As it has been written down since the first version, and read as the first version wrote it.
#[test]
fn a_dialog_can_be_written_down() {
    fn written<T: serde::Serialize + serde::de::DeserializeOwned>() {}
    written::<super::NotifierRecord>();
    let text = concat!(
        r#"{"call_id":"call","local_tag":"b1","remote_tag":"","local":"<sip:bob@x>;tag=b1","remote":"<sip:a@y>","#,
        r#""local_cseq":7,"remote_cseq":CSEQ,"route_set":["<sip:p2;lr>","<sip:p1;lr>"],"remote_target":"sip:a@z"}"#
    );
    for (cseq, early) in [("10", false), ("null", false), ("10", true)] {
        let text = text.replace("CSEQ", cseq);
        let numbers =
            text.replace(r#""remote_tag":"""#, r#""remote_tag":[]"#).replace(r#""call""#, "[99,97,108,108]");
        let read: Dialog = serde_json::from_str(if early { &numbers } else { &text }).unwrap();
        let parts = [read.call_id(), read.local_tag(), read.remote_tag(), read.local(), read.remote()];
        assert_eq!(parts, [&b"call"[..], b"b1", b"", b"<sip:bob@x>;tag=b1", b"<sip:a@y>"]);
        assert_eq!((read.local_cseq(), read.remote_target()), (7, &b"sip:a@z"[..]));
        assert_eq!(read.route_set(), ["<sip:p2;lr>", "<sip:p1;lr>"]);
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
    let mut dialog = Dialog::uas(&invite(&[]), "b1").unwrap();
    dialog.skip(u32::MAX);
    assert!(dialog.request(Method::Bye, None).headers.cseq().unwrap().number < 1 << 31);
}

// proves RFC 3261 19.1.1, table 1
#[test]
fn the_remote_target_has_neither_headers_nor_a_method() {
    let contact = "<sip:alice@192.0.2.1;method=INVITE;transport=tcp?Subject=x&Route=%3Csip:evil%3E>;q=1";
    let plain = "sip:alice@192.0.2.1;transport=tcp";
    let mut invite = invite(&[]);
    invite.headers.set(HeaderName::Contact, contact);
    let mut dialog = Dialog::uas(&invite, "b1").unwrap();
    assert_eq!((dialog.request(Method::Bye, None).uri, dialog.next_hop()), (plain.into(), plain.into()));
    let mut refresh = in_dialog(Method::Update, 11);
    refresh.headers.set(HeaderName::Contact, "<sip:alice@192.0.2.9?Subject=x>");
    assert_eq!(dialog.accept(&refresh), Ok(()));
    assert_eq!(dialog.remote_target(), b"sip:alice@192.0.2.9");
    let mut ok = invite.respond(StatusCode::OK);
    ok.headers.push(HeaderName::Contact, contact);
    assert_eq!(Dialog::uac(&invite, &ok).unwrap().remote_target(), plain.as_bytes());
}

// proves RFC 3261 8.1.1.8, 12.1.1, 12.2.2
#[test]
fn a_contact_is_one_sip_uri() {
    let mut dialog = Dialog::uas(&invite(&[]), "b1").unwrap();
    for (contact, problem) in [
        ("<tel:+1>", "not a SIP URI"),
        ("<mailto:alice@example.org>", "not a SIP URI"),
        ("<sip:a@192.0.2.1>, <sip:b@192.0.2.1>", "not exactly one"),
        ("*", "URI without a scheme"),
        ("", "URI without a scheme"),
    ] {
        let reason = format!("Malformed Contact: {problem}");
        let mut invite = invite(&[]);
        invite.headers.set(HeaderName::Contact, contact);
        assert_eq!(Dialog::uas(&invite, "b1").unwrap_err().to_string(), reason);
        let mut refresh = in_dialog(Method::Subscribe, 11);
        refresh.headers.set(HeaderName::Contact, contact);
        let refused = dialog.accept(&refresh).unwrap_err().response(&refresh);
        assert_eq!((refused.status, refused.reason), (StatusCode::BAD_REQUEST, reason.into()), "{contact}");
        let mut info = in_dialog(Method::Info, 11);
        info.headers.set(HeaderName::Contact, contact);
        assert_eq!(dialog.clone().accept(&info), Ok(()), "it is no matter where no target is refreshed");
    }
    assert_eq!(dialog.remote_target(), b"sip:alice@192.0.2.1");
    let mut twice = invite(&[]);
    twice.headers.push(HeaderName::Contact, "<sip:alice@192.0.2.1>");
    assert!(Dialog::uas(&twice, "b1").is_err(), "in two header fields neither");
}
