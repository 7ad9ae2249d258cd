//! What is counted. A shard owns its counters; the server reads them once a turn and sums them.

use crate::limits::Limits;
use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts since the start (`_now` fields: the present number).
        #[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
            /// Messages withheld or dropped, by [`Verdict`].
            pub verdicts: [u64; Verdict::COUNT],
        }

        impl Counters {
            /// Adds those of another shard.
            pub fn add(&mut self, other: &Counters) {
                $(self.$name += other.$name;)*
                for (mine, theirs) in self.verdicts.iter_mut().zip(other.verdicts) {
                    *mine += theirs;
                }
            }

            /// Every scalar count with its name, in order of declaration.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Transport connections that exist.
    connections_now,
    /// Clients with an accepted CONNECT.
    clients_now,
    /// Sessions, connected or not.
    sessions_now,
    /// Sessions ended by their expiry interval.
    sessions_expired,
    /// Connections that sent a CONNECT, or ended without one: each once, at its home.
    connections_opened,
    /// CONNECTs accepted.
    connects_accepted,
    /// CONNECTs refused.
    connects_refused,
    /// CONNECTs refused because their client id connects too often.
    connects_over_rate,
    /// Connections ended by a newer one with the same client id.
    takeovers,
    /// Sessions resumed (Session Present 1).
    sessions_resumed,
    /// Filters in SUBSCRIBE refused because the client may not.
    subscribes_denied,
    /// Connections ended for a breach of the protocol.
    protocol_errors,
    /// Connections ended by keep alive.
    keep_alive_timeouts,
    /// Packets received.
    packets_received,
    /// Packets sent.
    packets_sent,
    /// Bytes received in packets.
    bytes_received,
    /// Bytes sent in packets.
    bytes_sent,
    /// PUBLISH packets received.
    publishes_received,
    /// PUBLISH packets sent.
    publishes_sent,
    /// Payload bytes received in PUBLISH.
    publish_bytes_received,
    /// Payload bytes sent in PUBLISH.
    publish_bytes_sent,
    /// PUBLISH packets sent again after a reconnect.
    publishes_resent,
    /// Messages waiting in queues of sessions.
    queued_now,
    /// Bytes waiting in queues of sessions.
    queued_bytes_now,
    /// Bytes of wills that wait for the end of their connection, or of their delay.
    wills_bytes_now,
    /// Messages sent and not yet settled.
    inflight_now,
    /// Non-shared subscriptions.
    subscriptions_now,
    /// Memberships of share groups.
    shared_subscriptions_now,
    /// Retained messages.
    retained_now,
    /// Bytes of retained messages.
    retained_bytes_now,
    /// Wills published.
    wills_published,
    /// Wills that waited for a delay.
    wills_delayed,
    /// Messages of a share group handed to another member.
    share_redelivered,
    /// Topic aliases given a new topic, by us.
    aliases_replaced,
    /// Publishers put on hold because all their receivers are behind.
    publishers_held,
    /// Times a publisher was not read for a while because it published more than it may.
    publishers_slowed,
    /// Messages not taken because their publisher publishes more than it may.
    publishes_over_rate,
    /// CONNECTs of new sessions refused because little memory was left.
    connects_short,
    /// Filters in SUBSCRIBE refused because no memory was left.
    subscribes_short,
    /// Messages refused because little memory was left.
    publishes_short,
    /// Times a publisher was not read because its messages had to wait and no memory was left.
    publishers_held_back,
    /// Connections ended because they were furthest behind when no memory was left.
    slow_consumers_ended,
    /// Times a channel to a peer was full.
    peer_channel_full,
    /// Turns in which a job had work left.
    jobs_continued,
    /// Routes found in the cache.
    route_hits,
    /// Routes worked out from the index.
    route_misses,
}

impl Counters {
    /// Counts one decision.
    pub fn verdict(&mut self, verdict: Verdict) {
        self.verdicts[verdict as usize] += 1;
    }

    /// Whether all queues together have no room for a message that costs so much.
    pub(crate) fn queues_full(&self, cost: u64, limits: &Limits) -> bool {
        self.queued_now >= limits.queues_messages_max
            || self.queued_bytes_now + cost > limits.queues_bytes_max
    }
}
