//! Resource lists (RFC 4826 section 3) as the URI-lists of requests carry them (RFC 5363, RFC 5366):
//! which URIs are named, in which order.
//!
//! Display names, copy control attributes (RFC 5364) and extensions are passed over. References to
//! lists stored elsewhere (`entry-ref`, `external`) cannot be followed and are refused by name.

use super::xml::{self, Element, XmlError, XmlLimits};

/// The namespace of resource lists.
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:resource-lists";

/// The media type of resource lists.
pub const MEDIA_TYPE: &str = "application/resource-lists+xml";

/// The disposition of a URI-list in a request (RFC 5363 section 4.1).
pub const DISPOSITION: &str = "recipient-list";

/// How large a list may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListLimits {
    /// Entries in all lists together.
    pub entries: usize,
    /// Lists within lists.
    pub depth: usize,
    /// Bytes of the whole document.
    pub bytes: usize,
}

impl Default for ListLimits {
    fn default() -> Self {
        Self { entries: 1000, depth: 8, bytes: 1 << 20 }
    }
}

/// Why a list gave no URIs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Not a well-formed resource-lists document.
    #[error("broken resource list: {0}")]
    Broken(String),
    /// No entry at all.
    #[error("resource list without an entry")]
    Empty,
    /// More entries than [`ListLimits::entries`].
    #[error("resource list with too many entries")]
    TooMany,
    /// Lists nest deeper than [`ListLimits::depth`].
    #[error("resource lists nest deeper than {0}")]
    TooDeep(usize),
    /// More bytes than [`ListLimits::bytes`].
    #[error("resource list of more than {0} bytes")]
    TooLarge(usize),
    /// The element of this name refers to something stored elsewhere.
    #[error("resource list with an unsupported reference <{0}>")]
    Reference(&'static str),
}

impl ListError {
    /// Whether the list is good but too large (413 rather than 400).
    #[must_use]
    pub const fn is_over_limit(&self) -> bool {
        matches!(self, Self::TooMany | Self::TooLarge(_))
    }
}

/// The URIs of all entries, in the order of the document, duplicates kept: as they stand in the
/// `uri` attributes after XML unescaping, without the white space around them. An empty one is a URI as well
/// (XML Schema's anyURI), which names nothing.
///
/// # Errors
/// [`ListError`], also when there is no entry.
pub fn uris(xml: &[u8], limits: ListLimits) -> Result<Vec<String>, ListError> {
    let bounds = XmlLimits {
        bytes: limits.bytes,
        // The root, the lists, an entry and its display name; what extensions need is a guess.
        depth: limits.depth.saturating_add(8),
        // An entry with a display name and two extension elements; empty lists count as well.
        elements: limits.entries.saturating_mul(4).saturating_add(64),
    };
    let root = xml::parse(xml, bounds).map_err(|error| blame(error, limits))?;
    // RFC 4826 3.1: <resource-lists> is the root element, its content a sequence of <list>.
    if !root.is(NAMESPACE, "resource-lists") {
        return Err(ListError::Broken(format!("root element is <{}>, not <resource-lists>", root.name)));
    }
    let mut found = Vec::new();
    for child in root.children.iter().filter(|child| child.namespace == NAMESPACE) {
        match child.name.as_str() {
            "list" => collect(child, 1, limits, &mut found)?,
            other => return Err(ListError::Broken(format!("<{other}> outside a <list>"))),
        }
    }
    if found.is_empty() { Err(ListError::Empty) } else { Ok(found) }
}

/// Writes a flat list (RFC 5366 section 4) naming `uris`.
pub fn encode<I: IntoIterator<Item: AsRef<str>>>(uris: I) -> String {
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<resource-lists xmlns=\"{NAMESPACE}\">\r\n  <list>\r\n"
    );
    for uri in uris {
        out.push_str("    <entry uri=\"");
        xml::escape_into(&mut out, uri.as_ref());
        out.push_str("\"/>\r\n");
    }
    out.push_str("  </list>\r\n</resource-lists>\r\n");
    out
}

/// Adds the entries of one list and of the lists inside it.
fn collect(
    list: &Element,
    depth: usize,
    limits: ListLimits,
    found: &mut Vec<String>,
) -> Result<(), ListError> {
    if depth > limits.depth {
        return Err(ListError::TooDeep(limits.depth));
    }
    for child in list.children.iter().filter(|child| child.namespace == NAMESPACE) {
        match child.name.as_str() {
            "entry" if found.len() >= limits.entries => return Err(ListError::TooMany),
            "entry" => found.push(entry(child)?),
            "list" => collect(child, depth + 1, limits, found)?,
            "entry-ref" => return Err(ListError::Reference("entry-ref")),
            "external" => return Err(ListError::Reference("external")),
            "display-name" => {}
            other => return Err(ListError::Broken(format!("unknown element <{other}>"))),
        }
    }
    Ok(())
}

/// RFC 4826 3.1: the <entry> element has a single mandatory attribute, "uri".
fn entry(element: &Element) -> Result<String, ListError> {
    let uri =
        element.attribute("uri").ok_or_else(|| ListError::Broken("<entry> without a uri".to_owned()))?;
    Ok(uri.trim().to_owned())
}

