//! What a broker keeps: the store of each shard, opened, and what an earlier run left in it.

use crate::config::Config;
use crate::shard::Wake;
use crate::start_error::StartError;
use noctule_core::Broker;
use noctule_store::log::Options;
use noctule_store::{MemoryStore, Replayed, Store, StoreError, Waker};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// A store for each shard, which wakes it when there is news.
///
/// # Errors
/// Something is to be kept, and there is nowhere to keep it.
pub(crate) fn open(
    config: &Config,
    wakes: &[Arc<Wake>],
) -> Result<Vec<Box<dyn Store>>, StartError> {
    if !config.keeps_something() {
        let memory = || Box::new(MemoryStore::default()) as Box<dyn Store>;
        return Ok(wakes.iter().map(|_| memory()).collect());
    }
    let directory = config.durability.data.as_ref().ok_or(StartError::NoDirectory)?;
    let failed = |error| StartError::Store { directory: directory.clone(), error };
    make(directory).map_err(|error| failed(error.into()))?;
    let wakers = wakes.iter().map(|wake| {
        let wake = Arc::clone(wake);
        Box::new(move || wake.now()) as Waker
    });
    let opened = noctule_store::open(directory, Options::default(), wakers.collect());
    let opened = opened.map_err(failed)?;
    if let Some(torn) = &opened.torn {
        tracing::warn!(
            file = %torn.file,
            offset = torn.offset,
            bytes = torn.bytes,
            "the end of the log was not whole and was cut: nothing in it was acknowledged as stored"
        );
    }
    Ok(opened.shards.into_iter().map(|shard| Box::new(shard) as Box<dyn Store>).collect())
}

/// What clients entrusted to the broker is nobody else's business.
fn make(directory: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory)
}

/// Replays what an earlier run left into the brokers of all shards, side by side.
///
/// # Errors
/// It cannot be read.
pub(crate) fn replay(
    shards: Vec<(&mut Broker, &mut Box<dyn Store>)>,
) -> Result<Vec<Replayed>, StoreError> {
    std::thread::scope(|scope| {
        let running: Vec<_> = shards
            .into_iter()
            .map(|(broker, store)| scope.spawn(|| replay_one(broker, &mut **store)))
            .collect();
        running.into_iter().map(|it| it.join().expect("a replay does not panic")).collect()
    })
}

fn replay_one(broker: &mut Broker, store: &mut dyn Store) -> Result<Replayed, StoreError> {
    let replayed = store.replay(&mut |record| broker.apply(record))?;
    broker.message_taken(replayed.message_id_max);
    Ok(replayed)
}
