//! What it takes to begin a store, and to start from one with many messages in it.
//!
//! `cargo run --release -p noctule-store --example start_cost -- DIR [MESSAGES]`

use noctule_core::Time;
use noctule_core::identity::{MessageId, Place, SessionNumber, Tenant};
use noctule_core::index::Receiver;
use noctule_core::limits::Durability;
use noctule_core::message::{Message, Origin, Parts};
use noctule_core::record::{Body, Receipt, Receivers, Record};
use noctule_proto::QoS;
use noctule_store::log::{Options, Waker};
use noctule_store::{Class, Fetch, LogStore, Opened, Store, open};
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

/// Sessions that are away.
const SESSIONS: u64 = 100_000;
/// Messages to 1,000 sessions each.
const FANS: u64 = 2000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("where? give a directory that does not exist")?;
    let messages: u64 = args.next().map_or(Ok(1_000_000), |count| count.parse())?;
    let dir = Path::new(&dir);
    let mut out = std::io::stdout();
    let mut timed = |what: &str, count: u64, since: Instant| {
        let took = since.elapsed();
        let each = took.as_nanos() as f64 / count.max(1) as f64;
        writeln!(out, "{what}: {:.1} ms, {each:.0} ns each", took.as_secs_f64() * 1e3)
    };
    let since = Instant::now();
    let (mut store, woken) = begin(dir)?;
    timed("begin", 1, since)?;
    let mut batch: Vec<Record> = (0..SESSIONS).map(session).collect();
    store.append(&mut batch)?;
    let since = Instant::now();
    for id in 1..=messages {
        batch.push(published(id));
        if batch.len() == 256 || id == messages {
            store.append(&mut batch)?;
            store.commit(Class::Os)?;
        }
    }
    timed("append, with making the messages", messages, since)?;
    store.commit(Class::Fsync)?;
    while store.progress()?.durable < SESSIONS + messages {
        woken.recv()?;
    }
    timed("append and make durable", messages, since)?;
    drop(store);
    let (mut store, _woken) = begin(dir)?;
    let since = Instant::now();
    for id in 1..=FANS {
        store.append(&mut vec![to_many(messages + id)])?;
    }
    timed("append, for each of 1,000 receivers of a message", FANS * 1000, since)?;
    drop(store);
    let since = Instant::now();
    let (mut store, woken) = begin(dir)?;
    timed("open", messages, since)?;
    let since = Instant::now();
    let mut places = Vec::new();
    let replayed = store.replay(&mut |record| {
        if let Record::Published { message, .. } = record {
            places.extend(message.place());
        }
    })?;
    timed("replay", replayed.records, since)?;
    let since = Instant::now();
    let count = fetch(&mut store, &woken, &places)?;
    timed("fetch", count, since)?;
    drop(store);
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn begin(dir: &Path) -> Result<(LogStore, mpsc::Receiver<()>), Box<dyn Error>> {
    let (sender, woken) = mpsc::channel();
    let waker = Box::new(move || sender.send(()).unwrap_or_default()) as Waker;
    let Opened { shards, .. } = open(dir, Options::default(), vec![waker])?;
    Ok((shards.into_iter().next().ok_or("there is one shard")?, woken))
}

/// Reads all messages back, 256 at a time.
fn fetch(
    store: &mut LogStore,
    woken: &mpsc::Receiver<()>,
    places: &[Place],
) -> Result<u64, Box<dyn Error>> {
    let mut count = 0;
    for places in places.chunks(256) {
        store.fetch(Fetch { session: SessionNumber(1), places: places.to_vec() })?;
        let fetched = loop {
            match store.fetched() {
                Some(fetched) => break fetched,
                None => woken.recv()?,
            }
        };
        count += fetched.messages.iter().filter(|(_, message)| message.is_some()).count() as u64;
    }
    Ok(count)
}

/// Numbers of sessions whose queues are recorded are odd.
fn number(session: u64) -> SessionNumber {
    SessionNumber(session * 2 + 1)
}

fn session(session: u64) -> Record {
    Record::Session {
        session: number(session),
        tenant: Tenant(0),
        client_id: format!("client-{session}").into(),
        expiry_secs: 86_400,
        durability: Durability::Fsync,
        away_since: Some(Time(1)),
    }
}

/// A message to 1,000 sessions numbered as one shard of four does, in no order.
fn to_many(id: u64) -> Record {
    let mut record = published(id);
    if let Record::Published { receivers, .. } = &mut record {
        let receipt = receivers[0];
        let all = (0..1000).map(|at: u64| {
            let session = number(5000 + at * 7919 % 1000 * 8);
            Receipt { receiver: Receiver::Session(session), ..receipt }
        });
        *receivers = all.collect();
    }
    record
}

fn published(id: u64) -> Record {
    let origin = Origin {
        id: MessageId(id),
        tenant: Tenant(0),
        publisher: Some(SessionNumber(id % 100)),
        routed_at: 0,
        durability: Durability::Fsync,
    };
    let parts = Parts {
        topic: "bench/durable/topic",
        properties: &[],
        payload: &[7; 200],
        qos: QoS::AtLeastOnce,
        retain: false,
        expiry_secs: None,
    };
    let receipt = Receipt {
        receiver: Receiver::Session(number(id % SESSIONS)),
        qos: QoS::AtLeastOnce,
        retain: false,
        subscription_id: 0,
    };
    let message = Body::Here(Arc::new(Message::new(Time(0), origin, &parts)));
    Record::Published { message, receivers: Receivers::One(receipt), retained: false }
}
