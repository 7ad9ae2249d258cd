//! Who publishes to which topic, and who subscribes to what.

use crate::accounting::Ledger;
use crate::payload::RunId;
use crate::plan::{Pattern, Traffic};
use noctule_client::{Subscribe, SubscribeOptions};
use std::ops::Range;
use std::sync::Arc;

/// Filters that go into one SUBSCRIBE.
const FILTERS: usize = 1000;

/// The roles of one run.
#[derive(Debug)]
pub(crate) struct Cast<'a> {
    pub(crate) traffic: &'a Traffic,
    /// All topics begin with it.
    root: String,
}

impl Cast<'_> {
    pub(crate) fn new(run: RunId, traffic: &Traffic) -> Cast<'_> {
        Cast { traffic, root: format!("bench/{:08x}", run.0) }
    }

    /// Where this publisher publishes.
    pub(crate) fn topic(&self, publisher: u32) -> Arc<str> {
        let root = &self.root;
        match self.traffic.pattern {
            Pattern::Pairs | Pattern::FanOut | Pattern::Wildcard => {
                format!("{root}/{publisher:03}/data").into()
            }
            Pattern::FanIn | Pattern::Shared => format!("{root}/all/data").into(),
        }
    }

    /// What this subscriber subscribes to, packet by packet.
    pub(crate) fn filters(&self, subscriber: u32) -> Vec<Vec<String>> {
        let of = |publisher| self.topic(publisher).as_ref().to_owned();
        let filters: Vec<String> = match self.traffic.pattern {
            Pattern::Pairs => vec![of(subscriber)],
            Pattern::FanOut => self.publishers().map(of).collect(),
            Pattern::Wildcard => vec![format!("{}/#", self.root)],
            Pattern::FanIn => vec![of(0)],
            Pattern::Shared => vec![format!("$share/bench/{}", of(0))],
        };
        filters.chunks(FILTERS).map(<[String]>::to_vec).collect()
    }

    /// SUBSCRIBE with these filters.
    pub(crate) fn subscribe(&self, filters: Vec<String>) -> Subscribe {
        let options = SubscribeOptions { qos: self.traffic.message.qos, ..Default::default() };
        let packet = Subscribe::default();
        filters.into_iter().fold(packet, |packet, filter| packet.and(filter, options))
    }

    /// All filters of all subscribers, with the client and packet by packet.
    pub(crate) fn all_filters(&self) -> impl Iterator<Item = (usize, Vec<String>)> {
        (0..self.traffic.subscribers).flat_map(|subscriber| {
            self.filters(subscriber).into_iter().map(move |packet| (subscriber as usize, packet))
        })
    }

    /// How many subscribers each message goes to.
    pub(crate) fn fan_out(&self) -> u32 {
        match self.traffic.pattern {
            Pattern::Pairs | Pattern::Shared => 1,
            Pattern::FanIn | Pattern::FanOut | Pattern::Wildcard => self.traffic.subscribers,
        }
    }

    /// Accounts for these roles; subscriber numbers are the same there.
    pub(crate) fn ledger(&self, run: RunId) -> Ledger {
        let traffic = self.traffic;
        let mut ledger = Ledger::new(run, traffic.message.size, traffic.publishers);
        match traffic.pattern {
            Pattern::Shared => {
                ledger.share_group(self.publishers(), traffic.subscribers as usize);
            }
            Pattern::Pairs => {
                for pair in self.publishers() {
                    ledger.subscriber(pair..pair + 1);
                }
            }
            Pattern::FanIn | Pattern::FanOut | Pattern::Wildcard => {
                for _ in 0..traffic.subscribers {
                    ledger.subscriber(self.publishers());
                }
            }
        }
        ledger
    }

    fn publishers(&self) -> Range<u32> {
        0..self.traffic.publishers
    }
}
