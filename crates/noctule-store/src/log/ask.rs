//! What shards wait for, and how they are woken.

use crate::Class;
use crate::format::Position;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Called to wake a shard that has something to look at.
pub type Waker = Box<dyn Fn() + Send + Sync>;

/// What one shard waits for.
#[derive(Default)]
struct Ask {
    written: AtomicU64,
    durable: AtomicU64,
    /// It was told to hold back.
    room: AtomicBool,
}

/// What all shards wait for.
pub(crate) struct Asks {
    shards: Vec<(Ask, Waker)>,
    /// The furthest that any of them asked for.
    written: AtomicU64,
    durable: AtomicU64,
}

impl fmt::Debug for Asks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asks").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

impl Asks {
    pub(crate) fn new(wakers: Vec<Waker>) -> Asks {
        let shards = wakers.into_iter().map(|waker| (Ask::default(), waker)).collect();
        Asks { shards, written: AtomicU64::new(0), durable: AtomicU64::new(0) }
    }

    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// A shard wants all up to `end` kept at a class.
    pub(crate) fn commit(&self, shard: usize, class: Class, end: Position) {
        let ask = &self.shards[shard].0;
        let (own, all) = match class {
            Class::Os => (&ask.written, &self.written),
            Class::Fsync => (&ask.durable, &self.durable),
        };
        own.store(end.0, Ordering::Relaxed);
        all.fetch_max(end.0, Ordering::AcqRel);
    }

    /// A shard was told to hold back.
    pub(crate) fn held_back(&self, shard: usize) {
        self.shards[shard].0.room.store(true, Ordering::Release);
    }

    /// The class that somebody waits for.
    pub(crate) fn due(&self, written: Position, durable: Position) -> Option<Class> {
        if self.durable.load(Ordering::Acquire) > durable.0 {
            Some(Class::Fsync)
        } else if self.written.load(Ordering::Acquire) > written.0 {
            Some(Class::Os)
        } else {
            None
        }
    }

    /// Wakes who waits for something behind `from`: the log has come further than that.
    pub(super) fn wake(&self, class: Class, from: Position) {
        for (ask, waker) in &self.shards {
            let own = match class {
                Class::Os => &ask.written,
                Class::Fsync => &ask.durable,
            };
            if own.load(Ordering::Relaxed) > from.0 {
                waker();
            }
        }
    }

    /// Wakes who was told to hold back.
    pub(super) fn wake_held_back(&self) {
        for (ask, waker) in &self.shards {
            if ask.room.swap(false, Ordering::AcqRel) {
                waker();
            }
        }
    }

    pub(crate) fn wake_one(&self, shard: usize) {
        (self.shards[shard].1)();
    }

    pub(crate) fn wake_all(&self) {
        self.shards.iter().for_each(|(_, waker)| waker());
    }
}
