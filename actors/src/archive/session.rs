//! Sessions under way: drafts, which become items when they are closed or when the store is opened
//! after a crash.

use restante::store::{
    Deposited, Envelope, ItemHead, ItemKind, ItemState, MAX_BESIDE, MAX_SESSION_MESSAGES, MessageId,
    NewMessage, SessionDeposit, SessionId, StoreError,
};

use super::desk::{Desk, SeatId};
use super::keys::{self, Key, MessageKey};
use super::record::{DraftRecord, ItemRecord, MessageRecord, Origin, Place};
use super::transaction::{CommitError, Committed, Transaction, unavailable};
use super::tree::{Durable, Tree};

/// How many drafts one batch makes items of at opening.
const DRAFTS: usize = 256;

/// A session under way.
pub(super) struct Draft {
    session: SessionDeposit,
    /// Under which number its messages are kept; 0 before the first.
    bundle: u64,
    messages: u32,
    /// What they count of the quota.
    bytes: u64,
    /// What of that is not their contents.
    beside: u64,
    text: bool,
}

impl Transaction<'_> {
    pub(super) fn open_session(
        &mut self,
        id: SessionId,
        session: SessionDeposit,
    ) -> Result<SessionId, StoreError> {
        session.key.check()?;
        self.room(&session.owner, &session.sender, &session.quota)?;
        let draft = Draft { session, bundle: 0, messages: 0, bytes: 0, beside: 0, text: true };
        self.desk.drafts.insert(id, draft);
        Ok(id)
    }

    pub(super) fn append(&mut self, id: SessionId, message: NewMessage) -> Result<(), StoreError> {
        let Some(mut draft) = self.desk.drafts.remove(&id) else { return Err(StoreError::UnknownSession) };
        let outcome = self.append_to(&mut draft, message);
        self.desk.drafts.insert(id, draft);
        outcome
    }

    fn append_to(&mut self, draft: &mut Draft, mut message: NewMessage) -> Result<(), StoreError> {
        message.keep_presented();
        let beside = draft.beside.saturating_add(message.beside());
        if draft.messages >= MAX_SESSION_MESSAGES || beside > MAX_BESIDE {
            return Err(StoreError::TooLarge { what: "session" });
        }
        let SessionDeposit { owner, sender, quota, .. } = &draft.session;
        let seat = self.mailbox_or_new(owner)?;
        let first = u64::from(draft.messages == 0);
        let size = message.body.size();
        let counted = size.saturating_add(message.beside());
        self.admit(seat, sender, quota, first, counted)?;
        self.charge(seat, sender, first, counted)?;
        let ledger = self.ledger_mut(seat);
        if first == 1 {
            ledger.last_bundle += 1;
            draft.bundle = ledger.last_bundle;
            let record = DraftRecord {
                origin: origin(&draft.session),
                envelope: draft.session.envelope.clone(),
                began: draft.session.now,
                ends: draft.session.ends,
            };
            let mailbox = self.at(seat).mailbox;
            self.write(keys::draft(mailbox, draft.bundle), |encoder| record.encode(encoder));
        }
        let record = MessageRecord {
            message_id: message.message_id,
            content_type: message.content_type,
            headers: message.headers,
            size,
            received: message.received,
            text: message.text,
            place: Place::Beside,
        };
        let mailbox = self.at(seat).mailbox;
        let id = MessageKey { mailbox, bundle: draft.bundle, index: draft.messages };
        self.put_message(id, message.body, record);
        draft.messages += 1;
        draft.bytes = draft.bytes.saturating_add(counted);
        draft.beside = beside;
        draft.text &= message.text;
        Ok(())
    }

    pub(super) fn close_session(&mut self, id: SessionId) -> Result<Option<Deposited>, StoreError> {
        let Some(draft) = self.desk.drafts.get(&id) else { return Err(StoreError::UnknownSession) };
        let deposited = if draft.messages == 0 {
            None
        } else {
            let SessionDeposit { owner, envelope, now: began, ends, .. } = draft.session.clone();
            let record = DraftRecord { origin: origin(&draft.session), envelope, began, ends };
            let (bundle, messages, bytes, text) = (draft.bundle, draft.messages, draft.bytes, draft.text);
            let seat = self.mailbox_or_new(&owner)?;
            Some(self.settle(seat, bundle, record, messages, bytes, text)?)
        };
        // Whoever hears that a record could not be read may close it again.
        self.desk.drafts.remove(&id);
        Ok(deposited)
    }

    /// Makes an item of a draft.
    fn settle(
        &mut self,
        seat: SeatId,
        bundle: u64,
        draft: DraftRecord,
        messages: u32,
        bytes: u64,
        text: bool,
    ) -> Result<Deposited, StoreError> {
        let head = ItemHead {
            message_id: MessageId::EMPTY,
            kind: ItemKind::Session,
            state: ItemState::New,
            sequence: 0,
            arrived: draft.began,
            ends: draft.ends,
            envelope: Envelope { text, ..draft.envelope },
            messages,
            bytes,
        };
        let plain = self.standing(seat, &MessageId::new(draft.origin.key.call_id.clone()))?;
        let record = ItemRecord { head, origin: draft.origin, bundle, body: None };
        let deposited = self.enter(seat, plain, record)?;
        // What it holds was counted before: it must not be added to a ledger once more.
        self.touch(seat);
        self.remove(keys::draft(self.at(seat).mailbox, bundle));
        Ok(deposited)
    }

    /// Makes an item of a draft that nobody goes on with; `false` where somebody does, or it is damaged.
    fn recover(&mut self, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        let found = match keys::mailbox_of(key) {
            Some(mailbox) => self.mailbox_of_number(mailbox)?,
            None => None,
        };
        let (Some(seat), Some(draft)) = (found, DraftRecord::decode(value)) else {
            self.tree.damaged("draft", key);
            return Ok(false);
        };
        let bundle = keys::last_number(key).unwrap_or_default();
        let owner = &self.at(seat).ledger.owner;
        if self.desk.drafts.values().any(|it| it.bundle == bundle && it.session.owner == *owner) {
            return Ok(false);
        }
        let tally = self.tally(self.at(seat).mailbox, bundle)?;
        self.settle(seat, bundle, draft, tally.messages, tally.bytes, tally.text)?;
        if tally.damaged {
            self.correct(seat)?;
        }
        Ok(true)
    }
}

