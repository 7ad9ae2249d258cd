//! Shared subscriptions. A group lives at its home shard, which keeps its members' room, picks one
//! member for each message, and takes back what an ended member had not settled.

mod group;
mod member;

pub(crate) use group::Groups;
