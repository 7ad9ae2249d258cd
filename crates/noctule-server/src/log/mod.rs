//! Log lines, written by a thread of their own: a terminal that is not read, or a full pipe, must
//! not stop a shard. Lines beyond a bound are dropped and counted.
//!
//! * `sinks`      where lines end up
//! * `time`       what they begin with
//! * `mosquitto`  how mosquitto says what happens

mod mosquitto;
mod sinks;
mod time;

pub(crate) use mosquitto::{OWN as MOSQUITTO, version as mosquitto_version};
pub(crate) use sinks::Publisher;

use crate::config::{Log, LogFormat, LogLevel, LogTo, LogTypes};
use mosquitto::Mosquitto;
use sinks::Sinks;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use time::Strftime;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// Events of clients that come and go.
pub(crate) const CLIENTS: &str = "clients";

/// How severe a line is, as the log of the system counts it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Priority(u8);

/// Lines that may wait.
const LINES_MAX: usize = 8192;

/// How long the end of the process waits for lines to be taken.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two tries to put the end behind lines that wait.
const AGAIN: Duration = Duration::from_millis(5);

/// The log of a process.
pub(crate) struct LogOutput {
    format: LogFormat,
    level: reload::Handle<LevelFilter, Registry>,
    /// Which lines of mosquitto's format are written.
    types: Arc<AtomicU16>,
    lines: SyncSender<Line>,
    /// Disconnected once the thread has ended.
    ended: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

enum Line {
    Text(Priority, Vec<u8>),
    /// The file has another name by now.
    Reopen,
    /// Lines can be published.
    Publisher(Publisher),
    /// Nothing comes after it.
    End,
}

impl LogOutput {
    /// Starts the log. The first lines are those of everyday, whatever is configured, until
    /// [`settle`](LogOutput::settle).
    pub(crate) fn start(log: &Log) -> io::Result<LogOutput> {
        let (lines, queue) = sync_channel(LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer { lines: lines.clone(), dropped: Arc::clone(&dropped) };
        let format = log.format;
        let (ending, ended) = sync_channel(0);
        let mut sinks = Sinks::open(log)?;
        let thread = std::thread::Builder::new().name("log".into()).spawn(move || {
            let _ending = ending;
            write_lines(&queue, &dropped, format, &mut sinks);
        })?;
        let first = LogLevel::Info.max(log.level);
        let (filter, level) = reload::Layer::new(filter(format, first));
        let types = log.types_in_force().bits() | LogTypes::of_level(first).bits();
        let types = Arc::new(AtomicU16::new(types));
        let layer = layer(log, writer, Arc::clone(&types));
        let wanted = wanted(format, log.connection_messages);
        let layer = layer.with_filter(filter_fn(wanted));
        let started = tracing_subscriber::registry().with(filter).with(layer).try_init();
        started.map_err(io::Error::other)?;
        Ok(LogOutput { format, level, types, lines, ended, thread: Some(thread) })
    }

    /// Writes what is configured from here on.
    pub(crate) fn settle(&self, log: &Log) {
        self.types.store(log.types_in_force().bits(), Ordering::Relaxed);
        if let Err(error) = self.level.reload(filter(self.format, log.level)) {
            tracing::warn!("the log level stays: {error}");
        }
    }

    /// The broker runs: lines can be published from here on.
    pub(crate) fn publish_by(&self, publisher: Publisher) {
        // At the start no line waits for long.
        if self.lines.send(Line::Publisher(publisher)).is_err() {
            tracing::warn!("the log is not published: its thread has ended");
        }
    }

    /// Opens the file anew.
    pub(crate) fn reopen(&self) {
        // If that many lines wait, the file has another reason to be looked at.
        if self.lines.try_send(Line::Reopen).is_err() {
            tracing::warn!("the log file is not opened anew: too many lines wait");
        }
    }
}

/// How lines are made.
fn layer<S>(log: &Log, writer: Writer, types: Arc<AtomicU16>) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let layer = fmt::layer().with_writer(writer).with_target(false);
    let coloured = log.to.contains(&LogTo::Stderr) && log.file.is_none();
    let coloured = coloured && io::IsTerminal::is_terminal(&io::stderr());
    let format = &log.timestamp_format;
    match log.format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Mosquitto => {
            let time = log.timestamp.then(|| Strftime(format.clone()));
            layer.event_format(Mosquitto { types, time }).boxed()
        }
        LogFormat::Text if !log.timestamp => layer.without_time().with_ansi(coloured).boxed(),
        LogFormat::Text if format.is_empty() => layer.with_ansi(coloured).boxed(),
        LogFormat::Text => layer.with_timer(Strftime(format.clone())).with_ansi(coloured).boxed(),
    }
}