fn origin(session: &SessionDeposit) -> Origin {
    let remember_until = session.now.after(session.remember);
    Origin { key: session.key.clone(), sender: session.sender.clone(), remember_until }
}

/// What has become of drafts that nobody goes on with.
pub(super) struct Recovered {
    pub(super) items: usize,
    /// How many are none yet, because a record of theirs could not be read.
    pub(super) unread: usize,
    /// What is to be done now that it is on the disk, a batch each.
    pub(super) committed: Vec<Committed>,
}

/// Why drafts are no items yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotRecovered {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}", unavailable(*.0))]
    Commit(CommitError),
}

impl From<CommitError> for NotRecovered {
    fn from(error: CommitError) -> Self {
        Self::Commit(error)
    }
}

impl From<NotRecovered> for StoreError {
    fn from(error: NotRecovered) -> Self {
        match error {
            NotRecovered::Store(error) => error,
            NotRecovered::Commit(error) => unavailable(error),
        }
    }
}

/// Makes items of all drafts that nobody goes on with, because the process ended or the desk was cleared: what was
/// acknowledged is never lost, and never hidden for longer than need be.
///
/// # Errors
/// The drafts could not be read, or a batch not be written: the rest is left as it was.
pub(super) fn recover_drafts(tree: &Tree, desk: &mut Desk) -> Result<Recovered, NotRecovered> {
    let mut recovered = Recovered { items: 0, unread: 0, committed: Vec::new() };
    let mut from = Key::from(keys::DRAFTS);
    loop {
        let left = tree.moment().range(from, keys::behind(keys::DRAFTS));
        let drafts = left.take(DRAFTS).collect::<Result<Vec<_>, _>>()?;
        let Some((last, _)) = drafts.last() else { return Ok(recovered) };
        // The first key behind the last one.
        from = Key::from([last, &[0][..]].concat());
        let mut transaction = Transaction::new(tree, desk);
        for (key, value) in &drafts {
            match transaction.operation(|it| it.recover(key, value)) {
                Ok(became) => recovered.items += usize::from(became),
                // The others have no part in that.
                Err(StoreError::Unavailable(_)) => recovered.unread += 1,
                Err(error) => return Err(error.into()),
            }
        }
        recovered.committed.push(transaction.commit(Durable::First)?);
    }
}
