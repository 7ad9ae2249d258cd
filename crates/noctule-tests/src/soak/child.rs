//! A publisher in a process of its own, with its session in a file: it is told what to do through
//! its standard input, and says each step on its standard output before it takes the next.
//!
//! ```text
//! go | pause | end          ask S N · line S N · kept S N · lost S N why · note ... · done
//! ```

use super::content::{Name, payload};
use super::course::{Memory, Phase, at_once, options, plain};
use super::publish::topic_of;
use crate::sim::chance::Chance;
use anyhow::{Context, Result, bail};
use noctule_client::{Client, Connector, Message, QoS, State, Version};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// A stream of each QoS.
pub(super) const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// What the child is started with.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Orders {
    pub(super) address: String,
    pub(super) version: Version,
    pub(super) client_id: String,
    pub(super) store: PathBuf,
    pub(super) seed: u64,
    /// The next message of each stream, in the order of [`QOS`].
    pub(super) next: [Name; 3],
}

impl Orders {
    /// As arguments of a program.
    pub(super) fn arguments(&self) -> Vec<String> {
        let Orders { address, version, client_id, store, seed, next } = self;
        let version = if *version == Version::V5 { "5" } else { "4" };
        let fixed = [address.as_str(), version, client_id, &store.display().to_string()];
        let mut arguments: Vec<String> = fixed.map(str::to_owned).to_vec();
        arguments.push(seed.to_string());
        arguments.extend(next.iter().map(|name| format!("{}:{}", name.stream, name.number)));
        arguments
    }

    fn parse(arguments: &[String]) -> Option<Orders> {
        let [address, version, client_id, store, seed, next @ ..] = arguments else { return None };
        let name = |at: usize| {
            let (stream, number) = next.get(at)?.split_once(':')?;
            Some(Name { stream: stream.parse().ok()?, number: number.parse().ok()? })
        };
        Some(Orders {
            address: address.clone(),
            version: if version == "5" { Version::V5 } else { Version::V311 },
            client_id: client_id.clone(),
            store: PathBuf::from(store),
            seed: seed.parse().ok()?,
            next: [name(0)?, name(1)?, name(2)?],
        })
    }
}

/// Runs the child until its standard input ends.
///
/// # Errors
/// If the arguments are none of a child's, or the session cannot be had.
pub fn child(arguments: &[String]) -> Result<()> {
    let orders = Orders::parse(arguments).context("not the arguments of a child")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (phase, phases) = watch::channel(Phase::Publish);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            phase.send_replace(match line.as_str() {
                "go" => Phase::Publish,
                "pause" => Phase::Pause,
                _ => Phase::End,
            });
        }
        phase.send_replace(Phase::Over);
    });
    runtime.block_on(live(&orders, phases))
}

async fn live(orders: &Orders, mut phases: watch::Receiver<Phase>) -> Result<()> {
    let options = options(orders.version, &orders.client_id, Memory::Kept);
    let connector = Connector::to(&orders.address, options)?.reconnect(at_once()).queue_max(30);
    let client = connector.store(&orders.store).start()?;
    tokio::spawn(tell_states(client.states()));
    let mut chance = Chance::new(orders.seed);
    let mut sources = JoinSet::new();
    for (next, qos) in orders.next.into_iter().zip(QOS) {
        let (client, phases) = (client.clone(), phases.clone());
        sources.spawn(publish(client, (next, qos), phases, Chance::new(chance.next())));
    }
    while let Some(ended) = sources.join_next().await {
        ended??;
    }
    say("done")?;
    phases.wait_for(|phase| *phase == Phase::Over).await?;
    client.disconnect().await?;
    Ok(())
}

async fn publish(
    client: Client,
    (mut name, qos): (Name, QoS),
    mut phases: watch::Receiver<Phase>,
    mut chance: Chance,
) -> Result<()> {
    let mut receipts = JoinSet::new();
    let topic = topic_of(name.stream);
    while *phases.wait_for(|phase| *phase != Phase::Pause).await? == Phase::Publish {
        for _ in 0..chance.between(1, 12) {
            let Name { stream, number } = name;
            say(&format!("ask {stream} {number}"))?;
            let message = Message::new(topic.as_str(), payload(name)).qos(qos);
            let receipt = client.send(message).await?;
            say(&format!("line {stream} {number}"))?;
            receipts.spawn(async move {
                match receipt.await {
                    Ok(_) => say(&format!("kept {stream} {number}")),
                    Err(error) => say(&format!("lost {stream} {number} {}", plain(&error))),
                }
            });
            name.number += 1;
        }
        sleep(Duration::from_millis(chance.between(1, 60))).await;
    }
    while let Some(told) = receipts.join_next().await {
        told??;
    }
    Ok(())
}

async fn tell_states(mut states: watch::Receiver<State>) -> Result<()> {
    loop {
        match &*states.borrow_and_update() {
            State::Connecting => {}
            State::Online(connected) if connected.session_present => {
                say("note is online, session present")?;
            }
            State::Online(_) => say("note is online, with a new session")?,
            State::Waiting { error, .. } => say(&format!("note is offline: {}", plain(error)))?,
            State::Ended(error) => say(&format!("note is over: {}", plain(error)))?,
            _ => bail!("a state that nobody knows"),
        }
        states.changed().await?;
    }
}

/// Says a line, whole and at once: it is said even if this process is killed right after.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())?;
    out.flush()?;
    Ok(())
}

/// What a child says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Word<'a> {
    Ask(Name),
    Line(Name),
    Kept(Name),
    Lost(Name, &'a str),
    Note(&'a str),
    Done,
}

impl<'a> Word<'a> {
    /// The word in a line.
    pub(super) fn parse(line: &'a str) -> Option<Word<'a>> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let name = || {
            let mut parts = rest.splitn(3, ' ');
            let stream = parts.next()?.parse().ok()?;
            let number = parts.next()?.parse().ok()?;
            Some((Name { stream, number }, parts.next().unwrap_or_default()))
        };
        Some(match word {
            "ask" => Word::Ask(name()?.0),
            "line" => Word::Line(name()?.0),
            "kept" => Word::Kept(name()?.0),
            "lost" => Word::Lost(name()?.0, name()?.1),
            "note" => Word::Note(rest),
            "done" => Word::Done,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_words_are_read_as_they_were_said() {
        let name = |stream, number| Name { stream, number };
        let orders = Orders {
            address: "127.0.0.1:1".into(),
            version: Version::V311,
            client_id: "c".into(),
            store: PathBuf::from("/tmp/a b"),
            seed: u64::MAX,
            next: [name(1, 0), name(2, 7), name(3, u32::MAX)],
        };
        assert_eq!(Orders::parse(&orders.arguments()), Some(orders));
        assert_eq!(Word::parse("ask 3 17"), Some(Word::Ask(name(3, 17))));
        assert_eq!(Word::parse("lost 3 17 a b c"), Some(Word::Lost(name(3, 17), "a b c")));
        assert_eq!(Word::parse("note is here"), Some(Word::Note("is here")));
        assert_eq!(Word::parse("ask 3"), None);
    }
}
