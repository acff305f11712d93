//! The message summary of a mailbox (RFC 3842): counts, and the headers of items.

use bytes::Bytes;

use super::NOTIFY_BODY;
use super::realm::Realm;
use crate::store::{Counts, ItemHead, Owner, Tally};
use crate::wire::line::beginning;
use crate::wire::message_summary::{self, ItemHeaders, Summary};

/// Which items a NOTIFY lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// The first NOTIFY of a subscription lists every new item, later ones what was added since.
    Pending,
    /// Only what was added since the last NOTIFY (RFC 3842 3.5, to the letter).
    Added,
    /// No item headers, only counts.
    None,
}

/// How summaries are written.
#[derive(Clone, Debug)]
pub struct SummaryRules {
    /// Which items are listed.
    pub listing: Listing,
    /// Which headers of an item are shown, of `To From Subject Date Priority Message-ID`.
    pub fields: Vec<String>,
    /// The most items in one NOTIFY.
    pub max_items: usize,
}

/// The most that is shown of a header field: a sender may have sent it as long as a message may be.
const LONGEST_FIELD: usize = 1024;

/// A summary as one NOTIFY tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The body.
    pub body: Bytes,
    /// How many of the items it lists: the first ones.
    pub listed: usize,
}

/// Writes the summary of `owner`'s mailbox with the headers of `items`: of as many as one NOTIFY holds, and of one at
/// least.
#[must_use]
pub fn summary(
    realm: &Realm,
    rules: &SummaryRules,
    owner: &Owner,
    counts: &Counts,
    items: &[ItemHead],
) -> Described {
    let (mut shown, mut written) = (Vec::new(), 0);
    for item in items {
        let headers = headers(rules, item);
        written += headers.written();
        if written > NOTIFY_BODY && !shown.is_empty() {
            break;
        }
        shown.push(headers);
    }
    let listed = shown.len();
    let body = Summary {
        account: realm.message_account(owner),
        text: tally(counts.text),
        multimedia: tally(counts.multimedia),
        items: shown,
    }
    .encode();
    Described { body, listed }
}

const fn tally(tally: Tally) -> message_summary::Counts {
    message_summary::Counts {
        new: tally.new,
        old: tally.old,
        urgent_new: tally.urgent_new,
        urgent_old: tally.urgent_old,
    }
}

fn headers(rules: &SummaryRules, item: &ItemHead) -> ItemHeaders {
    let envelope = &item.envelope;
    let mut headers = ItemHeaders::default();
    for field in message_summary::FIELDS {
        if !rules.fields.iter().any(|shown| shown.eq_ignore_ascii_case(field)) {
            continue;
        }
        let value = match field {
            "To" => party(&envelope.to),
            "From" => party(&envelope.from),
            "Subject" => envelope.subject.as_ref().map(cut),
            "Date" => whole(envelope.date.clone()),
            // RFC 3261 20.26: a request without Priority is of normal priority.
            "Priority" => whole(envelope.priority.clone().unwrap_or(Bytes::from_static(b"normal"))),
            // By it the item is retrieved, so all of it is told.
            _ => Some(item.message_id.bytes().clone()),
        };
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            headers.push(field, value);
        }
    }
    headers
}

/// What says nothing in part is left out where it is too long.
fn whole(value: Bytes) -> Option<Bytes> {
    Some(value).filter(|value| value.len() <= LONGEST_FIELD)
}

fn cut(value: &Bytes) -> Bytes {
    beginning(value, LONGEST_FIELD)
}

