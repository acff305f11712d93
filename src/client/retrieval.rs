//! What becomes of the items that are retrieved: [`Retrieval`], from what arrives over MSRP and from what the
//! focus tells of its participants (RFC 4575).

use std::collections::BTreeMap;

use super::reception::MessageHead;
use super::selection::message_id;
use crate::machine::msrp::IncomingId;
use crate::wire::conference_info::{ConferenceInfo, DisconnectionMethod, EndpointStatus, User};

/// Where an item is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemState {
    /// Nothing of it has come.
    Waiting,
    /// Some of it has come.
    Arriving,
    /// All of it has come and was acknowledged.
    Complete,
    /// The store does not deliver it.
    Failed {
        /// The SIP status an INVITE to it would have got; 0 where none was told.
        status: u16,
        /// In words.
        reason: String,
    },
    /// The session ended before all of it had come.
    Cut,
}

impl ItemState {
    /// Whether nothing more can become of it.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        !matches!(self, Self::Waiting | Self::Arriving)
    }
}

/// One item, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrievedItem {
    /// Its Message-ID.
    pub id: String,
    /// Where it is.
    pub state: ItemState,
    /// Messages of it that are whole and kept.
    pub messages: usize,
    /// Bytes of content that have come.
    pub bytes: u64,
    /// Bytes of content of the messages begun so far.
    pub expected: u64,
}

/// All items of one retrieval.
///
/// The store's own word decides: an item that the focus tells to have departed is complete, one that it tells
/// to have failed is not. Where it told nothing, an item counts as complete when the store ended the session by a
/// BYE, for it does so after every message was acknowledged.
#[derive(Debug, Default)]
pub struct Retrieval {
    items: Vec<RetrievedItem>,
    arriving: BTreeMap<IncomingId, usize>,
    version: Option<u32>,
}

impl Retrieval {
    /// A retrieval of the items of these message URIs; others that come are added.
    #[must_use]
    pub fn new(uris: &[String]) -> Self {
        let mut retrieval = Self::default();
        for uri in uris {
            retrieval.find(&message_id(uri));
        }
        retrieval
    }

    /// The items, in the order they were asked for or came.
    #[must_use]
    pub fn items(&self) -> &[RetrievedItem] {
        &self.items
    }

    /// A message of an item begins. Gives the item's place, and the message's number in it from 0.
    pub fn begun(&mut self, id: IncomingId, head: &MessageHead) -> (usize, usize) {
        let only = self.items.len() == 1 && head.item.is_none();
        let index = if only { 0 } else { self.find(head.item.as_deref().unwrap_or(&head.message_id)) };
        let open = self.arriving.values().filter(|known| **known == index).count();
        self.arriving.insert(id, index);
        let Some(item) = self.items.get_mut(index) else { return (index, 0) };
        item.expected += head.size.unwrap_or(0);
        if item.state == ItemState::Waiting {
            item.state = ItemState::Arriving;
        }
        (index, item.messages + open)
    }

    /// Whether a message is arriving that is wanted.
    #[must_use]
    pub fn is_arriving(&self, id: IncomingId) -> bool {
        self.arriving.contains_key(&id)
    }

    /// The item of a message that is arriving.
    #[must_use]
    pub fn item_of(&self, id: IncomingId) -> Option<&RetrievedItem> {
        self.items.get(*self.arriving.get(&id)?)
    }

    /// So many bytes of a message came.
    pub fn received(&mut self, id: IncomingId, bytes: usize) {
        if let Some(item) = self.of(id) {
            item.bytes += bytes as u64;
        }
    }

    /// A message is whole and kept.
    pub fn kept(&mut self, id: IncomingId) {
        if let Some(item) = self.of(id) {
            item.messages += 1;
        }
        self.arriving.remove(&id);
    }

    /// A message will not be completed, or is not wanted.
    pub fn dropped(&mut self, id: IncomingId) {
        if let Some(item) = self.of(id)
            && !item.state.is_final()
        {
            item.state = ItemState::Cut;
        }
        self.arriving.remove(&id);
    }

    /// Takes what the focus tells. Documents older than one seen are passed over (RFC 4575 4.4).
    pub fn handle_conference(&mut self, info: &ConferenceInfo) {
        if self.version.is_some_and(|seen| info.version <= seen) {
            return;
        }
        self.version = Some(info.version);
        for user in &info.users {
            let index = self.find(&message_id(&user.entity));
            let Some(item) = self.items.get_mut(index) else { continue };
            if let Some(state) = ended(user) {
                item.state = state;
            }
        }
    }

    /// Whether the focus has told of every item how it ended.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.version.is_some() && self.items.iter().all(|item| item.state.is_final())
    }

    /// The session is over: `orderly` where the store ended it by a BYE.
    pub fn ended(&mut self, orderly: bool) {
        let open: Vec<usize> = std::mem::take(&mut self.arriving).into_values().collect();
        for (index, item) in self.items.iter_mut().enumerate() {
            if item.state.is_final() {
                continue;
            }
            item.state = match (orderly && !open.contains(&index), item.messages) {
                (true, 1..) => ItemState::Complete,
                (true, 0) => ItemState::Failed { status: 0, reason: "not delivered".to_owned() },
                (false, _) => ItemState::Cut,
            };
        }
    }

    fn of(&mut self, id: IncomingId) -> Option<&mut RetrievedItem> {
        let index = *self.arriving.get(&id)?;
        self.items.get_mut(index)
    }

    fn find(&mut self, id: &str) -> usize {
        let known = self.items.iter().position(|item| item.id == id);
        known.unwrap_or_else(|| {
            self.items.push(RetrievedItem {
                id: id.to_owned(),
                state: ItemState::Waiting,
                messages: 0,
                bytes: 0,
                expected: 0,
            });
            self.items.len() - 1
        })
    }
}

