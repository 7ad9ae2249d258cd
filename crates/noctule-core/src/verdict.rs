//! Why a message did not reach a receiver: one variant for each decision that withholds or drops.

use serde::{Deserialize, Serialize};

/// The reason a message was withheld from, or dropped for, one receiver (or all of them).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Verdict {
    /// Nobody subscribes to the topic.
    NoSubscriber,
    /// The publisher may not publish there.
    NotAuthorized,
    /// The subscription has No Local and the receiver is the publisher.
    NoLocal,
    /// The message expired before it could be sent.
    Expired,
    /// The receiver's queue was full, and this was the newest.
    QueueFullNewest,
    /// The receiver's queue was full, and this was the oldest.
    QueueFullOldest,
    /// QoS 0 and the receiver's socket takes no more.
    SlowReceiver,
    /// QoS 0 and the receiver is not connected.
    Offline,
    /// The packet would exceed the receiver's Maximum Packet Size, or the payload what is taken.
    TooLarge,
    /// The receiver's session ended while the message waited.
    SessionEnded,
    /// A share group had no member left to take it.
    GroupEnded,
    /// A share group's queue was full.
    GroupFull,
    /// A member of a share group refused it with an error code.
    RefusedByMember,
    /// The retained message is older than one already delivered.
    RetainedSuperseded,
    /// The limit on retained messages was reached: delivered, not kept.
    RetainedFull,
    /// The log cannot give the message back: its bytes are damaged.
    Damaged,
    /// It has waited longer than a message may.
    TooOld,
    /// All queues of the shard together were full.
    QueuesFull,
    /// The receiver may not be given messages of the topic.
    ReceiverNotAuthorized,
    /// Its publisher is in quarantine.
    Quarantined,
    /// Its publisher publishes more than it may.
    OverRate,
    /// The topic lies outside of the mount point of the receiver's listener.
    OutsideMount,
    /// Little memory was left for what has to wait, or be retained.
    MemoryShort,
}

impl Verdict {
    /// Number of variants.
    pub const COUNT: usize = 23;

    /// All, in order of their numbers.
    pub const ALL: [Verdict; Verdict::COUNT] = [
        Verdict::NoSubscriber,
        Verdict::NotAuthorized,
        Verdict::NoLocal,
        Verdict::Expired,
        Verdict::QueueFullNewest,
        Verdict::QueueFullOldest,
        Verdict::SlowReceiver,
        Verdict::Offline,
        Verdict::TooLarge,
        Verdict::SessionEnded,
        Verdict::GroupEnded,
        Verdict::GroupFull,
        Verdict::RefusedByMember,
        Verdict::RetainedSuperseded,
        Verdict::RetainedFull,
        Verdict::Damaged,
        Verdict::TooOld,
        Verdict::QueuesFull,
        Verdict::ReceiverNotAuthorized,
        Verdict::Quarantined,
        Verdict::OverRate,
        Verdict::OutsideMount,
        Verdict::MemoryShort,
    ];

    /// The name used in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verdict::NoSubscriber => "no_subscriber",
            Verdict::NotAuthorized => "not_authorized",
            Verdict::NoLocal => "no_local",
            Verdict::Expired => "expired",
            Verdict::QueueFullNewest => "queue_full_newest",
            Verdict::QueueFullOldest => "queue_full_oldest",
            Verdict::SlowReceiver => "slow_receiver",
            Verdict::Offline => "offline",
            Verdict::TooLarge => "too_large",
            Verdict::SessionEnded => "session_ended",
            Verdict::GroupEnded => "group_ended",
            Verdict::GroupFull => "group_full",
            Verdict::RefusedByMember => "refused_by_member",
            Verdict::RetainedSuperseded => "retained_superseded",
            Verdict::RetainedFull => "retained_full",
            Verdict::Damaged => "damaged",
            Verdict::TooOld => "too_old",
            Verdict::QueuesFull => "queues_full",
            Verdict::ReceiverNotAuthorized => "receiver_not_authorized",
            Verdict::Quarantined => "quarantined",
            Verdict::OverRate => "over_rate",
            Verdict::OutsideMount => "outside_mount",
            Verdict::MemoryShort => "memory_short",
        }
    }

    /// Whether it loses a message somebody was owed (against: nobody was owed it).
    #[must_use]
    pub fn is_loss(self) -> bool {
        !matches!(
            self,
            Verdict::NoSubscriber
                | Verdict::NoLocal
                | Verdict::RetainedSuperseded
                | Verdict::ReceiverNotAuthorized
        )
    }
}
