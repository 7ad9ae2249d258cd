//! Messages read back, wherever they are: queued, or in a segment. What is read is verified.

use super::cold::{Home, Lies, Located};
use super::recover::damaged;
use super::{Log, locked};
use crate::StoreError;
use crate::disk::{DiskFile, read_full};
use crate::format::{MESSAGE_HEAD_MAX, Malformed, Position, log_name, message_len, message_of};
use crate::{Fetch, Fetched};
use noctule_core::identity::Place;
use noctule_core::message::Message;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

/// Bytes read at a time.
const EXTENT: u32 = 256 * 1024;
/// Neighbours are read together if no more than this lies between where they begin.
const GAP: u32 = 32 * 1024;
/// Bytes read for the last message of an extent, whose length is not known yet.
const GUESS: u32 = 4 * 1024;

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wait {
    /// It may.
    Disk,
    /// It gives [`io::ErrorKind::WouldBlock`] instead.
    Never,
}

/// Fetches that wait for a reader, and their answers, by shard.
#[derive(Debug, Default)]
pub(super) struct Desk {
    asked: Mutex<VecDeque<(usize, Fetch)>>,
    answered: Mutex<VecDeque<(usize, Fetched)>>,
}

impl Log {
    /// The message that is kept at a place.
    ///
    /// # Errors
    /// What lies there is no message, or not the one that was written; the disk fails.
    pub fn read(&self, place: Place) -> Result<Arc<Message>, StoreError> {
        let at = Position::of_place(place);
        let mut out = Vec::with_capacity(1);
        self.read_all(&[place], Wait::Disk, &mut out)?;
        let lost = || damaged(log_name(at.segment()), u64::from(at.offset()), "no whole message");
        out.pop().flatten().ok_or_else(lost)
    }

    /// The message that is kept at a place, from the newest of its homes in which it is whole, and
    /// homes in which it is not.
    pub(super) fn read_anywhere(&self, place: Place) -> (Option<(Home, Arc<Message>)>, Vec<Lies>) {
        let mut damaged = Vec::new();
        for lies in self.homes(place) {
            let (mut buf, mut out) = (Vec::new(), Vec::with_capacity(1));
            let asked = (&[place][..], &[lies.offset][..]);
            let read = self.read_extent(&*lies.file, asked, Wait::Disk, (&mut buf, &mut out));
            if let (Ok(()), Some(Some(message))) = (read, out.pop()) {
                return (Some((lies.home, message)), damaged);
            }
            damaged.push(lies);
        }
        (None, damaged)
    }

    /// Reads messages, neighbours together; `None` for what is damaged. Fails only where it must
    /// not wait.
    pub(crate) fn read_all(
        &self,
        places: &[Place],
        wait: Wait,
        out: &mut Vec<Option<Arc<Message>>>,
    ) -> io::Result<()> {
        let mut buf = Vec::new();
        let mut rest = places;
        while let Some(first) = rest.first() {
            let at = Position::of_place(*first);
            if at >= self.written()
                && let Some(message) = self.read_queued(*first)
            {
                out.push(message);
                rest = &rest[1..];
                continue;
            }
            let (run, later) = rest.split_at(run_of(rest, self.written()));
            rest = later;
            self.read_run(run, wait, (&mut buf, out))?;
        }
        Ok(())
    }

