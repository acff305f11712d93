//! Who is not trusted is challenged, and let in with the right password alone (RFC 3261 22, RFC 7616, RFC 8760).

use crate::support::*;
use std::time::Duration;

const BOB: &str = "sip:bob@example.com";

/// A node that trusts nobody here; alice and bob have the passwords `wonderland` and `builder`.
fn strict() -> Plan {
    Plan::new()
        .set("trust", "peers = [\"192.0.2.0/24\"]")
        .users(&[("alice@example.com", "wonderland"), ("bob@example.com", "builder")])
}

fn alice(ua: &mut Ua, method: &str, uri: &str) -> (Msg, Challenge) {
    let request = ua.request(method, uri);
    let request = match method {
        "MESSAGE" => request.body("text/plain", "hello"),
        _ => request,
    };
    let challenge = Challenge::all(&ua.ask(request.clone())).remove(0);
    (request, challenge)
}

/// Sends a MESSAGE of alice's with these credentials; the status of the answer.
fn tried(ua: &mut Ua, request: &Msg, authorization: &str) -> Msg {
    let request = authorized(request, &ua.via(), authorization);
    ua.ask(request)
}

// proves RFC 3261 22.1, 22.2, RFC 8760 2.3
#[test]
fn a_stranger_is_challenged_whatever_he_asserts() {
    let node = strict().start();
    for mut ua in [Ua::udp(&node, "bob"), Ua::tcp(&node, "bob")] {
        for method in ["MESSAGE", "SUBSCRIBE", "INVITE", "OPTIONS"] {
            let request = ua.request(method, BOB).add("P-Asserted-Identity", "<sip:bob@example.com>");
            let size = request.encode().len();
            let response = ua.ask(request);
            let challenges = Challenge::all(&response);
            let algorithms: Vec<_> = challenges.iter().map(|one| one.algorithm.as_str()).collect();
            assert_eq!(algorithms, ["SHA-256", "MD5"], "{response}");
            assert!(challenges.iter().all(|one| one.realm == "example.com" && !one.stale));
            assert_ne!(challenges[0].nonce, challenges[1].nonce);
            assert!(response.encode().len() < size + 320, "no amplifier: {size} {response}");
        }
    }
    let mut ua = Ua::udp(&node, "bob");
    let invite = ua.request("INVITE", BOB);
    ua.send(&invite);
    ua.wait("the challenge", |message| message.answers(&invite));
    ua.quiet(Duration::from_millis(1200), |message| message.answers(&invite));
}

// proves RFC 7616 3.4.1: by either algorithm, by either name
#[test]
fn the_right_password_opens() {
    let node = strict().start();
    let mut ua = Ua::udp(&node, "alice");
    for (name, index) in [("alice", 0), ("alice@example.com", 0), ("alice", 1), ("alice@example.com", 1)] {
        let request = ua.request("MESSAGE", BOB).body("text/plain", "hello");
        let challenge = Challenge::all(&ua.ask(request.clone())).remove(index);
        let answer = challenge.answer(name, "wonderland", "MESSAGE", BOB);
        assert_eq!(tried(&mut ua, &request, &answer.value()).status(), 202, "{name} {index}");
    }
    let mut bob = Ua::tcp(&node, "bob").with_login("bob", "builder");
    assert_eq!(fetch_by(&mut bob).ids().len(), 4);
    assert_eq!(Ua::udp(&node, "bob").with_login("bob", "wonderland").ask_options().status(), 401);
}

#[test]
fn old_clients_are_offered_md5_alone() {
    let node = strict().set("auth", "algorithms = [\"MD5\"]").start();
    let mut ua = Ua::udp(&node, "alice");
    let request = ua.request("MESSAGE", BOB).body("text/plain", "hello");
    let challenges = Challenge::all(&ua.ask(request.clone()));
    let [challenge] = &challenges[..] else { panic!("one challenge: {challenges:?}") };
    assert_eq!(challenge.algorithm, "MD5");
    let better = Challenge { algorithm: "SHA-256".into(), ..challenge.clone() };
    let answer = better.answer("alice", "wonderland", "MESSAGE", BOB);
    assert_eq!(tried(&mut ua, &request, &answer.value()).status(), 401, "what is not offered is not taken");
    let answer = challenge.answer("alice", "wonderland", "MESSAGE", BOB);
    assert_eq!(tried(&mut ua, &request, &answer.value()).status(), 202);
}

