//! SIP messages, written and read by the shortest code that can: the tests' own, so that a mistake of the project's
//! parser is not shared.

use super::clock::fresh;

/// A request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Msg {
    /// The first line.
    pub start: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

const COMPACT: [(&str, &str); 12] = [
    ("v", "via"),
    ("f", "from"),
    ("t", "to"),
    ("i", "call-id"),
    ("m", "contact"),
    ("l", "content-length"),
    ("c", "content-type"),
    ("e", "content-encoding"),
    ("s", "subject"),
    ("k", "supported"),
    ("o", "event"),
    ("u", "allow-events"),
];

fn long_name(name: &str) -> &str {
    let compact = COMPACT.iter().find(|(short, _)| short.eq_ignore_ascii_case(name));
    compact.map_or(name, |(_, long)| *long)
}

/// Whether two names are of the same header field.
fn same(one: &str, other: &str) -> bool {
    long_name(one).eq_ignore_ascii_case(long_name(other))
}

impl Msg {
    pub fn request(method: &str, uri: &str) -> Self {
        Self { start: format!("{method} {uri} SIP/2.0"), headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header field behind the others.
    pub fn add(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Puts one header field in the place of all of that name.
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref().to_vec();
        match self.headers.iter().position(|(own, _)| same(own, name)) {
            Some(at) => self.headers[at].1 = value,
            None => self.headers.push((name.to_owned(), value)),
        }
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(own, _)| !same(own, name));
        self
    }

    pub fn body(self, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        let mut message = self.with("Content-Type", content_type);
        message.body = body.as_ref().to_vec();
        message
    }

    /// The bytes on the wire; Content-Length is true unless the message says one itself.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = format!("{}\r\n", self.start).into_bytes();
        for (name, value) in &self.headers {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        if self.get("Content-Length").is_none() {
            out.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
        out
    }

    /// Reads one message from the start of `bytes` and says how long it is; `None` if it is not all there. Without
    /// Content-Length the body is the rest.
    pub fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let head_end = find(bytes, b"\r\n\r\n")?;
        let mut lines: Vec<Vec<u8>> = Vec::new();
        for line in split(&bytes[..head_end]) {
            match lines.last_mut() {
                Some(last) if matches!(line.first(), Some(b' ' | b'\t')) => {
                    last.push(b' ');
                    last.extend_from_slice(line.trim_ascii());
                }
                _ => lines.push(line.to_vec()),
            }
        }
        let start = String::from_utf8_lossy(&lines[0]).into_owned();
        let headers = lines[1..]
            .iter()
            .map(|line| {
                let colon = line.iter().position(|byte| *byte == b':').expect("a header line has a colon");
                let name = String::from_utf8_lossy(&line[..colon]).trim().to_owned();
                (name, line[colon + 1..].trim_ascii().to_vec())
            })
            .collect();
        let mut message = Self { start, headers, body: Vec::new() };
        let begin = head_end + 4;
        let length = match message.get("Content-Length") {
            Some(text) => text.parse().expect("Content-Length is a number"),
            None => bytes.len() - begin,
        };
        message.body = bytes.get(begin..begin + length)?.to_vec();
        Some((message, begin + length))
    }

    pub fn is_request(&self) -> bool {
        !self.start.starts_with("SIP/2.0 ")
    }

    /// The method of a request, or of what a response answers.
    pub fn method(&self) -> String {
        if self.is_request() {
            return self.start.split(' ').next().unwrap().to_owned();
        }
        self.get("CSeq")
            .and_then(|value| value.split_whitespace().last().map(str::to_owned))
            .unwrap_or_default()
    }

    /// The Request-URI.
    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap()
    }

    pub fn status(&self) -> u16 {
        assert!(!self.is_request(), "not a response: {}", self.start);
        self.start.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn reason(&self) -> &str {
        self.start.splitn(3, ' ').nth(2).unwrap_or_default()
    }

    /// The first value of a header field, as text.
    pub fn get(&self, name: &str) -> Option<String> {
        self.raw(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// As [`Msg::get`], but the header field must be there.
    pub fn need(&self, name: &str) -> String {
        self.get(name).unwrap_or_else(|| panic!("no {name} in {self}"))
    }

    pub fn raw(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(own, _)| same(own, name)).map(|(_, value)| value.as_slice())
    }

    /// Every value of a header field, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        let values = self.headers.iter().filter(|(own, _)| same(own, name));
        values.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The comma-separated words of a header field, lower-cased.
    pub fn words(&self, name: &str) -> Vec<String> {
        let values = self.all(name).join(",");
        values
            .split(',')
            .map(|word| word.trim().to_ascii_lowercase())
            .filter(|word| !word.is_empty())
            .collect()
    }

    pub fn call_id(&self) -> String {
        self.need("Call-ID")
    }

    pub fn branch(&self) -> String {
        let via = self.all("Via").into_iter().next().unwrap_or_default();
        parameter(via.split(',').next().unwrap(), "branch").unwrap_or_default()
    }

    /// Whether this is a response to `request`.
    pub fn answers(&self, request: &Self) -> bool {
        !self.is_request()
            && self.branch() == request.branch()
            && self.method() == request.method()
            && self.raw("Call-ID") == request.raw("Call-ID")
    }

    /// The response to this request (RFC 3261 8.2.6).
    pub fn respond(&self, status: u16, reason: &str) -> Self {
        let mut response =
            Self { start: format!("SIP/2.0 {status} {reason}"), headers: Vec::new(), body: Vec::new() };
        for (name, value) in &self.headers {
            let name = long_name(name).to_ascii_lowercase();
            if !["via", "from", "to", "call-id", "cseq", "record-route"].contains(&name.as_str()) {
                continue;
            }
            let mut value = value.clone();
            if name == "to" && status > 100 && parameter(&String::from_utf8_lossy(&value), "tag").is_none() {
                value.extend_from_slice(format!(";tag={}", fresh("t")).as_bytes());
            }
            response.headers.push((name, value));
        }
        response
    }
}

impl std::fmt::Display for Msg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.encode();
        f.write_str(&String::from_utf8_lossy(&bytes[..bytes.len().min(4_000)]))
    }
}

/// The value of `;name=value` behind the address of a header field.
pub fn parameter(value: &str, name: &str) -> Option<String> {
    let behind = value.rfind('>').map_or(value, |at| &value[at..]);
    behind.split(';').skip(1).find_map(|parameter| {
        let (own, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        own.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// The URI of a name-addr or addr-spec.
pub fn address(value: &str) -> String {
    match (value.rfind('<'), value.rfind('>')) {
        (Some(open), Some(close)) if open < close => value[open + 1..close].to_owned(),
        _ => value.split(';').next().unwrap().trim().to_owned(),
    }
}

/// Escapes what RFC 3261 25.1 does not allow in the user part of a SIP URI.
pub fn escape_user(raw: &str) -> String {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte);
    raw.bytes()
        .map(|byte| if allowed(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Where `needle` begins in `haystack`.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

/// The lines of `bytes`, which end with CRLF.
pub fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while let Some(end) = find(rest, b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    lines
}
