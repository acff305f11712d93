//! Message summaries (RFC 3842) as a subscriber sees them.

use super::clock::fresh;
use super::node::{Node, Plan};
use super::sip::Msg;
use super::ua::{Dialog, Ua};
use std::time::Duration;

pub const TYPE: &str = "application/simple-message-summary";

/// A summary, line by line.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The body as it came.
    pub text: String,
    pub waiting: bool,
    pub account: String,
    /// `2/0 (1/0)`, where the line is there.
    pub texts: Option<String>,
    pub multimedia: Option<String>,
    /// The headers of each item.
    pub items: Vec<Vec<(String, String)>>,
}

impl Summary {
    /// Reads the body of a NOTIFY and checks its form on the way.
    pub fn of(notify: &Msg) -> Self {
        assert_eq!(notify.need("Content-Type"), TYPE);
        Self::parse(
            &String::from_utf8(notify.body.clone()).expect("a summary of what was sent as text is text"),
        )
    }

    pub fn parse(text: &str) -> Self {
        assert!(
            text.ends_with("\r\n") && !text.ends_with("\r\n\r\n"),
            "the last line ends with one CRLF: {text:?}"
        );
        let mut paragraphs = text.trim_end_matches("\r\n").split("\r\n\r\n").map(lines);
        let head = paragraphs.next().unwrap();
        assert_eq!(head[0].0, "Messages-Waiting", "{text}");
        assert_eq!(head[1].0, "Message-Account", "{text}");
        let value = |name: &str| head.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
        for (name, _) in &head[2..] {
            assert!(["Text-Message", "Multimedia-Message"].contains(&name.as_str()), "{text}");
        }
        let waiting = match head[0].1.as_str() {
            "yes" => true,
            "no" => false,
            other => panic!("Messages-Waiting: {other}"),
        };
        Self {
            waiting,
            account: head[1].1.clone(),
            texts: value("Text-Message"),
            multimedia: value("Multimedia-Message"),
            items: paragraphs.collect(),
            text: text.to_owned(),
        }
    }

    /// The Message-IDs in the order of the list.
    pub fn ids(&self) -> Vec<String> {
        self.items
            .iter()
            .map(|item| header(item, "Message-ID").expect("every item has its id").to_owned())
            .collect()
    }

    /// A header of the item with this id.
    pub fn item(&self, id: &str, name: &str) -> Option<&str> {
        let item = self.items.iter().find(|item| header(item, "Message-ID") == Some(id));
        header(item.unwrap_or_else(|| panic!("{id} is not in {}", self.text)), name)
    }

    /// New and old of all classes together.
    pub fn totals(&self) -> (u64, u64) {
        let lines = [&self.texts, &self.multimedia];
        let pairs = lines.into_iter().flatten().map(|line| {
            let (new, rest) = line.split_once('/').unwrap();
            let old = rest.split(' ').next().unwrap();
            (new.parse::<u64>().unwrap(), old.parse::<u64>().unwrap())
        });
        pairs.fold((0, 0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1))
    }
}

fn header<'a>(item: &'a [(String, String)], name: &str) -> Option<&'a str> {
    item.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

fn lines(paragraph: &str) -> Vec<(String, String)> {
    let fields = paragraph.split("\r\n").map(|line| {
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("not a header line: {line:?}"));
        (name.to_owned(), value.to_owned())
    });
    fields.collect()
}

/// A SUBSCRIBE to the message-summary package.
pub fn subscribe_request(ua: &Ua, uri: &str, expires: u32) -> Msg {
    ua.request("SUBSCRIBE", uri)
        .add("Event", "message-summary")
        .add("Accept", TYPE)
        .add("Expires", expires.to_string())
}

/// Subscribes, which must succeed; the first NOTIFY is left to be waited for.
pub fn subscribe(ua: &mut Ua, uri: &str, expires: u32) -> Dialog {
    let request = subscribe_request(ua, uri, expires);
    let response = ua.ask(request.clone());
    assert_eq!(response.status(), 200, "{response}");
    let granted: u32 = response.need("Expires").parse().unwrap();
    assert!(granted <= expires, "RFC 6665 4.2.1.1: never longer than asked");
    Dialog::opened(&request, &response)
}

/// A node that may tell every change after a tenth of a second, so that who must not be told need not wait long to know.
pub fn brisk() -> Node {
    Plan::new().set("summary", "min_interval = \"100ms\"").start()
}

/// Well above the interval of [`brisk`].
pub const QUIET: Duration = Duration::from_millis(500);

/// Waits for the next NOTIFY of a subscription, answers it 200 and checks what every NOTIFY must have.
pub fn notified(ua: &mut Ua, dialog: &Dialog) -> Msg {
    let notify = ua.wait_and_ok("NOTIFY", &dialog.call_id).msg;
    check_notify(&notify, dialog);
    notify
}

pub fn check_notify(notify: &Msg, dialog: &Dialog) {
    assert_eq!(notify.need("Event"), "message-summary");
    assert_eq!(notify.need("To"), dialog.local, "the NOTIFY goes to the subscriber's tag");
    assert_eq!(notify.need("From"), dialog.remote, "and comes from the notifier's");
    for name in ["Subscription-State", "Contact", "Max-Forwards", "Via", "CSeq"] {
        assert!(notify.get(name).is_some(), "{name} is missing: {notify}");
    }
}

/// Fetches (RFC 6665 4.4.3: Expires 0) the summary of a user as it is now.
pub fn fetch(node: &Node, user: &str) -> Summary {
    let mut ua = Ua::tcp(node, user);
    fetch_by(&mut ua)
}

pub fn fetch_by(ua: &mut Ua) -> Summary {
    let aor = ua.aor.clone();
    let dialog = subscribe(ua, &aor, 0);
    let notify = notified(ua, &dialog);
    assert_eq!(notify.need("Subscription-State"), "terminated;reason=timeout");
    Summary::of(&notify)
}

/// How an address is shown in a summary: in angle brackets and without its scheme, as the figures of RFC 3842 and of
/// the change request show it.
pub fn shown(uri: &str) -> String {
    format!("<{}>", uri.strip_prefix("sip:").unwrap_or(uri))
}

/// Deposits a text message, which must be taken; gives its Message-ID.
pub fn deposit(ua: &mut Ua, to: &str, text: &str) -> String {
    deposit_as(ua, to, &format!("{}@deposit.example.org", fresh("id")), "text/plain", text.as_bytes())
}

/// Deposits a message of any type under this Message-ID.
pub fn deposit_as(ua: &mut Ua, to: &str, id: &str, content_type: &str, body: &[u8]) -> String {
    let message = ua.request("MESSAGE", to).with("Call-ID", id).body(content_type, body);
    let response = ua.ask(message);
    assert_eq!(response.status(), 202, "{response}");
    id.to_owned()
}
