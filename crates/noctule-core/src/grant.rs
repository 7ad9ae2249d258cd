//! Who may do what: a pure check. Obtaining a grant is the server's work.

use serde::{Deserialize, Serialize};

/// The permission of one connection.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Grant {
    /// Everything a client may do; topics under `$SYS/` are still the broker's own to publish.
    #[default]
    Full,
}

impl Grant {
    /// May it publish to this topic? `[U5-4.7.2-1]`
    #[must_use]
    pub fn may_publish(&self, topic: &str) -> bool {
        match self {
            Grant::Full => !topic.starts_with("$SYS/") && topic != "$SYS",
        }
    }

    /// May it subscribe to this filter (without its `$share` prefix)?
    #[must_use]
    pub fn may_subscribe(&self, _filter: &str) -> bool {
        match self {
            Grant::Full => true,
        }
    }
}