/// The party as the figure of OMA SIMPLE IM 7.3.3 shows it, `<alice@example.org>`: an optional
/// display name and the address; neither scheme nor dialog parameters. Too long a name is left out, and a party whose
/// address is too long.
fn party(value: &Bytes) -> Option<Bytes> {
    let Some(party) = crate::wire::cpim::Party::from_sip(value) else { return whole(value.clone()) };
    let address = party.uri.strip_prefix("sip:").unwrap_or(&party.uri);
    let alone = format!("<{address}>");
    let named = party
        .display
        .filter(|display| !display.is_empty())
        .map(|display| format!("\"{}\" {alone}", display.replace('\\', "\\\\").replace('"', "\\\"")));
    let fits = |text: &String| text.len() <= LONGEST_FIELD;
    named.filter(fits).or(Some(alone)).filter(fits).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use crate::store::{Envelope, ItemKind, ItemState, MessageId};
    use crate::time::Timestamp;

    fn item(message_id: impl Into<Bytes>) -> ItemHead {
        ItemHead {
            message_id: MessageId::new(message_id),
            kind: ItemKind::Pager,
            state: ItemState::New,
            sequence: 1,
            arrived: Timestamp(0),
            ends: Timestamp(1),
            envelope: Envelope {
                from: Bytes::from_static(b"<sip:alice@example.org>;tag=9"),
                to: Bytes::from_static(b"<sip:charlie@example.com>"),
                subject: Some(Bytes::from_static(b"carpool tomorrow?")),
                date: Bytes::from_static(b"Sun, 09 Jul 2000 21:23:01 -0700"),
                text: true,
                ..Envelope::default()
            },
            messages: 1,
            bytes: 1,
        }
    }

    fn described(items: &[ItemHead]) -> Described {
        let rules = SummaryRules {
            listing: Listing::Pending,
            fields: message_summary::FIELDS.map(str::to_owned).into(),
            max_items: 10,
        };
        let realm = Realm::new(&["example.com".into()], "mailserver.example.com", None);
        let counts =
            Counts { text: Tally { new: 2, urgent_new: 1, ..Tally::default() }, ..Counts::default() };
        summary(&realm, &rules, &Owner::new(b"charlie", "example.com"), &counts, items)
    }

    #[test]
    fn the_figure_of_the_change_request_is_written() {
        let described = described(&[item("32098d@alicepc.example.org")]);
        assert_eq!(described.listed, 1);
        assert_eq!(
            String::from_utf8_lossy(&described.body),
            "Messages-Waiting: yes\r\nMessage-Account: sip:charlie@mailserver.example.com\r\n\
             Text-Message: 2/0 (1/0)\r\n\r\nTo: <charlie@example.com>\r\nFrom: <alice@example.org>\r\n\
             Subject: carpool tomorrow?\r\nDate: Sun, 09 Jul 2000 21:23:01 -0700\r\nPriority: normal\r\n\
             Message-ID: 32098d@alicepc.example.org\r\n"
        );
    }

    #[test]
    fn what_is_too_long_is_cut_or_left_out() {
        let long = |text: &str| Bytes::from(text.repeat(LONGEST_FIELD + 1));
        let mut item = item(long("i"));
        let envelope = &mut item.envelope;
        envelope.subject = Some(Bytes::from(format!("x{}", "\u{20ac}".repeat(500))));
        envelope.from = Bytes::from(format!("\"{}\" <sip:alice@example.org>", "A".repeat(LONGEST_FIELD)));
        envelope.to = Bytes::from(format!("<sip:{}@example.com>", "b".repeat(LONGEST_FIELD)));
        envelope.date = long("d");
        envelope.priority = Some(long("p"));
        let told = Summary::parse(&described(&[item.clone()]).body).unwrap();
        let [shown] = &told.items[..] else { panic!("one item") };
        assert_eq!(*shown.value("Subject").unwrap(), format!("x{}", "\u{20ac}".repeat(341)));
        assert_eq!(*shown.value("From").unwrap(), "<alice@example.org>");
        assert_eq!(*shown.value("Message-ID").unwrap(), long("i"), "it is always whole");
        assert_eq!(["To", "Date", "Priority"].map(|name| shown.value(name)), [None; 3]);
        assert_eq!(cut(&Bytes::from(vec![0x80; 2000])).len(), LONGEST_FIELD, "what is no UTF-8 is cut, too");
        assert_eq!(cut(&Bytes::from_static(b"short")), "short");
    }

    #[test]
    fn a_notify_lists_what_it_holds_and_one_item_at_least() {
        let long = |bytes: usize| item("i".repeat(bytes));
        let all = vec![long(8000); 20];
        let first = described(&all);
        assert_eq!(first.listed, 6);
        assert!((40_000..NOTIFY_BODY + 1024).contains(&first.body.len()), "{}", first.body.len());
        assert_eq!(described(&all[..3]).listed, 3);
        assert_eq!(described(&[long(2 * NOTIFY_BODY), long(1)]).listed, 1);
    }
}
