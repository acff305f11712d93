//! Tests of the reader: what is well-formed is read, within limits, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use proptest::prelude::*;

const LIMITS: XmlLimits = XmlLimits { bytes: 4096, depth: 4, elements: 16 };

// proves XML 1.0 2.2, 4.1: characters that no document may hold, as they are or by a reference
#[test]
fn forbidden_characters_break_a_document() {
    for bad in [
        "<a b='\0'/>",
        "<a>\u{8}</a>",
        "<a b='&#1;'/>",
        "<a>&#x0;</a>",
        "<a>\u{fffe}</a>",
        "<a><!--\u{1}--></a>",
    ] {
        assert!(matches!(parse(bad.as_bytes(), LIMITS), Err(XmlError::Broken(_))), "{bad:?}");
    }
    let root = parse(b"<a b='&#9;'>\t&#xD;</a>", LIMITS).unwrap();
    assert_eq!((root.attribute("b"), root.text.as_str()), (Some("\t"), "\t\r"));
}

// proves XML 1.0 4.3.3: UTF-16 is read, with its byte order mark
#[test]
fn both_encodings_are_read() {
    let wide = |text: &str, unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(unit).collect()
    };
    for declared in ["", "<?xml version='1.0' encoding='UTF-16'?>"] {
        let text = format!("{declared}<a b='\u{e4}\u{1f600}'>\u{20ac}</a>");
        for unit in [u16::to_be_bytes, u16::to_le_bytes] {
            let root = parse(&wide(&text, unit), LIMITS).unwrap();
            assert_eq!((root.attribute("b"), root.text.as_str()), (Some("\u{e4}\u{1f600}"), "\u{20ac}"));
        }
    }
    let root = parse("\u{feff}<?xml version='1.0' encoding='utf-8'?><a/>".as_bytes(), LIMITS).unwrap();
    assert_eq!(root.name, "a");
    let odd = [wide("<a/>", u16::to_be_bytes), vec![b' ']].concat();
    let half = [&b"\xfe\xff"[..], &0xd800_u16.to_be_bytes()].concat();
    let belied = wide("<?xml version='1.0' encoding='UTF-8'?><a/>", u16::to_be_bytes);
    let unmarked = wide("<a/>", u16::to_le_bytes)[2..].to_vec();
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>".to_vec();
    for bad in [odd, half, belied, unmarked, latin, b"<a>\xe4</a>".to_vec()] {
        assert!(matches!(parse(&bad, LIMITS), Err(XmlError::Broken(_))), "{bad:?}");
    }
}

#[test]
fn what_is_broken_is_told_in_few_words() {
    let name = "\u{e4}".repeat(1000);
    for bad in [
        format!("<a>&{name};</a>"),
        format!("<{name}:a/>"),
        format!("<a></{name}>"),
        format!("<?xml version='1.0' encoding='{name}'?><a/>"),
    ] {
        let limits = XmlLimits { bytes: 1 << 20, ..LIMITS };
        let Err(XmlError::Broken(cause)) = parse(bad.as_bytes(), limits) else { panic!("{bad} is read") };
        assert!(cause.chars().count() <= LONGEST_CAUSE + 3, "{cause}");
    }
}

#[test]
fn namespaces_text_and_references_are_resolved() {
    let xml = br#"<?xml version="1.0" encoding="UTF-8"?><!-- c -->
        <p:a xmlns:p="urn:x" xmlns:q="urn:y" k="1 &amp; &#50;" q:k="no"><p:b> x&lt;<![CDATA[<y>]]>&#x41; </p:b><c/></p:a>"#;
    let root = parse(xml, LIMITS).unwrap();
    assert!(root.is("urn:x", "a"));
    assert_eq!(root.attributes, [("k".to_owned(), "1 & 2".to_owned())]);
    assert_eq!(root.child_text("b"), Some("x<<y>A"));
    assert!(root.child("c").is_none(), "c is in no namespace");
    assert_eq!(root.children.len(), 2);
}

#[test]
fn what_could_expand_is_refused() {
    let dtd = br#"<!DOCTYPE a [<!ENTITY e "boom">]><a>&e;</a>"#;
    assert_eq!(parse(dtd, LIMITS), Err(XmlError::Dtd));
    for xml in ["<a>&e;</a>", "<a k='&e;'/>", "<p:a/>", "<a p:k='1'/>", "<a k='1' k='2'/>"] {
        assert!(matches!(parse(xml.as_bytes(), LIMITS), Err(XmlError::Broken(_))), "{xml}");
    }
}

