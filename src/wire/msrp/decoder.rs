//! The framing of an MSRP byte stream (RFC 4975 5.1 and 7.1): heads are cut out whole, bodies flow
//! through as slices of the input, and only what could be the beginning of an end-line is held back.

use bytes::{Buf, Bytes, BytesMut};

use super::{Continuation, Head, end_line, parse};

/// What may come over a connection at most.
#[derive(Clone, Copy, Debug)]
pub struct DecoderLimits {
    /// Bytes of a head, from the start line to the blank line or the end-line.
    pub header_bytes: usize,
}

impl Default for DecoderLimits {
    fn default() -> Self {
        Self { header_bytes: 16 * 1024 }
    }
}

/// A part of the stream. A frame is one `Head`, any number of `Body`, and one `End`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Start line and header fields.
    Head(Box<Head>),
    /// The next bytes of the body; never empty.
    Body(Bytes),
    /// The end-line.
    End(Continuation),
}

/// Tells why a stream can no longer be divided into frames. The connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame does not begin with `MSRP `.
    #[error("not MSRP")]
    NotMsrp,
    /// The transaction identifier is not 4 to 32 characters of `ident`.
    #[error("malformed transaction identifier")]
    Transaction,
    /// Neither a method nor a status code follows the transaction identifier.
    #[error("malformed start line")]
    StartLine,
    /// A head is longer than the limit.
    #[error("head of more than {limit} bytes")]
    HeadTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

/// Divides a byte stream into [`Piece`]s.
///
/// Append what arrives to a buffer and call [`Decoder::decode`] until it gives none; the buffer
/// then holds less than a head, or less than an end-line.
#[derive(Debug)]
pub struct Decoder {
    limits: DecoderLimits,
    state: State,
    /// `CRLF ------- transaction`, of the frame at hand.
    needle: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Inside a head: `line` is where the current line begins, `scanned` how far it was searched
    /// for its end.
    Head { line: usize, scanned: usize },
    /// Inside a body, before which `lead` bytes in the buffer do not belong to it: the CRLF of the
    /// blank line, which an end-line straight after it may count as its own.
    Body { lead: usize },
    /// The end-line was read together with what came before it.
    End(Continuation),
    /// Framing is lost.
    Broken(FrameError),
}

const NEW_FRAME: State = State::Head { line: 0, scanned: 0 };

impl Decoder {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub const fn new(limits: DecoderLimits) -> Self {
        Self { limits, state: NEW_FRAME, needle: Vec::new() }
    }

