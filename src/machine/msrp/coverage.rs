//! Which bytes of a message have been received: the virtual buffer of RFC 4975 7.3.1, without the
//! bytes.

use std::ops::Range;

/// Separate ranges that are kept of one message at most.
const MAX_RANGES: usize = 256;

/// A set of byte positions, as sorted ranges that do not touch.
#[derive(Debug, Default)]
pub(super) struct Coverage(Vec<Range<u64>>);

/// A set would have more ranges than are kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooFragmented;

impl Coverage {
    /// Adds a range. Appending to the last one, as is usual, takes constant time.
    pub(super) fn add(&mut self, added: Range<u64>) -> Result<(), TooFragmented> {
        if added.is_empty() {
            return Ok(());
        }
        if let Some(last) = self.0.last_mut()
            && added.start >= last.start
            && added.start <= last.end
        {
            last.end = last.end.max(added.end);
            return Ok(());
        }
        let first = self.0.partition_point(|r| r.end < added.start);
        let past = self.0.partition_point(|r| r.start <= added.end);
        if first == past && self.0.len() >= MAX_RANGES {
            return Err(TooFragmented);
        }
        let touched = self.0.get(first..past).unwrap_or_default();
        let start = touched.first().map_or(added.start, |r| r.start.min(added.start));
        let end = touched.last().map_or(added.end, |r| r.end.max(added.end));
        self.0.splice(first..past, std::iter::once(start..end));
        Ok(())
    }

    /// Whether all of the first `size` bytes are there.
    pub(super) fn is_whole(&self, size: u64) -> bool {
        size == 0 || self.0.first().is_some_and(|r| r.start == 0 && r.end >= size)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fragments_are_bounded_and_gaps_can_still_be_filled() {
        let mut coverage = Coverage::default();
        for n in 0..MAX_RANGES as u64 {
            assert_eq!(coverage.add(n * 2..n * 2 + 1), Ok(()));
        }
        assert_eq!(coverage.add(10_000..10_001), Err(TooFragmented));
        for n in 0..MAX_RANGES as u64 {
            assert_eq!(coverage.add(n * 2 + 1..n * 2 + 2), Ok(()));
        }
        assert!(coverage.is_whole(512) && !coverage.is_whole(513));
    }

    proptest! {
        // proves RFC 4975 7.3.1: overlapping and out-of-order chunks
        #[test]
        fn it_agrees_with_a_set_of_positions(ranges in prop::collection::vec((0_u64..60, 0_u64..20), 0..30)) {
            let mut coverage = Coverage::default();
            let mut model = BTreeSet::new();
            for (start, length) in ranges {
                prop_assert_eq!(coverage.add(start..start + length), Ok(()));
                model.extend(start..start + length);
                for size in 0..80 {
                    prop_assert_eq!(coverage.is_whole(size), (0..size).all(|at| model.contains(&at)));
                }
            }
        }
    }
}
