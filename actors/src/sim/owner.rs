//! Who comes back for his messages: several devices, which subscribe, retrieve one, a list or all, and
//! refuse, stall, vanish or hang up midway.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::call::{Begun, Call, Invite, PATIENCE};
use super::dialog::Dialog;
use super::dice::Dice;
use super::peer::sip::{Msg, escape_user};
use super::taking::{Manner, Taking};
use super::ua::{Incoming, Ua};
use super::world::World;

const STORE: &str = "mailserver.example.com";
/// Seconds that a subscription is asked for.
const LASTING: u32 = 180;

/// A subscription, as its subscriber sees it.
pub(crate) struct Subscription {
    dialog: RefCell<Option<Dialog>>,
    /// New and old items, as the last NOTIFY told.
    told: Cell<Option<(u64, u64)>>,
    /// The device does not answer to it any more.
    over: Cell<bool>,
    call_id: String,
}

/// A device of an owner.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) ua: Ua,
    /// The Message-IDs that summaries have listed.
    ids: Rc<RefCell<Vec<String>>>,
    subscription: Rc<RefCell<Option<Rc<Subscription>>>>,
}

impl Device {
    pub(crate) fn new(ua: Ua) -> Self {
        Self { ua, ids: Rc::default(), subscription: Rc::default() }
    }

    /// What its subscription was told last, where it has one and nothing happened to it.
    pub(crate) fn told(&self) -> Option<Option<(u64, u64)>> {
        let held = self.subscription.borrow().clone()?;
        let sound = held.dialog.borrow().is_some() && !held.over.get() && !self.ua.is_unlucky();
        sound.then(|| held.told.get())
    }

    /// Does a few things, with pauses.
    pub(crate) async fn live(self, world: World, dice: Dice) {
        if dice.happens(70) {
            self.subscribe(&world, &dice).await;
        }
        for _ in 0..dice.between(1, 4) {
            dice.pause(15_000).await;
            match dice.below(10) {
                0 => self.subscribe(&world, &dice).await,
                1 => self.unsubscribe(&world).await,
                2 => self.intrude(&world, &dice).await,
                3..=5 => self.retrieve_one(&world, &dice).await,
                6..=7 => self.retrieve_list(&world, &dice).await,
                _ => drop(self.retrieve_all(&world, &dice, Manner::drawn(&dice)).await),
            }
        }
    }

    // ---- summary ----

    async fn subscribe(&self, world: &World, dice: &Dice) {
        if self.refresh(world).await {
            return;
        }
        let uri = match dice.happens(50) {
            true => self.ua.aor().to_owned(),
            false => format!("sip:{}@{STORE}", self.ua.user()),
        };
        let request = summary(self.ua.request("SUBSCRIBE", &uri, dice.happens(30)), LASTING);
        let held = Rc::new(Subscription {
            dialog: RefCell::default(),
            told: Cell::default(),
            over: Cell::default(),
            call_id: request.call_id(),
        });
        let inbox = self.ua.expect(&request.call_id());
        world.spawn(notified(world.clone(), self.clone(), inbox, dice.fork(), Rc::clone(&held)));
        let Some(response) = self.ua.ask(&request).await else { return self.ua.forget(&held.call_id) };
        match response.status() {
            200 => {
                *held.dialog.borrow_mut() = Some(Dialog::opened(&request, &response));
                *self.subscription.borrow_mut() = Some(held);
            }
            480 | 503 => self.ua.forget(&held.call_id),
            other => world.wrong(format!("SUBSCRIBE was answered {other}: {response}")),
        }
    }

    /// Goes on with the subscription, if there is one; whether there is still.
    pub(crate) async fn refresh(&self, world: &World) -> bool {
        let held = self.subscription.borrow().clone();
        let Some(held) = held else { return false };
        let dialog = held.dialog.borrow().clone();
        let Some(mut dialog) = dialog else { return false };
        let request = summary(dialog.request(&self.ua, "SUBSCRIBE"), LASTING);
        *held.dialog.borrow_mut() = Some(dialog);
        let status = self.ua.ask(&request).await.map(|response| response.status());
        match status {
            Some(200) => return true,
            None | Some(480 | 481 | 503) => {}
            Some(other) => world.wrong(format!("the refresh of a subscription was answered {other}")),
        }
        if status == Some(481) && world.is_calm() && self.told().is_some() {
            world.wrong(format!("the subscription of {} is forgotten", self.ua.user()));
        }
        // Should the node go on with it, its next NOTIFY is told that it is of no subscription.
        self.ua.forget(&held.call_id);
        *self.subscription.borrow_mut() = None;
        false
    }

