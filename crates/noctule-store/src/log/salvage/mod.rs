//! Makes a store that is damaged one from which a broker starts, and says what is lost.
//!
//! ```text
//!  survey   which files there are, with which checkpoint to begin
//!  walk     frames, as far as they can be told apart
//!  replay   what they come to
//!  rescue   messages of damaged segments -> new segments, behind all others
//! ```
//!
//! A damaged file is never written to. What it still holds and somebody is owed is copied behind
//! the end of the log; then a checkpoint is written that covers all and speaks of nothing that is
//! lost; only then is the damaged file given another name. Up to the checkpoint nothing is changed
//! that says anything, and from the checkpoint on nothing of the damaged files is needed: a crash
//! at any moment leaves a store that can be salvaged as before, or one that starts already.

mod replay;
mod rescue;
mod survey;
mod walk;

use super::cold::{ColdFiles, Home, Lies};
use super::names::{Names, Owed};
use super::recover::{Found, Start, inspect};
use super::{Log, Options, Wait};
use crate::StoreError;
use crate::disk::Disk;
use crate::format::{Position, checkpoint_name, log_name, seed_of};
use noctule_core::identity::Place;
use noctule_core::index::Receiver;
use noctule_core::message::Message;
use noctule_core::record::{Body, Record, Stored, Waiting};
use replay::{Replay, place};
use rescue::{Frames, Rescue};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
pub(super) use survey::Survey;
pub(super) use walk::Walk;

/// Messages read at a time.
const BATCH: usize = 256;
/// Ending of the names of files that were damaged.
const ASIDE: &str = ".damaged";

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Intent {
    /// Find out, and change nothing.
    DryRun,
    /// Do it.
    Salvage,
}

/// What a salvage found, and did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Salvaged {
    /// Bytes that are not what was written.
    pub losses: Vec<Loss>,
    /// Messages that are lost, by who was owed them.
    pub missing: BTreeMap<Owed, u64>,
    /// Messages copied out of damaged files.
    pub rescued: u64,
    /// Messages that are owed and there.
    pub kept: u64,
    /// Damaged files, and what they are called from now on.
    pub aside: Vec<(String, String)>,
    /// Files that were written.
    pub written: Vec<String>,
}

impl Salvaged {
    /// Whether anything was damaged.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        !self.losses.is_empty() || !self.missing.is_empty() || !self.aside.is_empty()
    }
}

/// A piece of a file that is not what was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loss {
    /// Name of the file in the store's directory, before it was kept aside.
    pub file: String,
    /// Where in the file.
    pub offset: u64,
    /// How long; 0: that is not known.
    pub bytes: u64,
    /// Frames of which nothing is left, at least.
    pub frames: u64,
    /// Records that were in them, if that can be told.
    pub records: Option<u64>,
    /// In plain words.
    pub what: &'static str,
}

/// Salvages a store. `tell` is given what was found before anything is changed, so that it is known
/// also if something comes in between. `None`: there is no store.
///
/// # Errors
/// Another process has it open; nothing of it can be told; the disk fails.
pub fn salvage(
    disk: &Arc<dyn Disk>,
    options: Options,
    intent: Intent,
    tell: &mut dyn FnMut(&Salvaged),
) -> Result<Option<Salvaged>, StoreError> {
    let _in_use = disk.lock()?;
    let _unheld = match intent {
        Intent::DryRun => None,
        Intent::Salvage => Some(disk.unheld()?.ok_or_else(held)?),
    };
    if intent == Intent::Salvage {
        // An earlier salvage may not have lived to make its names durable.
        disk.sync_dir()?;
    }
    let Some(mut survey) = Survey::make(&**disk)? else { return Ok(None) };
    let (mut found, state) = look(disk, options, &mut survey)?;
    if !found.is_needed() {
        // What a start would miss beyond that, if anything, is nothing that somebody is owed.
        match verify(disk, options) {
            Err(StoreError::Damaged { file, offset, what }) => {
                let records = Some(0);
                found.losses.push(Loss { file, offset, bytes: 0, frames: 0, records, what });
            }
            verified => verified?,
        }
    }
    tell(&found);
    if found.is_needed() && intent == Intent::Salvage {
        found.written = state.write(disk, options, (&survey, &found))?;
        verify(disk, options)?;
    }
    Ok(Some(found))
}

