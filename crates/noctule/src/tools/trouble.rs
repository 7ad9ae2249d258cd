//! What goes wrong, as mosquitto's tools number and word it, and in our own words.

use super::Called;
use noctule_client::net::Warning;
use noctule_client::{Client, Error, Failure, Invalid, Layer, Notice, Version, Violation};
use std::io::Write;
use std::process::ExitCode;

/// Errors of mosquitto's library that its tools end with, by their numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    Protocol = 2,
    Invalid = 3,
    NotConnected = 4,
    ConnectionRefused = 5,
    ConnectionLost = 7,
    Tls = 8,
    NotSupported = 10,
    Authorisation = 11,
    Lookup = 15,
    Proxy = 16,
    KeepAlive = 19,
    MalformedPacket = 21,
    DuplicateProperty = 22,
    QoSNotSupported = 24,
    OversizePacket = 25,
    Timeout = 27,
}

impl Fault {
    pub(super) fn words(self) -> &'static str {
        match self {
            Fault::Protocol => {
                "A network protocol error occurred when communicating with the broker"
            }
            Fault::Invalid => "Invalid input",
            Fault::NotConnected => "The client is not currently connected",
            Fault::ConnectionRefused => "The connection was refused",
            Fault::ConnectionLost => "The connection was lost",
            Fault::Tls => "A TLS error occurred",
            Fault::NotSupported => "This feature is not supported",
            Fault::Authorisation => "Authorisation failed",
            Fault::Lookup => "Lookup error",
            Fault::Proxy => "Proxy error",
            Fault::KeepAlive => "Keepalive exceeded",
            Fault::MalformedPacket => "Malformed packet",
            Fault::DuplicateProperty => "Duplicate property in property list",
            Fault::QoSNotSupported => "Requested QoS not supported on server",
            Fault::OversizePacket => "Packet larger than supported by the server",
            Fault::Timeout => "Timeout",
        }
    }

    /// The fault that an error of a connection that stood comes nearest to.
    pub(super) fn of(error: &Error, version: Version) -> Fault {
        match error {
            Error::Refused(_) if version == Version::V5 => Fault::Protocol,
            Error::Refused(_) => Fault::ConnectionRefused,
            Error::Disconnected(_) | Error::NotConnected | Error::Finished => Fault::NotConnected,
            Error::NoAnswer(_) => Fault::KeepAlive,
            Error::Protocol(Violation::Decode(_)) => Fault::MalformedPacket,
            Error::Protocol(_) => Fault::Protocol,
            Error::Authentication(_) | Error::Rejected(_) => Fault::Authorisation,
            Error::Invalid(Invalid::QoSNotSupported { .. }) => Fault::QoSNotSupported,
            Error::Invalid(Invalid::PacketTooLarge { .. }) => Fault::OversizePacket,
            Error::Invalid(_) => Fault::Invalid,
            Error::Failure(failure) if failure.layer == Layer::Proxy => Fault::Proxy,
            _ => Fault::ConnectionLost,
        }
    }
}

/// Why a tool ends without success.
#[derive(Debug)]
pub(super) struct Trouble {
    /// In the words of mosquitto's tools, whole lines.
    words: String,
    /// In ours, where they differ: one line.
    own: Option<String>,
    code: u8,
}

impl Trouble {
    /// These words, and exit code 1.
    pub(super) fn plain(words: impl Into<String>) -> Trouble {
        Trouble { words: format!("{}\n", words.into()), own: None, code: 1 }
    }

    /// Nothing to say, and exit code 1.
    pub(super) fn silent() -> Trouble {
        Trouble { words: String::new(), own: None, code: 1 }
    }

    /// The same with a line of our own.
    pub(super) fn own(self, own: String) -> Trouble {
        Trouble { own: Some(own), ..self }
    }

    /// What kept us from connecting, before anything was sent.
    pub(super) fn unable(fault: Fault) -> Trouble {
        Trouble::plain(format!("Unable to connect ({}).", fault.words()))
    }

    /// A connection that stood is over.
    pub(super) fn lost(error: Error, version: Version) -> Trouble {
        let fault = Fault::of(&error, version);
        let words = format!("Error: {}\n", fault.words());
        Trouble { words, own: Some(error.to_string()), code: fault as u8 }
    }

    /// A message could not be sent; mosquitto's tools hang up then.
    pub(super) fn unsent(error: Error) -> Trouble {
        let fault = Fault::of(&error, Version::V5);
        Trouble { own: Some(error.to_string()), ..Trouble::unfit(fault) }
    }

    /// The same, where the flags are to blame.
    pub(super) fn unfit(fault: Fault) -> Trouble {
        let first = match fault {
            Fault::QoSNotSupported => {
                "Error: Message QoS not supported on broker, try a lower QoS.\n"
            }
            Fault::Protocol => "Error: Protocol error when communicating with broker.\n",
            _ => "",
        };
        let lost = Fault::ConnectionLost;
        let words = format!("{first}Error: {}\n", lost.words());
        Trouble { words, own: None, code: lost as u8 }
    }

    /// The first connection has failed.
    pub(super) fn no_connection(error: Error, refusal: impl FnOnce(&Notice) -> String) -> Trouble {
        match &error {
            Error::Refused(notice) => {
                let (words, code) = (refusal(notice), notice.code);
                Trouble { words, own: Some(error.to_string()), code }
            }
            Error::Failure(failure) if !is_lost(&error) => {
                let words = failure_words(failure);
                Trouble { words, own: Some(error.to_string()), code: 1 }
            }
            _ => Trouble::lost(error, Version::V5),
        }
    }
}

