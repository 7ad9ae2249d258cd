//! Where the broker is and how to get in: the flags, and the connection that comes of them.
//!
//! They are those of mosquitto's tools as far as they make sense for somebody who only watches,
//! and one address instead of them.

use super::text::readable;
use crate::tls::TlsArgs;
use clap::{ArgAction, Args};
use noctule_client::net::{Address, Endpoint, Host};
use noctule_client::{Client, Connector, Error, Options, ReasonCode, Reconnect, Version};
use std::process::ExitCode;

const MQTT_PORT: u16 = 1883;
const MQTTS_PORT: u16 = 8883;

/// Where to connect, and as whom.
#[derive(Args, Debug)]
pub(super) struct AccessArgs {
    /// Address of the broker instead of -h and -p: host:port, mqtt:, mqtts:, ws:, wss:, unix:
    #[arg(conflicts_with_all = ["host", "port"])]
    address: Option<String>,
    /// Host to connect to.
    #[arg(short = 'h', long, default_value = "localhost")]
    host: String,
    /// Port to connect to. [default: 1883; with TLS: 8883]
    #[arg(short, long)]
    port: Option<u16>,
    /// Client identifier; chosen by the broker if left out.
    #[arg(short, long, allow_hyphen_values = true)]
    id: Option<String>,
    /// User name.
    #[arg(short, long, allow_hyphen_values = true)]
    username: Option<String>,
    /// Password.
    #[arg(short = 'P', long = "pw", allow_hyphen_values = true)]
    password: Option<String>,
    /// Protocol version: 31, 311 or 5 [default: 5, and 311 if the broker does not know it]
    #[arg(short = 'V', long, value_parser = version)]
    protocol_version: Option<Version>,
    /// Keep alive in seconds.
    #[arg(short, long, default_value_t = 60)]
    keepalive: u16,
    #[command(flatten)]
    tls: TlsArgs,
    /// Print no error messages.
    #[arg(long)]
    quiet: bool,
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// The same, checked.
#[derive(Debug)]
pub(super) struct Access {
    endpoint: Endpoint,
    options: Options,
    /// The version was asked for: no other will do.
    only_version: bool,
}

impl AccessArgs {
    /// What is wrong is said in words.
    pub(super) fn check(&self) -> Result<Access, String> {
        let parse = |text: &String| Address::parse(text).map_err(|it| format!("{text}: {it}"));
        let address = self.address.as_ref().map(parse).transpose()?;
        let (mut endpoint, user_name, password) = match address {
            Some(address) => (address.endpoint, address.user_name, address.password),
            None => (self.host_and_port(), None, None),
        };
        if let Some(tls) = self.tls.tls(endpoint.tls.take()) {
            endpoint.tls = Some(tls);
        }
        let mut options = Options::new(self.id.clone().unwrap_or_default());
        options.version = self.protocol_version.unwrap_or(Version::V5);
        options.keep_alive_secs = self.keepalive;
        options.user_name = self.username.clone().or(user_name);
        options.password = self.password.clone().map(String::into_bytes).or(password);
        if options.version == Version::V31 && options.client_id.is_empty() {
            options.client_id = format!("noctule-{}", std::process::id());
        }
        options.check().map_err(|invalid| invalid.to_string())?;
        Ok(Access { endpoint, options, only_version: self.protocol_version.is_some() })
    }

    fn host_and_port(&self) -> Endpoint {
        let usual = if self.tls.tls(None).is_some() { MQTTS_PORT } else { MQTT_PORT };
        let port = self.port.unwrap_or(usual);
        Endpoint::tcp(self.host.as_str(), port)
    }

    /// Says something on the standard error stream, unless told not to. Some of the words may be
    /// the broker's.
    #[expect(clippy::print_stderr, reason = "errors of a command go there")]
    pub(super) fn complain(&self, words: &str) {
        if !self.quiet {
            eprintln!("{}", readable(words));
        }
    }

    /// Reports why there is no connection; the exit code is the broker's code if it refused it,
    /// else 1.
    pub(super) fn fail(&self, error: &Error) -> ExitCode {
        self.complain(&format!("Error: {error}"));
        match error {
            Error::Refused(notice) => ExitCode::from(notice.code),
            _ => ExitCode::FAILURE,
        }
    }
}

impl Access {
    /// Connects with MQTT 5, or with 3.1.1 to a broker that does not know it, unless a version was
    /// asked for. A connection that breaks is not made again.
    pub(super) async fn connect(&self) -> Result<Client, Error> {
        match self.connect_with(self.options.version).await {
            // What a broker answers that has never heard of a version is not settled.
            Err(Error::Closed | Error::Protocol(_)) if !self.only_version => {
                self.connect_with(Version::V311).await
            }
            Err(Error::Refused(notice))
                if !self.only_version
                    && notice.reason == ReasonCode::UnsupportedProtocolVersion =>
            {
                self.connect_with(Version::V311).await
            }
            connected => connected,
        }
    }

    async fn connect_with(&self, version: Version) -> Result<Client, Error> {
        let mut options = self.options.clone();
        options.version = version;
        let connector = Connector::new(self.endpoint.clone(), options);
        connector.reconnect(Reconnect::never()).connect().await
    }

    /// Where the broker is, for people.
    pub(super) fn place(&self) -> String {
        let address = self.endpoint.to_string();
        match (&self.endpoint.host, address.strip_prefix("mqtt://")) {
            (Host::Tcp { .. }, Some(plain)) => plain.to_owned(),
            (Host::Tcp { .. } | Host::Unix(_) | Host::Srv(_), _) => address,
        }
    }
}

fn version(text: &str) -> Result<Version, String> {
    match text.strip_prefix("mqttv").unwrap_or(text) {
        "31" => Ok(Version::V31),
        "311" => Ok(Version::V311),
        "5" => Ok(Version::V5),
        _ => Err("it is none of 31, 311, 5".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser, Debug)]
    #[command(disable_help_flag = true)]
    struct Line {
        #[command(flatten)]
        access: AccessArgs,
    }

    fn access(words: &[&str]) -> Result<Access, String> {
        let words = std::iter::once("top").chain(words.iter().copied());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.access.check()
    }

    fn place(words: &[&str]) -> String {
        access(words).expect("it makes sense").place()
    }

    #[test]
    fn flags_and_addresses_name_the_same_places() {
        assert_eq!(place(&[]), "localhost:1883");
        assert_eq!(place(&["-h", "a", "-p", "7"]), "a:7");
        assert_eq!(place(&["a:7"]), "a:7");
        assert_eq!(place(&["mqtts://a"]), place(&["-h", "a", "--cafile", "x.pem"]));
        assert_eq!(place(&["-h", "a", "--insecure", "-p", "7"]), "mqtts://a:7");
        assert_eq!(place(&["ws://a/mqtt"]), "ws://a:80");
        assert!(place(&["unix:///run/broker.sock"]).contains("/run/broker.sock"));
    }

    #[test]
    fn secrets_of_an_address_are_used_but_not_shown() {
        let access = access(&["mqtt://me:secret@a"]).expect("it makes sense");
        assert_eq!(access.options.user_name.as_deref(), Some("me"));
        assert_eq!(access.options.password.as_deref(), Some(&b"secret"[..]));
        assert!(!access.place().contains("secret") && !format!("{access:?}").contains("secret"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            &["http://a"][..],
            &["a:7", "-p", "8"],
            &["-V", "4"],
            &["--cert", "x.pem"],
            &["-V", "311", "-P", "alone"],
        ] {
            assert!(access(words).is_err(), "{words:?}");
        }
    }
}
