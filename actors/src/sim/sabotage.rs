//! Rules that the node breaks on purpose, so that it is known that the audit finds it: each [`Sabotage`] is done by the
//! store or the network, behind the node's back, as a defect of the node would do it.

use std::cell::Cell;

use bytes::Bytes;
use restante::entropy::{Entropy, Sequence};
use restante::store::memory::Memory;
use restante::store::{After, Body, Deposited, Owner, PagerDeposit, Store};

use super::store::now;
use super::world::USERS;

/// Which rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// A pager message is acknowledged, and gone.
    LosesAnItem,
    /// A message of a session is acknowledged, and was never stored.
    LosesAMessage,
    /// A request that comes again is stored again.
    StoresTwice,
    /// An item goes to somebody else.
    Misplaces,
    /// A content is changed.
    Alters,
    /// An item is old that nobody has retrieved.
    Ages,
    /// A request is never answered: no response leaves the node, or anybody else, in a datagram.
    Silences,
}

thread_local! {
    static PRESENT: Cell<Option<Sabotage>> = const { Cell::new(None) };
}

/// What is broken in the stories that this thread tells from now on.
pub(crate) fn begin(sabotage: Option<Sabotage>) {
    PRESENT.set(sabotage);
}

/// What is broken in the present story.
pub(crate) fn present() -> Option<Sabotage> {
    PRESENT.get()
}

impl Sabotage {
    /// Whether it is done this time, if not always.
    pub(crate) fn strikes(self, dice: &mut Sequence) -> bool {
        dice.next_u64().is_multiple_of(3)
    }

    /// What is done to a deposit before it is stored.
    pub(crate) fn before(self, deposit: &mut PagerDeposit) {
        match self {
            Self::StoresTwice => {
                thread_local!(static SERIAL: Cell<u32> = const { Cell::new(0) });
                SERIAL.set(SERIAL.get() + 1);
                deposit.key.from_tag = Bytes::from(format!("again{}", SERIAL.get()));
            }
            Self::Misplaces => {
                let other = USERS.iter().find(|user| user.as_bytes() != deposit.owner.user());
                deposit.owner = Owner::new(other.unwrap().as_bytes(), "example.com");
            }
            Self::Alters => {
                if let Body::Inline(bytes) = &deposit.body {
                    let mut altered = bytes.to_vec();
                    altered.push(b'!');
                    deposit.body = Body::Inline(altered.into());
                }
            }
            _ => {}
        }
    }

    /// What is done to an item after it was stored.
    pub(crate) fn after(self, memory: &Memory, owner: Owner, deposited: &Deposited) {
        let id = deposited.message_id.clone();
        match self {
            Self::LosesAnItem => drop(now(memory.delete(owner, id)).unwrap()),
            Self::Ages => drop(now(memory.retrieved(owner, id, After::Keep)).unwrap()),
            _ => {}
        }
    }
}
