//! `pub`: sends messages and ends when the last of them is done with.

use super::connect;
use super::debug::{Debug, Entry};
use super::flags::PAYLOAD_MAX;
use super::option_file::as_os;
use super::property::has_duplicate;
use super::settings::{Content, Settings};
use super::trouble::{Fault, Trouble, Voice, connack_words, reason_words};
use crate::tools::Called;
use noctule_client::{
    Client, Error, Message, Notice, ReasonCode, Receipt, Reconnect, Tapped, Version,
};
use std::collections::VecDeque;
use std::io::{BufRead, Read};
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc;

/// Messages whose promise is not kept yet, before the next line is read.
const UNSETTLED_MAX: usize = 1000;
/// How long a goodbye may take.
const LEAVE_MAX: Duration = Duration::from_secs(2);

type Lines = mpsc::Receiver<std::io::Result<Vec<u8>>>;

/// Loads what is to be sent; for standard input line by line there is nothing to load.
pub(super) fn load(settings: &Settings, voice: Voice) -> Result<Option<Vec<u8>>, Trouble> {
    match &settings.publish.content {
        None | Some(Content::StdinLines) => Ok(None),
        Some(Content::Nothing) => Ok(Some(Vec::new())),
        Some(Content::Text(text)) => Ok(Some(text.clone())),
        Some(Content::File(name)) => {
            let shown = String::from_utf8_lossy(name);
            let failed = || Trouble::plain(format!("Error loading input file \"{shown}\"."));
            let payload = std::fs::read(as_os(name)).map_err(|error| {
                let words = super::trouble::io_words(&error);
                voice.complain(format!("Error: Unable to read file \"{shown}\": {words}.\n"));
                failed()
            })?;
            if payload.len() > PAYLOAD_MAX {
                voice.complain(format!("Error: File must be less than {PAYLOAD_MAX} bytes.\n\n"));
                return Err(failed());
            }
            Ok(Some(payload))
        }
        Some(Content::StdinWhole) => {
            let failed = || Trouble::plain("Error loading input from stdin.");
            let mut payload = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut payload);
            match read {
                Ok(0) | Err(_) => {
                    voice.complain("Error: Zero length input.\n");
                    Err(failed())
                }
                Ok(count) if count > PAYLOAD_MAX => {
                    let max = PAYLOAD_MAX;
                    voice.complain(format!(
                        "Error: Message length must be less than {max} bytes.\n\n"
                    ));
                    Err(failed())
                }
                Ok(_) => Ok(Some(payload)),
            }
        }
    }
}

/// A message as the flags say, without its payload.
pub(super) fn template(settings: &Settings) -> Result<Message, Fault> {
    let given = &settings.properties.publish;
    let mut message = Message::new(settings.publish.topic.as_deref().unwrap_or_default(), "");
    message.qos = settings.qos;
    message.retain = settings.publish.retain;
    connect::set_properties(&mut message, given)?;
    Ok(message)
}

/// Connects and publishes.
pub(super) async fn run(
    settings: &Settings,
    voice: Voice,
    payload: Option<Vec<u8>>,
) -> Result<ExitCode, Trouble> {
    let mut connector = connect::connector(settings)?;
    if settings.debug {
        connector = connector.tap(print_packets(settings));
    }
    // mosquitto_pub connects again only where it does not know how much is still to come.
    let reconnect = match payload {
        Some(_) => Reconnect::never(),
        None => connect::reconnect(),
    };
    let version = settings.connection.version;
    let client = connector.reconnect(reconnect).connect().await;
    let lines = payload.is_none();
    let client =
        client.map_err(|error| Trouble::no_connection(error, |n| refusal(n, version, lines)))?;
    voice.warn(&client);
    let mut work = Work { settings, voice, client: &client, sent: 0, unsettled: VecDeque::new() };
    match payload {
        Some(payload) => work.one(payload).await?,
        None => work.lines(stdin_lines()).await?,
    }
    leave(client, connect::goodbye(settings)).await;
    Ok(ExitCode::SUCCESS)
}

/// Prints packets as they pass.
fn print_packets(settings: &Settings) -> impl FnMut(Tapped<'_>) + Send + 'static {
    let mut debug = Debug::new(settings.tool, settings.connection.version);
    move |tapped| {
        for entry in debug.see(tapped) {
            if let Entry::Line(line) = entry {
                super::print(&format!("{line}\n"));
            }
        }
    }
}

/// Says goodbye, but does not wait long for a broker that does not answer.
pub(super) async fn leave(client: Client, goodbye: noctule_client::Goodbye) {
    let leaving = client.disconnect_with(goodbye);
    // The work is done; whether the broker hears of it is its own affair.
    let _ = tokio::time::timeout(LEAVE_MAX, leaving).await;
}

/// What mosquitto_pub says about a refusal; it takes the end of the connection for a second one.
fn refusal(notice: &Notice, version: Version, lines: bool) -> String {
    let fault =
        if lines || version != Version::V5 { Fault::ConnectionRefused } else { Fault::Protocol };
    format!("{}Error: {}\n", refusal_line(notice, version), fault.words())
}

/// The line about a refusal that `pub` and `sub` have in common.
pub(super) fn refusal_line(notice: &Notice, version: Version) -> String {
    let reason = match version {
        Version::V5 => reason_words(notice.code),
        Version::V31 | Version::V311 => connack_words(notice.code),
    };
    let old = version == Version::V5 && notice.reason == ReasonCode::UnsupportedProtocolVersion;
    let hint =
        if old { ". Try connecting to an MQTT v5 broker, or use MQTT v3.x mode." } else { "" };
    format!("Connection error: {reason}{hint}\n")
}

struct Work<'a> {
    settings: &'a Settings,
    voice: Voice,
    client: &'a Client,
    /// How many messages have been handed over.
    sent: u32,
    /// Those whose promise is not kept yet, with their numbers.
    unsettled: VecDeque<(u32, Receipt)>,
}