#[test]
fn everything_works_for_who_has_proved_himself() {
    let node = strict().start();
    let mut sender = Ua::tcp(&node, "alice").with_login("alice", "wonderland");
    for mut bob in [Ua::udp(&node, "bob"), Ua::tcp(&node, "bob")] {
        let id = deposit(&mut sender, BOB, "hello");
        bob.login = Some(("bob".into(), "builder".into()));
        let dialog = subscribe(&mut bob, BOB, 3600);
        assert_eq!(Summary::of(&notified(&mut bob, &dialog)).ids(), std::slice::from_ref(&id));
        let delivered = retrieve(&mut bob, &message_uri(&id), 1);
        assert_eq!(delivered.len(), 1);
    }
    let mut sender = Ua::udp(&node, "alice").with_login("alice", "wonderland");
    let stranger = deposit_session(&mut sender, BOB, &["one", "two"]);
    let mut bob = Ua::tcp(&node, "bob").with_login("bob", "builder");
    assert!(fetch_by(&mut bob).ids().contains(&stranger));
}

// proves RFC 7616 3.4, 3.4.6, RFC 3261 22.1
#[test]
fn what_is_wrong_is_refused_and_stores_nothing() {
    let node = strict().start();
    let mut ua = Ua::udp(&node, "alice");
    let (request, challenge) = alice(&mut ua, "MESSAGE", BOB);
    let good = challenge.answer("alice", "wonderland", "MESSAGE", BOB);
    let mut answers = Vec::new();
    let mut case = |what: &str, statuses: &[u16], value: String| {
        answers.push((what.to_owned(), statuses.to_vec(), value));
    };
    let with = |change: fn(&mut digest::Answer)| {
        let mut answer = good.clone();
        change(&mut answer);
        answer.value()
    };
    case("password", &[401], challenge.answer("alice", "x", "MESSAGE", BOB).value());
    case("unknown user", &[401], challenge.answer("eve", "wonderland", "MESSAGE", BOB).value());
    case("somebody else", &[403], challenge.answer("bob", "builder", "MESSAGE", BOB).value());
    case("realm", &[401], with(|answer| answer.realm = "other.example".into()));
    case("method", &[401], with(|answer| answer.method = "INVITE".into()));
    case("uri", &[400], with(|answer| answer.uri = "sip:carol@example.com".into()));
    case("downgrade", &[401], with(|answer| answer.algorithm = "MD5".into()));
    case("qop", &[400], with(|answer| answer.qop = "auth-int".into()));
    case("nc of zero", &[400], with(|answer| answer.nc = 0));
    case("nonce", &[401], with(|answer| answer.nonce = "A".repeat(32)));
    for (what, from, to) in [
        ("no username", "username=\"alice\", ", ""),
        ("no quotes", "username=\"alice\"", "username=alice"),
        ("open quote", "username=\"alice\"", "username=\"alice"),
        ("username*", "username=\"alice\"", "username*=UTF-8''alice"),
        ("userhash", ", qop=auth", ", qop=auth, userhash=true"),
        ("no qop", ", qop=auth", ""),
        ("no cnonce", ", cnonce=\"0a4f113b\"", ""),
        ("no nc", ", nc=00000001", ""),
        ("short nc", "nc=00000001", "nc=1"),
        ("twice", "Digest ", "Digest realm=\"example.com\", "),
        ("empty", "Digest ", "Digest\t,"),
    ] {
        let value = good.value().replacen(from, to, 1);
        assert_ne!(value, good.value(), "{what}");
        case(what, &[400], value);
    }
    case("Basic", &[401], "Basic YWxpY2U6d29uZGVybGFuZA==".into());
    for algorithm in ["SHA-256-sess", "SHA-512-256", "SHA-1"] {
        let value = good.value().replace("algorithm=SHA-256", &format!("algorithm={algorithm}"));
        case(algorithm, &[401], value);
    }
    for (what, statuses, value) in answers {
        let response = tried(&mut ua, &request, &value);
        assert!(statuses.contains(&response.status()), "{what}: {value}\n{response}");
        if response.status() == 401 {
            assert_eq!(Challenge::all(&response).len(), 2, "{what}");
        }
    }
    assert_eq!(fetch_by(&mut Ua::tcp(&node, "bob").with_login("bob", "builder")).ids().len(), 0);
    let second = with(|answer| answer.nc = 2);
    assert_eq!(tried(&mut ua, &request, &second).status(), 202);
}