fn held() -> StoreError {
    io::Error::new(io::ErrorKind::ResourceBusy, "a copy of it is being made: wait for its end")
        .into()
}

/// What is left of a store.
struct State {
    log: Log,
    replay: Replay,
    /// Behind all that was there, this segment is the first new one.
    next: u32,
    frames: Frames,
    end: Position,
    /// Messages that somebody is owed, in damaged files.
    displaced: Vec<Place>,
    lost: BTreeSet<Place>,
}

fn look(
    disk: &Arc<dyn Disk>,
    options: Options,
    survey: &mut Survey,
) -> Result<(Salvaged, State), StoreError> {
    survey.verify_cold()?;
    let log = reading(disk, options, survey)?;
    let mut replay = Replay::new();
    survey.checkpoint_frames(&**disk, &mut |frame, at, blanks| {
        replay.frame(&log, (frame, at), blanks)
    })?;
    let seed = seed_of(&survey.identity);
    let from = survey.start.from;
    let mut before = Walk::new(&survey.segments, seed, (from, 0));
    before.run_before(from)?;
    let mut walk = Walk::new(&survey.segments, seed, (from, survey.start.epoch));
    walk.alive = survey.start.alive;
    walk.durable_at_least(survey.durable)?;
    walk.run(&mut |frame, at, blanks| replay.frame(&log, (frame, at), blanks))?;
    replay.end();
    // Places that a cold file speaks of are names for good, also if nothing else is left of them.
    let moved = survey.cold.last_segment().unwrap_or_default();
    let next = walk.end.max(walk.durable()?).segment().max(moved) + 1;
    let frames = Frames {
        identity: survey.identity,
        epoch: walk.epoch_max.max(before.epoch_max) + 1,
        alive: walk.alive,
    };
    let end = walk.end;
    // What was said before the checkpoint is said by it: only messages can be lost there.
    let said = |loss: Loss| Loss { frames: 0, records: Some(0), ..loss };
    for loss in before.losses.into_iter().map(said).chain(walk.losses) {
        if survey.segments.keys().any(|number| log_name(*number) == loss.file) {
            survey.bad.insert(loss.file.clone());
        }
        survey.losses.push(loss);
    }
    let mut state =
        State { log, replay, next, frames, end, displaced: Vec::new(), lost: BTreeSet::new() };
    state.find_lost(survey)?;
    let mut found = Salvaged { losses: std::mem::take(&mut survey.losses), ..Salvaged::default() };
    found.rescued = state.displaced.len() as u64;
    state.snapshot(&HashMap::new(), &mut found, &mut |_| ());
    found.aside = asides(&**disk, &survey.bad)?;
    Ok((found, state))
}

/// A log that is only read from.
fn reading(disk: &Arc<dyn Disk>, options: Options, survey: &Survey) -> Result<Log, StoreError> {
    let end = Position::new(u32::MAX >> 1, 0);
    let found = Found {
        identity: survey.identity,
        segments: survey.segments.clone(),
        cold: survey.cold.clone(),
        start: Start { end, ..Start::default() },
        epoch: 0,
        torn: None,
    };
    Log::of(Arc::clone(disk), (options, Vec::new()), found, Box::new(()))
}

/// A name for each of these files that no file has.
fn asides(disk: &dyn Disk, bad: &BTreeSet<String>) -> Result<Vec<(String, String)>, StoreError> {
    let taken = disk.list()?;
    let free = |name: &String| {
        let names = (1..).map(|count| match count {
            1 => format!("{name}{ASIDE}"),
            count => format!("{name}{ASIDE}.{count}"),
        });
        let mut free = names.filter(|name| !taken.contains(name));
        free.next().expect("there are more numbers than files")
    };
    Ok(bad.iter().map(|name| (name.clone(), free(name))).collect())
}

