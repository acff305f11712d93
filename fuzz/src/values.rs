//! Values within messages: what is read and written again means the same.

use bytes::Bytes;
use restante::machine::sip::Transport;
use restante::machine::sip::locate::{Locate, Target};
use restante::time::Timestamp;
use restante::wire::date::{Date, parse_date, rfc3339, sip_date};
use restante::wire::sip::{
    Challenge, Credentials, HeaderName, Method, NameAddr, Request, SipUri, Via, escape_user, realm_of,
    stamp_via, tag_of, unescape,
};

/// SIP URIs.
pub fn uri(data: &[u8]) {
    let text = Bytes::copy_from_slice(data);
    let escaped = escape_user(data);
    assert_eq!(unescape(escaped.as_bytes()), data, "escaping is undone");
    if !data.is_empty() {
        let user =
            SipUri::parse(&Bytes::from(format!("sip:{escaped}@h"))).expect("what is escaped is a user");
        assert_eq!(user.user_unescaped(), data);
    }
    let Ok(uri) = SipUri::parse(&text) else { return };
    let written = Bytes::from(uri.to_string());
    let again = SipUri::parse(&written).expect("what is written can be read");
    assert!(uri.equivalent(&again) && again.equivalent(&uri) && uri.equivalent(&uri));
    assert_eq!(again.to_string().as_bytes(), written, "writing is stable");
    let _ = (uri.is_loose_route(), uri.transport(), uri.maddr());
    let Ok(target) = Target::parse(&text) else { return };
    for supported in [&[Transport::Udp, Transport::Tcp][..], &[Transport::Tls], &[]] {
        let mut locate = Locate::new(target.clone(), supported);
        let asked = std::iter::from_fn(|| locate.poll_question()).count();
        assert_ne!(asked == 0, locate.outcome().is_none(), "either there is a question or an outcome");
    }
}

/// Addresses.
pub fn name_addr(data: &[u8]) {
    let value = Bytes::copy_from_slice(data);
    let tag = tag_of(&value);
    let Ok(address) = NameAddr::parse(&value) else { return };
    assert_eq!(address.tag(), tag, "the quick way to the tag finds the same");
    let again = NameAddr::parse(&address.encode()).expect("what is written can be read");
    assert_eq!((&again.uri, again.tag(), &again.display), (&address.uri, address.tag(), &address.display));
    let pairs = |address: &NameAddr| address.params.iter().collect::<Vec<_>>();
    assert_eq!(pairs(&again), pairs(&address));
}

/// Via values.
pub fn via(data: &[u8]) {
    let value = Bytes::copy_from_slice(data);
    let Ok(via) = Via::parse(&value) else { return };
    let _ = (via.branch(), via.unique_branch(), via.received(), via.rport(), via.wants_rport());
    let _ = Target::of_via(&via);
    if data.contains(&b'\r') || data.contains(&b'\n') {
        return;
    }
    let mut request = Request::new(Method::Message, "sip:a@b");
    request.headers.push(HeaderName::Via, value);
    stamp_via(&mut request, "192.0.2.1:7".parse().unwrap());
    let stamped = request.headers.via().expect("a stamped Via can be read");
    assert_eq!((&stamped.host, stamped.port, stamped.branch()), (&via.host, via.port, via.branch()));
    if via.wants_rport() {
        assert_eq!(stamped.rport(), Some(7));
        assert_eq!(stamped.received(), Some("192.0.2.1".parse().unwrap()));
    }
}

/// Digest challenges and credentials.
pub fn digest(data: &[u8]) {
    let value = Bytes::copy_from_slice(data);
    if let Ok(Some(challenge)) = Challenge::parse(&value) {
        let again = Challenge::parse(&challenge.encode()).expect("what is written can be read");
        assert_eq!(again, Some(challenge));
    }
    if let Ok(Some(credentials)) = Credentials::parse(&value) {
        assert_eq!(realm_of(&value).as_ref(), Some(&credentials.realm));
        let again = Credentials::parse(&credentials.encode()).expect("what is written can be read");
        assert_eq!(again, Some(credentials));
    }
}

/// Dates.
pub fn date(data: &[u8]) {
    let Some(date) = parse_date(data) else { return };
    let second = Timestamp(date.at.0 / 1000 * 1000);
    if date.at.0 < 253_402_300_800_000 {
        assert_eq!(parse_date(sip_date(date.at).as_bytes()), Some(Date::utc(second)));
    }
    assert!(rfc3339(date).len() >= 20);
}
