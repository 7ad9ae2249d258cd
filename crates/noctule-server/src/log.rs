//! Log lines to standard error, from a thread of their own: a terminal that is not read, or a full
//! pipe, must not stop a shard. Lines beyond a bound are dropped and counted.

use crate::config::{Log, LogFormat, LogLevel};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// Lines that may wait.
const LINES_MAX: usize = 8192;

/// The log of a process.
pub(crate) struct LogOutput {
    level: reload::Handle<LevelFilter, Registry>,
    lines: SyncSender<Line>,
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
        let thread = std::thread::Builder::new()
            .name("log".into())
            .spawn(move || write_lines(&queue, &dropped, &mut io::stderr().lock()))?;
        let (filter, level) = reload::Layer::new(filter(level));
        let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
        let layer = match log.format {
            LogFormat::Text => layer.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).boxed(),
            LogFormat::Json => layer.json().flatten_event(true).boxed(),
        };
        let started = tracing_subscriber::registry().with(filter).with(layer).try_init();
        started.map_err(io::Error::other)?;
        Ok(LogOutput { level, lines, thread: Some(thread) })
    }

    /// Another level from here on.
    pub(crate) fn set_level(&self, level: LogLevel) {
        if let Err(error) = self.level.reload(filter(level)) {
            tracing::warn!("the log level stays: {error}");
        }
    }
}

impl Drop for LogOutput {
    /// Writes what waits.
    fn drop(&mut self) {
        let asked = self.lines.send(Line::End).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| asked) {
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

fn write_lines(queue: &Receiver<Line>, dropped: &AtomicU64, to: &mut dyn Write) {
    while let Ok(Line::Text(line)) = queue.recv() {
        // Nobody is left to be told when standard error is closed.
        let _ = to.write_all(&line);
        let count = dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            let _ = writeln!(to, "({count} log lines dropped: they came faster than written)");
        }
    }
    let _ = to.flush();
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
        write_lines(&queue, &writer.dropped, &mut text);
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(&format!("({dropped} log lines dropped")), "{text}");
    }
}
