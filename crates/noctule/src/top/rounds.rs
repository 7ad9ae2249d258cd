//! The broker's updates as a series: counts become rates, and rates a history.
//!
//! A broker publishes in rounds, and only what changed. What a round leaves out has not changed, so
//! a rate is the difference to the round before, over the time between the two. The first round is
//! what was retained: nobody knows when it was published, but the uptime in it tells.

use super::sys::{FLOWS, Figure, Flow, SPANS};
use std::collections::VecDeque;
use std::time::Duration;

/// Rates that are kept of each flow.
const HISTORY: usize = 240;

/// Uptime comes in whole seconds; over less time a rate by it would be a guess.
const UPTIME_SPAN_MIN: Duration = Duration::from_secs(5);

/// Within a round nothing is silent for so long, unless rounds are few.
const SILENCE_MIN: Duration = Duration::from_millis(500);

/// All flows over time.
#[derive(Default)]
pub(super) struct Rounds {
    series: [Series; FLOWS.len()],
    current: Option<Round>,
    before: Option<Round>,
    heard_at: Option<Duration>,
    /// Between the last two live rounds.
    every: Option<Duration>,
    /// The connection is new: what comes next has nothing to do with what was.
    fresh: bool,
}

#[derive(Clone, Copy)]
struct Round {
    /// When it began to arrive; unknown if it was retained.
    at: Option<Duration>,
    uptime: Option<Duration>,
}

#[derive(Default)]
struct Series {
    total: Option<u64>,
    before: Option<u64>,
    loads: [Option<f64>; SPANS.len()],
    history: VecDeque<Option<f64>>,
    /// Whether the current round brought the total.
    came: bool,
}

/// A flow at one moment; rates are a second.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Speed {
    /// Between the last two updates.
    pub(super) now: Option<f64>,
    /// The broker's averages, over each of [`SPANS`].
    pub(super) loads: [Option<f64>; SPANS.len()],
    /// Since the broker started.
    pub(super) total: Option<u64>,
    /// Earlier rates and the present one, oldest first, with gaps.
    pub(super) history: Vec<Option<f64>>,
}

/// A round has begun. What was published between the two before it, if both came live.
pub(super) struct Begun {
    pub(super) published: Option<u64>,
}

impl Rounds {
    /// The connection is new: the next update is the first.
    pub(super) fn restart(&mut self) {
        self.fresh = true;
    }

    /// Takes a value in; tells if it begins a round.
    pub(super) fn take(&mut self, now: Duration, figure: &Figure, retained: bool) -> Option<Begun> {
        let begun = self.begins(now, figure, retained).then(|| self.begin(now, retained));
        self.heard_at = Some(now);
        match figure {
            Figure::Uptime(uptime) => {
                if let Some(current) = &mut self.current {
                    current.uptime = Some(*uptime);
                }
            }
            Figure::Total(flow, total) => {
                let series = &mut self.series[*flow as usize];
                series.total = Some(*total);
                series.came = true;
            }
            Figure::Load(flow, span, rate) => {
                self.series[*flow as usize].loads[*span] = Some(*rate);
            }
            Figure::Version(_) | Figure::Gauge(..) => {}
        }
        begun
    }

    fn begins(&self, now: Duration, figure: &Figure, retained: bool) -> bool {
        let (Some(current), Some(heard_at)) = (&self.current, self.heard_at) else { return true };
        let again = match figure {
            Figure::Uptime(_) => current.uptime.is_some(),
            Figure::Total(flow, _) => self.series[*flow as usize].came,
            Figure::Version(_) | Figure::Load(..) | Figure::Gauge(..) => false,
        };
        let silence = self.every.map(|every| SILENCE_MIN.max(every / 2));
        let silent = silence.is_some_and(|silence| now.saturating_sub(heard_at) > silence);
        self.fresh || again || silent || retained != current.at.is_none()
    }