/// How a participant ended, if it did.
fn ended(user: &User) -> Option<ItemState> {
    let endpoint = user.endpoints.first()?;
    if endpoint.status != Some(EndpointStatus::Disconnected) {
        return None;
    }
    let disconnection = endpoint.disconnection.as_ref()?;
    if disconnection.method == DisconnectionMethod::Departed {
        return Some(ItemState::Complete);
    }
    let reason = disconnection.reason.as_deref().unwrap_or_default();
    Some(ItemState::Failed { status: cause(reason), reason: words(reason) })
}

/// The cause of a Reason value: `SIP;cause=404;text="Not Found"` (RFC 3326).
fn cause(reason: &str) -> u16 {
    let digits = reason.split("cause=").nth(1).unwrap_or_default();
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn words(reason: &str) -> String {
    let quoted = reason.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"'));
    quoted.map_or(reason, |(text, _)| text).to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::client::message_uri;
    use crate::client::test_support::incoming_ids as test_ids;
    use crate::wire::conference_info::Endpoint;

    const STORE: &str = "store.example.com";

    fn retrieval(ids: &[&str]) -> Retrieval {
        let uris: Vec<_> = ids.iter().map(|id| message_uri(id, STORE)).collect();
        Retrieval::new(&uris)
    }

    fn head(item: &str, size: u64) -> MessageHead {
        MessageHead { item: Some(item.to_owned()), size: Some(size), ..MessageHead::default() }
    }

    fn states(retrieval: &Retrieval) -> Vec<ItemState> {
        retrieval.items().iter().map(|item| item.state.clone()).collect()
    }

    fn gone(id: &str, method: DisconnectionMethod, reason: Option<&str>) -> User {
        let endpoint = Endpoint::dialed_out(message_uri(id, STORE), EndpointStatus::Disconnected);
        User::with_endpoint(endpoint.disconnected(method, reason.map(str::to_owned)))
    }

    #[test]
    fn the_word_of_the_focus_decides() {
        let mut retrieval = retrieval(&["a@b", "c", "d"]);
        let [one, two, ..] = test_ids();
        assert_eq!(retrieval.begun(one, &head("a@b", 10)), (0, 0));
        assert_eq!(retrieval.begun(two, &head("a@b", 5)), (0, 1));
        retrieval.received(one, 10);
        retrieval.kept(one);
        let info = |version, users| ConferenceInfo::partial("sip:f@store", version, users);
        let reason = "SIP;cause=404;text=\"Not Found\"";
        retrieval.handle_conference(&info(2, vec![gone("c", DisconnectionMethod::Failed, Some(reason))]));
        // RFC 4575 4.4: what is older than the last one is passed over.
        retrieval.handle_conference(&info(1, vec![gone("d", DisconnectionMethod::Departed, None)]));
        let not_found = ItemState::Failed { status: 404, reason: "Not Found".to_owned() };
        assert_eq!(states(&retrieval), [ItemState::Arriving, not_found.clone(), ItemState::Waiting]);
        assert!(!retrieval.is_settled());
        let item = retrieval.items().first().unwrap();
        assert_eq!((item.messages, item.bytes, item.expected), (1, 10, 15));
        let both = vec![
            gone("a@b", DisconnectionMethod::Departed, None),
            gone("d", DisconnectionMethod::Departed, None),
        ];
        retrieval.handle_conference(&info(3, both));
        assert!(retrieval.is_settled());
        retrieval.ended(false);
        assert_eq!(states(&retrieval), [ItemState::Complete, not_found, ItemState::Complete]);
    }

    #[test]
    fn without_its_word_an_orderly_end_completes_what_came_whole() {
        let [one, two, ..] = test_ids();
        let mut cut = retrieval(&["a", "b", "c"]);
        cut.begun(one, &head("a", 1));
        cut.kept(one);
        cut.begun(two, &head("b", 1));
        cut.ended(true);
        let not_delivered = ItemState::Failed { status: 0, reason: "not delivered".to_owned() };
        assert_eq!(states(&cut), [ItemState::Complete, ItemState::Cut, not_delivered]);
        let mut broken = retrieval(&["a"]);
        broken.begun(one, &head("a", 1));
        broken.kept(one);
        broken.ended(false);
        assert_eq!(states(&broken), [ItemState::Cut], "more messages of it may have been to come");
    }

    #[test]
    fn a_message_that_names_no_item_belongs_to_the_only_one() {
        let [one, two, ..] = test_ids();
        let nameless = MessageHead { message_id: "m1".into(), ..MessageHead::default() };
        let mut single = retrieval(&["a"]);
        assert_eq!(single.begun(one, &nameless), (0, 0));
        let mut several = retrieval(&["a", "b"]);
        assert_eq!(several.begun(two, &nameless), (2, 0));
        assert_eq!(several.items().last().unwrap().id, "m1");
    }
}
