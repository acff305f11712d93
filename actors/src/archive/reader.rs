//! Reading: every call sees one moment of the store, and runs on a thread that may wait for the
//! disk.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use restante::store::{
    Content, Item, ItemHead, ItemState, ListQuery, MAX_LIST, MAX_READ, MessageId, Overview, Owner, RecordId,
    StoreError, StoredMessage, SubscriptionCursor, SubscriptionRecord,
};
use restante::time::Timestamp;

use super::content::Contents;
use super::gaps::Sought;
use super::keys::{self, Key, MailboxId, MessageKey};
use super::lookup::{self, Standing};
use super::pool;
use super::record::{ItemRecord, Ledger, MessageRecord, Place, decode_body, decode_subscription};
use super::tree::{Moment, Source, Tree};
use super::walk::{Visit, Walk};

/// How many bytes of content one opened item brings along; the rest is read when it is needed.
const INLINE_IN_OPEN: usize = 256 << 10;

/// How many places of a mailbox that cannot be read one list passes over.
const HOLES: usize = 64;

/// How many items beside such a place are tried.
const CLOSE: usize = 256;

/// Reads records and contents.
pub(super) struct Reader {
    pub(super) tree: Arc<Tree>,
    contents: Arc<Contents>,
}

impl Reader {
    pub(super) const fn new(tree: Arc<Tree>, contents: Arc<Contents>) -> Self {
        Self { tree, contents }
    }

    pub(super) fn list(&self, owner: &Owner, query: ListQuery) -> Result<Vec<ItemHead>, StoreError> {
        self.listed(&self.tree.moment(), owner, query)
    }

    fn listed(
        &self,
        moment: &Moment<'_>,
        owner: &Owner,
        query: ListQuery,
    ) -> Result<Vec<ItemHead>, StoreError> {
        let Some(mailbox) = lookup::mailbox(moment, owner)? else { return Ok(Vec::new()) };
        // Where it cannot be read there may be items all the same.
        let ledger = Self::ledger(moment, mailbox).ok().flatten();
        Ok(self.listed_in(moment, mailbox, ledger.as_ref(), query))
    }

    /// Lists items of a mailbox, no more than its ledger counts.
    fn listed_in(
        &self,
        moment: &Moment<'_>,
        mailbox: MailboxId,
        ledger: Option<&Ledger>,
        query: ListQuery,
    ) -> Vec<ItemHead> {
        let mut heads = Vec::new();
        let counted = ledger.map_or(usize::MAX, |ledger| {
            usize::try_from(ledger.counts.items_in(query.state)).unwrap_or(usize::MAX)
        });
        let limit = query.limit.min(MAX_LIST).min(counted);
        let Some(mut from) = query.after.map_or(Some(0), |after| after.checked_add(1)) else {
            return heads;
        };
        let sought = match query.state {
            Some(ItemState::New) => Sought::New,
            Some(ItemState::Old) | None => Sought::Items,
        };
        let last = ledger.map(|ledger| ledger.last_sequence);
        let walk = Walk { moment, mailbox, sought, last };
        // The sequence of no item is the greatest number.
        let end = keys::item(mailbox, u64::MAX);
        for _ in 0..HOLES {
            if heads.len() >= limit {
                break;
            }
            let Some(unread) = self.list_from(&walk, from, query.state, limit, &mut heads) else { break };
            self.tree.damaged("items", &keys::item(mailbox, unread));
            from = moment.behind_damage(unread, |sequence| keys::item(mailbox, sequence), &end);
            // What lies close to it can be read one by one.
            for sequence in (unread..from).take(CLOSE) {
                let is_new = heads.last().is_none_or(|last| last.sequence < sequence) && heads.len() < limit;
                if let Ok(Some(Some(ItemRecord { head, .. }))) = lookup::item(moment, mailbox, sequence)
                    && is_new
                    && query.state.is_none_or(|state| head.state == state)
                {
                    heads.push(head);
                }
            }
        }
        heads
    }

    /// Lists as far as the records can be read, and gives the sequence behind which they cannot.
    fn list_from(
        &self,
        walk: &Walk<'_>,
        first: u64,
        state: Option<ItemState>,
        limit: usize,
        heads: &mut Vec<ItemHead>,
    ) -> Option<u64> {
        walk.from(first, |sequence, key, value| {
            let Some(ItemRecord { head, .. }) = ItemRecord::decode(value, sequence) else {
                self.tree.damaged("item", key);
                return ControlFlow::Continue(Visit::Found);
            };
            if state.is_some_and(|state| head.state != state) {
                return ControlFlow::Continue(walk.visited(head.state));
            }
            heads.push(head);
            if heads.len() < limit { ControlFlow::Continue(Visit::Found) } else { ControlFlow::Break(()) }
        })
    }