    pub(crate) async fn unsubscribe(&self, world: &World) {
        let held = self.subscription.borrow_mut().take();
        let Some(mut dialog) = held.and_then(|held| held.dialog.borrow().clone()) else { return };
        let request = summary(dialog.request(&self.ua, "SUBSCRIBE"), 0);
        match self.ua.ask(&request).await {
            Some(response) if response.status() == 200 => {}
            None => self.ua.forget(&request.call_id()),
            Some(response) if [481, 503].contains(&response.status()) => self.ua.forget(&request.call_id()),
            Some(response) => world.wrong(format!("the end of a subscription was answered {response}")),
        }
    }

    /// Reads a summary.
    fn learn(&self, world: &World, notify: &Msg, held: &Subscription) {
        let text = String::from_utf8_lossy(&notify.body).into_owned();
        let mut counts = (0, 0);
        for line in text.lines() {
            if let Some(id) = line.strip_prefix("Message-ID: ") {
                self.ids.borrow_mut().push(id.to_owned());
            }
            let class =
                line.strip_prefix("Text-Message: ").or_else(|| line.strip_prefix("Multimedia-Message: "));
            if let Some((new, old)) = class.and_then(|class| class.split(' ').next()?.split_once('/')) {
                counts.0 += new.parse::<u64>().unwrap();
                counts.1 += old.parse::<u64>().unwrap();
            }
        }
        if !text.contains(&format!("Message-Account: sip:{}@{STORE}", self.ua.user())) {
            world.wrong(format!("{} was told of another's mailbox: {text}", self.ua.user()));
        }
        held.told.set(Some(counts));
    }

    // ---- retrieval ----

    /// Asks for what is another's: it must look as if it were not there.
    async fn intrude(&self, world: &World, dice: &Dice) {
        let Some(id) = world.others_id(self.ua.user(), dice) else { return };
        let uri = format!("sip:{}@{STORE}", escape_user(&id));
        let invite = Invite::new(world, &self.ua, &uri, dice);
        match invite.call(world, &self.ua).await {
            Begun::Up(_) => world.wrong(format!("{} has got at another's {id}", self.ua.user())),
            Begun::Refused(response) if [404, 503].contains(&response.status()) => {}
            Begun::Refused(response) => world.wrong(format!("another's item is answered {response}")),
            Begun::Silent => {}
        }
        let other = world.aor(&world.anyone(dice));
        if other != self.ua.aor() {
            let subscribe = self
                .ua
                .request("SUBSCRIBE", &other, false)
                .add("Event", "message-summary")
                .add("Expires", "600");
            if let Some(response) = self.ua.ask(&subscribe).await
                && ![403, 503].contains(&response.status())
            {
                world.wrong(format!("a subscription to another's mailbox is answered {response}"));
            }
        }
    }

    fn known(&self, dice: &Dice) -> Option<String> {
        let ids = self.ids.borrow();
        (!ids.is_empty()).then(|| dice.pick(&ids).clone())
    }

    async fn retrieve_one(&self, world: &World, dice: &Dice) {
        let Some(id) = self.known(dice) else { return };
        let uri = format!("sip:{}@{STORE}", escape_user(&id));
        let invite = Invite::new(world, &self.ua, &uri, dice);
        if dice.happens(8) {
            let inbox = self.ua.expect(&invite.request.call_id());
            let Some(asking) = self.ua.begin(&invite.request).await else { return };
            asking.regret(Duration::from_millis(dice.below(400))).await;
            drop(inbox);
            return;
        }
        self.take(world, dice, invite, Manner::drawn(dice), &[404, 480, 487, 488, 503]).await;
    }

