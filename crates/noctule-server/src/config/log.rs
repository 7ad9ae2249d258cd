//! Options of `[log]`: where lines go, which are written, and how.

use super::options::{Opt, opt};
use super::value::{Choice, ChoiceOrNone, Text, Value, list, texts};
use std::path::PathBuf;
use toml::de::DeValue;

/// Log output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// How a line is written.
    pub format: LogFormat,
    /// The least severe line that is written.
    pub level: LogLevel,
    /// Which lines of [`LogFormat::Mosquitto`] are written, whatever the level says.
    pub types: Option<LogTypes>,
    /// Where lines go.
    pub to: Vec<LogTo>,
    /// A file that they go to as well.
    pub file: Option<PathBuf>,
    /// What the system's log takes them for.
    pub syslog_facility: Option<SyslogFacility>,
    /// Whether a line of text begins with the time.
    pub timestamp: bool,
    /// How the time is written, as strftime does; empty: as is usual for the format.
    pub timestamp_format: Box<str>,
    /// Whether clients that come and go are told.
    pub connection_messages: bool,
}

/// How a log line is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// In the words of mosquitto, for programs that look for them.
    Mosquitto,
}

/// The least severe line that is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogLevel {
    /// What ends the broker, or would.
    Error,
    /// What somebody should look at.
    Warn,
    /// Connections, start, stop, reload.
    Info,
    /// Subscriptions, expired sessions.
    Debug,
    /// Everything.
    Trace,
}

/// Where lines go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogTo {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// The log of the system.
    Syslog,
    /// The topics below `$SYS/broker/log`.
    Topic,
}

/// What the system's log takes lines for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SyslogFacility(pub(crate) u8);

/// What a line of mosquitto is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogType {
    /// What went wrong.
    Error,
    /// What somebody should look at.
    Warning,
    /// Clients that come and go.
    Notice,
    /// Start, stop, reload.
    Information,
    /// Everything else.
    Debug,
    /// Subscriptions.
    Subscribe,
    /// Their ends.
    Unsubscribe,
    /// WebSockets.
    Websockets,
    /// Nothing of ours.
    Internal,
}

/// A set of those.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogTypes(u16);

const TYPES: [(&str, LogType); 9] = [
    ("error", LogType::Error),
    ("warning", LogType::Warning),
    ("notice", LogType::Notice),
    ("information", LogType::Information),
    ("debug", LogType::Debug),
    ("subscribe", LogType::Subscribe),
    ("unsubscribe", LogType::Unsubscribe),
    ("websockets", LogType::Websockets),
    ("internal", LogType::Internal),
];

const DESTINATIONS: [(&str, LogTo); 4] = [
    ("stderr", LogTo::Stderr),
    ("stdout", LogTo::Stdout),
    ("syslog", LogTo::Syslog),
    ("topic", LogTo::Topic),
];

/// The numbers are those of RFC 5424.
const FACILITIES: &[(&str, SyslogFacility)] = &[
    ("daemon", SyslogFacility(3)),
    ("user", SyslogFacility(1)),
    ("local0", SyslogFacility(16)),
    ("local1", SyslogFacility(17)),
    ("local2", SyslogFacility(18)),
    ("local3", SyslogFacility(19)),
    ("local4", SyslogFacility(20)),
    ("local5", SyslogFacility(21)),
    ("local6", SyslogFacility(22)),
    ("local7", SyslogFacility(23)),
];

impl Default for Log {
    fn default() -> Log {
        Log {
            format: LogFormat::Text,
            level: LogLevel::Info,
            types: None,
            to: vec![LogTo::Stderr],
            file: None,
            syslog_facility: None,
            timestamp: true,
            timestamp_format: Box::default(),
            connection_messages: true,
        }
    }
}

impl Log {
    /// The types of lines in force.
    pub(crate) fn types_in_force(&self) -> LogTypes {
        self.types.unwrap_or_else(|| LogTypes::of_level(self.level))
    }
}

impl LogTypes {
    /// Those.
    #[must_use]
    pub fn of(types: &[LogType]) -> LogTypes {
        LogTypes(types.iter().fold(0, |all, it| all | 1 << *it as u16))
    }

    /// All there are.
    #[must_use]
    pub fn all() -> LogTypes {
        LogTypes::of(&TYPES.map(|(_, it)| it))
    }

    /// Those that mosquitto would write at a level.
    #[must_use]
    pub fn of_level(level: LogLevel) -> LogTypes {
        let usual = [LogType::Error, LogType::Warning, LogType::Notice, LogType::Information];
        match level {
            LogLevel::Error => LogTypes::of(&usual[..1]),
            LogLevel::Warn => LogTypes::of(&usual[..2]),
            LogLevel::Info => LogTypes::of(&usual),
            LogLevel::Debug | LogLevel::Trace => LogTypes::all(),
        }
    }

