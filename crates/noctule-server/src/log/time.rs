//! The time that a line begins with.

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use std::fmt;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Local time, as strftime writes it.
#[derive(Clone, Debug)]
pub(super) struct Strftime(pub(super) Box<str>);

impl Strftime {
    /// Now.
    pub(super) fn now(&self) -> String {
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        let now = Timestamp::now().to_zoned_datetime(zone);
        // The format was tried when the configuration was read.
        strtime::format(&*self.0, &now).unwrap_or_default()
    }
}

impl FormatTime for Strftime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str(&self.now())
    }
}

/// Seconds since 1970, as mosquitto begins its lines.
pub(super) fn unix_secs() -> i64 {
    Timestamp::now().as_second()
}
