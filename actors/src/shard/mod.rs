//! Shard: one core's share of the mailboxes. It judges requests outside of dialogs and gives them
//! to those who serve them: the store itself, a Recorder, a Focus, a Mailbox.

mod mailboxes;
mod totals;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, Recipient, WeakAddr};
use restante::focus::intent::{self, DEPOSIT_PREFIX, FOCUS_PREFIX, Intent, RETRIEVAL_PREFIX};
use restante::focus::pager::{self, Pager};
use restante::focus::recipient_list::{self, InviteBody};
use restante::focus::rejection::{ACCEPT, Rejection};
use restante::focus::{retrieval, session_deposit};
use restante::machine::sip::{Flow, InviteSession, ServerTxn};
use restante::store::{Body, Owner, PagerDeposit};
use restante::wire::sip::{HeaderName, Request, Response, StatusCode};

use crate::capabilities;
use crate::clock;
use crate::dialog_port::DialogPort;
use crate::endpoint::{Arrived, SipEndpoint};
use crate::fault;
use crate::focus::{Focus, FocusBirth, Selection};
use crate::gate::{Caller, Gate};
use crate::pager_depositing::PagerDepositing;
use crate::ports::{Asked, DialogInput, Respond, ToEndpoint};
use crate::recorder::{Recorder, RecorderBirth};
use crate::refusals;
use crate::seldom::seldom;
use crate::shared::Shared;
use crate::supervision::{Exited, Vital, Who};

use mailboxes::MailboxEntry;
use totals::Full;

pub use mailboxes::{Idle, Resume, Watched, tell_changed};
pub use totals::{Seat, Totals};

/// The way to the shard's endpoint, told after both are started.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Attach(pub Addr<SipEndpoint>);

/// The actor.
pub struct Shard {
    tag: String,
    shared: Arc<Shared>,
    gate: Arc<Gate>,
    totals: Arc<Totals>,
    watched: Watched,
    endpoint: Option<ToEndpoint>,
    exits: Option<Arc<Recipient<Exited>>>,
    mailboxes: HashMap<Owner, MailboxEntry>,
    focuses: HashMap<Owner, HashMap<Arc<str>, WeakAddr<Focus>>>,
    _vital: Vital,
}

/// A request on its way to whoever serves it.
struct Visitor {
    txn: ServerTxn,
    request: Box<Request>,
    flow: Flow,
    caller: Caller,
}

impl Shard {
    /// The shard whose tags begin with `tag`.
    #[must_use]
    pub fn new(
        tag: String,
        shared: Arc<Shared>,
        gate: Arc<Gate>,
        totals: Arc<Totals>,
        watched: Watched,
        vital: Vital,
    ) -> Self {
        Self {
            tag,
            shared,
            gate,
            totals,
            watched,
            endpoint: None,
            exits: None,
            mailboxes: HashMap::new(),
            focuses: HashMap::new(),
            _vital: vital,
        }
    }

    fn respond(&self, txn: ServerTxn, response: Response) {
        refusals::count(response.status);
        if let Some(endpoint) = &self.endpoint {
            endpoint.do_send(Respond { txn, response: Box::new(response) });
        }
    }

    fn refuse(&self, visitor: &Visitor, rejection: &Rejection) {
        seldom!(info,
            call_id = %visitor.request.headers.call_id_text(),
            method = %visitor.request.method,
            peer = %visitor.flow.peer,
            status = rejection.status.0,
            reason = rejection.said(),
            "request refused"
        );
        self.respond(visitor.txn, rejection.response(&visitor.request));
    }

    fn serve(&mut self, visitor: Visitor, intent: Intent, ctx: &mut Context<Self>) {
        let served = match intent {
            Intent::Capabilities => self.capabilities(&visitor),
            Intent::DepositPager(owner) => {
                self.gate.deposit_of(&visitor.caller).and_then(|()| self.deposit(&visitor, owner))
            }
            Intent::DepositSession(owner) => {
                self.gate.deposit_of(&visitor.caller).and_then(|()| self.record(&visitor, owner))
            }
            Intent::RetrieveOne(owner, id) => self.retrieve(&visitor, owner, Some(Selection::One(id)), ctx),
            Intent::RetrieveAll(owner) => self.retrieve(&visitor, owner, Some(Selection::All), ctx),
            Intent::RetrieveList(owner) => self.retrieve(&visitor, owner, None, ctx),
            Intent::Summary(owner) => return self.subscribe(visitor, owner, ctx),
            Intent::Conference(owner, id) => return self.watch(visitor, &owner, &id),
        };
        if let Err(rejection) = served {
            self.refuse(&visitor, &rejection);
        }
    }

