//! The dashboard as widgets: a [`Snapshot`] in, cells out. Pure.

use super::model::{Link, SampleSnapshot, Snapshot};
use super::rounds::Speed;
use super::sys::{FLOWS, Flow, FlowNames, GAUGES, Unit};
use super::text::{age, bytes, count, cut, percent, rate, readable, spark, uptime, wrap};
use super::topics::{Sort, Topic};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Clear, Paragraph};

/// Columns of a name, of a rate, of a total.
const NAME: usize = 13;
const RATE: usize = 10;
const TOTAL: usize = 16;
/// Columns of a gauge with its name and the gap behind it.
const GAUGE: usize = 30;

const HELP: &str = "\
q, Ctrl-C   quit
p, space    pause: what is shown stays
s           sort topics: messages, bytes, name
t           sample topics, or no more
? or h      this help

Rates are a second, between the last two updates of the
broker; 1, 5 and 15 min are its own averages. Dropped
messages were owed to somebody who did not get them.

Sampling subscribes like any client: what it hears counts
as sent, too. It keeps to a budget and listens only a part
of the time to a broker that is busier than that.

any key: back";

/// How the user wants to see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Look {
    pub(super) sort: Sort,
    pub(super) layer: Layer,
    pub(super) time: Time,
}

/// What lies on top.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Layer {
    #[default]
    Figures,
    Help,
}

/// Whether what is shown moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Time {
    #[default]
    Runs,
    Stands,
}

/// Draws everything into whatever room there is.
pub(super) fn draw(frame: &mut Frame<'_>, place: &str, snapshot: &Snapshot, look: Look) {
    let mut room = Room { left: frame.area() };
    frame.render_widget(header(room.left.width.into(), place, snapshot, look), room.take(1));
    if room.left.height >= 3 {
        let foot = room.take_last(1);
        frame.render_widget(footer(look), foot);
    }
    if let Some(trouble) = &snapshot.trouble {
        let lines = wrap(&readable(trouble), room.left.width.into());
        let words: Text<'_> = lines.into_iter().map(Line::from).collect();
        let height = words.height();
        frame.render_widget(words.yellow(), room.take(height));
    }
    let topics = match &snapshot.sample {
        SampleSnapshot::Off => 2,
        SampleSnapshot::Refused(_) => 3,
        SampleSnapshot::On { .. } => 6,
    };
    let kept = topics.min(room.left.height / 3);
    let width = usize::from(room.left.width);
    for section in [rates(width, snapshot), gauges(width, snapshot)] {
        let height = section.height().min(room.left.height.saturating_sub(kept).into());
        // A heading alone says nothing.
        if height >= 2 {
            frame.render_widget(section, room.take(height));
        }
    }
    let rest = room.left;
    frame.render_widget(sample(rest, snapshot, look.sort), rest);
    match look.layer {
        Layer::Figures => {}
        Layer::Help => help(frame),
    }
}

/// What is left of the screen.
struct Room {
    left: Rect,
}

impl Room {
    /// So many lines from above, or what there is.
    fn take(&mut self, lines: usize) -> Rect {
        let height = u16::try_from(lines).unwrap_or(u16::MAX).min(self.left.height);
        let taken = Rect { height, ..self.left };
        self.left =
            Rect { y: self.left.y + height, height: self.left.height - height, ..self.left };
        taken
    }

    /// So many from below.
    fn take_last(&mut self, lines: u16) -> Rect {
        let height = lines.min(self.left.height);
        self.left.height -= height;
        Rect { y: self.left.y + self.left.height, height, ..self.left }
    }
}

