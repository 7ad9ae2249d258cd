//! Results: named numbers with units, for a table, for JSON, for comparing.

use crate::error::Error;
use crate::histogram::Percentiles;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// Version of the JSON format.
const FORMAT: u32 = 1;

/// What a measurement gave.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Version of the format.
    pub format: u32,
    /// What made it.
    pub tool: String,
    /// What was done.
    pub scenario: String,
    /// With which settings.
    pub settings: BTreeMap<String, String>,
    /// What came of it, run by run.
    pub runs: Vec<Run>,
}

/// What one run gave.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// The numbers.
    pub metrics: Vec<Metric>,
    /// What to know before the numbers are believed.
    pub warnings: Vec<String>,
}

/// One number.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Metric {
    /// What it tells.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
    /// Whether more of it is good.
    pub better: Better,
}

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Things.
    Count,
    /// Things a second.
    PerSecond,
    /// Nanoseconds.
    Nanoseconds,
    /// Bytes.
    Bytes,
    /// CPU time by time: 1 is a core kept busy.
    Cores,
    /// One number by another.
    Ratio,
}

/// Which of two values is the better one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// The lower.
    Lower,
    /// The higher.
    Higher,
    /// It says nothing about the broker.
    Neither,
}

impl Report {
    pub(crate) fn new(scenario: String, settings: BTreeMap<String, String>) -> Report {
        let tool = format!("noctule-bench {}", env!("CARGO_PKG_VERSION"));
        Report { format: FORMAT, tool, scenario, settings, runs: Vec::new() }
    }

    /// Reads what [`to_json`](Report::to_json) wrote.
    pub fn from_json(text: &str) -> Result<Report, Error> {
        let report: Report = serde_json::from_str(text)
            .map_err(|error| Error::Results(format!("not results of a bench: {error}")))?;
        if report.format != FORMAT {
            let words = format!("results of format {}, and this is {FORMAT}", report.format);
            return Err(Error::Results(words));
        }
        Ok(report)
    }

    /// All of it as JSON.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("strings and numbers are always representable");
        text.push('\n');
        text
    }

    /// All of it for people.
    pub fn to_table(&self) -> String {
        let mut table = format!("{}\n", self.scenario);
        let settings: Vec<String> =
            self.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let _ = writeln!(table, "  {}", settings.join(", "));
        let several = self.runs.len() > 1;
        if several {
            let _ = writeln!(table, "  medians of {} runs, and their spread", self.runs.len());
        }
        let width = self.names().iter().map(|name| name.len()).max().unwrap_or(0).max(34);
        for name in self.names() {
            let values = self.values(name);
            let Some(first) = self.metric(name) else { continue };
            let middle = median(&values).unwrap_or_default();
            let spread = if several { spread(&values) } else { String::new() };
            let (name, value) = (plain(name), first.unit.show(middle));
            let line = format!("  {name:<width$} {value:>16}  {spread}");
            table.push_str(line.trim_end());
            table.push('\n');
        }
        let mut warnings: Vec<&String> = self.runs.iter().flat_map(|run| &run.warnings).collect();
        warnings.dedup();
        for warning in warnings {
            let _ = writeln!(table, "  ! {warning}");
        }
        table
    }

    /// The names of all numbers, in their order.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for metric in self.runs.iter().flat_map(|run| &run.metrics) {
            if !names.contains(&metric.name.as_str()) {
                names.push(metric.name.as_str());
            }
        }
        names
    }

    /// The first number of this name.
    pub(crate) fn metric(&self, name: &str) -> Option<&Metric> {
        self.runs.iter().flat_map(|run| &run.metrics).find(|metric| metric.name == name)
    }

    /// The numbers of this name, one a run.
    pub fn values(&self, name: &str) -> Vec<f64> {
        let all = self.runs.iter().flat_map(|run| &run.metrics);
        all.filter(|metric| metric.name == name).map(|metric| metric.value).collect()
    }
}

impl Run {
    /// The number of this name.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value)
    }

    pub(crate) fn add(&mut self, name: impl Into<String>, value: f64, unit: Unit, better: Better) {
        self.metrics.push(Metric { name: name.into(), value, unit, better });
    }

    pub(crate) fn count(&mut self, name: &str, count: u64, better: Better) {
        self.add(name, count as f64, Unit::Count, better);
    }

    pub(crate) fn time(&mut self, name: &str, time: Duration, better: Better) {
        self.add(name, time.as_nanos() as f64, Unit::Nanoseconds, better);
    }

    /// So many in this time.
    pub(crate) fn rate(&mut self, name: &str, count: u64, time: Duration) {
        let rate = count as f64 / time.as_secs_f64().max(f64::EPSILON);
        self.add(name, rate, Unit::PerSecond, Better::Higher);
    }

    pub(crate) fn bytes(&mut self, name: &str, bytes: u64) {
        self.add(name, bytes as f64, Unit::Bytes, Better::Lower);
    }

    /// What memory grew by, for each of so many things.
    pub(crate) fn memory_each(&mut self, thing: &str, before: u64, after: u64, count: u64) {
        let grown = after as f64 - before as f64;
        let name = format!("memory_per_{thing}");
        self.add(name, grown / count.max(1) as f64, Unit::Bytes, Better::Lower);
    }

    pub(crate) fn percentiles(&mut self, name: &str, times: &Percentiles) {
        if times.count == 0 {
            return;
        }
        for (which, time) in [
            ("p50", times.p50),
            ("p90", times.p90),
            ("p99", times.p99),
            ("p999", times.p999),
            ("max", times.max),
        ] {
            self.time(&format!("{name}_{which}"), time, Better::Lower);
        }
    }

    pub(crate) fn warn(&mut self, words: impl Into<String>) {
        self.warnings.push(words.into());
    }
}

