//! MIME bodies as SIP carries them (RFC 2045, RFC 2046 section 5.1, RFC 5621): a body is a tree of
//! parts, and what matters are its leaves.
//!
//! Parts are slices of the body they were found in, byte for byte, but where they have a transfer encoding
//! (RFC 5621 section 3.2), which is undone.

mod field;
mod multipart;
mod transfer;

use bytes::Bytes;

use super::resource_lists;
use super::sip::{HeaderName, Request};

pub use field::{Fields, fields, parameter, value};
pub(super) use field::{are_readable, named};
pub use multipart::{boundary, encode, parts};
pub(crate) use transfer::{decode, is_identity};

/// Parts of one body, at all depths together.
pub const MOST_PARTS: usize = 64;

/// Multiparts within multiparts.
pub const DEEPEST: usize = 4;

/// Why a body was not taken apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MimeError {
    /// The Content-Type of a multipart has no (usable) boundary.
    #[error("multipart without a usable boundary")]
    NoBoundary,
    /// No line of the body is the boundary.
    #[error("multipart whose boundary does not appear")]
    NoPart,
    /// The closing boundary is missing.
    #[error("multipart that is not closed")]
    NotClosed,
    /// More than [`MOST_PARTS`] parts.
    #[error("multipart with more than {MOST_PARTS} parts")]
    TooMany,
    /// More than [`DEEPEST`] multiparts within each other.
    #[error("multiparts nest deeper than {DEEPEST}")]
    TooDeep,
    /// A header field of a part is none, or there are too many of them.
    #[error("malformed header of a body part")]
    Header,
    /// A part is encoded in this way, which is not known, or is not what it says.
    #[error("unsupported or broken Content-Transfer-Encoding {0}")]
    TransferEncoding(String),
}

/// One body part: what its header fields say and its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Name and unfolded value of each header field, in order.
    pub headers: Fields,
    /// The content, byte for byte.
    pub body: Bytes,
    /// The choices that lead to this part, from the outermost `multipart/alternative` on: of each only one
    /// alternative is meant, and has to be understood.
    pub alternatives: Vec<Alternative>,
    /// Whether it is required, where that is not its own to say.
    required: Option<bool>,
}

/// One of the alternatives of a `multipart/alternative`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// Which multipart of the message.
    pub choice: usize,
    /// Which of its parts, the best first.
    pub place: usize,
}

impl Part {
    /// A part of this type and no other header.
    #[must_use]
    pub fn new(content_type: impl Into<Bytes>, body: impl Into<Bytes>) -> Self {
        let headers = vec![(Bytes::from_static(b"Content-Type"), content_type.into())];
        Self { headers, body: body.into(), alternatives: Vec::new(), required: None }
    }

