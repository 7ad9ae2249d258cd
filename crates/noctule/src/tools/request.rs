//! `rr`: sends a request and prints the response.

use super::connect;
use super::opening::{lines, watched};
use super::output::Printer;
use super::property::{Property, Value, has_duplicate};
use super::publish::{leave, template};
use super::settings::Settings;
use super::subscribe::subscribe;
use super::trouble::{Fault, Trouble, Voice, io_words, reason_words};
use noctule_client::{Client, Error, Message, ReasonCode, Receipt, Reconnect, Version};
use noctule_proto::property::PropertyId;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Adds the response topic to what is published.
pub(super) fn prepare(settings: &mut Settings) -> Result<(), Trouble> {
    let Some(topic) = settings.publish.response_topic.clone() else { return Ok(()) };
    let property = Property { id: PropertyId::ResponseTopic, value: Value::Text(topic) };
    let publish = &mut settings.properties.publish;
    publish.push(property);
    if has_duplicate(publish) {
        return Err(Trouble::plain("Error in PUBLISH properties: Duplicate response topic."));
    }
    Ok(())
}

/// Connects, asks, and prints the answer.
pub(super) async fn run(
    settings: &Settings,
    voice: Voice,
    payload: Vec<u8>,
) -> Result<ExitCode, Trouble> {
    let connector = connect::connector(settings)?.reconnect(Reconnect::never());
    let (lines, mut packets) = lines(settings);
    let connector = watched(connector, settings, &lines);
    let version = settings.connection.version;
    let client = connector.start().map_err(|error| Trouble::lost(error, version))?;
    let mut printer = Printer::new(settings, voice);
    let asked = tokio::select! {
        asked = ask(settings, voice, &client, payload) => Some(asked),
        () = timeout(settings.receive.timeout_secs) => None,
    };
    let mut goodbye = connect::goodbye(settings);
    let result = match asked {
        None => {
            goodbye.reason = connect::interrupted(settings);
            voice.complain("Timed out\n");
            Ok(ExitCode::from(Fault::Timeout as u8))
        }
        Some(Err(trouble)) => Err(trouble),
        Some(Ok(response)) => {
            if let Some(response) = response {
                printer.debug_until(&mut packets, response.skipped + 1).await;
                printer.message(&response.message);
                if settings.receive.latency {
                    printer.text(latency(response.took).as_bytes());
                }
            }
            Ok(ExitCode::SUCCESS)
        }
    };
    leave(client, goodbye).await;
    printer.debug_all(packets);
    let written = printer.finish().await;
    written.map_err(|error| Trouble::plain(format!("Error: {}", io_words(&error))))?;
    result
}

async fn timeout(secs: Option<u32>) {
    match secs {
        Some(secs) => tokio::time::sleep(Duration::from_secs(secs.into())).await,
        None => std::future::pending().await,
    }
}

/// What came of a request.
struct Response {
    message: Message,
    took: Duration,
    /// Messages that came before it and do not count.
    skipped: usize,
}

/// Answers the response; nothing, if the broker wants no subscription.
async fn ask(
    settings: &Settings,
    voice: Voice,
    client: &Client,
    payload: Vec<u8>,
) -> Result<Option<Response>, Trouble> {
    let version = settings.connection.version;
    let lost = |error| Trouble::lost(error, version);
    let mut messages = client.messages().await.map_err(lost)?;
    client.online().await.map_err(|error| {
        Trouble::no_connection(error, |notice| {
            format!("Connection error: {}\n", reason_words(notice.code))
        })
    })?;
    voice.warn(client);
    let response_topic: Vec<String> = settings.publish.response_topic.iter().cloned().collect();
    match client.subscribe(subscribe(settings, &response_topic)).await {
        Ok(_) => {}
        Err(Error::Rejected(notice)) => {
            voice.complain(format!("{}\n", reason_words(notice.code)));
            return Ok(None);
        }
        Err(error) => return Err(lost(error)),
    }
    let request = request(settings, payload).map_err(Trouble::unfit)?;
    let sent = Instant::now();
    let mut receipt = Some(client.send(request).await.map_err(lost)?);
    let mut skipped = 0;
    loop {
        tokio::select! {
            biased;
            message = messages.recv() => match message {
                Some(message) if message.retain && settings.receive.skip_retained => skipped += 1,
                Some(message) => {
                    return Ok(Some(Response { message, took: sent.elapsed(), skipped }));
                }
                None => return Err(lost(client.end().unwrap_or(Error::Closed))),
            },
            Some(result) = settled(&mut receipt) => match result {
                Ok(_) | Err(Error::Rejected(_)) => {}
                Err(error @ Error::Invalid(_)) => return Err(Trouble::unsent(error)),
                Err(error) => return Err(lost(error)),
            },
        }
    }
}

/// The end of a message that was sent, told once.
async fn settled(receipt: &mut Option<Receipt>) -> Option<Result<ReasonCode, Error>> {
    let result = receipt.as_mut()?.await;
    *receipt = None;
    Some(result)
}

/// The request; before 5.0 it has no properties.
fn request(settings: &Settings, payload: Vec<u8>) -> Result<Message, Fault> {
    let mut request = match settings.connection.version {
        Version::V5 => template(settings)?,
        Version::V31 | Version::V311 => {
            let topic = settings.publish.topic.as_deref().unwrap_or_default();
            Message::new(topic, "").qos(settings.qos)
        }
    };
    request.payload = payload.into();
    Ok(request)
}

fn latency(took: Duration) -> String {
    let nanos = took.subsec_nanos();
    match (took.as_secs(), nanos) {
        (secs @ 1.., nanos) => format!("Latency: {secs}.{nanos:09}\n"),
        (0, 0..1_000) => format!("Latency: {nanos}ns\n"),
        (0, 0..1_000_000) => format!("Latency: {:.6}µs\n", f64::from(nanos) / 1e3),
        (0, _) => format!("Latency: {:.6}ms\n", f64::from(nanos) / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_has_the_unit_that_fits() {
        for (nanos, text) in [
            (999, "999ns"),
            (1_500, "1.500000µs"),
            (103_193, "103.193000µs"),
            (2_000_001, "2.000001ms"),
            (3_000_000_004, "3.000000004"),
        ] {
            assert_eq!(latency(Duration::from_nanos(nanos)), format!("Latency: {text}\n"));
        }
    }
}
