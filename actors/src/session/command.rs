//! What a Focus or Recorder wants of its MSRP session.

use actix::Message;
use restante::focus::fan_out::Participant;
use restante::machine::msrp::{IncomingId, Verdict};
use restante::wire::fingerprint::Fingerprint;
use restante::wire::msrp::MsrpUri;

use crate::virtual_ua::Frame;

/// Frames of a participant, to be sent as one piece.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Deliver {
    /// Whose they are.
    pub participant: Participant,
    /// For which of the session's connections, counted from 0: for a former one they come too late.
    pub round: u32,
    /// In order; a body belongs to the message begun last by this participant.
    pub frames: Vec<Frame>,
}

/// What becomes of a message that was received whole.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Judge {
    /// Which one.
    pub id: IncomingId,
    /// Stored, or refused with a status.
    pub verdict: Verdict,
}

/// The message that this participant has begun and not finished is given up.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Withdraw {
    /// Whose it is.
    pub participant: Participant,
}

/// The other side is known, or known anew.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Join {
    /// The client's path, in memory of its own: the session keeps it.
    pub remote: Vec<MsrpUri>,
    /// The fingerprints of which the client's certificate must have one, where it told some.
    pub fingerprints: Vec<Fingerprint>,
    /// Whether we open the connection.
    pub connect: bool,
    /// Whether the session leaves its connection for another: what is under way is forgotten.
    pub anew: bool,
}

/// The session is over.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Close;
