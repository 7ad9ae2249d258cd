//! Watches a run from outside: the broker's CPU time and memory, and what the bench itself takes.

use crate::error::Error;
use crate::meter::{MemoryKind, Meter, own_cpu};
use crate::progress::Progress;
use crate::report::{Better, Run, Unit, grouped};
use std::time::Duration;

/// A bench that takes more of a core than this may be what is measured.
const OWN_CORES_MAX: f64 = 0.7;

/// Whoever watches.
#[derive(Debug)]
pub(crate) struct Observer {
    meter: Option<Meter>,
    pub(crate) progress: Progress,
    /// At the last line of progress.
    glance: Option<(Clocks, u64)>,
}

/// The clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    at: Duration,
    broker: Option<Duration>,
    own: Duration,
}

/// What passed between two moments.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) time: Duration,
    broker: Option<Duration>,
    own: Duration,
}

impl Observer {
    pub(crate) fn new(pid: Option<u32>) -> Result<Observer, Error> {
        let meter = pid.map(Meter::new).transpose()?;
        Ok(Observer { meter, progress: Progress::new(), glance: None })
    }

    /// Reads all clocks; `at` is the one of the run.
    pub(crate) fn clocks(&mut self, at: Duration) -> Result<Clocks, Error> {
        let broker = self.meter.as_mut().map(Meter::cpu).transpose()?;
        Ok(Clocks { at, broker, own: own_cpu() })
    }

    /// What has passed since `from`.
    pub(crate) fn since(&mut self, from: Clocks, at: Duration) -> Result<Cost, Error> {
        Ok(self.clocks(at)?.minus(from))
    }

    /// CPU time of the broker since it was started, if its process is known.
    pub(crate) fn broker_cpu(&mut self) -> Result<Option<Duration>, Error> {
        self.meter.as_mut().map(Meter::cpu).transpose()
    }

    /// Memory of the broker, in bytes.
    pub(crate) fn memory(&mut self, run: &mut Run) -> Result<Option<u64>, Error> {
        let Some(memory) = self.meter.as_mut().map(Meter::memory).transpose()? else {
            return Ok(None);
        };
        let words = "memory is the resident set (RSS), which counts shared pages in full: the \
                     proportional one (PSS) of this process may not be read";
        if memory.kind == MemoryKind::Rss && !run.warnings.iter().any(|warning| warning == words) {
            run.warn(words);
        }
        Ok(Some(memory.bytes))
    }

    /// How fast a counter went up since the last glance, and how many cores broker and bench took,
    /// in words.
    pub(crate) fn glance(&mut self, at: Duration, count: u64) -> String {
        let broker = self.meter.as_ref().and_then(|meter| meter.cpu_of_known().ok());
        let now = Clocks { at, broker, own: own_cpu() };
        let Some((before, count_before)) = self.glance.replace((now, count)) else {
            return String::new();
        };
        let cost = now.minus(before);
        let rate = count.saturating_sub(count_before) as f64 / cost.time.as_secs_f64();
        let broker = cost.broker_cores().map(|cores| format!("broker {cores:.2} cores, "));
        format!(
            "{:>11}/s  {}bench {:.2} cores",
            grouped(rate),
            broker.unwrap_or_default(),
            cost.own_cores()
        )
    }

    /// Shows on the terminal, if it is time, how many there are of something.
    pub(crate) fn show(&mut self, at: Duration, count: u64, what: &str) {
        if at >= self.progress.due() {
            let words = self.glance(at, count);
            let line = format!("{:>4} s  {words}  {} {what}", at.as_secs(), grouped(count as f64));
            self.progress.show(at, &line);
        }
    }

    /// The run is over.
    pub(crate) fn rest(&mut self) {
        self.progress.clear();
        self.glance = None;
    }
}

impl Clocks {
    fn minus(self, from: Clocks) -> Cost {
        let broker = self.broker.zip(from.broker);
        Cost {
            time: self.at.saturating_sub(from.at),
            broker: broker.map(|(now, then)| now.saturating_sub(then)),
            own: self.own.saturating_sub(from.own),
        }
    }
}

impl Cost {
    /// Both together.
    pub(crate) fn plus(self, other: Cost) -> Cost {
        let sum = |a: Option<Duration>, b: Option<Duration>| match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (one, other) => one.or(other),
        };
        Cost {
            time: self.time + other.time,
            broker: sum(self.broker, other.broker),
            own: self.own + other.own,
        }
    }

    /// CPU time of the broker, if its process is known.
    pub(crate) fn broker_cpu(&self) -> Option<Duration> {
        self.broker
    }

    fn broker_cores(&self) -> Option<f64> {
        self.broker.map(|cpu| cores(cpu, self.time))
    }

    fn own_cores(&self) -> f64 {
        cores(self.own, self.time)
    }

    /// CPU time for each of so many things, with the cores that were busy. The names of the
    /// numbers begin with the phase.
    pub(crate) fn report(&self, run: &mut Run, phase: &str, thing: &str, count: u64) {
        let each = |cpu: Duration| cpu.as_nanos() as f64 / count as f64;
        let mut add = |what: String, value, unit, better| {
            run.add(format!("{phase}{what}"), value, unit, better);
        };
        if let (Some(cpu), Some(cores)) = (self.broker, self.broker_cores()) {
            if count > 0 {
                let name = format!("broker_cpu_per_{thing}");
                add(name, each(cpu), Unit::Nanoseconds, Better::Lower);
            }
            add("broker_cores".into(), cores, Unit::Cores, Better::Neither);
        }
        if count > 0 {
            let name = format!("bench_cpu_per_{thing}");
            add(name, each(self.own), Unit::Nanoseconds, Better::Neither);
        }
        add("bench_cores".into(), self.own_cores(), Unit::Cores, Better::Neither);
        if self.own_cores() > OWN_CORES_MAX {
            run.warn(format!(
                "the bench kept {OWN_CORES_MAX} of a core or more busy: it, not the broker, may be \
                 what was measured (the broker's CPU time a {thing} holds all the same)"
            ));
        }
    }
}

fn cores(cpu: Duration, time: Duration) -> f64 {
    cpu.as_secs_f64() / time.as_secs_f64().max(f64::EPSILON)
}
