//! Why a subscription ended.

/// Why a subscription was ended by the notifier (RFC 6665 4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TerminationReason {
    /// The subscriber should subscribe anew at once.
    Deactivated,
    /// The subscriber should subscribe anew later.
    Probation,
    /// The subscriber may not have it any more.
    Rejected,
    /// It was not refreshed, or was unsubscribed.
    Timeout,
    /// Nobody could be asked for leave.
    GiveUp,
    /// What was subscribed to does not exist any more.
    NoResource,
    /// What was subscribed to will never change again.
    Invariant,
}

impl TerminationReason {
    /// The value of the `reason` parameter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deactivated => "deactivated",
            Self::Probation => "probation",
            Self::Rejected => "rejected",
            Self::Timeout => "timeout",
            Self::GiveUp => "giveup",
            Self::NoResource => "noresource",
            Self::Invariant => "invariant",
        }
    }
}
