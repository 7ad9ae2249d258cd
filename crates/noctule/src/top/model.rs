//! What is known of the broker: news in, a [`Snapshot`] out. Pure; time is since some start.

use super::rounds::{Begun, Rounds, Speed};
use super::sys::{FLOWS, Figure, GAUGES, figure};
use super::topics::{Busiest, Topic};
use noctule_client::Message;
use std::collections::VecDeque;
use std::time::Duration;

/// A broker that has said nothing under `$SYS` for so long, though it retains, will hardly do so.
const PATIENCE: Duration = Duration::from_secs(5);

/// The filter of all messages.
pub(super) const EVERYTHING: &str = "#";

/// A sample that heard less than this part of what it should have heard has missed messages.
const MISSING: f64 = 0.8;

/// Updates over which the share of a sample is told.
const SHARE_UPDATES: usize = 6;

/// A round of updates is over when so much time has passed without one.
const SETTLED: Duration = Duration::from_millis(150);

/// What happens on the connection.
#[derive(Debug)]
pub(super) enum News {
    /// There is a connection.
    Online,
    /// There is none any more, for this reason.
    Lost(String),
    /// The broker does not let us read `$SYS`.
    SysRefused(String),
    /// A message under `$SYS`.
    Sys(Message),
    /// From now on messages under this filter are heard, as a sample.
    Hears(String),
    /// From now on they are not.
    Deaf,
    /// One of them, without its payload, and the bytes of that.
    Sampled(Message, usize),
    /// There is nothing to be sampled.
    SampleEnded,
    /// The broker does not let us sample.
    SampleRefused(String),
}

/// Everything known.
pub(super) struct Model {
    link: Link,
    version: Option<String>,
    gauges: [Option<u64>; GAUGES.len()],
    rounds: Rounds,
    sys: Sys,
    sample: Sample,
}

/// The state of the connection.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Link {
    /// There is one, since then.
    Online(Duration),
    /// There is none, since then, for this reason.
    Lost(Duration, String),
}

enum Sys {
    /// Nothing has come.
    Silent,
    /// Something has come, but nothing that is known here; its topic.
    Foreign(String),
    Known,
    Refused(String),
}

enum Sample {
    Off,
    Refused(String),
    On(Box<Sampler>),
}

struct Sampler {
    filter: String,
    busiest: Busiest,
    /// Messages heard since the last update, and between the two before; unknown if they were not
    /// sampled all the time.
    heard: Option<u64>,
    heard_before: Option<u64>,
    /// Heard and published in the last stretches between updates.
    shares: VecDeque<(u64, u64)>,
}

/// Everything that is shown, at one moment.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Snapshot {
    pub(super) link: Link,
    /// Since the start.
    pub(super) at: Duration,
    /// As the broker said it.
    pub(super) version: Option<String>,
    pub(super) uptime: Option<Duration>,
    /// Since the last update.
    pub(super) age: Option<Duration>,
    /// Between updates.
    pub(super) every: Option<Duration>,
    /// In the order of [`FLOWS`].
    pub(super) flows: [Speed; FLOWS.len()],
    /// In the order of [`GAUGES`].
    pub(super) gauges: [Option<u64>; GAUGES.len()],
    /// Why there are no figures.
    pub(super) trouble: Option<String>,
    pub(super) sample: SampleSnapshot,
}

/// The sample at one moment.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum SampleSnapshot {
    Off,
    /// Why there is none.
    Refused(String),
    On {
        filter: String,
        topics: Vec<Topic>,
        /// Part of the recent time in which messages were heard.
        heard: f64,
        /// Messages heard, and all that the broker took, in the same recent time.
        share: Option<(u64, u64)>,
    },
}

impl Model {
    /// Nothing but that there is a connection.
    pub(super) fn new(now: Duration) -> Model {
        Model {
            link: Link::Online(now),
            version: None,
            gauges: [None; GAUGES.len()],
            rounds: Rounds::default(),
            sys: Sys::Silent,
            sample: Sample::Off,
        }
    }

