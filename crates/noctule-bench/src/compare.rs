//! Two sets of results side by side: medians, spread, ratio, and whether the difference is more
//! than noise.
//!
//! The judgement is the exact Mann-Whitney test, two-sided, at 5 %: it asks how often so clear an
//! order of the runs would come about if both sides were the same, and assumes nothing about how
//! the numbers are distributed. With fewer than four runs a side no order is that clear.

use crate::error::Error;
use crate::report::{Better, Metric, Report, median, plain, spread};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How often chance may be taken for a difference.
const CHANCE_MAX: f64 = 0.05;

/// What the comparison of one number says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// All runs of both sides gave the same.
    Same,
    /// Chance would do this often.
    Noise,
    /// No order of so few runs tells anything.
    TooFew,
    /// The second side is better.
    Better,
    /// The second side is worse.
    Worse,
    /// The sides differ in something that is neither good nor bad.
    Different,
}

/// Two sides, each of one or more results of the same scenario.
#[derive(Debug)]
pub struct Comparison {
    first: Report,
    second: Report,
}

impl Comparison {
    /// Takes the runs of all reports of a side as its runs.
    pub fn new(first: Vec<Report>, second: Vec<Report>) -> Result<Comparison, Error> {
        let (first, second) = (joined(first)?, joined(second)?);
        if first.scenario != second.scenario {
            return Err(Error::Results(format!(
                "{} and {} cannot be compared",
                first.scenario, second.scenario
            )));
        }
        Ok(Comparison { first, second })
    }

    /// All of it for people.
    pub fn to_table(&self) -> String {
        let (first, second) = (&self.first, &self.second);
        let runs = |report: &Report| report.runs.len();
        let mut table =
            format!("{}: {} against {} runs\n", first.scenario, runs(first), runs(second));
        for (name, a, b) in self.other_settings() {
            let _ = writeln!(table, "  ! {name}: {a} against {b}");
        }
        let _ = writeln!(
            table,
            "  {:<34} {:>16} {:>16} {:>7}  {:<14} spread of each",
            "medians", "A", "B", "B/A", ""
        );
        for name in first.names() {
            let (Some(metric), true) = (first.metric(name), second.metric(name).is_some()) else {
                continue;
            };
            table.push_str(&self.line(metric));
        }
        table
    }

    fn line(&self, metric: &Metric) -> String {
        let (a, b) = (self.first.values(&metric.name), self.second.values(&metric.name));
        let (Some(from), Some(to)) = (median(&a), median(&b)) else { return String::new() };
        let ratio = if from == 0.0 { String::new() } else { format!("{:.3}", to / from) };
        let words = match self.judge(&metric.name) {
            Judgement::Same => "same",
            Judgement::Noise => "noise",
            Judgement::TooFew => "too few runs",
            Judgement::Better => "better",
            Judgement::Worse => "WORSE",
            Judgement::Different => "different",
        };
        let show = |value| metric.unit.show(value);
        let line = format!(
            "  {:<34} {:>16} {:>16} {ratio:>7}  {words:<14} {} | {}",
            plain(&metric.name),
            show(from),
            show(to),
            spread(&a),
            spread(&b)
        );
        format!("{}\n", line.trim_end_matches([' ', '|']))
    }

    /// Whether the sides differ in this number.
    pub fn judge(&self, name: &str) -> Judgement {
        let (a, b) = (self.first.values(name), self.second.values(name));
        if a.iter().chain(&b).all(|value| *value == a.first().copied().unwrap_or_default()) {
            return Judgement::Same;
        }
        if chance_least(a.len(), b.len()) > CHANCE_MAX {
            return Judgement::TooFew;
        }
        if chance(&a, &b) > CHANCE_MAX {
            return Judgement::Noise;
        }
        let better = self.first.metric(name).map_or(Better::Neither, |metric| metric.better);
        match (better, median(&b) > median(&a)) {
            (Better::Lower, false) | (Better::Higher, true) => Judgement::Better,
            (Better::Lower, true) | (Better::Higher, false) => Judgement::Worse,
            (Better::Neither, _) => Judgement::Different,
        }
    }

    fn other_settings<'a>(&'a self) -> Vec<(&'a str, &'a str, &'a str)> {
        let (first, second) = (&self.first.settings, &self.second.settings);
        let names = first.keys().chain(second.keys().filter(|name| !first.contains_key(*name)));
        names
            .map(|name| {
                let of = |side: &'a BTreeMap<String, String>| {
                    side.get(name).map_or("nothing", String::as_str)
                };
                (name.as_str(), of(first), of(second))
            })
            .filter(|(_, a, b)| a != b)
            .collect()
    }
}

/// One report with the runs of all.
fn joined(reports: Vec<Report>) -> Result<Report, Error> {
    let mut reports = reports.into_iter();
    let mut all = reports.next().ok_or_else(|| Error::Results("nothing to compare".into()))?;
    for report in reports {
        if report.scenario != all.scenario {
            let words = format!("{} and {} are two things", all.scenario, report.scenario);
            return Err(Error::Results(words));
        }
        all.runs.extend(report.runs);
    }
    Ok(all)
}

