//! The Privacy header field (RFC 3323 4.2, RFC 3325 9.3): what its sender wants to be kept from others.

use bytes::Bytes;

use super::error::HeaderError;
use super::grammar::{is_token, share, trim};
use super::header_name::HeaderName;
use super::headers::Headers;

impl Headers {
    /// The values of all Privacy fields, in order; none where there is no such field.
    pub fn privacy(&self) -> Result<Vec<Bytes>, HeaderError> {
        // RFC 3323 4.2 separates by semicolons; a comma is what a list of fields is joined by (RFC 3261 7.3.1).
        self.all(&HeaderName::Privacy)
            .flat_map(|field| {
                field.split(|byte| matches!(byte, b';' | b',')).map(|value| share(field, trim(value)))
            })
            .map(|value| match is_token(&value) {
                true => Ok(value),
                false => Err(HeaderError::malformed(HeaderName::Privacy, "value")),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn privacy(fields: &[&'static str]) -> Result<Vec<Bytes>, HeaderError> {
        let mut headers = Headers::new();
        for field in fields {
            headers.push(HeaderName::Privacy, *field);
        }
        headers.privacy()
    }

    // proves RFC 3323 4.2: Privacy-hdr
    #[test]
    fn values_are_tokens_between_semicolons() {
        assert_eq!(privacy(&["header; user ;critical", "id"]).unwrap(), ["header", "user", "critical", "id"]);
        assert_eq!(privacy(&["id, header"]).unwrap(), ["id", "header"]);
        assert_eq!(privacy(&[]).unwrap(), Vec::<Bytes>::new());
        for bad in ["", ";", "id;", "id header", "\"id\""] {
            assert_eq!(privacy(&[bad]).unwrap_err().to_string(), "Malformed Privacy: value", "{bad}");
        }
    }
}
