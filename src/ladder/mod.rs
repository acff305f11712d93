//! Ladder diagrams: who sent what to whom, in order, with times (the call flows of RFC 3665's kind).
//!
//! An [`Arrow`] is one message, whatever protocol carried it; a [`Ladder`] puts many of them between
//! the columns of those who speak, as text ([`Ladder::text`]) or as SVG ([`Ladder::svg`]). Arrows are kept
//! and sent as JSON, one a line, and read back by [`Arrow`]'s own serialisation. Contents of messages are
//! no part of an arrow.
//!
//! It knows no time but what the arrows bear, and asks nobody for them.

mod arrow;
mod caption;
mod layout;
mod svg;
mod text;

#[cfg(test)]
mod tests;

pub use arrow::{Arrow, Carrier};
pub use caption::{Caption, caption_of_request, caption_of_response, label_of_msrp, scan_sip};
pub use layout::Ladder;
