//! Mount points: the beginning of all topics of a listener's clients, which they never see.
//!
//! It is added where topics and filters come in, and taken off where topics go out. In between, in
//! the index, in queues, in the log, there are whole topics only.

use crate::broker::Broker;
use crate::connection::Connection;
use crate::identity::ConnId;
use noctule_proto::packet::Publish;
use noctule_proto::{ReasonCode, TopicFilter, TopicName};
use std::borrow::Cow;

/// Longest topic name or filter, bytes.
const TOPIC_LEN_MAX: usize = u16::MAX as usize;

impl Connection {
    /// What its topics begin with.
    pub(crate) fn mount_point(&self) -> &str {
        self.terms.as_ref().map_or("", |terms| &terms.mount_point)
    }
}

impl Broker {
    /// The topic that a PUBLISH means, in `scratch`, where it is not the one that it holds.
    pub(crate) fn resolve_mounted(
        &mut self,
        conn: ConnId,
        publish: &Publish<'_>,
        scratch: &mut String,
    ) -> Result<Option<()>, (ReasonCode, &'static str)> {
        let resolved = self.resolve_topic(conn, publish, scratch)?;
        let mount_point = self.connections.get(conn).map_or("", Connection::mount_point);
        if mount_point.is_empty() {
            return Ok(resolved);
        }
        if resolved.is_none() {
            scratch.clear();
            scratch.push_str(publish.topic.as_str());
        }
        scratch.insert_str(0, mount_point);
        Ok(Some(()))
    }

    /// Whether the topics of a connection have a mount point.
    pub(crate) fn is_mounted(&self, conn: ConnId) -> bool {
        self.connections.get(conn).is_some_and(|it| !it.mount_point().is_empty())
    }

    /// The filter that a client means.
    pub(crate) fn mounted_filter<'a>(&self, conn: ConnId, filter: TopicFilter<'a>) -> Cow<'a, str> {
        let mount_point = self.connections.get(conn).map_or("", Connection::mount_point);
        match filter.share() {
            _ if mount_point.is_empty() => filter.as_str().into(),
            Some((name, plain)) => format!("$share/{}/{mount_point}{plain}", name.as_str()).into(),
            None => mounted(mount_point, filter.as_str()),
        }
    }
}

/// A topic below a mount point.
pub(crate) fn mounted<'a>(mount_point: &str, topic: &'a str) -> Cow<'a, str> {
    match mount_point {
        "" => topic.into(),
        _ => [mount_point, topic].concat().into(),
    }
}

/// Whether a topic or filter has become longer than one may be.
pub(crate) fn too_long(topic: &str) -> bool {
    topic.len() > TOPIC_LEN_MAX
}

/// How many bytes are taken off a topic for a client; `None`: it lies outside of what it may see.
pub(crate) fn cut(mount_point: &str, topic: TopicName<'_>) -> Option<u16> {
    let seen = topic.as_str().strip_prefix(mount_point)?;
    let len = u16::try_from(mount_point.len()).ok()?;
    (!seen.is_empty()).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_sees_what_is_below_its_mount_point_and_nothing_else() {
        let cut = |mount_point, topic| cut(mount_point, TopicName::trusted(topic));
        assert_eq!(cut("a/", "a/b"), Some(2));
        assert_eq!(cut("a/", "a//"), Some(2));
        assert_eq!(cut("a/é/", "a/é/b/c"), Some(5));
        for outside in ["a", "a/", "ab/c", "b/a/c", "A/b", "$SYS/broker", "/a/b"] {
            assert_eq!(cut("a/", outside), None, "{outside}");
        }
        assert_eq!(cut("", "a"), Some(0));
    }
}
