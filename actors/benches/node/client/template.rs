//! A pager message of which only the number has to be filled in: the load must cost less than what it loads.

/// Bytes with places for a message's number (8 hexadecimal digits) and its user's (6 decimal digits).
pub struct Template {
    text: Vec<u8>,
    ids: Vec<usize>,
    users: Vec<usize>,
    first: u64,
    count: u64,
}

const ID: &str = "00000000";
const USER: &str = "user000000";

impl Template {
    /// A MESSAGE with `body` bytes, to one of `count` users from number `first` on.
    pub fn message(via: &str, body: usize, first: u64, count: u64) -> Self {
        let body = "x".repeat(body);
        let text = format!(
            "MESSAGE sip:{USER}@example.com SIP/2.0\r\nVia: SIP/2.0/{via};branch=z9hG4bK{ID}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:alice@example.org>;tag=t{ID}\r\nTo: <sip:{USER}@example.com>\r\n\
             Call-ID: m{ID}\r\nCSeq: 1 MESSAGE\r\nSubject: carpool tomorrow?\r\n\
             Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let places = |word: &str, skip: usize| -> Vec<usize> {
            text.match_indices(word).map(|(at, _)| at + skip).collect()
        };
        let (ids, users) = (places(ID, 0), places(USER, 4));
        // The zeros of the user's number are not an id: `user000000` holds no eight of them.
        assert_eq!((ids.len(), users.len()), (3, 2));
        Self { ids, users, text: text.into_bytes(), first, count }
    }

    /// Writes the message with this number behind what is in `out`.
    pub fn write(&self, number: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.text);
        let message = &mut out[start..];
        for at in &self.ids {
            for (digit, place) in message[*at..*at + 8].iter_mut().rev().enumerate() {
                *place = b"0123456789abcdef"[(number >> (4 * digit)) as usize & 15];
            }
        }
        let user = self.first + number % self.count;
        for at in &self.users {
            let mut left = user;
            for place in message[*at..*at + 6].iter_mut().rev() {
                *place = b'0' + (left % 10) as u8;
                left /= 10;
            }
        }
    }
}

/// The number in the Call-ID of a response to such a message.
pub fn number_of(head: &[u8]) -> u64 {
    let at = memchr::memmem::find(head, b"Call-ID: m").expect("a response bears its Call-ID") + 10;
    let digits = std::str::from_utf8(&head[at..at + 8]).unwrap();
    u64::from_str_radix(digits, 16).unwrap()
}
