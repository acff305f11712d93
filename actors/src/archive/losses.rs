//! Items that have lost a part, as [`salvage`](super::salvage()) finds them: what is left of a session stays, and what has
//! nothing left is gone, so that nobody is told of what he cannot have.

use restante::store::StoreError;

use super::content::Files;
use super::desk::SeatId;
use super::keys::{self, IdHash, MailboxId, MessageKey};
use super::mend::BundleTally;
use super::record::{DraftRecord, ItemRecord, MessageRecord, Place, decode_body};
use super::transaction::Transaction;
use super::tree::Source as _;

impl Transaction<'_> {
    /// Makes of an item what can be read of it. The ledger is to be corrected then.
    pub(super) fn cut_item(
        &mut self,
        seat: SeatId,
        sequence: u64,
        mut record: ItemRecord,
        files: &Files,
    ) -> Result<(), StoreError> {
        if record.body.is_some() {
            return Ok(());
        }
        let mailbox = self.at(seat).mailbox;
        let left = self.close_gaps(mailbox, record.bundle, record.head.messages, files)?;
        if left.messages == record.head.messages {
            return Ok(());
        }
        let (messages, still) = (record.head.messages, left.messages);
        tracing::warn!(mailbox = mailbox.0, sequence, messages, left = still, "an item has lost messages");
        if left.messages == 0 {
            let place = IdHash::of(&record.head.message_id).place;
            self.remove_item(seat, sequence, Some(Box::new(record)))?;
            // Sent again, it is another deposit: nothing of the first is kept.
            self.forget(mailbox, place, sequence)?;
            return Ok(());
        }
        (record.head.messages, record.head.bytes) = (left.messages, left.bytes);
        record.head.envelope.text = left.text;
        self.write(keys::item(mailbox, sequence), |encoder| record.encode(encoder));
        Ok(())
    }

    /// Makes of the drafts of a mailbox what can be read of them.
    pub(super) fn cut_drafts(&mut self, mailbox: MailboxId, files: &Files) -> Result<(), StoreError> {
        for (key, value) in self.scan(&keys::drafts(mailbox))? {
            let bundle = keys::last_number(&key).unwrap_or_default();
            let messages = self.tally(mailbox, bundle)?.messages;
            let left = self.close_gaps(mailbox, bundle, messages, files)?.messages;
            if left == 0 && DraftRecord::decode(&value).is_some() {
                self.remove(key);
            }
        }
        Ok(())
    }

    /// Removes what cannot be read of so many messages, and has the others follow each other; what they amount to.
    fn close_gaps(
        &mut self,
        mailbox: MailboxId,
        bundle: u64,
        messages: u32,
        files: &Files,
    ) -> Result<BundleTally, StoreError> {
        let mut left = BundleTally { messages: 0, bytes: 0, text: true, damaged: false };
        for index in 0..messages {
            let id = MessageKey { mailbox, bundle, index };
            let body = self.fetch(&keys::body(id))?;
            let has_body = body.as_deref().is_some_and(|body| decode_body(body).is_some());
            let value = self.fetch(&keys::message(id))?;
            let record = value.as_deref().and_then(MessageRecord::decode);
            let record = record.filter(|record| match record.place {
                Place::Here(_) => true,
                Place::Beside => has_body,
                Place::File(file) => {
                    let there = files.have(file, record.size);
                    if !there {
                        // What is left of it is swept when the store is opened.
                        self.remove(keys::file(file));
                    }
                    there
                }
            });
            if record.is_none() || left.messages != index {
                self.remove(keys::message(id));
                self.remove(keys::body(id));
            }
            let Some(record) = record else { continue };
            if left.messages != index {
                let id = MessageKey { index: left.messages, ..id };
                self.write(keys::message(id), |encoder| record.encode(encoder));
                if let Some(body) = body {
                    self.put(keys::body(id), body);
                }
            }
            left.messages += 1;
            left.bytes = left.bytes.saturating_add(record.size).saturating_add(record.beside());
            left.text &= record.text;
        }
        Ok(left)
    }
}
