//! The threads of a real process: each calls one step of the log when there is something to do.
//! The last shard that lets go of the log ends them.

use crate::disk::OsDisk;
use crate::log::{Compacted, Folded, Log, Options, Prepared, Reserved, Torn, Wrote};
use crate::shard::now;
use crate::surplus;
use crate::{Class, LogStore, StoreError};
use noctule_core::Time;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

pub use crate::log::Waker;

/// Bytes of a commit, about: a longer one keeps those waiting who came first.
const COMMIT_BYTES: usize = 1024 * 1024;
/// What nobody asked to be committed is written after so long.
const RIDE: Duration = Duration::from_millis(100);
/// After so long without an append a frame says that all before it is durable.
const QUIET: Duration = Duration::from_secs(1);
/// So often a log without appends says that its broker is alive.
const BEAT: Duration = Duration::from_secs(30);
/// How far a thread gives way whose work is not urgent.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;
/// Bytes that are moved in one go.
const COMPACT_BYTES: u64 = 1024 * 1024;
/// A pause after it is so many times as long.
const COMPACT_PAUSES: u32 = 3;
/// A disk without room for a segment is asked again after so long.
const RETRY: Duration = Duration::from_secs(1);

/// A store that was opened.
#[derive(Debug)]
pub struct Opened {
    /// One end for each shard.
    pub shards: Vec<LogStore>,
    /// The torn tail that was cut.
    pub torn: Option<Torn>,
    /// When the store was last known to be in use.
    pub alive: Option<Time>,
}

/// Opens the store in a directory, or begins one, and starts its threads. Each shard has a waker,
/// called from those threads when there is something to look at.
///
/// # Errors
/// Another process has it open; it is damaged; the system refuses.
pub fn open(path: &Path, options: Options, wakers: Vec<Waker>) -> Result<Opened, StoreError> {
    let shards = wakers.len();
    let log = Arc::new(Log::open(Arc::new(OsDisk::new(path)?), options, wakers)?);
    let threads = Arc::new(Threads::start(&log)?);
    let end = |shard| LogStore::new(Arc::clone(&log), Some(Arc::clone(&threads)), shard);
    Ok(Opened {
        shards: (0..shards).map(end).collect(),
        torn: log.torn().cloned(),
        alive: log.alive(),
    })
}

/// The threads of a log.
pub(crate) struct Threads {
    writer: Thread,
    preparer: Thread,
    reader: Thread,
    folder: Thread,
    signs: Arc<Signs>,
    joined: Mutex<Vec<JoinHandle<()>>>,
}

/// What a thread does.
type Work = Box<dyn FnOnce(&Log, &Signs) + Send>;

/// What threads and shards tell each other, besides waking.
#[derive(Debug, Default)]
struct Signs {
    stop: AtomicBool,
    /// The writer sleeps for long: it is to be woken by any append.
    dozes: AtomicBool,
    /// Shards that may still replay: until then nothing is folded.
    replaying: AtomicUsize,
}

impl Signs {
    fn stop(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").finish_non_exhaustive()
    }
}

impl Threads {
    fn start(log: &Arc<Log>) -> io::Result<Threads> {
        let replaying = AtomicUsize::new(log.asks().shards());
        let signs = Arc::new(Signs { replaying, ..Signs::default() });
        let spawn = |name: &str, run: Work| {
            let (log, signs) = (Arc::clone(log), Arc::clone(&signs));
            thread::Builder::new().name(name.to_owned()).spawn(move || run(&log, &signs))
        };
        let writer = spawn("store", Box::new(write_until))?;
        let waiting = writer.thread().clone();
        let prepare = move |log: &Log, signs: &Signs| prepare_until(log, signs, &waiting);
        let preparer = spawn("store-prepare", Box::new(prepare))?;
        let reader = spawn("store-read", Box::new(read_until))?;
        let folder = spawn("store-fold", Box::new(fold_until))?;
        Ok(Threads {
            folder: folder.thread().clone(),
            writer: writer.thread().clone(),
            preparer: preparer.thread().clone(),
            reader: reader.thread().clone(),
            signs,
            joined: Mutex::new(vec![writer, preparer, reader, folder]),
        })
    }

    /// Somebody asked for a commit.
    pub(crate) fn committed(&self) {
        self.writer.unpark();
    }

    /// A frame was appended.
    pub(crate) fn appended(&self, reserved: &Reserved) {
        if reserved.new_segment {
            self.preparer.unpark();
        }
        if reserved.new_segment || reserved.past_middle {
            self.folder.unpark();
        }
        if self.signs.dozes.load(Ordering::SeqCst) {
            self.writer.unpark();
        }
    }

    /// A shard has replayed, or will not.
    pub(crate) fn replayed(&self) {
        self.signs.replaying.fetch_sub(1, Ordering::AcqRel);
    }