    pub(super) fn take(&mut self, now: Duration, news: News) {
        match news {
            News::Online => {
                self.link = Link::Online(now);
                self.rounds.restart();
                self.gauges = [None; GAUGES.len()];
                self.sys = Sys::Silent;
            }
            News::Lost(why) => {
                // The first reason of several attempts is kept up to date, the time is not.
                let since = match self.link {
                    Link::Online(_) => now,
                    Link::Lost(since, _) => since,
                };
                self.link = Link::Lost(since, why);
                self.is_deaf(now);
            }
            News::SysRefused(why) => self.sys = Sys::Refused(why),
            News::Sys(message) => self.sys(now, &message),
            News::Hears(filter) => self.hears(now, filter),
            News::Deaf => self.is_deaf(now),
            News::Sampled(message, bytes) => {
                if let Sample::On(sampler) = &mut self.sample {
                    sampler.add(&message, bytes);
                }
            }
            News::SampleEnded => self.sample = Sample::Off,
            News::SampleRefused(why) => self.sample = Sample::Refused(why),
        }
    }

    /// Lets what was sampled fade; once a second.
    pub(super) fn tick(&mut self, now: Duration) {
        if let Sample::On(sampler) = &mut self.sample {
            sampler.busiest.fade(now);
        }
    }

    /// Whether no round of updates is arriving just now.
    pub(super) fn is_settled(&self, now: Duration) -> bool {
        self.rounds.heard_at().is_none_or(|at| now.saturating_sub(at) >= SETTLED)
    }

    /// Whether there are figures to show.
    pub(super) fn has_figures(&self) -> bool {
        matches!(self.sys, Sys::Known)
    }

    fn hears(&mut self, now: Duration, filter: String) {
        match &mut self.sample {
            Sample::On(sampler) if sampler.filter == filter => sampler.busiest.hear(now, true),
            Sample::On(_) | Sample::Off | Sample::Refused(_) => {
                let mut sampler = Sampler::new(now, filter);
                sampler.busiest.hear(now, true);
                self.sample = Sample::On(Box::new(sampler));
            }
        }
    }

    fn is_deaf(&mut self, now: Duration) {
        if let Sample::On(sampler) = &mut self.sample {
            sampler.busiest.hear(now, false);
        }
    }

    fn sys(&mut self, now: Duration, message: &Message) {
        let Some(figure) = figure(&message.topic, &message.payload) else {
            if matches!(self.sys, Sys::Silent) {
                self.sys = Sys::Foreign(message.topic.to_string());
            }
            return;
        };
        self.sys = Sys::Known;
        let begun = self.rounds.take(now, &figure, message.retain);
        if let (Some(begun), Sample::On(sampler)) = (begun, &mut self.sample) {
            sampler.update(&begun);
        }
        match figure {
            Figure::Version(version) => self.version = Some(version),
            Figure::Gauge(gauge, value) => self.gauges[gauge as usize] = Some(value),
            Figure::Uptime(_) | Figure::Total(..) | Figure::Load(..) => {}
        }
    }

    pub(super) fn snapshot(&self, now: Duration) -> Snapshot {
        Snapshot {
            link: self.link.clone(),
            at: now,
            version: self.version.clone(),
            uptime: self.rounds.uptime(now),
            age: self.rounds.heard_at().map(|at| now.saturating_sub(at)),
            every: self.rounds.every(),
            flows: FLOWS.map(|names| self.rounds.speed(names.flow)),
            gauges: self.gauges,
            trouble: self.trouble(now),
            sample: match &self.sample {
                Sample::Off => SampleSnapshot::Off,
                Sample::Refused(why) => SampleSnapshot::Refused(why.clone()),
                Sample::On(sampler) => sampler.snapshot(),
            },
        }
    }

    /// Why there are no figures, and what helps.
    pub(super) fn trouble(&self, now: Duration) -> Option<String> {
        match (&self.sys, &self.link) {
            (Sys::Known, _) => None,
            (Sys::Refused(why), _) => Some(format!(
                "The broker does not let this user read $SYS/#: {why}. Connect as one who may \
                 (-u, -P), or grant it: mosquitto: `topic read $SYS/#` in the acl_file."
            )),
            (Sys::Foreign(topic), _) => Some(format!(
                "This broker's $SYS has another layout than mosquitto's, the one known here: it \
                 has {topic}. Busy topics (--topics) can be had all the same."
            )),
            (Sys::Silent, Link::Online(since)) if now.saturating_sub(*since) >= PATIENCE => Some(
                "Nothing has come under $SYS. Perhaps the broker has none, or has it switched off \
                 (mosquitto: sys_interval, noctule: sys_interval_secs; 10 is usual), or this user \
                 may not read it (mosquitto says nothing then: `topic read $SYS/#` in the \
                 acl_file). Busy topics (--topics) can be had all the same."
                    .to_owned(),
            ),
            (Sys::Silent, Link::Online(_) | Link::Lost(..)) => None,
        }
    }
}