    /// Takes the next piece off the front of `buffer`; none when more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`] when the stream is no MSRP; every later call gives the same.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, FrameError> {
        match self.state {
            State::Head { line, scanned } => {
                let piece = self.decode_head(buffer, line, scanned);
                if let Err(error) = piece {
                    self.state = State::Broken(error);
                }
                piece
            }
            State::Body { lead } => Ok(self.decode_body(buffer, lead)),
            State::End(continuation) => {
                self.state = NEW_FRAME;
                Ok(Some(Piece::End(continuation)))
            }
            State::Broken(error) => Err(error),
        }
    }

    /// Whether the stream stands between two frames.
    #[must_use]
    pub const fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Head { line: 0, scanned: 0 })
    }

    fn decode_head(
        &mut self,
        buffer: &mut BytesMut,
        mut line: usize,
        mut scanned: usize,
    ) -> Result<Option<Piece>, FrameError> {
        if line == 0 {
            if skip_blank_lines(buffer) {
                return Ok(None);
            }
            if !buffer.iter().zip(parse::MAGIC).all(|(byte, magic)| byte == magic) {
                return Err(FrameError::NotMsrp);
            }
        }
        let limit = self.limits.header_bytes;
        while let Some(found) = memchr::memchr(b'\n', buffer.get(scanned..).unwrap_or_default()) {
            let next = scanned + found + 1;
            if next > limit {
                return Err(FrameError::HeadTooLarge { limit });
            }
            scanned = next;
            let Some(text) = buffer.get(line..next).and_then(|l| l.strip_suffix(b"\r\n")) else { continue };
            if line == 0 {
                self.begin(text)?;
            } else if text.is_empty() {
                self.state = State::Body { lead: 2 };
                return Ok(Some(self.take_head(buffer, line, true)));
            } else if let Some(continuation) = self.end_line(text) {
                self.state = State::End(continuation);
                let head = self.take_head(buffer, line, false);
                buffer.advance(next - line);
                return Ok(Some(head));
            }
            line = next;
        }
        if buffer.len() > limit {
            return Err(FrameError::HeadTooLarge { limit });
        }
        self.state = State::Head { line, scanned: buffer.len() };
        Ok(None)
    }

    fn begin(&mut self, start_line: &[u8]) -> Result<(), FrameError> {
        let end = parse::transaction_end(start_line)?;
        self.needle.clear();
        self.needle.extend_from_slice(end_line::LINE);
        self.needle.extend_from_slice(start_line.get(parse::MAGIC.len()..end).unwrap_or_default());
        Ok(())
    }

    fn take_head(&self, buffer: &mut BytesMut, length: usize, has_body: bool) -> Piece {
        let block = buffer.split_to(length).freeze();
        let transaction_end = parse::MAGIC.len() + self.needle.len() - end_line::LINE.len();
        Piece::Head(Box::new(parse::head(&block, transaction_end, has_body)))
    }

    fn end_line(&self, line: &[u8]) -> Option<Continuation> {
        match line.strip_prefix(self.needle.get(2..)?)? {
            [flag] => Continuation::from_flag(*flag),
            _ => None,
        }
    }

    fn decode_body(&mut self, buffer: &mut BytesMut, lead: usize) -> Option<Piece> {
        let mut from = 0;
        while let Some(at) = end_line::find(&self.needle, buffer, from) {
            let after = at + self.needle.len();
            if let Some([flag, b'\r', b'\n', ..]) = buffer.get(after..)
                && let Some(continuation) = Continuation::from_flag(*flag)
            {
                let body = take_body(buffer, lead, at);
                buffer.advance(after + 3 - at);
                self.state = if body.is_some() { State::End(continuation) } else { NEW_FRAME };
                return Some(body.unwrap_or(Piece::End(continuation)));
            }
            from = at + 2;
        }
        let held = self.held_back(buffer);
        if held < lead {
            return None;
        }
        let body = take_body(buffer, lead, held);
        self.state = State::Body { lead: 0 };
        body
    }

    /// Where the longest tail of `buffer` begins that more bytes could make an end-line.
    fn held_back(&self, buffer: &[u8]) -> usize {
        let window = buffer.len().saturating_sub(self.needle.len() + 2);
        let tail = buffer.get(window..).unwrap_or_default();
        let mut returns = memchr::memchr_iter(b'\r', tail);
        let begins = |at: &usize| self.could_be_end_line(tail.get(*at..).unwrap_or_default());
        window + returns.find(begins).unwrap_or(tail.len())
    }

    fn could_be_end_line(&self, text: &[u8]) -> bool {
        match text.strip_prefix(self.needle.as_slice()) {
            Some([flag]) | Some([flag, b'\r']) => Continuation::from_flag(*flag).is_some(),
            Some(rest) => rest.is_empty(),
            None => self.needle.starts_with(text),
        }
    }
}

/// Drops CRLFs between frames, which some peers send to keep a connection alive. Says whether the
/// buffer now begins with half of one.
fn skip_blank_lines(buffer: &mut BytesMut) -> bool {
    while buffer.starts_with(b"\r\n") {
        buffer.advance(2);
    }
    buffer.as_ref() == b"\r"
}

/// Takes `buffer` up to `end`, and gives what of it lies after `lead`.
fn take_body(buffer: &mut BytesMut, lead: usize, end: usize) -> Option<Piece> {
    let mut body = buffer.split_to(end);
    body.advance(lead.min(end));
    (!body.is_empty()).then(|| Piece::Body(body.freeze()))
}
