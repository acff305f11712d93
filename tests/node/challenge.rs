//! Who is not believed answers a digest challenge (RFC 3261 22, RFC 7616).

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