    async fn retrieve_list(&self, world: &World, dice: &Dice) {
        let mut ids: Vec<String> = (0..dice.between(1, 5)).filter_map(|_| self.known(dice)).collect();
        ids.extend(dice.happens(30).then(|| "nothing@nowhere".to_owned()));
        ids.extend(world.others_id(self.ua.user(), dice).filter(|_| dice.happens(30)));
        if ids.is_empty() {
            return;
        }
        let entries: String = ids
            .iter()
            .map(|id| format!("<entry uri=\"sip:{}@{STORE}\"/>", escape_user(id).replace('&', "&amp;")))
            .collect();
        let mut invite = Invite::new(world, &self.ua, &format!("sip:{STORE}"), dice);
        let sdp = String::from_utf8(invite.request.body.clone()).unwrap();
        let body = format!(
            "--b1\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--b1\r\n\
             Content-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\n\r\n\
             <?xml version=\"1.0\"?><resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\">\
             <list>{entries}</list></resource-lists>\r\n--b1--\r\n"
        );
        invite.request =
            invite.request.body("multipart/mixed;boundary=b1", body).add("Require", "recipient-list-invite");
        self.take(world, dice, invite, Manner::drawn(dice), &[404, 480, 488, 503]).await;
    }

    /// Asks for everything that is new; whether it all came, or there was nothing.
    pub(crate) async fn retrieve_all(&self, world: &World, dice: &Dice, manner: Manner) -> bool {
        let invite = Invite::new(world, &self.ua, self.ua.aor(), dice);
        self.take(world, dice, invite, manner, &[480, 488, 503]).await
    }

    async fn take(
        &self,
        world: &World,
        dice: &Dice,
        invite: Invite,
        manner: Manner,
        refusals: &[u16],
    ) -> bool {
        let mut call = match invite.call(world, &self.ua).await {
            Begun::Up(call) => call,
            Begun::Refused(response) => {
                if !refusals.contains(&response.status()) {
                    world.wrong(format!("a retrieval was refused {response}"));
                }
                return response.status() == 480
                    && response.get("Warning").is_some_and(|text| text.contains("no new"));
            }
            Begun::Silent => return false,
        };
        if manner == Manner::NeverConnects {
            call.hung_up(PATIENCE).await;
            return false;
        }
        if call.is_focus() && dice.happens(30) {
            self.watch(world, dice, &call);
        }
        let Some(msrp) = call.join().await else {
            call.bye().await;
            return false;
        };
        let retrieval = world.ledger(|ledger| ledger.retrieval(self.ua.user()));
        let mut taking = Taking::new(world, dice, retrieval, manner);
        taking.run(&mut call, msrp).await
    }

    /// Subscribes to the conference state of a focus.
    fn watch(&self, world: &World, dice: &Dice, call: &Call) {
        let request = self
            .ua
            .request("SUBSCRIBE", &call.dialog.target, false)
            .add("Event", "conference")
            .add("Accept", "application/conference-info+xml")
            .add("Expires", "300");
        let mut inbox = self.ua.expect(&request.call_id());
        let (ua, shy) = (self.ua.clone(), dice.happens(20));
        world.spawn(async move {
            if ua.ask(&request).await.is_none() {
                return;
            }
            while let Some(incoming) = inbox.recv().await {
                if !shy {
                    ua.reply(&incoming, 200, "OK");
                }
            }
        });
    }
}

/// A SUBSCRIBE for the message summary.
fn summary(request: Msg, seconds: u32) -> Msg {
    request
        .add("Event", "message-summary")
        .add("Accept", "application/simple-message-summary")
        .add("Expires", seconds.to_string())
}

/// Answers the NOTIFYs of one subscription.
async fn notified(
    world: World,
    device: Device,
    mut inbox: mpsc::UnboundedReceiver<Incoming>,
    dice: Dice,
    held: Rc<Subscription>,
) {
    while let Some(incoming) = inbox.recv().await {
        let terminated = incoming.msg.need("Subscription-State").starts_with("terminated");
        let let_down = !world.is_calm() && dice.happens(6);
        if let_down || terminated {
            held.over.set(true);
        }
        match let_down {
            true if dice.happens(50) => return device.ua.reply(&incoming, 481, "Gone"),
            // Not answered: the node ends the subscription.
            true => return,
            false => device.ua.reply(&incoming, 200, "OK"),
        }
        device.learn(&world, &incoming.msg, &held);
    }
}
