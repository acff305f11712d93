//! What is logged: a level, or the directives that RUST_LOG takes too.

use super::setting::text_setting;
use super::values::Malformed;
use std::fmt;
use std::str::FromStr;
use tracing_subscriber::EnvFilter;

/// Directives that are known to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// The life cycle of the node, and what went wrong.
    pub fn info() -> Self {
        Self(String::from("info"))
    }

    /// The directives.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LogFilter {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let text = text.trim();
        // The filter's own parser takes a misspelt level for a target, and would log nothing else.
        let level = |word: &str| {
            ["off", "error", "warn", "info", "debug", "trace"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(word))
        };
        let plain = text.split(',').all(|part| level(part.trim()) || part.contains(['=', '[', ']', '}']));
        if text.is_empty() || !plain || EnvFilter::try_new(text).is_err() {
            return Err(Malformed);
        }
        Ok(Self(text.to_owned()))
    }
}

text_setting!(
    LogFilter,
    "a level (error, warn, info, debug, trace, off) or directives, as info,restante_node=debug"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_told_from_typos() {
        for good in
            ["info", "OFF", "warn,restante_node=debug", "restante_node::store[deposit{mailbox=x}]=trace"]
        {
            assert!(good.parse::<LogFilter>().is_ok(), "{good}");
        }
        for bad in ["", "loud", "info,verbose", "restante_node=loud"] {
            assert_eq!(bad.parse::<LogFilter>(), Err(Malformed), "{bad}");
        }
    }
}
