//! How a typed value is read from, and shown as, configuration text.

use super::raw::Raw;
use std::net::SocketAddr;
use std::num::{IntErrorKind, ParseIntError};
use std::path::PathBuf;

/// Why a value does not fit its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The value is of another type or syntax.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What a good value looks like.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// The value is of the type, but less or more than any may be.
    #[error("expected {least} to {most}, found {found}")]
    OutOfBounds {
        /// The least.
        least: &'static str,
        /// The most.
        most: String,
        /// What stands there.
        found: String,
    },
    /// The value is understood, but this version cannot do it.
    #[error("`{value}`: {feature} is not supported yet; {instead}")]
    Unsupported {
        /// The value.
        value: String,
        /// What it asks for.
        feature: &'static str,
        /// What to write in its place.
        instead: &'static str,
    },
}

/// A type that a key can have.
pub trait Setting: Sized {
    /// What a value looks like, after "expected".
    fn expected() -> String;
    /// Reads a value.
    ///
    /// # Errors
    /// A [`Mismatch`] says what was expected.
    fn read(raw: &Raw) -> Result<Self, Mismatch>;
    /// Shows the value as TOML text that [`Setting::read`] takes back.
    fn show(&self) -> String;
}

/// The mismatch of a value with what `T` expects.
pub fn mismatch<T: Setting>(raw: &Raw) -> Mismatch {
    Mismatch::Expected { expected: T::expected(), found: raw.found() }
}

/// The mismatch of a value that is none from `least` to `most`.
pub fn out_of_bounds(raw: &Raw, least: &'static str, most: impl ToString) -> Mismatch {
    Mismatch::OutOfBounds { least, most: most.to_string(), found: raw.found() }
}

/// Quotes text as a TOML string.
pub fn quoted(text: impl ToString) -> String {
    toml::Value::String(text.to_string()).to_string()
}

impl Setting for bool {
    fn expected() -> String {
        String::from("true or false")
    }