/// Makes sure that a broker would start.
fn verify(disk: &Arc<dyn Disk>, options: Options) -> Result<(), StoreError> {
    if let Some(found) = inspect(&**disk)? {
        let log = Log::of(Arc::clone(disk), (options, Vec::new()), found, Box::new(()))?;
        log.replay(&mut |_| ())?;
    }
    Ok(())
}

impl State {
    /// Reads all that is owed: what cannot be read is lost, and what lies in a file that is to be
    /// kept aside has to find another place.
    fn find_lost(&mut self, survey: &mut Survey) -> Result<(), StoreError> {
        let mut places = BTreeSet::new();
        self.replay.broker.places(&mut |at| {
            places.insert(at.place.0.get());
        });
        let places: Vec<Place> = places.into_iter().filter_map(place).collect();
        let mut messages = Vec::new();
        let mut unread = self.replay.unread.clone();
        for batch in places.chunks(BATCH) {
            messages.clear();
            self.log.read_all(batch, Wait::Disk, &mut messages)?;
            let missed = batch.iter().zip(&messages).filter(|(_, message)| message.is_none());
            unread.extend(missed.map(|(at, _)| *at));
        }
        // Where those lie that are not read from the newest of their homes.
        let mut older = BTreeMap::new();
        for at in unread {
            let (read, homes) = self.log.read_anywhere(at);
            for Lies { home, offset, .. } in homes {
                self.blame(survey, home, offset);
            }
            match read.filter(|_| !self.replay.unread.contains(&at)) {
                Some((home, _)) => drop(older.insert(at, home)),
                None => drop(self.lost.insert(at)),
            }
        }
        let is_bad = |at: &Place| {
            let newest = || self.log.homes(*at).first().map(|lies| lies.home);
            let home = older.get(at).copied().or_else(newest);
            home.is_some_and(|home| survey.bad.contains(&home.name()))
        };
        let moves = |at: &Place| !self.lost.contains(at) && is_bad(at);
        self.displaced = places.into_iter().filter(moves).collect();
        Ok(())
    }

    /// A message that is owed, or was, is not whole there.
    fn blame(&self, survey: &mut Survey, home: Home, offset: u32) {
        let (file, offset) = (home.name(), u64::from(offset));
        if survey.bad.insert(file.clone()) {
            let what = "there is no whole message";
            let loss = Loss { file, offset, bytes: 0, frames: 0, records: Some(0), what };
            survey.losses.push(loss);
        }
    }

    /// Tells the state without what is lost, counts that, and says where messages are now.
    fn snapshot(
        &self,
        moved: &HashMap<Place, Place>,
        found: &mut Salvaged,
        each: &mut dyn FnMut(&Record),
    ) {
        let mut names = Names::default();
        let mut missing = BTreeMap::new();
        let mut kept = 0;
        self.replay.broker.snapshot(&mut |mut record| {
            names.learn(&record);
            if self.drop_lost(&mut record, &names, &mut missing) {
                kept += messages_of(&record);
                each(&renamed(record, moved));
            }
        });
        if self.replay.retained_lost > 0 {
            *missing.entry(Owed::Retained).or_default() += self.replay.retained_lost;
        }
        if !found.losses.is_empty() {
            let unknown = self.replay.unknown.iter();
            missing.extend(unknown.map(|(number, count)| (Owed::Unknown(*number), *count)));
        }
        (found.missing, found.kept) = (missing, kept);
    }

