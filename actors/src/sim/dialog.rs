//! A dialog as its client keeps it (RFC 3261 12).

use super::peer::sip::{Msg, address};
use super::ua::Ua;

/// The client's side of a dialog.
#[derive(Clone)]
pub(crate) struct Dialog {
    pub(crate) call_id: String,
    local: String,
    remote: String,
    pub(crate) target: String,
    cseq: u32,
    tcp: bool,
}

impl Dialog {
    /// The dialog that a 2xx opens.
    pub(crate) fn opened(request: &Msg, response: &Msg) -> Self {
        Self {
            call_id: request.call_id(),
            local: request.need("From"),
            remote: response.need("To"),
            target: address(&response.need("Contact")),
            cseq: cseq(request),
            tcp: request.need("Via").starts_with("SIP/2.0/TCP"),
        }
    }

    fn compose(&self, ua: &Ua, method: &str) -> Msg {
        let request = Msg::request(method, &self.target)
            .add("Via", ua.via(self.tcp))
            .add("Max-Forwards", "70")
            .add("From", &self.local)
            .add("To", &self.remote)
            .add("Call-ID", &self.call_id)
            .add("CSeq", format!("{} {method}", self.cseq));
        match method {
            "INVITE" | "SUBSCRIBE" => request.add("Contact", ua.contact(self.tcp)),
            _ => request,
        }
    }

    /// The next request within the dialog.
    pub(crate) fn request(&mut self, ua: &Ua, method: &str) -> Msg {
        self.cseq += 1;
        self.compose(ua, method)
    }

    /// The ACK to the 2xx of the latest INVITE.
    pub(crate) fn ack(&self, ua: &Ua) -> Msg {
        self.compose(ua, "ACK")
    }
}

/// The number in the CSeq of `request`.
pub(super) fn cseq(msg: &Msg) -> u32 {
    msg.need("CSeq").split(' ').next().unwrap().parse().unwrap()
}
