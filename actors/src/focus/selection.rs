//! What a retrieval is about: the items that were asked for, as the store knows them.

use std::future::Future;
use std::sync::Arc;

use restante::focus::rejection::Rejection;
use restante::focus::retrieval::named_item;
use restante::store::{Item, ItemHead, ItemState, ListQuery, MessageId, Owner, StoreError};
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
            Self::Store(_) => Rejection::unavailable(5),
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
    let item = shared.in_time(shared.store.open(owner, id)).await?.ok_or(Missing::Unknown)?;
    let list = vec![(uri, Some(item.head.message_id.detached()))];
    Ok(Found { list, unknown: Vec::new(), only: Some(item) })
}

async fn listed(shared: &Shared, owner: &Owner, uris: Vec<String>) -> Result<Found, Missing> {
    let list: Vec<_> = uris.into_iter().map(|uri| (named_item(&shared.realm, &uri), uri)).collect();
    let ids = list.iter().filter_map(|(id, _)| id.clone()).collect();
    let mut held = shared.in_time(shared.store.held(owner.clone(), ids)).await?.into_iter();
    let mut found = Found { list: Vec::with_capacity(list.len()), unknown: Vec::new(), only: None };
    for (place, (id, uri)) in list.into_iter().enumerate() {
        if !(id.is_some() && held.next().unwrap_or(false)) {
            found.unknown.push(place);
        }
        found.list.push((uri, id));
    }
    if found.unknown.len() < found.list.len() { Ok(found) } else { Err(Missing::Unknown) }
}

/// Heads of items that are asked of the store at once: what they hold beside their ids is let go before the next.
const PAGE: usize = 1000;

async fn all_new(shared: &Shared, owner: Owner) -> Result<Found, Missing> {
    let ids = all_listed(PAGE, |query| shared.in_time(shared.store.list(owner.clone(), query))).await?;
    if ids.is_empty() {
        return Err(Missing::NoneNew);
    }
    let list = ids.into_iter().map(|id| (shared.realm.message_uri(id.bytes()), Some(id))).collect();
    Ok(Found { list, unknown: Vec::new(), only: None })
}

/// All new items that the store lists, `page` by `page`; the mailbox's quota bounds them.
async fn all_listed<A: Future<Output = Result<Vec<ItemHead>, StoreError>>>(
    page: usize,
    list: impl Fn(ListQuery) -> A,
) -> Result<Vec<MessageId>, StoreError> {
    let mut ids = Vec::new();
    let mut after = None;
    loop {
        let items = list(ListQuery { state: Some(ItemState::New), after, limit: page }).await?;
        ids.extend(items.iter().map(|item| item.message_id.detached()));
        if items.len() < page {
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
    use restante::time::Timestamp;

    #[tokio::test]
    async fn all_new_items_are_found_whatever_a_page_holds() {
        let store = Memory::new();
        let bob = Owner::new(b"bob", "example.com");
        let ids: Vec<_> = (0..6).map(|index| MessageId::new(format!("m{index}"))).collect();
        for id in &ids {
            let deposit = PagerDeposit {
                owner: bob.clone(),
                sender: Owner::new(b"alice", "example.org"),
                key: DepositKey { call_id: id.bytes().clone(), from_tag: "t".into(), cseq: 1 },
                envelope: Envelope::default(),
                body: Body::Inline(Bytes::from_static(b"x")),
                quota: Quota { items: 9, bytes: 99, ..Quota::default() },
                now: Timestamp(1),
                ends: Timestamp(u64::MAX),
                remember: std::time::Duration::ZERO,
            };
            store.deposit(deposit).await.unwrap();
        }
        let old = MessageId::new("m1");
        store.retrieved(bob.clone(), old.clone(), After::Keep).await.unwrap();
        let new: Vec<_> = ids.into_iter().filter(|id| *id != old).collect();
        for page in [1, 2, 5, 6] {
            let found = all_listed(page, |query| store.list(bob.clone(), query)).await.unwrap();
            assert_eq!(found, new, "{page}");
        }
    }
}
