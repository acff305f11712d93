//! Request methods: RFC 3261 7.1 and the extensions a message store meets.

use std::fmt;

use bytes::Bytes;

use super::grammar::is_token;

macro_rules! methods {
    ($($variant:ident $text:literal $source:literal,)*) => {
        /// A request method. Methods are compared with their case (RFC 3261 7.1).
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $(
                #[doc = concat!("`", $text, "`, ", $source, ".")]
                $variant,
            )*
            /// Any other token, as it came.
            Other(Bytes),
        }

        impl Method {
            /// Names the method that `token` spells; [`Method::Other`] shares its bytes.
            #[must_use]
            pub fn from_token(token: &Bytes) -> Self {
                Self::of(token, || token.clone())
            }

            /// Names the method that `token` spells; `shared` gives the bytes of an unknown one.
            pub(super) fn of(token: &[u8], shared: impl FnOnce() -> Bytes) -> Self {
                Self::known(token).unwrap_or_else(|| Self::Other(shared()))
            }

            /// Reads a method, copying it when it is unknown; `None` when it is no token.
            #[must_use]
            pub fn parse(token: &[u8]) -> Option<Self> {
                Self::known(token).or_else(|| {
                    is_token(token).then(|| Self::Other(Bytes::copy_from_slice(token)))
                })
            }

            fn known(token: &[u8]) -> Option<Self> {
                $(if token == $text.as_bytes() { return Some(Self::$variant); })*
                None
            }

            /// The method as it stands on the wire.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                match self {
                    $(Self::$variant => $text.as_bytes(),)*
                    Self::Other(token) => token,
                }
            }
        }
    };
}

methods! {
    Invite "INVITE" "RFC 3261",
    Ack "ACK" "RFC 3261",
    Bye "BYE" "RFC 3261",
    Cancel "CANCEL" "RFC 3261",
    Options "OPTIONS" "RFC 3261",
    Register "REGISTER" "RFC 3261",
    Message "MESSAGE" "RFC 3428",
    Subscribe "SUBSCRIBE" "RFC 6665",
    Notify "NOTIFY" "RFC 6665",
    Publish "PUBLISH" "RFC 3903",
    Refer "REFER" "RFC 3515",
    Info "INFO" "RFC 6086",
    Update "UPDATE" "RFC 3311",
    Prack "PRACK" "RFC 3262",
}

impl Method {
    /// The method as text. Tokens are ASCII, so this is the method itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or("?")
    }

    /// Whether this is a method named by this type, not [`Method::Other`].
    #[must_use]
    pub const fn is_known(&self) -> bool {
        !matches!(self, Self::Other(_))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves RFC 3261 7.1: methods are case-sensitive
    #[test]
    fn a_method_is_its_exact_spelling() {
        assert_eq!(Method::parse(b"MESSAGE"), Some(Method::Message));
        assert_eq!(Method::parse(b"message"), Some(Method::Other(Bytes::from_static(b"message"))));
        assert_ne!(Method::parse(b"message"), Some(Method::Message));
        assert_eq!(Method::parse(b"BAD METHOD"), None);
        assert_eq!(Method::parse(b""), None);
        assert_eq!(Method::Subscribe.to_string(), "SUBSCRIBE");
        assert!(!Method::Other(Bytes::from_static(b"FOO")).is_known());
    }
}
