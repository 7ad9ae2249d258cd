//! Flags of every command that connects to a broker; they mean what they mean to mosquitto's
//! tools.

use clap::{ArgAction, Args};
use noctule_client::net::Endpoint;
use noctule_client::{Client, Connector, Error, Message, Options, QoS, Reconnect, Version};
use std::process::ExitCode;

/// How long a session of `-x` and `-c` lasts that never ends.
const FOREVER: u32 = u32::MAX;

/// Where to connect, and as whom.
#[derive(Args, Debug)]
pub(crate) struct Connection {
    /// Host to connect to.
    #[arg(short = 'h', long = "host", default_value = "localhost")]
    host: String,
    /// Port to connect to.
    #[arg(short, long, default_value_t = 1883)]
    port: u16,
    /// Client identifier; chosen by the broker if left out.
    #[arg(short, long, allow_hyphen_values = true)]
    id: Option<String>,
    /// User name.
    #[arg(short, long, allow_hyphen_values = true)]
    username: Option<String>,
    /// Password.
    #[arg(short = 'P', long = "pw", allow_hyphen_values = true)]
    password: Option<String>,
    /// Protocol version: 31, 311 or 5 (or mqttv31, mqttv311, mqttv5). [default: 311, or 5 with -x]
    #[arg(short = 'V', long, value_parser = version)]
    protocol_version: Option<Version>,
    /// Keep alive in seconds.
    #[arg(short, long, default_value_t = 60)]
    keepalive: u16,
    /// Keep the session when disconnecting, and take up the one that was kept; needs -i.
    #[arg(short = 'c', long)]
    disable_clean_session: bool,
    /// Seconds that the broker keeps the session; -1 or ∞ for ever. MQTT 5 only.
    #[arg(short = 'x', long, allow_hyphen_values = true, value_parser = session_expiry)]
    session_expiry_interval: Option<u32>,
    /// Topic on which the broker publishes a Will if this client vanishes.
    #[arg(long)]
    will_topic: Option<String>,
    /// Payload of the Will.
    #[arg(long, requires = "will_topic", allow_hyphen_values = true)]
    will_payload: Option<String>,
    /// QoS of the Will.
    #[arg(long, requires = "will_topic", default_value = "0", value_parser = qos)]
    will_qos: QoS,
    /// Retain the Will.
    #[arg(long, requires = "will_topic")]
    will_retain: bool,
    /// Print no error messages.
    #[arg(long)]
    quiet: bool,
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

impl Connection {
    pub(crate) async fn connect(&self) -> Result<Client, Error> {
        let endpoint = Endpoint::tcp(self.host.as_str(), self.port);
        Connector::new(endpoint, self.options()).reconnect(Reconnect::never()).connect().await
    }

    /// What can be told wrong before anything is sent.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.disable_clean_session && self.id.is_none() {
            return Err("You must provide a client id if you are using the -c option.".into());
        }
        if self.password.is_some() && self.username.is_none() {
            self.complain("Warning: Not using password since username not set.");
        }
        self.options().check().map_err(|invalid| invalid.to_string())
    }

    fn options(&self) -> Options {
        let implied =
            if self.session_expiry_interval.is_some() { Version::V5 } else { Version::V311 };
        let version = self.protocol_version.unwrap_or(implied);
        let mut options = Options::new(self.id.clone().unwrap_or_default());
        if version == Version::V31 && options.client_id.is_empty() {
            options.client_id = format!("noctule-{}", std::process::id());
        }
        options.version = version;
        options.clean_start = !self.disable_clean_session;
        options.keep_alive_secs = self.keepalive;
        options.user_name.clone_from(&self.username);
        let password = self.password.as_ref().filter(|_| self.username.is_some());
        options.password = password.map(|password| password.clone().into_bytes());
        let kept = if self.disable_clean_session { FOREVER } else { 0 };
        options.session_expiry_secs = self.session_expiry_interval.unwrap_or(kept);
        options.will = self.will_topic.as_ref().map(|topic| {
            let payload = self.will_payload.clone().unwrap_or_default();
            let mut will = Message::new(topic.as_str(), payload).qos(self.will_qos);
            will.retain = self.will_retain;
            will.into()
        });
        options
    }

    /// Says something on the standard error stream, unless told not to.
    #[allow(clippy::print_stderr, reason = "errors of a command go there")]
    pub(crate) fn complain(&self, words: &str) {
        if !self.quiet {
            eprintln!("{words}");
        }
    }

    /// Reports why the work is over; the exit code is the broker's code if it refused the
    /// connection, else 1.
    pub(crate) fn fail(&self, error: &Error) -> ExitCode {
        match error {
            Error::Refused(notice) => {
                self.complain(&format!("Connection error: {error}"));
                ExitCode::from(notice.code)
            }
            error => {
                self.complain(&format!("Error: {error}"));
                ExitCode::FAILURE
            }
        }
    }

    /// Reports a wrong use of the command.
    pub(crate) fn misuse(&self, words: &str, command: &str) -> ExitCode {
        self.complain(&format!("Error: {words}\n\nUse 'noctule {command} --help' to see usage."));
        ExitCode::FAILURE
    }
}

/// A quality of service.
pub(crate) fn qos(text: &str) -> Result<QoS, String> {
    let number = text.parse().ok().and_then(QoS::from_u8);
    number.ok_or_else(|| format!("Invalid QoS given: {text}"))
}

fn version(text: &str) -> Result<Version, String> {
    match text.strip_prefix("mqttv").unwrap_or(text) {
        "31" => Ok(Version::V31),
        "311" => Ok(Version::V311),
        "5" => Ok(Version::V5),
        _ => Err("Invalid protocol version argument given.".into()),
    }
}

fn session_expiry(text: &str) -> Result<u32, String> {
    match text {
        "-1" | "∞" => Ok(FOREVER),
        _ => text.parse().map_err(|_| format!("Invalid session expiry interval given: {text}")),
    }
}

/// Runs a command on this thread until it is done.
pub(crate) fn block_on(work: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the operating system grants an event queue");
    let code = runtime.block_on(work);
    // A thread that waits for standard input must not hold the process.
    runtime.shutdown_background();
    code
}

/// Ready when the user or the system asks the command to end; answers the exit code of a program
/// that such a signal ends.
pub(crate) async fn asked_to_end() -> ExitCode {
    const INTERRUPTED: u8 = 130;
    #[cfg(unix)]
    if let Ok(mut terminate) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        const TERMINATED: u8 = 143;
        return tokio::select! {
            _ = terminate.recv() => ExitCode::from(TERMINATED),
            _ = tokio::signal::ctrl_c() => ExitCode::from(INTERRUPTED),
        };
    }
    let _ = tokio::signal::ctrl_c().await;
    ExitCode::from(INTERRUPTED)
}