fn blame(error: XmlError, limits: ListLimits) -> ListError {
    match error {
        XmlError::TooLarge(bytes) => ListError::TooLarge(bytes),
        XmlError::TooMany(_) => ListError::TooMany,
        XmlError::TooDeep(_) => ListError::TooDeep(limits.depth),
        XmlError::Dtd | XmlError::Broken(_) => ListError::Broken(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn wrap(inner: &str) -> String {
        format!("<resource-lists xmlns='{NAMESPACE}'>{inner}</resource-lists>")
    }

    fn read(xml: &str) -> Result<Vec<String>, ListError> {
        uris(xml.as_bytes(), ListLimits { entries: 4, depth: 2, bytes: 4096 })
    }

    // proves RFC 5366 section 6, the list of figure 3
    #[test]
    fn the_example_of_rfc_5366_names_seven_recipients() {
        let xml = br#"<?xml version="1.0" encoding="UTF-8"?>
   <resource-lists xmlns="urn:ietf:params:xml:ns:resource-lists"
             xmlns:cp="urn:ietf:params:xml:ns:copyControl">
     <list>
       <entry uri="sip:bill@example.com" cp:copyControl="to" />
       <entry uri="sip:randy@example.net" cp:copyControl="to"
                                          cp:anonymize="true"/>
       <entry uri="sip:eddy@example.com" cp:copyControl="to"
                                         cp:anonymize="true"/>
       <entry uri="sip:joe@example.org" cp:copyControl="cc" />
       <entry uri="sip:carol@example.net" cp:copyControl="cc"
                                          cp:anonymize="true"/>
       <entry uri="sip:ted@example.net" cp:copyControl="bcc" />
       <entry uri="sip:andy@example.com" cp:copyControl="bcc" />
     </list>
   </resource-lists>"#;
        let found = uris(xml, ListLimits::default()).unwrap();
        assert_eq!(found.len(), 7);
        assert_eq!(found.first().unwrap(), "sip:bill@example.com");
        assert_eq!(found.last().unwrap(), "sip:andy@example.com");
    }

    // proves RFC 4826 section 3.1: nested lists, prefixes, display names, extensions
    #[test]
    fn nested_and_prefixed_lists_are_flattened_in_order() {
        let xml = format!(
            "<rl:resource-lists xmlns:rl='{NAMESPACE}' xmlns:x='urn:x'><rl:list name='a'>\
             <rl:display-name>Friends</rl:display-name><rl:entry uri=' sip:1%40a@b;x=1?h=2&amp;i=3\n'/>\
             <rl:list><rl:entry uri='sip:2@b'><rl:display-name>Two</rl:display-name></rl:entry></rl:list>\
             <rl:entry uri='sip:3@b' x:uri='sip:no@b'/><x:more><rl:entry uri='sip:no@b'/></x:more>\
             </rl:list></rl:resource-lists>"
        );
        assert_eq!(read(&xml).unwrap(), ["sip:1%40a@b;x=1?h=2&i=3", "sip:2@b", "sip:3@b"]);
    }

    // proves RFC 4826 section 3.1: <entry-ref> and <external> name what is elsewhere
    #[test]
    fn references_are_refused_by_name() {
        let external = wrap("<list><external anchor='http://x'/></list>");
        assert_eq!(read(&external), Err(ListError::Reference("external")));
        let reference = wrap("<list><list><entry-ref ref='x'/></list></list>");
        assert_eq!(read(&reference), Err(ListError::Reference("entry-ref")));
    }

    #[test]
    fn lists_without_entries_are_empty() {
        for xml in [wrap(""), wrap("<list/>"), wrap("<list><list/></list>")] {
            assert_eq!(read(&xml), Err(ListError::Empty), "{xml}");
        }
    }

    #[test]
    fn what_is_no_resource_list_is_broken() {
        let doctype = format!("<!DOCTYPE r SYSTEM 'http://x'>{}", wrap("<list><entry uri='a'/></list>"));
        let foreign = "<resource-lists><list><entry uri='sip:a@b'/></list></resource-lists>".to_owned();
        for xml in [
            doctype,
            foreign,
            "hello".to_owned(),
            String::new(),
            wrap("<entry uri='sip:a@b'/>"),
            wrap("<list><entry/></list>"),
            wrap("<list><entry uri='&x;'/></list>"),
            wrap("<list><surprise/></list>"),
            wrap("<list>"),
        ] {
            let verdict = read(&xml);
            assert!(matches!(verdict, Err(ListError::Broken(_))), "{xml}: {verdict:?}");
        }
    }

    // An empty one is an anyURI by XML Schema: it names nothing, and the others of the list are good.
    #[test]
    fn an_empty_uri_is_one_that_names_nothing() {
        let xml = wrap("<list><entry uri='sip:a@b'/><entry uri=' '/></list>");
        assert_eq!(read(&xml), Ok(vec!["sip:a@b".to_owned(), String::new()]));
    }

    #[test]
    fn limits_are_told_apart() {
        let five = wrap(&format!("<list>{}</list>", "<entry uri='sip:a@b'/>".repeat(5)));
        assert_eq!(read(&five), Err(ListError::TooMany));
        let many = wrap(&format!("<list>{}</list>", "<list/>".repeat(200)));
        assert_eq!(read(&many), Err(ListError::TooMany));
        let deep = wrap("<list><list><list><entry uri='a'/></list></list></list>");
        assert_eq!(read(&deep), Err(ListError::TooDeep(2)));
        let deeper = wrap(&format!("{}{}", "<list>".repeat(40), "</list>".repeat(40)));
        assert_eq!(read(&deeper), Err(ListError::TooDeep(2)));
        assert_eq!(read(&" ".repeat(5000)), Err(ListError::TooLarge(4096)));
        assert!(ListError::TooMany.is_over_limit() && !ListError::Empty.is_over_limit());
    }

    proptest! {
        #[test]
        fn encoded_lists_come_back(list in proptest::collection::vec("[!-~]{1,30}", 1..20)) {
            let xml = encode(&list);
            prop_assert_eq!(uris(xml.as_bytes(), ListLimits::default()).unwrap(), list);
        }
    }
}