    /// The whole body of a request, with what its header says of it.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let described = [
            (HeaderName::ContentType, "Content-Type"),
            (HeaderName::ContentDisposition, "Content-Disposition"),
            (HeaderName::ContentEncoding, "Content-Encoding"),
            (HeaderName::ContentTransferEncoding, "Content-Transfer-Encoding"),
        ];
        let headers = described
            .into_iter()
            .filter_map(|(name, text)| Some((Bytes::from(text), request.headers.get(&name)?.clone())))
            .collect();
        Self { headers, body: request.body.clone(), alternatives: Vec::new(), required: None }
    }

    /// The same part with one header field more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Bytes>) -> Self {
        self.headers.push((Bytes::from_static(name.as_bytes()), value.into()));
        self
    }

    /// The value of the header field `name`, compared without case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        named(&self.headers, name)
    }

    /// The media type in lower case without parameters; `text/plain` where none is told (RFC 2045
    /// section 5.2).
    #[must_use]
    pub fn media_type(&self) -> String {
        match self.header("Content-Type") {
            Some(text) => value(text),
            None => "text/plain".to_owned(),
        }
    }

    /// The disposition in lower case without parameters.
    #[must_use]
    pub fn disposition(&self) -> Option<String> {
        self.header("Content-Disposition").map(|text| value(text))
    }

    /// Whether the content is in a content coding (RFC 3261 section 20.12), which is not undone here.
    #[must_use]
    pub fn is_coded(&self) -> bool {
        let is_coding = |(name, value): &(Bytes, Bytes)| {
            name.eq_ignore_ascii_case(b"Content-Encoding") && !value.eq_ignore_ascii_case(b"identity")
        };
        self.headers.iter().any(is_coding)
    }

    /// Whether one who does not understand the part must refuse the message.
    #[must_use]
    pub fn is_required(&self) -> bool {
        if let Some(required) = self.required {
            return required;
        }
        // RFC 3261 20.11: if the handling parameter is missing, "required" SHOULD be assumed.
        let handling = self.header("Content-Disposition").and_then(|text| parameter(text, "handling"));
        !handling.is_some_and(|handling| handling.eq_ignore_ascii_case(b"optional"))
    }

    /// The parts that are no multiparts, however deep, in order; of alternatives the best first. A part
    /// that is no multipart is its own only leaf, and so is a multipart in a content coding. To take a message's body apart, make a `Part` of it
    /// and its Content-* headers. Transfer encodings are undone; what is optional and cannot be taken apart, or is in an
    /// encoding that is not understood, is left out. Whether a leaf is required, what it lies in has its say.
    ///
    /// # Errors
    /// [`MimeError`] when a multipart is broken, too deep or has too many parts, or a required part's
    /// encoding is not understood.
    pub fn leaves(&self) -> Result<Vec<Part>, MimeError> {
        self.leaves_behind(&mut 0)
    }

    /// The same, where so many choices of the message are known already; counts those that are found.
    fn leaves_behind(&self, choices: &mut usize) -> Result<Vec<Part>, MimeError> {
        let mut walk = Walk { budget: MOST_PARTS, choices: *choices, found: Vec::new() };
        self.collect(0, &mut walk)?;
        *choices = walk.choices;
        Ok(walk.found)
    }

    fn collect(&self, depth: usize, walk: &mut Walk) -> Result<(), MimeError> {
        let before = walk.found.len();
        let collected = if self.media_type().starts_with("multipart/") && !self.is_coded() {
            self.collect_inner(depth, walk)
        } else {
            self.decoded().map(|part| walk.found.push(part))
        };
        match collected {
            // RFC 5621 8.1: what is optional and not understood is passed over.
            Err(_) if !self.is_required() => {
                walk.found.truncate(before);
                Ok(())
            }
            collected => collected,
        }
    }

    /// The leaves of a multipart.
    fn collect_inner(&self, depth: usize, walk: &mut Walk) -> Result<(), MimeError> {
        if depth >= DEEPEST {
            return Err(MimeError::TooDeep);
        }
        let boundary =
            self.header("Content-Type").and_then(|text| boundary(text)).ok_or(MimeError::NoBoundary)?;
        let mut inner = parts(&self.body, &boundary)?;
        walk.budget = walk.budget.checked_sub(inner.len()).ok_or(MimeError::TooMany)?;
        let choice = (self.media_type() == "multipart/alternative").then(|| {
            // RFC 2046 5.1.4: the last part of those that are understood is the best choice.
            inner.reverse();
            walk.choices += 1;
            walk.choices
        });
        let (before, mut broken) = (walk.found.len(), None);
        for (place, part) in inner.into_iter().enumerate() {
            let mut alternatives = self.alternatives.clone();
            alternatives.extend(choice.map(|choice| Alternative { choice, place }));
            // RFC 5621 8.2: of alternatives the multipart's handling counts and theirs does not; of others a part's own counts
            // if the multipart is required, too.
            let required = match choice {
                Some(_) => Some(self.is_required()),
                None => (!self.is_required()).then_some(false),
            };
            let part = Part { alternatives, required, ..part };
            match part.collect(depth + 1, walk) {
                // Another alternative may be understood.
                Err(error) if choice.is_some() => broken = broken.or(Some(error)),
                collected => collected?,
            }
        }
        match broken {
            Some(error) if walk.found.len() == before => Err(error),
            _ => Ok(()),
        }
    }

    /// The same part without its transfer encoding.
    fn decoded(&self) -> Result<Self, MimeError> {
        let Some(encoding) = self.header("Content-Transfer-Encoding").map(|text| value(text)) else {
            return Ok(self.clone());
        };
        let Some(body) = decode(&encoding, &self.body) else {
            return Err(MimeError::TransferEncoding(encoding));
        };
        let mut headers = self.headers.clone();
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case(b"Content-Transfer-Encoding"));
        Ok(Self { headers, body, alternatives: self.alternatives.clone(), required: self.required })
    }
}