impl Work<'_> {
    /// One message, as often as it shall be repeated.
    async fn one(&mut self, payload: Vec<u8>) -> Result<(), Trouble> {
        let mut message = self.message()?;
        message.payload = payload.into();
        let publish = &self.settings.publish;
        for left in (0..publish.repeat).rev() {
            let receipt = self.send(message.clone()).await?;
            let result = receipt.await;
            self.judge(self.sent, result)?;
            if left > 0 {
                tokio::time::sleep(publish.repeat_delay).await;
            }
        }
        Ok(())
    }

    /// A message for each line.
    async fn lines(&mut self, mut lines: Lines) -> Result<(), Trouble> {
        let template = self.message()?;
        while let Some(line) = self.next_line(&mut lines).await? {
            let mut message = template.clone();
            message.payload = line.into();
            let receipt = self.send(message).await?;
            self.unsettled.push_back((self.sent, receipt));
        }
        while let Some((number, receipt)) = self.unsettled.pop_front() {
            let result = receipt.await;
            self.judge(number, result)?;
        }
        Ok(())
    }

    fn message(&self) -> Result<Message, Trouble> {
        let given = &self.settings.properties.publish;
        if !given.is_empty() && self.client.version() != Version::V5 {
            return Err(Trouble::unfit(Fault::NotSupported));
        }
        if has_duplicate(given) {
            return Err(Trouble::unfit(Fault::DuplicateProperty));
        }
        template(self.settings).map_err(Trouble::unfit)
    }

    async fn send(&mut self, message: Message) -> Result<Receipt, Trouble> {
        self.sent += 1;
        let version = self.client.version();
        self.client.send(message).await.map_err(|error| Trouble::lost(error, version))
    }

    /// The next line. Meanwhile messages on the way come to their end, so that a failure is seen
    /// at once and not more than [`UNSETTLED_MAX`] gather.
    async fn next_line(&mut self, lines: &mut Lines) -> Result<Option<Vec<u8>>, Trouble> {
        let failed = |_| Trouble::plain("Error loading input from stdin.");
        loop {
            let may_read = self.unsettled.len() < UNSETTLED_MAX;
            let Some((number, oldest)) = self.unsettled.front_mut() else {
                return lines.recv().await.transpose().map_err(failed);
            };
            let number = *number;
            tokio::select! {
                line = lines.recv(), if may_read => return line.transpose().map_err(failed),
                result = oldest => {
                    self.unsettled.pop_front();
                    self.judge(number, result)?;
                }
            }
        }
    }

    /// A message that the broker refuses is worth a warning.
    fn judge(&self, number: u32, result: Result<ReasonCode, Error>) -> Result<(), Trouble> {
        let error = match result {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        match (&error, self.voice.called) {
            (Error::Rejected(_), Called::Noctule) => {
                self.voice.complain(format!("Warning: Publish {number} failed: {error}\n"));
                Ok(())
            }
            (Error::Rejected(notice), Called::Mosquitto) => {
                let words = reason_words(notice.code);
                self.voice.complain(format!("Warning: Publish {number} failed: {words}.\n"));
                if let Some(reason) = &notice.reason_string {
                    self.voice.complain(format!("{reason}\n"));
                }
                Ok(())
            }
            (Error::Invalid(_), _) => Err(Trouble::unsent(error)),
            // A message of QoS 0 that left with a connection that broke: the next one is made.
            _ if self.settings.publish.content == Some(Content::StdinLines)
                && self.client.end().is_none() =>
            {
                if self.voice.called == Called::Noctule {
                    self.voice.complain(format!("Warning: Publish {number} failed: {error}\n"));
                }
                Ok(())
            }
            _ => Err(Trouble::lost(error, self.client.version())),
        }
    }
}

/// Reads lines in a thread of its own: a read from standard input cannot be called off.
fn stdin_lines() -> Lines {
    let (sender, lines) = mpsc::channel(64);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = stdin.read_until(b'\n', &mut line);
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            let (line, last) = match read {
                Ok(0) => return,
                Ok(_) => (Ok(line), false),
                Err(error) => (Err(error), true),
            };
            if sender.blocking_send(line).is_err() || last {
                return;
            }
        }
    });
    lines
}
