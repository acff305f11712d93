//! Small XML documents as bounded trees: what the XML bodies of SIP ([`resource_lists`] and
//! [`conference_info`]) have in common.
//!
//! XML 1.0 with namespaces, in UTF-8 or UTF-16, which every processor must read (XML 1.0 4.3.3). A document type declaration is refused, and with it every
//! entity beyond the five predefined ones: nothing here expands or fetches. Mixed content is not
//! kept in order: an element's text is what stands directly in it.
//!
//! [`resource_lists`]: super::resource_lists
//! [`conference_info`]: super::conference_info

mod well_formed;

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{NamespaceResolver, PrefixDeclaration, ResolveResult};
use quick_xml::reader::NsReader;

use well_formed::{SPACE, is_declaration, is_tag, is_target};

/// Attributes of one element, declarations of namespaces among them.
const ATTRIBUTES: usize = 64;

/// How large a document may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XmlLimits {
    /// Bytes of the whole document.
    pub bytes: usize,
    /// Elements within elements, the root counted as one.
    pub depth: usize,
    /// Elements in the whole document.
    pub elements: usize,
}

/// Why a document was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// More bytes than allowed.
    #[error("more than {0} bytes of XML")]
    TooLarge(usize),
    /// Elements nest deeper than allowed.
    #[error("XML elements nest deeper than {0}")]
    TooDeep(usize),
    /// More elements than allowed.
    #[error("more than {0} XML elements")]
    TooMany(usize),
    /// A document type declaration, which no body of SIP needs.
    #[error("XML with a document type declaration")]
    Dtd,
    /// Not a well-formed document in UTF-8 or UTF-16.
    #[error("broken XML: {0}")]
    Broken(String),
}

/// One element with all it contains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// The namespace the element's name is bound to; empty where there is none.
    pub namespace: String,
    /// The name without its prefix.
    pub name: String,
    /// The attributes that have no prefix, by name, with normalized values.
    pub attributes: Vec<(String, String)>,
    /// The elements directly inside, in order.
    pub children: Vec<Element>,
    /// The text directly inside.
    pub text: String,
}

impl Element {
    /// The value of the attribute `name`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first child `name` of the same namespace as this element.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.is(&self.namespace, name))
    }

    /// The trimmed text of the first child `name` of the same namespace as this element.
    #[must_use]
    pub fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim())
    }

    /// Whether this is the element `name` of `namespace`.
    #[must_use]
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }
}

/// Reads a whole document and returns its root element.
///
/// # Errors
/// [`XmlError`] when the document is not well-formed, in another encoding than UTF-8 and UTF-16, has a DTD or exceeds a
/// limit.
pub fn parse(xml: &[u8], limits: XmlLimits) -> Result<Element, XmlError> {
    if xml.len() > limits.bytes {
        return Err(XmlError::TooLarge(limits.bytes));
    }
    let (text, encodings) = decode(xml)?;
    allowed(&text)?;
    let mut reader = NsReader::from_str(&text);
    reader.config_mut().check_comments = true;
    let mut tree = Tree::new(limits);
    let mut begun = false;
    loop {
        let event = reader.read_event().map_err(broken)?;
        // White space in front of a declaration is not allowed (XML 1.0 2.8), but is found there and does no harm.
        let first = !begun;
        begun |= !matches!(&event, Event::Text(text) if text.trim_matches(SPACE).is_empty());
        match &event {
            Event::Start(start) => tree.open(start, reader.resolver())?,
            Event::Empty(start) => {
                tree.open(start, reader.resolver())?;
                tree.close();
            }
            Event::End(_) => tree.close(),
            // XML 1.0 2.4: the string "]]>" MUST NOT appear in content.
            Event::Text(text) if text.contains("]]>") => return Err(broken("]]> in text")),
            Event::Text(text) => tree.text(&text.xml10_content())?,
            Event::CData(_) | Event::GeneralRef(_) if tree.open.is_empty() => return Err(outside()),
            Event::CData(text) => tree.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let named = reference.xml10_content();
                let resolved = reference.resolve_char_ref().map_err(broken)?;
                match resolved {
                    Some(character) => {
                        let mut text = [0; 4];
                        tree.text(allowed(character.encode_utf8(&mut text))?)?;
                    }
                    None => tree.text(predefined(&named)?)?,
                }
            }
            Event::Decl(declaration) => {
                if !first || !declaration.strip_prefix("xml").is_some_and(is_declaration) {
                    return Err(broken("an XML declaration that is none, or in the wrong place"));
                }
                check_encoding(declaration.encoding(), encodings)?;
            }
            Event::DocType(_) => return Err(XmlError::Dtd),
            Event::PI(instruction) if !is_target(instruction.target()) => {
                return Err(broken("a processing instruction without a usable target"));
            }
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return tree.finish(),
        }
    }
}

/// The text of a document without its byte order mark, and what it may say that its encoding is.
// XML 1.0 4.3.3: entities encoded in UTF-16 MUST begin with the byte order mark.
fn decode(xml: &[u8]) -> Result<(Cow<'_, str>, &'static [&'static str]), XmlError> {
    let wide = match xml {
        [0xfe, 0xff, rest @ ..] => Some((rest, u16::from_be_bytes as fn([u8; 2]) -> u16)),
        [0xff, 0xfe, rest @ ..] => Some((rest, u16::from_le_bytes as fn([u8; 2]) -> u16)),
        _ => None,
    };
    let Some((rest, unit)) = wide else {
        let text = std::str::from_utf8(xml).map_err(|_| broken("neither UTF-8 nor UTF-16"))?;
        return Ok((Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text)), &["utf-8", "us-ascii"]));
    };
    let (pairs, []) = rest.as_chunks::<2>() else { return Err(broken("half a character of UTF-16")) };
    let text: Result<String, _> = char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect();
    Ok((Cow::Owned(text.map_err(|_| broken("not UTF-16"))?), &["utf-16"]))
}