    /// A mailbox's ledger with what came behind it; `None` when that is for the writer to set right first.
    fn ledger(moment: &Moment<'_>, mailbox: MailboxId) -> Result<Option<Ledger>, StoreError> {
        let Some(Some(mut ledger)) = lookup::written_ledger(moment, mailbox)? else { return Ok(None) };
        lookup::add_behind(moment, mailbox, &mut ledger)?;
        Ok(Some(ledger))
    }

    /// The record of an item; `None` when there is none.
    fn item(
        moment: &Moment<'_>,
        mailbox: MailboxId,
        id: &MessageId,
    ) -> Result<Option<ItemRecord>, StoreError> {
        match lookup::known(moment, mailbox, id)? {
            Standing::Live(_, Some(record)) => Ok(Some(*record)),
            Standing::Live(_, None) => Err(StoreError::Damaged { what: "item".into() }),
            Standing::Damaged => Err(StoreError::Damaged { what: "id".into() }),
            Standing::Free(_) | Standing::Gone(..) => Ok(None),
        }
    }

    pub(super) fn held(
        &self,
        owner: &Owner,
        ids: &[MessageId],
    ) -> Result<Vec<Option<Timestamp>>, StoreError> {
        let moment = self.tree.moment();
        let Some(mailbox) = lookup::mailbox(&moment, owner)? else { return Ok(vec![None; ids.len()]) };
        let ends = |id| match lookup::known(&moment, mailbox, id) {
            Ok(Standing::Live(_, Some(record))) => Some(record.head.ends),
            Ok(Standing::Live(_, None) | Standing::Damaged) | Err(_) => Some(Timestamp(u64::MAX)),
            Ok(Standing::Free(_) | Standing::Gone(..)) => None,
        };
        Ok(ids.iter().map(ends).collect())
    }

    pub(super) fn open(&self, owner: &Owner, id: &MessageId) -> Result<Option<Item>, StoreError> {
        let moment = self.tree.moment();
        let Some(mailbox) = lookup::mailbox(&moment, owner)? else { return Ok(None) };
        self.open_in(&moment, owner, mailbox, id)
    }

    /// Opens items at one moment, and tells each as soon as it is there.
    pub(super) fn open_all(
        &self,
        owner: &Owner,
        ids: impl Iterator<Item = (MessageId, impl FnOnce(Result<Option<Item>, StoreError>))>,
    ) {
        let moment = self.tree.moment();
        let mailbox = lookup::mailbox(&moment, owner);
        for (id, tell) in ids {
            // One item's failure must not take the others' answers.
            tell(pool::caught(|| match &mailbox {
                Ok(Some(mailbox)) => self.open_in(&moment, owner, *mailbox, &id),
                Ok(None) => Ok(None),
                Err(error) => Err(error.clone()),
            }));
        }
    }

    /// An item of this mailbox at this moment.
    fn open_in(
        &self,
        moment: &Moment<'_>,
        owner: &Owner,
        mailbox: MailboxId,
        id: &MessageId,
    ) -> Result<Option<Item>, StoreError> {
        let Some(record) = Self::item(moment, mailbox, id)? else { return Ok(None) };
        let ItemRecord { head, bundle, body, .. } = record;
        if let Some(body) = body {
            let message = StoredMessage {
                message_id: Bytes::new(),
                content_type: None,
                headers: Vec::new(),
                size: head.bytes,
                received: head.arrived,
                content: Content::Inline(body),
            };
            return Ok(Some(Item { head, messages: vec![message] }));
        }
        let messages = self.messages(moment, owner, mailbox, bundle)?;
        if messages.len() != head.messages as usize {
            let key = keys::messages(mailbox, bundle);
            return Err(self.tree.damaged("item without all of its messages", &key));
        }
        Ok(Some(Item { head, messages }))
    }