impl Unit {
    /// A number with its unit.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Unit::Count => grouped(value),
            Unit::PerSecond => format!("{}/s", grouped(value)),
            Unit::Nanoseconds => show_nanos(value),
            Unit::Bytes if value.abs() < 10.0 && value.fract() != 0.0 => format!("{value:.2} B"),
            Unit::Bytes => show_bytes(value),
            Unit::Cores => format!("{value:.2}"),
            Unit::Ratio => format!("{value:.3}"),
        }
    }
}

/// A time for people.
pub(crate) fn show_nanos(nanos: f64) -> String {
    match nanos {
        nanos if nanos < 10_000.0 => format!("{nanos:.0} ns"),
        nanos if nanos < 10_000_000.0 => format!("{:.1} µs", nanos / 1e3),
        nanos if nanos < 10_000_000_000.0 => format!("{:.1} ms", nanos / 1e6),
        nanos => format!("{:.1} s", nanos / 1e9),
    }
}

fn show_bytes(bytes: f64) -> String {
    match bytes.abs() {
        size if size < 100_000.0 => format!("{bytes:.0} B"),
        size if size < 100e6 => format!("{:.1} KiB", bytes / 1024.0),
        _ => format!("{:.1} MiB", bytes / (1024.0 * 1024.0)),
    }
}

/// A whole number with a comma every three digits.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value <= -0.5 { "-" } else { "" });
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A metric's name as words.
pub(crate) fn plain(name: &str) -> String {
    name.replace('_', " ")
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted[sorted.len() / 2 - 1] + upper) / 2.0)
}

/// How far the lowest and the highest are from the median, in percent.
pub(crate) fn spread(values: &[f64]) -> String {
    let middle = median(values).unwrap_or_default();
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if middle == 0.0 || lowest == highest {
        return String::new();
    }
    let percent = |value: f64| (value / middle - 1.0) * 100.0;
    format!("{:+.1} % .. {:+.1} %", percent(lowest), percent(highest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let settings = BTreeMap::from([("qos".to_owned(), "1".to_owned())]);
        let mut report = Report::new("throughput pairs".into(), settings);
        for value in [100.0, 300.0, 200.0] {
            let mut run = Run::default();
            run.add("broker_cpu_per_message", value, Unit::Nanoseconds, Better::Lower);
            run.count("lost", 0, Better::Lower);
            run.warn("the bench used 0.9 of a core");
            report.runs.push(run);
        }
        report
    }

    #[test]
    fn json_comes_back_as_it_went() {
        let report = report();
        assert_eq!(Report::from_json(&report.to_json()).expect("it is ours"), report);
        assert!(Report::from_json("{}").is_err());
        assert!(Report::from_json("").is_err());
        let newer = report.to_json().replace("\"format\": 1", "\"format\": 2");
        assert!(Report::from_json(&newer).is_err_and(|error| error.to_string().contains('2')));
    }

    #[test]
    fn a_table_shows_medians_and_says_a_warning_once() {
        let table = report().to_table();
        assert!(table.contains("broker cpu per message"), "{table}");
        assert!(table.contains("200 ns  -50.0 % .. +50.0 %"), "{table}");
        assert_eq!(table.matches("0.9 of a core").count(), 1, "{table}");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(Unit::PerSecond.show(1_234_567.8), "1,234,568/s");
        assert_eq!(Unit::Count.show(-1234.0), "-1,234");
        assert_eq!(Unit::Count.show(999.0), "999");
        assert_eq!(Unit::Nanoseconds.show(75.0), "75 ns");
        assert_eq!(Unit::Nanoseconds.show(2.5e7), "25.0 ms");
        assert_eq!(Unit::Bytes.show(260.0), "260 B");
        assert_eq!(Unit::Bytes.show(0.0), "0 B");
        assert_eq!(Unit::Bytes.show(3.256), "3.26 B");
        assert_eq!(Unit::Ratio.show(0.4125), "0.412");
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0]), Some(2.0));
    }
}