/// Writes `text` as XML character data or attribute value: the five special characters escaped,
/// what XML 1.0 does not allow at all left out.
pub fn escape_into(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // Written as references, or attribute normalization would make them spaces.
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            other => out.push(other),
        }
    }
}

/// The tree under construction: the open elements, outermost first.
struct Tree {
    limits: XmlLimits,
    seen: usize,
    open: Vec<Element>,
    root: Option<Element>,
}

impl Tree {
    fn new(limits: XmlLimits) -> Self {
        Self { limits, seen: 0, open: Vec::new(), root: None }
    }

    fn open(&mut self, start: &BytesStart<'_>, names: &NamespaceResolver) -> Result<(), XmlError> {
        if !is_tag(start) {
            return Err(broken("a start tag that is none"));
        }
        if self.root.is_some() {
            return Err(broken("a second root element"));
        }
        if self.open.len() >= self.limits.depth {
            return Err(XmlError::TooDeep(self.limits.depth));
        }
        if self.seen >= self.limits.elements {
            return Err(XmlError::TooMany(self.limits.elements));
        }
        self.seen += 1;
        let (resolved, local) = names.resolve_element(start.name());
        let namespace = match resolved {
            ResolveResult::Bound(bound) => bound.as_ref().to_owned(),
            ResolveResult::Unbound => String::new(),
            ResolveResult::Unknown(prefix) => return Err(unbound(&prefix)),
        };
        let name = local.as_ref().to_owned();
        let attributes = attributes(start, names)?;
        self.open.push(Element { namespace, name, attributes, ..Element::default() });
        Ok(())
    }

    fn close(&mut self) {
        let Some(element) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), XmlError> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim_matches(SPACE).is_empty() => {}
            None => return Err(outside()),
        }
        Ok(())
    }

    fn finish(self) -> Result<Element, XmlError> {
        if !self.open.is_empty() {
            return Err(broken("an element is not closed"));
        }
        self.root.ok_or_else(|| broken("no root element"))
    }
}

/// The attributes without prefix; those with one are checked and left out.
fn attributes(start: &BytesStart<'_>, names: &NamespaceResolver) -> Result<Vec<(String, String)>, XmlError> {
    let (mut kept, mut bound) = (Vec::new(), Vec::new());
    // Each is compared with all before it: their number is bounded, or the time would be its square.
    for (count, attribute) in start.attributes().enumerate() {
        if count >= ATTRIBUTES {
            return Err(broken("an element with too many attributes"));
        }
        let attribute = attribute.map_err(broken)?;
        let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(broken)?;
        let name: &str = attribute.key.as_ref();
        let value = allowed(&value)?;
        match attribute.key.as_namespace_binding() {
            // Namespaces in XML 1.0 5: a prefix is not undeclared.
            Some(PrefixDeclaration::Named(prefix)) if value.is_empty() => return Err(unbound(prefix)),
            Some(_) => continue,
            None => {}
        }
        match names.resolve_attribute(attribute.key) {
            (ResolveResult::Unknown(prefix), _) => return Err(unbound(&prefix)),
            // Namespaces in XML 1.0 6.3: no two attributes have the same local part and namespace.
            (ResolveResult::Bound(namespace), local) if bound.contains(&(namespace, local)) => {
                return Err(broken("an attribute that is there twice"));
            }
            (ResolveResult::Bound(namespace), local) => bound.push((namespace, local)),
            (ResolveResult::Unbound, _) => kept.push((name.to_owned(), value.to_owned())),
        }
    }
    Ok(kept)
}

/// XML 1.0 2.2: whether every character of `text` may stand in a document, as it is or by a reference.
fn allowed(text: &str) -> Result<&str, XmlError> {
    let forbidden = |c: char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    match text.chars().find(|c| forbidden(*c)) {
        Some(character) => Err(broken(format!("the character U+{:04X}", u32::from(character)))),
        None => Ok(text),
    }
}

/// The text of one of the five entities that need no declaration.
fn predefined(name: &str) -> Result<&'static str, XmlError> {
    resolve_predefined_entity(name).ok_or_else(|| broken(format!("unknown entity &{name};")))
}

fn check_encoding(
    declared: Option<Result<Cow<'_, str>, AttrError>>,
    possible: &[&str],
) -> Result<(), XmlError> {
    match declared {
        None => Ok(()),
        Some(Ok(name)) if possible.iter().any(|it| name.eq_ignore_ascii_case(it)) => Ok(()),
        Some(Ok(name)) => Err(broken(format!("encoding {name}, which it is not in, or which is not read"))),
        Some(Err(error)) => Err(broken(error)),
    }
}

fn outside() -> XmlError {
    broken("text outside the root element")
}

fn unbound(prefix: &str) -> XmlError {
    broken(format!("namespace prefix {prefix} is not declared"))
}

/// Characters of what is said of a broken document. It is told on, in a line of the log or the reason of a response, and a
/// name in it may be as long as the document.
const LONGEST_CAUSE: usize = 120;

fn broken(cause: impl ToString) -> XmlError {
    let cause = cause.to_string();
    XmlError::Broken(match cause.char_indices().nth(LONGEST_CAUSE) {
        Some((end, _)) => format!("{}...", cause.get(..end).unwrap_or_default()),
        None => cause,
    })
}

#[cfg(test)]
mod tests;
