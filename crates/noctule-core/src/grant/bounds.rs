//! How much the holder of a role may do.

use crate::limits::ClientLimits;
use serde::{Deserialize, Serialize};

/// What a role says instead of the limits that hold for every client; 0: nothing. A burst goes with
/// its rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Bounds {
    /// Connections that one user may have at a time.
    pub connections_max: u32,
    /// See [`ClientLimits`].
    pub publishes_per_sec: u32,
    /// See [`ClientLimits`].
    pub publishes_burst: u32,
    /// See [`ClientLimits`].
    pub publish_bytes_per_sec: u64,
    /// See [`ClientLimits`].
    pub publish_bytes_burst: u64,
}

impl Bounds {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Bounds::default()
    }

    /// Who has two roles has the better of each.
    #[must_use]
    pub fn or_better(self, other: Bounds) -> Bounds {
        let messages = |it: &Bounds| (it.publishes_per_sec, it.publishes_burst);
        let bytes = |it: &Bounds| (it.publish_bytes_per_sec, it.publish_bytes_burst);
        let (publishes_per_sec, publishes_burst) = messages(&self).max(messages(&other));
        let (publish_bytes_per_sec, publish_bytes_burst) = bytes(&self).max(bytes(&other));
        Bounds {
            connections_max: self.connections_max.max(other.connections_max),
            publishes_per_sec,
            publishes_burst,
            publish_bytes_per_sec,
            publish_bytes_burst,
        }
    }

    /// The limits of a client that has them.
    pub(crate) fn of_client(&self, mut limits: ClientLimits) -> ClientLimits {
        if self.publishes_per_sec > 0 {
            limits.publishes_per_sec = self.publishes_per_sec;
            limits.publishes_burst = self.publishes_burst;
        }
        if self.publish_bytes_per_sec > 0 {
            limits.publish_bytes_per_sec = self.publish_bytes_per_sec;
            limits.publish_bytes_burst = self.publish_bytes_burst;
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_roles_the_better_of_each_holds_and_a_burst_stays_with_its_rate() {
        let one = Bounds {
            connections_max: 1,
            publishes_per_sec: 10,
            publishes_burst: 500,
            ..Bounds::default()
        };
        let other = Bounds {
            connections_max: 3,
            publishes_per_sec: 20,
            publishes_burst: 5,
            publish_bytes_per_sec: 7,
            publish_bytes_burst: 0,
        };
        let (both, limits) = (one.or_better(other), ClientLimits::default());
        assert_eq!(both, other);
        assert_eq!(both, other.or_better(one));
        assert_eq!(one.or_better(Bounds::default()), one);
        assert_eq!(Bounds::default().of_client(limits), limits);
        let held = ClientLimits { publish_bytes_per_sec: 9, publish_bytes_burst: 9, ..limits };
        let held = one.of_client(held);
        assert_eq!((held.publishes_per_sec, held.publishes_burst), (10, 500));
        assert_eq!((held.publish_bytes_per_sec, held.publish_bytes_burst), (9, 9));
    }
}
