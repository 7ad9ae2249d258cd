//! One line on the terminal that says how it goes. Where there is no terminal, nothing.

use std::io::{IsTerminal, Write};
use std::time::Duration;

const EVERY: Duration = Duration::from_millis(500);

/// The line.
#[derive(Debug)]
pub(crate) struct Progress {
    /// When it is to be drawn again.
    due: Duration,
    drawn: bool,
}

impl Progress {
    /// On standard error, if that is a terminal.
    pub(crate) fn new() -> Progress {
        let due = if std::io::stderr().is_terminal() { Duration::ZERO } else { Duration::MAX };
        Progress { due, drawn: false }
    }

    /// When the line is to be drawn again.
    pub(crate) fn due(&self) -> Duration {
        self.due
    }

    /// Draws the line anew.
    pub(crate) fn show(&mut self, now: Duration, line: &str) {
        self.due = now.saturating_add(EVERY);
        self.drawn = true;
        // Nobody misses a line that cannot be drawn.
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
        let _ = std::io::stderr().flush();
    }

    /// Takes the line away, and begins a new clock.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
        if self.due != Duration::MAX {
            self.due = Duration::ZERO;
        }
    }
}