    fn messages(
        &self,
        moment: &Moment<'_>,
        owner: &Owner,
        mailbox: MailboxId,
        bundle: u64,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let mut messages = Vec::new();
        let mut inline = 0;
        for record in moment.prefix(&keys::messages(mailbox, bundle)) {
            let (key, value) = record?;
            let index = keys::index(&key).unwrap_or_default();
            let record = MessageRecord::decode(&value).ok_or_else(|| self.tree.damaged("message", &key))?;
            let content = match record.place {
                Place::Here(bytes) if inline + bytes.len() <= INLINE_IN_OPEN => {
                    inline += bytes.len();
                    Content::Inline(bytes)
                }
                Place::Here(_) | Place::Beside => {
                    Content::Record(RecordId { owner: owner.clone(), bundle, index })
                }
                Place::File(id) => Content::File(id),
            };
            messages.push(StoredMessage {
                message_id: record.message_id,
                content_type: record.content_type,
                headers: record.headers,
                size: record.size,
                received: record.received,
                content,
            });
        }
        Ok(messages)
    }

    pub(super) fn read(&self, content: &Content, offset: u64, len: usize) -> Result<Bytes, StoreError> {
        match content {
            Content::Inline(bytes) => Ok(part(bytes, offset, len)),
            Content::Record(id) => Ok(part(&self.record(id)?, offset, len)),
            Content::File(id) => match self.contents.read(*id, offset, len.min(MAX_READ))? {
                Some(bytes) => Ok(bytes),
                None if self.tree.get(&keys::file(*id))?.is_some() => {
                    Err(self.tree.damaged("content without its file", &keys::file(*id)))
                }
                None => Err(StoreError::Gone),
            },
        }
    }

    fn record(&self, id: &RecordId) -> Result<Bytes, StoreError> {
        let moment = self.tree.moment();
        let mailbox = lookup::mailbox(&moment, &id.owner)?.ok_or(StoreError::Gone)?;
        let id = MessageKey { mailbox, bundle: id.bundle, index: id.index };
        let key = keys::message(id);
        let value = moment.fetch(&key)?.ok_or(StoreError::Gone)?;
        match MessageRecord::decode(&value).map(|record| record.place) {
            Some(Place::Here(bytes)) => return Ok(bytes),
            Some(Place::Beside) => {}
            Some(Place::File(_)) | None => return Err(self.tree.damaged("message", &key)),
        }
        let key = keys::body(id);
        let value = moment.fetch(&key)?;
        value.and_then(|v| decode_body(&v)).ok_or_else(|| self.tree.damaged("content", &key))
    }

    /// What a mailbox holds, and some of its items; `None` when that is for the writer to set right first.
    pub(super) fn summary(
        &self,
        owner: &Owner,
        query: Option<ListQuery>,
    ) -> Result<Option<Overview>, StoreError> {
        let moment = self.tree.moment();
        let mailbox = match lookup::mailbox(&moment, owner) {
            Ok(Some(mailbox)) => mailbox,
            Ok(None) => return Ok(Some(Overview::default())),
            Err(StoreError::Damaged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(ledger) = Self::ledger(&moment, mailbox)? else { return Ok(None) };
        let items = query.map(|query| self.listed_in(&moment, mailbox, Some(&ledger), query));
        Ok(Some(Overview { counts: ledger.counts, items: items.unwrap_or_default() }))
    }

    pub(super) fn subscriptions(
        &self,
        after: Option<&SubscriptionCursor>,
        limit: usize,
    ) -> Result<Vec<SubscriptionRecord>, StoreError> {
        let first = after.map_or_else(
            || Key::from(keys::SUBSCRIPTIONS),
            // The first key behind the cursor's.
            |cursor| Key::from([&keys::subscription(&cursor.owner, &cursor.key)[..], &[0]].concat()),
        );
        let mut found = Vec::new();
        for record in self.tree.moment().range(first, keys::behind(keys::SUBSCRIPTIONS)) {
            if found.len() >= limit.min(MAX_LIST) {
                break;
            }
            let (key, value) = record?;
            match keys::parse_subscription(&key).zip(decode_subscription(&value)) {
                Some((SubscriptionCursor { owner, key }, (record, expires))) => {
                    found.push(SubscriptionRecord { owner, key, record, expires });
                }
                None => {
                    self.tree.damaged("subscription", &key);
                }
            }
        }
        Ok(found)
    }
}

fn part(whole: &Bytes, offset: u64, len: usize) -> Bytes {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(whole.len());
    whole.slice(start..start.saturating_add(len.min(MAX_READ)).min(whole.len()))
}
