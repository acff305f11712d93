//! The embedded store in its directory: rules, contents, damage, crashes, and random operations
//! against the in-memory model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod contents;
mod crash;
mod damage;
mod directory;
mod drafts;
mod faults;
mod gone;
mod hints;
mod journal;
mod model;
mod queue;
mod remains;
mod rules;
#[path = "../../../../tests/skipped.rs"]
mod skipped;
mod unread;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use restante::store::{
    Answer, Body, DepositKey, Envelope, Item, MessageId, NewMessage, Owner, PagerDeposit, Quota,
    SessionDeposit, Store, StoreError,
};
use restante::time::Timestamp;
use tempfile::TempDir;

use super::Archive;
use crate::logging::heard::Log;

/// A directory on the disk that holds the build, not in memory.
fn place() -> TempDir {
    let executable = std::env::current_exe().unwrap();
    tempfile::tempdir_in(executable.parent().unwrap()).unwrap()
}

fn open(place: &TempDir) -> Archive {
    Archive::open(place.path()).unwrap()
}

fn wait<T>(answer: Answer<T>) -> Result<T, StoreError> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(answer)
}

fn bob() -> Owner {
    Owner::new(b"bob", "example.com")
}

fn alice() -> Owner {
    Owner::new(b"alice", "example.org")
}

fn key(call_id: &str, from_tag: &str, cseq: u32) -> DepositKey {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    DepositKey { call_id: bytes(call_id), from_tag: bytes(from_tag), cseq }
}

fn envelope() -> Envelope {
    Envelope {
        from: Bytes::from_static(b"<sip:alice@example.org>;tag=\xff"),
        to: Bytes::from_static(b"<sip:bob@example.com>"),
        subject: Some(Bytes::from_static(b"carpool tomorrow?")),
        date: Bytes::from_static(b"Sun, 09 Jul 2000 21:23:01 GMT"),
        priority: None,
        content: vec![(Bytes::from_static(b"Content-Type"), Bytes::from_static(b"text/plain"))],
        expires: Some(Timestamp(77)),
        text: true,
        urgent: false,
    }
}

fn pager(key: DepositKey, body: impl Into<Bytes>) -> PagerDeposit {
    PagerDeposit {
        owner: bob(),
        sender: alice(),
        key,
        envelope: envelope(),
        body: Body::Inline(body.into()),
        quota: Quota::default(),
        now: Timestamp(1000),
        ends: Timestamp(5000),
        remember: Duration::from_millis(9000),
    }
}

fn session(key: DepositKey) -> SessionDeposit {
    SessionDeposit {
        owner: bob(),
        sender: alice(),
        key,
        envelope: envelope(),
        quota: Quota::default(),
        now: Timestamp(1000),
        ends: Timestamp(5000),
        remember: Duration::from_millis(9000),
    }
}

fn message(id: &str, body: impl Into<Bytes>) -> NewMessage {
    NewMessage {
        message_id: Bytes::copy_from_slice(id.as_bytes()),
        content_type: Some(Bytes::from_static(b"text/plain")),
        headers: vec![(Bytes::from_static(b"Content-ID"), Bytes::from_static(b"<1@x>"))],
        body: Body::Inline(body.into()),
        received: Timestamp(1500),
        text: true,
    }
}

/// A message of which nothing counts but its content.
fn said(body: impl Into<Bytes>) -> NewMessage {
    NewMessage { content_type: None, headers: Vec::new(), ..message("", body) }
}

/// Bytes that repeat nowhere soon.
fn noise(len: usize) -> Bytes {
    (0..len).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn id(text: &str) -> MessageId {
    MessageId::new(text.to_owned())
}

/// The whole content of each message of an item.
fn bodies(store: &dyn Store, item: &Item) -> Vec<Bytes> {
    let whole = |message: &restante::store::StoredMessage| {
        let mut whole = Vec::new();
        while (whole.len() as u64) < message.size {
            let part = wait(store.read(message.content.clone(), whole.len() as u64, 100_000)).unwrap();
            assert!(!part.is_empty(), "content shorter than its size");
            whole.extend_from_slice(&part);
        }
        Bytes::from(whole)
    };
    item.messages.iter().map(whole).collect()
}

/// The files under `content/`.
fn files(directory: &Path) -> usize {
    std::fs::read_dir(directory.join("content")).unwrap().count()
}

/// Waits until `condition` holds.
fn until(condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(1));
    }
    panic!("the condition never held");
}
