//! `noctule sub`: prints messages, as mosquitto_sub does.

use crate::connection::{Connection, asked_to_end, block_on, qos, take_leave};
use clap::Args;
use noctule_client::{Error, Message, QoS, Subscribe, SubscribeOptions, Subscription};
use std::io::{BufWriter, ErrorKind, Write};
use std::num::NonZeroU64;
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::time::Duration;

/// What mosquitto_sub answers to `-W`.
const TIMED_OUT: u8 = 27;

/// Why printing ended.
enum Trouble {
    /// What is printed cannot be written.
    Output(std::io::Error),
    /// No more messages come.
    Connection(Error),
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Trouble {
        Trouble::Output(error)
    }
}

/// Subscribe to topics and print what comes.
#[derive(Args, Debug)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub(crate) struct SubArgs {
    #[command(flatten)]
    connection: Connection,
    /// Topic filter to subscribe to; may be given several times.
    #[arg(short = 't', long = "topic", allow_hyphen_values = true)]
    topics: Vec<String>,
    /// QoS to subscribe with.
    #[arg(short, long, default_value = "0", value_parser = qos)]
    qos: QoS,
    /// Print topics with the messages.
    #[arg(short, long)]
    verbose: bool,
    /// Exit after this many messages.
    #[arg(short = 'C', long)]
    count: Option<NonZeroU64>,
    /// Exit after this many seconds, with code 27.
    #[arg(short = 'W', long)]
    timeout: Option<NonZeroU64>,
    /// Print no end of line after a message.
    #[arg(short = 'N')]
    no_end_of_line: bool,
}

impl SubArgs {
    pub(crate) fn run(self) -> ExitCode {
        if let Err(words) = self.check() {
            return self.connection.misuse(&words, "sub");
        }
        block_on(async {
            self.subscribe().await.unwrap_or_else(|error| self.connection.fail(&error))
        })
    }

    fn check(&self) -> Result<(), String> {
        if self.topics.is_empty() {
            return Err("You must specify a topic to subscribe to.".into());
        }
        for topic in &self.topics {
            noctule_proto::TopicFilter::parse(topic)
                .map_err(|error| format!("Invalid subscription topic '{topic}': {error}"))?;
        }
        self.connection.check()
    }

    /// Ready when the command has to end, with its exit code.
    async fn stop(&self) -> ExitCode {
        let time_is_up = async {
            match self.timeout {
                Some(secs) => tokio::time::sleep(Duration::from_secs(secs.get())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = asked_to_end() => ExitCode::SUCCESS,
            () = time_is_up => {
                self.connection.complain("Timed out");
                ExitCode::from(TIMED_OUT)
            }
        }
    }

    async fn subscribe(&self) -> Result<ExitCode, Error> {
        let mut stop = pin!(self.stop());
        let client = tokio::select! {
            client = self.connection.connect() => client?,
            code = &mut stop => return Ok(code),
        };
        let subscription = tokio::select! {
            subscription = client.subscribe(self.request()) => subscription,
            code = &mut stop => return take_leave(client).await.map(|()| code),
        };
        let code = match subscription {
            Ok(mut messages) => self.print_all(&mut messages, stop).await?,
            Err(Error::Rejected(_)) => {
                self.connection.complain("All subscription requests were denied.");
                ExitCode::SUCCESS
            }
            Err(error) => return Err(error),
        };
        take_leave(client).await.map(|()| code)
    }

    fn request(&self) -> Subscribe {
        let options = SubscribeOptions { qos: self.qos, ..SubscribeOptions::default() };
        let topics = self.topics.iter();
        topics.fold(Subscribe::default(), |subscribe, topic| subscribe.and(topic, options))
    }

    /// Prints messages until there is a reason to end. It is none of the errors if nobody reads
    /// any more, as behind `head`.
    async fn print_all(
        &self,
        messages: &mut Subscription,
        stop: Pin<&mut impl Future<Output = ExitCode>>,
    ) -> Result<ExitCode, Error> {
        let mut out = BufWriter::new(std::io::stdout().lock());
        match self.copy(messages, stop, &mut out).await {
            Ok(code) => Ok(code),
            Err(Trouble::Output(error)) if error.kind() == ErrorKind::BrokenPipe => {
                Ok(ExitCode::SUCCESS)
            }
            Err(Trouble::Output(error)) => Err(error.into()),
            Err(Trouble::Connection(error)) => Err(error),
        }
    }

    /// What is printed is seen at once, but many messages at a time are written together.
    async fn copy(
        &self,
        messages: &mut Subscription,
        mut stop: Pin<&mut impl Future<Output = ExitCode>>,
        out: &mut BufWriter<impl Write>,
    ) -> Result<ExitCode, Trouble> {
        let mut left = self.count.map(NonZeroU64::get);
        while left != Some(0) {
            let message = tokio::select! {
                biased;
                code = &mut stop => {
                    out.flush()?;
                    return Ok(code);
                }
                message = messages.recv() => message,
                () = std::future::ready(()), if !out.buffer().is_empty() => {
                    out.flush()?;
                    continue;
                }
            };
            let Some(message) = message else {
                out.flush()?;
                return Err(Trouble::Connection(messages.end().unwrap_or(Error::Closed)));
            };
            self.print(&message, out)?;
            left = left.map(|left| left - 1);
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    /// As mosquitto_sub does: an empty message shows only where its topic does, in a line.
    fn print(&self, message: &Message, out: &mut impl Write) -> std::io::Result<()> {
        let end: &[u8] = if self.no_end_of_line { b"" } else { b"\n" };
        if message.payload.is_empty() {
            if self.verbose && !self.no_end_of_line {
                writeln!(out, "{} (null)", message.topic)?;
            }
            return Ok(());
        }
        if self.verbose {
            write!(out, "{} ", message.topic)?;
        }
        out.write_all(&message.payload)?;
        out.write_all(end)
    }
}
