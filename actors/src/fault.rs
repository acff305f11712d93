//! Failures on purpose, so that tests can prove what the node does about one. Only in builds with
//! debug assertions; in a release there is nothing of it.
//!
//! `FAULT_IN_RESTANTE=focus.bound:32098d` in the environment makes the place `focus.bound` panic when
//! it handles what is called `32098d` there.

/// Panics where the environment asks for it.
#[cfg(debug_assertions)]
pub fn strike(place: &str, name: &[u8]) {
    static WANTED: std::sync::OnceLock<Option<(String, String)>> = std::sync::OnceLock::new();
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("FAULT_IN_RESTANTE").ok()?;
        text.split_once(':').map(|(place, name)| (place.to_owned(), name.to_owned()))
    });
    if wanted.as_ref().is_some_and(|(where_, what)| where_ == place && what.as_bytes() == name) {
        // invariant: this is what it is for, and no release has it.
        #[allow(clippy::panic)]
        {
            panic!("a fault was asked for at {place}");
        }
    }
}

/// Does nothing.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn strike(_: &str, _: &[u8]) {}
