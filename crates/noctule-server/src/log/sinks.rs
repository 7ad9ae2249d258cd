//! Where lines end up.

use super::Priority;
use crate::config::{Log, LogTo, SyslogFacility};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What the log of the system takes lines for unless it is told.
const DAEMON: SyslogFacility = SyslogFacility(3);

/// All places that a line goes to.
pub(super) struct Sinks {
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
        Ok(Sinks { to: log.to.clone(), file, syslog })
    }

    /// Writes a line, which has its end, everywhere.
    pub(super) fn write(&mut self, priority: Priority, line: &[u8]) {
        // Nobody is left to be told when one of them is closed, or full.
        for to in &self.to {
            match to {
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