impl Sampler {
    fn new(now: Duration, filter: String) -> Sampler {
        Sampler {
            filter,
            busiest: Busiest::new(now),
            heard: None,
            heard_before: None,
            shares: VecDeque::new(),
        }
    }

    fn add(&mut self, message: &Message, bytes: usize) {
        // What is retained was published at some other time.
        if !message.retain {
            self.busiest.add(&message.topic, bytes);
            self.heard = self.heard.map(|heard| heard + 1);
        }
    }

    /// The broker has begun an update.
    fn update(&mut self, begun: &Begun) {
        if let (Some(heard), Some(published)) = (self.heard_before, begun.published) {
            self.shares.push_back((heard, published));
            if self.shares.len() > SHARE_UPDATES {
                self.shares.pop_front();
            }
        }
        self.heard_before = self.heard;
        self.heard = Some(0);
    }

    fn snapshot(&self) -> SampleSnapshot {
        let sum =
            |(a, b): (u64, u64), (c, d): &(u64, u64)| (a.saturating_add(*c), b.saturating_add(*d));
        let share = (!self.shares.is_empty()).then(|| self.shares.iter().fold((0, 0), sum));
        let heard = self.busiest.heard();
        let mut topics = self.busiest.topics();
        // Who listens and still misses messages cannot say how many there are: they were dropped on
        // the way, or this user may not read them.
        let part = |(heard, published): (u64, u64)| heard as f64 / published as f64;
        if self.filter == EVERYTHING && share.is_some_and(|it| part(it) < MISSING * heard) {
            topics.iter_mut().for_each(|topic| topic.at_least = true);
        }
        SampleSnapshot::On { filter: self.filter.clone(), topics, heard, share }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sys::{Flow, Gauge};
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn sys(name: &str, value: impl ToString) -> News {
        News::Sys(Message::new(format!("$SYS/broker/{name}"), value.to_string()))
    }

    fn retained(name: &str, value: impl ToString) -> News {
        match sys(name, value) {
            News::Sys(message) => News::Sys(message.retained()),
            other => other,
        }
    }

    fn sampled(topic: &str) -> News {
        News::Sampled(Message::new(topic, ""), 10)
    }

    fn share(model: &Model) -> Option<(u64, u64)> {
        match model.snapshot(secs(1000)).sample {
            SampleSnapshot::On { share, .. } => share,
            SampleSnapshot::Off | SampleSnapshot::Refused(_) => None,
        }
    }

    #[test]
    fn what_the_broker_says_is_shown() {
        let mut model = Model::new(secs(0));
        for news in [
            retained("version", "mosquitto version 2.1.2"),
            retained("uptime", "100 seconds"),
            retained("clients/connected", 3),
            retained("publish/messages/received", 50),
            retained("load/publish/received/1min", "60.00"),
        ] {
            model.take(secs(1), news);
        }
        model.take(secs(8), sys("uptime", "110 seconds"));
        model.take(secs(8), sys("publish/messages/received", 150));
        assert!(!model.is_settled(secs(8)) && model.is_settled(secs(9)));
        let shown = model.snapshot(secs(9));
        assert_eq!(shown.version.as_deref(), Some("mosquitto version 2.1.2"));
        assert_eq!((shown.uptime, shown.age), (Some(secs(111)), Some(secs(1))));
        assert_eq!(shown.gauges[Gauge::Connected as usize], Some(3));
        let speed = &shown.flows[Flow::PublishesIn as usize];
        assert_eq!((speed.now, speed.loads[0], speed.total), (Some(10.0), Some(1.0), Some(150)));
        assert_eq!(shown.trouble, None);
    }

    #[test]
    fn a_broker_that_says_nothing_is_explained_but_not_at_once() {
        let mut model = Model::new(secs(10));
        assert_eq!(model.trouble(secs(14)), None);
        assert!(model.trouble(secs(15)).expect("it is late").contains("sys_interval"));
        model.take(secs(16), News::Sys(Message::new("$SYS/brokers/n1/version", "5")));
        assert!(model.trouble(secs(16)).expect("unknown").contains("$SYS/brokers/n1/version"));
        model.take(secs(17), News::SysRefused("not authorized".into()));
        assert!(model.trouble(secs(17)).expect("refused").contains("not authorized"));
        model.take(secs(18), News::Online);
        model.take(secs(18), sys("clients/connected", 1));
        assert!(model.has_figures() && model.trouble(secs(30)).is_none());
    }

    #[test]
    fn a_lost_connection_is_told_since_when_and_why_it_still_is() {
        let mut model = Model::new(secs(0));
        model.take(secs(1), sys("clients/connected", 1));
        model.take(secs(5), News::Lost("closed".into()));
        model.take(secs(7), News::Lost("refused".into()));
        let shown = model.snapshot(secs(8));
        assert_eq!(shown.link, Link::Lost(secs(5), "refused".into()));
        assert_eq!(shown.gauges[Gauge::Connected as usize], Some(1), "the last that is known");
        model.take(secs(9), News::Online);
        let shown = model.snapshot(secs(9));
        assert_eq!(shown.link, Link::Online(secs(9)));
        assert_eq!(shown.gauges[Gauge::Connected as usize], None, "of another life");
    }

    #[test]
    fn the_share_of_a_sample_is_heard_over_published_between_the_same_updates() {
        let mut model = Model::new(secs(0));
        model.take(secs(0), News::Hears("#".into()));
        for second in 0..4_u64 {
            model.take(secs(second * 10), sys("uptime", second * 10));
            model.take(secs(second * 10), sys("publish/messages/received", second * 100));
            for _ in 0..25 {
                model.take(secs(second * 10 + 5), sampled("a"));
            }
        }
        // Two stretches are whole: from 0 to 10 and from 10 to 20.
        assert_eq!(share(&model), Some((50, 200)));
        for second in 4..100_u64 {
            model.take(secs(second * 10), sys("uptime", second * 10));
            model.take(secs(second * 10), sys("publish/messages/received", second * 100));
        }
        assert_eq!(share(&model), Some((0, 600)), "the recent past only");
    }

    #[test]
    fn a_sample_that_misses_messages_says_so() {
        for (heard, misses) in [(95, false), (50, true)] {
            let mut model = Model::new(secs(0));
            model.take(secs(0), News::Hears("#".into()));
            for second in 0..4_u64 {
                model.take(secs(second * 10), sys("publish/messages/received", second * 100));
                model.take(secs(second * 10), sys("uptime", second * 10));
                for _ in 0..heard {
                    model.take(secs(second * 10 + 5), sampled("a"));
                }
            }
            model.tick(secs(40));
            let SampleSnapshot::On { topics, .. } = model.snapshot(secs(40)).sample else {
                panic!("it samples")
            };
            assert_eq!(topics[0].at_least, misses);
        }
    }

    #[test]
    fn retained_messages_are_no_sample_and_pauses_show() {
        let mut model = Model::new(secs(0));
        model.take(secs(0), News::Hears("#".into()));
        model.take(secs(1), News::Sampled(Message::new("old", "").retained(), 10));
        model.take(secs(1), sampled("a"));
        model.take(secs(2), News::Deaf);
        model.take(secs(6), News::Hears("#".into()));
        model.tick(secs(8));
        let SampleSnapshot::On { topics, heard, .. } = model.snapshot(secs(8)).sample else {
            panic!("it samples")
        };
        assert_eq!(topics.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["a"]);
        assert!((heard - 0.5).abs() < 0.1, "{heard}");
        model.take(secs(9), News::Hears("b/#".into()));
        model.tick(secs(10));
        let SampleSnapshot::On { filter, topics, .. } = model.snapshot(secs(10)).sample else {
            panic!("it samples")
        };
        assert_eq!((filter.as_str(), topics.len()), ("b/#", 0), "another filter, another sample");
        model.take(secs(11), News::SampleRefused("no".into()));
        assert_eq!(model.snapshot(secs(11)).sample, SampleSnapshot::Refused("no".into()));
        model.take(secs(12), News::SampleEnded);
        assert_eq!(model.snapshot(secs(12)).sample, SampleSnapshot::Off);
    }
}
