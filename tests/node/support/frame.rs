//! MSRP requests and responses as bytes (RFC 4975 9), the tests' own.

use super::clock::fresh;
use super::sip::{find, split};

/// One request or response.
#[derive(Clone, Debug)]
pub struct Frame {
    pub transaction: String,
    /// `SEND`, `REPORT`, or a status.
    pub kind: String,
    pub headers: Vec<(String, String)>,
    /// `None` where there is no blank line, hence no body.
    pub body: Option<Vec<u8>>,
    /// `$`, `+` or `#`.
    pub flag: char,
}

impl Frame {
    /// Takes the first frame out of `buffer`; `None` if it is not all there. `scanned` remembers how far an end-line
    /// was looked for in vain.
    pub fn take(buffer: &mut Vec<u8>, scanned: &mut usize) -> Option<Self> {
        let line_end = find(buffer, b"\r\n")?;
        let start = String::from_utf8(buffer[..line_end].to_vec()).expect("a start line is text");
        let words: Vec<&str> = start.splitn(4, ' ').collect();
        assert!(words.len() >= 3 && words[0] == "MSRP", "not MSRP: {start:?}");
        let (transaction, kind) = (words[1].to_owned(), words[2].to_owned());
        assert_ident(&transaction);
        let (end, flag) = end_line(buffer, line_end, &transaction, scanned)?;
        let used = end + 2 + 7 + transaction.len() + 1 + 2;
        let content = &buffer[line_end..end];
        let (head, body) = match find(content, b"\r\n\r\n") {
            Some(blank) => (&content[..blank], Some(content[blank + 4..].to_vec())),
            None => {
                assert!(
                    !content.ends_with(b"\r\n"),
                    "RFC 4975 9: data, if of no bytes, and its CRLF are there"
                );
                (content, None)
            }
        };
        let headers = split(head)[1..]
            .iter()
            .map(|line| {
                let text = std::str::from_utf8(line).expect("a header is text");
                let (name, value) = text.split_once(": ").unwrap_or_else(|| panic!("not a header: {text:?}"));
                (name.to_owned(), value.to_owned())
            })
            .collect();
        buffer.drain(..used);
        *scanned = 0;
        Some(Self { transaction, kind, headers, body, flag })
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn need(&self, name: &str) -> &str {
        self.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// Start, end and total of Byte-Range; `None` for `*`.
    pub fn range(&self) -> Option<(u64, Option<u64>, Option<u64>)> {
        let value = self.get("Byte-Range")?;
        let (range, total) = value.split_once('/').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let number = |text: &str| (text != "*").then(|| text.parse().unwrap());
        Some((start.parse().unwrap(), number(end), number(total)))
    }

    pub fn is_response(&self) -> bool {
        self.kind.bytes().all(|byte| byte.is_ascii_digit())
    }

    pub fn status(&self) -> u16 {
        self.kind.parse().unwrap_or_else(|_| panic!("not a response: {self:?}"))
    }
}

/// RFC 4975 9: ident = ALPHANUM 3*31ident-char.
pub fn assert_ident(text: &str) {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-+%=".contains(&byte);
    assert!((4..=32).contains(&text.len()), "an ident has 4 to 32 characters: {text:?}");
    assert!(text.bytes().all(good) && text.as_bytes()[0].is_ascii_alphanumeric(), "not an ident: {text:?}");
}

/// Where the end-line of the frame begins (with its CRLF), and its flag.
fn end_line(buffer: &[u8], from: usize, transaction: &str, scanned: &mut usize) -> Option<(usize, char)> {
    let wanted = format!("\r\n-------{transaction}").into_bytes();
    let mut at = from.max(scanned.saturating_sub(wanted.len() + 8));
    // Of seven dashes one stands at every seventh place: nothing else has to be looked at.
    while at < buffer.len() {
        if buffer[at] == b'-' {
            let before = buffer[from..at].iter().rev().take(7).take_while(|byte| **byte == b'-').count();
            let start = (at - before).saturating_sub(2).max(from);
            let behind = start + wanted.len();
            if buffer[start..].starts_with(&wanted) && buffer.len() >= behind + 3 {
                let flag = char::from(buffer[behind]);
                if "$+#".contains(flag) && &buffer[behind + 1..behind + 3] == b"\r\n" {
                    return Some((start, flag));
                }
            }
        }
        at += 7;
    }
    *scanned = buffer.len();
    None
}

/// A SEND to be written.
#[derive(Clone, Debug)]
pub struct Chunk {
    pub transaction: String,
    pub message_id: String,
    pub range: Option<String>,
    pub success: Option<&'static str>,
    pub failure: Option<&'static str>,
    pub content_type: Option<String>,
    pub extra: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub flag: char,
}

impl Chunk {
    /// A whole message in one chunk.
    pub fn whole(content_type: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref().to_vec();
        Self {
            transaction: fresh("tr"),
            message_id: fresh("msg"),
            range: Some(format!("1-{0}/{0}", body.len())),
            success: None,
            failure: None,
            content_type: Some(content_type.to_owned()),
            extra: Vec::new(),
            body,
            flag: '$',
        }
    }

    /// The empty SEND that binds a connection.
    pub fn empty() -> Self {
        Self { range: Some("1-0/0".into()), content_type: None, ..Self::whole("", "") }
    }

    /// The same message cut in chunks of `size` bytes.
    pub fn cut(&self, size: usize) -> Vec<Self> {
        let total = self.body.len();
        let pieces: Vec<&[u8]> = self.body.chunks(size).collect();
        let last = pieces.len() - 1;
        pieces
            .iter()
            .enumerate()
            .map(|(index, piece)| Self {
                transaction: fresh("tr"),
                range: Some(format!("{}-{}/{total}", index * size + 1, index * size + piece.len())),
                body: piece.to_vec(),
                flag: if index == last { '$' } else { '+' },
                ..self.clone()
            })
            .collect()
    }

    pub fn id(mut self, message_id: &str) -> Self {
        self.message_id = message_id.to_owned();
        self
    }

    pub fn range(mut self, range: &str) -> Self {
        self.range = Some(range.to_owned());
        self
    }

    pub fn success(mut self, value: &'static str) -> Self {
        self.success = Some(value);
        self
    }

    pub fn failure(mut self, value: &'static str) -> Self {
        self.failure = Some(value);
        self
    }

    pub fn flag(mut self, flag: char) -> Self {
        self.flag = flag;
        self
    }

    pub fn encode(&self, to: &str, from: &str) -> Vec<u8> {
        let mut out =
            format!("MSRP {} SEND\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\n", self.transaction).into_bytes();
        let headers = [
            ("Message-ID", Some(self.message_id.as_str())),
            ("Byte-Range", self.range.as_deref()),
            ("Success-Report", self.success),
            ("Failure-Report", self.failure),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
        }
        for (name, value) in &self.extra {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if let Some(content_type) = &self.content_type {
            out.extend_from_slice(format!("Content-Type: {content_type}\r\n\r\n").as_bytes());
            out.extend_from_slice(&self.body);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("-------{}{}\r\n", self.transaction, self.flag).as_bytes());
        out
    }
}

/// A response to `request` (RFC 4975 7.2).
pub fn response(request: &Frame, status: u16, comment: &str) -> Vec<u8> {
    let first = |value: &str| value.split(' ').next().unwrap().to_owned();
    format!(
        "MSRP {0} {status} {comment}\r\nTo-Path: {1}\r\nFrom-Path: {2}\r\n-------{0}$\r\n",
        request.transaction,
        first(request.need("From-Path")),
        first(request.need("To-Path")),
    )
    .into_bytes()
}

/// The success report of a whole message (RFC 4975 7.1.3).
pub fn success_report(request: &Frame, size: u64) -> Vec<u8> {
    let transaction = fresh("rp");
    format!(
        "MSRP {transaction} REPORT\r\nTo-Path: {}\r\nFrom-Path: {}\r\nMessage-ID: {}\r\nByte-Range: 1-{size}/{size}\r\n\
         Status: 000 200 OK\r\n-------{transaction}$\r\n",
        request.need("From-Path"),
        request.need("To-Path"),
        request.need("Message-ID"),
    )
    .into_bytes()
}