    fn capabilities(&self, visitor: &Visitor) -> Result<(), Rejection> {
        self.respond(visitor.txn, capabilities::of_node(&visitor.request));
        Ok(())
    }

    // ---- deposit ----

    fn deposit(&self, visitor: &Visitor, owner: Owner) -> Result<(), Rejection> {
        let now = clock::wall();
        let request = &visitor.request;
        let Pager::Kept { key, envelope, ends } = pager::pager(request, &self.shared.deposit, now)? else {
            self.respond(visitor.txn, request.respond(StatusCode::ACCEPTED));
            return Ok(());
        };
        let deposit = PagerDeposit {
            owner,
            sender: visitor.caller.owner.clone(),
            key,
            envelope: *envelope,
            body: Body::Inline(request.body.clone()),
            quota: self.shared.quota(),
            now,
            ends,
            remember: self.shared.config.deposit.remember,
        };
        let storing = self.shared.in_time(self.shared.store.deposit(deposit));
        let endpoint = self.endpoint.clone().ok_or_else(|| Rejection::unavailable(1))?;
        let accepted = request.respond(StatusCode::ACCEPTED);
        let agent = self.shared.agent().to_owned();
        actix::spawn(PagerDepositing { endpoint, txn: visitor.txn, accepted, agent }.answer(storing));
        Ok(())
    }

    fn record(&self, visitor: &Visitor, owner: Owner) -> Result<(), Rejection> {
        let body = recipient_list::body(&visitor.request)?;
        if body.sdp.is_none() && !body.lists.is_empty() {
            return Err(Rejection::unsupported_body(ACCEPT));
        }
        let limits = &self.shared.config.deposit;
        let seat = self
            .totals
            .recorders
            .seat(&owner, limits.sessions_per_user, limits.sessions_total)
            .map_err(|full| self.full(full, "too many sessions for this user"))?;
        let envelope = session_deposit::session(&visitor.request, &self.shared.deposit, clock::wall())?;
        let (port, invite) = self.dialog(visitor, DEPOSIT_PREFIX)?;
        Recorder::new(RecorderBirth {
            shared: Arc::clone(&self.shared),
            port,
            invite,
            owner,
            sender: visitor.caller.owner.clone(),
            envelope,
            offer: body.sdp,
            seat,
        })
        .start();
        Ok(())
    }

    /// The refusal of a session for which there is no seat; `busy` says what its owner has too many of.
    fn full(&self, full: Full, busy: &str) -> Rejection {
        match full {
            Full::Owner => Rejection::new(StatusCode::TEMPORARILY_UNAVAILABLE)
                .with(HeaderName::RetryAfter, "10")
                .warning(399, self.shared.agent(), busy),
            Full::Node => Rejection::unavailable_for_now(),
        }
    }

    /// Where those that were born here tell that they have ended.
    fn exits(&mut self, ctx: &Context<Self>) -> Arc<Recipient<Exited>> {
        Arc::clone(self.exits.get_or_insert_with(|| Arc::new(ctx.address().recipient())))
    }

    // ---- retrieval ----

    fn retrieve(
        &mut self,
        visitor: &Visitor,
        owner: Owner,
        selection: Option<Selection>,
        ctx: &mut Context<Self>,
    ) -> Result<(), Rejection> {
        let body = recipient_list::body(&visitor.request)?;
        let listed = selection.is_none();
        let selection = match selection {
            Some(selection) => selection,
            None => Selection::List(self.list(&body)?),
        };
        let limits = &self.shared.config.retrieval;
        let seat = self
            .totals
            .focuses
            .seat(&owner, limits.sessions_per_user, limits.sessions_total)
            .map_err(|full| self.full(full, "too many retrievals at once"))?;
        let is_focus = listed || matches!(selection, Selection::All);
        let prefix = if is_focus { FOCUS_PREFIX } else { RETRIEVAL_PREFIX };
        let (port, invite) = self.dialog(visitor, prefix)?;
        let tag = Arc::clone(port.tag());
        let focus = Focus::new(FocusBirth {
            shared: Arc::clone(&self.shared),
            port,
            invite,
            selection,
            body,
            uri: String::from_utf8_lossy(&visitor.request.uri).into_owned(),
            seat,
            exited: self.exits(ctx),
        })
        .start();
        self.focuses.entry(owner).or_default().insert(tag, focus.downgrade());
        Ok(())
    }

    /// The URIs of the recipient lists, each item once.
    fn list(&self, body: &InviteBody) -> Result<Vec<String>, Rejection> {
        if body.lists.is_empty() {
            return Err(Rejection::because(StatusCode::BAD_REQUEST, "Missing Recipient List"));
        }
        let uris = recipient_list::uris(&body.lists, self.shared.config.retrieval.max_list)?;
        let mut items = HashSet::new();
        let mut others = HashSet::new();
        Ok(uris
            .into_iter()
            .filter(|uri| match retrieval::named_item(&self.shared.realm, uri) {
                Some(item) => items.insert(item),
                None => others.insert(uri.clone()),
            })
            .collect())
    }