fn header(width: usize, place: &str, snapshot: &Snapshot, look: Look) -> Line<'static> {
    let state = match (&snapshot.link, look.time) {
        (_, Time::Stands) => " paused ".black().on_yellow(),
        (Link::Lost(since, why), Time::Runs) => {
            let lost = age(snapshot.at.saturating_sub(*since));
            format!(" no connection for {lost}: {} ", readable(why)).white().on_red()
        }
        (Link::Online(_), Time::Runs) => Span::raw(freshness(snapshot)),
    };
    let mut words =
        vec![" noctule top ".bold().reversed(), Span::raw(format!(" {}", readable(place)))];
    if let Some(version) = &snapshot.version {
        words.push(Span::raw(format!(" · {}", cut(&readable(version), 40))));
    }
    if let Some(time) = snapshot.uptime {
        words.push(Span::raw(format!(" · up {}", uptime(time.as_secs()))));
    }
    let mut line = Line::from(words);
    let (used, wanted) = (line.width(), state.width());
    if used + wanted < width {
        line.push_span(" ".repeat(width - used - wanted));
        line.push_span(state);
    } else if !matches!((&snapshot.link, look.time), (Link::Online(_), Time::Runs)) {
        // Trouble is more important than who the broker is.
        return Line::from(state);
    }
    line
}

fn freshness(snapshot: &Snapshot) -> String {
    match (snapshot.age, snapshot.every) {
        (Some(since), Some(every)) => {
            format!("updated {} ago, every {} ", age(since), age(every.saturating_add(HALF_SEC)))
        }
        (Some(since), None) => format!("updated {} ago ", age(since)),
        (None, _) => "waiting for $SYS ".to_owned(),
    }
}

/// Rounds a time to whole seconds.
const HALF_SEC: std::time::Duration = std::time::Duration::from_millis(500);

fn footer(look: Look) -> Line<'static> {
    let sort = format!(" sort: {}   ", look.sort.word());
    let pause = match look.time {
        Time::Runs => " pause   ",
        Time::Stands => " go on   ",
    };
    let key = |key: &'static str| key.bold();
    Line::from(vec![
        key(" q"),
        " quit   ".into(),
        key("p"),
        pause.into(),
        key("s"),
        sort.into(),
        key("t"),
        " topics   ".into(),
        key("?"),
        " help".into(),
    ])
    .dim()
}

/// A line that opens a section.
fn heading(width: usize, words: &str) -> Line<'static> {
    let words = cut(words, width);
    let rule = "─".repeat(width.saturating_sub(Span::raw(&words).width() + 1));
    Line::from(vec![words.bold(), " ".into(), rule.dim()])
}

fn rates(width: usize, snapshot: &Snapshot) -> Text<'static> {
    let head = ["now", "1 min", "5 min", "15 min"].map(|words| format!("{words:>RATE$}")).concat();
    let head = format!("{:<NAME$}{head}{:>TOTAL$}  before", "per second", "in all");
    let flows = FLOWS.iter().zip(&snapshot.flows);
    let lines = flows.map(|(names, speed)| rate_line(width, names, speed));
    std::iter::once(heading(width, &head)).chain(lines).collect()
}

fn rate_line(width: usize, names: &FlowNames, speed: &Speed) -> Line<'static> {
    let or_dash = |text: Option<String>, width: usize| {
        let text = text.unwrap_or_else(|| "–".to_owned());
        format!("{text:>width$}")
    };
    let now = Span::raw(or_dash(speed.now.map(|rate| names.rate(rate)), RATE));
    let lossy = names.flow == Flow::Dropped && speed.now.is_some_and(|rate| rate > 0.0);
    let mut line = Line::from(format!("{:<NAME$}", names.label));
    line.push_span(if lossy { now.red().bold() } else { now.bold() });
    for load in speed.loads {
        line.push_span(or_dash(load.map(|rate| names.rate(rate)), RATE));
    }
    let total = speed.total.map(|total| match names.unit() {
        Unit::Bytes => bytes(total as f64),
        Unit::Pieces => short_count(total, TOTAL - 1),
    });
    line.push_span(or_dash(total, TOTAL));
    let room = width.saturating_sub(line.width() + 2);
    line.push_span(format!("  {}", spark(&speed.history, room)).cyan());
    line
}

