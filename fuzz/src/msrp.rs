//! MSRP streams and URIs: the same frames however a stream is cut; heads that mean the same when written again.

use bytes::{Bytes, BytesMut};
use restante::wire::msrp::{Decoder, DecoderLimits, FrameError, Head, MsrpUri, Piece, encode_end, refuse};

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
                    frames.push(format!("{found:?}"));
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
    encode_end(&head.transaction, restante::wire::msrp::Continuation::Complete, &mut written);
    let text = written.clone().freeze();
    let read = Decoder::new(DecoderLimits { header_bytes: 1 << 16 }).decode(&mut written);
    match read {
        Ok(Some(Piece::Head(again))) => {
            // RFC 4975 7.1: without a body there is no Content-Type.
            let content_type = head.content_type.clone().filter(|_| head.has_body());
            let meant = Head { content_type, ..head.clone() };
            // A line break inside a value is written as a space.
            let meant = format!("{meant:?}").replace("\\r", " ").replace("\\n", " ");
            assert_eq!(format!("{again:?}"), meant, "{text:?}");
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
