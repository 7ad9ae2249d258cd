//! The audit log: lines into a file, from a thread of its own, so that a slow disk holds up nobody.
//!
//! The file is begun anew when it is large, the old ones being called FILE.1, FILE.2 and so on; it
//! is opened again on a reload, for those who rotate it themselves. Lines beyond a bound are
//! dropped and counted; a file that cannot be written is told of in the log, and tried again.

use super::Tally;
use crate::config::Audit;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Lines that may wait.
const LINES_MAX: usize = 16 * 1024;

/// Between two tries to open a file that cannot be opened, and between two words about it.
const AGAIN: Duration = Duration::from_secs(10);

/// The audit log of a process.
pub(crate) struct AuditLog {
    lines: Option<SyncSender<Line>>,
    thread: Option<JoinHandle<()>>,
    tally: Arc<Tally>,
    on: bool,
}

enum Line {
    Text(String),
    Reopen(Audit),
}

impl AuditLog {
    /// Starts the thread. The file is tried at once: a broker that cannot write down what it was
    /// told to does not start.
    pub(crate) fn start(config: &Audit, tally: Arc<Tally>) -> io::Result<AuditLog> {
        let (lines, queue) = sync_channel(LINES_MAX);
        let on = config.file.is_some();
        let mut output = Output { config: config.clone(), file: None, bytes: 0, failed: None };
        output.open().map_err(|error| {
            let path = config.file.as_deref().unwrap_or(Path::new("")).display();
            let what = format!("the audit log {path} cannot be written: {error} (audit.file)");
            io::Error::new(error.kind(), what)
        })?;
        let count = Arc::clone(&tally);
        let work = move || write_lines(&queue, output, &count);
        let thread = std::thread::Builder::new().name("audit".into()).spawn(work)?;
        Ok(AuditLog { lines: Some(lines), thread: Some(thread), tally, on })
    }

    /// Whether anything is written: lines need not be made for nothing.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Writes a line, if there is room.
    pub(crate) fn write(&self, line: &serde_json::Value) {
        let Some(lines) = self.lines.as_ref().filter(|_| self.on) else { return };
        if lines.try_send(Line::Text(format!("{line}\n"))).is_err() {
            Tally::add(&self.tally.audit_dropped);
        }
    }

    /// Opens the file again, or another one.
    pub(crate) fn reopen(&mut self, config: &Audit) {
        self.on = config.file.is_some();
        // The thread reads until the end, so this waits for a slow disk at the worst.
        if let Some(lines) = &self.lines {
            drop(lines.send(Line::Reopen(config.clone())));
        }
    }
}

