//! What XML 1.0 and Namespaces in XML 1.0 want of names, tags and declarations, as far as the reader below does not look
//! at it.

use quick_xml::events::BytesStart;

/// XML 1.0 2.3: S.
pub(super) const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Whether a start tag is one (XML 1.0 3.1), and its names are qualified ones.
pub(super) fn is_tag(start: &BytesStart<'_>) -> bool {
    let attribute = |pair: Option<(&str, &str)>| {
        // XML 1.0 3.1: the replacement text of an attribute value MUST NOT contain a <.
        pair.is_some_and(|(name, value)| is_qualified(name) && !value.contains('<'))
    };
    is_qualified(start.name().as_ref()) && Pairs(start.attributes_raw()).all(attribute)
}

/// Whether what stands behind `<?xml` makes a declaration (XML 1.0 2.8).
pub(super) fn is_declaration(text: &str) -> bool {
    let mut pairs = Pairs(text);
    let Some(Some(("version", version))) = pairs.next() else { return false };
    let mut next = pairs.next();
    if let Some(Some(("encoding", _))) = next {
        next = pairs.next();
    }
    if let Some(Some(("standalone", "yes" | "no"))) = next {
        next = pairs.next();
    }
    let minor = version.strip_prefix("1.").unwrap_or_default();
    !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit()) && next.is_none()
}

/// Whether a processing instruction may have this target (XML 1.0 2.6).
pub(super) fn is_target(name: &str) -> bool {
    is_name(name) && !name.eq_ignore_ascii_case("xml")
}

/// Namespaces in XML 1.0 4: QName.
fn is_qualified(name: &str) -> bool {
    match name.split_once(':') {
        Some((prefix, local)) => is_name(prefix) && is_name(local),
        None => is_name(name),
    }
}

/// Namespaces in XML 1.0 3: NCName.
fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(begins_name) && characters.all(|it| begins_name(it) || continues_name(it))
}

/// XML 1.0 2.3: NameStartChar, but the colon.
fn begins_name(character: char) -> bool {
    matches!(character,
        'A'..='Z' | 'a'..='z' | '_' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

/// XML 1.0 2.3: what NameChar has beyond that.
fn continues_name(character: char) -> bool {
    matches!(character,
        '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

/// Names and values as they are written behind the name of a tag: (S Name Eq AttValue)* S?. What is none ends them.
struct Pairs<'a>(&'a str);

impl<'a> Iterator for Pairs<'a> {
    type Item = Option<(&'a str, &'a str)>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = std::mem::take(&mut self.0);
        let text = left.trim_start_matches(SPACE);
        if text.is_empty() {
            return None;
        }
        let pair = pair(text).filter(|_| text.len() < left.len());
        Some(pair.map(|(name, value, rest)| {
            self.0 = rest;
            (name, value)
        }))
    }
}

/// The pair at the beginning of `text`, and what is behind it.
fn pair(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let rest = rest.trim_start_matches(SPACE);
    let quote = rest.chars().next().filter(|it| matches!(it, '"' | '\''))?;
    let (value, rest) = rest.get(1..)?.split_once(quote)?;
    Some((name.trim_end_matches(SPACE), value, rest))
}
