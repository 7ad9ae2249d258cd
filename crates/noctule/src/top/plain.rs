//! Snapshots as text and as JSON, for pipes and scripts.

use super::model::{Link, SampleSnapshot, Snapshot};
use super::sys::{FLOWS, GAUGES, SPANS, Unit};
use super::text::{bytes, count, percent, rate, readable, uptime};
use super::topics::{Sort, Topic};
use super::view::sample_words;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Topics that a snapshot lists.
const TOPICS: usize = 20;

/// A block of lines, for people.
pub(super) fn text(place: &str, snapshot: &Snapshot) -> String {
    let mut out = String::new();
    write_text(&mut out, place, snapshot).expect("writing to a String cannot fail");
    out
}

fn write_text(out: &mut String, place: &str, snapshot: &Snapshot) -> std::fmt::Result {
    write!(out, "{}", readable(place))?;
    if let Some(version) = &snapshot.version {
        write!(out, ", {}", readable(version))?;
    }
    if let Some(time) = snapshot.uptime {
        write!(out, ", up {}", uptime(time.as_secs()))?;
    }
    if let Link::Lost(_, why) = &snapshot.link {
        write!(out, ", no connection: {}", readable(why))?;
    }
    writeln!(out, "\n{:<18}{:>12}{:>12}{:>24}", "per second", "now", "1 min", "in all")?;
    let dash = || "-".to_owned();
    for (names, speed) in FLOWS.iter().zip(&snapshot.flows) {
        let [now, minute] =
            [speed.now, speed.loads[0]].map(|number| number.map_or_else(dash, |it| names.rate(it)));
        let total = speed.total.map_or_else(dash, count);
        writeln!(out, "{:<18}{now:>12}{minute:>12}{total:>24}", names.label)?;
    }
    for (names, value) in GAUGES.iter().zip(snapshot.gauges) {
        let value = value.map_or_else(dash, |value| match names.unit {
            Unit::Pieces => count(value),
            Unit::Bytes => bytes(value as f64),
        });
        writeln!(out, "{:<18}{value:>12}", names.label)?;
    }
    match &snapshot.sample {
        SampleSnapshot::Off => Ok(()),
        SampleSnapshot::Refused(why) => writeln!(out, "topics: refused: {}", readable(why)),
        SampleSnapshot::On { filter, topics, heard, share } => {
            writeln!(out, "{}", sample_words(filter, *heard, *share))?;
            Sort::Messages.first(topics, TOPICS).into_iter().try_for_each(|it| topic_line(out, it))
        }
    }
}

fn topic_line(out: &mut String, topic: &Topic) -> std::fmt::Result {
    let least = if topic.at_least { "≥" } else { "" };
    let messages = format!("{least}{}/s", rate(topic.messages));
    let bytes = format!("{}/s", bytes(topic.bytes));
    let rest = if topic.shortened { "…" } else { "" };
    let share = percent(topic.share);
    writeln!(out, "{messages:>14}{bytes:>14}{share:>9}  {}{rest}", readable(&topic.name))
}

/// One line, for programs. Names are said in full, numbers in units; what is not known is null.
pub(super) fn json(place: &str, snapshot: &Snapshot, unix_secs: f64) -> String {
    let mut groups = Map::new();
    for (names, value) in GAUGES.iter().zip(snapshot.gauges) {
        let (group, name) = names.key;
        let group = groups.entry(group).or_insert_with(|| json!({}));
        group[name] = json!(value);
    }
    let rates = FLOWS.iter().zip(&snapshot.flows).map(|(names, speed)| {
        let loads =
            SPANS.iter().zip(speed.loads).map(|(span, load)| ((*span).to_owned(), json!(load)));
        let mut rate: Map<String, Value> = loads.collect();
        rate.insert("now".to_owned(), json!(speed.now));
        rate.insert("total".to_owned(), json!(speed.total));
        (names.key.to_owned(), Value::Object(rate))
    });
    let (connected, lost) = match &snapshot.link {
        Link::Online(_) => (true, None),
        Link::Lost(_, why) => (false, Some(why)),
    };
    let mut all = json!({
        "time": unix_secs,
        "broker": {
            "address": place,
            "version": snapshot.version,
            "uptime_secs": snapshot.uptime.map(|time| time.as_secs()),
            "connected": connected,
            "lost": lost,
            "update_age_secs": snapshot.age.map(|time| time.as_secs_f64()),
        },
        "rates": rates.collect::<Map<_, _>>(),
        "topics": topics(&snapshot.sample),
    });
    if let Value::Object(all) = &mut all {
        all.append(&mut groups);
    }
    harmless(&all.to_string())
}

