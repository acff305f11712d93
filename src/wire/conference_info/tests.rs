#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use proptest::prelude::*;

use super::*;

fn retrieval() -> Vec<User> {
    let uri = "sip:d0982dkjs%40Joemobile.example.net@mailserver.example.com";
    let gone = Endpoint::dialed_out("sip:x@y?a=1&b=\"2\"", EndpointStatus::DialingOut)
        .disconnected(DisconnectionMethod::Failed, Some("SIP;cause=404;text=\"Not <Found>\"".into()));
    vec![User::with_endpoint(Endpoint::dialed_out(uri, EndpointStatus::Connected)), User::with_endpoint(gone)]
}

// proves RFC 4575 section 7.1: the basic example, its media left out
#[test]
fn the_basic_example_is_read() {
    let xml = br#"<?xml version="1.0" encoding="UTF-8"?>
   <conference-info
    xmlns="urn:ietf:params:xml:ns:conference-info"
    entity="sips:conf233@example.com"
    state="full" version="1">
   <!--
     CONFERENCE INFO
   -->
    <conference-description>
     <subject>Agenda: This month's goals</subject>
      <service-uris>
       <entry>
        <uri>http://sharepoint/salesgroup/</uri>
        <purpose>web-page</purpose>
       </entry>
      </service-uris>
     </conference-description>
    <conference-state>
     <user-count>33</user-count>
    </conference-state>
    <users>
     <user entity="sip:bob@example.com" state="full">
      <display-text>Bob Hoskins</display-text>
      <endpoint entity="sip:bob@pc33.example.com">
       <display-text>Bob's Laptop</display-text>
       <status>disconnected</status>
       <disconnection-method>departed</disconnection-method>
       <disconnection-info>
        <when>2005-03-04T20:00:00Z</when>
        <reason>bad voice quality</reason>
        <by>sip:mike@example.com</by>
       </disconnection-info>
       <media id="1">
        <display-text>main audio</display-text>
        <type>audio</type>
        <label>34567</label>
        <src-id>432424</src-id>
        <status>sendrecv</status>
       </media>
      </endpoint>
     </user>
     <user entity="sip:alice@example.com" state="full">
      <display-text>Alice</display-text>
      <endpoint entity="sip:4kfk4j392jsu@example.com;grid=433kj4j3u">
       <status>connected</status>
       <joining-method>dialed-out</joining-method>
       <joining-info>
        <when>2005-03-04T20:00:00Z</when>
        <by>sip:mike@example.com</by>
       </joining-info>
      </endpoint>
     </user>
    </users>
   </conference-info>"#;
    let info = ConferenceInfo::parse(xml).unwrap();
    assert_eq!((info.version, info.state, info.user_count), (1, State::Full, Some(33)));
    assert_eq!(info.subject.as_deref(), Some("Agenda: This month's goals"));
    let bob = info.users.first().unwrap();
    assert_eq!(bob.display_text.as_deref(), Some("Bob Hoskins"));
    let laptop = bob.endpoints.first().unwrap();
    assert_eq!(laptop.status, Some(EndpointStatus::Disconnected));
    let gone = laptop.disconnection.as_ref().unwrap();
    assert_eq!(gone.method, DisconnectionMethod::Departed);
    assert_eq!(gone.reason.as_deref(), Some("bad voice quality"));
    let alice = info.users.last().unwrap().endpoints.first().unwrap();
    assert_eq!(alice.joining, Some(JoiningMethod::DialedOut));
}

// proves RFC 4575 section 4.4: a full parent has only full children
#[test]
fn a_full_document_holds_only_full_elements() {
    let mut users = retrieval();
    users.push(User { state: State::Partial, ..retrieval().remove(0) });
    let read = ConferenceInfo::parse(&ConferenceInfo::full("sip:f@h", 7, users).encode()).unwrap();
    assert_eq!((read.version, read.user_count, read.users.len()), (7, Some(3), 3));
    assert!(read.users.iter().all(|user| user.state == State::Full));
}

