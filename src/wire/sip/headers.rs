//! The header fields of a message, in order (RFC 3261 7.3), and the splitting of lists.

use bytes::Bytes;

use super::grammar::{closing_quote, share, trim};
use super::header_name::HeaderName;

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: HeaderName,
    /// Its value: unfolded, trimmed, otherwise byte for byte as it came.
    pub value: Bytes,
}

/// The header fields of a message, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// No fields yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// No fields yet, room for `count`.
    #[must_use]
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// The value of the first field called `name`.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&Bytes> {
        self.all(name).next()
    }

    /// Whether a field called `name` is there.
    #[must_use]
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// The values of all fields called `name`, in order, each as it stands.
    pub fn all<'a, 'n>(&'a self, name: &'n HeaderName) -> impl Iterator<Item = &'a Bytes> + use<'a, 'n> {
        self.0.iter().filter(move |header| header.name == *name).map(|header| &header.value)
    }

    /// The elements of the comma-separated lists in all fields called `name`, in order.
    ///
    /// Commas inside quoted strings and angle brackets do not separate. Not for fields whose value
    /// is no list (Date, Subject, Authorization ...).
    pub fn values<'a, 'n>(&'a self, name: &'n HeaderName) -> impl Iterator<Item = Bytes> + use<'a, 'n> {
        // RFC 3261 7.3.1: fields of one name are one list, joined by commas, in order
        self.all(name).flat_map(split_list)
    }

    /// Appends a field.
    pub fn push(&mut self, name: HeaderName, value: impl Into<Bytes>) {
        self.0.push(Header { name, value: value.into() });
    }

    /// Puts a field before all others.
    pub fn push_front(&mut self, name: HeaderName, value: impl Into<Bytes>) {
        self.0.insert(0, Header { name, value: value.into() });
    }

    /// Replaces the first field called `name` in its place, drops the others of that name, and
    /// appends the field when there was none.
    pub fn set(&mut self, name: HeaderName, value: impl Into<Bytes>) {
        let mut value = Some(value.into());
        self.0.retain_mut(|header| {
            if header.name != name {
                return true;
            }
            value.take().is_some_and(|value| {
                header.value = value;
                true
            })
        });
        if let Some(value) = value {
            self.push(name, value);
        }
    }

    /// Drops all fields called `name`; says how many there were.
    pub fn remove(&mut self, name: &HeaderName) -> usize {
        let before = self.0.len();
        self.0.retain(|header| header.name != *name);
        before - self.0.len()
    }

    /// The fields in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.iter()
    }

    /// How many fields there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no field.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn first_mut(&mut self, name: &HeaderName) -> Option<&mut Bytes> {
        self.0.iter_mut().find(|header| header.name == *name).map(|header| &mut header.value)
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<T: IntoIterator<Item = Header>>(headers: T) -> Self {
        Self(headers.into_iter().collect())
    }
}

/// The trimmed elements of the comma-separated list `value`; empty ones included.
pub(super) fn split_list(value: &Bytes) -> impl Iterator<Item = Bytes> + use<'_> {
    elements(value).map(|element| share(value, element))
}

/// As [`split_list`], not taken out of the list.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = element_end(text);
        rest = text.get(end + 1..);
        Some(trim(text.get(..end).unwrap_or_default()))
    })
}

/// Where the first element of a list ends: at a comma outside quotes and brackets, or at the end.
/// What is opened and never closed reaches to the end, so that a list is split in linear time.
pub(super) fn element_end(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(found) = memchr::memchr3(b',', b'"', b'<', rest) else { break };
        at += found;
        let rest = text.get(at..).unwrap_or_default();
        at += match rest.first() {
            Some(b'"') => closing_quote(rest).unwrap_or(rest.len()),
            Some(b'<') => memchr::memchr(b'>', rest).map_or(rest.len(), |end| end + 1),
            _ => return at,
        };
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &'static str) -> Vec<Bytes> {
        split_list(&Bytes::from_static(text.as_bytes())).collect()
    }

    // proves RFC 3261 7.3.1: a list is split at its commas, not at those inside a value
    #[test]
    fn lists_are_split_outside_quotes_and_brackets() {
        assert_eq!(split("a, b ,c"), ["a", "b", "c"]);
        assert_eq!(split(r#""x, \"y" <sip:a,b@c>, <sip:d>"#), [r#""x, \"y" <sip:a,b@c>"#, "<sip:d>"]);
        assert_eq!(split("\"open, b"), ["\"open, b"]);
        assert_eq!(split("<open, b"), ["<open, b"]);
        assert_eq!(split("a,"), ["a", ""]);
        assert_eq!(split(""), [""]);
    }

    #[test]
    fn set_replaces_in_place_and_drops_the_rest() {
        let mut headers = Headers::new();
        headers.push(HeaderName::To, "1");
        headers.push(HeaderName::Via, "a, b");
        headers.push(HeaderName::To, "2");
        headers.push(HeaderName::Via, "c");
        headers.set(HeaderName::To, "3");
        assert_eq!(headers.len(), 3);
        assert_eq!(headers.iter().next().map(|h| h.value.clone()), Some(Bytes::from_static(b"3")));
        assert_eq!(headers.values(&HeaderName::Via).collect::<Vec<_>>(), ["a", "b", "c"]);
        headers.set(HeaderName::Date, "now");
        assert_eq!(headers.get(&HeaderName::Date), Some(&Bytes::from_static(b"now")));
        assert_eq!(headers.remove(&HeaderName::Via), 2);
        assert_eq!(headers.len(), 2);
        headers.push_front(HeaderName::Via, "z");
        assert_eq!(headers.iter().next().map(|h| h.name.clone()), Some(HeaderName::Via));
    }
}
