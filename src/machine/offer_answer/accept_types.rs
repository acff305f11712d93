//! What a peer accepts (RFC 4975 section 8.6): accept-types and accept-wrapped-types.

use crate::wire::{cpim, mime};

/// The media types a peer accepts, on their own and within a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptTypes {
    types: Entries,
    wrapped: Entries,
}

/// Media types, each in a line of one text: sessions keep them as long as they live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entries(Box<str>);

impl Entries {
    fn new<T: AsRef<str>>(entries: &[T]) -> Self {
        // RFC 4975 8.6: a format-entry with parameters is assumed to match the same without.
        let bare = entries.iter().flat_map(|entry| [mime::value(entry.as_ref().as_bytes()), "\n".to_owned()]);
        Self(bare.collect::<String>().into())
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split_terminator('\n')
    }

    fn lists(&self, media_type: &str) -> bool {
        let media_type = mime::value(media_type.as_bytes());
        self.iter().any(|entry| matches(entry, &media_type))
    }
}

impl AcceptTypes {
    /// Takes the entries of both attributes.
    #[must_use]
    pub fn new<T: AsRef<str>>(types: &[T], wrapped: &[T]) -> Self {
        Self { types: Entries::new(types), wrapped: Entries::new(wrapped) }
    }

    /// Whether a message of this type may be sent.
    // RFC 4975 8.6: MUST NOT send a top-level MIME document of a type not signaled in accept-types.
    #[must_use]
    pub fn accepts(&self, media_type: &str) -> bool {
        self.types.lists(media_type)
    }

    /// Whether a content of this type may be sent within a container that is accepted itself.
    ///
    /// Whoever accepts a container and does not tell what may be in it takes what comes, or says 415: by the
    /// letter (RFC 4975 8.6: MUST NOT send what is not signaled) `accept-types:message/cpim` would be a yes to
    /// nothing at all.
    // RFC 4975 8.6: any type listed in accept-types may be used both as a root body and wrapped.
    #[must_use]
    pub fn accepts_wrapped(&self, media_type: &str) -> bool {
        self.wrapped.0.is_empty() || self.types.lists(media_type) || self.wrapped.lists(media_type)
    }

    /// Whether it is told what containers may hold.
    #[must_use]
    pub const fn tells_wrapped(&self) -> bool {
        !self.wrapped.0.is_empty()
    }

    /// Whether messages may be wrapped as message/cpim.
    #[must_use]
    pub fn wants_cpim(&self) -> bool {
        self.accepts(cpim::MEDIA_TYPE)
    }

    /// Whether nothing at all is accepted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.types.0.is_empty()
    }

    /// Whether one of `types` (which may have wildcards) could be meant by an entry here.
    #[must_use]
    pub fn overlaps<T: AsRef<str>>(&self, types: &[T]) -> bool {
        let own = || self.types.iter().chain(self.wrapped.iter());
        types
            .iter()
            .map(|entry| mime::value(entry.as_ref().as_bytes()))
            .any(|entry| own().any(|known| matches(known, &entry) || matches(&entry, known)))
    }
}

/// Whether an entry, possibly `*` or `text/*`, covers a type.
fn matches(entry: &str, media_type: &str) -> bool {
    if entry == "*" || entry == "*/*" || entry == media_type {
        return true;
    }
    let kind = |text: &str| text.split_once('/').map(|(kind, _)| kind.to_owned());
    entry.ends_with("/*") && kind(entry) == kind(media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves RFC 4975 section 8.6
    #[test]
    fn wildcards_case_and_parameters_are_understood() {
        let types = AcceptTypes::new(&["Message/CPIM", "text/*", "image/png;q=1"], &["application/pdf"]);
        for (media_type, alone) in [
            ("message/cpim", true),
            ("TEXT/Plain; charset=utf-8", true),
            ("image/png", true),
            ("image/gif", false),
            ("application/pdf", false),
            ("textual/plain", false),
        ] {
            assert_eq!(types.accepts(media_type), alone, "{media_type}");
        }
        assert!(types.accepts_wrapped("application/pdf") && types.accepts_wrapped("text/html"));
        assert!(!types.accepts_wrapped("image/gif") && types.wants_cpim());
        let untold = AcceptTypes::new(&["message/cpim"], &[]);
        assert!(untold.accepts_wrapped("image/gif") && !untold.accepts("image/gif"));
    }

    #[test]
    fn the_star_accepts_everything_and_nothing_accepts_nothing() {
        let all = AcceptTypes::new(&["*"], &[]);
        assert!(all.accepts("x/y") && all.wants_cpim() && !all.is_empty());
        let none = AcceptTypes::default();
        assert!(!none.accepts("text/plain") && !none.wants_cpim() && none.is_empty());
        assert!(!AcceptTypes::new(&["text/plain"], &["message/cpim"]).wants_cpim());
    }

    #[test]
    fn what_is_no_media_type_matches_nothing_and_is_told_all_the_same() {
        let odd = AcceptTypes::new(&["\"x * y\""], &[";x"]);
        assert!(!odd.accepts("text/plain") && !odd.is_empty());
        assert!(!odd.accepts_wrapped("text/plain"), "something was told, if nothing that is understood");
    }

    #[test]
    fn overlaps_look_both_ways() {
        let types = AcceptTypes::new(&["text/plain"], &["image/png"]);
        assert!(
            types.overlaps(&["text/*"]) && types.overlaps(&["a/b", "*"]) && types.overlaps(&["image/png"])
        );
        assert!(!types.overlaps(&["text/html"]) && !types.overlaps::<&str>(&[]));
        assert!(AcceptTypes::new(&["*"], &[]).overlaps(&["text/html"]));
    }
}
