//! Messages that can be read in files that are to be kept aside, written to new segments.

use crate::StoreError;
use crate::disk::{Disk, DiskFile, write_full};
use crate::format::{
    Encoder, FILE_HEAD, FileHead, FileKind, FrameHead, Position, log_name, seed_of,
};
use crate::log::Options;
use crate::log::copy::copy_file;
use crate::log::prepare::UNFINISHED;
use noctule_core::Time;
use noctule_core::identity::Place;
use noctule_core::limits::Durability;
use noctule_core::message::{Message, Origin, Parts};
use noctule_core::record::{Body, Record};
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// Bytes of a frame, about.
const FRAME: usize = 256 * 1024;

/// What frames of new segments say.
#[derive(Clone, Copy)]
pub(super) struct Frames {
    pub(super) identity: [u8; 16],
    pub(super) epoch: u32,
    pub(super) alive: Time,
}

/// Where it ends, where messages are now, and the new segments.
pub(super) type Rescued = (Position, HashMap<Place, Place>, Vec<String>);

/// Writes new segments. Their frames claim nothing and speak of nobody: as long as there is no
/// checkpoint that does, they change nothing of what the log says.
pub(super) struct Rescue<'d> {
    disk: &'d dyn Disk,
    options: Options,
    frames: Frames,
    encoder: Encoder,
    file: Arc<dyn DiskFile>,
    at: Position,
    /// Offset of the end of the frame before.
    previous_end: u32,
    /// Messages of the frame that is not written yet, and where they were.
    waiting: Vec<(Place, Arc<Message>)>,
    /// Where messages were and are.
    moved: HashMap<Place, Place>,
    /// Segments that are written and have no name yet.
    unnamed: Vec<u32>,
}

impl<'d> Rescue<'d> {
    /// Begins a segment behind `end`.
    pub(super) fn begin(
        disk: &'d dyn Disk,
        (number, options): (u32, Options),
        frames: Frames,
        end: Position,
    ) -> io::Result<Rescue<'d>> {
        let follows = end.segment() + 1 == number;
        Ok(Rescue {
            disk,
            options,
            frames,
            encoder: Encoder::new(),
            file: create(disk, frames.identity, number)?,
            at: Position::new(number, FILE_HEAD as u32),
            previous_end: if follows { end.offset() } else { FILE_HEAD as u32 },
            waiting: Vec::new(),
            moved: HashMap::new(),
            unnamed: vec![number],
        })
    }

    /// Takes a message that was kept at a place.
    pub(super) fn message(&mut self, place: Place, message: &Message) -> io::Result<()> {
        let copy = unkept(message);
        let record = Record::Published {
            message: Body::Here(Arc::clone(&copy)),
            receivers: Vec::new().into(),
            retained: false,
        };
        self.encoder.record(&record);
        self.waiting.push((place, copy));
        if self.encoder.len() >= FRAME { self.frame() } else { Ok(()) }
    }

    fn frame(&mut self) -> io::Result<()> {
        let mut frame = self.encoder.finish();
        let len = frame.bytes.len() as u64;
        let room = self.options.size_of(self.at.segment());
        let is_first = self.at.offset() as usize == FILE_HEAD;
        if !is_first && u64::from(self.at.offset()) + len > u64::from(room) {
            self.file.sync_data()?;
            self.previous_end = self.at.offset();
            self.at = self.at.next_segment();
            self.file = create(self.disk, self.frames.identity, self.at.segment())?;
            self.unnamed.push(self.at.segment());
        }
        let head = FrameHead {
            body_len: frame.body_len,
            at: self.at,
            durable_before: Position::default(),
            time: self.frames.alive.0,
            epoch: self.frames.epoch,
            previous_end: self.previous_end,
            body_crc: frame.body_crc,
        };
        self.encoder.seal(&mut frame, &head, seed_of(&self.frames.identity));
        write_full(&*self.file, &mut [IoSlice::new(&frame.bytes)], u64::from(self.at.offset()))?;
        for (was, message) in self.waiting.drain(..) {
            let is = message.place().expect("the frame has its position");
            self.moved.insert(was, is);
        }
        self.at = head.end();
        self.previous_end = self.at.offset();
        Ok(())
    }

    /// Makes all of it durable. A damaged file that lies behind the log, where a new segment is to
    /// be, is copied aside first: there is always one of that name, and no gap before others.
    pub(super) fn end(mut self, aside: &[(String, String)]) -> Result<Rescued, StoreError> {
        // One frame at least: it says where the segment before it ends.
        if self.encoder.len() > 0 || self.at.offset() as usize == FILE_HEAD {
            self.frame()?;
        }
        self.file.sync_data()?;
        let names: Vec<String> = self.unnamed.into_iter().map(log_name).collect();
        for (name, new) in aside.iter().filter(|(name, _)| names.contains(name)) {
            let file = self.disk.open(name)?;
            copy_file(&*file, file.size()?, self.disk, new)?;
        }
        for name in &names {
            self.disk.rename(&format!("{name}{UNFINISHED}"), name)?;
        }
        self.disk.sync_dir()?;
        Ok((self.at, self.moved, names))
    }
}

fn create(disk: &dyn Disk, store: [u8; 16], number: u32) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(&format!("{}{UNFINISHED}", log_name(number)))?;
    let head = FileHead { kind: FileKind::Log, store, number: u64::from(number) };
    write_full(&*file, &mut [IoSlice::new(&head.encode())], 0)?;
    Ok(file)
}

/// The same message, kept nowhere.
fn unkept(message: &Message) -> Arc<Message> {
    let origin = Origin {
        id: message.id,
        tenant: message.tenant,
        publisher: message.publisher,
        routed_at: 0,
        durability: Durability::Fsync,
    };
    let parts = Parts {
        topic: message.topic(),
        properties: message.properties(),
        payload: message.payload(),
        qos: message.qos,
        retain: message.retain,
        expiry_secs: None,
    };
    let mut copy = Message::new(Time(0), origin, &parts);
    copy.expires_at = message.expires_at;
    Arc::new(copy)
}
