//! Responses (RFC 4975 7.2) and their status codes (section 10).

use bytes::{Bytes, BytesMut};

use super::encode::{put_paths, put_status, put_transaction};
use super::{Continuation, FrameKind, Head, MsrpUri, encode_end};

/// The comment that goes with a status code of RFC 4975 10; empty for others.
#[must_use]
pub const fn comment_of(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        408 => "Timeout",
        413 => "Stop Sending Message",
        415 => "Unsupported Media Type",
        423 => "Parameter Out of Bounds",
        481 => "No Such Session",
        501 => "Unknown Method",
        506 => "Session On Another Connection",
        _ => "",
    }
}

/// Appends a whole response.
pub fn encode_response(
    transaction: &[u8],
    status: u16,
    comment: &[u8],
    to: &[MsrpUri],
    from: &[MsrpUri],
    out: &mut BytesMut,
) {
    // RFC 4975 7.2: the transaction identifier MUST match that of the request; the continuation
    // flag will always contain a dollar sign.
    put_transaction(transaction, out);
    put_status(status, comment, out);
    put_paths(to, from, out);
    encode_end(transaction, Continuation::Complete, out);
}

/// The refusal of a request that no session takes (481, 506 ...), from the URI it was sent to; none
/// where the request is not to be answered.
#[must_use]
pub fn refuse(head: &Head, status: u16) -> Option<Bytes> {
    let to = reply_path(head)?;
    if !head.failure_report.wants(status) || head.to_path.is_empty() {
        return None;
    }
    let from = head.to_path.get(..1).unwrap_or_default();
    let mut out = BytesMut::new();
    encode_response(&head.transaction, status, comment_of(status).as_bytes(), to, from, &mut out);
    Some(out.freeze())
}

/// Where the response to a request goes; none where there must not be one.
pub(crate) fn reply_path(head: &Head) -> Option<&[MsrpUri]> {
    match head.kind {
        // RFC 4975 7.2: responses to SEND go to the first (leftmost) URI in the From-Path; those
        // to all other methods have the full path back to the original sender.
        FrameKind::Send => head.from_path.get(..1),
        FrameKind::Other(_) => (!head.from_path.is_empty()).then_some(&head.from_path),
        // RFC 4975 7.1.2: MSRP nodes MUST NOT send MSRP responses to REPORT requests.
        FrameKind::Report | FrameKind::Response { .. } => None,
    }
}
