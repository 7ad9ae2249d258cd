//! `noctule top` without a terminal: a snapshot each interval, or only one.

use super::feed::Feed;
use super::model::{Model, News};
use super::signals::told_to_end;
use super::{Shape, TopArgs, plain};
use std::io::{ErrorKind, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often it is looked whether something is due.
const TICK: Duration = Duration::from_millis(100);

/// A sample that is to be printed once is heard for so long.
const SAMPLE: Duration = Duration::from_secs(5);

/// A broker whose updates never end is printed in the middle of one.
const UNSETTLED: Duration = Duration::from_secs(1);

/// Prints until it is done, told to end, or has nothing to print.
pub(super) async fn run(args: &TopArgs, feed: &mut Feed, place: &str) -> ExitCode {
    let mut pipe = Pipe::new(args, place);
    let mut stop = pin!(told_to_end());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::new();
    loop {
        let end = tokio::select! {
            count = feed.news(&mut batch) => match count {
                0 => Some(ExitCode::FAILURE),
                _ => batch.drain(..).find_map(|news| pipe.take(news)),
            },
            _ = ticks.tick() => pipe.tick(),
            () = &mut stop => Some(ExitCode::SUCCESS),
        };
        if let Some(code) = end {
            return code;
        }
    }
}

struct Pipe<'a> {
    args: &'a TopArgs,
    place: &'a str,
    model: Model,
    start: Instant,
    /// When the next snapshot is to be printed.
    due: Duration,
    /// What was complained of last.
    trouble: Option<String>,
}

impl Pipe<'_> {
    fn new<'a>(args: &'a TopArgs, place: &'a str) -> Pipe<'a> {
        // What is sampled must be heard for a while before it can be told.
        let due = if args.topics.is_some() { SAMPLE } else { Duration::ZERO };
        let (model, start) = (Model::new(Duration::ZERO), Instant::now());
        Pipe { args, place, model, start, due, trouble: None }
    }

    /// Answers the exit code if this is the end.
    fn take(&mut self, news: News) -> Option<ExitCode> {
        let end = match &news {
            News::Lost(why) if self.args.once => Some(format!("Error: {why}")),
            News::SampleRefused(why) => {
                Some(format!("Error: the broker does not let this user sample topics: {why}"))
            }
            News::Lost(why) => {
                self.complain(format!("Connection lost: {why}; trying again"));
                None
            }
            News::Online => {
                // The first one is no news.
                if self.trouble.take().is_some() {
                    self.args.access.complain("Connected again");
                }
                None
            }
            News::SysRefused(_)
            | News::Sys(_)
            | News::Hears(_)
            | News::Deaf
            | News::Sampled(..)
            | News::SampleEnded => None,
        };
        self.model.take(self.start.elapsed(), news);
        end.map(|words| {
            self.args.access.complain(&words);
            ExitCode::FAILURE
        })
    }

    /// Complains, but not twice of the same.
    fn complain(&mut self, words: String) {
        if self.trouble.as_ref() != Some(&words) {
            self.args.access.complain(&words);
            self.trouble = Some(words);
        }
    }

    /// Prints what is due; answers the exit code if this is the end.
    fn tick(&mut self) -> Option<ExitCode> {
        let now = self.start.elapsed();
        self.model.tick(now);
        let late = self.due.saturating_add(UNSETTLED);
        if now < self.due || !(self.model.is_settled(now) || now >= late) {
            return None;
        }
        if !self.model.has_figures() {
            let trouble = self.model.trouble(now)?;
            self.complain(format!("Error: {trouble}"));
            if self.args.topics.is_none() {
                return Some(ExitCode::FAILURE);
            }
        }
        self.due = now.saturating_add(Duration::from_secs(self.args.interval.get().into()));
        self.print(now)
    }

    fn print(&mut self, now: Duration) -> Option<ExitCode> {
        let snapshot = self.model.snapshot(now);
        let mut words = match self.args.shape() {
            Shape::Text => plain::text(self.place, &snapshot),
            Shape::Json => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                plain::json(self.place, &snapshot, since.as_secs_f64())
            }
        };
        words.push('\n');
        let mut out = std::io::stdout().lock();
        match out.write_all(words.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => self.args.once.then_some(ExitCode::SUCCESS),
            // Nobody reads any more, as behind `head`.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Some(ExitCode::SUCCESS),
            Err(error) => {
                self.args.access.complain(&format!("Error: {error}"));
                Some(ExitCode::FAILURE)
            }
        }
    }
}