/// What is left of the budget, and what was found, while a body is taken apart.
struct Walk {
    budget: usize,
    choices: usize,
    found: Vec<Part>,
}

/// The parts of this media type and disposition. Without a disposition, the one wanted is the type's
/// own: parts that tell none, or `session` or `render` (RFC 3261 section 20.11).
pub fn matching<'a>(
    parts: &'a [Part],
    media_type: &'a str,
    disposition: Option<&'a str>,
) -> impl Iterator<Item = &'a Part> {
    parts.iter().filter(move |part| {
        let own = part.disposition();
        let fits = match disposition {
            Some(wanted) => own.is_some_and(|own| own.eq_ignore_ascii_case(wanted)),
            None => own.is_none_or(|own| is_default(&own)),
        };
        fits && part.media_type().eq_ignore_ascii_case(media_type)
    })
}

/// Whether a disposition (in lower case) is what is meant where none is told.
fn is_default(disposition: &str) -> bool {
    matches!(disposition, "session" | "render")
}

/// The bodies of the parts of this media type that are meant to be used as that type usually is, also where
/// they stand in multiparts among `parts`: URI-lists as `recipient-list` (RFC 5363 section 4.1), anything by
/// its default disposition. Of alternatives one counts. Multiparts that are broken hold nothing, and what is in a
/// content coding is not of its type.
#[must_use]
pub fn bodies_of(parts: &[Part], media_type: &str) -> Vec<Bytes> {
    let mut choices =
        parts.iter().flat_map(|part| &part.alternatives).map(|one| one.choice).max().unwrap_or(0);
    let leaves: Vec<Part> = parts
        .iter()
        .filter_map(|part| part.leaves_behind(&mut choices).ok())
        .flatten()
        .filter(|part| !part.is_coded())
        .collect();
    let list = media_type.eq_ignore_ascii_case(resource_lists::MEDIA_TYPE);
    let named: Vec<_> = matching(&leaves, media_type, list.then_some(resource_lists::DISPOSITION)).collect();
    let found = if named.is_empty() { matching(&leaves, media_type, None).collect() } else { named };
    let mut chosen: Vec<Alternative> = Vec::new();
    let mut bodies = Vec::new();
    for part in found {
        let another = |own: &Alternative| chosen.iter().any(|it| it.choice == own.choice && it != own);
        if !part.alternatives.iter().any(another) {
            chosen.extend(&part.alternatives);
            bodies.push(part.body.clone());
        }
    }
    bodies
}

/// The first of [`bodies_of`].
#[must_use]
pub fn body_of(parts: &[Part], media_type: &str) -> Option<Bytes> {
    bodies_of(parts, media_type).into_iter().next()
}

/// The first part that must be understood and is not of one of the `known` media types, or in a content coding, or has a
/// disposition for which [`bodies_of`] has no use: the message has to be refused with 415 (RFC 5621 section 8.4).
#[must_use]
pub fn not_understood<'a>(parts: &'a [Part], known: &[&str]) -> Option<&'a Part> {
    let is_known = |part: &Part| {
        let media_type = part.media_type();
        let list = media_type == resource_lists::MEDIA_TYPE;
        let disposed = part.disposition().is_none_or(|own| {
            is_default(&own) || list && own.eq_ignore_ascii_case(resource_lists::DISPOSITION)
        });
        disposed && !part.is_coded() && known.iter().any(|known| known.eq_ignore_ascii_case(&media_type))
    };
    let understood: Vec<usize> = parts
        .iter()
        .filter(|part| is_known(part))
        .flat_map(|part| part.alternatives.iter().map(|own| own.choice))
        .collect();
    let has_another = |part: &Part| part.alternatives.iter().any(|own| understood.contains(&own.choice));
    parts.iter().find(|part| part.is_required() && !is_known(part) && !has_another(part))
}

#[cfg(test)]
mod tests;
