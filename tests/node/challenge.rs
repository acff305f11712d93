//! Who is not believed is refused, whatever he asserts of himself.

use crate::support::*;

const BOB: &str = "sip:bob@example.com";

#[test]
fn a_stranger_is_refused() {
    let node = Plan::new().set("trust", "peers = [\"192.0.2.0/24\"]").start();
    let mut ua = Ua::udp(&node, "bob");
    for method in ["MESSAGE", "SUBSCRIBE", "INVITE", "OPTIONS"] {
        let request = ua.request(method, BOB).add("P-Asserted-Identity", "<sip:bob@example.com>");
        let response = ua.ask(request);
        assert_eq!(response.status(), 403, "{method}: {response}");
    }
}