// proves RFC 7616 3.4, 5.5: each nonce count once
#[test]
fn a_replay_is_caught_and_a_retransmission_is_none() {
    let node = strict().set("auth", "max_failures = 1").start();
    let mut ua = Ua::udp(&node, "alice");
    let (request, challenge) = alice(&mut ua, "MESSAGE", BOB);
    let answer = challenge.answer("alice", "wonderland", "MESSAGE", BOB);
    let first = authorized(&request, &ua.via(), &answer.value());
    assert_eq!(ua.ask(first.clone()).status(), 202);
    assert_eq!(ua.ask(first.clone()).status(), 202, "the same transaction again");
    let replayed = first.clone().with("Via", ua.via());
    let response = ua.ask(replayed.clone());
    assert!(Challenge::all(&response).iter().all(|one| one.stale), "{response}");
    let mut eve = Ua::tcp(&node, "alice");
    assert_eq!(eve.ask(replayed.with("Via", eve.via())).status(), 401);
    // The next count of the same nonce is good, and a late one too: nobody was refused for what was overheard.
    for nc in [3, 2] {
        let mut answer = answer.clone();
        answer.nc = nc;
        let next = ua.request("MESSAGE", BOB).body("text/plain", "more");
        assert_eq!(tried(&mut ua, &next, &answer.value()).status(), 202, "{nc}");
    }
    node.wait_log("used answer repeated: challenged anew peer=127.0.0.1");
    assert!(!node.log().contains("auth failed"), "nobody is to be banned for it");
}

// proves RFC 7616 3.3: stale
#[test]
fn an_old_nonce_is_stale() {
    let node = strict().set("auth", "nonce_lifetime = \"1ms\"").start();
    let mut ua = Ua::udp(&node, "alice");
    let (request, challenge) = alice(&mut ua, "MESSAGE", BOB);
    let mut good = challenge.answer("alice", "wonderland", "MESSAGE", BOB);
    let response = until("a millisecond is over", || {
        let response = tried(&mut ua, &request, &good.value());
        good.nc += 1;
        (response.status() != 202).then_some(response)
    });
    assert!(Challenge::all(&response).iter().all(|one| one.stale), "{response}");
    let bad = challenge.answer("alice", "guess", "MESSAGE", BOB);
    let response = tried(&mut ua, &request, &bad.value());
    assert!(Challenge::all(&response).iter().all(|one| !one.stale), "{response}");
}

// proves RFC 3261 22.1: a dialog goes on for who made it, and for nobody who overhears it
#[test]
fn a_dialog_is_its_partys_alone() {
    let node = strict().start();
    let mut bob = Ua::udp(&node, "bob").with_login("bob", "builder");
    let mut dialog = subscribe(&mut bob, BOB, 3600);
    notified(&mut bob, &dialog);
    // The same address: no credentials needed.
    bob.login = None;
    let refresh = dialog.request(&bob, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "1800");
    assert_eq!(bob.ask(refresh).status(), 200);
    notified(&mut bob, &dialog);

    // Another one, who knows the tags.
    let mut eve = Ua::udp(&node, "bob");
    let end = |dialog: &mut Dialog, ua: &Ua| {
        dialog.request(ua, "SUBSCRIBE").add("Event", "message-summary").add("Expires", "0")
    };
    let forged = end(&mut dialog, &eve);
    assert_eq!(Challenge::all(&eve.ask(forged)).len(), 2);
    let mut alice = Ua::udp(&node, "bob").with_login("alice", "wonderland");
    let forged = end(&mut dialog, &alice);
    assert_eq!(alice.ask(forged).status(), 403);
    // Bob from elsewhere, with his password.
    let mut elsewhere = Ua::tcp(&node, "bob").with_login("bob", "builder");
    let moved = end(&mut dialog, &elsewhere);
    assert_eq!(elsewhere.ask(moved).status(), 200);
}