/// How often chance would order two samples of one distribution as clearly as these, or clearer.
fn chance(a: &[f64], b: &[f64]) -> f64 {
    let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
    let below: f64 = pairs
        .map(|(a, b)| match a.total_cmp(b) {
            std::cmp::Ordering::Less => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Greater => 0.0,
        })
        .sum();
    let all = (a.len() * b.len()) as f64;
    // Ties leave halves; rounded so that nothing looks clearer than it is.
    let extreme = below.min(all - below).ceil() as usize;
    let ways = ways(a.len(), b.len());
    let tail: f64 = ways.iter().take(extreme + 1).sum();
    (2.0 * tail / ways.iter().sum::<f64>()).min(1.0)
}

/// The least that [`chance`] can be for samples of these sizes.
fn chance_least(a: usize, b: usize) -> f64 {
    2.0 / ways(a, b).iter().sum::<f64>().max(1.0)
}

/// In how many orders of `a` and `b` things each number of pairs stands the other way round.
fn ways(a: usize, b: usize) -> Vec<f64> {
    // The Gaussian binomial coefficient, as the product of (1 - q^(b+i)) / (1 - q^i).
    let mut ways = vec![0.0; a * b + 1];
    ways[0] = 1.0;
    for step in 1..=a {
        for at in (b + step..ways.len()).rev() {
            ways[at] -= ways[at - b - step];
        }
        for at in step..ways.len() {
            ways[at] += ways[at - step];
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Run, Unit};

    fn report(values: &[f64]) -> Report {
        let mut report = Report::new("latency pairs".into(), BTreeMap::new());
        for value in values {
            let mut run = Run::default();
            run.add("cost", *value, Unit::Nanoseconds, Better::Lower);
            run.add("rate", 1e9 / value, Unit::PerSecond, Better::Higher);
            run.count("lost", 0, Better::Lower);
            report.runs.push(run);
        }
        report
    }

    fn compare(a: &[f64], b: &[f64]) -> Comparison {
        Comparison::new(vec![report(a)], vec![report(b)]).expect("the same scenario")
    }

    #[test]
    fn orders_are_counted_as_the_tables_have_them() {
        assert_eq!(ways(2, 2), [1.0, 1.0, 2.0, 1.0, 1.0]);
        assert_eq!(ways(4, 4).iter().sum::<f64>(), 70.0);
        // The critical value for 5 and 5 at 5 %, two-sided, is 2.
        let tail = |at: usize| 2.0 * ways(5, 5).iter().take(at + 1).sum::<f64>() / 252.0;
        assert!(tail(2) <= 0.05 && tail(3) > 0.05);
    }

    #[test]
    fn a_clear_order_of_enough_runs_is_a_difference() {
        let compared = compare(&[100.0, 101.0, 102.0, 103.0], &[110.0, 111.0, 112.0, 109.0]);
        assert_eq!(compared.judge("cost"), Judgement::Worse);
        assert_eq!(compared.judge("rate"), Judgement::Worse);
        assert_eq!(compared.judge("lost"), Judgement::Same);
        let compared = compare(&[110.0, 111.0, 112.0, 109.0], &[100.0, 101.0, 102.0, 103.0]);
        assert_eq!(compared.judge("cost"), Judgement::Better);
    }

    #[test]
    fn an_order_that_chance_makes_is_noise() {
        let compared = compare(&[100.0, 104.0, 102.0, 110.0], &[103.0, 101.0, 109.0, 111.0]);
        assert_eq!(compared.judge("cost"), Judgement::Noise);
        let few = compare(&[100.0, 101.0, 102.0], &[200.0, 201.0, 202.0]);
        assert_eq!(few.judge("cost"), Judgement::TooFew);
        let tied = compare(&[100.0, 100.0, 100.0, 101.0], &[100.0, 100.0, 100.0, 102.0]);
        assert_eq!(tied.judge("cost"), Judgement::Noise);
    }

    #[test]
    fn runs_of_several_files_are_runs_of_one_side() {
        let one = || report(&[100.0]);
        let two = || report(&[200.0]);
        let sides = |make: fn() -> Report| (0..4).map(|_| make()).collect::<Vec<_>>();
        let compared = Comparison::new(sides(|| report(&[100.0])), sides(|| report(&[200.0])))
            .expect("the same scenario");
        assert_eq!(compared.judge("cost"), Judgement::Worse);
        let table = compared.to_table();
        assert!(table.contains("2.000  WORSE"), "{table}");
        let mut other = two();
        other.scenario = "retained".into();
        assert!(Comparison::new(vec![one()], vec![other]).is_err());
        assert!(Comparison::new(vec![], vec![one()]).is_err());
    }

    #[test]
    fn other_settings_are_named() {
        let mut first = report(&[1.0]);
        first.settings.insert("qos".into(), "1".into());
        let compared = Comparison::new(vec![first], vec![report(&[1.0])]).expect("the same");
        assert!(compared.to_table().contains("! qos: 1 against nothing"));
    }
}