    /// As a number, for who wants to change them while others look.
    pub(crate) fn bits(self) -> u16 {
        self.0
    }

    /// From such a number.
    pub(crate) fn from_bits(bits: u16) -> LogTypes {
        LogTypes(bits)
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(self, one: LogType) -> bool {
        self.0 & 1 << one as u16 != 0
    }
}

impl Value for &mut Vec<LogTo> {
    fn show(&self) -> Option<String> {
        let name = |to: &LogTo| DESTINATIONS.iter().find(|(_, it)| it == to).map(|(name, _)| name);
        Some(list(self.iter().filter_map(name)))
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        let names = list(DESTINATIONS.map(|(name, _)| name));
        let wanted = format!("a list of some of {names} expected, each once at most");
        let mut all = Vec::new();
        for word in texts(value).ok_or_else(|| wanted.clone())? {
            let found = DESTINATIONS.iter().find(|(name, _)| *name == word);
            let (_, to) =
                found.filter(|(_, to)| !all.contains(to)).ok_or_else(|| wanted.clone())?;
            all.push(*to);
        }
        **self = all;
        Ok(())
    }
}

impl Value for &mut Option<LogTypes> {
    fn show(&self) -> Option<String> {
        let types = (**self)?;
        Some(list(TYPES.iter().filter(|(_, it)| types.contains(*it)).map(|(name, _)| name)))
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        let find = |word: &str| TYPES.iter().find(|(name, _)| *name == word).map(|(_, it)| *it);
        let types: Option<Vec<LogType>> =
            texts(value).and_then(|words| words.into_iter().map(find).collect());
        let types = types
            .ok_or_else(|| format!("a list of {} expected", list(TYPES.map(|(name, _)| name))))?;
        **self = Some(LogTypes::of(&types));
        Ok(())
    }
}

/// Options of `[log]`.
pub(super) const LOG: &[Opt<Log>] = &[
    opt!(
        "format",
        "How a line is written: \"text\", \"json\" (one object a line), or \"mosquitto\" (in its \
         words, for programs that look for them).",
        |l| {
            Box::new(Choice {
                slot: &mut l.format,
                words: &[
                    ("text", LogFormat::Text),
                    ("json", LogFormat::Json),
                    ("mosquitto", LogFormat::Mosquitto),
                ],
            })
        }
    ),
    opt!(
        "level",
        "The least severe line written: \"error\", \"warn\", \"info\", \"debug\" or \"trace\".",
        |l| {
            Box::new(Choice {
                slot: &mut l.level,
                words: &[
                    ("error", LogLevel::Error),
                    ("warn", LogLevel::Warn),
                    ("info", LogLevel::Info),
                    ("debug", LogLevel::Debug),
                    ("trace", LogLevel::Trace),
                ],
            })
        }
    ),
    opt!(
        "types",
        "Which lines of format \"mosquitto\" are written: \"error\", \"warning\", \"notice\", \
         \"information\", \"debug\", \"subscribe\", \"unsubscribe\". Not set: as `level` says.",
        |l| Box::new(&mut l.types)
    ),
    opt!(
        "to",
        "Where lines go: \"stderr\", \"stdout\", \"syslog\", \"topic\" (below \
         $SYS/broker/log, for everybody who may read it). Empty: to `file` alone, or nowhere.",
        |l| Box::new(&mut l.to)
    ),
    opt!(
        "file",
        "A file that lines go to as well; SIGHUP opens it anew. A relative path begins at the \
         folder of this file.",
        |l| super::options::path(&mut l.file)
    ),
    opt!(
        "syslog_facility",
        "What the log of the system takes lines for: \"daemon\", \"user\", \"local0\" to \
         \"local7\". Not set: \"daemon\".",
        |l| Box::new(ChoiceOrNone { slot: &mut l.syslog_facility, words: FACILITIES })
    ),
    opt!("timestamp", "Whether a line that is not JSON begins with the time.", |l| Box::new(
        &mut l.timestamp
    )),
    opt!(
        "timestamp_format",
        "How the time of such a line is written, local, as strftime does: like \"%F %T\". Empty: \
         as is usual for the format.",
        |l| Box::new(Text { slot: &mut l.timestamp_format, check: check_time_format })
    ),
    opt!(
        "connection_messages",
        "Whether clients that come and go are told. Those that are refused always are.",
        |l| Box::new(&mut l.connection_messages)
    ),
];

/// Whether a time can be written so.
fn check_time_format(format: &str) -> Result<(), String> {
    let time = jiff::Timestamp::now().to_zoned_datetime(jiff::tz::TimeZone::UTC);
    match jiff::fmt::strtime::format(format, &time) {
        Ok(text) if text.chars().any(char::is_control) => {
            Err("must not write control characters".into())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(format!("is no time that can be written: {error}")),
    }
}
