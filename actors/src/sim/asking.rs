//! A request of a device that waits for its final response, with the repetitions of RFC 3261 17.1.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::dialog::{Dialog, cseq};
use super::line::Line;
use super::peer::sip::Msg;
use super::ua::Ua;

/// A request under way.
pub(crate) struct Asking {
    ua: Ua,
    pub(crate) request: Msg,
    told: mpsc::UnboundedReceiver<Msg>,
    over: Option<Line>,
    begun: Instant,
}

impl Asking {
    /// A request that `ua` is about to send, `over` a connection or by a datagram; responses come by `told`.
    pub(super) fn new(ua: Ua, request: Msg, told: mpsc::UnboundedReceiver<Msg>, over: Option<Line>) -> Self {
        Self { ua, request, told, over, begun: Instant::now() }
    }

    pub(super) const fn over(&self) -> Option<&Line> {
        self.over.as_ref()
    }

    /// The status of the next response.
    pub(super) async fn next(&mut self) -> Option<u16> {
        self.told.recv().await.map(|msg| msg.status())
    }

    /// Waits for the final response (RFC 3261 17.1), repeating the request over UDP.
    pub(crate) async fn finish(mut self) -> Option<Msg> {
        let invite = self.request.method() == "INVITE";
        let mut interval = Duration::from_millis(500);
        let mut limit = self.begun + Duration::from_secs(32);
        let mut proceeding = false;
        loop {
            let repeats = self.over.is_none() && !(invite && proceeding);
            let next = if repeats { limit.min(Instant::now() + interval) } else { limit };
            match tokio::time::timeout_at(next, self.told.recv()).await {
                Ok(Some(msg)) if msg.status() < 200 => {
                    proceeding = true;
                    if invite {
                        limit = Instant::now() + Duration::from_secs(120);
                    }
                }
                Ok(Some(msg)) => {
                    if invite && msg.status() >= 300 {
                        self.ua.acknowledge(&self.request, failure_ack(&self.request, &msg));
                    }
                    return Some(msg);
                }
                // The connection is gone.
                Ok(None) => return None,
                Err(_) if Instant::now() >= limit => {
                    self.ua.unanswered(self.begun, &self.request);
                    return None;
                }
                Err(_) => {
                    self.ua.transmit(&self.request, None);
                    interval *= 2;
                    if !invite {
                        interval = interval.min(Duration::from_secs(4));
                    }
                }
            }
        }
    }

    /// Cancels the INVITE after a while; where its 200 was quicker, the call is ended.
    pub(crate) async fn regret(mut self, after: Duration) {
        // RFC 3261 9.1: not before a provisional response.
        match timeout(Duration::from_secs(5), self.told.recv()).await {
            Ok(Some(first)) if first.status() < 200 => {}
            Ok(Some(first)) => return self.conclude(&first).await,
            Ok(None) | Err(_) => {}
        }
        tokio::time::sleep(after).await;
        let ua = self.ua.clone();
        let cancel = self.cancel();
        actix::spawn(async move { ua.ask(&cancel).await });
        let (ua, request) = (self.ua.clone(), self.request.clone());
        if let Some(response) = self.finish().await {
            conclude(&ua, &request, &response).await;
        }
    }

    async fn conclude(&self, response: &Msg) {
        if response.status() >= 300 {
            self.ua.acknowledge(&self.request, failure_ack(&self.request, response));
        }
        conclude(&self.ua, &self.request, response).await;
    }

    /// The CANCEL of the INVITE.
    pub(super) fn cancel(&self) -> Msg {
        let number = cseq(&self.request);
        let cancel =
            Msg { start: self.request.start.replacen("INVITE", "CANCEL", 1), ..self.request.clone() }
                .with("CSeq", format!("{number} CANCEL"))
                .without("Content-Type")
                .without("Require")
                .without("Contact");
        Msg { body: Vec::new(), ..cancel }
    }
}

/// Ends a call that nobody wants any more.
async fn conclude(ua: &Ua, request: &Msg, response: &Msg) {
    if response.status() == 200 {
        let mut dialog = Dialog::opened(request, response);
        ua.acknowledge(request, dialog.ack(ua));
        ua.ask(&dialog.request(ua, "BYE")).await;
    }
}

/// The ACK to a response that is no 2xx (RFC 3261 17.1.1.3).
fn failure_ack(request: &Msg, response: &Msg) -> Msg {
    Msg::request("ACK", request.uri())
        .add("Via", &request.headers[0].1)
        .add("Max-Forwards", "70")
        .add("From", request.need("From"))
        .add("To", response.need("To"))
        .add("Call-ID", request.need("Call-ID"))
        .add("CSeq", format!("{} ACK", cseq(request)))
}
