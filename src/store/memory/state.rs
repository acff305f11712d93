//! All that the in-memory store holds, and the operations on it.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::mailbox::{Kept, Mailbox, Origin};
use crate::store::{
    Body, Content, ContentId, Counts, Deposited, Envelope, Expired, Item, ItemHead, ItemKind, ItemState,
    ListQuery, MAX_BESIDE, MAX_KEY, MAX_SESSION_MESSAGES, MessageId, NewMessage, Owner, PagerDeposit, Quota,
    SessionDeposit, SessionId, StoreError, StoredMessage, SubscriptionRecord,
};
use crate::time::Timestamp;

/// A session under way.
struct Draft {
    session: SessionDeposit,
    /// The place among the mailbox's drafts, given by the first message.
    bundle: u64,
    messages: Vec<StoredMessage>,
    /// What they count of the quota beside their contents.
    beside: u64,
    text: bool,
}

/// All that the store holds.
#[derive(Default)]
pub(super) struct State {
    pub(super) closed: bool,
    /// Whether the operation changed the mailbox it was about.
    pub(super) touched: bool,
    /// Other mailboxes it changed.
    pub(super) changed: Vec<Owner>,
    pub(super) contents: HashMap<ContentId, Bytes>,
    pub(super) next_content: u64,
    pub(super) subscriptions: BTreeMap<(Owner, Bytes), SubscriptionRecord>,
    pub(super) claims: HashMap<Bytes, (Bytes, Timestamp)>,
    mailboxes: BTreeMap<Owner, Mailbox>,
    drafts: BTreeMap<SessionId, Draft>,
    next_session: u64,
}

impl State {
    pub(super) fn deposit(&mut self, deposit: PagerDeposit) -> Result<Deposited, StoreError> {
        check(&deposit.owner)?;
        deposit.key.check()?;
        let mailbox = self.mailboxes.entry(deposit.owner.clone()).or_default();
        if let Some((message_id, sequence)) = mailbox.repeated(&deposit.key, &deposit.sender) {
            return Ok(Deposited { message_id, repeated: true, counts: mailbox.counts, sequence });
        }
        let bytes = deposit.body.size();
        mailbox.admit(&deposit.quota, &deposit.sender, 1, bytes)?;
        mailbox.charge(&deposit.sender, 1, bytes);
        let head = head(ItemKind::Pager, deposit.envelope, deposit.now, deposit.ends, 1, bytes);
        let message = StoredMessage {
            message_id: Bytes::new(),
            content_type: None,
            headers: Vec::new(),
            size: bytes,
            received: deposit.now,
            content: settle(deposit.body),
        };
        let remember_until = deposit.now.after(deposit.remember);
        let origin = Origin { key: deposit.key, sender: deposit.sender, remember_until };
        let (message_id, sequence) = mailbox.enter(head, vec![message], origin);
        let counts = mailbox.counts;
        self.touched = true;
        Ok(Deposited { message_id, repeated: false, counts, sequence })
    }

    pub(super) fn room(&self, owner: &Owner, sender: &Owner, quota: Quota) -> Result<(), StoreError> {
        match self.mailboxes.get(owner) {
            Some(mailbox) => mailbox.admit(&quota, sender, 1, 1),
            None => Mailbox::default().admit(&quota, sender, 1, 1),
        }
    }

    pub(super) fn open_session(&mut self, session: SessionDeposit) -> Result<SessionId, StoreError> {
        check(&session.owner)?;
        session.key.check()?;
        self.room(&session.owner, &session.sender, session.quota)?;
        self.next_session += 1;
        let id = SessionId(self.next_session);
        self.drafts.insert(id, Draft { session, bundle: 0, messages: Vec::new(), beside: 0, text: true });
        Ok(id)
    }

    pub(super) fn append(&mut self, id: SessionId, mut message: NewMessage) -> Result<(), StoreError> {
        let draft = self.drafts.get_mut(&id).ok_or(StoreError::UnknownSession)?;
        message.keep_presented();
        let beside = draft.beside.saturating_add(message.beside());
        if draft.messages.len() >= MAX_SESSION_MESSAGES as usize || beside > MAX_BESIDE {
            return Err(StoreError::TooLarge { what: "session" });
        }
        let mailbox = self.mailboxes.entry(draft.session.owner.clone()).or_default();
        let first = u64::from(draft.messages.is_empty());
        let size = message.body.size();
        let counted = size.saturating_add(message.beside());
        mailbox.admit(&draft.session.quota, &draft.session.sender, first, counted)?;
        mailbox.charge(&draft.session.sender, first, counted);
        draft.beside = beside;
        if first == 1 {
            mailbox.next_bundle += 1;
            draft.bundle = mailbox.next_bundle;
        }
        draft.text &= message.text;
        draft.messages.push(StoredMessage {
            message_id: message.message_id,
            content_type: message.content_type,
            headers: message.headers,
            size,
            received: message.received,
            content: settle(message.body),
        });
        Ok(())
    }

    pub(super) fn close_session(&mut self, id: SessionId) -> Result<Option<Deposited>, StoreError> {
        let draft = self.drafts.remove(&id).ok_or(StoreError::UnknownSession)?;
        if draft.messages.is_empty() {
            return Ok(None);
        }
        self.changed.push(draft.session.owner.clone());
        Ok(Some(self.settle_draft(draft)))
    }

