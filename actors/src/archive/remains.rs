//! What is left of items that are gone: the messages of a small one go with it, those of a large one step by step, for
//! whatever is deposited waits meanwhile. A record says how far that has come, so that it goes on after a crash.

use fjall::Slice;
use restante::store::StoreError;

use super::codec::{Decoder, Encoder};
use super::keys::{self, MailboxId, MessageKey};
use super::record::{MessageRecord, Place};
use super::transaction::Transaction;
use super::tree::Source;

/// How many messages go with their item.
const AT_ONCE: u32 = 4;

impl Transaction<'_> {
    /// Removes the messages of an item, or notes that they are to be removed.
    pub(super) fn remove_messages(
        &mut self,
        mailbox: MailboxId,
        bundle: u64,
        messages: u32,
    ) -> Result<(), StoreError> {
        if messages > AT_ONCE {
            let key = keys::remains(mailbox, bundle);
            self.desk.remains.written(&key);
            self.write(key, |encoder| encode_next(0, encoder));
            return Ok(());
        }
        for index in 0..messages {
            let id = MessageKey { mailbox, bundle, index };
            let value = self.fetch(&keys::message(id))?;
            self.remove_message(id, value.as_deref());
        }
        Ok(())
    }

    fn remove_message(&mut self, id: MessageKey, value: Option<&[u8]>) {
        match value.and_then(MessageRecord::decode).map(|message| message.place) {
            Some(Place::File(file)) => self.unlink(file),
            Some(Place::Here(_)) => {}
            Some(Place::Beside) | None => self.remove(keys::body(id)),
        }
        self.remove(keys::message(id));
    }

    /// Removes up to `left` messages that are left of items; whether there are more.
    pub(super) fn remove_remains(&mut self, mut left: usize) -> Result<bool, StoreError> {
        let (moment, behind) = (self.tree.moment(), keys::behind(keys::REMAINS));
        let first = self.desk.remains.first().clone();
        if first >= behind {
            return Ok(false);
        }
        for record in moment.range(first, behind.clone()) {
            let Ok((key, _)) = record else {
                self.tree.damaged("part of what remains of items", &keys::REMAINS);
                return Ok(false);
            };
            // It went in the same batch already.
            let Some(value) = self.fetch(&key)? else { continue };
            let (Some(mailbox), Some(bundle)) = (keys::mailbox_of(&key), keys::last_number(&key)) else {
                continue;
            };
            let message = |index| keys::message(MessageKey { mailbox, bundle, index });
            let end = keys::messages(mailbox, bundle.saturating_add(1));
            // Where nobody knows how far it has come it begins anew.
            let mut next = Some(decode_next(&value).unwrap_or_default());
            for record in moment.range(message(next.unwrap_or_default()), end.clone()).take(left) {
                match record {
                    Ok((key, value)) => {
                        let index = keys::index(&key).unwrap_or_default();
                        self.remove_message(MessageKey { mailbox, bundle, index }, Some(&value));
                        next = index.checked_add(1);
                        left -= 1;
                    }
                    Err(_) => {
                        let unread = u64::from(next.unwrap_or_default());
                        self.tree.damaged("message", &message(next.unwrap_or_default()));
                        let index = |number| u32::try_from(number).unwrap_or(u32::MAX);
                        next =
                            u32::try_from(moment.behind_damage(unread, |at| message(index(at)), &end)).ok();
                        left = 0;
                    }
                }
                if left == 0 {
                    break;
                }
            }
            match next.filter(|_| left == 0) {
                Some(next) => self.write(key.clone(), |encoder| encode_next(next, encoder)),
                None => self.remove(key.clone()),
            }
            if left == 0 {
                self.desk.remains.rise(key);
                return Ok(true);
            }
        }
        self.desk.remains.rise(behind);
        Ok(false)
    }
}

/// The message that is removed next.
fn encode_next(index: u32, encoder: &mut Encoder) -> Slice {
    encoder.begin().number(u64::from(index)).finish()
}

fn decode_next(record: &[u8]) -> Option<u32> {
    Decoder::new(record)?.small()
}
