//! The CSeq header field (RFC 3261 8.1.1.5, 20.16).

use std::fmt;

use bytes::Bytes;

use super::grammar::{decimal, share, skip_blanks, split_token};
use super::method::Method;

/// A sequence number and the method it counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CSeq {
    /// Below 2^31.
    pub number: u32,
    /// The method of the request.
    pub method: Method,
}

impl CSeq {
    /// Reads `1*DIGIT LWS Method`; the error says what is wrong.
    pub fn parse(value: &Bytes) -> Result<Self, &'static str> {
        let (digits, method) = parts(value).ok_or("number and method")?;
        // RFC 3261 8.1.1.5: MUST be expressible as a 32-bit unsigned integer and MUST be less than 2**31
        let number = decimal(digits).filter(|number| *number < 1 << 31).ok_or("number")?;
        let number = u32::try_from(number).map_err(|_| "number")?;
        Ok(Self { number, method: Method::of(method, || share(value, method)) })
    }
}

/// The digits and the method.
fn parts(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = skip_blanks(value);
    let (digits, rest) = text.split_at(text.iter().position(|byte| !byte.is_ascii_digit())?);
    let (method, tail) = split_token(skip_blanks(rest))?;
    let apart = !digits.is_empty() && method.len() + tail.len() < rest.len();
    (apart && skip_blanks(tail).is_empty()).then_some((digits, method))
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // proves RFC 3261 8.1.1.5, 20.16
    #[test]
    fn a_number_below_two_to_the_31_and_a_method() {
        let parse = |text: &'static str| CSeq::parse(&Bytes::from_static(text.as_bytes()));
        assert_eq!(parse("0009   INVITE").unwrap(), CSeq { number: 9, method: Method::Invite });
        assert_eq!(parse("2147483647 FOO").unwrap().to_string(), "2147483647 FOO");
        for bad in [
            "2147483648 INVITE",
            "36893488147419103232 REGISTER",
            "-1 ACK",
            "1",
            "1ACK",
            "INVITE",
            "1 A B",
            "",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