/// Which events are any of this log's business.
fn wanted(format: LogFormat, connections: bool) -> impl Fn(&Metadata<'_>) -> bool {
    move |meta| match meta.target() {
        MOSQUITTO => format == LogFormat::Mosquitto,
        CLIENTS => connections,
        _ => true,
    }
}

impl Drop for LogOutput {
    /// Writes what waits, unless nobody takes it: a pipe that is not read must not keep the
    /// process from ending.
    fn drop(&mut self) {
        let end = Instant::now() + PATIENCE;
        while matches!(self.lines.try_send(Line::End), Err(TrySendError::Full(_))) {
            if Instant::now() >= end {
                return;
            }
            std::thread::sleep(AGAIN);
        }
        let left = end.saturating_duration_since(Instant::now());
        if self.ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            return;
        }
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// mosquitto's types are chosen where lines are made: some are of what others call debug.
fn filter(format: LogFormat, level: LogLevel) -> LevelFilter {
    let level = if format == LogFormat::Mosquitto { level.max(LogLevel::Debug) } else { level };
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

fn write_lines(queue: &Receiver<Line>, dropped: &AtomicU64, format: LogFormat, sinks: &mut Sinks) {
    while let Ok(line) = queue.recv() {
        match line {
            Line::Text(priority, line) => sinks.write(priority, &line),
            Line::Publisher(publisher) => sinks.publish_by(publisher),
            Line::Reopen => {
                if let Err(error) = sinks.reopen() {
                    tracing::error!("the log file cannot be opened anew: {error}");
                }
            }
            Line::End => return,
        }
        let count = dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            sinks.write(Priority(4), gap(format, count).as_bytes());
        }
    }
}

/// The line that says how many are missing, in the form of the others.
fn gap(format: LogFormat, count: u64) -> String {
    let words = "log lines dropped: they came faster than written";
    match format {
        LogFormat::Text | LogFormat::Mosquitto => format!("({count} {words})\n"),
        LogFormat::Json => {
            let mut time = String::new();
            // A clock that cannot be written leaves the time empty.
            let _ = SystemTime.format_time(&mut fmt::format::Writer::new(&mut time));
            format!(
                "{{\"timestamp\":\"{time}\",\"level\":\"WARN\",\"message\":\"{words}\",\
                 \"dropped\":{count}}}\n"
            )
        }
    }
}

/// Hands each line to the thread.
struct Writer {
    lines: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

/// One line; the formatter writes it with one call.
struct OneLine<'a>(&'a Writer, Priority);

impl Write for OneLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.lines.try_send(Line::Text(self.1, bytes.to_vec())).is_err() {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = OneLine<'a>;

    fn make_writer(&'a self) -> OneLine<'a> {
        OneLine(self, Priority(6))
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> OneLine<'a> {
        let priority = match *meta.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO if meta.target() == CLIENTS => 5,
            Level::INFO => 6,
            _ => 7,
        };
        OneLine(self, Priority(priority))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_bound_are_counted() {
        let (lines, queue) = sync_channel(2);
        let writer = Writer { lines: lines.clone(), dropped: Arc::default() };
        for n in 0..5 {
            assert!(writeln!(writer.make_writer(), "{n}").is_ok());
        }
        let dropped = writer.dropped.load(Ordering::Relaxed);
        assert!(dropped >= 3);
        drop((lines, writer.lines));
        let path = std::env::temp_dir().join(format!("noctule-log-{}", std::process::id()));
        let log = Log { to: Vec::new(), file: Some(path.clone()), ..Log::default() };
        let mut sinks = Sinks::open(&log).unwrap();
        write_lines(&queue, &writer.dropped, LogFormat::Text, &mut sinks);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(text.contains(&format!("({dropped} log lines dropped")), "{text}");
    }

    #[test]
    fn a_gap_in_the_json_stream_is_json() {
        let line = gap(LogFormat::Json, 7);
        assert!(
            line.starts_with("{\"timestamp\":\"20") && line.ends_with("\"dropped\":7}\n"),
            "{line}"
        );
    }
}
