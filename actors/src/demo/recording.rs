//! What the clients saw on their wires, as arrows between them, the store and its focus.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use restante::ladder::{Arrow, Caption, Carrier, label_of_msrp, scan_sip};

use crate::client::{Observer, Seen, SeenProtocol};
use crate::clock;
use crate::records::{FOCUS, STORE};

/// Who retrieves: the other side of his sessions is the focus.
const RETRIEVER: &str = "Charlie";

/// Arrows, in the order in which they were seen.
#[derive(Debug)]
pub struct Recording {
    /// Civil time when the process began to count.
    origin: Duration,
    seen: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    arrows: Vec<Arrow>,
    /// Call-IDs of what concerns a focus.
    focused: HashSet<String>,
    /// The Call-ID of the retrieval in which MSRP frames are seen.
    retrieval: String,
}

impl Recording {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin: now.saturating_sub(clock::now().since_origin()), seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Noted> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An observer for the client of `name`.
    #[must_use]
    pub fn observer(recording: &Arc<Self>, name: &'static str) -> Observer {
        let recording = Arc::clone(recording);
        Arc::new(move |seen| recording.note(name, seen))
    }

    /// What was noted since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Arrow> {
        std::mem::take(&mut self.seen().arrows)
    }

    fn note(&self, name: &'static str, seen: &Seen) {
        let at = self.origin + seen.since;
        let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let mut noted = self.seen();
        let Some((session, carrier, label)) = noted.describe(name, seen) else { return };
        let other = if noted.focused.contains(&session) { FOCUS } else { STORE };
        let (from, to) = if seen.sent { (name, other) } else { (other, name) };
        noted.arrows.push(Arrow { at_us, session, from: from.to_owned(), to: to.to_owned(), carrier, label });
    }
}

impl Default for Recording {
    fn default() -> Self {
        Self::new()
    }
}

impl Noted {
    fn describe(&mut self, name: &str, seen: &Seen) -> Option<(String, Carrier, String)> {
        match seen.protocol {
            SeenProtocol::Sip => {
                let caption = scan_sip(&seen.bytes)?;
                let session = String::from_utf8_lossy(&caption.call_id).into_owned();
                if name == RETRIEVER && concerns_focus(&caption) {
                    self.focused.insert(session.clone());
                    self.retrieval.clone_from(&session);
                }
                let label = caption.label(|uri| without_address(&String::from_utf8_lossy(uri)));
                Some((session, Carrier::Sip, label))
            }
            SeenProtocol::Msrp => {
                let session = if name == RETRIEVER { self.retrieval.clone() } else { String::new() };
                Some((session, Carrier::Msrp, label_of_msrp(&seen.bytes)?))
            }
        }
    }
}

/// Whether a message opens, or speaks of, a conference.
fn concerns_focus(caption: &Caption) -> bool {
    caption.what == "INVITE" || caption.about == "conference"
}

/// A Contact says only which socket it is: it is left out.
fn without_address(uri: &str) -> String {
    let host = uri.rsplit('@').next().unwrap_or_default();
    if host.starts_with("127.0.0.1") { String::new() } else { uri.to_owned() }
}
