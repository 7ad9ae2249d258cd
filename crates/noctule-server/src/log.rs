//! Log lines to standard error, from a thread of their own: a terminal that is not read, or a full
//! pipe, must not stop a shard. Lines beyond a bound are dropped and counted.

use crate::config::{Log, LogFormat, LogLevel};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// Lines that may wait.
const LINES_MAX: usize = 8192;

/// How long the end of the process waits for lines to be taken.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two tries to put the end behind lines that wait.
const AGAIN: Duration = Duration::from_millis(5);

/// The log of a process.
pub(crate) struct LogOutput {
    level: reload::Handle<LevelFilter, Registry>,
    lines: SyncSender<Line>,
    /// Disconnected once the thread has ended.
    ended: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

enum Line {
    Text(Vec<u8>),
    /// Nothing comes after it.
    End,
}

impl LogOutput {
    /// Starts the log.
    pub(crate) fn start(log: &Log, level: LogLevel) -> io::Result<LogOutput> {
        let (lines, queue) = sync_channel(LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer { lines: lines.clone(), dropped: Arc::clone(&dropped) };
        let format = log.format;
        let (ending, ended) = sync_channel(0);
        let thread = std::thread::Builder::new().name("log".into()).spawn(move || {
            let _ending = ending;
            write_lines(&queue, &dropped, format, &mut io::stderr());
        })?;
        let (filter, level) = reload::Layer::new(filter(level));
        let layer = fmt::layer().with_writer(writer).with_target(false);
        let layer = match log.format {
            LogFormat::Text => layer.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).boxed(),
            LogFormat::Json => layer.json().flatten_event(true).boxed(),
        };
        let started = tracing_subscriber::registry().with(filter).with(layer).try_init();
        started.map_err(io::Error::other)?;
        Ok(LogOutput { level, lines, ended, thread: Some(thread) })
    }

    /// Another level from here on.
    pub(crate) fn set_level(&self, level: LogLevel) {
        if let Err(error) = self.level.reload(filter(level)) {
            tracing::warn!("the log level stays: {error}");
        }
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

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

fn write_lines(queue: &Receiver<Line>, dropped: &AtomicU64, format: LogFormat, to: &mut dyn Write) {
    while let Ok(Line::Text(line)) = queue.recv() {
        // Nobody is left to be told when standard error is closed.
        let _ = to.write_all(&line);
        let count = dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            let _ = to.write_all(gap(format, count).as_bytes());
        }
    }
    let _ = to.flush();
}

/// The line that says how many are missing, in the form of the others.
fn gap(format: LogFormat, count: u64) -> String {
    let words = "log lines dropped: they came faster than written";
    match format {
        LogFormat::Text => format!("({count} {words})\n"),
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
struct OneLine<'a>(&'a Writer);

impl Write for OneLine<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.lines.try_send(Line::Text(bytes.to_vec())).is_err() {
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
        OneLine(self)
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
        let mut text = Vec::new();
        drop((lines, writer.lines));
        write_lines(&queue, &writer.dropped, LogFormat::Text, &mut text);
        let text = String::from_utf8(text).unwrap();
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
