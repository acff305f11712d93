//! Connections that cannot be replaced, and who is told when one is gone.

use std::sync::Arc;

use actix::{Context, Handler, Message};
use rustc_hash::FxHashMap;

use super::SipEndpoint;
use crate::ports::{DialogInput, DialogUser, WatchLink};

/// A SIP connection of a WebSocket client is gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LinkClosed {
    /// Its number.
    pub link: u64,
}

/// Who watches which open connection.
#[derive(Default)]
pub(super) struct Watched(FxHashMap<u64, Vec<DialogUser>>);

impl Watched {
    fn watch(&mut self, link: u64, user: DialogUser) {
        let users = self.0.entry(link).or_default();
        if users.iter().any(|known| Arc::ptr_eq(known, &user)) {
            return;
        }
        // One connection may serve many mailboxes, of which most have nobody any more.
        if users.len() == users.capacity() {
            users.retain(|known| known.connected());
        }
        users.push(user);
    }
}

impl Handler<WatchLink> for SipEndpoint {
    type Result = ();
    fn handle(&mut self, WatchLink { flow, user }: WatchLink, _: &mut Context<Self>) {
        let link = flow.connection;
        // It may have ended before: then nothing more is heard of it.
        match self.sender.as_ref().is_none_or(|sender| sender.is_open(&flow)) {
            true => self.watched.watch(link, user),
            false => user.do_send(DialogInput::LinkGone { link }),
        }
    }
}

impl Handler<LinkClosed> for SipEndpoint {
    type Result = ();
    fn handle(&mut self, LinkClosed { link }: LinkClosed, _: &mut Context<Self>) {
        for user in self.watched.0.remove(&link).unwrap_or_default() {
            user.do_send(DialogInput::LinkGone { link });
        }
    }
}
