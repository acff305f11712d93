//! Who is not believed answers a digest challenge (RFC 3261 22, RFC 7616).

use crate::support::digest::md5;
use crate::support::*;

const BOB: &str = "sip:bob@example.com";

fn distrustful() -> Node {
    Plan::new()
        .set("trust", "peers = [\"192.0.2.0/24\"]")
        .set("trust", "realm = \"restante.example\"")
        .start()
}

#[test]
fn a_stranger_is_challenged() {
    let node = distrustful();
    let mut ua = Ua::udp(&node, "bob");
    for method in ["MESSAGE", "SUBSCRIBE", "INVITE"] {
        let request = ua.request(method, BOB).add("P-Asserted-Identity", "<sip:bob@example.com>");
        let response = ua.ask(request);
        assert_eq!(response.status(), 401, "{method}: {response}");
        let challenge = response.need("WWW-Authenticate");
        assert!(challenge.starts_with("Digest "), "{challenge}");
        assert!(challenge.contains("realm=\"restante.example\""), "{challenge}");
        assert!(challenge.contains("nonce=\""), "{challenge}");
    }
}

#[test]
fn a_wrong_answer_is_challenged_again() {
    let node = distrustful();
    let mut ua = Ua::udp(&node, "bob");
    let answers = [
        "Digest username=\"bob\", realm=\"restante.example\", nonce=\"made-up\", uri=\"sip:bob@example.com\", \
         response=\"00000000000000000000000000000000\"",
        "Digest",
        "Basic Ym9iOmJvYg==",
        "Digest username=\"bob",
    ];
    for answer in answers {
        let request = ua.request("MESSAGE", BOB).add("Authorization", answer).body("text/plain", "x");
        let status = ua.ask(request).status();
        assert!([400, 401, 403].contains(&status), "{answer}: {status}");
    }
}

/// A node that knows Bob, whose password is `secret`, and Eve, whose password is `evil`.
fn knowing() -> (tempfile::TempDir, Node) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.htdigest");
    let line = |user: &str, password: &str| {
        format!("{user}:example.com:{}\n", md5(format!("{user}:example.com:{password}").as_bytes()))
    };
    std::fs::write(&file, line("bob", "secret") + &line("eve", "evil")).unwrap();
    let plan = Plan::new()
        .set("trust", "peers = [\"192.0.2.0/24\"]")
        .set("trust", "realm = \"example.com\"")
        .set("trust", &format!("credentials = \"{}\"", file.display()));
    (folder, plan.start())
}

/// A parameter of a challenge.
fn told(challenge: &str, name: &str) -> Option<String> {
    let begin = challenge.find(&format!("{name}="))? + name.len() + 1;
    let rest = &challenge[begin..];
    let value = rest
        .strip_prefix('"')
        .map_or_else(|| rest.split([',', ' ']).next(), |quoted| quoted.split('"').next());
    value.map(str::to_owned)
}

/// Sends a request, answers the challenge, and gives the final response.
fn ask_as(ua: &mut Ua, request: Msg, user: &str, password: &str) -> Msg {
    let refused = ua.ask(request.clone());
    assert_eq!(refused.status(), 401, "{refused}");
    let challenges = refused.all("WWW-Authenticate");
    let md5_one = |challenge: &&String| {
        told(challenge, "algorithm").is_none_or(|name| name.eq_ignore_ascii_case("MD5"))
    };
    let challenge = challenges.iter().find(md5_one).expect("a challenge of MD5");
    let (realm, nonce) = (told(challenge, "realm").unwrap(), told(challenge, "nonce").unwrap());
    let (method, uri) = (request.method(), request.uri().to_owned());
    let secret = md5(format!("{user}:{realm}:{password}").as_bytes());
    let what = md5(format!("{method}:{uri}").as_bytes());
    let (response, qop) = if told(challenge, "qop").is_some() {
        let response = md5(format!("{secret}:{nonce}:00000001:0a4f113b:auth:{what}").as_bytes());
        (response, ", qop=auth, nc=00000001, cnonce=\"0a4f113b\"")
    } else {
        (md5(format!("{secret}:{nonce}:{what}").as_bytes()), "")
    };
    let opaque = told(challenge, "opaque").map(|opaque| format!(", opaque=\"{opaque}\"")).unwrap_or_default();
    let answer = format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", \
         algorithm=MD5{qop}{opaque}"
    );
    let number: u32 = request.need("CSeq").split(' ').next().unwrap().parse().unwrap();
    let again = request.with("Via", ua.via()).with("CSeq", format!("{} {method}", number + 1));
    ua.ask(again.add("Authorization", answer))
}

#[test]
fn who_answers_the_challenge_is_served() {
    let (_folder, node) = knowing();
    let mut bob = Ua::udp(&node, "bob");
    let message = bob.request("MESSAGE", BOB).body("text/plain", "to myself");
    assert_eq!(ask_as(&mut bob, message, "bob", "secret").status(), 202);
    let subscribe = subscribe_request(&bob, BOB, 0);
    let response = ask_as(&mut bob, subscribe, "bob", "secret");
    assert_eq!(response.status(), 200, "{response}");
    let notify = bob.wait_and_ok("NOTIFY", &response.call_id()).msg;
    assert_eq!(Summary::of(&notify).totals(), (1, 0));
}

#[test]
fn who_answers_as_another_is_not_served() {
    let (_folder, node) = knowing();
    let mut eve = Ua::udp(&node, "bob");
    for (user, password) in [("bob", "guess"), ("nobody", "secret"), ("eve", "evil")] {
        let subscribe = subscribe_request(&eve, BOB, 0).add("P-Asserted-Identity", "<sip:bob@example.com>");
        let status = ask_as(&mut eve, subscribe, user, password).status();
        assert!([401, 403].contains(&status), "{user}: {status}");
    }
}
