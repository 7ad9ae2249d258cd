//! `sub`: prints what comes.

use super::connect;
use super::opening::{Packets, connect as connect_patiently, lines, next, refusal};
use super::output::{Closed, Printer};
use super::publish::{leave, refusal_line};
use super::settings::Settings;
use super::trouble::{Fault, Trouble, Voice};
use noctule_client::{
    Client, Error, Goodbye, Message, QoS, ReasonCode, Subscribe, SubscribeOptions, Subscription,
    Unsubscribe,
};
use noctule_proto::{TopicFilter, matches};
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, interval_at};

/// How mosquitto_sub ends when it is told to before the broker has let it in.
const TOLD_TOO_EARLY: u8 = 255;

/// Why printing ended.
enum End {
    /// There is nothing more to do.
    Done,
    /// A signal came.
    Told,
    /// `-W`.
    TimeIsUp,
    /// The connection is over for good.
    Over(Error),
}

/// What is wrong with the flags together.
pub(super) fn check(settings: &Settings) -> Result<(), Trouble> {
    if settings.receive.skip_retained && settings.receive.retained_only {
        return Err(Trouble::plain(
            "\nError: Combining '-R' and '--retained-only' makes no sense.",
        ));
    }
    Ok(())
}

/// Connects, subscribes and prints.
pub(super) async fn run(settings: &Settings, voice: Voice) -> Result<ExitCode, Trouble> {
    let connector = connect::connector(settings)?.reconnect(connect::reconnect());
    let (lines, packets) = lines(settings);
    let mut printer = Printer::new(settings, voice);
    printer.begin();
    let mut stop = pin!(stop(settings.receive.timeout_secs));
    let version = settings.connection.version;
    let client = tokio::select! {
        client = connect_patiently(connector, settings, &lines) => client,
        _ = &mut stop => {
            printer.debug_all(packets);
            // What cannot be printed now never will be.
            let _ = printer.finish().await;
            return Ok(ExitCode::from(TOLD_TOO_EARLY));
        }
    };
    let (client, messages) = match client {
        Ok(connected) => connected,
        Err(error) => {
            printer.debug_all(packets);
            // What went wrong is said in any case.
            let _ = printer.finish().await;
            return Err(Trouble::no_connection(error, |notice| refusal_line(notice, version)));
        }
    };
    voice.warn(&client);
    let mut work = Work {
        settings,
        voice,
        client: client.clone(),
        printer,
        count: 0,
        silent: false,
        removing: 0,
        rate: 0,
        packets,
        due: 0,
    };
    let end = work.print_all(messages, stop).await;
    let Work { printer, packets, .. } = work;
    let mut goodbye = connect::goodbye(settings);
    let interrupted = connect::interrupted(settings);
    let (trouble, code) = match end {
        End::Done => (None, ExitCode::SUCCESS),
        End::Told => {
            goodbye.reason = interrupted;
            (None, ExitCode::SUCCESS)
        }
        End::TimeIsUp => {
            goodbye.reason = interrupted;
            voice.complain("Timed out\n");
            (None, ExitCode::from(Fault::Timeout as u8))
        }
        End::Over(error) => {
            (Some(Trouble::no_connection(error, |n| refusal_line(n, version))), ExitCode::SUCCESS)
        }
    };
    finish(client, goodbye, printer, packets).await?;
    trouble.map_or(Ok(code), Err)
}

/// Says goodbye and waits until everything is printed, or for the next signal.
async fn finish(
    client: Client,
    goodbye: Goodbye,
    mut printer: Printer<'_>,
    packets: Option<Packets>,
) -> Result<(), Trouble> {
    let finishing = async {
        leave(client, goodbye).await;
        printer.debug_all(packets);
        printer.finish().await
    };
    tokio::select! {
        written = finishing => written.map_err(|error| {
            Trouble::plain(format!("Error: {}", super::trouble::io_words(&error)))
        }),
        () = told_to_end() => Ok(()),
    }
}