impl Drop for AuditLog {
    /// Writes what waits.
    fn drop(&mut self) {
        self.lines = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// The file, and where it is.
struct Output {
    config: Audit,
    file: Option<File>,
    bytes: u64,
    /// When it last could not be written.
    failed: Option<Instant>,
}

fn write_lines(queue: &Receiver<Line>, mut output: Output, tally: &Tally) {
    let mut text = String::new();
    while let Ok(first) = queue.recv() {
        let mut next = Some(first);
        // All that wait are written at once, up to a bound.
        while let Some(line) = next.take() {
            match line {
                Line::Text(line) => text.push_str(&line),
                Line::Reopen(config) => {
                    output.write(&mut text, tally);
                    output = Output { config, file: None, bytes: 0, failed: None };
                    output.try_open();
                }
            }
            if text.len() < 64 * 1024 {
                next = queue.try_recv().ok();
            }
        }
        output.write(&mut text, tally);
    }
}

impl Output {
    fn open(&mut self) -> io::Result<()> {
        let Some(path) = &self.config.file else { return Ok(()) };
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        self.bytes = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    /// Opens the file, or says why not; not again for a while.
    fn try_open(&mut self) {
        if self.failed.is_some_and(|at| at.elapsed() < AGAIN) {
            return;
        }
        self.failed = None;
        if let Err(error) = self.open() {
            self.fail(&error);
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.file = None;
        if self.failed.is_none() {
            let path = self.config.file.as_deref().unwrap_or(Path::new("")).display();
            tracing::error!("nothing is written to the audit log {path}: {error}");
        }
        self.failed = Some(Instant::now());
    }

    /// Writes and empties `text`.
    fn write(&mut self, text: &mut String, tally: &Tally) {
        if text.is_empty() || self.config.file.is_none() {
            return text.clear();
        }
        if self.file.is_none() {
            self.try_open();
        }
        if self.bytes > 0 && self.bytes + text.len() as u64 > self.config.file_bytes_max {
            self.rotate();
        }
        let written = match &mut self.file {
            Some(file) => file.write_all(text.as_bytes()),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        match written {
            Ok(()) => self.bytes += text.len() as u64,
            Err(error) => {
                let lines = text.lines().count() as u64;
                tally.audit_failed.fetch_add(lines, std::sync::atomic::Ordering::Relaxed);
                if self.file.is_some() {
                    self.fail(&error);
                }
            }
        }
        text.clear();
    }

    fn rotate(&mut self) {
        let Some(path) = self.config.file.clone() else { return };
        let numbered = |number: u16| -> PathBuf {
            let mut name = path.clone().into_os_string();
            name.push(format!(".{number}"));
            name.into()
        };
        for number in (1..self.config.files_max).rev() {
            // Those that are not there yet need not be moved.
            let _ = fs::rename(numbered(number), numbered(number + 1));
        }
        let moved = fs::rename(&path, numbered(1));
        self.file = None;
        self.bytes = 0;
        match moved.and_then(|()| self.open()) {
            Ok(()) => {}
            Err(error) => self.fail(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::atomic::Ordering;

    fn home(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("noctule-audit-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn numbers(path: &Path) -> Vec<u64> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let parse = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        text.lines().map(|line| parse(line)["n"].as_u64().unwrap()).collect()
    }

    #[test]
    fn a_large_file_is_begun_anew_and_so_many_are_kept() {
        let home = home("rotate");
        let path = home.join("audit.json");
        let config = Audit { file: Some(path), file_bytes_max: 4096, files_max: 2 };
        let tally = Arc::new(Tally::default());
        let log = AuditLog::start(&config, Arc::clone(&tally)).unwrap();
        for n in 0..2000 {
            log.write(&json!({ "n": n, "filler": "x".repeat(100) }));
        }
        drop(log);
        assert_eq!(tally.audit_dropped.load(Ordering::Relaxed), 0);
        let files = ["audit.json.2", "audit.json.1", "audit.json"].map(|name| home.join(name));
        assert!(!home.join("audit.json.3").exists());
        let all: Vec<u64> = files.iter().flat_map(|path| numbers(path)).collect();
        assert_eq!(all.last(), Some(&1999));
        assert!(all.windows(2).all(|two| two[0] + 1 == two[1]), "none is missing in between");
        #[cfg(unix)]
        for path in files {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn who_moves_the_file_away_gets_another_one_after_a_reload() {
        let home = home("reopen");
        let path = home.join("a");
        let config = Audit { file: Some(path.clone()), ..Audit::default() };
        let mut log = AuditLog::start(&config, Arc::default()).unwrap();
        log.write(&json!({ "n": 1 }));
        // The thread has written it when it takes the next line.
        log.reopen(&config);
        log.write(&json!({ "n": 2 }));
        drop(log);
        fs::rename(&path, home.join("moved")).unwrap();
        let mut log = AuditLog::start(&config, Arc::default()).unwrap();
        fs::remove_file(&path).unwrap();
        log.reopen(&config);
        log.write(&json!({ "n": 3 }));
        drop(log);
        assert_eq!((numbers(&home.join("moved")), numbers(&path)), (vec![1, 2], vec![3]));
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_written_stops_the_start_and_loses_no_more_than_is_counted() {
        let home = home("failing");
        let config = Audit { file: Some(home.clone()), ..Audit::default() };
        assert!(AuditLog::start(&config, Arc::default()).is_err(), "it is a folder");
        let tally = Arc::new(Tally::default());
        let mut log = AuditLog::start(&Audit::default(), Arc::clone(&tally)).unwrap();
        log.reopen(&config);
        for n in 0..5 {
            log.write(&json!({ "n": n }));
        }
        drop(log);
        assert_eq!(tally.audit_failed.load(Ordering::Relaxed), 5);
        fs::remove_dir_all(home).unwrap();
    }
}