    fn begin(&mut self, now: Duration, retained: bool) -> Begun {
        let rates = FLOWS.map(|names| self.rate(names.flow));
        let live = self.between().is_some();
        let published = self.series[Flow::PublishesIn as usize].grown().filter(|_| live);
        let fresh = std::mem::take(&mut self.fresh);
        let first = self.current.is_none();
        for (series, rate) in self.series.iter_mut().zip(rates) {
            series.begin(rate, fresh, first);
        }
        self.before = self.current.take().filter(|_| !fresh);
        self.current = Some(Round { at: (!retained).then_some(now), uptime: None });
        if let Some(between) = self.between() {
            self.every = Some(between);
        }
        Begun { published }
    }

    /// Between the last two rounds, if both were live.
    fn between(&self) -> Option<Duration> {
        let (before, current) = (self.before?, self.current?);
        Some(current.at?.saturating_sub(before.at?)).filter(|between| !between.is_zero())
    }

    /// The time over which the current rates go.
    fn span(&self) -> Option<Duration> {
        self.between().or_else(|| {
            let (before, current) = (self.before?, self.current?);
            current.at?;
            let span = current.uptime?.checked_sub(before.uptime?)?;
            (span >= UPTIME_SPAN_MIN).then_some(span)
        })
    }

    fn rate(&self, flow: Flow) -> Option<f64> {
        let grown = self.series[flow as usize].grown()?;
        Some(grown as f64 / self.span()?.as_secs_f64())
    }

    pub(super) fn speed(&self, flow: Flow) -> Speed {
        let series = &self.series[flow as usize];
        let now = self.rate(flow);
        let history = series.history.iter().copied().chain(now.map(Some)).collect();
        Speed { now, loads: series.loads, total: series.total, history }
    }

    /// When the broker was last heard.
    pub(super) fn heard_at(&self) -> Option<Duration> {
        self.heard_at
    }

    /// How often it speaks.
    pub(super) fn every(&self) -> Option<Duration> {
        self.every
    }

    /// How long the broker has been up, counted on since it said so.
    pub(super) fn uptime(&self, now: Duration) -> Option<Duration> {
        let told = |round: Round| {
            let since = now.saturating_sub(round.at.or(self.heard_at)?);
            round.uptime.map(|uptime| uptime.saturating_add(since))
        };
        self.current.and_then(told).or_else(|| self.before.and_then(told))
    }
}

impl Series {
    fn begin(&mut self, rate: Option<f64>, fresh: bool, first: bool) {
        // A gap is worth one place, not one a round.
        let gap = rate.is_none() && self.history.back().is_none_or(Option::is_none);
        if !first && !gap {
            self.history.push_back(rate);
            if self.history.len() > HISTORY {
                self.history.pop_front();
            }
        }
        if fresh {
            self.total = None;
            self.loads = [None; SPANS.len()];
        }
        self.before = self.total;
        self.came = false;
    }