/// Whether there was a connection, of which no session came: to mosquitto's tools it is a
/// connection that broke.
pub(super) fn is_lost(error: &Error) -> bool {
    match error {
        Error::Closed | Error::NoAnswer(_) => true,
        Error::Failure(failure) => {
            matches!(failure.layer, Layer::Network | Layer::Proxy | Layer::WebSocket)
        }
        _ => false,
    }
}

/// Why there is no connection, in mosquitto's words.
fn failure_words(failure: &Failure) -> String {
    if let (Layer::Reach, Some(number)) = (failure.layer, failure.os_error) {
        return format!("Error: {}\n", system_words(number));
    }
    let fault = match failure.layer {
        Layer::Lookup => Fault::Lookup,
        Layer::Tls => Fault::Tls,
        Layer::Missing => Fault::NotSupported,
        _ => Fault::ConnectionLost,
    };
    format!("Unable to connect ({}).\n", fault.words())
}

/// What the operating system calls an error.
fn system_words(number: i32) -> String {
    io_words(&std::io::Error::from_raw_os_error(number))
}

/// An error of the operating system without its number.
pub(super) fn io_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" (os error").unwrap_or(text.len());
    text[..end].to_owned()
}

/// The reason of a refused connection before 5.0, in mosquitto's words.
pub(super) fn connack_words(code: u8) -> &'static str {
    match code {
        1 => "Connection Refused: unacceptable protocol version",
        2 => "Connection Refused: identifier rejected",
        3 => "Connection Refused: broker unavailable",
        4 => "Connection Refused: bad user name or password",
        5 => "Connection Refused: not authorised",
        _ => "Connection Refused: unknown reason",
    }
}

/// A reason code in mosquitto's words.
pub(super) fn reason_words(code: u8) -> &'static str {
    match code {
        0 => "Success",
        1 => "Granted QoS 1",
        2 => "Granted QoS 2",
        4 => "Disconnect with Will Message",
        16 => "No matching subscribers",
        17 => "No subscription existed",
        24 => "Continue authentication",
        25 => "Re-authenticate",
        128 => "Unspecified error",
        129 => "Malformed Packet",
        130 => "Protocol Error",
        131 => "Implementation specific error",
        132 => "Unsupported Protocol Version",
        133 => "Client Identifier not valid",
        134 => "Bad User Name or Password",
        135 => "Not authorized",
        136 => "Server unavailable",
        137 => "Server busy",
        138 => "Banned",
        139 => "Server shutting down",
        140 => "Bad authentication method",
        141 => "Keep Alive timeout",
        142 => "Session taken over",
        143 => "Topic Filter invalid",
        144 => "Topic Name invalid",
        145 => "Packet Identifier in use",
        146 => "Packet Identifier not found",
        147 => "Receive Maximum exceeded",
        148 => "Topic Alias invalid",
        149 => "Packet too large",
        150 => "Message rate too high",
        151 => "Quota exceeded",
        152 => "Administrative action",
        153 => "Payload format invalid",
        154 => "Retain not supported",
        155 => "QoS not supported",
        156 => "Use another server",
        157 => "Server moved",
        158 => "Shared Subscriptions not supported",
        159 => "Connection rate exceeded",
        160 => "Maximum connect time",
        161 => "Subscription identifiers not supported",
        162 => "Wildcard Subscriptions not supported",
        _ => "Unknown reason",
    }
}

/// Who speaks, and whether at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice {
    pub(super) called: Called,
    pub(super) quiet: bool,
}

impl Voice {
    /// Says something on the standard error stream, unless told not to.
    pub(super) fn complain(self, words: impl AsRef<[u8]>) {
        if !self.quiet {
            // Nobody is left to be told if that fails.
            let _ = std::io::stderr().write_all(words.as_ref());
        }
    }

    /// Says what was put up with on the way to the broker, where mosquitto's tools say nothing; not
    /// what the user asked for.
    pub(super) fn warn(self, client: &Client) {
        for warning in client.warnings() {
            let asked_for = matches!(warning, Warning::AnyHostName | Warning::AnyCertificate);
            if self.called == Called::Noctule && !asked_for {
                self.complain(format!("Warning: {warning}.\n"));
            }
        }
    }

    /// Says why the tool ends, and answers its exit code.
    pub(super) fn report(self, trouble: &Trouble) -> ExitCode {
        match (self.called, &trouble.own) {
            (Called::Noctule, Some(own)) => self.complain(format!("Error: {own}\n")),
            (Called::Noctule, None) | (Called::Mosquitto, _) => self.complain(&trouble.words),
        }
        ExitCode::from(trouble.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_names_its_errors_without_numbers() {
        assert_eq!(system_words(2), "No such file or directory");
    }

    #[test]
    fn a_refusal_ends_with_its_code() {
        let notice = |code| Notice {
            reason: noctule_client::ReasonCode::NotAuthorized,
            code,
            reason_string: None,
            server_reference: None,
        };
        let trouble = Trouble::no_connection(Error::Refused(notice(5)), |notice| {
            format!("Connection error: {}\n", connack_words(notice.code))
        });
        assert_eq!(trouble.code, 5);
        assert_eq!(trouble.words, "Connection error: Connection Refused: not authorised\n");
        assert_eq!(Fault::of(&Error::Refused(notice(135)), Version::V5), Fault::Protocol);
        assert_eq!(reason_words(135), "Not authorized");
    }
}
