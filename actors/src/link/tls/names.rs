//! The SIP domains that a certificate speaks for (RFC 5922 7.1, 7.2).

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// The identifier of a common name, 2.5.4.3, as it is encoded.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// The identifier of the subjectAltName extension, 2.5.29.17, with its tag and length.
const SUBJECT_ALT_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x1D, 0x11];

/// The SIP domain identities of a certificate, in lower case; none of one that cannot be read.
#[must_use]
pub fn sip_domains(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(parsed) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    // RFC 5922 7.1: the hostpart of a "sip" URI without a userpart MUST be accepted
    let mut found: Vec<String> = parsed.valid_uri_names().filter_map(of_uri).collect();
    if found.is_empty() {
        // RFC 5922 7.1: a DNS name if and only if there is no such URI; 7.2: no wildcards
        found = parsed.valid_dns_names().filter(|name| !name.contains('*')).map(lower).collect();
    }
    // RFC 5922 7.1: the CN if and only if the subjectAltName does not appear
    if found.is_empty() && memchr::memmem::find(certificate, SUBJECT_ALT_NAME).is_none() {
        found.extend(common_name(parsed.subject()).filter(|name| is_dns_name(name)).map(|name| lower(&name)));
    }
    found
}

fn lower(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// The domain of `sip:example.com`.
fn of_uri(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once(':')?;
    let good = scheme.eq_ignore_ascii_case("sip") && !rest.contains('@');
    let host = rest.split([';', '?', ':']).next()?;
    (good && is_dns_name(host)).then(|| lower(host))
}

fn is_dns_name(name: &str) -> bool {
    rustls::pki_types::DnsName::try_from(name).is_ok()
}

/// The last common name of a distinguished name.
fn common_name(mut names: &[u8]) -> Option<String> {
    let mut found = None;
    while let Some((set, rest)) = element(names) {
        names = rest;
        let Some((attribute, _)) = element(set) else { continue };
        let Some((kind, value)) = element(attribute) else { continue };
        if kind == COMMON_NAME {
            found = element(value).and_then(|(text, _)| String::from_utf8(text.to_vec()).ok());
        }
    }
    found
}

/// The content of the first DER element, and what stands behind it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short if short < 0x80 => (short, rest),
        long => {
            let (digits, rest) = rest.split_at_checked((long & 0x7F).min(8))?;
            let length =
                digits.iter().try_fold(0_usize, |n, d| n.checked_mul(256)?.checked_add(usize::from(*d)));
            (length?, rest)
        }
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn certificate(sans: &[SanType], common_name: Option<&str>) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = sans.to_vec();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "somebody");
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(name.try_into().unwrap())
    }

    fn uri(name: &str) -> SanType {
        SanType::URI(name.try_into().unwrap())
    }

    // proves RFC 5922 7.1, 7.2
    #[test]
    fn a_certificate_speaks_for_the_domains_it_names() {
        let table: [(&[SanType], Option<&str>, &[&str]); 8] = [
            (
                &[dns("Proxy.Example.com"), dns("b.example.com")],
                None,
                &["proxy.example.com", "b.example.com"],
            ),
            (&[dns("a.example.com"), uri("sip:example.com")], None, &["example.com"]),
            (&[uri("SIP:Example.com;transport=tls")], None, &["example.com"]),
            (&[uri("sip:bob@example.com"), dns("a.example.com")], None, &["a.example.com"]),
            (&[uri("https://example.com")], Some("cn.example.com"), &[]),
            (&[dns("*.example.com")], Some("cn.example.com"), &[]),
            (&[], Some("cn.example.com"), &["cn.example.com"]),
            (&[], Some("Not a name"), &[]),
        ];
        for (sans, common_name, expected) in table {
            assert_eq!(sip_domains(&certificate(sans, common_name)), expected, "{sans:?} {common_name:?}");
        }
    }

    #[test]
    fn what_is_no_certificate_names_nothing() {
        assert!(sip_domains(&CertificateDer::from(vec![0x30, 0x82])).is_empty());
        assert_eq!(element(&[0x30, 0x82, 0x01]), None);
        assert_eq!(element(&[0x30, 0xFF, 1, 2, 3, 4, 5, 6, 7, 8]), None);
    }
}