    /// The dialog of an INVITE: its port, and its session, with a Contact whose user part begins with `prefix`.
    fn dialog(&self, visitor: &Visitor, prefix: &str) -> Result<(DialogPort, InviteSession), Rejection> {
        let endpoint = self.endpoint.clone().ok_or_else(|| Rejection::unavailable(1))?;
        let tag = self.shared.mint_tag(&self.tag);
        let contact = self.shared.contact(&format!("{prefix}{tag}"), &visitor.flow, &visitor.request);
        let contact = if prefix == FOCUS_PREFIX { format!("{contact};isfocus") } else { contact };
        let invite = InviteSession::new(
            (*visitor.request).clone(),
            visitor.txn,
            &tag,
            contact,
            Arc::clone(&self.shared.timers),
        )
        .map_err(|error| Rejection::because(StatusCode::BAD_REQUEST, error.to_string()))?;
        let peer = visitor.caller.owner.clone();
        Ok((DialogPort::new(endpoint, &tag, Some(visitor.txn), visitor.flow, peer), invite))
    }

    /// A SUBSCRIBE to the conference state of a focus: its owner's affair alone.
    fn watch(&self, visitor: Visitor, owner: &Owner, id: &str) {
        match self.focuses.get(owner).and_then(|focuses| focuses.get(id)?.upgrade()) {
            Some(focus) => self.hand_over(visitor, &focus.recipient()),
            None => self.refuse(&visitor, &Rejection::not_found()),
        }
    }

    // ---- summary ----

    fn subscribe(&mut self, visitor: Visitor, owner: Owner, ctx: &mut Context<Self>) {
        match self.mailbox(owner, ctx) {
            Some(mailbox) => self.hand_over(visitor, &mailbox.recipient()),
            None => self.refuse(&visitor, &Rejection::unavailable(1)),
        }
    }

    /// Gives a request to whoever answers it.
    fn hand_over(&self, visitor: Visitor, user: &Recipient<DialogInput>) {
        if let Some(endpoint) = self.endpoint.clone() {
            let asked = Asked::new(endpoint, visitor.txn, visitor.request, visitor.flow);
            user.do_send(DialogInput::Request(asked));
        }
    }
}

impl Actor for Shard {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(1024);
    }
}

impl Handler<Attach> for Shard {
    type Result = ();
    fn handle(&mut self, attach: Attach, _: &mut Self::Context) {
        self.endpoint = Some(ToEndpoint::new(attach.0));
    }
}

impl Handler<Arrived> for Shard {
    type Result = ();
    fn handle(&mut self, arrived: Arrived, ctx: &mut Self::Context) {
        fault::strike("shard.arrived", arrived.request.headers.call_id_text().as_bytes());
        let Arrived { txn, request, flow, caller } = arrived;
        let visitor = Visitor { txn, request, flow, caller };
        let judged = self
            .gate
            .request_of(&visitor.caller)
            .and_then(|()| intent::intent(&self.shared.realm, &visitor.request, &visitor.caller.owner));
        match judged {
            Ok(intent) => self.serve(visitor, intent, ctx),
            Err(rejection) => self.refuse(&visitor, &rejection),
        }
    }
}

impl Handler<Exited> for Shard {
    type Result = ();
    fn handle(&mut self, exited: Exited, ctx: &mut Self::Context) {
        match exited.who {
            Who::Focus(tag) => {
                if let Some(focuses) = self.focuses.get_mut(&exited.owner) {
                    focuses.remove(&tag);
                    if focuses.is_empty() {
                        self.focuses.remove(&exited.owner);
                    }
                }
            }
            Who::Mailbox => self.restore(exited.owner, ctx),
        }
    }
}

/// Asks what is there that should be gone when all is quiet.
#[cfg(test)]
#[derive(Debug, Message)]
#[rtype(result = "Vec<String>")]
pub(crate) struct Observe;

#[cfg(test)]
impl Handler<Observe> for Shard {
    type Result = Vec<String>;
    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Vec<String> {
        let counts = [
            ("mailboxes", self.mailboxes.len()),
            ("mailboxes watched", self.watched.len()),
            ("recorders in all", self.totals.recorders.taken()),
            ("owners of recorders", self.totals.recorders.owners()),
            ("focuses", self.focuses.len()),
            ("focuses in all", self.totals.focuses.taken()),
            ("owners of focuses", self.totals.focuses.owners()),
        ];
        counts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{count} {what}"))
            .collect()
    }
}
