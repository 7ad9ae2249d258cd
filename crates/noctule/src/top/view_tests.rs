//! What the dashboard shows, on a terminal in memory.

use super::super::model::{Model, News};
use super::*;
use noctule_client::Message;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::time::Duration;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn screen(width: u16, height: u16, snapshot: &Snapshot, look: Look) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("it is memory");
    terminal.draw(|frame| draw(frame, "localhost:1883", snapshot, look)).expect("it is memory");
    let buffer = terminal.backend().buffer();
    let cells = |y| (0..width).map(move |x| buffer[(x, y)].symbol());
    (0..height).map(|y| cells(y).collect::<String>().trim_end().to_owned()).collect()
}

fn sys(name: &str, value: impl ToString) -> News {
    News::Sys(Message::new(format!("$SYS/broker/{name}"), value.to_string()))
}

/// A broker with something in every section.
fn model() -> Model {
    let mut model = Model::new(secs(0));
    model.take(secs(0), News::Hears("#".into()));
    for second in 1..4_u64 {
        model.take(secs(second * 10), sys("version", "noctule version 0.1.0"));
        model.take(secs(second * 10), sys("uptime", second * 10));
        model.take(secs(second * 10), sys("publish/messages/received", second * 1000));
        model.take(secs(second * 10), sys("publish/messages/dropped", second * second));
        model.take(secs(second * 10), sys("bytes/sent", second * 50_000_000));
        model.take(secs(second * 10), sys("clients/connected", 42));
        model.take(secs(second * 10), sys("heap/current", 123_456_789));
        for _ in 0..900 {
            model.take(secs(second * 10), News::Sampled(Message::new("home/door", ""), 100));
        }
        model.take(secs(second * 10), News::Sampled(Message::new("home/attic", ""), 1_000_000));
    }
    model.tick(secs(31));
    model
}

fn line<'a>(lines: &'a [String], start: &str) -> &'a str {
    let found = lines.iter().find(|line| line.trim_start().starts_with(start));
    found.unwrap_or_else(|| panic!("no {start:?} in {lines:#?}"))
}

#[test]
fn every_section_has_its_figures() {
    let lines = screen(100, 30, &model().snapshot(secs(31)), Look::default());
    assert!(lines[0].contains("localhost:1883 · noctule version 0.1.0 · up 0:00:31"), "{lines:#?}");
    assert!(lines[0].ends_with("updated 1 s ago, every 10 s"), "{}", lines[0]);
    let words: Vec<&str> = line(&lines, "messages in").split_whitespace().collect();
    assert_eq!(words, ["messages", "in", "100.0", "–", "–", "–", "3,000", "██"]);
    assert!(line(&lines, "dropped").contains("0.50"));
    assert!(line(&lines, "bytes out").contains("5.00 MB"));
    assert!(line(&lines, "clients connected").contains("42"));
    assert!(lines.iter().any(|line| line.contains("heap") && line.contains("123 MB")));
    let heading = line(&lines, "busiest topics");
    assert!(heading.contains("901 of 1,000 messages heard (90 %)"), "{heading}");
    assert!(line(&lines, "messages/s").ends_with("topic"));
    assert!(lines.last().expect("a line").contains("q quit"));
}

#[test]
fn topics_are_sorted_as_the_user_likes() {
    let snapshot = model().snapshot(secs(31));
    let order = |sort| {
        let lines = screen(100, 30, &snapshot, Look { sort, ..Look::default() });
        let at = |name| lines.iter().position(|line| line.ends_with(name)).expect("it is listed");
        at("home/attic") < at("home/door")
    };
    assert!(!order(Sort::Messages));
    assert!(order(Sort::Bytes));
    assert!(order(Sort::Name));
}

