//! What was sent, acknowledged, delivered and acknowledged back; and what the store must hold by that.

use std::collections::{BTreeMap, BTreeSet};

/// One message that was given to the node.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The user whose it is.
    pub(crate) owner: String,
    pub(crate) body: Vec<u8>,
    /// The Message-ID that its item should have, but for `~`.
    pub(crate) call_id: String,
    /// Whether the node said that it is stored: 202, or MSRP's 200 for its last chunk.
    pub(crate) acknowledged: bool,
    /// Whether it was given up midway, so that it must not be stored.
    pub(crate) aborted: bool,
    /// Whether it belongs to a session.
    pub(crate) session: bool,
    /// Whether it ends by itself while the simulation runs.
    pub(crate) expires: bool,
}

/// One retrieval, and the messages of which the client has acknowledged every byte.
#[derive(Debug)]
struct Retrieval {
    owner: String,
    acknowledged: BTreeSet<String>,
}

/// The book of a simulation.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sent: BTreeMap<String, Sent>,
    /// In which order messages of sessions were sent to their ends.
    order: BTreeMap<String, usize>,
    retrievals: Vec<Retrieval>,
}

/// An item as the store shows it at the end.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) owner: String,
    pub(crate) message_id: String,
    pub(crate) old: bool,
    pub(crate) session: bool,
    pub(crate) bodies: Vec<Vec<u8>>,
}

/// The token that a body begins with.
pub(crate) fn token(body: &[u8]) -> Option<String> {
    let end = body.iter().position(|byte| *byte == b' ')?;
    String::from_utf8(body[..end].to_vec()).ok()
}

impl Ledger {
    /// Writes down a message that is about to be sent; its body begins with `token`.
    pub(crate) fn send(&mut self, token: &str, sent: Sent) {
        self.sent.insert(token.to_owned(), sent);
    }

    /// The last byte of a message of a session is sent.
    pub(crate) fn whole(&mut self, token: &str) {
        self.order.insert(token.to_owned(), self.order.len());
    }

    /// The node has said that it holds the message.
    pub(crate) fn acknowledge(&mut self, token: &str) {
        if let Some(sent) = self.sent.get_mut(token) {
            sent.acknowledged = true;
        }
    }

    /// The sender has given it up midway.
    pub(crate) fn abort(&mut self, token: &str) {
        if let Some(sent) = self.sent.get_mut(token) {
            sent.aborted = true;
        }
    }

    /// A retrieval by `owner` begins.
    pub(crate) fn retrieval(&mut self, owner: &str) -> usize {
        self.retrievals.push(Retrieval { owner: owner.to_owned(), acknowledged: BTreeSet::new() });
        self.retrievals.len() - 1
    }

    /// A client has received a whole message, and has acknowledged every chunk of it if `acknowledged`.
    ///
    /// # Errors
    /// It should never have got this.
    pub(crate) fn deliver(
        &mut self,
        retrieval: usize,
        body: &[u8],
        acknowledged: bool,
    ) -> Result<(), String> {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let token = token(body).ok_or_else(|| format!("delivered what nobody sent: {shown:?}"))?;
        let retrieval = &mut self.retrievals[retrieval];
        let sent = self.sent.get(&token).ok_or_else(|| format!("delivered what nobody sent: {shown:?}"))?;
        if sent.owner != retrieval.owner {
            return Err(format!("{token} of {} was delivered to {}", sent.owner, retrieval.owner));
        }
        if sent.body != body {
            return Err(format!("{token} was delivered with another content: {shown:?}"));
        }
        if acknowledged {
            retrieval.acknowledged.insert(token);
        }
        Ok(())
    }

    /// Whether one retrieval of `owner` has acknowledged all of these messages.
    fn acknowledged_back(&self, owner: &str, tokens: &BTreeSet<String>) -> bool {
        self.retrievals
            .iter()
            .any(|retrieval| retrieval.owner == owner && tokens.is_subset(&retrieval.acknowledged))
    }

    /// The Message-IDs that are not `user`'s, and no item of his has.
    pub(crate) fn ids_of_others(&self, user: &str) -> Vec<String> {
        let others = self.sent.values().filter(|sent| sent.owner != user);
        others.map(|sent| sent.call_id.clone()).collect()
    }

    /// How many messages were sent, acknowledged by the node, and acknowledged back by their owners.
    pub(crate) fn tally(&self) -> [usize; 3] {
        let back: BTreeSet<&String> = self.retrievals.iter().flat_map(|one| &one.acknowledged).collect();
        [self.sent.len(), self.sent.values().filter(|sent| sent.acknowledged).count(), back.len()]
    }

    /// Compares the store with the book; `deletes`: retrieved items go.
    pub(crate) fn audit(&self, found: &[Found], deletes: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut places: BTreeMap<String, Vec<&Found>> = BTreeMap::new();
        for item in found {
            let mut tokens = BTreeSet::new();
            let sent = item.bodies.iter().filter_map(|body| self.order.get(&token(body)?));
            if !sent.is_sorted() {
                wrong.push(format!("{} holds its messages in another order than they came", item.message_id));
            }
            for body in &item.bodies {
                let named = token(body).filter(|token| self.sent.contains_key(token));
                let Some((token, sent)) =
                    named.and_then(|token| Some((token.clone(), self.sent.get(&token)?)))
                else {
                    let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
                    wrong.push(format!("{} holds what nobody sent: {shown:?}", item.message_id));
                    continue;
                };
                wrong.extend(misplaced(item, &token, sent, body));
                places.entry(token.clone()).or_default().push(item);
                tokens.insert(token);
            }
            if item.old && !self.acknowledged_back(&item.owner, &tokens) {
                wrong.push(format!("{} is old, and nobody has acknowledged all of it", item.message_id));
            }
        }
        for (token, sent) in &self.sent {
            let copies = places.get(token).map_or(0, Vec::len);
            if copies > 1 {
                wrong.push(format!("{token} is stored {copies} times"));
            }
            let gone = sent.expires || (deletes && self.retrieved(token, sent));
            if copies == 0 && sent.acknowledged && !gone {
                wrong.push(format!("{token} was acknowledged and is lost ({sent:?})"));
            }
        }
        wrong
    }

    /// Whether some retrieval has acknowledged this message.
    fn retrieved(&self, token: &str, sent: &Sent) -> bool {
        self.acknowledged_back(&sent.owner, &BTreeSet::from([token.to_owned()]))
    }
}

fn misplaced(item: &Found, token: &str, sent: &Sent, body: &[u8]) -> Vec<String> {
    let mut wrong = Vec::new();
    if sent.owner != item.owner {
        wrong.push(format!("{token} of {} is in the mailbox of {}", sent.owner, item.owner));
    }
    if sent.body != body {
        wrong.push(format!("{token} is stored with another content"));
    }
    if sent.aborted {
        wrong.push(format!("{token} was given up midway and is stored"));
    }
    if sent.session != item.session {
        wrong.push(format!("{token} is stored as the wrong kind of item"));
    }
    let own = item
        .message_id
        .strip_prefix(&sent.call_id)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('~'));
    if !own {
        wrong.push(format!("{token} with Call-ID {} is stored as {}", sent.call_id, item.message_id));
    }
    wrong
}
