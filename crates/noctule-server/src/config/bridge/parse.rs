//! The tables of bridges in a file.

use super::super::parse::Walk;
use super::{BRIDGE, BRIDGE_TLS, BRIDGE_TOPIC, Bridge, BridgeStart, BridgeTopic, TlsDraft};
use noctule_proto::{TopicFilter, TopicName, Version};
use toml::Spanned;
use toml::de::DeValue;

/// Characters that a client id of MQTT 3.1 may have.
const CLIENT_ID_V31_MAX: usize = 23;

impl Walk<'_> {
    /// `[[bridge]]`.
    pub(in crate::config) fn bridges(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Bridge> {
        let mut bridges: Vec<Bridge> = Vec::new();
        for entry in self.entries("bridge", value) {
            let mut bridge = Bridge::default();
            let before = self.faults.len();
            self.bridge(entry, &mut bridge);
            if self.faults.len() > before {
                continue;
            }
            if let Some((option, what)) = fault(&bridge, &bridges) {
                self.fault(&entry.span(), &format!("bridge.{option}"), what);
                continue;
            }
            bridges.push(bridge);
        }
        bridges
    }

    /// One entry, which has tables of its own.
    fn bridge(&mut self, entry: &Spanned<DeValue<'_>>, bridge: &mut Bridge) {
        let Some(table) = entry.get_ref().as_table() else {
            return self.table("bridge.", entry, BRIDGE, bridge);
        };
        let is_table = |name: &str| ["tls", "topic"].contains(&name);
        let (tables, others): (Vec<_>, Vec<_>) =
            table.iter().partition(|(key, _)| is_table(key.get_ref().as_ref()));
        self.options("bridge.", others.into_iter(), BRIDGE, bridge);
        for (key, said) in tables {
            if key.get_ref().as_ref() == "tls" {
                let mut draft = TlsDraft::default();
                self.table("bridge.tls.", said, BRIDGE_TLS, &mut draft);
                match draft.finish() {
                    Ok(tls) => bridge.tls = tls,
                    Err((option, why)) => {
                        self.fault(&said.span(), &format!("bridge.tls.{option}"), why.into());
                    }
                }
                continue;
            }
            for topic in self.entries("bridge.topic", said) {
                let mut draft = BridgeTopic::default();
                self.table("bridge.topic.", topic, BRIDGE_TOPIC, &mut draft);
                if let Some((option, what)) = fault_of_topic(&draft) {
                    self.fault(&topic.span(), &format!("bridge.topic.{option}"), what);
                }
                bridge.topics.push(draft);
            }
        }
    }
}

/// What is wrong with a bridge beside those above it: which option, and why.
fn fault(bridge: &Bridge, others: &[Bridge]) -> Option<(&'static str, String)> {
    if bridge.name.is_empty() {
        return Some(("name", "is missing in this entry".into()));
    }
    if others.iter().any(|it| it.name == bridge.name) {
        return Some(("name", format!("{:?} has an entry already", bridge.name)));
    }
    if bridge.addresses.is_empty() {
        return Some(("addresses", "is missing: where the other broker is".into()));
    }
    if bridge.topics.is_empty() {
        let what = "is missing: a bridge without a [[bridge.topic]] passes nothing on";
        return Some(("topic", what.into()));
    }
    if bridge.retry_secs_min > bridge.retry_secs_max {
        return Some(("retry_secs_max", "must not be less than `retry_secs_min`".into()));
    }
    if bridge.start == BridgeStart::Lazy && bridge.forgets_here() {
        let what = "lazy needs messages to wait for it here: say local_clean_start = false";
        return Some(("start", what.into()));
    }
    let id = &bridge.local_client_id;
    if !id.is_empty() && others.iter().any(|it| it.local_client_id == *id) {
        return Some(("local_client_id", "is that of another bridge".into()));
    }
    if !bridge.password.0.is_empty() && bridge.user_name.is_empty() && bridge.version != Version::V5
    {
        let what = "is missing: without one, only MQTT 5.0 knows passwords";
        return Some(("user_name", what.into()));
    }
    let long = bridge.client_id.chars().count() > CLIENT_ID_V31_MAX;
    if bridge.version == Version::V31 && long {
        return Some(("client_id", "MQTT 3.1 has client ids of 23 characters at most".into()));
    }
    if !bridge.client_id.is_empty()
        && bridge.notification_topic.is_empty()
        && bridge.client_id.contains(['+', '#'])
    {
        let what = "cannot stand in a topic: say `notification_topic` too";
        return Some(("client_id", what.into()));
    }
    None
}

/// What is wrong with one of its topics.
fn fault_of_topic(topic: &BridgeTopic) -> Option<(&'static str, String)> {
    for (name, prefix) in
        [("local_prefix", &topic.local_prefix), ("remote_prefix", &topic.remote_prefix)]
    {
        if let Err(error) = TopicName::parse(prefix)
            && !prefix.is_empty()
        {
            return Some((name, format!("{error}; the beginning of a topic name expected")));
        }
        let whole = format!("{prefix}{}", topic.filter);
        if whole.is_empty() {
            let what = "is empty, and so is a prefix: which topics?";
            return Some(("filter", what.into()));
        }
        match TopicFilter::parse(&whole) {
            Err(error) => return Some(("filter", format!("{whole:?}: {error}"))),
            Ok(filter) if filter.share().is_some() => {
                let what = "is shared: what is passed on must not be taken by somebody else";
                return Some(("filter", what.into()));
            }
            Ok(_) => {}
        }
    }
    None
}
