//! `noctule pub`: publishes messages, as mosquitto_pub does.

use crate::connection::{Connection, asked_to_end, block_on, qos, take_leave};
use clap::Args;
use noctule_client::{Client, Error, Message, QoS, ReasonCode, Receipt};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, Read};
use std::process::ExitCode;
use tokio::sync::mpsc;

/// Messages whose promise is not kept yet, before the next line is read.
const UNSETTLED_MAX: usize = 1000;

/// Publish a message.
#[derive(Args, Debug)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub(crate) struct PubArgs {
    #[command(flatten)]
    connection: Connection,
    /// Topic to publish to.
    #[arg(short, long, allow_hyphen_values = true)]
    topic: Option<String>,
    /// Payload of the message.
    #[arg(short, long, allow_hyphen_values = true)]
    message: Option<OsString>,
    /// Publish each line of standard input as a message.
    #[arg(short = 'l', long)]
    stdin_line: bool,
    /// Publish all of standard input as one message.
    #[arg(short = 's', long)]
    stdin_file: bool,
    /// Publish an empty message.
    #[arg(short, long)]
    null_message: bool,
    /// QoS of the messages.
    #[arg(short, long, default_value = "0", value_parser = qos)]
    qos: QoS,
    /// Let the broker keep the message as the last value of the topic.
    #[arg(short, long)]
    retain: bool,
}

/// Where the payloads come from.
enum Source {
    One(Vec<u8>),
    Lines(Lines),
}

type Lines = mpsc::Receiver<std::io::Result<Vec<u8>>>;

impl PubArgs {
    pub(crate) fn run(self) -> ExitCode {
        if let Err(words) = self.check() {
            return self.connection.misuse(&words, "pub");
        }
        let source = match self.source() {
            Ok(source) => source,
            Err(error) => return self.connection.fail(&error.into()),
        };
        block_on(async {
            match self.publish(source).await {
                Ok(code) => code,
                Err(error) => self.connection.fail(&error),
            }
        })
    }

    fn check(&self) -> Result<(), String> {
        let given = [self.message.is_some(), self.stdin_line, self.stdin_file, self.null_message];
        match given.into_iter().filter(|given| *given).count() {
            0 => return Err("Both topic and message must be supplied.".into()),
            1 => {}
            _ => return Err("Only one type of message can be sent at once.".into()),
        }
        let Some(topic) = &self.topic else {
            return Err("Both topic and message must be supplied.".into());
        };
        noctule_proto::TopicName::parse(topic)
            .map_err(|error| format!("Invalid publish topic '{topic}': {error}"))?;
        self.connection.check()
    }

    fn source(&self) -> std::io::Result<Source> {
        if self.stdin_line {
            return Ok(Source::Lines(stdin_lines()));
        }
        let mut payload = self.message.clone().unwrap_or_default().into_encoded_bytes();
        if self.stdin_file {
            std::io::stdin().lock().read_to_end(&mut payload)?;
        }
        Ok(Source::One(payload))
    }

    /// Whoever interrupts it cannot know what has arrived, so that is no success.
    async fn publish(&self, source: Source) -> Result<ExitCode, Error> {
        let client = tokio::select! {
            client = self.connection.connect() => client?,
            code = asked_to_end() => return Ok(code),
        };
        let code = tokio::select! {
            done = self.publish_all(&client, source) => done.map(|()| ExitCode::SUCCESS)?,
            code = asked_to_end() => code,
        };
        take_leave(client).await.map(|()| code)
    }

    async fn publish_all(&self, client: &Client, source: Source) -> Result<(), Error> {
        let mut unsettled = VecDeque::new();
        match source {
            Source::One(payload) => unsettled.push_back(self.send(client, payload).await?),
            Source::Lines(mut lines) => {
                while let Some(line) = self.next_line(&mut lines, &mut unsettled).await? {
                    unsettled.push_back(self.send(client, line).await?);
                }
            }
        }
        while let Some(receipt) = unsettled.pop_front() {
            self.judge(receipt.await)?;
        }
        Ok(())
    }

    async fn send(&self, client: &Client, payload: Vec<u8>) -> Result<Receipt, Error> {
        let mut message = Message::new(self.topic.as_deref().unwrap_or_default(), payload);
        message.qos = self.qos;
        message.retain = self.retain;
        client.send(message).await
    }

    /// The next line. Meanwhile messages on the way come to their end, so that a failure is seen
    /// at once and not more than [`UNSETTLED_MAX`] gather.
    async fn next_line(
        &self,
        lines: &mut Lines,
        unsettled: &mut VecDeque<Receipt>,
    ) -> Result<Option<Vec<u8>>, Error> {
        loop {
            let may_read = unsettled.len() < UNSETTLED_MAX;
            let Some(oldest) = unsettled.front_mut() else {
                return Ok(lines.recv().await.transpose()?);
            };
            tokio::select! {
                line = lines.recv(), if may_read => return Ok(line.transpose()?),
                result = oldest => {
                    unsettled.pop_front();
                    self.judge(result)?;
                }
            }
        }
    }

    /// A message that the broker refuses is worth a warning, as in mosquitto_pub.
    fn judge(&self, result: Result<ReasonCode, Error>) -> Result<(), Error> {
        match result {
            Ok(_) => Ok(()),
            Err(error @ Error::Rejected(_)) => {
                self.connection.complain(&format!("Warning: Publish failed: {error}"));
                Ok(())
            }
            Err(error) => Err(error),
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