    fn settle_draft(&mut self, draft: Draft) -> Deposited {
        let Draft { session, messages, beside, text, .. } = draft;
        let mailbox = self.mailboxes.entry(session.owner).or_default();
        let bytes = messages.iter().map(|message| message.size).sum::<u64>().saturating_add(beside);
        let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        let envelope = Envelope { text, ..session.envelope };
        let head = head(ItemKind::Session, envelope, session.now, session.ends, count, bytes);
        let remember_until = session.now.after(session.remember);
        let origin = Origin { key: session.key, sender: session.sender, remember_until };
        let (message_id, sequence) = mailbox.enter(head, messages, origin);
        Deposited { message_id, repeated: false, counts: mailbox.counts, sequence }
    }

    pub(super) fn restart(&mut self) {
        self.closed = false;
        self.claims.clear();
        let mut drafts: Vec<Draft> = std::mem::take(&mut self.drafts).into_values().collect();
        drafts.retain(|draft| !draft.messages.is_empty());
        drafts.sort_by(|a, b| (&a.session.owner, a.bundle).cmp(&(&b.session.owner, b.bundle)));
        for draft in drafts {
            self.settle_draft(draft);
        }
    }

    pub(super) fn counts(&self, owner: &Owner) -> Counts {
        self.mailboxes.get(owner).map(|mailbox| mailbox.counts).unwrap_or_default()
    }

    pub(super) fn list(&self, owner: &Owner, query: ListQuery) -> Vec<ItemHead> {
        self.mailboxes.get(owner).map(|mailbox| mailbox.list(query)).unwrap_or_default()
    }

    pub(super) fn item(&self, owner: &Owner, id: &MessageId) -> Option<Item> {
        self.mailboxes.get(owner)?.item(id)
    }

    pub(super) fn mark_old(&mut self, owner: &Owner, id: &MessageId) -> Option<Counts> {
        let mailbox = self.mailboxes.get_mut(owner)?;
        self.touched = mailbox.mark_old(id)?;
        Some(mailbox.counts)
    }

    pub(super) fn delete(&mut self, owner: &Owner, id: &MessageId) -> Option<Counts> {
        let mailbox = self.mailboxes.get_mut(owner)?;
        let kept = mailbox.remove(id)?;
        let counts = mailbox.counts;
        self.discard(&kept);
        self.touched = true;
        Some(counts)
    }

    fn discard(&mut self, kept: &Kept) {
        for message in &kept.messages {
            if let Content::File(id) = message.content {
                self.contents.remove(&id);
            }
        }
    }

    pub(super) fn expire(&mut self, now: Timestamp, limit: usize) -> Expired {
        self.claims.retain(|_, (_, until)| *until > now);
        let mut due = self.due(now);
        let more = due.len() > limit;
        due.truncate(limit);
        let mut expired = Expired { removed: due.len(), more, ..Expired::default() };
        for end in due {
            let Some(owner) = self.end(end) else { continue };
            expired.items += 1;
            if !expired.owners.contains(&owner) {
                expired.owners.push(owner);
            }
        }
        // An item that is gone may be one to be forgotten at once.
        expired.more |= !self.due(now).is_empty();
        expired.owners.sort();
        self.changed.clone_from(&expired.owners);
        expired
    }

    /// All that has ended by `now`, the earliest first.
    fn due(&self, now: Timestamp) -> Vec<End> {
        let mut due = Vec::new();
        for (owner, mailbox) in &self.mailboxes {
            due.extend(mailbox.ended(now).into_iter().map(|(at, id)| (at, End::Item(owner.clone(), id))));
            due.extend(
                mailbox.forgettable(now).into_iter().map(|(at, id)| (at, End::Memory(owner.clone(), id))),
            );
        }
        let ended = self.subscriptions.values().filter(|record| record.expires <= now);
        due.extend(ended.map(|r| (r.expires, End::Subscription(r.owner.clone(), r.key.clone()))));
        due.sort();
        due.into_iter().map(|(_, end)| end).collect()
    }

    /// Ends one thing; the owner if an item of his went.
    fn end(&mut self, end: End) -> Option<Owner> {
        match end {
            End::Item(owner, id) => {
                let kept = self.mailboxes.get_mut(&owner)?.remove(&id)?;
                self.discard(&kept);
                Some(owner)
            }
            End::Memory(owner, id) => {
                self.mailboxes.get_mut(&owner)?.forget(&id);
                None
            }
            End::Subscription(owner, key) => {
                self.subscriptions.remove(&(owner, key));
                None
            }
        }
    }

    pub(super) fn claim(&mut self, key: Bytes, holder: Bytes, now: Timestamp, until: Timestamp) -> bool {
        if self.claims.get(&key).is_some_and(|(other, end)| *other != holder && *end > now) {
            return false;
        }
        self.claims.insert(key, (holder, until));
        true
    }
}

/// Something that ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Item(Owner, MessageId),
    Memory(Owner, MessageId),
    Subscription(Owner, Bytes),
}

fn check(owner: &Owner) -> Result<(), StoreError> {
    if owner.key().len() > MAX_KEY {
        return Err(StoreError::TooLarge { what: "owner" });
    }
    Ok(())
}

const fn head(
    kind: ItemKind,
    envelope: Envelope,
    arrived: Timestamp,
    ends: Timestamp,
    messages: u32,
    bytes: u64,
) -> ItemHead {
    let message_id = MessageId::EMPTY;
    ItemHead {
        message_id,
        kind,
        state: ItemState::New,
        sequence: 0,
        arrived,
        ends,
        envelope,
        messages,
        bytes,
    }
}

fn settle(body: Body) -> Content {
    match body {
        Body::Inline(bytes) => Content::Inline(bytes),
        Body::Staged(staged) => {
            let id = staged.content();
            staged.keep();
            Content::File(id)
        }
    }
}
