//! Reading: every call sees one moment of the store, and runs on a thread that may wait for the
//! disk.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use fjall::{Readable, Snapshot};
use restante::store::{
    Content, Counts, Item, ItemHead, ListQuery, MAX_LIST, MAX_READ, MessageId, Owner, RecordId, StoreError,
    StoredMessage, SubscriptionCursor, SubscriptionRecord,
};

use super::content::Contents;
use super::keys;
use super::record::{IdRecord, ItemRecord, Ledger, MessageRecord, Place, decode_body, decode_subscription};
use super::tree::{Tree, failed};

/// How many bytes of content one opened item brings along; the rest is read when it is needed.
const INLINE_IN_OPEN: usize = 256 << 10;

/// Reads records and contents.
pub(super) struct Reader {
    tree: Arc<Tree>,
    contents: Arc<Contents>,
}

impl Reader {
    pub(super) const fn new(tree: Arc<Tree>, contents: Arc<Contents>) -> Self {
        Self { tree, contents }
    }

    pub(super) fn list(&self, owner: &Owner, query: ListQuery) -> Result<Vec<ItemHead>, StoreError> {
        let prefix = keys::items(owner);
        let first = keys::item(owner, query.after.map_or(0, |after| after.saturating_add(1)));
        if query.after == Some(u64::MAX) {
            return Ok(Vec::new());
        }
        let limit = query.limit.min(MAX_LIST);
        let mut heads = Vec::new();
        if limit == 0 {
            return Ok(heads);
        }
        let last = keys::item(owner, u64::MAX);
        for guard in self.tree.database.snapshot().range(&self.tree.records, first..=last) {
            let (key, value) = guard.into_inner().map_err(failed)?;
            if !key.starts_with(&prefix) {
                break;
            }
            let sequence = keys::last_number(&key).unwrap_or_default();
            let Some(record) = ItemRecord::decode(&value, sequence) else {
                self.tree.damaged(owner, "item", &key);
                continue;
            };
            if query.state.is_none_or(|state| record.head.state == state) {
                heads.push(record.head);
                if heads.len() >= limit {
                    break;
                }
            }
        }
        Ok(heads)
    }

    /// The record of an item; `None` when there is none.
    fn item(
        &self,
        moment: &Snapshot,
        owner: &Owner,
        id: &MessageId,
    ) -> Result<Option<ItemRecord>, StoreError> {
        // No key is longer: nothing longer was ever stored.
        if id.bytes().len() > usize::from(u16::MAX) / 2 || owner.key().len() > restante::store::MAX_KEY {
            return Ok(None);
        }
        let key = keys::id(owner, id);
        let Some(value) = moment.get(&self.tree.records, &key).map_err(failed)? else { return Ok(None) };
        let sequence = match IdRecord::decode(&value) {
            Some(IdRecord::Live(sequence)) => sequence,
            Some(IdRecord::Gone(_)) => return Ok(None),
            None => return Err(self.tree.damaged(owner, "id", &key)),
        };
        let key = keys::item(owner, sequence);
        let Some(value) = moment.get(&self.tree.records, &key).map_err(failed)? else { return Ok(None) };
        ItemRecord::decode(&value, sequence).map(Some).ok_or_else(|| self.tree.damaged(owner, "item", &key))
    }

    pub(super) fn head(&self, owner: &Owner, id: &MessageId) -> Result<Option<ItemHead>, StoreError> {
        Ok(self.item(&self.tree.database.snapshot(), owner, id)?.map(|record| record.head))
    }

    pub(super) fn open(&self, owner: &Owner, id: &MessageId) -> Result<Option<Item>, StoreError> {
        let moment = self.tree.database.snapshot();
        let Some(record) = self.item(&moment, owner, id)? else { return Ok(None) };
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
        let messages = self.messages(&moment, owner, bundle)?;
        if messages.len() != head.messages as usize {
            let key = keys::messages(owner, bundle);
            return Err(self.tree.damaged(owner, "item without all of its messages", &key));
        }
        Ok(Some(Item { head, messages }))
    }

    fn messages(
        &self,
        moment: &Snapshot,
        owner: &Owner,
        bundle: u64,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let mut messages = Vec::new();
        let mut inline = 0;
        for guard in moment.prefix(&self.tree.records, keys::messages(owner, bundle)) {
            let (key, value) = guard.into_inner().map_err(failed)?;
            let index = keys::index(&key).unwrap_or_default();
            let record =
                MessageRecord::decode(&value).ok_or_else(|| self.tree.damaged(owner, "message", &key))?;
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
                None if self.tree.records.contains_key(keys::file(*id)).map_err(failed)? => {
                    Err(self.tree.damaged(&Owner::default(), "content without its file", &keys::file(*id)))
                }
                None => Err(StoreError::Gone),
            },
        }
    }

    fn record(&self, id: &RecordId) -> Result<Bytes, StoreError> {
        let moment = self.tree.database.snapshot();
        let key = keys::message(id);
        let value = moment.get(&self.tree.records, &key).map_err(failed)?.ok_or(StoreError::Gone)?;
        match MessageRecord::decode(&value).map(|record| record.place) {
            Some(Place::Here(bytes)) => return Ok(bytes),
            Some(Place::Beside) => {}
            Some(Place::File(_)) | None => return Err(self.tree.damaged(&id.owner, "message", &key)),
        }
        let key = keys::body(id);
        let value = moment.get(&self.tree.records, &key).map_err(failed)?;
        value.and_then(|v| decode_body(&v)).ok_or_else(|| self.tree.damaged(&id.owner, "content", &key))
    }

    pub(super) fn counts(&self, owner: &Owner) -> Result<Option<Counts>, StoreError> {
        match self.tree.records.get(keys::ledger(owner)).map_err(failed)? {
            None => Ok(Some(Counts::default())),
            // A damaged ledger is for the writer to set right.
            Some(value) => Ok(Ledger::decode(&value).map(|ledger| ledger.counts)),
        }
    }

    pub(super) fn subscriptions(
        &self,
        after: Option<&SubscriptionCursor>,
        limit: usize,
    ) -> Result<Vec<SubscriptionRecord>, StoreError> {
        let first = after.map_or_else(
            || Bound::Included(keys::SUBSCRIPTIONS.to_vec()),
            |cursor| Bound::Excluded(keys::subscription(&cursor.owner, &cursor.key)),
        );
        let range = (first, Bound::Excluded(keys::SUBSCRIPTIONS_END.to_vec()));
        let mut found = Vec::new();
        for guard in self.tree.database.snapshot().range(&self.tree.records, range) {
            if found.len() >= limit.min(MAX_LIST) {
                break;
            }
            let (key, value) = guard.into_inner().map_err(failed)?;
            let name = keys::split(&key).map(|(owner, name)| (owner, Bytes::copy_from_slice(name)));
            match name.zip(decode_subscription(&value)) {
                Some(((owner, key), (record, expires))) => {
                    found.push(SubscriptionRecord { owner, key, record, expires });
                }
                None => {
                    self.tree.damaged(&Owner::default(), "subscription", &key);
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