// proves RFC 3261 12.2.2, 22.1: where the party is now is said by itself alone, and by what is accepted
#[test]
fn a_call_moves_with_its_party_alone() {
    let node = strict().start();
    let mut bob = Ua::tcp(&node, "bob").with_login("bob", "builder");
    for moves in [false, true] {
        deposit(&mut bob, BOB, "one");
        let mut call = Invite::new(&bob, BOB, Offer::active()).call(&mut bob);
        let (offer, local, here) = (call.offer.clone(), call.local.clone(), bob.here);
        let again = |call: &mut Call, ua: &Ua| {
            call.dialog.request(ua, "INVITE").body("application/sdp", offer.sdp(here, &local))
        };
        // Somebody who knows the tags, and another user.
        let mut eve = Ua::tcp(&node, "bob");
        let forged = again(&mut call, &eve);
        assert_eq!(Challenge::all(&eve.ask(forged)).len(), 2);
        let mut alice = Ua::tcp(&node, "bob").with_login("alice", "wonderland");
        let forged = again(&mut call, &alice);
        assert_eq!(alice.ask(forged).status(), 403);
        // Bob from elsewhere, with his password.
        let mut elsewhere = Ua::tcp(&node, "bob").with_login("bob", "builder");
        let request = again(&mut call, &elsewhere);
        let request =
            if moves { request } else { request.without("Content-Type").add("Content-Type", "a/b") };
        let response = elsewhere.ask(request);
        assert_eq!(response.status(), if moves { 200 } else { 415 }, "{response}");
        if moves {
            call.dialog.cseq = response.need("CSeq").split(' ').next().unwrap().parse().unwrap();
            elsewhere.send(&call.dialog.ack(&elsewhere));
        }
        call.finish(if moves { &mut elsewhere } else { &mut bob }, 1);
    }
}

// proves RFC 3261 12, 13.2.2.4, 22.1: an ACK is not challenged; its answer is taken of the dialog's party alone
#[test]
fn an_answer_in_an_ack_is_its_partys_alone() {
    let node = strict().set("node", "workers = 1").start();
    let mut bob = Ua::udp(&node, "bob").with_login("bob", "builder");
    let id = deposit(&mut bob, BOB, "for bob alone");
    let uri = message_uri(&id);
    for elsewhere in [false, true] {
        let invite = Invite::new(&bob, &uri, Offer::passive());
        let mut request = invite.request.clone().without("Content-Type");
        request.body.clear();
        bob.send(&request);
        let challenge = Challenge::all(&bob.answer_to(&request)).remove(0);
        let credentials = challenge.answer("bob", "builder", "INVITE", &uri).value();
        let request = authorized(&request, &bob.via(), &credentials);
        let response = bob.ask(request.clone());
        let dialog = Dialog::opened(&request, &response);
        let answer =
            |ack: Msg, to: &Invite| ack.body("application/sdp", Offer::passive().sdp(to.here(), &to.local));
        // Somebody who knows all that passed but the password, and his ACK with an answer of his own.
        let mut eve = Ua::tcp(&node, "bob");
        let hers = Invite::new(&eve, &uri, Offer::passive());
        let wrong = challenge.answer("bob", "guess", "INVITE", &uri).value();
        for forged in [
            dialog.ack(&bob).with("Call-ID", "another"),
            dialog.ack(&bob).with("From", "<sip:bob@example.com>;tag=another"),
        ] {
            bob.send(&answer(forged, &hers));
        }
        for forged in [dialog.ack(&eve), dialog.ack(&eve).add("Authorization", &wrong)] {
            eve.send(&answer(forged, &hers));
        }
        eve.barrier();
        bob.barrier();
        // Bob's own: as his INVITE came, or by another connection with its credentials.
        let bobs = answer(dialog.ack(&bob), &invite);
        if elsewhere {
            Ua::tcp(&node, "bob").send(&bobs.add("Authorization", &credentials));
        } else {
            bob.send(&bobs);
        }
        let offer = Answer::parse(&response.body);
        let mut msrp = Msrp::accept(&invite.listener, &invite.local, &offer.path);
        assert_eq!(msrp.receive(1)[0].deferred, Some(id.clone()));
        bob.wait_and_ok("BYE", &dialog.call_id);
    }
}

#[test]
fn without_users_nobody_gets_in() {
    let node = Plan::new().set("trust", "peers = []").start();
    let mut ua = Ua::udp(&node, "alice").with_login("alice", "");
    assert_eq!(ua.ask_options().status(), 401);
}
