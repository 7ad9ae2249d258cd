//! Three brokers in a triangle of bridges, killed and stopped at random, against a ledger of what
//! was acknowledged.
//!
//! ```text
//!              a  noctule, its bridge goes to b
//!             / \
//!  noctule,  b ─ c  mosquitto,
//!  to c             to a
//! ```
//!
//! Each publishes below its own name; the bridge of each side carries what is published at one end
//! to the other, with a prefix. So each message has to arrive at the two other brokers, once, and
//! in order. mosquitto keeps nothing through a kill: it is asked to end. What comes from it, or
//! goes to it, may come twice and out of order when it was ended in the middle: that is counted.
//! Nothing of that may be where both ends are noctule, and nothing at all may be lost.

mod broker;
mod ledger;

use anyhow::{Context, Result, ensure};
use broker::{Broker, Kind};
use ledger::Ledger;
use noctule_client::{Client, Connector, Message, Options, QoS, Reconnect, Subscribe};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// How long what is under way may take once nobody is killed any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Messages a second of each publisher.
const RATE: u64 = 200;

/// What a run is.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// For how long brokers are killed.
    pub duration: Duration,
    /// Which of them, and when.
    pub seed: u64,
}

/// What a run has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// Messages that were acknowledged.
    pub acknowledged: usize,
    /// Deliveries that were owed, and came.
    pub arrived: usize,
    /// Those that came twice, all of them carried by mosquitto.
    pub doubled: usize,
    /// Topics of which some came out of order, all of them of mosquitto or for it.
    pub disordered: usize,
    /// How often a broker was killed or stopped.
    pub blows: usize,
}

/// Runs brokers in a folder, mosquitto among them if it is here.
///
/// # Errors
/// Something acknowledged did not arrive, or came out of order or twice where it must not.
pub async fn run(setting: Setting, mosquitto: Option<&Path>, folder: &Path) -> Result<Found> {
    let mut brokers = broker::three(mosquitto, folder)?;
    brokers.iter_mut().try_for_each(Broker::start)?;
    let mut ears = Vec::new();
    for broker in &brokers {
        ears.push(listen(broker).await?);
    }
    // Every bridge has to have its session: what comes before is for nobody.
    for broker in &brokers {
        broker.await_bridge(&ears_of(&ears)).await?;
    }
    for (_, ledger, _) in &ears {
        ledger.clear();
    }
    let until = Instant::now() + setting.duration;
    let mut mouths: Vec<JoinHandle<Result<u32>>> = Vec::new();
    for broker in &brokers {
        mouths.push(tokio::spawn(publish(broker.address(), broker.name(), until)));
    }
    let blows = strike(&mut brokers, setting.seed, until).await?;
    let mut counts = Vec::new();
    for mouth in mouths {
        let count = timeout(PATIENCE, mouth).await.context("a publisher hangs")???;
        counts.push(count);
    }
    let outcome = settle(&brokers, &ears_of(&ears), &counts).await;
    for (_, _, task) in &ears {
        task.abort();
    }
    let (arrived, doubled, disordered) = outcome.with_context(|| logs(&brokers))?;
    let acknowledged = counts.iter().sum::<u32>() as usize;
    Ok(Found { acknowledged, arrived, doubled, disordered, blows })
}

type Ear = (Client, Ledger, JoinHandle<()>);

fn ears_of(ears: &[Ear]) -> Vec<Ledger> {
    ears.iter().map(|(_, ledger, _)| ledger.clone()).collect()
}

fn options(id: &str) -> Options {
    let mut options = Options::new(id);
    (options.clean_start, options.session_expiry_secs) = (false, u32::MAX);
    options
}

/// Writes down what a broker's bridges bring it.
async fn listen(broker: &Broker) -> Result<Ear> {
    let connector = Connector::to(&broker.address().to_string(), options("ear"))?;
    let client = connector.reconnect(Reconnect::always()).connect().await?;
    let mut heard = client.subscribe(Subscribe::to("via/#", QoS::ExactlyOnce)).await?;
    let ledger = Ledger::default();
    let book = ledger.clone();
    let task = tokio::spawn(async move {
        while let Some(message) = heard.recv().await {
            book.write(&message.topic, &message.payload);
        }
    });
    Ok((client, ledger, task))
}

