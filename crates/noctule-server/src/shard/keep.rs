//! The shard's side of the store: records go in at the end of a turn; how far they have come, and
//! messages read back, come out at its beginning.

use super::lines::News;
use super::{Shard, Shared};
use noctule_core::input::Room;
use noctule_core::limits::Durability;
use noctule_core::{Index, Input, Time};
use noctule_store::{Class, Progress, Replayed, StoreError};

/// What core was told of the store.
#[derive(Default)]
pub(super) struct Told {
    progress: Progress,
    room: Room,
    /// Records appended.
    appended: u64,
}

/// Turns that the last words of a shard may take.
const LAST_TURNS: usize = 10_000;

impl Shard {
    /// Ends the replay of what an earlier run left, and waits until every shard has: nobody is
    /// served by an index that lacks somebody's subscriptions.
    pub(super) fn resume(
        &mut self,
        shared: &Shared,
        replayed: &Replayed,
    ) -> Result<(), StoreError> {
        let alive_at = replayed.alive.unwrap_or(self.now);
        {
            let index = shared.index.read();
            self.broker.replayed((self.now, alive_at), &index, &mut self.outbox);
            self.settle(&index);
        }
        let kept = self.keep_records();
        self.change_index(shared);
        shared.ready.wait();
        kept
    }

    /// Appends what the broker said must survive, and passes on what the store has to say.
    pub(super) fn keep_records(&mut self) -> Result<(), StoreError> {
        if !self.outbox.records.is_empty() {
            self.told.appended = self.store.append(&mut self.outbox.records)?;
        }
        match std::mem::take(&mut self.outbox.commit) {
            Durability::Memory => {}
            Durability::Os => self.store.commit(Class::Os)?,
            Durability::Fsync => self.store.commit(Class::Fsync)?,
        }
        for fetch in self.outbox.fetches.drain(..) {
            self.store.fetch(fetch)?;
        }
        while let Some(fetched) = self.store.fetched() {
            self.lines.news.push_back(News::Fetched(fetched));
        }
        if self.told.progress.durable < self.told.appended {
            let progress = self.store.progress()?;
            if self.told.progress != progress {
                self.told.progress = progress;
                self.lines.news.push_back(News::Stored(progress));
            }
        }
        self.look_for_room();
        Ok(())
    }

    pub(super) fn count_records(&mut self) {
        self.net.records = self.told.appended;
        self.net.records_waiting_now = self.told.appended - self.told.progress.durable;
        self.net.store_full_now = u64::from(self.told.room == Room::Full);
    }

    fn look_for_room(&mut self) {
        let (room, reason) = match self.store.room() {
            noctule_store::Room::Free => (Room::Free, None),
            noctule_store::Room::Busy => (Room::Busy, None),
            noctule_store::Room::Full(reason) => (Room::Full, Some(reason)),
        };
        if std::mem::replace(&mut self.told.room, room) == room {
            return;
        }
        // Every shard finds out; one says so.
        if self.id.0 == 0 {
            match reason {
                Some(reason) => tracing::error!(
                    "the disk is full ({reason}): what would have to be kept is refused until \
                     there is room"
                ),
                None if room == Room::Free => tracing::debug!("the store takes more"),
                None => tracing::debug!("the store is behind"),
            }
        }
        self.lines.news.push_back(News::StoreRoom(room));
    }

    /// The store has failed: nothing more can be promised. Clients are told to go, and no
    /// acknowledgement that waits leaves.
    pub(super) fn last_words(&mut self, shared: &Shared) {
        let index = shared.index.read();
        self.say_goodbye(&index);
        self.lines.flush_dirty();
    }

    fn say_goodbye(&mut self, index: &Index) {
        let now: Time = self.now;
        self.broker.handle(now, index, Input::Shutdown, &mut self.outbox);
        for _ in 0..LAST_TURNS {
            self.settle(index);
            self.outbox.records.clear();
            if self.broker.next_deadline().is_none_or(|due| due > now) {
                break;
            }
            self.broker.tick(now, index, &mut self.outbox);
        }
    }
}
