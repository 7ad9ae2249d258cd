//! Topic names, topic filters, shared subscriptions: a value that exists is valid.

/// A valid topic name: UTF-8 without U+0000, `+` and `#`, at most 65,535 bytes. It may be empty
/// only in a v5 PUBLISH with a topic alias.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct TopicName<'a>(pub(crate) &'a str);

/// A valid topic filter as sent by a client, with its `$share/NAME/` prefix if it has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct TopicFilter<'a>(pub(crate) &'a str);

/// The group name of a shared subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct ShareName<'a>(pub(crate) &'a str);