/// Publishes numbers until it is time, and waits for the acknowledgement of the last.
async fn publish(at: std::net::SocketAddr, name: &'static str, until: Instant) -> Result<u32> {
    let connector = Connector::to(&at.to_string(), options("mouth"))?;
    let client = connector.reconnect(Reconnect::always()).connect().await?;
    let mut number = 0_u32;
    let mut receipts = Vec::new();
    while Instant::now() < until {
        let message = Message::new(format!("{name}/n"), number.to_string());
        receipts.push(client.send(message.qos(QoS::ExactlyOnce)).await?);
        number += 1;
        sleep(Duration::from_millis(1000 / RATE)).await;
    }
    for receipt in receipts {
        receipt.await?;
    }
    Ok(number)
}

/// Kills and stops brokers until it is time, then has all of them run.
async fn strike(brokers: &mut [Broker], seed: u64, until: Instant) -> Result<usize> {
    let mut dice = seed | 1;
    let mut throw = |sides: u64| {
        // xorshift64: nobody guesses here.
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % sides
    };
    let mut blows = 0;
    loop {
        sleep(Duration::from_millis(200 + throw(800))).await;
        if Instant::now() >= until {
            return Ok(blows);
        }
        let victim = &mut brokers[throw(3) as usize];
        let away = Duration::from_millis(throw(500));
        let deed = throw(4);
        // What reaches a frozen broker is with its system, and dies with it.
        if deed < 2 {
            victim.freeze()?;
            sleep(away).await;
        }
        if deed > 0 {
            victim.end()?;
            sleep(away).await;
            victim.start()?;
        } else {
            victim.thaw()?;
        }
        blows += 1;
    }
}

/// Waits until everything that was acknowledged has arrived, and looks how.
async fn settle(
    brokers: &[Broker],
    ledgers: &[Ledger],
    counts: &[u32],
) -> Result<(usize, usize, usize)> {
    let deadline = Instant::now() + PATIENCE;
    let (mut arrived, mut doubled, mut disordered) = (0, 0, 0);
    for (at, ledger) in ledgers.iter().enumerate() {
        for (from, count) in counts.iter().enumerate().filter(|(from, _)| *from != at) {
            let topic = format!("via/{}/n", brokers[from].name());
            while ledger.different(&topic) < *count as usize {
                let (name, have) = (brokers[at].name(), ledger.different(&topic));
                ensure!(
                    Instant::now() < deadline,
                    "{name} has {have} of {count} of {topic}; missing: {:?}",
                    ledger.missing(&topic, *count)
                );
                sleep(Duration::from_millis(50)).await;
            }
            arrived += *count as usize;
        }
    }
    // What comes twice may come late.
    sleep(Duration::from_secs(1)).await;
    for (at, ledger) in ledgers.iter().enumerate() {
        for (from, count) in counts.iter().enumerate().filter(|(from, _)| *from != at) {
            let topic = format!("via/{}/n", brokers[from].name());
            let (name, twice) = (brokers[at].name(), ledger.twice(&topic));
            let by_ours = [at, from].iter().all(|it| brokers[*it].kind() == Kind::Noctule);
            ensure!(twice == 0 || !by_ours, "{name} has {twice} of {topic} twice");
            doubled += twice;
            let ordered = ledger.in_order(&topic, *count);
            ensure!(ordered || !by_ours, "{topic} is out of order at {name}");
            disordered += usize::from(!ordered);
        }
        ensure!(ledger.topics() == 2, "{}: {:?}", brokers[at].name(), ledger.names());
    }
    Ok((arrived, doubled, disordered))
}

fn logs(brokers: &[Broker]) -> String {
    brokers.iter().map(|broker| format!("{}:\n{}\n", broker.name(), broker.log())).collect()
}
