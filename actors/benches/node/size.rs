//! How much of everything is measured.

use std::time::Duration;

pub struct Size {
    /// Turns that each of those compared gets.
    pub rounds: usize,
    /// How long one turn of a rate lasts.
    pub span: Duration,
    /// Deposits at a fixed rate, in all rounds: enough for the engine to write out all that it holds in memory.
    pub paced: f64,
    /// Bytes of a large message.
    pub large: usize,
    /// Bytes of the largest message.
    pub larger: usize,
    /// Entries of a long list.
    pub list: usize,
    /// Entries of the list of messages of a megabyte.
    pub heavy: usize,
    /// Retrieval sessions that wait at once.
    pub sessions: usize,
    /// How long idle sessions are left alone before they are measured again: longer than 64 x T1.
    pub rest: Duration,
    pub subscriptions: usize,
    /// Mailboxes that are watched while they change.
    pub watched: usize,
    /// Items that a node starts with.
    pub items: u64,
}

impl Size {
    pub fn full() -> Self {
        Self {
            rounds: 3,
            span: Duration::from_millis(1000),
            paced: 120_000.0,
            large: 50_000_000,
            larger: 100_000_000,
            list: 1000,
            heavy: 100,
            sessions: 20_000,
            rest: Duration::from_secs(35),
            subscriptions: 100_000,
            watched: 1000,
            items: 1_000_000,
        }
    }

    pub fn quick() -> Self {
        Self {
            rounds: 1,
            span: Duration::from_millis(200),
            paced: 500.0,
            large: 5_000_000,
            larger: 10_000_000,
            list: 100,
            heavy: 3,
            sessions: 40,
            rest: Duration::from_millis(100),
            subscriptions: 200,
            watched: 20,
            items: 1000,
        }
    }
}
