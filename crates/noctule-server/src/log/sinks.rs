//! Where lines end up.

use super::Priority;
use crate::config::{Log, LogTo, SyslogFacility};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the log of the system takes lines for unless it is told.
const DAEMON: SyslogFacility = SyslogFacility(3);

/// Lines that are published in a second; whoever makes us write more does not make us send them.
const PUBLISHED_MAX: u32 = 500;

/// Publishes a line to a topic.
pub(crate) type Publisher = Box<dyn Fn(&'static str, &str) + Send>;

/// All places that a line goes to.
pub(super) struct Sinks {
    /// None before the broker runs.
    publisher: Option<Publisher>,
    /// Second, and lines published in it.
    published: (u64, u32),
    to: Vec<LogTo>,
    file: Option<(PathBuf, File)>,
    syslog: Option<Syslog>,
}

impl Sinks {
    /// Opens them.
    pub(super) fn open(log: &Log) -> io::Result<Sinks> {
        let file = match &log.file {
            Some(path) => {
                let file = append(path).map_err(|error| {
                    let what = format!("the log file {} cannot be opened: {error}", path.display());
                    io::Error::new(error.kind(), what)
                })?;
                Some((path.clone(), file))
            }
            None => None,
        };
        let syslog = log.to.contains(&LogTo::Syslog);
        let facility = log.syslog_facility.unwrap_or(DAEMON);
        let syslog = if syslog { Some(Syslog::open(facility)?) } else { None };
        let (publisher, published) = (None, (0, 0));
        Ok(Sinks { publisher, published, to: log.to.clone(), file, syslog })
    }

    /// The broker runs: lines can be published from here on.
    pub(super) fn publish_by(&mut self, publisher: Publisher) {
        self.publisher = Some(publisher);
    }

    /// Publishes a line as mosquitto does: none that is for those who look for mistakes, because
    /// publishing it might make another one.
    fn publish(&mut self, priority: Priority, line: &[u8]) {
        let topic = match priority.0 {
            0..=3 => "$SYS/broker/log/E",
            4 => "$SYS/broker/log/W",
            5 => "$SYS/broker/log/N",
            6 => "$SYS/broker/log/I",
            _ => return,
        };
        let Some(publisher) = &self.publisher else { return };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.published.0 != since.as_secs() {
            self.published = (since.as_secs(), 0);
        }
        self.published.1 += 1;
        if self.published.1 <= PUBLISHED_MAX {
            publisher(topic, String::from_utf8_lossy(line).trim_end());
        }
    }

    /// Writes a line, which has its end, everywhere.
    pub(super) fn write(&mut self, priority: Priority, line: &[u8]) {
        // Nobody is left to be told when one of them is closed, or full.
        for at in 0..self.to.len() {
            match self.to[at] {
                LogTo::Stderr => drop(io::stderr().write_all(line)),
                LogTo::Stdout => {
                    let mut stdout = io::stdout();
                    drop(stdout.write_all(line).and_then(|()| stdout.flush()));
                }
                LogTo::Syslog => {
                    if let Some(syslog) = &self.syslog {
                        syslog.send(priority, line);
                    }
                }
                LogTo::Topic => self.publish(priority, line),
            }
        }
        if let Some((_, file)) = &mut self.file {
            drop(file.write_all(line));
        }
    }

    /// Opens the file anew: somebody has given the old one another name.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Some((path, file)) = &mut self.file {
            *file = append(path)?;
        }
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // Client ids and addresses are not for everybody.
        options.mode(0o640);
    }
    options.open(path)
}

#[cfg(unix)]
mod syslog {
    use super::super::Priority;
    use super::{SyslogFacility, io};
    use std::os::unix::net::UnixDatagram;

    /// Where the system takes lines.
    const SOCKET: &str = "/dev/log";

    /// The log of the system.
    pub(in super::super) struct Syslog {
        socket: UnixDatagram,
        facility: u8,
    }

    impl Syslog {
        /// Whether it listens is found out with each line: it may be started later.
        pub(in super::super) fn open(facility: SyslogFacility) -> io::Result<Syslog> {
            let socket = UnixDatagram::unbound()?;
            // A log that is full must not keep others waiting.
            socket.set_nonblocking(true)?;
            Ok(Syslog { socket, facility: facility.0 })
        }

        pub(in super::super) fn send(&self, priority: Priority, line: &[u8]) {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let number = self.facility * 8 + priority.0;
            let mut message = format!("<{number}>noctule[{}]: ", std::process::id()).into_bytes();
            message.extend_from_slice(line);
            // Nobody is left to be told.
            drop(self.socket.send_to(&message, SOCKET));
        }
    }
}

#[cfg(not(unix))]
mod syslog {
    use super::super::Priority;
    use super::{SyslogFacility, io};

    /// There is none.
    pub(in super::super) struct Syslog;

    impl Syslog {
        pub(in super::super) fn open(_: SyslogFacility) -> io::Result<Syslog> {
            Err(io::Error::other("`log.to = [\"syslog\"]` is for Unix alone"))
        }

        pub(in super::super) fn send(&self, _: Priority, _: &[u8]) {}
    }
}

use syslog::Syslog;
