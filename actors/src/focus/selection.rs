//! What a retrieval is about: the items that were asked for, as the store knows them.

use std::future::Future;
use std::sync::Arc;

use restante::focus::rejection::Rejection;
use restante::focus::retrieval::named_item;
use restante::store::{Item, ItemHead, ItemState, ListQuery, MessageId, Owner, StoreError};
use restante::time::Timestamp;
use restante::wire::sip::StatusCode;

use crate::shared::Shared;

/// What is to be retrieved.
#[derive(Debug)]
pub enum Selection {
    /// The item that the Request-URI names.
    One(MessageId),
    /// The URIs of a recipient list, in order, each once.
    List(Vec<String>),
    /// All new items.
    All,
}

/// The participants of a retrieval.
pub(super) struct Found {
    /// The URIs in order, and what they name.
    pub(super) list: Vec<(String, Option<MessageId>)>,
    /// The places of those that name nothing.
    pub(super) unknown: Vec<usize>,
    /// The item of a retrieval of one.
    pub(super) only: Option<Item>,
}

/// Why there is nothing to retrieve.
#[derive(Debug)]
pub(super) enum Missing {
    /// Nothing that was named exists.
    Unknown,
    /// Nothing is new.
    NoneNew,
    /// The store cannot say.
    Store(StoreError),
}

impl From<StoreError> for Missing {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Missing {
    /// What the caller is told.
    pub(super) fn rejection(&self, agent: &str) -> Rejection {
        match self {
            Self::Unknown => Rejection::not_found(),
            Self::NoneNew => {
                Rejection::new(StatusCode::TEMPORARILY_UNAVAILABLE).warning(399, agent, "no new messages")
            }
            Self::Store(_) => Rejection::unavailable_for_now(),
        }
    }
}

impl Selection {
    /// Asks the store for what is selected of `owner`'s mailbox; `uri` is the Request-URI.
    pub(super) async fn find(self, shared: Arc<Shared>, owner: Owner, uri: String) -> Result<Found, Missing> {
        match self {
            Self::One(id) => one(&shared, owner, id, uri).await,
            Self::List(uris) => listed(&shared, &owner, uris).await,
            Self::All => all_new(&shared, owner).await,
        }
    }
}

async fn one(shared: &Shared, owner: Owner, id: MessageId, uri: String) -> Result<Found, Missing> {
    let item = shared.in_time(shared.store.open(owner, id)).await?;
    let item = item.filter(|item| !item.head.has_ended(shared.expiry.now())).ok_or(Missing::Unknown)?;
    let list = vec![(uri, Some(item.head.message_id.detached()))];
    Ok(Found { list, unknown: Vec::new(), only: Some(item) })
}

async fn listed(shared: &Shared, owner: &Owner, uris: Vec<String>) -> Result<Found, Missing> {
    let list: Vec<_> = uris.into_iter().map(|uri| (named_item(&shared.realm, &uri), uri)).collect();
    let ids = list.iter().filter_map(|(id, _)| id.clone()).collect();
    let held = shared.in_time(shared.store.held(owner.clone(), ids)).await?;
    standing(list, held, shared.expiry.now())
}

/// The participants of a list, of whose items the store has told when they end.
fn standing(
    list: Vec<(Option<MessageId>, String)>,
    held: Vec<Option<Timestamp>>,
    now: Timestamp,
) -> Result<Found, Missing> {
    let mut held = held.into_iter();
    let mut found = Found { list: Vec::with_capacity(list.len()), unknown: Vec::new(), only: None };
    for (place, (id, uri)) in list.into_iter().enumerate() {
        let ends = if id.is_some() { held.next().flatten() } else { None };
        if ends.is_none_or(|ends| ends <= now) {
            found.unknown.push(place);
        }
        found.list.push((uri, id));
    }
    if found.unknown.len() < found.list.len() { Ok(found) } else { Err(Missing::Unknown) }
}

/// Heads of items that are asked of the store at once: what they hold beside their ids is let go before the next.
const PAGE: usize = 1000;

async fn all_new(shared: &Shared, owner: Owner) -> Result<Found, Missing> {
    let now = shared.expiry.now();
    let ids = all_listed(PAGE, now, |query| shared.in_time(shared.store.list(owner.clone(), query))).await?;
    if ids.is_empty() {
        return Err(Missing::NoneNew);
    }
    let list = ids.into_iter().map(|id| (shared.realm.message_uri(id.bytes()), Some(id))).collect();
    Ok(Found { list, unknown: Vec::new(), only: None })
}

/// Items of one retrieval of all, where the mailbox's quota allows more or sets no bound; the others stay new.
const MOST_OF_ALL: usize = 100_000;

/// All new items that the store lists and that have not ended, `page` by `page`.
async fn all_listed<A: Future<Output = Result<Vec<ItemHead>, StoreError>>>(
    page: usize,
    now: Timestamp,
    list: impl Fn(ListQuery) -> A,
) -> Result<Vec<MessageId>, StoreError> {
    let mut ids = Vec::new();
    let mut after = None;
    loop {
        let items = list(ListQuery { state: Some(ItemState::New), after, limit: page }).await?;
        let standing = items.iter().filter(|item| !item.has_ended(now));
        ids.extend(standing.map(|item| item.message_id.detached()));
        if items.len() < page || ids.len() >= MOST_OF_ALL {
            return Ok(ids);
        }
        after = items.last().map(|item| item.sequence);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;
    use restante::store::memory::Memory;
    use restante::store::{After, Body, DepositKey, Envelope, PagerDeposit, Quota, Store};

    #[tokio::test]
    async fn all_new_items_are_found_whatever_a_page_holds() {
        let store = Memory::new();
        let bob = Owner::new(b"bob", "example.com");
        let ids: Vec<_> = (0..6).map(|index| MessageId::new(format!("m{index}"))).collect();
        let ended = MessageId::new("m3");
        for id in &ids {
            let deposit = PagerDeposit {
                owner: bob.clone(),
                sender: Owner::new(b"alice", "example.org"),
                key: DepositKey { call_id: id.bytes().clone(), from_tag: "t".into(), cseq: 1 },
                envelope: Envelope::default(),
                body: Body::Inline(Bytes::from_static(b"x")),
                quota: Quota { items: 9, bytes: 99, ..Quota::default() },
                now: Timestamp(1),
                ends: if *id == ended { Timestamp(5) } else { Timestamp(6) },
                remember: std::time::Duration::ZERO,
            };
            store.deposit(deposit).await.unwrap();
        }
        let old = MessageId::new("m1");
        store.retrieved(bob.clone(), old.clone(), After::Keep).await.unwrap();
        let new: Vec<_> = ids.into_iter().filter(|id| *id != old && *id != ended).collect();
        for page in [1, 2, 5, 6] {
            let found = all_listed(page, Timestamp(5), |query| store.list(bob.clone(), query)).await.unwrap();
            assert_eq!(found, new, "{page}");
        }
    }

    #[test]
    fn of_a_list_what_has_ended_is_unknown() {
        let named = |id: &'static str| (Some(MessageId::new(id)), id.to_owned());
        let list = vec![named("a"), (None, "tel:1".to_owned()), named("b"), named("c")];
        let ends = vec![Some(Timestamp(6)), None, Some(Timestamp(5))];
        let found = standing(list.clone(), ends, Timestamp(5)).unwrap_or_else(|_| unreachable!());
        assert_eq!((found.list.len(), found.unknown), (4, vec![1, 2, 3]));
        let all = vec![Some(Timestamp(5)); 3];
        assert!(matches!(standing(list, all, Timestamp(5)), Err(Missing::Unknown)));
    }
}
