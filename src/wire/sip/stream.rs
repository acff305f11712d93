//! Messages on a stream (RFC 3261 7.5, 18.3; keep-alives of RFC 5626 3.5.1).

use bytes::{Buf, BytesMut};

use super::error::{Limits, ParseError};
use super::head::{Fault, Head, body_fault, head_length, refuse};
use super::message::Message;
use super::status::StatusCode;

/// Cuts a stream into messages.
///
/// Append what was received to one buffer, then call [`StreamDecoder::decode`] until it returns
/// `None`. However the stream is cut into reads, the events are the same.
#[derive(Debug)]
pub struct StreamDecoder {
    limits: Limits,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Between messages; whether a CRLF that may be half a keep-alive has just been eaten.
    Idle { half_ping: bool },
    /// Inside a head, of which so many bytes hold no end.
    Head { scanned: usize },
    /// The head was read, so many bytes of body belong to it.
    Body { message: Box<Message>, length: usize },
    /// So many bytes of a refused message's body are to be thrown away.
    Skip { left: usize },
    /// Out of step for good.
    Broken,
}

/// What a stream yields.
#[derive(Debug)]
pub enum StreamEvent {
    /// A message.
    Message(Message),
    /// A keep-alive; to be answered with CRLF (RFC 5626 3.5.1).
    Ping,
    /// A message that is framed but cannot be processed; the stream is still in step.
    Malformed(ParseError),
    /// The stream cannot be kept in step: answer where possible, then close. Nothing more follows.
    Broken(ParseError),
}

/// What ends a head: as much of it may be at the end of what has been searched.
const END: &[u8] = b"\r\n\r\n";

impl StreamDecoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, state: State::Idle { half_ping: false } }
    }

    /// The next event; `None` when `buffer` holds none and needs more bytes, or the stream is broken.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Option<StreamEvent> {
        loop {
            match &mut self.state {
                State::Idle { half_ping } => {
                    // RFC 3261 7.5: CRLF before a start line MUST be ignored
                    match (buffer.first(), buffer.get(1)) {
                        (None, _) | (Some(b'\r'), None) => return None,
                        (Some(b'\r'), Some(b'\n')) => {
                            buffer.advance(2);
                            *half_ping = !*half_ping;
                            // RFC 5626 3.5.1: a double CRLF is a ping
                            if !*half_ping {
                                return Some(StreamEvent::Ping);
                            }
                        }
                        _ => self.state = State::Head { scanned: 0 },
                    }
                }
                State::Head { scanned } => {
                    let from = scanned.saturating_sub(END.len() - 1);
                    let unseen = buffer.get(from..).unwrap_or_default();
                    let Some(found) = head_length(unseen) else {
                        *scanned = buffer.len();
                        return self.unfinished_head(buffer);
                    };
                    let length = from + found;
                    if length > self.limits.message {
                        return self.unfinished_head(buffer);
                    }
                    let text = buffer.split_to(length).freeze();
                    if let Some(event) = self.head(Head::parse(&text, &self.limits), length) {
                        return Some(event);
                    }
                }
                State::Body { length, .. } if buffer.len() < *length => return None,
                State::Body { length, .. } => {
                    let body = buffer.split_to(*length).freeze();
                    let idle = State::Idle { half_ping: false };
                    if let State::Body { mut message, .. } = std::mem::replace(&mut self.state, idle) {
                        message.set_body(body);
                        return Some(StreamEvent::Message(*message));
                    }
                }
                State::Skip { left } => {
                    let now = buffer.len().min(*left);
                    buffer.advance(now);
                    *left -= now;
                    if *left > 0 {
                        return None;
                    }
                    self.state = State::Idle { half_ping: false };
                }
                State::Broken => {
                    buffer.clear();
                    return None;
                }
            }
        }
    }

    /// Whether the stream stands between two messages: closing it now loses nothing.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle { .. })
    }

    /// A head whose end has not come: waits, or gives up when the limit is reached.
    fn unfinished_head(&mut self, buffer: &mut BytesMut) -> Option<StreamEvent> {
        if buffer.len() <= self.limits.message {
            return None;
        }
        let mut text = buffer.split_to(self.limits.message).freeze();
        // The last line may be cut off: what is left of it says nothing.
        text.truncate(memchr::memmem::rfind(&text, b"\r\n").map_or(0, |end| end + 2));
        let head = Head::parse(&text, &self.limits);
        Some(self.give_up(head, Fault::new(StatusCode::REQUEST_ENTITY_TOO_LARGE, "Message too large")))
    }

    /// Decides how a head that ended goes on; an event when the message is refused.
    fn head(&mut self, head: Head, size: usize) -> Option<StreamEvent> {
        let length = match head.content_length() {
            // RFC 3261 20.14: over a stream Content-Length MUST be used
            Ok(None) => return Some(self.give_up(head, Fault::bad("Missing Content-Length"))),
            // RFC 4475 3.1.2.3, 3.3.9: the framing error is not recoverable
            Err(fault) => return Some(self.give_up(head, fault)),
            Ok(Some(length)) => length,
        };
        if !head.framed {
            return Some(self.give_up(head, Fault::bad("Line not ended by CRLF")));
        }
        let too_large = || {
            (size.saturating_add(length) > self.limits.message)
                .then(|| Fault::new(StatusCode::REQUEST_ENTITY_TOO_LARGE, "Message too large"))
        };
        let fault = body_fault(length, &self.limits).or_else(too_large);
        if head.fault.is_none() && fault.is_none() {
            self.state = State::Body { message: Box::new(head.message), length };
            return None;
        }
        self.state = State::Skip { left: length };
        let fault = head.fault.or(fault)?;
        Some(StreamEvent::Malformed(refuse(head.message, fault)))
    }

    /// Ends the stream; the head's own fault is named first.
    fn give_up(&mut self, head: Head, fault: Fault) -> StreamEvent {
        self.state = State::Broken;
        StreamEvent::Broken(refuse(head.message, head.fault.unwrap_or(fault)))
    }
}
