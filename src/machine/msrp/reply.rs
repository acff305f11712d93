//! What a receiver says to the sender of a request: responses (RFC 4975 7.2) and success reports
//! (RFC 4975 7.1.3).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::token::Tokens;
use crate::wire::msrp::{
    ByteRange, Continuation, FailureReport, FrameKind, Head, MsrpUri, Status, comment_of, encode_end,
    encode_response, reply_path,
};

/// Responses and reports that wait to be written.
#[derive(Debug)]
pub(super) struct Replies {
    local: [MsrpUri; 1],
    /// The last From-Path, which nearly every frame has again.
    path: Arc<[MsrpUri]>,
    pub(super) buffer: BytesMut,
}

/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct Transaction {
    id: SmallVec<[u8; 32]>,
    pub(super) path: Arc<[MsrpUri]>,
    failure_report: FailureReport,
}

impl Replies {
    pub(super) fn new(local: MsrpUri) -> Self {
        Self { local: [local], path: Arc::from([]), buffer: BytesMut::new() }
    }

    /// What waits to be written, if anything.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        (!self.buffer.is_empty()).then(|| self.buffer.split().freeze())
    }

    /// Gives back the room in which replies were written.
    pub(super) fn rest(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// What is needed to answer a request later.
    pub(super) fn transaction(&mut self, head: &Head) -> Transaction {
        Transaction {
            id: SmallVec::from_slice(&head.transaction),
            path: self.path_of(&head.from_path),
            failure_report: head.failure_report,
        }
    }

    /// The path, without the buffer it came in.
    pub(super) fn path_of(&mut self, from: &[MsrpUri]) -> Arc<[MsrpUri]> {
        if *self.path != *from {
            self.path = from.iter().map(MsrpUri::detached).collect();
        }
        Arc::clone(&self.path)
    }

    /// Answers a request at once with an error, as far as it wants to hear one.
    pub(super) fn refuse(&mut self, head: &Head, status: u16) {
        // RFC 4975 7.2: it MUST immediately generate a response.
        let Some(to) = reply_path(head).filter(|_| head.failure_report.wants(status)) else { return };
        let comment = comment_of(status).as_bytes();
        encode_response(&head.transaction, status, comment, to, &self.local, &mut self.buffer);
    }

    /// Answers a SEND, as far as it wants to hear that; without a comment, with the usual one.
    pub(super) fn answer(&mut self, transaction: &Transaction, status: u16, comment: &[u8]) {
        if transaction.failure_report.wants(status) {
            let comment = if comment.is_empty() { comment_of(status).as_bytes() } else { comment };
            let to = transaction.path.get(..1).unwrap_or_default();
            encode_response(&transaction.id, status, comment, to, &self.local, &mut self.buffer);
        }
    }

    /// Reports a whole message as received.
    pub(super) fn report_success(
        &mut self,
        message_id: &Bytes,
        path: &[MsrpUri],
        size: u64,
        tokens: &mut Tokens,
    ) {
        // RFC 4975 7.1.3: To-Path is the From-Path value from the original request; Status has a
        // namespace of "000" and a status-code of "200".
        let transaction = Bytes::from(tokens.mint_identifier());
        let mut head = Head::new(FrameKind::Report, transaction, path.to_vec(), self.local.to_vec());
        head.message_id = Some(message_id.clone());
        head.byte_range = Some(ByteRange::whole(size));
        head.status = Some(Status { namespace: 0, code: 200, comment: Bytes::from_static(b"OK") });
        head.encode(false, &mut self.buffer);
        encode_end(&head.transaction, Continuation::Complete, &mut self.buffer);
    }
}
