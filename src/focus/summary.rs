//! The message summary of a mailbox (RFC 3842): counts, and the headers of items.

use std::borrow::Cow;

use bytes::Bytes;

use super::realm::Realm;
use crate::store::{Counts, ItemHead, Owner, Tally};
use crate::wire::line::{beginning, printable};
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
    /// The most bytes in the body of one NOTIFY.
    pub max_body: usize,
}

/// The most that is shown of a header field: a sender may have sent it as long as a message may be.
const LONGEST_FIELD: usize = 1024;
/// It is at most this part of a NOTIFY's body: one holds the fields of an item, whatever its sender has written.
const FIELDS_IN_A_BODY: usize = 8;

/// A summary as one NOTIFY tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The body.
    pub body: Bytes,
    /// How many of the items it tells of: the first ones.
    pub listed: usize,
}

/// Writes the summary of `owner`'s mailbox with the headers of `items`: of as many as one NOTIFY holds. An item whose Message-ID
/// is too long for any is counted alone: a NOTIFY that does not arrive would tell of none.
#[must_use]
pub fn summary(
    realm: &Realm,
    rules: &SummaryRules,
    owner: &Owner,
    counts: &Counts,
    items: &[ItemHead],
) -> Described {
    let mut summary = Summary {
        account: realm.message_account(owner),
        text: tally(counts.text),
        multimedia: tally(counts.multimedia),
        items: Vec::new(),
    };
    let most = rules.max_body.saturating_sub(summary.encode().len());
    let (mut room, mut listed) = (most, 0);
    for item in items {
        let headers = headers(rules, item);
        let written = headers.written();
        if written <= most {
            let Some(left) = room.checked_sub(written) else { break };
            room = left;
            summary.items.push(headers);
        }
        listed += 1;
    }
    Described { body: summary.encode(), listed }
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
    let longest = LONGEST_FIELD.min(rules.max_body / FIELDS_IN_A_BODY);
    let mut headers = ItemHeaders::default();
    for field in message_summary::FIELDS {
        if !rules.fields.iter().any(|shown| shown.eq_ignore_ascii_case(field)) {
            continue;
        }
        let value = match field {
            "To" => party(&envelope.to, longest),
            "From" => party(&envelope.from, longest),
            "Subject" => envelope.subject.as_ref().map(|subject| cut(subject, longest)),
            "Date" => whole(envelope.date.clone(), longest),
            // RFC 3261 20.26: a request without Priority is of normal priority.
            "Priority" => whole(envelope.priority.clone().unwrap_or(Bytes::from_static(b"normal")), longest),
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
fn whole(value: Bytes, longest: usize) -> Option<Bytes> {
    Some(value).filter(|value| printable(value).len() <= longest)
}

fn cut(value: &Bytes, longest: usize) -> Bytes {
    match printable(value) {
        Cow::Borrowed(_) => beginning(value, longest),
        Cow::Owned(clean) => beginning(&clean.into(), longest),
    }
}

/// The party as the figure of OMA SIMPLE IM 7.3.3 shows it, `<alice@example.org>`: an optional
/// display name and the address; neither scheme nor dialog parameters. Too long a name is left out, and a party whose
/// address is too long.
fn party(value: &Bytes, longest: usize) -> Option<Bytes> {
    let Some(party) = crate::wire::cpim::Party::from_sip(value) else { return whole(value.clone(), longest) };
    let address = party.uri.strip_prefix("sip:").unwrap_or(&party.uri);
    let alone = format!("<{address}>");
    let named = party
        .display
        .filter(|display| !display.is_empty())
        .map(|display| format!("\"{}\" {alone}", display.replace('\\', "\\\\").replace('"', "\\\"")));
    let fits = |text: &String| text.len() <= longest;
    named.filter(fits).or(Some(alone)).filter(fits).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use crate::focus::NOTIFY_BODY;
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
        within(NOTIFY_BODY, items)
    }

    fn within(max_body: usize, items: &[ItemHead]) -> Described {
        let rules = SummaryRules {
            listing: Listing::Pending,
            fields: message_summary::FIELDS.map(str::to_owned).into(),
            max_items: 10,
            max_body,
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
        let cut = |subject: Bytes| {
            item.envelope.subject = Some(subject);
            Summary::parse(&described(&[item.clone()]).body).unwrap().items[0]
                .value("Subject")
                .cloned()
                .unwrap()
        };
        let [odd, short] = [Bytes::from(vec![0x80; 2000]), Bytes::from_static(b"short")].map(cut);
        assert_eq!((odd.len(), short.len()), (1023, 5), "what is no UTF-8 is cut as it is shown");
    }

    #[test]
    fn a_notify_lists_what_it_holds() {
        let long = |bytes: usize| item("i".repeat(bytes));
        let all = vec![long(7900); 20];
        let first = described(&all);
        assert_eq!(first.listed, 6);
        assert!((40_000..=NOTIFY_BODY).contains(&first.body.len()), "{}", first.body.len());
        assert_eq!(described(&all[..3]).listed, 3);
        for (items, ids) in [
            (vec![long(2 * NOTIFY_BODY), long(1)], vec![1]),
            (vec![long(1), long(2 * NOTIFY_BODY), long(2)], vec![1, 2]),
            (vec![long(2 * NOTIFY_BODY)], vec![]),
        ] {
            let described = described(&items);
            assert_eq!(described.listed, items.len(), "what is too long for any is behind the reader");
            let told = Summary::parse(&described.body).unwrap();
            let told: Vec<usize> =
                told.items.iter().map(|item| item.value("Message-ID").unwrap().len()).collect();
            assert_eq!(told, ids);
        }
    }

    #[test]
    fn no_body_is_larger_than_is_configured() {
        let long = Bytes::from("x".repeat(2 * LONGEST_FIELD));
        let mut item = item("n1@alicepc.example.org");
        let usual = item.clone();
        item.envelope.subject = Some(long.clone());
        item.envelope.priority = Some(long);
        item.envelope.from = Bytes::from(format!("<sip:{}@example.org>", "a".repeat(100)));
        let mut odd = item.clone();
        odd.envelope.subject = Some(Bytes::from(vec![0x80; 2000]));
        odd.envelope.to = Bytes::from(vec![0xff; 100]);
        for max_body in [1024, 3 << 10, 12 << 10, NOTIFY_BODY] {
            for items in [vec![usual.clone(); 300], vec![item.clone(); 300], vec![odd.clone(); 300]] {
                let described = within(max_body, &items);
                let bytes = described.body.len();
                assert!(bytes <= max_body && bytes > max_body / 2, "{bytes} of {max_body}");
                assert!(described.listed > 0 && described.listed < items.len());
                assert_eq!(Summary::parse(&described.body).unwrap().items.len(), described.listed);
            }
        }
        let told = Summary::parse(&within(1024, &[item]).body).unwrap();
        assert_eq!(told.items[0].value("Subject").unwrap().len(), 128, "an eighth of the body");
    }
}