// proves RFC 4575 section 5.2: a full document has a description and users, even when there is nothing to say
#[test]
fn an_empty_full_document_has_its_mandatory_elements() {
    let xml = ConferenceInfo::full("sip:f@h", 0, Vec::new()).encode();
    let root =
        crate::wire::xml::parse(&xml, crate::wire::xml::XmlLimits { bytes: 4096, depth: 4, elements: 9 })
            .unwrap();
    assert!(root.child("conference-description").is_some() && root.child("users").is_some());
}

#[test]
fn the_layout_of_a_partial_document_is_fixed() {
    let mut document = ConferenceInfo::partial("sip:f@h;gr", 2, retrieval());
    document.users.remove(0);
    document.users.push(User::deleted("sip:z@h"));
    let xml = document.encode();
    assert_eq!(
        std::str::from_utf8(&xml).unwrap(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
         <conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" entity=\"sip:f@h;gr\" state=\"partial\" version=\"2\">\r\n\
         <users state=\"partial\">\r\n\
         <user entity=\"sip:x@y?a=1&amp;b=&quot;2&quot;\" state=\"full\">\r\n\
         <endpoint entity=\"sip:x@y?a=1&amp;b=&quot;2&quot;\" state=\"full\"><status>disconnected</status>\
         <joining-method>dialed-out</joining-method><disconnection-method>failed</disconnection-method>\
         <disconnection-info><reason>SIP;cause=404;text=&quot;Not &lt;Found&gt;&quot;</reason></disconnection-info></endpoint>\r\n\
         </user>\r\n<user entity=\"sip:z@h\" state=\"deleted\"/>\r\n</users>\r\n</conference-info>\r\n"
    );
    assert_eq!(ConferenceInfo::parse(&xml).unwrap(), document);
}

// proves RFC 4575 section 4.4: what is deleted has no children
#[test]
fn a_deleted_conference_is_an_empty_element() {
    let document = ConferenceInfo { users: retrieval(), ..ConferenceInfo::deleted("sip:f@h", 9) };
    let read = ConferenceInfo::parse(&document.encode()).unwrap();
    assert_eq!(read, ConferenceInfo::deleted("sip:f@h", 9));
}

#[test]
fn what_is_no_conference_information_is_refused() {
    let wrong = |inner: &str| {
        let xml = format!("<conference-info xmlns='{NAMESPACE}' {inner}</conference-info>");
        ConferenceInfo::parse(xml.as_bytes())
    };
    assert_eq!(wrong("version='1'>"), Err(ConferenceInfoError::Unexpected("entity")));
    assert_eq!(wrong("entity='a'>"), Err(ConferenceInfoError::Unexpected("version")));
    assert_eq!(wrong("entity='a' version='1' state='x'>"), Err(ConferenceInfoError::Unexpected("state")));
    let status =
        "<users><user entity='u'><endpoint entity='e'><status>odd</status></endpoint></user></users>";
    assert_eq!(
        wrong(&format!("entity='a' version='1'>{status}")),
        Err(ConferenceInfoError::Unexpected("status"))
    );
    assert!(matches!(ConferenceInfo::parse(b"nothing"), Err(ConferenceInfoError::Xml(_))));
    assert_eq!(ConferenceInfo::parse(b"<a/>"), Err(ConferenceInfoError::Unexpected("root element")));
}

proptest! {
    #[test]
    fn encoded_documents_come_back(
        entity in "sip:[!-~]{1,20}",
        version in any::<u32>(),
        uris in proptest::collection::vec("[!-~]{1,20}", 1..5),
        reason in proptest::option::of("[!-~]([ -~]{0,20}[!-~])?"),
    ) {
        let users = uris.iter().map(|uri| {
            let endpoint = Endpoint::dialed_out(uri, EndpointStatus::DialingOut);
            User::with_endpoint(endpoint.disconnected(DisconnectionMethod::Departed, reason.clone()))
        });
        let document = ConferenceInfo::partial(entity, version, users.collect());
        prop_assert_eq!(ConferenceInfo::parse(&document.encode()).unwrap(), document);
    }
}
