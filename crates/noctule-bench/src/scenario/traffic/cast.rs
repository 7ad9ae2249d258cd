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
    traffic: &'a Traffic,
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

    /// What this subscriber subscribes to: a packet each.
    pub(crate) fn filters(&self, subscriber: u32) -> Vec<Subscribe> {
        let filters: Vec<String> = match self.traffic.pattern {
            Pattern::Pairs => vec![self.topic(subscriber).as_ref().into()],
            Pattern::FanOut => {
                self.publishers().map(|one| self.topic(one).as_ref().into()).collect()
            }
            Pattern::Wildcard => vec![format!("{}/#", self.root)],
            Pattern::FanIn => vec![self.topic(0).as_ref().into()],
            Pattern::Shared => vec![format!("$share/bench/{}", self.topic(0))],
        };
        let options = SubscribeOptions { qos: self.traffic.message.qos, ..Default::default() };
        let packet = |filters: &[String]| {
            let all = filters.iter().cloned();
            all.fold(Subscribe::default(), |packet, filter| packet.and(filter, options))
        };
        filters.chunks(FILTERS).map(packet).collect()
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
