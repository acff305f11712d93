//! Durations and sizes with their units: `30s`, `5m`, `64KiB`.

use super::raw::Raw;
use super::setting::{Mismatch, Setting, is_overflow, mismatch, out_of_bounds, quoted};
use std::fmt;
use std::time::Duration;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// A size of so many bytes.
    pub const fn of(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A size of so many times 1024 bytes.
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// A size of so many times 1024 x 1024 bytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// A size of so many times 1024 x 1024 x 1024 bytes.
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory; the largest length where it would not fit.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

const SIZES: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
    ("", 1),
];

const SPANS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// No duration is longer: a hundred years, so that any clock can carry a sum of two.
const LONGEST_MS: u64 = 36_500 * 86_400_000;
/// No size is larger: what a TOML integer and a file offset can carry.
const LARGEST: u64 = i64::MAX as u64;

/// Reads a number and one of `units`, which are compared without case. What is too large is the largest number.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?;
    match number.replace('_', "").parse::<u64>() {
        Ok(number) => Some(number.saturating_mul(*factor)),
        Err(error) => is_overflow(&error).then_some(u64::MAX),
    }
}

/// Writes `value` in the largest of `units` that divides it.
fn in_units(value: u64, units: &[(&str, u64)]) -> Option<String> {
    let (name, factor) =
        units.iter().find(|(_, factor)| value.is_multiple_of(*factor) && (value != 0 || *factor == 1))?;
    Some(format!("{}{name}", value / factor))
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match in_units(self.0, SIZES.get(..3).unwrap_or_default()) {
            Some(text) => f.write_str(&text),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Setting for Size {
    fn expected() -> String {
        String::from("a size, as \"64KiB\", \"100MiB\" or a number of bytes")
    }

    fn read(raw: &Raw) -> Result<Self, Mismatch> {
        let bytes = match raw {
            Raw::Integer(number) => u64::try_from(*number).unwrap_or(u64::MAX),
            Raw::Vast(_) => u64::MAX,
            _ => raw.text().and_then(|text| with_unit(&text, &SIZES)).ok_or_else(|| mismatch::<Self>(raw))?,
        };
        match bytes {
            0..=LARGEST => Ok(Self(bytes)),
            _ => Err(out_of_bounds(raw, "0", format_args!("{LARGEST} bytes"))),
        }
    }

    fn show(&self) -> String {
        let text = self.to_string();
        if text.ends_with('B') { quoted(text) } else { text }
    }
}

impl Setting for Duration {
    fn expected() -> String {
        String::from("a duration, as \"500ms\", \"30s\", \"5m\", \"2h\" or \"30d\"")
    }

    fn read(raw: &Raw) -> Result<Self, Mismatch> {
        let span =
            raw.text().and_then(|text| with_unit(&text, &SPANS)).ok_or_else(|| mismatch::<Self>(raw))?;
        match span {
            0..=LONGEST_MS => Ok(Self::from_millis(span)),
            _ => Err(out_of_bounds(raw, "0s", in_units(LONGEST_MS, &SPANS).unwrap_or_default())),
        }
    }

    fn show(&self) -> String {
        let span = u64::try_from(self.as_millis()).unwrap_or(LONGEST_MS);
        let text = if span == 0 { Some(String::from("0s")) } else { in_units(span, &SPANS) };
        quoted(text.unwrap_or_default())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(text: &str) -> Option<u64> {
        Size::read(&Raw::Text(text.into())).ok().map(Size::bytes)
    }

    fn span(text: &str) -> Option<Duration> {
        Duration::read(&Raw::Text(text.into())).ok()
    }

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("64 kib"), Some(65_536));
        assert_eq!(size("1_000"), Some(1_000));
        assert_eq!(size("2MB"), Some(2_000_000));
        assert_eq!(size("0"), Some(0));
        assert_eq!(Size::read(&Raw::Integer(7)), Ok(Size::of(7)));
        for bad in ["", "KiB", "-1", "1.5MiB", "64K", "99999999999GiB", "1KiB 2", "_"] {
            assert_eq!(size(bad), None, "{bad}");
        }
        assert!(Size::read(&Raw::Integer(-7)).is_err());
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(span("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(span("2h"), Some(Duration::from_secs(7200)));
        assert_eq!(span("30 d"), Some(Duration::from_secs(30 * 86_400)));
        for bad in ["", "30", "s", "1w", "-1s", "1.5s", "36501d", "99999999999999999999s"] {
            assert_eq!(span(bad), None, "{bad}");
        }
        let problem = Duration::read(&Raw::Integer(30)).unwrap_err().to_string();
        assert!(problem.contains("\"30s\"") && problem.contains("found the number 30"), "{problem}");
    }

    #[test]
    fn values_are_shown_in_their_largest_whole_unit() {
        assert_eq!(Size::kib(64).show(), "\"64KiB\"");
        assert_eq!(Size::gib(1).show(), "\"1GiB\"");
        assert_eq!(Size::of(1_500).show(), "1500");
        assert_eq!(Size::of(0).show(), "0");
        assert_eq!(Duration::from_secs(90).show(), "\"90s\"");
        assert_eq!(Duration::from_secs(3600).show(), "\"1h\"");
        assert_eq!(Duration::ZERO.show(), "\"0s\"");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(bytes in 0..=LARGEST, ms in 0..=LONGEST_MS) {
            let shown = Size::of(bytes).show();
            prop_assert_eq!(Size::read(&Raw::Environment(shown)), Ok(Size::of(bytes)));
            let span = Duration::from_millis(ms);
            prop_assert_eq!(Duration::read(&Raw::Environment(span.show())), Ok(span));
        }

        #[test]
        fn no_text_makes_reading_panic(text in "\\PC*") {
            let _ = Size::read(&Raw::Text(text.clone()));
            let _ = Duration::read(&Raw::Environment(text));
        }
    }
}
