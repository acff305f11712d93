//! What an arrow says: kept as it was at hand, and written out when somebody reads it.

use std::borrow::Cow;
use std::fmt;

use restante::focus::fan_out::Participant;

/// What was said over MSRP, or between the actors of a retrieval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A SEND.
    Send {
        /// Its Message-ID, where the ladder is to show it.
        message_id: Option<Box<[u8]>>,
        /// Its Content-Type.
        content_type: Box<[u8]>,
        /// Bytes of the whole message, where they are known.
        total: Option<u64>,
    },
    /// The answer to a SEND: an MSRP status (RFC 4975 10).
    Answer(u16),
    /// Credit for one piece.
    Grant,
    /// A piece of a stored message.
    Replayed {
        /// Its bytes.
        bytes: usize,
        /// Whether another follows.
        more: bool,
    },
    /// Something else, in words.
    Words(Cow<'static, str>),
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send { message_id, content_type, total } => {
                f.write_str("SEND ")?;
                if let Some(message_id) = message_id {
                    write!(f, "{} ", message_id.escape_ascii())?;
                }
                write!(f, "{} ", content_type.escape_ascii())?;
                match total {
                    Some(total) => write!(f, "{total} bytes"),
                    None => f.write_str("* bytes"),
                }
            }
            Self::Answer(200) => f.write_str("200 OK (SEND)"),
            Self::Answer(status) => write!(f, "{status} (SEND)"),
            Self::Grant => f.write_str("Grant"),
            Self::Replayed { bytes, more } => {
                write!(f, "Replayed {bytes} bytes{}", if *more { ", more follows" } else { "" })
            }
            Self::Words(words) => f.write_str(words),
        }
    }
}

/// The column of a retrieval's focus.
pub const FOCUS: &str = "focus";

/// An actor of a retrieval: a column of its ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The focus.
    Focus,
    /// The virtual user agent of this participant.
    VirtualUa(Participant),
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Focus => f.write_str(FOCUS),
            Self::VirtualUa(participant) => write!(f, "virtual UA {}", participant + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_a_ladder_shows_it() {
        let send = |message_id: Option<&[u8]>, total| Said::Send {
            message_id: message_id.map(Into::into),
            content_type: b"text/plain\x07"[..].into(),
            total,
        };
        for (said, shown) in [
            (send(Some(b"m1"), Some(5)), "SEND m1 text/plain\\x07 5 bytes"),
            (send(None, None), "SEND text/plain\\x07 * bytes"),
            (Said::Answer(200), "200 OK (SEND)"),
            (Said::Answer(413), "413 (SEND)"),
            (Said::Grant, "Grant"),
            (Said::Replayed { bytes: 7, more: true }, "Replayed 7 bytes, more follows"),
            (Said::Replayed { bytes: 7, more: false }, "Replayed 7 bytes"),
            (Said::Words("message cut off".into()), "message cut off"),
        ] {
            assert_eq!(said.to_string(), shown);
        }
        assert_eq!([Column::Focus, Column::VirtualUa(0)].map(|it| it.to_string()), ["focus", "virtual UA 1"]);
    }
}
