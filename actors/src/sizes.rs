//! How large what waits may be.

use restante::machine::offer_answer::Exchange;

use crate::focus::Focus;
use crate::mailbox::Mailbox;
use crate::session::MsrpSession;

/// Thousands of these wait at once: what makes one larger should be worth it. With 400 bytes of actix' and tokio's, a
/// focus' task is one of 1024 bytes, and the allocator's next step 1280; a session takes 224, the next step is 256.
#[test]
fn what_waits_is_small() {
    assert!(size_of::<MsrpSession>() <= 224, "a session: {}", size_of::<MsrpSession>());
    assert!(size_of::<Focus>() <= 624, "a focus: {}", size_of::<Focus>());
    assert!(size_of::<Exchange>() <= 192, "an exchange: {}", size_of::<Exchange>());
    assert!(size_of::<Mailbox>() <= 300, "a mailbox: {}", size_of::<Mailbox>());
}
