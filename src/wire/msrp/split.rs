//! Whole frames apart from each other (RFC 7977 5.1: a WebSocket message carries exactly one).

use bytes::Bytes;

use super::end_line;

/// Divides bytes that hold nothing but whole frames, as a session writes them, into those frames.
pub fn frames(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let end = frame_end(&bytes).unwrap_or(bytes.len());
        Some(bytes.split_to(end))
    })
}

/// Where the first frame ends: behind its end-line, which cannot stand in its body.
fn frame_end(bytes: &[u8]) -> Option<usize> {
    let transaction = bytes.strip_prefix(b"MSRP ")?.split(|b| *b == b' ').next()?;
    let needle = [end_line::LINE, transaction].concat();
    let mut from = 0;
    while let Some(at) = end_line::find(&needle, bytes, from) {
        let behind = at + needle.len();
        if matches!(bytes.get(behind..behind + 3)?, [b'$' | b'+' | b'#', b'\r', b'\n']) {
            return Some(behind + 3);
        }
        from = at + 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    // proves RFC 7977 5.1
    #[test]
    fn frames_are_told_apart() {
        let all = [
            "MSRP a786 SEND\r\nTo-Path: x\r\nContent-Type: text/plain\r\n\r\nhi\r\n-------a786x$\r\n\r\n-------a786+\r\n",
            "MSRP a787 200 OK\r\nTo-Path: x\r\n-------a787$\r\n",
            "MSRP a788 SEND\r\nTo-Path: x\r\nContent-Type: text/plain\r\n\r\nMSRP a787 200 OK\r\n-------a787$\r\n\r\n-------a788#\r\n",
        ];
        let split: Vec<Bytes> = frames(Bytes::from(all.concat())).collect();
        assert_eq!(split, all);
        assert_eq!(frames(Bytes::new()).count(), 0);
        assert_eq!(frames(Bytes::from_static(b"MSRP a")).count(), 1);
    }
}
