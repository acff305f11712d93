//! Expiry in small steps, along the index of ends.

use std::collections::BTreeSet;
use std::time::Duration;

use restante::store::{Expired, Owner, StoreError};
use restante::time::Timestamp;

use super::ends::{self, End, Ending};
use super::keys::{self, Key};
use super::lookup;
use super::transaction::Transaction;
use super::tree::Source;

/// The most things one step ends, whatever was asked, and the most messages of items that are gone already which it
/// removes: deposits wait meanwhile.
const STEP: usize = 1024;

/// How many holes in the index of ends one step passes over.
const HOLES: usize = 16;

/// When that is tried again which could not be ended because a record of it could not be read.
const LATER: Duration = Duration::from_secs(3600);

impl Transaction<'_> {
    pub(super) fn expire(&mut self, now: Timestamp, limit: usize) -> Result<Expired, StoreError> {
        let mut left = limit.clamp(1, STEP);
        let mut expired = Expired::default();
        let mut owners = BTreeSet::new();
        let (due, mut behind) = self.due(now, left);
        for key in due {
            if left == 0 {
                behind = behind.map(|behind| behind.min(key));
                break;
            }
            // A step that ended anything may have more behind it: an item that is gone may be one
            // to be forgotten at once.
            let Ok(group) = self.take_group(&key) else {
                behind = behind.map(|behind| behind.min(key));
                continue;
            };
            expired.more = true;
            let Some(group) = group else { continue };
            let (due, later): (Vec<_>, Vec<_>) = group.into_iter().partition(|(at, _)| *at <= now);
            let (ending, rest) = due.split_at(due.len().min(left));
            self.put_group(&[rest, &later].concat())?;
            left -= ending.len();
            for (_, end) in ending {
                match self.whole(|it| it.end(now, end, &mut owners)) {
                    Ok(ended) => {
                        expired.removed += usize::from(ended);
                        expired.items += usize::from(ended && matches!(end, End::Item(..)));
                    }
                    // The others do not wait for it. It has an end again, for it may be read some day.
                    Err(_) => self.add_end(now.after(LATER), end.clone()),
                }
            }
        }
        if let Some(behind) = behind {
            self.desk.ends.rise(behind);
        }
        expired.more |= self.whole(|it| it.remove_remains(STEP)).unwrap_or_default();
        expired.owners = owners.into_iter().collect();
        Ok(expired)
    }

    /// The keys of up to `limit` groups that begin by `now`, as the disk has them, and the first key under which others
    /// may be. What cannot be read of the index is passed over: then nobody knows the latter.
    fn due(&self, now: Timestamp, limit: usize) -> (Vec<Key>, Option<Key>) {
        let (moment, end) = (self.tree.moment(), keys::ends_after(now));
        let mut due: Vec<Key> = Vec::new();
        let mut from = self.desk.ends.first().clone();
        // A clock that was put back.
        if from >= end {
            return (due, None);
        }
        for holes in 0..HOLES {
            let mut unread = false;
            for record in moment.range(from.clone(), end.clone()).take(limit - due.len()) {
                match record {
                    Ok((key, _)) => due.push(key),
                    Err(_) => unread = true,
                }
                if unread {
                    break;
                }
            }
            if !unread {
                // Who has his fill goes on behind the last.
                let behind = if due.len() < limit { Some(end) } else { due.last().cloned() };
                return (due, behind.filter(|_| holes == 0));
            }
            let last = due.last().unwrap_or(&from);
            self.tree.damaged("part of the index of ends", last);
            let last = keys::time_of(last).unwrap_or_default();
            from =
                keys::ends(Timestamp(moment.behind_damage(last, |at| keys::ends(Timestamp(at), 0), &end)), 0);
            if from >= end {
                break;
            }
        }
        (due, None)
    }

    /// Takes a group out of the index; `None` when it went in the same batch already.
    fn take_group(&mut self, key: &Key) -> Result<Option<Vec<Ending>>, StoreError> {
        let Some(value) = self.fetch(key)? else { return Ok(None) };
        self.remove(key.clone());
        let group = ends::decode(&value);
        if group.is_none() {
            // What it named stays until it is retrieved or deleted.
            self.tree.damaged("group of ends", key);
        }
        Ok(group)
    }

    /// Ends one thing; whether there was anything to end.
    fn end(&mut self, now: Timestamp, end: &End, owners: &mut BTreeSet<Owner>) -> Result<bool, StoreError> {
        match end {
            End::Item(mailbox, sequence) => {
                let Some(seat) = self.mailbox_of_number(*mailbox)? else { return Ok(false) };
                let Some(record) = lookup::item(self, *mailbox, *sequence)? else { return Ok(false) };
                // Where a damaged store gave a number again, it is another item's end.
                if record.as_ref().is_some_and(|record| record.head.ends > now) {
                    return Ok(false);
                }
                self.remove_item(seat, *sequence, record.map(Box::new))?;
                owners.insert(self.at(seat).ledger.owner.clone());
                Ok(true)
            }
            End::Memory(mailbox, place, sequence) => self.forget(*mailbox, *place, *sequence),
            End::Subscription(cursor) => self.end_subscription(now, cursor),
        }
    }
}
