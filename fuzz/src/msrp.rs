//! MSRP streams and URIs: the same frames however a stream is cut; heads that mean the same when written again.

use bytes::{Bytes, BytesMut};
use restante::wire::msrp::{
    Continuation, Decoder, DecoderLimits, FrameError, FrameKind, Head, MsrpUri, Piece, Status, encode_end,
    refuse,
};

use super::choices::cut;

const LIMITS: DecoderLimits = DecoderLimits { header_bytes: 2048 };

/// The frames of a stream, as text; bodies joined, since where they are cut says nothing.
fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Option<FrameError>) {
    let mut decoder = Decoder::new(LIMITS);
    let mut buffer = BytesMut::new();
    let (mut frames, mut body) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(Piece::Head(found))) => {
                    head(&found);
                    frames.push(format!("{found:?} {:?}", found.others));
                }
                Ok(Some(Piece::Body(bytes))) => {
                    assert!(!bytes.is_empty());
                    body.extend_from_slice(&bytes);
                }
                Ok(Some(Piece::End(end))) => {
                    frames.push(format!("{:?} {end:?}", Bytes::from(std::mem::take(&mut body))));
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut buffer), Err(error), "what is broken stays so");
                    return (frames, Some(error));
                }
            }
        }
        assert!(buffer.len() <= LIMITS.header_bytes, "{} bytes are held", buffer.len());
    }
    (frames, None)
}

/// What a head says once it is written: without a body there is no Content-Type (RFC 4975 7.1), what is no UTF-8 is
/// U+FFFD, and a control character a space, of which none is read at either end.
fn meant(head: &Head) -> Head {
    let one_line = |value: &Bytes| -> Bytes {
        let text = String::from_utf8_lossy(value);
        let clean: String =
            text.chars().map(|it| if it.is_control() && it != '\t' { ' ' } else { it }).collect();
        Bytes::copy_from_slice(clean.trim_ascii().as_bytes())
    };
    let kind = match &head.kind {
        FrameKind::Other(method) => FrameKind::Other(one_line(method)),
        FrameKind::Response { status, comment } => {
            FrameKind::Response { status: *status, comment: one_line(comment) }
        }
        kind @ (FrameKind::Send | FrameKind::Report) => kind.clone(),
    };
    Head {
        kind,
        message_id: head.message_id.as_ref().map(one_line),
        status: head
            .status
            .as_ref()
            .map(|status| Status { comment: one_line(&status.comment), ..status.clone() }),
        content_type: head.content_type.as_ref().filter(|_| head.has_body()).map(one_line),
        others: head.others.iter().map(|(name, value)| (one_line(name), one_line(value))).collect(),
        ..head.clone()
    }
}

/// A head can be refused, and written again so that it reads as it did.
fn head(head: &Head) {
    for status in [200, 400, 481] {
        if let Some(response) = refuse(head, status) {
            let mut buffer = BytesMut::from(&response[..]);
            let read = Decoder::new(DecoderLimits::default()).decode(&mut buffer);
            assert!(matches!(read, Ok(Some(Piece::Head(_)))), "what is answered can be read: {response:?}");
        }
    }
    if head.fault.is_some() {
        return;
    }
    let mut written = BytesMut::new();
    head.encode(head.has_body(), &mut written);
    if head.has_body() {
        written.extend_from_slice(b"\r\n");
    }
    encode_end(&head.transaction, Continuation::Complete, &mut written);
    let text = written.clone().freeze();
    let read = Decoder::new(DecoderLimits { header_bytes: 1 << 16 }).decode(&mut written);
    match read {
        Ok(Some(Piece::Head(again))) => {
            // Spaces at the end of a comment are read.
            let (again, meant) = (meant(&again), meant(head));
            // A head's text counts its other header fields: here they are seen.
            assert_eq!(again.others, meant.others, "{text:?}");
            assert_eq!(again, meant, "{text:?}");
        }
        other => panic!("what is written can be read: {other:?} {text:?}"),
    }
}

/// A stream.
pub fn stream(data: &[u8]) {
    let (whole, broken) = frames([data]);
    let (pieces, also) = frames(cut(data));
    assert_eq!((whole, broken), (pieces, also));
}

/// MSRP URIs.
pub fn uri(data: &[u8]) {
    let Ok(uri) = MsrpUri::parse(data) else { return };
    assert_eq!(&uri.as_bytes()[..], data, "kept as it came");
    let again = MsrpUri::parse(uri.as_bytes()).expect("what is kept can be read");
    assert!(uri.same_as(&again) && uri.same_as(&uri.detached()));
    let _ = uri.address();
}
