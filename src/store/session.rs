//! The deposit of a session, message by message.

use std::time::Duration;

use bytes::Bytes;

use super::{Body, DepositKey, Envelope, Owner, Quota};
use crate::time::Timestamp;

/// Names a session that is being deposited; it means nothing after the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// A session that begins.
#[derive(Clone, Debug)]
pub struct SessionDeposit {
    /// Whose mailbox it goes to.
    pub owner: Owner,
    /// Who deposits it, as he was identified: what he takes of the mailbox is counted.
    pub sender: Owner,
    /// The INVITE's identity, from which the item's id is made. The same again is another session.
    pub key: DepositKey,
    /// What is kept of the INVITE.
    pub envelope: Envelope,
    /// How much the mailbox may hold, this session included.
    pub quota: Quota,
    /// When it began.
    pub now: Timestamp,
    /// When the item ends; `Timestamp(u64::MAX)` is never.
    pub ends: Timestamp,
    /// How long after `now` the item's id stays taken, even if the item is gone.
    pub remember: Duration,
}

/// A complete message of a session.
#[derive(Debug)]
pub struct NewMessage {
    /// The MSRP Message-ID as sent.
    pub message_id: Bytes,
    /// The content type, if one was named.
    pub content_type: Option<Bytes>,
    /// Further headers to be kept with the content, names and values as sent.
    pub headers: Vec<(Bytes, Bytes)>,
    /// The content, byte for byte.
    pub body: Body,
    /// When it was complete.
    pub received: Timestamp,
    /// Whether its content is text; a session counts as text when all of its messages are.
    pub text: bool,
}

impl NewMessage {
    /// Leaves of the headers those that describe the content: no other is ever presented.
    pub fn keep_presented(&mut self) {
        self.headers
            .retain(|(name, _)| name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-")));
    }

    /// What it counts of a quota beside its content.
    #[must_use]
    pub fn beside(&self) -> u64 {
        beside_content(&self.message_id, self.content_type.as_ref(), &self.headers)
    }
}

/// What is kept with the content of a session's message counts as many bytes as it has.
#[must_use]
pub fn beside_content(message_id: &Bytes, content_type: Option<&Bytes>, headers: &[(Bytes, Bytes)]) -> u64 {
    let headers: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    (message_id.len() + content_type.map_or(0, Bytes::len) + headers) as u64
}
