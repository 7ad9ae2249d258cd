//! Which topics go to the other side, and what they are called there.

use noctule_proto::{QoS, matches};
use noctule_server::config::BridgeTopic;
use std::borrow::Cow;

/// Which way a message goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// From this broker to the other one.
    Out,
    /// From there to here.
    In,
}

/// The topics of a bridge.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Rules {
    out: Vec<Rule>,
    into: Vec<Rule>,
    /// Filters of topics that only go there.
    unwanted: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Rule {
    /// Where the message comes from.
    filter: String,
    qos: QoS,
    /// Bytes that its topic begins with there.
    strip: usize,
    /// What it begins with instead.
    prefix: Box<str>,
}

impl Rule {
    fn new(topic: &BridgeTopic, from: &str, to: &str) -> Rule {
        Rule {
            filter: format!("{from}{}", topic.filter),
            qos: topic.qos,
            strip: from.len(),
            prefix: to.into(),
        }
    }
}

impl Rules {
    /// Of valid topics.
    pub(crate) fn of(topics: &[BridgeTopic]) -> Rules {
        let mut rules = Rules::default();
        let mut there = Vec::new();
        for topic in topics {
            let (local, remote) = (&topic.local_prefix, &topic.remote_prefix);
            if topic.direction.is_out() {
                rules.out.push(Rule::new(topic, local, remote));
                there.push(format!("{remote}{}", topic.filter));
            }
            if topic.direction.is_in() {
                rules.into.push(Rule::new(topic, remote, local));
            }
        }
        there.retain(|filter| rules.into.iter().all(|rule| rule.filter != *filter));
        there.sort();
        there.dedup();
        rules.unwanted = there;
        rules
    }

    fn on(&self, way: Way) -> &[Rule] {
        match way {
            Way::Out => &self.out,
            Way::In => &self.into,
        }
    }

    /// What to subscribe to where messages that go this way come from, each filter once.
    pub(crate) fn filters(&self, way: Way) -> Vec<(&str, QoS)> {
        let mut filters: Vec<(&str, QoS)> = Vec::new();
        for rule in self.on(way) {
            match filters.iter_mut().find(|(filter, _)| *filter == rule.filter) {
                Some((_, qos)) => *qos = rule.qos.max(*qos),
                None => filters.push((&rule.filter, rule.qos)),
            }
        }
        filters
    }

    /// What is of no use there, though an earlier configuration may have subscribed to it.
    pub(crate) fn unwanted(&self) -> &[String] {
        &self.unwanted
    }

    /// What a topic is called on the other side; `None`: no rule sends it there.
    pub(crate) fn map<'t>(&self, way: Way, topic: &'t str) -> Option<Cow<'t, str>> {
        let rule = self.on(way).iter().find(|rule| matches(&rule.filter, topic))?;
        if rule.strip == 0 && rule.prefix.is_empty() {
            return Some(Cow::Borrowed(topic));
        }
        // It has matched a filter that begins with it.
        let rest = topic.get(rule.strip..)?;
        let mapped = format!("{}{rest}", rule.prefix);
        (!mapped.is_empty()).then_some(Cow::Owned(mapped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_server::config::Direction;

    fn topic(filter: &str, direction: Direction, local: &str, remote: &str) -> BridgeTopic {
        BridgeTopic {
            filter: filter.into(),
            direction,
            qos: QoS::AtLeastOnce,
            local_prefix: local.into(),
            remote_prefix: remote.into(),
        }
    }

    #[test]
    fn prefixes_of_one_side_become_those_of_the_other() {
        let rules = Rules::of(&[
            topic("t/#", Direction::Both, "hut/", "site/7/"),
            topic("", Direction::Out, "door", "alarm/door"),
            topic("news/+", Direction::In, "", ""),
        ]);
        for (way, topic, wanted) in [
            (Way::Out, "hut/t/1", Some("site/7/t/1")),
            (Way::Out, "hut/t", Some("site/7/t")),
            (Way::Out, "t/1", None),
            (Way::Out, "door", Some("alarm/door")),
            (Way::Out, "news/1", None),
            (Way::In, "site/7/t/1", Some("hut/t/1")),
            (Way::In, "alarm/door", None),
            (Way::In, "news/1", Some("news/1")),
            (Way::In, "news/1/2", None),
        ] {
            assert_eq!(rules.map(way, topic).as_deref(), wanted, "{way:?} {topic}");
        }
        let filters = |way| rules.filters(way).into_iter().map(|it| it.0).collect::<Vec<_>>();
        assert_eq!(filters(Way::Out), ["hut/t/#", "door"]);
        assert_eq!(filters(Way::In), ["site/7/t/#", "news/+"]);
        assert_eq!(rules.unwanted(), ["alarm/door"]);
    }

    #[test]
    fn a_filter_of_several_rules_is_subscribed_to_once_with_the_highest_qos() {
        let low = topic("a", Direction::Out, "", "x/");
        let high = BridgeTopic { qos: QoS::ExactlyOnce, ..topic("a", Direction::Out, "", "y/") };
        let rules = Rules::of(&[low, high]);
        assert_eq!(rules.filters(Way::Out), [("a", QoS::ExactlyOnce)]);
        // As with mosquitto, the first rule names it.
        assert_eq!(rules.map(Way::Out, "a").as_deref(), Some("x/a"));
    }
}