    /// None if it is unknown, or the broker has begun to count anew.
    fn grown(&self) -> Option<u64> {
        self.total?.checked_sub(self.before?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN: Flow = Flow::PublishesIn;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A round as a broker sends it: uptime first, then what changed.
    fn round(rounds: &mut Rounds, millis: u64, uptime_secs: u64, total: Option<u64>) {
        take_round(rounds, millis, uptime_secs, total, false);
    }

    fn take_round(r: &mut Rounds, millis: u64, secs: u64, total: Option<u64>, retained: bool) {
        r.take(at(millis), &Figure::Uptime(Duration::from_secs(secs)), retained);
        if let Some(total) = total {
            r.take(at(millis + 3), &Figure::Total(IN, total), retained);
        }
    }

    #[test]
    fn a_rate_goes_over_the_time_between_updates_and_silence_means_no_change() {
        let mut rounds = Rounds::default();
        take_round(&mut rounds, 0, 100, Some(1000), true);
        assert_eq!(rounds.speed(IN).now, None, "one value is no rate");
        // Seven seconds after the retained values arrived, ten after they were published.
        round(&mut rounds, 7000, 110, Some(1500));
        assert_eq!(rounds.speed(IN).now, Some(50.0));
        round(&mut rounds, 17_000, 120, Some(1700));
        assert_eq!(rounds.speed(IN).now, Some(20.0));
        round(&mut rounds, 27_000, 130, None);
        assert_eq!(rounds.speed(IN).now, Some(0.0));
        round(&mut rounds, 37_000, 140, Some(1800));
        assert_eq!(rounds.speed(IN).now, Some(10.0));
        let history = [50.0, 20.0, 0.0, 10.0].map(Some);
        assert_eq!(rounds.speed(IN).history, history);
        assert_eq!(rounds.every(), Some(at(10_000)));
        assert_eq!(rounds.uptime(at(39_000)), Some(Duration::from_secs(142)));
    }

    #[test]
    fn right_after_the_retained_values_a_short_time_gives_no_rate() {
        let mut rounds = Rounds::default();
        take_round(&mut rounds, 0, 100, Some(1000), true);
        round(&mut rounds, 10, 101, Some(1500));
        assert_eq!(rounds.speed(IN).now, None);
        round(&mut rounds, 1010, 102, Some(1600));
        assert_eq!(rounds.speed(IN).now, Some(100.0));
    }

    #[test]
    fn a_round_that_stutters_is_still_one() {
        let mut rounds = Rounds::default();
        for second in 0..4 {
            round(&mut rounds, second * 10_000, second * 10, None);
            rounds.take(at(second * 10_000 + 2000), &Figure::Total(IN, second * 100), false);
        }
        assert_eq!(rounds.speed(IN).now, Some(10.0));
        assert_eq!(rounds.speed(IN).history.len(), 3);
    }

    #[test]
    fn a_broker_that_tells_no_uptime_has_rates_too() {
        let mut rounds = Rounds::default();
        for second in [0, 10, 20, 40] {
            let total = if second == 20 { 20 } else { second * 2 };
            rounds.take(at(second * 1000), &Figure::Total(Flow::BytesIn, second), false);
            rounds.take(at(second * 1000), &Figure::Total(IN, total), false);
        }
        assert_eq!(rounds.speed(IN).now, Some(3.0));
        // Only one topic changed: it begins the round because of the silence before it.
        rounds.take(at(60_500), &Figure::Total(Flow::Dropped, 5), false);
        assert_eq!(rounds.speed(IN).now, Some(0.0));
    }

    #[test]
    fn a_new_connection_leaves_a_gap_and_no_rate_across_it() {
        let mut rounds = Rounds::default();
        for second in 0..3 {
            round(&mut rounds, second * 1000, second, Some(second * 10));
        }
        rounds.restart();
        take_round(&mut rounds, 60_000, 1, Some(7), true);
        assert_eq!(rounds.speed(IN).now, None);
        round(&mut rounds, 61_000, 2, Some(9));
        round(&mut rounds, 62_000, 3, Some(12));
        let expected = [Some(10.0), Some(10.0), None, Some(3.0)];
        assert_eq!(rounds.speed(IN).history, expected);
    }

    #[test]
    fn a_counter_that_falls_has_no_rate() {
        let mut rounds = Rounds::default();
        round(&mut rounds, 0, 10, Some(100));
        round(&mut rounds, 1000, 11, Some(50));
        assert_eq!(rounds.speed(IN).now, None);
    }

    #[test]
    fn history_is_bounded_and_absurd_values_do_no_harm() {
        let mut rounds = Rounds::default();
        for second in 0..1000 {
            let total = if second % 2 == 0 { 0 } else { u64::MAX };
            let uptime = Figure::Uptime(Duration::from_secs(u64::MAX));
            rounds.take(at(second * 1000), &uptime, second == 0);
            rounds.take(at(second * 1000), &Figure::Total(IN, total), second == 0);
        }
        assert_eq!(rounds.speed(IN).history.len(), HISTORY + 1);
        assert!(rounds.uptime(at(2_000_000)).is_some());
    }
}
