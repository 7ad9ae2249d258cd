//! Rules in an order of their own: each client's lists one after the other, the first that has a
//! say decides. mosquitto's dynamic security has such.

use super::rules::{List, Otherwise};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Lists of one client, in the order in which they have a say.
pub type RankedLists = Arc<[Arc<List>]>;

/// The ranked rules of all clients. Clients without any are under other rules alone.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Ranked {
    /// By user name.
    pub users: BTreeMap<Box<str>, RankedLists>,
    /// Of clients without a user name.
    pub anonymous: RankedLists,
    /// What holds for all of these where no rule is about it.
    pub otherwise: Otherwise,
}

impl Ranked {
    /// Those of one client; `None`: it is none of theirs.
    #[must_use]
    pub fn lists_of(&self, user_name: Option<&str>) -> Option<&[Arc<List>]> {
        match user_name {
            Some(name) => self.users.get(name).map(|lists| &**lists),
            None => Some(&self.anonymous),
        }
    }
}
