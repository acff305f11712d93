//! Where an end-line stands in bytes (RFC 4975 7.1): seven dashes and a transaction identifier.
//!
//! What all end-lines begin with is searched for, and the identifier is compared where it is found: a search
//! for another identifier each time would be prepared anew for each frame, which costs more than a small body.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// What an end-line begins with.
pub(crate) const DASHES: &[u8] = b"-------";

/// The same with the end of the line before it.
pub(super) const LINE: &[u8] = b"\r\n-------";

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(DASHES));
static LINE_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(LINE));

/// Whether `end_line`, seven dashes and a transaction identifier, occurs in `body`, at the beginning of a line or
/// elsewhere.
pub(crate) fn occurs(end_line: &[u8], body: &[u8]) -> bool {
    let mut rest = body;
    while let Some(text) = FINDER.find(rest).and_then(|at| rest.get(at..)) {
        let dashes = text.iter().take_while(|byte| **byte == b'-').count();
        // No identifier begins with a dash: of more than seven, only the last can belong to an end-line.
        let last = text.get(dashes - DASHES.len()..).unwrap_or_default();
        if last.starts_with(end_line) {
            return true;
        }
        rest = text.get(dashes..).unwrap_or_default();
    }
    false
}

/// Where `line`, a CRLF, seven dashes and a transaction identifier, begins in `text`, from `from` on.
pub(super) fn find(line: &[u8], text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += LINE_FINDER.find(text.get(at..)?)?;
        if text.get(at..)?.starts_with(line) {
            return Some(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memchr::memmem;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_found_is_what_stands_there(body in "([-ab]|\r\n|-{6,9}|-------ab){0,40}", from in 0..50_usize) {
            let body = body.as_bytes();
            prop_assert_eq!(occurs(b"-------ab", body), memmem::find(body, b"-------ab").is_some());
            let line = b"\r\n-------ab";
            let expected = body.get(from..).and_then(|rest| memmem::find(rest, line)).map(|at| at + from);
            prop_assert_eq!(find(line, body, from), expected);
        }
    }

    #[test]
    fn a_body_of_dashes_is_searched_once() {
        // Were each dash the beginning of another search, this would take hours.
        let body = vec![b'-'; 16 << 20];
        assert!(!occurs(b"-------ab", &body));
        assert_eq!(find(b"\r\n-------ab", &body, 0), None);
    }
}
