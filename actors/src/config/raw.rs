//! A value as it stands in a file or in the environment, before its key gives it a type.

use toml::de::{DeTable, DeValue};

/// An untyped value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Raw {
    /// A TOML string.
    Text(String),
    /// A TOML integer.
    Integer(i64),
    /// A TOML integer that is less or more than any number may be; its digits.
    Vast(String),
    /// A TOML boolean.
    Boolean(bool),
    /// A TOML array.
    List(Vec<Raw>),
    /// What no key takes: a float, a date, a table; its name.
    Other(String),
    /// The text of an environment variable, which may stand for any type.
    Environment(String),
}

impl Raw {
    /// Takes over a parsed TOML value.
    pub fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
                Ok(number) => Self::Integer(number),
                Err(_) => Self::Vast(digits.to_string()),
            },
            DeValue::Boolean(flag) => Self::Boolean(*flag),
            DeValue::Array(entries) => {
                Self::List(entries.iter().map(|entry| Self::of(entry.get_ref())).collect())
            }
            DeValue::Float(digits) => Self::Other(format!("the float {}", digits.as_str())),
            DeValue::Datetime(moment) => Self::Other(format!("the date {moment}")),
            DeValue::Table(_) => Self::Other(String::from("a table")),
        }
    }

    /// The text, where this is one: a TOML string, or an environment variable (quoted or bare).
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Environment(text) => match toml_value(text) {
                Some(Self::Text(inner)) if text.trim_start().starts_with(['"', '\'']) => Some(inner),
                _ => Some(text.trim().to_owned()),
            },
            _ => None,
        }
    }

    /// The entries, where this is a list: a TOML array, or an environment variable in TOML or comma-separated.
    pub fn list(&self) -> Option<Vec<Raw>> {
        match self {
            Self::List(entries) => Some(entries.clone()),
            Self::Environment(text) if text.trim_start().starts_with('[') => match toml_value(text) {
                Some(Self::List(entries)) => Some(entries),
                // An IPv6 host in brackets begins like a TOML array and is none.
                _ => Some(separated(text)),
            },
            Self::Environment(text) => Some(separated(text)),
            _ => None,
        }
    }

    /// Says what was found, for an error message.
    pub fn found(&self) -> String {
        match self {
            Self::Text(text) | Self::Environment(text) => format!("`{}`", text.escape_default()),
            Self::Integer(number) => format!("the number {number}"),
            Self::Vast(digits) => format!("the number {digits}"),
            Self::Boolean(flag) => format!("{flag}"),
            Self::List(_) => String::from("a list"),
            Self::Other(what) => what.clone(),
        }
    }
}

fn separated(text: &str) -> Vec<Raw> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(|entry| Raw::Environment(entry.to_owned())).collect()
}

/// Reads `text` as one TOML value.
fn toml_value(text: &str) -> Option<Raw> {
    let line = format!("value = {text}");
    let table = DeTable::parse(&line).ok()?;
    let table = table.get_ref();
    // A line break in the variable could smuggle in further keys.
    (table.len() == 1).then(|| table.get("value").map(|value| Raw::of(value.get_ref()))).flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_text_may_be_bare_or_quoted() {
        assert_eq!(Raw::Environment("example.com ".into()).text().unwrap(), "example.com");
        assert_eq!(Raw::Environment("\"a b\"".into()).text().unwrap(), "a b");
        assert_eq!(Raw::Environment("'a b'".into()).text().unwrap(), "a b");
        assert_eq!(Raw::Environment("\"open".into()).text().unwrap(), "\"open");
        assert_eq!(Raw::Environment(String::new()).text().unwrap(), "");
    }

    #[test]
    fn an_environment_list_may_be_toml_or_separated_by_commas() {
        let bare = Raw::Environment("a, b,,".into()).list().unwrap();
        assert_eq!(bare, [Raw::Environment("a".into()), Raw::Environment("b".into())]);
        let quoted = Raw::Environment("[\"a\", 'b,c']".into()).list().unwrap();
        assert_eq!(quoted, [Raw::Text("a".into()), Raw::Text("b,c".into())]);
        assert_eq!(Raw::Environment(String::new()).list().unwrap(), []);
        assert_eq!(Raw::Environment("[::1]".into()).list().unwrap(), [Raw::Environment("[::1]".into())]);
        assert_eq!(Raw::Environment("[1]\nother = 2".into()).list().unwrap().len(), 1);
    }

    #[test]
    fn a_file_value_of_another_type_is_neither_text_nor_list() {
        assert_eq!(Raw::Integer(7).text(), None);
        assert_eq!(Raw::Text("a,b".into()).list(), None);
        assert_eq!(toml_value("0x10"), Some(Raw::Integer(16)));
        assert_eq!(toml_value("1_000"), Some(Raw::Integer(1000)));
        assert_eq!(toml_value("1.5"), Some(Raw::Other("the float 1.5".into())));
    }
}
