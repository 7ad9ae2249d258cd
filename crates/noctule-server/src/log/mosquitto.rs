//! Lines in the words of mosquitto 2.1, for programs that look for them: scripts, fail2ban. The
//! events are those of the other formats.

use super::time::{Strftime, unix_secs};
use crate::config::{LogType, LogTypes};
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// Events that are there for this format alone, and are said as they are.
pub(crate) const OWN: &str = "mosquitto";

/// mosquitto's format.
pub(super) struct Mosquitto {
    pub(super) types: Arc<AtomicU16>,
    /// `None`: lines begin without the time.
    pub(super) time: Option<Strftime>,
}

impl<S, N> FormatEvent<S, N> for Mosquitto
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let meta = event.metadata();
        let (kind, words) = if meta.target() == OWN {
            (LogType::Information, fields.message)
        } else {
            told(*meta.level(), &fields)
        };
        if !LogTypes::from_bits(self.types.load(Ordering::Relaxed)).contains(kind) {
            return Ok(());
        }
        match &self.time {
            Some(time) if time.0.is_empty() => write!(writer, "{}: ", unix_secs())?,
            Some(time) => write!(writer, "{}: ", time.now())?,
            None => {}
        }
        // One event is one line, whatever an error of the system says.
        for piece in words.split('\n') {
            writer.write_str(piece)?;
        }
        writer.write_char('\n')
    }
}

/// What an event holds.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Fields {
    fn of(&self, name: &str) -> &str {
        self.others.iter().find(|(it, _)| *it == name).map_or("", |(_, value)| value)
    }

    /// As mosquitto writes it: without brackets.
    fn remote(&self) -> String {
        self.of("remote").replace(['[', ']'], "")
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.others.push((field.name(), value.into()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.others.push((name, format!("{value:?}"))),
        }
    }
}

/// The type of a line, and its words.
fn told(level: Level, fields: &Fields) -> (LogType, String) {
    let (id, remote) = (fields.of("client_id"), fields.remote());
    match fields.message.as_str() {
        "connection accepted" => {
            let port = fields.of("port");
            (LogType::Notice, format!("New connection from {remote} on port {port}."))
        }
        "client connected" => (LogType::Notice, connected(fields)),
        "client disconnected" => (LogType::Notice, format!("Client {id} [{remote}] disconnected.")),
        "connection lost" => {
            let why = "connection closed by client";
            (LogType::Notice, format!("Client {id} [{remote}] disconnected: {why}."))
        }
        "connection ended" | "client refused" => {
            // Whoever has not said its name has that of its address.
            let address = remote.rsplit_once(':').map_or(&*remote, |(address, _)| address);
            let id = if id.is_empty() { address } else { id };
            let why = reason(fields.of("reason"));
            (LogType::Notice, format!("Client {id} [{remote}] disconnected: {why}."))
        }
        "session expired" => (LogType::Notice, format!("Expiring client {id} due to timeout.")),
        "subscribed" => {
            let (qos, filter) = (fields.of("qos"), fields.of("filter"));
            (LogType::Subscribe, format!("{id} {qos} {filter}"))
        }
        "unsubscribed" => (LogType::Unsubscribe, format!("{id} {}", fields.of("filter"))),
        "stopping" => (LogType::Information, format!("{} terminating", version())),
        _ => others(level, fields),
    }
}

/// What mosquitto calls itself, and what it is.
pub(crate) fn version() -> String {
    format!("mosquitto version 2.1.2 (noctule {})", env!("CARGO_PKG_VERSION"))
}

fn connected(fields: &Fields) -> String {
    let version = match fields.of("version") {
        "V31" => 3,
        "V311" => 4,
        _ => 5,
    };
    let clean = u8::from(fields.of("clean_start") == "true");
    let user = match fields.of("user_name") {
        "" => String::new(),
        name => format!(", u'{name}'"),
    };
    format!(
        "New client connected from {} as {} (p{version}, c{clean}, k{}{user}).",
        fields.remote(),
        fields.of("client_id"),
        fields.of("keep_alive_secs"),
    )
}

/// mosquitto's words for the reason of an end.
fn reason(name: &str) -> &str {
    match name {
        "keep alive timeout" => "exceeded timeout",
        "packet too large" => "oversize packet",
        "not authorized" | "bad user name or password" => "not authorised",
        "unsupported protocol version"
        | "QoS not supported"
        | "retain not supported"
        | "bad authentication method" => {
            "used disallowed feature (QoS too high, retain not supported, or bad AUTH method)"
        }
        other => other,
    }
}

/// Lines that mosquitto does not have.
fn others(level: Level, fields: &Fields) -> (LogType, String) {
    let (kind, begin) = match level {
        Level::ERROR => (LogType::Error, "Error: "),
        Level::WARN => (LogType::Warning, "Warning: "),
        Level::INFO => (LogType::Information, ""),
        _ => (LogType::Debug, ""),
    };
    let mut words = format!("{begin}{}", fields.message);
    for (name, value) in fields.others.iter().filter(|(_, value)| !value.is_empty()) {
        write!(words, " {name}={value}").expect("writing to a String cannot fail");
    }
    (kind, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str, others: &[(&'static str, &str)]) -> String {
        let others = others.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        told(Level::INFO, &Fields { message: message.into(), others }).1
    }

    #[test]
    fn lines_are_those_that_mosquitto_2_1_2_writes() {
        let remote = ("remote", "127.0.0.1:34004");
        let named = [("client_id", "pubby"), remote];
        let accepted = [remote, ("port", "18990")];
        assert_eq!(
            line("connection accepted", &accepted),
            "New connection from 127.0.0.1:34004 on port 18990."
        );
        let connected = [
            ("client_id", "pubby"),
            ("remote", "[::1]:34004"),
            ("version", "V5"),
            ("clean_start", "true"),
            ("keep_alive_secs", "60"),
            ("user_name", "name"),
        ];
        assert_eq!(
            line("client connected", &connected),
            "New client connected from ::1:34004 as pubby (p5, c1, k60, u'name')."
        );
        assert_eq!(
            line("client disconnected", &named),
            "Client pubby [127.0.0.1:34004] disconnected."
        );
        assert_eq!(
            line("connection lost", &named),
            "Client pubby [127.0.0.1:34004] disconnected: connection closed by client."
        );
        let refused = [("reason", "not authorized"), named[0], remote];
        assert_eq!(
            line("client refused", &refused),
            "Client pubby [127.0.0.1:34004] disconnected: not authorised."
        );
        let nameless = [("reason", "protocol error"), remote];
        assert_eq!(
            line("connection ended", &nameless),
            "Client 127.0.0.1 [127.0.0.1:34004] disconnected: protocol error."
        );
        let subscribed = [named[0], ("qos", "1"), ("filter", "a/b")];
        assert_eq!(line("subscribed", &subscribed), "pubby 1 a/b");
    }
}
