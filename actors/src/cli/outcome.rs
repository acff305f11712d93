//! How the client's commands end: exit codes that a script can use.
//!
//! | code | what |
//! |---|---|
//! | 0 | done |
//! | 1 | something failed on this machine: a file, a socket, stdout |
//! | 2 | the command line or the account is wrong |
//! | 3 | the node cannot be reached, does not answer, or broke off |
//! | 4 | the node refuses it |
//! | 5 | the node does not accept who asks: name or password |
//! | 6 | some of it is done, some is not |
//! | 7 | nothing waits |
//! | 8 | the node does not prove to be who it must be: its certificate |
//! | 130 | interrupted by Ctrl-C |

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use crate::client::{ClientError, Refusal, visible};

/// How a command ended that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Partly,
    Nothing,
}

/// What a 404 means to one who leaves something.
pub(super) const UNKNOWN_RECIPIENT: &str = "the node keeps nothing for that address";

/// Tells a person that nothing waits; a script sees it in the exit code.
pub(super) fn tell_nothing(json: bool) {
    if !json && io::stderr().is_terminal() {
        eprintln!("nothing new waits");
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Partly => 6,
            Outcome::Nothing => 7,
        })
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(super) enum Trouble {
    Client(ClientError),
    /// The same, and what that may mean here.
    Advised(ClientError, &'static str),
    Local(String),
    Usage(String),
    Interrupted,
    /// Whoever reads stdout has seen enough.
    EnoughSeen,
}

impl Trouble {
    /// Says it on stderr, in one line; gives the exit code.
    pub(super) fn tell(&self) -> ExitCode {
        let (code, text) = match self {
            Self::Client(error) => (code(error), format!("{error}{}", advice(error))),
            Self::Advised(error, advice) => (code(error), format!("{error} ({advice})")),
            Self::Local(text) => (1, text.clone()),
            Self::Usage(text) => (2, text.clone()),
            Self::Interrupted => (130, "interrupted".to_owned()),
            Self::EnoughSeen => return ExitCode::SUCCESS,
        };
        let text = visible(text.as_bytes()).lines().map(str::trim).collect::<Vec<_>>().join(" ");
        eprintln!("restante: {text}");
        ExitCode::from(code)
    }
}

/// What can be done about it, where that is not told by what is wrong.
const fn advice(error: &ClientError) -> &'static str {
    match error {
        ClientError::Untrusted { .. } => {
            " (--ca FILE names an authority to believe, --pin FINGERPRINT the one certificate)"
        }
        ClientError::Unauthorized { user: None } => " (give one by --password-file FILE)",
        ClientError::Unauthorized { user: Some(_) } => " (--user, --password-file)",
        _ => "",
    }
}

const fn code(error: &ClientError) -> u8 {
    match error {
        ClientError::Refused(Refusal { status, .. }) => match status.0 {
            401 | 403 | 407 => 5,
            408 | 503 | 504 => 3,
            _ => 4,
        },
        ClientError::MessageRefused(_) => 4,
        ClientError::Unauthorized { .. } => 5,
        ClientError::Untrusted { .. } => 8,
        ClientError::Unreachable { .. } | ClientError::Msrp(_) | ClientError::Ended(_) => 3,
        ClientError::Address(_) | ClientError::Node { .. } | ClientError::Tls(_) => 2,
        ClientError::Io(_) | ClientError::Closed => 1,
    }
}

/// An error, with `advice` where it is a refusal with `status` that says nothing itself.
pub(super) fn advised(status: u16, advice: &'static str) -> impl Fn(ClientError) -> Trouble {
    move |error| match &error {
        ClientError::Refused(refusal) if refusal.status.0 == status && refusal.warning.is_none() => {
            Trouble::Advised(error, advice)
        }
        _ => error.into(),
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::EnoughSeen,
            _ => Self::Local(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use restante::wire::sip::StatusCode;

    #[test]
    fn a_script_can_tell_what_went_wrong() {
        let refused = |status| {
            let reason = String::new();
            ClientError::Refused(Refusal {
                status: StatusCode(status),
                reason,
                warning: None,
                retry_after: None,
            })
        };
        for (status, expected) in [(404, 4), (480, 4), (401, 5), (403, 5), (503, 3), (408, 3)] {
            assert_eq!(code(&refused(status)), expected, "{status}");
        }
        let unreachable = ClientError::Unreachable { node: "tcp:h:1".into(), cause: "no answer".into() };
        assert_eq!(code(&unreachable), 3);
        let untrusted = ClientError::Untrusted { peer: "tls:h".into(), cause: "expired".into() };
        assert!(code(&untrusted) == 8 && advice(&untrusted).contains("--ca"));
        let unauthorized = ClientError::Unauthorized { user: Some("bob".into()) };
        assert_eq!(code(&unauthorized), 5);
        assert_eq!(unauthorized.to_string(), "the node does not accept the name `bob` or its password");
        assert_eq!(code(&ClientError::Io(io::ErrorKind::NotFound.into())), 1);
        assert!(matches!(Trouble::from(io::Error::from(io::ErrorKind::BrokenPipe)), Trouble::EnoughSeen));
    }
}
