//! Header field names: canonical spelling, compact forms (RFC 3261 7.3.3, 20), lookup without case.

use std::fmt;
use std::hash::{Hash, Hasher};

use bytes::Bytes;

macro_rules! header_names {
    ($($variant:ident $text:literal $($compact:literal)?,)*) => {
        /// The name of a header field. Compared without case (RFC 3261 7.3.1); a compact form is
        /// its long form.
        ///
        /// Build unknown names with [`HeaderName::parse`] or [`HeaderName::from_token`]: an
        /// [`HeaderName::Other`] never holds a name that has a variant of its own.
        #[derive(Clone, Debug)]
        pub enum HeaderName {
            $(
                #[doc = concat!("`", $text, "`")]
                $variant,
            )*
            /// Any other name, as it came.
            Other(Bytes),
        }

        #[derive(Clone, Copy)]
        enum Known {
            $($variant,)*
        }

        impl From<Known> for HeaderName {
            fn from(known: Known) -> Self {
                match known {
                    $(Known::$variant => Self::$variant,)*
                }
            }
        }

        const SPELLINGS: &[(&[u8], Known)] = &[
            $(
                ($text.as_bytes(), Known::$variant),
                $(($compact.as_bytes(), Known::$variant),)?
            )*
        ];

        impl HeaderName {
            /// The canonical long spelling; `None` of an unknown name.
            const fn spelling(&self) -> Option<&'static [u8]> {
                match self {
                    $(Self::$variant => Some($text.as_bytes()),)*
                    Self::Other(_) => None,
                }
            }
        }
    };
}

header_names! {
    Via "Via" "v",
    From "From" "f",
    To "To" "t",
    CallId "Call-ID" "i",
    CSeq "CSeq",
    Contact "Contact" "m",
    MaxForwards "Max-Forwards",
    Route "Route",
    RecordRoute "Record-Route",
    ContentType "Content-Type" "c",
    ContentLength "Content-Length" "l",
    ContentDisposition "Content-Disposition",
    ContentEncoding "Content-Encoding" "e",
    ContentLanguage "Content-Language",
    ContentTransferEncoding "Content-Transfer-Encoding",
    ContentId "Content-ID",
    MimeVersion "MIME-Version",
    Expires "Expires",
    MinExpires "Min-Expires",
    Date "Date",
    Subject "Subject" "s",
    Priority "Priority",
    Event "Event" "o",
    AllowEvents "Allow-Events" "u",
    SubscriptionState "Subscription-State",
    Allow "Allow",
    Accept "Accept",
    AcceptEncoding "Accept-Encoding",
    AcceptLanguage "Accept-Language",
    Supported "Supported" "k",
    Require "Require",
    ProxyRequire "Proxy-Require",
    Unsupported "Unsupported",
    RetryAfter "Retry-After",
    Warning "Warning",
    Timestamp "Timestamp",
    UserAgent "User-Agent",
    Server "Server",
    Organization "Organization",
    ReplyTo "Reply-To",
    PAssertedIdentity "P-Asserted-Identity",
    PPreferredIdentity "P-Preferred-Identity",
    Privacy "Privacy",
    Path "Path",
    ServiceRoute "Service-Route",
    Authorization "Authorization",
    ProxyAuthorization "Proxy-Authorization",
    WwwAuthenticate "WWW-Authenticate",
    ProxyAuthenticate "Proxy-Authenticate",
    AuthenticationInfo "Authentication-Info",
    Reason "Reason",
    InReplyTo "In-Reply-To",
    CallInfo "Call-Info",
    AlertInfo "Alert-Info",
    ErrorInfo "Error-Info",
    Replaces "Replaces",
    Join "Join",
    ReferTo "Refer-To" "r",
    ReferredBy "Referred-By" "b",
    ReferSub "Refer-Sub",
    RSeq "RSeq",
    RAck "RAck",
    SessionExpires "Session-Expires" "x",
    MinSe "Min-SE",
    SipETag "SIP-ETag",
    SipIfMatch "SIP-If-Match",
    AcceptContact "Accept-Contact" "a",
    RejectContact "Reject-Contact" "j",
    RequestDisposition "Request-Disposition" "d",
    HistoryInfo "History-Info",
    Identity "Identity" "y",
    MaxBreadth "Max-Breadth",
    FlowTimer "Flow-Timer",
}

const SLOTS: usize = 1024;
const EMPTY: u8 = u8::MAX;

/// Where the search for a name begins: its length, first, middle and last letter without case.
const fn slot(name: &[u8]) -> usize {
    let len = name.len();
    if len == 0 {
        return 0;
    }
    let first = (name[0] | 0x20) as usize;
    let middle = (name[len / 2] | 0x20) as usize;
    let last = (name[len - 1] | 0x20) as usize;
    (len.wrapping_mul(61) ^ first.wrapping_mul(31) ^ middle.wrapping_mul(7) ^ last.wrapping_mul(131)) % SLOTS
}