    fn read(raw: &Raw) -> Result<Self, Mismatch> {
        match raw {
            Raw::Boolean(flag) => Ok(*flag),
            Raw::Environment(text) => text.trim().parse().map_err(|_| mismatch::<Self>(raw)),
            _ => Err(mismatch::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// Whether a text is a number, but less or more than its type can be.
pub fn is_overflow(error: &ParseIntError) -> bool {
    matches!(error.kind(), IntErrorKind::PosOverflow | IntErrorKind::NegOverflow)
}

macro_rules! whole_number {
    ($($kind:ty),+) => { $(
        impl Setting for $kind {
            fn expected() -> String {
                String::from("a whole number")
            }

            fn read(raw: &Raw) -> Result<Self, Mismatch> {
                // No number of a file is larger than TOML's.
                let most = || i128::try_from(<$kind>::MAX).unwrap_or(i128::MAX).min(i128::from(i64::MAX));
                let beyond = || out_of_bounds(raw, "0", most());
                let number = match raw {
                    Raw::Integer(number) => *number,
                    Raw::Vast(_) => return Err(beyond()),
                    Raw::Environment(text) => match text.trim().replace('_', "").parse() {
                        Ok(number) => number,
                        Err(error) if is_overflow(&error) => return Err(beyond()),
                        Err(_) => return Err(mismatch::<Self>(raw)),
                    },
                    _ => return Err(mismatch::<Self>(raw)),
                };
                <$kind>::try_from(number).map_err(|_| beyond())
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )+ };
}

whole_number!(u32, u64, usize);

impl Setting for String {
    fn expected() -> String {
        String::from("text")
    }

    fn read(raw: &Raw) -> Result<Self, Mismatch> {
        raw.text().ok_or_else(|| mismatch::<Self>(raw))
    }

    fn show(&self) -> String {
        quoted(self)
    }
}

impl Setting for PathBuf {
    fn expected() -> String {
        String::from("the path of a file")
    }

    fn read(raw: &Raw) -> Result<Self, Mismatch> {
        raw.text().filter(|text| !text.is_empty()).map(Self::from).ok_or_else(|| mismatch::<Self>(raw))
    }

    fn show(&self) -> String {
        quoted(self.display())
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn expected() -> String {
        format!("a list; each entry: {}", T::expected())
    }

    fn read(raw: &Raw) -> Result<Self, Mismatch> {
        raw.list().ok_or_else(|| mismatch::<Self>(raw))?.iter().map(T::read).collect()
    }

    fn show(&self) -> String {
        let entries: Vec<String> = self.iter().map(T::show).collect();
        format!("[{}]", entries.join(", "))
    }
}

/// The empty string stands for none.
impl<T: Setting> Setting for Option<T> {
    fn expected() -> String {
        format!("{}, or \"\" for none", T::expected())
    }

    fn read(raw: &Raw) -> Result<Self, Mismatch> {
        if raw.text().is_some_and(|text| text.is_empty()) {
            return Ok(None);
        }
        T::read(raw).map(Some)
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), T::show)
    }
}

/// Makes a type that is written as text, by `FromStr` and `Display`, a [`Setting`].
macro_rules! text_setting {
    ($kind:ty, $expected:expr) => {
        impl $crate::config::setting::Setting for $kind {
            fn expected() -> String {
                String::from($expected)
            }

            fn read(raw: &$crate::config::raw::Raw) -> Result<Self, $crate::config::setting::Mismatch> {
                let value = raw.text().and_then(|text| text.parse().ok());
                value.ok_or_else(|| $crate::config::setting::mismatch::<Self>(raw))
            }

            fn show(&self) -> String {
                $crate::config::setting::quoted(self)
            }
        }
    };
}

pub(super) use text_setting;

text_setting!(SocketAddr, "an IP address and port, as 127.0.0.1:8080 or [::1]:8080");
text_setting!(ipnet::IpNet, "a network, as 10.0.0.0/8 or ::1/128");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_bounded_by_their_type() {
        assert_eq!(usize::read(&Raw::Integer(5)), Ok(5));
        assert_eq!(u32::read(&Raw::Environment(" 1_000 ".into())), Ok(1000));
        for bad in
            [Raw::Integer(-1), Raw::Text("5".into()), Raw::Boolean(true), Raw::Environment("5x".into())]
        {
            assert!(u64::read(&bad).is_err(), "{bad:?}");
        }
        assert!(u32::read(&Raw::Integer(1 << 40)).is_err());
    }

    #[test]
    fn a_mismatch_says_what_was_expected_and_found() {
        let problem = bool::read(&Raw::Text("yes".into())).unwrap_err();
        assert_eq!(problem.to_string(), "expected true or false, found `yes`");
        let problem = Vec::<u32>::read(&Raw::List(vec![Raw::Integer(1), Raw::Text("a".into())])).unwrap_err();
        assert_eq!(problem.to_string(), "expected a whole number, found `a`");
    }

    #[test]
    fn the_empty_text_is_none() {
        assert_eq!(Option::<SocketAddr>::read(&Raw::Text(String::new())), Ok(None));
        assert_eq!(Option::<SocketAddr>::read(&Raw::Environment(String::new())), Ok(None));
        let address: SocketAddr = "[::1]:0".parse().unwrap();
        assert_eq!(Option::<SocketAddr>::read(&Raw::Text("[::1]:0".into())), Ok(Some(address)));
        assert!(Option::<SocketAddr>::read(&Raw::Text("localhost".into())).is_err());
    }

    #[test]
    fn text_is_shown_as_toml() {
        assert_eq!(String::from("a \"b\"\n").show(), quoted("a \"b\"\n"));
        let read_back: toml::Table = format!("v = {}", quoted("a \"b\"\n\\")).parse().unwrap();
        assert_eq!(read_back["v"].as_str(), Some("a \"b\"\n\\"));
    }
}
