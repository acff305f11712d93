//! Bodies: read, written, read again; bounded in every direction.

use bytes::Bytes;
use restante::machine::offer_answer::{self, LocalMedia};
use restante::wire::conference_info::ConferenceInfo;
use restante::wire::cpim::{Cpim, Wrapper};
use restante::wire::message_summary::Summary;
use restante::wire::mime::{DEEPEST, MOST_PARTS, Part};
use restante::wire::msrp::MsrpUri;
use restante::wire::resource_lists::{self, ListLimits};
use restante::wire::sdp::{Direction, Sdp};
use restante::wire::xml::{self, Element, XmlLimits};

fn local() -> LocalMedia {
    LocalMedia {
        uri: MsrpUri::parse(b"msrp://store.example.com:2855/s1;tcp").unwrap(),
        accept_types: Box::from(["*".into()]),
        accept_wrapped: true,
        max_size: 1000,
        direction: Direction::SendRecv,
        session: (1, 1),
        fingerprint: None,
    }
}

/// Session descriptions, and the answers to them.
pub fn sdp(data: &[u8]) {
    if let Ok(sdp) = Sdp::parse(data) {
        for media in sdp.msrp_lines() {
            assert!(media.index < sdp.session().medias.len());
        }
        assert!(sdp.msrp().is_none_or(|media| media.is_usable()));
    }
    if let Ok((answer, agreed)) = offer_answer::answer(data, &local()) {
        let offered = Sdp::parse(data).expect("what is answered can be read");
        let answered = Sdp::parse(&answer).expect("what is written can be read");
        // RFC 3264 6: one m= line for each of the offer.
        assert_eq!(answered.session().medias.len(), offered.session().medias.len());
        assert!(!agreed.remote_path.is_empty());
    }
    let _ = offer_answer::accept_answer(&local(), data);
}

/// MIME: the first line is a Content-Type, the rest the body.
pub fn mime(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (head, body) = data.split_at(at);
    let body = Bytes::copy_from_slice(body.get(1..).unwrap_or_default());
    let part = Part::new(Bytes::copy_from_slice(head.trim_ascii()), body.clone());
    let _ = (part.disposition(), part.is_required(), restante::wire::mime::boundary(head));
    if let Ok(leaves) = part.leaves() {
        assert!(leaves.len() <= MOST_PARTS);
        assert!(leaves.iter().map(|leaf| leaf.body.len()).sum::<usize>() <= DEEPEST * data.len());
        for leaf in &leaves {
            assert!(!leaf.media_type().starts_with("multipart/"));
        }
    }
}

/// CPIM messages, read and wrapped anew.
pub fn cpim(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    let Ok(cpim) = Cpim::parse(&message) else { return };
    let (Some(from), Some(to)) = (cpim.from(), cpim.to()) else { return };
    let _ = cpim.content_type();
    let wrapper = Wrapper {
        from: from.clone(),
        to: to.clone(),
        date_time: cpim.date_time().map(str::to_owned),
        subject: cpim.subject(),
        content: cpim.content_headers.clone(),
    };
    let wrapped = Bytes::from([&wrapper.prefix()[..], &cpim.content].concat());
    let again = Cpim::parse(&wrapped).expect("what is wrapped can be read");
    assert_eq!(again.content, cpim.content, "the content is the same, byte for byte");
    // What does not belong into a URI is escaped when it is written.
    for (party, before) in [(again.from(), from), (again.to(), to)] {
        let party = party.expect("a party that is written can be read");
        assert!(!party.uri.contains(['<', '>']));
        assert!(
            party.uri == before.uri
                || before.uri.contains(|c: char| "<>\"\\".contains(c) || !c.is_ascii_graphic())
        );
    }
}

fn depth(element: &Element) -> usize {
    1 + element.children.iter().map(depth).max().unwrap_or_default()
}

fn count(element: &Element) -> usize {
    1 + element.children.iter().map(count).sum::<usize>()
}

/// URI-lists, and XML as such.
pub fn resource_lists(data: &[u8]) {
    let limits = XmlLimits { bytes: 4096, depth: 12, elements: 100 };
    if let Ok(root) = xml::parse(data, limits) {
        assert!(
            data.len() <= limits.bytes && depth(&root) <= limits.depth && count(&root) <= limits.elements
        );
        // Two bytes of UTF-16 are three of UTF-8 at most.
        assert!(root.text.len() <= data.len() / 2 * 3 + 1, "nothing expands");
    }
    let limits = ListLimits { entries: 50, depth: 4, bytes: 8192 };
    if let Ok(uris) = resource_lists::uris(data, limits) {
        assert!(!uris.is_empty() && uris.len() <= limits.entries);
        let again = resource_lists::uris(resource_lists::encode(&uris).as_bytes(), ListLimits::default());
        assert_eq!(again, Ok(uris), "what is written can be read");
    }
}

/// Message summaries.
pub fn message_summary(data: &[u8]) {
    let Some(summary) = Summary::parse(data) else { return };
    let again = Summary::parse(&summary.encode()).expect("what is written can be read");
    assert_eq!((again.text, again.multimedia), (summary.text, summary.multimedia));
    assert_eq!((again.is_waiting(), again.items.len()), (summary.is_waiting(), summary.items.len()));
}

/// Conference states.
pub fn conference_info(data: &[u8]) {
    let Ok(info) = ConferenceInfo::parse(data) else { return };
    let again = ConferenceInfo::parse(&info.encode()).expect("what is written can be read");
    assert_eq!(again.encode(), info.encode(), "writing is stable");
    assert_eq!((again.entity, again.users.len()), (info.entity, info.users.len()));
}
