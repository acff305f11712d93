//! Dates: the SIP-date of RFC 3261 section 20.17, the dates of RFC 5322 that older or careless agents
//! send instead, and the timestamps of RFC 3339 that CPIM wants.

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::Offset;

use crate::time::Timestamp;

/// Longer than any date with a comment somebody would send.
const LONGEST: usize = 128;

/// The last millisecond of the year 9999, the last the formats can spell.
const LAST: u64 = 253_402_300_799_999;

/// A point in civil time together with the offset it was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// The point in time.
    pub at: Timestamp,
    /// Seconds east of Greenwich, whole minutes.
    pub offset: i32,
}

impl Date {
    /// The point in time, told in UTC.
    #[must_use]
    pub const fn utc(at: Timestamp) -> Self {
        Self { at, offset: 0 }
    }
}

/// Reads a SIP-date like `Sun, 09 Jul 2000 21:23:01 GMT` or an RFC 5322 date like
/// `Sun, 09 Jul 2000 21:23:01 -0700`, tolerant of a wrong or missing weekday, a one-digit day, missing
/// seconds and obsolete zone names. Dates before 1970 are none.
#[must_use]
pub fn parse_date(text: &[u8]) -> Option<Date> {
    let text = text.trim_ascii();
    if text.len() > LONGEST {
        return None;
    }
    let text = as_known_zone(text);
    let parsed = DateTimeParser::new().relaxed_weekday(true).parse_zoned(&*text).ok()?;
    let at = u64::try_from(parsed.timestamp().as_millisecond()).ok()?;
    Some(Date { at: Timestamp(at), offset: parsed.offset().seconds() })
}

/// The SIP-date of `at`: `Sun, 09 Jul 2000 21:23:01 GMT`. What lies beyond the year 9999 is cut to it.
#[must_use]
pub fn sip_date(at: Timestamp) -> String {
    // RFC 3261 20.17: SIP restricts the time zone in SIP-date to "GMT".
    civil(Date::utc(at)).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The RFC 3339 timestamp of `date`, in the offset it was written in: `2000-07-09T21:23:01-07:00`.
/// Milliseconds appear when there are any.
#[must_use]
pub fn rfc3339(date: Date) -> String {
    let digits = if date.at.0.is_multiple_of(1000) { 0 } else { 3 };
    let mut out = DateTimePrinter::new().precision(Some(digits)).datetime_to_string(&civil(date));
    if date.offset == 0 {
        out.push('Z');
    } else {
        let minutes = date.offset.unsigned_abs() / 60;
        let sign = if date.offset < 0 { '-' } else { '+' };
        out.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
    }
    out
}

/// The date as a clock on the wall at its offset shows it.
fn civil(date: Date) -> jiff::civil::DateTime {
    let milliseconds = i64::try_from(date.at.0.min(LAST)).unwrap_or_default();
    let offset = Offset::from_seconds(date.offset).unwrap_or(Offset::UTC);
    match jiff::Timestamp::from_millisecond(milliseconds) {
        Ok(at) => offset.to_datetime(at),
        // LAST lies a little beyond what every offset can show.
        Err(_) => offset.to_datetime(jiff::Timestamp::MAX),
    }
}

/// `UTC` is what many write where the grammars want `GMT`.
fn as_known_zone(text: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    match text.split_last_chunk::<3>() {
        Some((date, zone)) if zone.eq_ignore_ascii_case(b"UTC") => [date, b"GMT"].concat().into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    const EVENING: Date = Date { at: Timestamp(963_202_981_000), offset: -7 * 3600 };

    // proves RFC 3261 section 20.17 and RFC 5322 section 3.3
    #[test]
    fn sip_and_mail_dates_are_read() {
        assert_eq!(parse_date(b"Sun, 09 Jul 2000 21:23:01 -0700"), Some(EVENING));
        assert_eq!(parse_date(b"Mon, 10 Jul 2000 04:23:01 GMT"), Some(Date::utc(EVENING.at)));
        let example = parse_date(b"Sat, 13 Nov 2010 23:29:00 GMT").unwrap();
        assert_eq!(sip_date(example.at), "Sat, 13 Nov 2010 23:29:00 GMT");
    }

    #[test]
    fn careless_dates_are_read() {
        for text in [
            " Tue, 9 Jul 2000 21:23:01 -0700 ",
            "9 Jul 2000 21:23:01 -0700",
            "Mon, 10 Jul 2000 04:23:01 UTC",
            "Mon, 10 Jul 2000 04:23:01 UT",
            "Mon, 10 Jul 2000 00:23:01 EDT",
            "Sun, 09 Jul 2000 21:23:01 -0700 (PDT)",
        ] {
            assert_eq!(parse_date(text.as_bytes()).map(|date| date.at), Some(EVENING.at), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "now", "Sun, 32 Jul 2000 21:23:01 GMT", "Thu, 01 Jan 1960 00:00:00 GMT", "\u{ff}"] {
            assert_eq!(parse_date(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_date(&[b'9'; 500]), None);
    }

    // proves RFC 3339 section 5.6
    #[test]
    fn the_offset_is_kept() {
        assert_eq!(rfc3339(EVENING), "2000-07-09T21:23:01-07:00");
        assert_eq!(rfc3339(Date { offset: 19_800, ..EVENING }), "2000-07-10T09:53:01+05:30");
        assert_eq!(rfc3339(Date::utc(Timestamp(963_202_981_007))), "2000-07-10T04:23:01.007Z");
    }

    #[test]
    fn times_out_of_range_do_not_panic() {
        assert!(sip_date(Timestamp(u64::MAX)).contains("9999"));
        assert!(rfc3339(Date { at: Timestamp(u64::MAX), offset: i32::MAX }).starts_with("9999"));
        assert_eq!(sip_date(Timestamp(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    proptest! {
        #[test]
        fn every_sip_date_comes_back(seconds in 0..253_000_000_000_u64) {
            let at = Timestamp(seconds * 1000);
            prop_assert_eq!(parse_date(sip_date(at).as_bytes()), Some(Date::utc(at)));
        }

        #[test]
        fn no_bytes_panic(text in proptest::collection::vec(any::<u8>(), 0..140)) {
            let _ = parse_date(&text);
        }
    }
}