#[test]
fn it_fits_every_terminal() {
    let mut online = model();
    let normal = online.snapshot(secs(31));
    online.take(secs(40), News::Lost("closed ".repeat(30)));
    let lost = online.snapshot(secs(41));
    let silent = Model::new(secs(0)).snapshot(secs(10));
    for snapshot in [&normal, &lost, &silent] {
        for width in [0, 1, 2, 3, 7, 13, 14, 23, 29, 30, 31, 59, 60, 61, 80, 129] {
            for height in 0..27 {
                for layer in [Layer::Figures, Layer::Help] {
                    screen(width, height, snapshot, Look { layer, ..Look::default() });
                }
            }
        }
        screen(500, 200, snapshot, Look::default());
    }
}

#[test]
fn a_small_terminal_shows_what_matters_most() {
    let lines = screen(40, 8, &model().snapshot(secs(31)), Look::default());
    assert!(lines[0].contains("noctule top"));
    assert!(line(&lines, "messages in").contains("100.0"));
    assert!(line(&lines, "busiest topics").ends_with('…'), "{lines:#?}");
    assert!(lines[7].contains("q quit"));
}

#[test]
fn trouble_is_in_the_way_of_nothing_but_seen() {
    let mut model = model();
    model.take(secs(40), News::Lost("connection refused".into()));
    for width in [100, 40] {
        let lines = screen(width, 30, &model.snapshot(secs(45)), Look::default());
        assert!(lines[0].contains("no connection for 5 s: conn"), "{lines:#?}");
        assert!(line(&lines, "clients connected").contains("42"));
    }
    let silent = Model::new(secs(0)).snapshot(secs(10));
    let lines = screen(60, 30, &silent, Look::default());
    assert!(lines[1].starts_with("Nothing has come under $SYS."), "{lines:#?}");
    assert!(lines[0].ends_with("waiting for $SYS"));
    model.take(secs(50), News::SampleRefused("not authorized (code 135)".into()));
    let lines = screen(100, 30, &model.snapshot(secs(51)), Look::default());
    assert!(lines.iter().any(|line| line.contains("not authorized (code 135)")), "{lines:#?}");
}

#[test]
fn help_and_pause_are_seen() {
    let snapshot = model().snapshot(secs(31));
    let look = Look { layer: Layer::Help, time: Time::Stands, ..Look::default() };
    let lines = screen(100, 30, &snapshot, look);
    assert!(lines.iter().any(|line| line.contains("sort topics: messages, bytes, name")));
    assert!(lines[0].ends_with("paused"), "{}", lines[0]);
    assert!(lines[29].contains("p go on"));
}

#[test]
fn hostile_words_stay_in_their_line_and_harm_nothing() {
    let mut model = Model::new(secs(0));
    model.take(secs(0), News::Hears("\u{202e}#".into()));
    model.take(secs(1), sys("version", format!("\x1b]0;owned\x07{}", "v".repeat(10_000))));
    let names = [
        "\x1b[2J\x1b[H\u{9b}31m".to_owned(),
        "温".repeat(20_000),
        format!("a{}", "\u{335}".repeat(20_000)),
        "\u{200b}\u{202e}\u{feff}".to_owned(),
        "family 👨‍👩‍👧‍👦 flag 🇩🇪".to_owned(),
    ];
    for name in &names {
        model.take(secs(1), News::Sampled(Message::new(name.as_str(), ""), 1));
    }
    model.take(secs(1), News::Lost("\x1bcline\r\nbreak".into()));
    model.tick(secs(2));
    let snapshot = model.snapshot(secs(2));
    for width in (1..40).chain([60, 80, 119]) {
        let lines = screen(width, 40, &snapshot, Look::default());
        for line in lines {
            let visible = |c: char| !c.is_control() && c != '\u{202e}' && c != '\u{200b}';
            assert!(line.chars().all(visible), "{line:?}");
        }
    }
    let lines = screen(100, 40, &snapshot, Look::default());
    assert!(lines.iter().any(|line| line.contains("\\x1b[2J\\x1b[H\\u{9b}31m")), "{lines:#?}");
    assert!(lines[0].contains("\\x1bcline\\r\\nbreak"));
}