    /// Reads messages of one segment, which are written.
    fn read_run(&self, places: &[Place], wait: Wait, (buf, out): Out<'_>) -> io::Result<()> {
        let Located { files, lies } = self.locate(places);
        let mut rest = 0;
        while let Some(first) = lies.get(rest) {
            let Some((file, _)) = first else {
                out.push(None);
                rest += 1;
                continue;
            };
            let extent = extent_of(&lies[rest..]);
            let places = &places[rest..rest + extent.len()];
            rest += extent.len();
            let before = out.len();
            let read = self.read_extent(&*files[*file], (places, &extent), wait, (buf, out));
            if wait == Wait::Never {
                read?;
                if out[before..].iter().any(Option::is_none) {
                    // It may be whole elsewhere, which is looked for where there is time.
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                continue;
            }
            if read.is_err() {
                // What the disk does not give is as lost as what is damaged.
                out.resize(before + extent.len(), None);
            }
            for (message, place) in out[before..].iter_mut().zip(places) {
                if message.is_none() {
                    *message = self.read_anywhere(*place).0.map(|(_, message)| message);
                }
            }
        }
        Ok(())
    }

    /// Reads messages that lie close together.
    fn read_extent(
        &self,
        file: &dyn DiskFile,
        (places, offsets): (&[Place], &[u32]),
        wait: Wait,
        (buf, out): Out<'_>,
    ) -> io::Result<()> {
        let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
        read_some(file, buf, (first, (last - first + GUESS) as usize), wait)?;
        for (place, offset) in places.iter().zip(offsets) {
            let skip = (offset - first) as usize;
            let here = buf.get(skip..).unwrap_or_default();
            let message = match message_len(here) {
                Ok(len) if len <= here.len() as u64 => self.restore(here, *place).ok(),
                // The length is only believed as far as the file bears it out.
                Ok(len) if u64::from(*offset) + len <= file.size()? => {
                    let mut own = Vec::new();
                    read_some(file, &mut own, (*offset, len as usize), wait)?;
                    if wait == Wait::Never && (own.len() as u64) < len {
                        return Err(io::ErrorKind::WouldBlock.into());
                    }
                    self.restore(&own, *place).ok()
                }
                Ok(_) => None,
                Err(_) if wait == Wait::Never && here.len() < MESSAGE_HEAD_MAX => {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(_) => None,
            };
            out.push(message);
        }
        Ok(())
    }

    fn restore(&self, bytes: &[u8], place: Place) -> Result<Arc<Message>, Malformed> {
        let kept = message_of(bytes, Position::of_place(place), self.seed)?;
        Ok(Arc::new(Message::restored(&kept, place)))
    }

    /// A message of a frame that is not written yet; `None`: it is written by now.
    fn read_queued(&self, place: Place) -> Option<Option<Arc<Message>>> {
        let at = Position::of_place(place);
        let frame = {
            let tail = locked(&self.tail);
            let index = tail.pending.partition_point(|frame| frame.end <= at);
            let frame = tail.pending.get(index).filter(|frame| frame.at <= at)?;
            Arc::clone(frame)
        };
        let skip = (at.0 - frame.at.0) as usize;
        Some(self.restore(&frame.bytes[skip..], place).ok())
    }

    /// Leaves a fetch to the reader.
    pub(crate) fn ask(&self, shard: usize, fetch: Fetch) {
        locked(&self.desk.asked).push_back((shard, fetch));
    }

    /// Answers the oldest fetch that waits for the reader; `false`: there is none.
    pub fn answer(&self) -> bool {
        let Some((shard, fetch)) = locked(&self.desk.asked).pop_front() else { return false };
        let mut messages = Vec::with_capacity(fetch.places.len());
        self.read_all(&fetch.places, Wait::Disk, &mut messages)
            .expect("a read that may wait answers for each place");
        let fetched = answer_to(fetch, messages);
        locked(&self.desk.answered).push_back((shard, fetched));
        self.asks.wake_one(shard);
        true
    }

    /// The next answer for a shard.
    pub(crate) fn answered(&self, shard: usize) -> Option<Fetched> {
        let mut answered = locked(&self.desk.answered);
        let index = answered.iter().position(|(whose, _)| *whose == shard)?;
        answered.remove(index).map(|(_, fetched)| fetched)
    }
}

/// Each place with what lies there.
pub(crate) fn answer_to(fetch: Fetch, messages: Vec<Option<Arc<Message>>>) -> Fetched {
    let messages = fetch.places.into_iter().zip(messages).collect();
    Fetched { session: fetch.session, messages }
}

/// How many of the places are of one segment, and written.
fn run_of(places: &[Place], written: Position) -> usize {
    let segment = Position::of_place(places[0]).segment();
    let alike = |place: &&Place| {
        let at = Position::of_place(**place);
        at.segment() == segment && at < written
    };
    // The first one was found not to be queued.
    1 + places[1..].iter().take_while(alike).count()
}

/// Offsets of the messages that are read together: those of one file that lie close by, in order.
fn extent_of(lies: &[Option<(usize, u32)>]) -> Vec<u32> {
    let mut offsets: Vec<u32> = Vec::new();
    let mut file = None;
    for (own, offset) in lies.iter().map_while(|lies| *lies) {
        if let (Some(first), Some(previous)) = (offsets.first(), offsets.last()) {
            let near = file == Some(own)
                && offset >= *previous
                && offset - previous <= GAP
                && offset - first <= EXTENT;
            if !near {
                break;
            }
        }
        file = Some(own);
        offsets.push(offset);
    }
    offsets
}

type Out<'o> = (&'o mut Vec<u8>, &'o mut Vec<Option<Arc<Message>>>);

/// Fills the buffer from an offset on, with fewer bytes than asked for at the end of the file, or
/// where no more is at hand.
fn read_some(
    file: &dyn DiskFile,
    buf: &mut Vec<u8>,
    (offset, len): (u32, usize),
    wait: Wait,
) -> io::Result<()> {
    buf.resize(len, 0);
    let count = match wait {
        Wait::Disk => read_full(file, buf, u64::from(offset))?,
        Wait::Never => file.read_cached_at(buf, u64::from(offset))?,
    };
    buf.truncate(count);
    Ok(())
}