// proves XML 1.0 2.1: what is not well-formed is no document; and Namespaces in XML 1.0
#[test]
fn what_is_not_well_formed_is_broken() {
    for bad in [
        "<a b='x<y'/>",
        "<a b='x'c='y'/>",
        "<a b='x' / >",
        "<a b = 'x' c/>",
        "<a b=x/>",
        "<a 1='x'/>",
        "<a b$='x'/>",
        "<1a/>",
        "< a/>",
        "<a$/>",
        "<-a/>",
        "<a xmlns:p='u:1' xmlns:q='u:1' p:x='1' q:x='2'/>",
        "<a xmlns:p=''/>",
        "<a xmlns:p='u'><b xmlns:p=''/></a>",
        "<a xmlns:xmlns='u'/>",
        "<a xmlns:xml='u'/>",
        "<a xmlns:p='u'><p:b:c/></a>",
        "<a xmlns:p='u'><p:/></a>",
        "<a :b='x'/>",
        "<a xmlns:p='u' p:1='x'/>",
        "<a xmlns:p='u' p:x='&#1;'/>",
        "<a>]]></a>",
        "<a>x]]]>y</a>",
        "<a><!-- a -- b --></a>",
        "<a><!-- a ---></a>",
        "<a><? x?></a>",
        "<a><??></a>",
        "<a><?1?></a>",
        "<a><?XML x?></a>",
        "<a><?xml version='1.0'?></a>",
        "<a/><?xml version='1.0'?>",
        "<!-- c --><?xml version='1.0'?><a/>",
        "<?p?><?xml version='1.0'?><a/>",
        "<?xml version='1.0'?><?xml version='1.0'?><a/>",
        "<?xml?><a/>",
        "<?xml encoding='UTF-8'?><a/>",
        "<?xml encoding='UTF-8' version='1.0'?><a/>",
        "<?xml version='1.0' standalone='yes' encoding='UTF-8'?><a/>",
        "<?xml version='1.0' standalone='maybe'?><a/>",
        "<?xml version='1.0'encoding='UTF-8'?><a/>",
        "<?xml version='2.0'?><a/>",
        "<?xml version='1.'?><a/>",
        "<?xml version='1.0' x='y'?><a/>",
        "<?xml version='1.0' version='1.0'?><a/>",
        "<![CDATA[ ]]><a/>",
        "<a/>&#32;",
        "<a></a b='x'>",
    ] {
        let read = parse(bad.as_bytes(), LIMITS);
        assert!(matches!(read, Err(XmlError::Broken(_))), "{bad}: {read:?}");
    }
}

#[test]
fn what_is_well_formed_is_read() {
    for good in [
        "\r\n <?xml version='1.0' encoding=\"UTF-8\" standalone = 'no' ?>\n<!-- c --><?p x?><a/>\n<?p?><!-- -->",
        "<?xml version='1.1'?><a/>",
        "<a\tb = 'x>y'\n c=\"it's\" ></a >",
        "<a>]] ]&gt; ]]&gt; > <![CDATA[ ]]]]><![CDATA[> ]]></a>",
        "<a xmlns:p='u:1' xmlns:q='u:2' x='0' p:x='1' q:x='2' xml:lang='de'/>",
        "<a xmlns='u'><b xmlns=''/></a>",
        "<_a.b-c1><\u{e9}l\u{e9}ment \u{e9}\u{b7}='x'/></_a.b-c1>",
        "<a xmlns:xml='http://www.w3.org/XML/1998/namespace'/>",
        "<a><?xml-stylesheet href='x'?></a>",
    ] {
        let read = parse(good.as_bytes(), LIMITS);
        assert!(read.is_ok(), "{good}: {read:?}");
    }
}

#[test]
fn what_is_not_one_document_is_broken() {
    for xml in [
        "",
        "<a>",
        "<a></b>",
        "</a>",
        "<a/><b/>",
        "x<a/>",
        "<a/>x",
        "<?xml version='1.0' encoding='utf-16'?><a/>",
    ] {
        assert!(matches!(parse(xml.as_bytes(), LIMITS), Err(XmlError::Broken(_))), "{xml}");
    }
    assert!(matches!(parse(b"<a>\xff</a>", LIMITS), Err(XmlError::Broken(_))));
}

#[test]
fn every_limit_holds() {
    assert_eq!(parse(&[b' '; 5000], LIMITS), Err(XmlError::TooLarge(4096)));
    assert_eq!(parse(b"<a><a><a><a><a/></a></a></a></a>", LIMITS), Err(XmlError::TooDeep(4)));
    let wide = format!("<a>{}</a>", "<b/>".repeat(16));
    assert_eq!(parse(wide.as_bytes(), LIMITS), Err(XmlError::TooMany(16)));
    let attributes = |count: usize| {
        let all: String = (0..count).map(|n| format!(" xmlns:p{n}='u' a{n}=''")).collect();
        parse(format!("<a{all}/>").as_bytes(), LIMITS)
    };
    assert!(attributes(32).is_ok());
    assert!(matches!(attributes(33), Err(XmlError::Broken(_))));
}

proptest! {
    #[test]
    fn escaped_text_comes_back(text in "[^\u{0}-\u{8}\u{b}\u{c}\u{e}-\u{1f}\u{fffe}\u{ffff}]{0,40}") {
        let mut xml = String::from("<a k=\"");
        escape_into(&mut xml, &text);
        xml.push_str("\">");
        escape_into(&mut xml, &text);
        xml.push_str("</a>");
        let root = parse(xml.as_bytes(), LIMITS).unwrap();
        prop_assert_eq!(root.attribute("k"), Some(text.as_str()));
        prop_assert_eq!(&root.text, &text);
    }

    #[test]
    fn no_bytes_panic(xml in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&xml, LIMITS);
    }

    #[test]
    fn no_markup_panics(xml in "[<>/a='\"&;! \\[\\]?x:-]{0,60}") {
        let _ = parse(xml.as_bytes(), LIMITS);
    }
}
