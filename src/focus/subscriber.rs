//! One subscription to a mailbox's message summary: what it was told, and what it is to be told next.

use bytes::Bytes;

use crate::machine::sip::{Notifier, NotifierRecord, NotifyOutcome};
use crate::store::{ItemState, ListQuery, MAX_LIST, Overview};
use crate::time::Instant;
use crate::wire::sip::{Request, StatusCode};

use super::summary::{Described, Listing, SummaryRules};

/// Names a subscription among those of its mailbox; never used twice. It has another one when it moves to another
/// connection with a NOTIFY on its way.
pub type Ticket = u64;

/// What is written down of a subscription, to go on with it in another run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Written {
    /// Its dialog and its end.
    pub notifier: NotifierRecord,
    /// The highest sequence that a NOTIFY answered 200 has listed.
    pub listed: Option<u64>,
}

/// A subscription.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) ticket: Ticket,
    /// The dialog's local tag.
    pub(super) tag: String,
    pub(super) notifier: Notifier,
    listed: Option<u64>,
    /// The highest sequence in the NOTIFY on its way, and whether items were left for the next.
    offered: Option<u64>,
    more: bool,
    /// Whether nothing was told yet.
    first: bool,
    /// SUBSCRIBEs whose answer waits for the store.
    pub(super) unanswered: u32,
    /// When it ends by what is written down; none where nothing is.
    pub(super) durable: Option<Instant>,
}

impl Subscriber {
    /// A new subscription.
    pub(super) const fn new(ticket: Ticket, tag: String, notifier: Notifier) -> Self {
        Self {
            ticket,
            tag,
            notifier,
            listed: None,
            offered: None,
            more: false,
            first: true,
            unanswered: 0,
            durable: None,
        }
    }

    /// One of another run, which has been told what is new up to `listed`.
    pub(super) const fn restored(
        ticket: Ticket,
        tag: String,
        notifier: Notifier,
        listed: Option<u64>,
    ) -> Self {
        let durable = Some(notifier.expires());
        Self {
            ticket,
            tag,
            notifier,
            listed,
            offered: None,
            more: false,
            first: false,
            unanswered: 0,
            durable,
        }
    }

    /// Whether its NOTIFYs, and its end, wait until a SUBSCRIBE is answered.
    pub(super) const fn is_held(&self) -> bool {
        self.unanswered > 0
    }

    /// The items to ask of the store for the next NOTIFY, if any.
    pub(super) fn query(&self, rules: &SummaryRules) -> Option<ListQuery> {
        match rules.listing {
            Listing::None => None,
            // Nothing of it will be shown: only its end matters, behind which the next one begins.
            Listing::Added if self.first => Some(ListQuery { state: None, after: None, limit: MAX_LIST }),
            Listing::Pending | Listing::Added => Some(ListQuery {
                state: Some(ItemState::New),
                after: self.listed,
                // One more than is shown tells whether there are others.
                limit: rules.max_items.saturating_add(1),
            }),
        }
    }

    /// Takes what was asked for, and has `describe` write the NOTIFY's body of it.
    pub(super) fn take(
        &mut self,
        mut told: Overview,
        rules: &SummaryRules,
        describe: impl FnOnce(&SummaryRules, &Overview) -> Described,
    ) -> Bytes {
        let newest = told.items.last().map(|item| item.sequence);
        // RFC 3842 3.5: no headers of items in the first NOTIFY.
        if rules.listing == Listing::Added && self.first {
            told.items.clear();
        }
        let found = told.items.len();
        told.items.truncate(rules.max_items);
        let Described { body, listed } = describe(rules, &told);
        let last = told.items.iter().take(listed).last().map(|item| item.sequence);
        self.more = listed < found;
        self.offered = if self.more { last } else { last.or(newest) }.or(self.listed);
        body
    }

    /// Builds the NOTIFY of a body.
    pub(super) fn notify(&mut self, now: Instant, body: crate::machine::sip::Body) -> Request {
        self.notifier.notify(now, Some(body))
    }

    /// Takes the status of a response to the NOTIFY: what was offered counts as listed when it has arrived.
    pub(super) fn handle_response(&mut self, now: Instant, status: StatusCode) -> NotifyOutcome {
        let outcome = self.notifier.handle_response(status);
        if outcome == NotifyOutcome::Delivered {
            self.listed = self.offered;
            self.first = false;
            if std::mem::take(&mut self.more) {
                self.notifier.changed(now);
            }
        }
        outcome
    }

    /// What to write down; `None` where it is over or about to be.
    pub(super) fn written(&self, now: Instant, wall: crate::time::Timestamp) -> Option<Written> {
        self.notifier.record(now, wall).map(|notifier| Written { notifier, listed: self.listed })
    }
}
