//! An MSRP stream cut into frames for somebody who looks on; the session itself does not depend on it.

use bytes::{Bytes, BytesMut};
use memchr::memmem;

/// A frame larger than this is shown in parts.
const LARGEST: usize = 256 * 1024;

/// Gathers bytes until a frame is whole.
#[derive(Debug, Default)]
pub(super) struct Tap {
    buffer: BytesMut,
    /// Bytes in which no end-line begins.
    scanned: usize,
    /// `\r\n-------` and the transaction of the frame at hand.
    end: Vec<u8>,
}

impl Tap {
    /// Takes the next bytes of the stream; gives each frame they complete.
    pub(super) fn pass(&mut self, bytes: &[u8], mut whole: impl FnMut(Bytes)) {
        self.buffer.extend_from_slice(bytes);
        while let Some(length) = self.frame() {
            whole(self.buffer.split_to(length).freeze());
            self.scanned = 0;
            self.end.clear();
        }
        if self.buffer.len() > LARGEST {
            // What an end-line may begin in stays.
            let keep = self.end.len() + 3;
            let part = self.buffer.split_to(self.buffer.len() - keep);
            self.scanned = 0;
            whole(part.freeze());
        }
    }

    /// The length of the frame that is whole.
    fn frame(&mut self) -> Option<usize> {
        if self.end.is_empty() {
            let line = memchr::memchr(b'\n', &self.buffer)?;
            let transaction = self.buffer.get(..line)?.split(|byte| *byte == b' ').nth(1)?;
            self.end = [b"\r\n-------", transaction].concat();
        }
        loop {
            let from = self.scanned;
            let Some(found) = memmem::find(self.buffer.get(from..)?, &self.end) else {
                self.scanned = self.buffer.len().saturating_sub(self.end.len());
                return None;
            };
            let after = from + found + self.end.len();
            match self.buffer.get(after..after + 3) {
                Some([b'$' | b'+' | b'#', b'\r', b'\n']) => return Some(after + 3),
                Some(_) => self.scanned = from + found + 2,
                None => {
                    self.scanned = from + found;
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_the_stream_is_cut() {
        let stream: &[u8] =
            b"MSRP a1b2 SEND\r\nTo-Path: x\r\n\r\nbody -------a1b2 \r\n-------a1b2?\r\n-------a1b2+\r\n\
            MSRP c3d4 200 OK\r\n-------c3d4$\r\nMSRP e5";
        for size in 1..stream.len() {
            let mut tap = Tap::default();
            let mut frames = Vec::new();
            for part in stream.chunks(size) {
                tap.pass(part, |frame| frames.push(frame));
            }
            assert_eq!(frames.len(), 2, "{size}");
            assert!(frames.iter().all(|frame| frame.starts_with(b"MSRP ")), "{size}");
            assert!(frames.iter().any(|frame| frame.ends_with(b"-------c3d4$\r\n")), "{size}");
        }
    }

    #[test]
    fn a_large_frame_is_shown_in_parts() {
        let mut tap = Tap::default();
        let mut shown = 0;
        tap.pass(b"MSRP a1b2 SEND\r\n\r\n", |_| {});
        for _ in 0..10 {
            tap.pass(&vec![b'x'; 100_000], |part| shown += part.len());
        }
        tap.pass(b"\r\n-------a1b2$\r\n", |part| shown += part.len());
        assert_eq!(shown, 18 + 1_000_000 + 16);
    }
}
