//! message/cpim (RFC 3862), taken apart by the tests' own code.

use super::sip::{find, split};

#[derive(Clone, Debug)]
pub struct Cpim {
    pub headers: Vec<(String, String)>,
    pub mime: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Cpim {
    pub fn parse(bytes: &[u8]) -> Self {
        let first = find(bytes, b"\r\n\r\n").expect("message headers end with an empty line");
        let rest = &bytes[first + 4..];
        let second = find(rest, b"\r\n\r\n").expect("MIME headers end with an empty line");
        Self {
            headers: fields(&bytes[..first]),
            mime: fields(&rest[..second]),
            body: rest[second + 4..].to_vec(),
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub fn mime(&self, name: &str) -> Option<&str> {
        self.mime.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

fn fields(bytes: &[u8]) -> Vec<(String, String)> {
    let lines = split(bytes);
    let fields = lines.iter().map(|line| {
        let text = std::str::from_utf8(line).expect("CPIM headers are UTF-8");
        let (name, value) = text.split_once(": ").unwrap_or_else(|| panic!("RFC 3862 2.1: {text:?}"));
        (name.to_owned(), value.to_owned())
    });
    fields.collect()
}

/// Seconds since 1970 of an RFC 3339 date with its offset.
pub fn rfc3339(text: &str) -> i64 {
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap_or_else(|_| panic!("{text}"));
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let zone = text[19..].find(['Z', '+', '-']).unwrap_or_else(|| panic!("no offset in {text}")) + 19;
    let offset = match &text[zone..zone + 1] {
        "Z" => 0,
        sign => {
            let minutes = number(zone + 1, zone + 3) * 60 + number(zone + 4, zone + 6);
            if sign == "-" { -minutes * 60 } else { minutes * 60 }
        }
    };
    days(year, month, day) * 86_400 + number(11, 13) * 3_600 + number(14, 16) * 60 + number(17, 19) - offset
}

/// Days since 1970-01-01 in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}
