//! The subscribers to a focus' conference state (RFC 4575), as the focus keeps them: the machine that says what they are told, on
//! the dialogs of their own.

use restante::focus::conference_subscriptions::{ConferenceAction, ConferenceSubscriptions};
use restante::focus::fan_out::Participant;
use restante::focus::retrieval::Entry;
use restante::machine::sip::{FailureCause, Flow};
use restante::time::Instant;
use restante::wire::sip::{Method, Request, Response};

use crate::capabilities;
use crate::dialog_port::DialogPort;
use crate::meters::{Package, Subscribed};
use crate::party::Party;
use crate::ports::{DialogInput, Leave};
use crate::seldom::seldom;

/// All subscribers of one focus.
pub struct ConferenceSubscribers {
    machine: ConferenceSubscriptions,
    subscribed: Subscribed,
    /// To send the NOTIFY that has waited, and whose it is.
    leave: Option<(u64, Leave)>,
}

impl ConferenceSubscribers {
    /// Nobody yet; who comes is told `max_body` bytes at once.
    #[must_use]
    pub fn new(max_body: usize) -> Self {
        Self {
            machine: ConferenceSubscriptions::new(max_body),
            subscribed: Subscribed::to(Package::Conference),
            leave: None,
        }
    }

    /// Takes what concerns a subscription to the focus of `party`; anything else is given back. Call [`Self::drain`] then.
    pub fn handle(&mut self, now: Instant, input: DialogInput, party: &Party) -> Option<DialogInput> {
        match input {
            DialogInput::Request(asked) => {
                let response = self.answer(now, asked.request(), asked.flow(), party);
                let Some(response) = response else { return Some(DialogInput::Request(asked)) };
                self.act(party.port());
                if response.status.is_success() {
                    party.port().watch(asked.flow());
                }
                asked.respond(response);
            }
            DialogInput::Response { ticket, response } if self.machine.knows(ticket) => {
                Package::Conference.notified(Some(response.status));
                self.machine.handle_response(now, ticket, &response);
            }
            DialogInput::Failed { ticket, cause: FailureCause::Unresolved } if self.machine.knows(ticket) => {
                Package::Conference.unresolved();
                let call_id = String::from_utf8_lossy(party.call_id());
                match self.machine.handle_unresolved(now, ticket).map(|after| after.as_secs()) {
                    Some(seconds) => {
                        seldom!(warn, %call_id, seconds, "conference NOTIFY not sent: the DNS does not answer; to be sent again");
                    }
                    None => {
                        seldom!(warn, %call_id, "conference NOTIFY not sent: the DNS does not answer; subscription ended");
                    }
                }
            }
            DialogInput::Failed { ticket, .. } if self.machine.knows(ticket) => {
                Package::Conference.notified(None);
                self.machine.handle_failed(ticket);
            }
            DialogInput::LinkGone { link } => self.machine.handle_connection_lost(now, link),
            DialogInput::Crowded { ticket } if self.machine.knows(ticket) => {
                self.machine.handle_crowded(now, ticket);
            }
            DialogInput::Room { ticket, leave } if self.machine.knows(ticket) => {
                self.machine.handle_room(ticket);
                self.leave = Some((ticket, leave));
            }
            other => return Some(other),
        }
        None
    }

    /// The answer to what concerns a subscription.
    fn answer(&mut self, now: Instant, request: &Request, flow: Flow, party: &Party) -> Option<Response> {
        let subscribes = request.method == Method::Subscribe;
        let begins = subscribes && !request.headers.has_to_tag();
        if !begins && !self.machine.has_dialog_of(request) {
            return None;
        }
        Some(if subscribes {
            self.machine.handle_subscribe(now, request, flow, (party.port().tag(), party.contact()))
        } else {
            let refused = self.machine.handle_other(request);
            refused.unwrap_or_else(|| capabilities::within_subscription(request))
        })
    }

    /// A participant changed.
    pub fn changed(&mut self, now: Instant, participant: Participant) {
        self.machine.changed(now, participant);
    }

    /// The conference is over: every subscriber is told at once what is left to tell, and gets a last NOTIFY.
    pub fn end(&mut self, now: Instant) {
        self.machine.end(now);
    }

    /// The conference has failed: the next NOTIFY of every subscriber is the last.
    pub fn fail(&mut self, now: Instant) {
        self.machine.fail(now);
    }

    /// Ends the ownership of every dialog: nobody answers in them any more.
    pub fn forget(&mut self, port: &DialogPort) {
        for tag in self.machine.tags() {
            port.forget_also(tag.to_owned());
        }
    }

    /// Whether every subscription has ended.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.machine.is_empty()
    }

    /// When to call [`Self::drain`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.machine.poll_timeout()
    }

    /// Sends the notifications that are due, and forgets the subscriptions that have ended.
    pub fn drain(&mut self, now: Instant, entries: &[Entry], port: &DialogPort) {
        self.machine.drive(now, entries);
        self.act(port);
        self.leave = None;
        self.subscribed.count(self.machine.len());
    }

    /// Does what is to be done.
    fn act(&mut self, port: &DialogPort) {
        while let Some(action) = self.machine.poll_action() {
            match action {
                ConferenceAction::Adopt(tag, flow) => port.adopt_also(tag, flow),
                ConferenceAction::Notify { ticket, request, next_hop, flow } => {
                    let leave = self.leave.take_if(|(whose, _)| *whose == ticket).map(|(_, leave)| leave);
                    port.send(*request, next_hop, flow, ticket, leave);
                }
                ConferenceAction::Ended(tag) => port.forget_also(tag),
            }
        }
    }
}
