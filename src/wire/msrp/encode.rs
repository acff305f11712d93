//! From a [`Head`] to its bytes (RFC 4975 7.1 and 9).

use std::fmt::Write as _;

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::wire::line::printable;

use super::{ByteRange, Continuation, FailureReport, FrameKind, Head, MsrpUri, end_line};

impl Head {
    /// Appends start line and header fields, and the blank line where a body follows.
    ///
    /// A control character inside a value is written as a space: a value cannot become a header field.
    pub fn encode(&self, has_body: bool, out: &mut BytesMut) {
        put_transaction(&self.transaction, out);
        match &self.kind {
            FrameKind::Send => out.put_slice(b"SEND"),
            FrameKind::Report => out.put_slice(b"REPORT"),
            FrameKind::Other(method) => put_text(method, out),
            FrameKind::Response { status, comment } => put_status(*status, comment, out),
        }
        put_paths(&self.to_path, &self.from_path, out);
        self.encode_fields(out);
        if has_body {
            put_body_follows(self.content_type.as_deref(), out);
        }
    }

    fn encode_fields(&self, out: &mut BytesMut) {
        if let Some(message_id) = &self.message_id {
            put_field(b"Message-ID", message_id, out);
        }
        if let Some(range) = self.byte_range {
            let _ = write!(out, "Byte-Range: {range}\r\n");
        }
        if self.success_report {
            out.put_slice(b"Success-Report: yes\r\n");
        }
        match self.failure_report {
            FailureReport::Yes => {}
            FailureReport::No => out.put_slice(b"Failure-Report: no\r\n"),
            FailureReport::Partial => out.put_slice(b"Failure-Report: partial\r\n"),
        }
        if let Some(status) = &self.status {
            let _ = write!(out, "Status: {:03} ", status.namespace % 1000);
            put_status(status.code, &status.comment, out);
            out.put_slice(b"\r\n");
        }
        for (name, value) in &self.others {
            put_field(name, value, out);
        }
    }
}

/// What a SEND with a small body takes, in bytes.
const ROOM: usize = 1024;

/// What a SEND says, borrowed: to be written as [`Head::encode`] would, and not kept.
#[derive(Clone, Copy, Debug)]
pub struct SendHead<'a> {
    /// The transaction identifier: 4 to 32 characters.
    pub transaction: &'a [u8],
    /// Where the frame goes; the leftmost is visited first.
    pub to_path: &'a [MsrpUri],
    /// Where the frame comes from; the leftmost is the previous hop.
    pub from_path: &'a [MsrpUri],
    /// Message-ID.
    pub message_id: &'a [u8],
    /// Byte-Range.
    pub byte_range: ByteRange,
    /// All other header fields in order: name and value.
    pub others: &'a [(Bytes, Bytes)],
    /// Content-Type, where a body follows.
    pub content_type: Option<&'a [u8]>,
}

impl SendHead<'_> {
    /// Appends start line and header fields, and the blank line where a body follows.
    ///
    /// A control character inside a value is written as a space: a value cannot become a header field.
    pub fn encode(&self, out: &mut BytesMut) {
        // Most heads, and a small body, without finding memory again and again.
        out.reserve(ROOM);
        put_transaction(self.transaction, out);
        out.put_slice(b"SEND");
        put_paths(self.to_path, self.from_path, out);
        put_field(b"Message-ID", self.message_id, out);
        let _ = write!(out, "Byte-Range: {}\r\n", self.byte_range);
        for (name, value) in self.others {
            put_field(name, value, out);
        }
        if self.content_type.is_some() {
            put_body_follows(self.content_type, out);
        }
    }
}

/// The start line, up to the method or status.
pub(super) fn put_transaction(transaction: &[u8], out: &mut BytesMut) {
    out.put_slice(b"MSRP ");
    out.put_slice(transaction);
    out.put_u8(b' ');
}

/// The end of the start line, and the paths behind it.
pub(super) fn put_paths(to: &[MsrpUri], from: &[MsrpUri], out: &mut BytesMut) {
    out.put_slice(b"\r\n");
    put_path(b"To-Path:", to, out);
    put_path(b"From-Path:", from, out);
}

/// RFC 4975 7.1: a request with no body MUST NOT include a Content-Type; with a body, it MUST be the last field,
/// separated from the body with an extra CRLF.
fn put_body_follows(content_type: Option<&[u8]>, out: &mut BytesMut) {
    if let Some(content_type) = content_type {
        put_field(b"Content-Type", content_type, out);
    }
    out.put_slice(b"\r\n");
}

/// Appends the end-line of a frame. After a body, write its CRLF first.
pub fn encode_end(transaction: &[u8], continuation: Continuation, out: &mut BytesMut) {
    // RFC 4975 7.1: seven "-", the transaction ID as used in the start line, and a flag character.
    out.put_slice(end_line::DASHES);
    out.put_slice(transaction);
    out.put_u8(continuation.flag());
    out.put_slice(b"\r\n");
}

/// Appends `code comment`, or the code alone.
pub(super) fn put_status(code: u16, comment: &[u8], out: &mut BytesMut) {
    let _ = write!(out, "{:03}", code % 1000);
    if !comment.is_empty() {
        out.put_u8(b' ');
        put_text(comment, out);
    }
}

/// Appends a path header field.
fn put_path(name: &[u8], path: &[MsrpUri], out: &mut BytesMut) {
    out.put_slice(name);
    for uri in path {
        out.put_u8(b' ');
        out.put_slice(uri.as_bytes());
    }
    out.put_slice(b"\r\n");
}

fn put_field(name: &[u8], value: &[u8], out: &mut BytesMut) {
    put_text(name, out);
    out.put_slice(b": ");
    put_text(value, out);
    out.put_slice(b"\r\n");
}

fn put_text(text: &[u8], out: &mut BytesMut) {
    out.put_slice(&printable(text));
}
