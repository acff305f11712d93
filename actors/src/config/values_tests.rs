//! Tests of the values with a syntax of their own.

use super::*;

fn listen(text: &str) -> Result<Listen, Mismatch> {
    Listen::read(&Raw::Text(text.into()))
}

#[test]
fn listeners_name_protocol_address_and_port() {
    for good in ["udp:127.0.0.1:5060", "tcp:[::1]:0", "tls:0.0.0.0:5061", "ws:127.0.0.1:80", "wss:[::]:443"] {
        assert_eq!(listen(good).unwrap().to_string(), good);
    }
    assert_eq!(listen("UDP:1.2.3.4:5060").unwrap().transport, Transport::Udp);
    for bad in [
        "",
        "5060",
        "127.0.0.1:5060",
        "udp:127.0.0.1",
        "udp:host:5060",
        "sctp:1.2.3.4:1",
        "tcp:1.2.3.4:70000",
    ] {
        assert!(listen(bad).is_err(), "{bad}");
    }
}

#[test]
fn listeners_overlap_where_both_cannot_be_bound() {
    let overlap = |a: &str, b: &str| listen(a).unwrap().overlaps(&listen(b).unwrap());
    assert!(overlap("tcp:127.0.0.1:5060", "tcp:127.0.0.1:5060"));
    assert!(overlap("tls:127.0.0.1:5060", "wss:127.0.0.1:5060"));
    assert!(!overlap("tls:127.0.0.1:5060", "udp:127.0.0.1:5060"));
    assert!(overlap("tcp:0.0.0.0:5060", "tcp:127.0.0.1:5060"));
    assert!(overlap("tcp:[::1]:5060", "tcp:[::]:5060"));
    assert!(!overlap("tcp:127.0.0.1:5060", "udp:127.0.0.1:5060"));
    assert!(!overlap("tcp:127.0.0.1:5060", "tcp:127.0.0.2:5060"));
    assert!(!overlap("tcp:127.0.0.1:5060", "tcp:127.0.0.1:5061"));
    assert!(!overlap("tcp:127.0.0.1:0", "tcp:127.0.0.1:0"));
    assert!(!overlap("tcp:0.0.0.0:5060", "tcp:[::]:5060"));
}

#[test]
fn domains_are_hosts_in_lower_case() {
    let domain = |text: &str| text.parse::<Domain>();
    assert_eq!(domain("Example.COM").unwrap().as_str(), "example.com");
    assert_eq!(domain("127.0.0.1").unwrap().as_str(), "127.0.0.1");
    assert_eq!(domain("[0:0::1]").unwrap().as_str(), "[::1]");
    for bad in
        ["", ".", "a..b", "-a.example", "a b", "sip:example.com", "bob@example.com", "[::1", "[x]", "a:5060"]
    {
        assert_eq!(domain(bad), Err(Malformed), "{bad}");
    }
    assert_eq!(domain(&"a".repeat(64)), Err(Malformed));
    assert_eq!(domain(&"a.".repeat(127)), Err(Malformed));
}

#[test]
fn an_advertised_host_may_have_a_port() {
    let advertise = |text: &str| text.parse::<Advertise>();
    assert_eq!(advertise("sip.example.com").unwrap().port, None);
    assert_eq!(advertise("sip.example.com:5070").unwrap().port, Some(5070));
    assert_eq!(advertise("[2001:db8::1]").unwrap().to_string(), "[2001:db8::1]");
    assert_eq!(advertise("[2001:db8::1]:5060").unwrap().port, Some(5060));
    for bad in ["", ":5060", "host:", "host:0", "host:99999", "2001:db8::1", "tcp:host:1"] {
        assert_eq!(advertise(bad), Err(Malformed), "{bad}");
    }
}

#[test]
fn stores_are_embedded_and_a_password_is_never_repeated() {
    let store = |text: &str| StoreUrl::read(&Raw::Text(text.into()));
    assert_eq!(store("embedded:/var/lib/x"), Ok(StoreUrl::Embedded(PathBuf::from("/var/lib/x"))));
    for bad in ["", "embedded:", "/var/lib/x", "mysql://host"] {
        assert!(store(bad).is_err(), "{bad}");
    }
    let problem = store("postgres://user:secret@host/db").unwrap_err().to_string();
    assert_eq!(problem, "`postgres://`: PostgreSQL is not supported yet; use embedded:<folder>");
}

#[test]
fn choices_are_words_without_case() {
    assert_eq!("ADDED".parse(), Ok(SummaryHeaders::Added));
    assert_eq!("message-id".parse(), Ok(SummaryField::MessageId));
    assert_eq!(SummaryField::MessageId.to_string(), "Message-ID");
    assert_eq!("archive".parse::<After>(), Err(Malformed));
    assert_eq!(SummaryField::ALL.len(), 6);
}

#[test]
fn loopback_is_both_families() {
    let shown: Vec<String> = defaults::loopback().iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["127.0.0.0/8", "::1/128"]);
}

#[test]
fn peers_are_networks_or_certificates() {
    let peer = |text: &str| text.parse::<TrustedPeer>();
    for good in ["10.0.0.0/8", "::1/128", "cert:proxy.example.com"] {
        assert_eq!(peer(good).unwrap().to_string(), good);
    }
    for bad in ["", "cert:", "cert:*.example.com", "proxy.example.com", "10.0.0.0/40"] {
        assert!(peer(bad).is_err(), "{bad}");
    }
}