/// A count with all its digits where they fit.
fn short_count(number: u64, columns: usize) -> String {
    let exact = count(number);
    if exact.len() <= columns { exact } else { rate(number as f64) }
}

fn gauges(width: usize, snapshot: &Snapshot) -> Text<'static> {
    let columns = (width / GAUGE).max(1);
    let rows = GAUGES.len().div_ceil(columns);
    let cell = |at: usize| {
        let names = GAUGES.get(at)?;
        let value = snapshot.gauges[at].map(|value| match names.unit {
            Unit::Pieces => short_count(value, 10),
            Unit::Bytes => bytes(value as f64),
        });
        let value = value.unwrap_or_else(|| "–".to_owned());
        Some([Span::raw(format!("{:<17}", names.label)), format!("{value:>10}   ").bold()])
    };
    let line = |row: usize| {
        let cells = (0..columns).filter_map(|column| cell(column * rows + row));
        Line::from(cells.flatten().collect::<Vec<_>>())
    };
    std::iter::once(heading(width, "now")).chain((0..rows).map(line)).collect()
}

fn sample(area: Rect, snapshot: &Snapshot, sort: Sort) -> Text<'static> {
    let width = usize::from(area.width);
    match &snapshot.sample {
        SampleSnapshot::Off => {
            heading(width, "busiest topics: press t to sample messages of all topics").into()
        }
        SampleSnapshot::Refused(why) => Text::from(vec![
            heading(width, "busiest topics"),
            Line::from(format!("The broker does not let this user sample them: {}", readable(why)))
                .yellow(),
        ]),
        SampleSnapshot::On { filter, topics, heard, share } => {
            let mut text = Text::from(heading(width, &sample_words(filter, *heard, *share)));
            text.push_line(
                Line::from(format!(
                    "{:>RATE$}{:>RATE$}{:>9}  topic",
                    "messages/s", "bytes/s", "share"
                ))
                .dim(),
            );
            let lines = usize::from(area.height).saturating_sub(2);
            for topic in sort.first(topics, lines) {
                text.push_line(topic_line(width, topic));
            }
            text
        }
    }
}

/// What the sample is a sample of.
pub(super) fn sample_words(filter: &str, heard: f64, share: Option<(u64, u64)>) -> String {
    let of = match share {
        Some((heard, published)) if published > 0 => format!(
            "{} of {} messages heard ({})",
            count(heard),
            count(published),
            percent((heard as f64 / published as f64).min(1.0))
        ),
        Some(_) => "no messages lately".to_owned(),
        None => "share not known yet".to_owned(),
    };
    format!(
        "busiest topics of {}: {of}, listening {} of the time",
        cut(&readable(filter), 40),
        percent(heard)
    )
}

fn topic_line(width: usize, topic: &Topic) -> Line<'static> {
    let least = if topic.at_least { "≥" } else { "" };
    let figures = format!(
        "{:>RATE$}{:>RATE$}{:>9}  ",
        format!("{least}{}", rate(topic.messages)),
        bytes(topic.bytes),
        percent(topic.share),
    );
    let room = width.saturating_sub(Span::raw(&figures).width());
    let rest = if topic.shortened { "…" } else { "" };
    Line::from(vec![figures.into(), cut(&format!("{}{rest}", readable(&topic.name)), room).bold()])
}

fn help(frame: &mut Frame<'_>) {
    let words = Text::from(HELP);
    let area = frame.area();
    let width = u16::try_from(words.width() + 4).unwrap_or(u16::MAX).min(area.width);
    let height = u16::try_from(words.height() + 2).unwrap_or(u16::MAX).min(area.height);
    let corner = Position { x: (area.width - width) / 2, y: (area.height - height) / 2 };
    let area = Rect { x: corner.x, y: corner.y, width, height };
    frame.render_widget(Clear, area);
    let frame_line = Block::bordered().title(" noctule top ").style(Style::new());
    frame.render_widget(Paragraph::new(words).block(frame_line), area);
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
