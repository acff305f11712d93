//! What is wrong with a configuration: always one line that names the place and the key.

use super::setting::Mismatch;
use std::fmt;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the file, counted from 1.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration file {}", path.display())]
    Unreadable {
        /// The file as it was named.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{origin}: {message}")]
    Syntax {
        /// Where.
        origin: Origin,
        /// What the parser says.
        message: String,
    },
    /// No such section.
    #[error("{origin}: unknown section `{section}`; `restante config` prints every section and key")]
    UnknownSection {
        /// Where.
        origin: Origin,
        /// Its name.
        section: String,
    },
    /// What should be a section is a value.
    #[error("{origin}: `{section}` is a section: write [{section}] and its keys below")]
    NotASection {
        /// Where.
        origin: Origin,
        /// Its name.
        section: String,
    },
    /// No such key.
    #[error("{origin}: unknown key `{key}`; `restante config` prints every section and key")]
    UnknownKey {
        /// Where.
        origin: Origin,
        /// The key with its section, `sip.listne`; of a variable, what follows the prefix.
        key: String,
    },
    /// The value does not fit the key.
    #[error("{origin}: {key}: {mismatch}")]
    BadValue {
        /// Where.
        origin: Origin,
        /// The key with its section.
        key: String,
        /// What was expected.
        mismatch: Mismatch,
    },
    /// The values are good each, but not together, or out of bounds.
    #[error("{origin}: {key}: {problem}")]
    Conflict {
        /// Where.
        origin: Origin,
        /// The key with its section.
        key: String,
        /// What is wrong.
        problem: String,
    },
}
