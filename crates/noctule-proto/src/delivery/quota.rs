//! The send quota that a Receive Maximum grants.

use core::num::NonZeroU16;

/// How many more PUBLISHes of QoS above 0 may be sent on a connection `[4.9 v5]`.
///
/// It begins at the peer's Receive Maximum `[MQTT-4.9.0-1 v5]` and does not outlive the connection;
/// before v5 the sender chooses the maximum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Quota {
    left: u16,
    max: NonZeroU16,
}

impl Quota {
    /// A full quota.
    pub fn new(max: NonZeroU16) -> Quota {
        Quota { left: max.get(), max }
    }

    /// Takes one unit for a PUBLISH; `false`: none is left and it has to wait
    /// `[MQTT-4.9.0-2 v5]`.
    #[inline]
    pub fn take(&mut self) -> bool {
        let any = self.left > 0;
        self.left = self.left.saturating_sub(1);
        any
    }

    /// Gives one unit back, for a PUBACK, a PUBCOMP or a PUBREC that reports an error; never past
    /// the start value `[U5-4.9.0-1]`.
    #[inline]
    pub fn give(&mut self) {
        self.left = self.left.saturating_add(1).min(self.max.get());
    }

    /// Units left.
    #[inline]
    pub fn left(&self) -> u16 {
        self.left
    }

    /// The start value.
    #[inline]
    pub fn max(&self) -> NonZeroU16 {
        self.max
    }
}
