//! What a subscriber knows of a mailbox: [`Inbox`], gathered from the summaries it was sent (RFC 3842).

use crate::wire::message_summary::{Counts, ItemHeaders, Summary};

/// What a summary tells of one item. Texts as they came, invalid UTF-8 replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitingItem {
    /// Its Message-ID.
    pub id: String,
    /// From whom, as a name-addr.
    pub from: Option<String>,
    /// To whom, as a name-addr.
    pub to: Option<String>,
    /// About what.
    pub subject: Option<String>,
    /// When it was sent.
    pub date: Option<String>,
    /// How urgent it is; none means normal.
    pub priority: Option<String>,
}

impl WaitingItem {
    fn of(headers: &ItemHeaders) -> Option<Self> {
        let text = |name| headers.value(name).map(|value| String::from_utf8_lossy(value).into_owned());
        Some(Self {
            id: text("Message-ID")?,
            from: text("From"),
            to: text("To"),
            subject: text("Subject"),
            date: text("Date"),
            priority: text("Priority"),
        })
    }

    /// Whether it wants attention at once.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        let is = |word: &str| self.priority.as_deref().is_some_and(|text| text.eq_ignore_ascii_case(word));
        is("urgent") || is("emergency")
    }
}

/// The mailbox as far as its summaries told of it.
///
/// A summary has the whole of the counts, but lists only items that were not listed before: they are
/// gathered here, in order of arrival. That an item was retrieved or has expired shows in the counts alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inbox {
    /// The URI of the account.
    pub account: String,
    /// Items that are text.
    pub text: Counts,
    /// Items that are not.
    pub multimedia: Counts,
    /// The items told of, the oldest first.
    pub items: Vec<WaitingItem>,
}

impl Inbox {
    /// Takes in a summary; gives the items that were not known before.
    pub fn update(&mut self, summary: &Summary) -> Vec<WaitingItem> {
        self.account.clone_from(&summary.account);
        (self.text, self.multimedia) = (summary.text, summary.multimedia);
        let told = summary.items.iter().filter_map(WaitingItem::of);
        let fresh: Vec<_> = told.filter(|item| self.items.iter().all(|known| known.id != item.id)).collect();
        self.items.extend(fresh.iter().cloned());
        fresh
    }

    /// How many items wait to be retrieved.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.text.new.saturating_add(self.multimedia.new)
    }

    /// How many were retrieved and are kept.
    #[must_use]
    pub const fn old(&self) -> u64 {
        self.text.old.saturating_add(self.multimedia.old)
    }

    /// Whether as many items were told of as wait.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.items.len() as u64 >= self.waiting()
    }

    /// The host of message URIs: that of the account. None where it was not told.
    #[must_use]
    pub fn store_host(&self) -> Option<&str> {
        let rest = self.account.strip_prefix("sip:").or_else(|| self.account.strip_prefix("sips:"))?;
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let end = host.find([';', '?']).unwrap_or(host.len());
        host.get(..end).filter(|host| !host.is_empty())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn summary(counts: &str, ids: &[&str]) -> Summary {
        let items: String = ids
            .iter()
            .map(|id| format!("\r\nFrom: <sip:a@b>\r\nSubject: about {id}\r\nMessage-ID: {id}\r\n"))
            .collect();
        let text = format!(
            "Messages-Waiting: yes\r\nMessage-Account: sip:bob@store.example.com\r\nText-Message: {counts}\r\n{items}"
        );
        Summary::parse(text.as_bytes()).unwrap()
    }

    // proves RFC 3842 3.5: later summaries list only what was added
    #[test]
    fn items_are_gathered_and_counts_replaced() {
        let mut inbox = Inbox::default();
        assert!(inbox.is_whole(), "nothing waits");
        assert_eq!(inbox.update(&summary("3/0 (1/0)", &["1", "2"])).len(), 2);
        assert!(!inbox.is_whole());
        let fresh = inbox.update(&summary("3/1 (1/0)", &["2", "3"]));
        assert_eq!(fresh.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["3"]);
        assert!(inbox.is_whole());
        assert_eq!((inbox.waiting(), inbox.old(), inbox.items.len()), (3, 1, 3));
        assert_eq!(inbox.items.first().unwrap().subject.as_deref(), Some("about 1"));
    }

    #[test]
    fn the_account_names_the_store() {
        let of = |account: &str| Inbox { account: account.into(), ..Inbox::default() };
        assert_eq!(of("sip:bob@store.example.com").store_host(), Some("store.example.com"));
        assert_eq!(of("sips:store.example.com:5061;x=y").store_host(), Some("store.example.com:5061"));
        assert_eq!(of("").store_host(), None);
    }

    #[test]
    fn urgent_and_emergency_are_urgent() {
        for (priority, urgent) in [("Urgent", true), ("emergency", true), ("normal", false)] {
            let item = WaitingItem { priority: Some(priority.into()), ..WaitingItem::default() };
            assert_eq!(item.is_urgent(), urgent, "{priority}");
        }
        assert!(!WaitingItem::default().is_urgent());
    }
}
