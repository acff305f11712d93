//! A subscription as it is written down.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Notifier, Phase};
use crate::machine::sip::dialog::Dialog;
use crate::machine::sip::written;
use crate::time::{Instant, Timestamp};

/// What is written down of a subscription to survive a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifierRecord {
    /// The dialog.
    pub dialog: Dialog,
    /// Our Contact value.
    pub contact: String,
    /// The Event value.
    #[serde(serialize_with = "written::text")]
    pub event: Bytes,
    /// When it ends unless it is refreshed.
    pub expires: Timestamp,
}

impl Notifier {
    /// What to write down; `None` where it is over or about to be. `now` and `wall` are the same
    /// moment by both clocks.
    #[must_use]
    pub fn record(&self, now: Instant, wall: Timestamp) -> Option<NotifierRecord> {
        self.is_active().then(|| NotifierRecord {
            dialog: self.dialog.clone(),
            contact: self.contact.clone(),
            event: self.event.clone(),
            expires: wall.after(self.expires - now),
        })
    }

    /// The subscription as it was written down; a NOTIFY is due at once, for nobody knows what was
    /// missed. The sequence number leaps ahead of what may have been sent since.
    #[must_use]
    pub fn restore(record: NotifierRecord, now: Instant, wall: Timestamp, min_interval: Duration) -> Self {
        let mut dialog = record.dialog;
        dialog.skip(1 << 16);
        dialog.forgive();
        Self {
            dialog,
            contact: record.contact,
            event: record.event,
            flow: None,
            min_interval,
            expires: now + record.expires.saturating_since(wall),
            phase: Phase::Active,
            busy: None,
            news: Some((now, true)),
            last: None,
            unresolved: 0,
            lost: None,
        }
    }
}