    /// Somebody asked for messages.
    pub(crate) fn asked(&self) {
        self.reader.unpark();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.signs.stop.store(true, Ordering::Release);
        let mut joined = self.joined.lock().unwrap_or_else(PoisonError::into_inner);
        for handle in joined.drain(..) {
            handle.thread().unpark();
            // A thread that panicked has said so.
            handle.join().ok();
        }
    }
}

/// Commits whatever was asked for. There is no timer on the way: what comes while one sync runs is
/// the next commit.
fn write_until(log: &Log, signs: &Signs) {
    while !log.has_failed() {
        let stops = signs.stop();
        let done = match log.asks().due(log.written(), log.durable()) {
            _ if stops => return close(log),
            Some(class) => commit(log, class),
            None => idle(log, signs),
        };
        match done {
            Ok(Wrote::NoSegment) => thread::park_timeout(RETRY),
            Ok(Wrote::Nothing | Wrote::Some) => {}
            // Every later call of a shard says so.
            Err(_) => return,
        }
    }
}

fn commit(log: &Log, class: Class) -> Result<Wrote, StoreError> {
    let wrote = log.write(COMMIT_BYTES)?;
    if class == Class::Fsync || wrote == Wrote::NoSegment {
        log.sync()?;
    }
    Ok(wrote)
}

/// Nobody waits: what lies around is committed after a while, and a sign of life is given.
fn idle(log: &Log, signs: &Signs) -> Result<Wrote, StoreError> {
    let end = log.end();
    let rides = end > log.durable();
    let pause = match (rides, log.is_quiet()) {
        (true, _) => RIDE,
        (false, false) => QUIET,
        (false, true) => BEAT,
    };
    signs.dozes.store(!rides, Ordering::SeqCst);
    let until = Instant::now() + pause;
    loop {
        let disturbed = log.asks().due(log.written(), log.durable()).is_some()
            || signs.stop()
            || !rides && log.end() != end;
        let left = until.saturating_duration_since(Instant::now());
        if disturbed {
            signs.dozes.store(false, Ordering::SeqCst);
            return Ok(Wrote::Nothing);
        }
        if left.is_zero() {
            break;
        }
        thread::park_timeout(left);
    }
    signs.dozes.store(false, Ordering::SeqCst);
    if !rides {
        log.beat(now())?;
    }
    commit(log, Class::Fsync)
}

/// Commits all that is left and says that it is all.
fn close(log: &Log) {
    let all = || {
        loop {
            match log.write(COMMIT_BYTES)? {
                Wrote::Some => log.sync()?,
                Wrote::Nothing => break,
                Wrote::NoSegment => match log.prepare()? {
                    Prepared::Full(_) => break,
                    Prepared::Ready if log.is_full() => break,
                    Prepared::One | Prepared::Ready => {}
                },
            }
        }
        if !log.is_quiet() {
            log.beat(now())?;
            log.write(COMMIT_BYTES)?;
        }
        log.sync()
    };
    // What cannot be committed was never acknowledged.
    let _: Result<(), StoreError> = all();
}

fn prepare_until(log: &Log, signs: &Signs, writer: &Thread) {
    while !signs.stop() {
        match log.prepare() {
            Ok(Prepared::Ready) => thread::park(),
            Ok(Prepared::One) => writer.unpark(),
            Ok(Prepared::Full(_)) => thread::park_timeout(RETRY),
            Err(_) => return,
        }
    }
}

/// Folds when it is worth it, which is asked at the start and in the middle of a segment. What
/// fails is tried again with the next one: the log goes on without a checkpoint, and a disk that
/// fails is met by the writer.
fn fold_until(log: &Log, signs: &Signs) {
    give_way();
    while !signs.stop() {
        let replayed = signs.replaying.load(Ordering::Acquire) == 0;
        if replayed && log.fold_is_due().unwrap_or(false) {
            let _: Result<Folded, StoreError> = log.fold();
            surplus::give_back();
            compact(log, signs);
        }
        thread::park();
    }
}

/// What is folded waits for nobody: shards and commits come first. Elsewhere than on Linux, it is
/// the whole process that would give way.
fn give_way() {
    #[cfg(target_os = "linux")]
    // Refused: it only competes for a while.
    rustix::process::nice(NICE).ok();
}

/// Moves what the fold has planned, at the pace of a log that has the disk for itself: most of the
/// time is left to those who wait for a commit.
fn compact(log: &Log, signs: &Signs) {
    loop {
        let begun = Instant::now();
        match log.compact(COMPACT_BYTES) {
            Ok(Compacted::More) => {}
            Ok(Compacted::Nothing | Compacted::Done) | Err(_) => return,
        }
        let until = Instant::now() + COMPACT_PAUSES * begun.elapsed();
        while !signs.stop() && Instant::now() < until {
            thread::park_timeout(until.saturating_duration_since(Instant::now()));
        }
        if signs.stop() {
            return;
        }
    }
}

fn read_until(log: &Log, signs: &Signs) {
    while !signs.stop() {
        if !log.answer() {
            thread::park();
        }
    }
}
