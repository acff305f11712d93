//! The message summary of a mailbox (RFC 3842): counts, and the headers of items.

use bytes::Bytes;

use super::realm::Realm;
use crate::store::{Counts, ItemHead, Owner, Tally};
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

/// Writes the summary of `owner`'s mailbox with the headers of `items`.
#[must_use]
pub fn summary(
    realm: &Realm,
    rules: &SummaryRules,
    owner: &Owner,
    counts: &Counts,
    items: &[ItemHead],
) -> Bytes {
    Summary {
        account: realm.message_account(owner),
        text: tally(counts.text),
        multimedia: tally(counts.multimedia),
        items: items.iter().map(|item| headers(rules, item)).collect(),
    }
    .encode()
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
            "To" => Some(without_tag(&envelope.to)),
            "From" => Some(without_tag(&envelope.from)),
            "Subject" => envelope.subject.clone(),
            "Date" => Some(envelope.date.clone()),
            // RFC 3261 20.26: a request without Priority is of normal priority.
            "Priority" => Some(envelope.priority.clone().unwrap_or(Bytes::from_static(b"normal"))),
            _ => Some(item.message_id.bytes().clone()),
        };
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            headers.push(field, value);
        }
    }
    headers
}

/// The party as the figure of OMA SIMPLE IM 7.3.3 shows it, `<alice@example.org>`: an optional
/// display name and the address; neither scheme nor dialog parameters.
fn without_tag(value: &Bytes) -> Bytes {
    let Some(party) = crate::wire::cpim::Party::from_sip(value) else { return value.clone() };
    let address = party.uri.strip_prefix("sip:").unwrap_or(&party.uri);
    Bytes::from(match party.display.filter(|display| !display.is_empty()) {
        Some(display) => format!("\"{}\" <{address}>", display.replace('\\', "\\\\").replace('"', "\\\"")),
        None => format!("<{address}>"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Envelope, ItemKind, ItemState, MessageId};
    use crate::time::Timestamp;

    #[test]
    fn the_figure_of_the_change_request_is_written() {
        let item = ItemHead {
            message_id: MessageId::new("32098d@alicepc.example.org"),
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
        };
        let rules = SummaryRules {
            listing: Listing::Pending,
            fields: message_summary::FIELDS.map(str::to_owned).into(),
            max_items: 10,
        };
        let realm = Realm::new(&["example.com".into()], "mailserver.example.com", None);
        let counts =
            Counts { text: Tally { new: 2, urgent_new: 1, ..Tally::default() }, ..Counts::default() };
        let body = summary(&realm, &rules, &Owner::new(b"charlie", "example.com"), &counts, &[item]);
        assert_eq!(
            String::from_utf8_lossy(&body),
            "Messages-Waiting: yes\r\nMessage-Account: sip:charlie@mailserver.example.com\r\n\
             Text-Message: 2/0 (1/0)\r\n\r\nTo: <charlie@example.com>\r\nFrom: <alice@example.org>\r\n\
             Subject: carpool tomorrow?\r\nDate: Sun, 09 Jul 2000 21:23:01 -0700\r\nPriority: normal\r\n\
             Message-ID: 32098d@alicepc.example.org\r\n"
        );
    }
}
