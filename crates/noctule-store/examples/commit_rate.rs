//! Commits of 8 producers beside a bare loop of append and fdatasync on the same disk, in turns.
//!
//! `cargo run --release -p noctule-store --example commit_rate -- DIR [ROUNDS]`
//!
//! A producer stands for a shard: in each turn it appends the messages of its publishers that were
//! acknowledged, 256 of 232 bytes over all producers, and waits for its commit.

use noctule_core::Time;
use noctule_core::identity::{MessageId, SessionNumber, Tenant};
use noctule_core::index::Receiver;
use noctule_core::limits::Durability;
use noctule_core::message::{Message, Origin, Parts};
use noctule_core::record::{Body, Receipt, Receivers, Record};
use noctule_proto::QoS;
use noctule_store::log::{Options, Waker};
use noctule_store::{Class, LogStore, Store, open};
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver as Woken};
use std::thread;
use std::time::{Duration, Instant};

const PRODUCERS: usize = 8;
const OUTSTANDING: usize = 256;
const MESSAGE: usize = 232;
const TOPIC: &str = "bench/durable/topic";
/// How long each of the two runs before it is the other's turn.
const TURN: Duration = Duration::from_millis(500);
/// Bytes of the bare loop's file, which it goes through again and again.
const FILE: u64 = 64 * 1024 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("where? give a directory")?;
    let rounds = args.next().map_or(Ok(3), |rounds| rounds.parse())?;
    let dir = Path::new(&dir);
    fs::create_dir_all(dir)?;
    let mut out = std::io::stdout();
    for _ in 0..rounds {
        let bare = bare(&dir.join("bare"))?;
        let (rate, cpu) = store(&dir.join("store"))?;
        let limit = bare * OUTSTANDING as f64;
        writeln!(
            out,
            "bare {bare:.0} commits/s ({limit:.0} messages/s) · store {rate:.0} messages/s, \
             {:.0} % · {:.0} ns of CPU a message",
            100.0 * rate / limit,
            cpu * 1e9 / rate,
        )?;
    }
    Ok(())
}

/// Commits a second of 256 messages each, by one thread, to a file that exists.
fn bare(path: &Path) -> Result<f64, Box<dyn Error>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    let zeros = vec![0; 1024 * 1024];
    for at in (0..FILE).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()?;
    let batch = vec![7; OUTSTANDING * MESSAGE];
    let (started, mut commits, mut at) = (Instant::now(), 0, 0);
    while started.elapsed() < TURN {
        file.write_all_at(&batch, at)?;
        file.sync_data()?;
        commits += 1;
        at = (at + batch.len() as u64) % (FILE - batch.len() as u64);
    }
    Ok(f64::from(commits) / started.elapsed().as_secs_f64())
}

/// Messages a second, and CPU seconds a second.
fn store(path: &Path) -> Result<(f64, f64), Box<dyn Error>> {
    let (wakers, woken): (Vec<Waker>, Vec<_>) = (0..PRODUCERS)
        .map(|_| {
            let (sender, woken) = mpsc::channel();
            (Box::new(move || sender.send(()).unwrap_or_default()) as Waker, woken)
        })
        .unzip();
    let opened = open(path, Options::default(), wakers)?;
    let (started, before) = (Instant::now(), cpu_secs()?);
    let producers: Vec<_> = opened
        .shards
        .into_iter()
        .zip(woken)
        .map(|(store, woken)| thread::spawn(move || produce(store, &woken, started)))
        .collect();
    let mut messages = 0;
    for producer in producers {
        messages += producer.join().map_err(|_| "a producer panicked")?;
    }
    let elapsed = started.elapsed().as_secs_f64();
    let cpu = (cpu_secs()? - before) / elapsed;
    fs::remove_dir_all(path)?;
    Ok((messages as f64 / elapsed, cpu))
}

fn produce(mut store: LogStore, woken: &Woken<()>, started: Instant) -> u64 {
    let (mut id, mut records) = (0, Vec::new());
    while started.elapsed() < TURN {
        for _ in 0..OUTSTANDING / PRODUCERS {
            id += 1;
            records.push(published(id));
        }
        let last = store.append(&mut records).expect("the store works");
        store.commit(Class::Fsync).expect("the store works");
        while store.progress().expect("the store works").durable < last {
            woken.recv().expect("the store lives");
        }
    }
    id
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
        topic: TOPIC,
        properties: &[],
        payload: &[7; MESSAGE - TOPIC.len()],
        qos: QoS::AtLeastOnce,
        retain: false,
        expiry_secs: None,
    };
    let receipt = Receipt {
        receiver: Receiver::Session(SessionNumber(3)),
        qos: QoS::AtLeastOnce,
        retain: false,
        subscription_id: 0,
    };
    let message = Body::Here(Arc::new(Message::new(Time(0), origin, &parts)));
    Record::Published { message, receivers: Receivers::One(receipt), retained: false }
}

/// CPU time of this process, as far as the system tells it: in hundredths.
fn cpu_secs() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    let (user, system) = (ticks(11), ticks(12));
    Ok((user.ok_or("no user time")? + system.ok_or("no system time")?) / 100.0)
}