    /// Takes out what is lost; `false`: nothing of the record is left.
    fn drop_lost(
        &self,
        record: &mut Record,
        names: &Names,
        missing: &mut BTreeMap<Owed, u64>,
    ) -> bool {
        let lost = |message: &Body| message.place().is_some_and(|at| self.lost.contains(&at));
        let mut lose = |owed, count| {
            if count > 0 {
                *missing.entry(owed).or_default() += count;
            }
            count == 0
        };
        match record {
            Record::Waiting { receiver, messages } => {
                let before = messages.len();
                messages.retain(|waiting: &Waiting| !lost(&waiting.message));
                lose(names.of(*receiver), (before - messages.len()) as u64);
                !messages.is_empty()
            }
            Record::Published { message, retained: true, .. } => {
                lose(Owed::Retained, u64::from(lost(message)))
            }
            Record::Published { message, receivers, .. } => {
                let owed = receivers.first().map_or(Owed::Retained, |it| names.of(it.receiver));
                lose(owed, u64::from(lost(message)))
            }
            // It is told of behind the message, which was counted.
            Record::Sent { message, .. } => !lost(message),
            Record::Received { session, message, .. } => {
                let owed = names.of(Receiver::Session(*session)).unreleased();
                lose(owed, u64::from(lost(message)))
            }
            _ => true,
        }
    }

    /// Writes what is left and gives damaged files other names; answers what was written.
    fn write(
        &self,
        disk: &Arc<dyn Disk>,
        options: Options,
        (survey, found): (&Survey, &Salvaged),
    ) -> Result<Vec<String>, StoreError> {
        let mut rescue = Rescue::begin(&**disk, (self.next, options), self.frames, self.end)?;
        for place in &self.displaced {
            let message = match self.log.read_anywhere(*place).0 {
                Some((_, message)) => message,
                // It was whole when it was looked for.
                None => self.log.read(*place)?,
            };
            rescue.message(*place, &message)?;
        }
        let (covers, moved, mut written) = rescue.end(&found.aside)?;
        let start = Start { end: covers, alive: Some(self.frames.alive), ..Start::default() };
        let Frames { identity, epoch, alive } = self.frames;
        let (segments, cold) = (BTreeMap::new(), ColdFiles::default());
        let log = Found { identity, segments, cold, start, epoch, torn: None };
        let log = Log::of(Arc::clone(disk), (options, Vec::new()), log, Box::new(()))?;
        log.write_checkpoint(covers, alive, &mut |take| {
            self.snapshot(&moved, &mut found.clone(), &mut |record| take(record));
        })?;
        // Segments were made ready behind the end, or are left there: they say nothing, and one of
        // them may be missing.
        for number in survey.segments.range(covers.segment() + 1..).rev().map(|(number, _)| *number)
        {
            if !survey.bad.contains(&log_name(number)) {
                disk.remove(&log_name(number))?;
                disk.sync_dir()?;
            }
        }
        for (name, new) in found.aside.iter().filter(|(name, _)| !written.contains(name)) {
            disk.rename(name, new)?;
        }
        disk.sync_dir()?;
        written.push(checkpoint_name(covers.0));
        Ok(written)
    }
}

/// How many messages a record says are owed.
fn messages_of(record: &Record) -> u64 {
    match record {
        Record::Waiting { messages, .. } => messages.len() as u64,
        Record::Published { .. } | Record::Received { .. } => 1,
        _ => 0,
    }
}

/// The record with messages where they are now.
fn renamed(mut record: Record, moved: &HashMap<Place, Place>) -> Record {
    let rename = |body: &mut Body| {
        let Some(is) = body.place().and_then(|was| moved.get(&was)) else { return };
        *body = match body {
            Body::Here(message) => {
                let moved = Message::clone(message);
                moved.set_place(*is);
                Body::Here(Arc::new(moved))
            }
            Body::Stored(stored) => Body::Stored(Stored { place: *is, ..*stored }),
        };
    };
    match &mut record {
        Record::Published { message, .. }
        | Record::Sent { message, .. }
        | Record::Settled { message, .. }
        | Record::Received { message, .. } => rename(message),
        Record::Waiting { messages, .. } => {
            messages.iter_mut().for_each(|waiting| rename(&mut waiting.message));
        }
        _ => {}
    }
    record
}