fn topics(sample: &SampleSnapshot) -> Value {
    match sample {
        SampleSnapshot::Off => Value::Null,
        SampleSnapshot::Refused(why) => json!({ "refused": why }),
        SampleSnapshot::On { filter, topics, heard, share } => {
            let busiest = Sort::Messages.first(topics, TOPICS).into_iter().map(|topic| {
                json!({
                    "topic": topic.name,
                    "shortened": topic.shortened,
                    "messages": topic.messages,
                    "bytes": topic.bytes,
                    "share": topic.share,
                    "at_least": topic.at_least,
                })
            });
            json!({
                "filter": filter,
                "listening": heard,
                "heard": share.map(|(heard, _)| heard),
                "published": share.map(|(_, published)| published),
                "busiest": busiest.collect::<Vec<_>>(),
            })
        }
    }
}

/// JSON leaves some control characters as they are; a terminal would obey them.
fn harmless(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() {
            write!(out, "\\u{:04x}", u32::from(c)).expect("writing to a String cannot fail");
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::model::{Model, News};
    use super::*;
    use noctule_client::Message;
    use std::time::Duration;

    fn snapshot() -> Snapshot {
        let mut model = Model::new(Duration::ZERO);
        let sys = |name: &str, value: &str| {
            News::Sys(Message::new(format!("$SYS/broker/{name}"), value.to_owned()))
        };
        model.take(Duration::ZERO, News::Hears("#".into()));
        model.take(Duration::ZERO, sys("version", "v\u{9b}\x1b[31m"));
        model.take(Duration::ZERO, sys("clients/connected", "3"));
        model.take(Duration::ZERO, sys("heap/current", "2000000"));
        model.take(Duration::ZERO, sys("publish/messages/received", "7"));
        let hostile = Message::new("a\u{9b}\n\u{7f}b", "");
        model.take(Duration::ZERO, News::Sampled(hostile, 5));
        model.tick(Duration::from_secs(1));
        model.snapshot(Duration::from_secs(1))
    }

    #[test]
    fn json_says_what_is_known_and_null_for_the_rest() {
        let line = json("h:1", &snapshot(), 1.5);
        assert!(!line.chars().any(char::is_control), "{line}");
        let value: Value = serde_json::from_str(&line).expect("it is JSON");
        assert_eq!(value["time"], 1.5);
        assert_eq!(value["broker"]["version"], "v\u{9b}\x1b[31m");
        assert_eq!(value["clients"]["connected"], 3);
        assert_eq!(value["clients"]["total"], Value::Null);
        assert_eq!(value["rates"]["publish_received"]["total"], 7);
        assert_eq!(value["rates"]["publish_received"]["now"], Value::Null);
        assert_eq!(value["topics"]["busiest"][0]["topic"], "a\u{9b}\n\u{7f}b");
        assert_eq!(value["topics"]["heard"], Value::Null);
    }

    #[test]
    fn text_has_a_line_for_each_figure_and_nothing_a_terminal_obeys() {
        let text = text("h:1", &snapshot());
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert_eq!(text.lines().count(), 2 + FLOWS.len() + GAUGES.len() + 2);
        assert!(text.contains("clients connected            3\n"), "{text}");
        assert!(text.ends_with("a\\u{9b}\\n\\x7fb\n"), "{text}");
    }
}
