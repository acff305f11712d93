//! Many subscribers to message summaries behind one connection: subscribes, answers what they are told.

use super::sip::{Message, Sip};
use crate::fresh;
use std::fmt::Write as _;
use std::io::Write as _;

/// As many SUBSCRIBEs as wait for an answer at once.
const AT_ONCE: usize = 64;

/// Subscribes `count` users from number `first` on, and takes each one's first NOTIFY.
pub fn subscribe(sip: &mut Sip, first: usize, count: usize) {
    let users: Vec<usize> = (first..first + count).collect();
    for some in users.chunks(AT_ONCE) {
        let mut text = String::new();
        for user in some {
            let (uri, tag, call) = (format!("sip:user{user:06}@example.com"), fresh("w"), fresh("sub"));
            let from = format!("<{uri}>;tag={tag}");
            let more = format!(
                "Contact: <sip:user{user:06}@{};transport=tcp>\r\nEvent: message-summary\r\nExpires: 3600\r\n\
                 Accept: application/simple-message-summary\r\n",
                sip.here
            );
            text.push_str(&sip.request("SUBSCRIBE", &uri, [&from, &format!("<{uri}>"), &call], &more, ""));
        }
        sip.stream.write_all(text.as_bytes()).unwrap();
        let (mut accepted, mut told) = (0, 0);
        while accepted < some.len() || told < some.len() {
            let message = sip.next();
            if message.head.starts_with("NOTIFY ") {
                answer(sip, &message);
                told += 1;
            } else {
                assert!(message.head.starts_with("SIP/2.0 200"), "{}", message.head);
                accepted += 1;
            }
        }
    }
}

/// Answers a NOTIFY with 200.
pub fn answer(sip: &mut Sip, notify: &Message) {
    let mut text = String::from("SIP/2.0 200 OK\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        write!(text, "{name}: {}\r\n", notify.header(name)).unwrap();
    }
    text.push_str("Content-Length: 0\r\n\r\n");
    sip.stream.write_all(text.as_bytes()).unwrap();
}