/// Open-addressed table from [`slot`] to an index into [`SPELLINGS`], laid out at compile time.
static TABLE: [u8; SLOTS] = {
    let mut table = [EMPTY; SLOTS];
    let mut index = 0;
    while index < SPELLINGS.len() {
        let mut at = slot(SPELLINGS[index].0);
        while table[at] != EMPTY {
            at = (at + 1) % SLOTS;
        }
        table[at] = index as u8;
        index += 1;
    }
    table
};

fn lookup(name: &[u8]) -> Option<Known> {
    let mut at = slot(name);
    // The table is far from full, so an empty slot ends every search.
    while let Some((spelling, known)) = TABLE.get(at).and_then(|index| SPELLINGS.get(usize::from(*index))) {
        // Most write a name as the RFCs do.
        if *spelling == name || spelling.eq_ignore_ascii_case(name) {
            return Some(*known);
        }
        at = (at + 1) % SLOTS;
    }
    None
}

impl HeaderName {
    /// Names the header that `token` spells; [`HeaderName::Other`] shares its bytes.
    #[must_use]
    pub fn from_token(token: &Bytes) -> Self {
        lookup(token).map_or_else(|| Self::Other(token.clone()), Self::from)
    }

    /// Names the header that `token` spells, copying it when it is unknown.
    #[must_use]
    pub fn parse(token: &[u8]) -> Self {
        Self::known(token).unwrap_or_else(|| Self::Other(Bytes::copy_from_slice(token)))
    }

    /// The variant that `token` spells, if it has one.
    #[must_use]
    pub fn known(token: &[u8]) -> Option<Self> {
        lookup(token).map(Self::from)
    }

    /// The canonical long spelling as text; `?` for an unknown name that is not UTF-8.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or("?")
    }

    /// The canonical long spelling, or an unknown name as it came.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Other(name) => name,
            known => known.spelling().unwrap_or_default(),
        }
    }

    /// As [`Self::as_bytes`], not copied.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Other(name) => name.clone(),
            known => Bytes::from_static(known.spelling().unwrap_or_default()),
        }
    }

    /// Whether the name says something of the body (`Content-*`, `MIME-Version`).
    #[must_use]
    pub fn is_content(&self) -> bool {
        match self {
            Self::ContentType
            | Self::ContentLength
            | Self::ContentDisposition
            | Self::ContentEncoding
            | Self::ContentLanguage
            | Self::ContentTransferEncoding
            | Self::ContentId
            | Self::MimeVersion => true,
            Self::Other(name) => begins_with_content(name),
            _ => false,
        }
    }
}

fn begins_with_content(name: &[u8]) -> bool {
    name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"Content-"))
}

impl PartialEq for HeaderName {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && match (self, other) {
                (Self::Other(a), Self::Other(b)) => a.eq_ignore_ascii_case(b),
                _ => true,
            }
    }
}

impl Eq for HeaderName {}

impl Hash for HeaderName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        if let Self::Other(name) = self {
            name.iter().for_each(|byte| state.write_u8(byte.to_ascii_lowercase()));
        }
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    // proves RFC 3261 7.3.1: names are compared without case, and 7.3.3: compact forms
    #[test]
    fn every_spelling_finds_its_name_in_any_case() {
        for (spelling, known) in SPELLINGS {
            let expected = HeaderName::from(*known);
            assert_eq!(HeaderName::parse(spelling), expected);
            assert_eq!(HeaderName::parse(&spelling.to_ascii_uppercase()), expected);
            assert_eq!(HeaderName::parse(&spelling.to_ascii_lowercase()), expected);
        }
        assert!(SPELLINGS.len() < usize::from(EMPTY));
    }

    #[test]
    fn unknown_names_equal_without_case_and_keep_their_bytes() {
        let a = HeaderName::parse(b"X-Thing");
        let b = HeaderName::parse(b"x-tHING");
        assert_eq!(a, b);
        assert_eq!((a.as_bytes(), a.to_bytes()), (&b"X-Thing"[..], Bytes::from_static(b"X-Thing")));
        assert_eq!(HeaderName::parse(b"i").to_bytes(), "Call-ID");
        assert_eq!(HashSet::from([a, b]).len(), 1);
        assert_ne!(HeaderName::parse(b"Vi"), HeaderName::Via);
        assert_eq!(HeaderName::parse(b""), HeaderName::Other(Bytes::new()));
    }

    #[test]
    fn content_headers_are_told_by_their_prefix() {
        assert!(HeaderName::parse(b"content-foo").is_content());
        assert!(HeaderName::ContentType.is_content() && HeaderName::MimeVersion.is_content());
        for (spelling, known) in SPELLINGS {
            let name = HeaderName::from(*known);
            let content = begins_with_content(name.as_bytes()) || name == HeaderName::MimeVersion;
            assert_eq!(name.is_content(), content, "{name} {spelling:?}");
        }
    }
}
