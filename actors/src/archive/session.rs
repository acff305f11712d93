//! Sessions under way: drafts, which become items when they are closed or when the store is opened
//! after a crash.

use restante::store::{
    Deposited, Envelope, ItemHead, ItemKind, ItemState, MAX_SESSION_MESSAGES, MessageId, NewMessage, Owner,
    RecordId, SessionDeposit, SessionId, StoreError,
};

use super::keys;
use super::mailbox::check;
use super::record::{DraftRecord, ItemRecord, MessageRecord, Origin, Place};
use super::transaction::{Desk, Transaction};
use super::tree::{Tree, failed};

/// How many drafts one batch makes items of at opening.
const DRAFTS: usize = 256;

/// A session under way.
pub(super) struct Draft {
    session: SessionDeposit,
    /// Under which number its messages are kept; 0 before the first.
    bundle: u64,
    messages: u32,
    bytes: u64,
    text: bool,
}

impl Transaction<'_> {
    pub(super) fn open_session(
        &mut self,
        id: SessionId,
        session: SessionDeposit,
    ) -> Result<SessionId, StoreError> {
        check(&session.owner)?;
        session.key.check()?;
        session.quota.admit(&self.ledger(&session.owner)?.counts, 1, 1)?;
        self.desk.drafts.insert(id, Draft { session, bundle: 0, messages: 0, bytes: 0, text: true });
        Ok(id)
    }

    pub(super) fn append(&mut self, id: SessionId, message: NewMessage) -> Result<(), StoreError> {
        let Some(mut draft) = self.desk.drafts.remove(&id) else { return Err(StoreError::UnknownSession) };
        let outcome = self.append_to(&mut draft, message);
        self.desk.drafts.insert(id, draft);
        outcome
    }

    fn append_to(&mut self, draft: &mut Draft, message: NewMessage) -> Result<(), StoreError> {
        if draft.messages >= MAX_SESSION_MESSAGES {
            return Err(StoreError::TooLarge { what: "session" });
        }
        let owner = draft.session.owner.clone();
        let mut ledger = self.ledger(&owner)?;
        let first = draft.messages == 0;
        let size = message.body.size();
        draft.session.quota.admit(&ledger.counts, u64::from(first), size)?;
        ledger.counts.charge(u64::from(first), size);
        if first {
            ledger.last_bundle += 1;
            draft.bundle = ledger.last_bundle;
            let record = DraftRecord {
                origin: origin(&draft.session),
                envelope: draft.session.envelope.clone(),
                began: draft.session.now,
                ends: draft.session.ends,
            };
            self.put(keys::draft(&owner, draft.bundle), record.encode());
        }
        self.set_ledger(&owner, ledger);
        let record = MessageRecord {
            message_id: message.message_id,
            content_type: message.content_type,
            headers: message.headers,
            size,
            received: message.received,
            text: message.text,
            place: Place::Beside,
        };
        self.put_message(
            &RecordId { owner, bundle: draft.bundle, index: draft.messages },
            message.body,
            record,
        );
        draft.messages += 1;
        draft.bytes = draft.bytes.saturating_add(size);
        draft.text &= message.text;
        Ok(())
    }

    pub(super) fn close_session(&mut self, id: SessionId) -> Result<Option<Deposited>, StoreError> {
        let Some(draft) = self.desk.drafts.remove(&id) else { return Err(StoreError::UnknownSession) };
        if draft.messages == 0 {
            return Ok(None);
        }
        let origin = origin(&draft.session);
        let SessionDeposit { owner, envelope, now: began, ends, .. } = draft.session;
        let record = DraftRecord { origin, envelope, began, ends };
        self.settle(&owner, draft.bundle, record, draft.messages, draft.bytes, draft.text).map(Some)
    }

    /// Makes an item of a draft.
    fn settle(
        &mut self,
        owner: &Owner,
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
        let deposited = self.enter(owner, ItemRecord { head, origin: draft.origin, bundle, body: None })?;
        self.remove(keys::draft(owner, bundle));
        Ok(deposited)
    }

    /// Makes an item of a draft that an earlier process left.
    fn recover(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let Some((owner, bundle)) = keys::split(key).map(|(owner, _)| owner).zip(keys::last_number(key))
        else {
            self.tree.damaged(&Owner::default(), "draft", key);
            return Ok(());
        };
        let Some(draft) = DraftRecord::decode(value) else {
            self.tree.damaged(&owner, "draft", key);
            return Ok(());
        };
        let tally = self.tally(&owner, bundle)?;
        self.settle(&owner, bundle, draft, tally.messages, tally.bytes, tally.text)?;
        if tally.damaged {
            self.correct(&owner)?;
        }
        Ok(())
    }
}

fn origin(session: &SessionDeposit) -> Origin {
    Origin { key: session.key.clone(), remember_until: session.now.after(session.remember) }
}

/// Makes items of all drafts an earlier process left: what was acknowledged is never lost. Gives
/// their number.
pub(super) fn recover_drafts(tree: &Tree, desk: &mut Desk) -> Result<usize, StoreError> {
    let mut recovered = 0;
    let mut from = keys::DRAFTS.to_vec();
    loop {
        let mut drafts = Vec::with_capacity(DRAFTS);
        for guard in tree.records.range(from.clone()..vec![keys::DRAFTS[0] + 1]).take(DRAFTS) {
            drafts.push(guard.into_inner().map_err(failed)?);
        }
        let Some((last, _)) = drafts.last() else { return Ok(recovered) };
        from = last.to_vec();
        from.push(0);
        recovered += drafts.len();
        let mut transaction = Transaction::new(tree, desk);
        for (key, value) in &drafts {
            transaction.recover(key, value)?;
        }
        transaction.commit()?;
    }
}