/// Ready when the tool has to end.
async fn stop(timeout_secs: Option<u32>) -> End {
    let time_is_up = async {
        match timeout_secs {
            Some(secs) => tokio::time::sleep(Duration::from_secs(secs.into())).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = told_to_end() => End::Told,
        () = time_is_up => End::TimeIsUp,
    }
}

/// Ready when the user or the system asks the tool to end.
pub(super) async fn told_to_end() {
    #[cfg(unix)]
    if let Ok(mut terminate) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// What is asked of the broker.
pub(super) fn subscribe(settings: &Settings, filters: &[String]) -> Subscribe {
    let receive = &settings.receive;
    let mut options = SubscribeOptions { qos: settings.qos, ..SubscribeOptions::default() };
    options.retain_as_published = receive.retain_as_published;
    options.retain_handling = receive.retain_handling;
    let given = &settings.properties.subscribe;
    let mut subscribe =
        filters.iter().fold(Subscribe::default(), |all, filter| all.and(filter, options));
    subscribe.id =
        connect::number(given, noctule_proto::property::PropertyId::SubscriptionIdentifier);
    subscribe.user_properties = connect::user_properties(given);
    subscribe
}

struct Work<'a> {
    settings: &'a Settings,
    voice: Voice,
    client: Client,
    printer: Printer<'a>,
    /// Messages printed.
    count: u32,
    /// Nothing is printed any more: it ends as soon as nothing is being removed.
    silent: bool,
    /// Retained messages on whose removal the broker has not answered.
    removing: usize,
    /// Messages since the last line of `--message-rate`.
    rate: u64,
    packets: Option<Packets>,
    /// Messages whose turn it is, between packets that are printed.
    due: usize,
}

impl Work<'_> {
    async fn print_all(
        &mut self,
        mut messages: Subscription,
        mut stop: Pin<&mut impl Future<Output = End>>,
    ) -> End {
        let client = self.client.clone();
        let mut asking = Box::pin(ask(self.settings, &client));
        let mut asked = false;
        // The first look at `asking` comes before these tasks.
        unsubscribe(self.settings, &client);
        let mut states = self.client.states();
        let (removals, mut removed) = mpsc::unbounded_channel();
        let mut second = second();
        let rates = self.settings.receive.message_rate;
        loop {
            if self.silent && self.removing == 0 {
                if !asked {
                    // Messages of an earlier session were all it wanted; it is asked all the same.
                    tokio::spawn(asking);
                }
                return End::Done;
            }
            let full = self.printer.is_full();
            let takes = !full && (self.packets.is_none() || self.due > 0);
            tokio::select! {
                biased;
                end = &mut stop => {
                    if rates {
                        self.print_rate();
                    }
                    return end;
                }
                answer = &mut asking, if !asked => {
                    asked = true;
                    if let Some(end) = self.answered(answer) {
                        return end;
                    }
                }
                Some(entry) = next(&mut self.packets), if !full && self.due == 0 => {
                    self.due += self.printer.debug(entry);
                }
                message = messages.recv(), if takes => match message {
                    Some(message) => {
                        self.due = self.due.saturating_sub(1);
                        self.message(message, &removals);
                    }
                    None => return End::Over(self.client.end().unwrap_or(Error::Closed)),
                },
                Some(()) = removed.recv() => self.removing -= 1,
                _ = second.tick(), if rates => self.print_rate(),
                Ok(()) = states.changed() => {
                    if let Some(error) = refusal(&states.borrow()) {
                        return End::Over(error);
                    }
                }
                flushed = self.printer.flush(), if !self.printer.is_empty() => {
                    if let Err(Closed) = flushed {
                        return End::Done;
                    }
                }
            }
        }
    }

    fn print_rate(&mut self) {
        let rate = std::mem::take(&mut self.rate);
        self.printer.text(format!("{rate} msgs/s\n").as_bytes());
    }

    /// The broker has answered the subscription.
    fn answered(&mut self, answer: Result<Vec<ReasonCode>, Error>) -> Option<End> {
        match answer {
            Ok(codes) if self.settings.receive.exit_after_subscribing && !codes.is_empty() => {
                Some(End::Done)
            }
            Ok(_) => None,
            Err(Error::Rejected(notice)) => {
                match self.voice.called {
                    super::Called::Mosquitto => {}
                    super::Called::Noctule => {
                        self.voice.complain(format!("{}\n", Error::Rejected(notice)));
                    }
                }
                self.voice.complain("All subscription requests were denied.\n");
                Some(End::Done)
            }
            Err(error) => Some(End::Over(error)),
        }
    }

    fn message(&mut self, message: Message, removals: &mpsc::UnboundedSender<()>) {
        self.rate += 1;
        let receive = &self.settings.receive;
        if self.silent || receive.message_rate {
            return;
        }
        if receive.retained_only && !message.retain {
            self.silent = true;
            return;
        }
        if message.retain && receive.skip_retained || self.is_filtered_out(&message.topic) {
            return;
        }
        if receive.remove_retained && message.retain {
            self.remove(&message, removals.clone());
        }
        self.printer.message(&message);
        self.count += 1;
        self.silent |= receive.count == Some(self.count);
    }

    fn is_filtered_out(&self, topic: &str) -> bool {
        let filters = &self.settings.receive.filter_out;
        filters.iter().any(|filter| {
            TopicFilter::parse(filter).is_ok_and(|filter| matches(filter.plain(), topic))
        })
    }

    /// Has the broker forget a retained message.
    fn remove(&mut self, message: &Message, removed: mpsc::UnboundedSender<()>) {
        let mut empty = Message::new(std::sync::Arc::clone(&message.topic), "");
        empty.qos = QoS::AtLeastOnce;
        empty.retain = true;
        self.removing += 1;
        let client = self.client.clone();
        tokio::spawn(async move {
            // Whatever the broker says, there is nothing more to do about it.
            let _ = client.publish(empty).await;
            let _ = removed.send(());
        });
    }
}

/// Subscribes.
fn ask(
    settings: &Settings,
    client: &Client,
) -> impl Future<Output = Result<Vec<ReasonCode>, Error>> + Send + 'static {
    let topics = &settings.receive.topics;
    let subscribe = (!topics.is_empty()).then(|| subscribe(settings, topics));
    let client = client.clone();
    async move {
        let Some(subscribe) = subscribe else { return Ok(Vec::new()) };
        // Its messages come by the stream of all of them.
        let subscription = client.subscribe(subscribe).await?;
        Ok(subscription.codes().to_vec())
    }
}

/// Ends subscriptions of an earlier time, whatever the broker says to that.
fn unsubscribe(settings: &Settings, client: &Client) {
    let user_properties = connect::user_properties(&settings.properties.unsubscribe);
    for filter in &settings.receive.unsubscribe {
        let mut unsubscribe = Unsubscribe::from(filter);
        unsubscribe.user_properties = user_properties.clone();
        let client = client.clone();
        tokio::spawn(async move { client.unsubscribe(unsubscribe).await });
    }
}

fn second() -> Interval {
    const SECOND: Duration = Duration::from_secs(1);
    interval_at(Instant::now() + SECOND, SECOND)
}
