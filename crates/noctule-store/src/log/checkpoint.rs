//! Checkpoints: what a replay of the log up to a position comes to, in records of its own. It
//! holds no messages but their places. The last frame is empty: without it, it is not whole.

use super::Log;
use super::prepare::{SYNC_EVERY, UNFINISHED};
use super::recover::read_head;
use super::window::Window;
use crate::StoreError;
use crate::disk::{Disk, write_full};
use crate::format::{
    Encoder, FILE_HEAD, FRAME_HEAD, FileHead, FileKind, FrameHead, Position, checkpoint_name,
};
use noctule_core::Time;
use noctule_core::record::Record;
use std::io::{self, IoSlice};
use std::sync::atomic::Ordering;

/// Bytes of a frame, about.
const FRAME: usize = 256 * 1024;

/// Takes records.
pub type Take<'t> = dyn FnMut(&Record) + 't;

impl Log {
    /// Writes a checkpoint: `tell` tells the records that the log up to `covers` comes to.
    ///
    /// # Errors
    /// The disk fails; the log goes on without the checkpoint. A record holds a message that the
    /// log does not keep.
    pub fn write_checkpoint(
        &self,
        covers: Position,
        alive: Time,
        tell: &mut dyn FnMut(&mut Take<'_>),
    ) -> Result<(), StoreError> {
        let name = checkpoint_name(covers.0);
        let unfinished = format!("{name}{UNFINISHED}");
        let epoch = self.epoch_at(covers)?;
        let file = self.disk.create(&unfinished)?;
        let head = self.head(FileKind::Checkpoint, covers.0).encode();
        write_full(&*file, &mut [IoSlice::new(&head)], 0)?;
        let mut encoder = Encoder::new();
        let (mut at, mut synced) = (FILE_HEAD as u64, 0);
        let mut put = |encoder: &mut Encoder| {
            if encoder.has_messages() {
                return Err(io::Error::from(io::ErrorKind::InvalidInput));
            }
            let mut frame = encoder.finish();
            let head = FrameHead {
                body_len: frame.body_len,
                at: Position::in_checkpoint(at),
                durable_before: Position::default(),
                time: alive.0,
                epoch,
                previous_end: 0,
                body_crc: frame.body_crc,
            };
            encoder.seal(&mut frame, &head, self.seed);
            write_full(&*file, &mut [IoSlice::new(&frame.bytes)], at)?;
            at += head.frame_len();
            if at - synced >= SYNC_EVERY {
                file.sync_data()?;
                synced = at;
            }
            Ok(())
        };
        let mut done = Ok(());
        tell(&mut |record| {
            if done.is_ok() {
                encoder.record(record);
                if encoder.len() >= FRAME {
                    done = put(&mut encoder);
                }
            }
        });
        done?;
        if encoder.len() > 0 {
            put(&mut encoder)?;
        }
        put(&mut encoder)?;
        file.sync_data()?;
        self.checkpoint_bytes.store(at, Ordering::Relaxed);
        self.disk.rename(&unfinished, &name)?;
        // Segments are removed on the strength of a checkpoint: its name is durable or unknown.
        self.disk.sync_dir().map_err(|error| self.fail(error))
    }

    /// The epoch from which on frames may follow a position: what is left of earlier ones is not
    /// to be taken for what comes next.
    fn epoch_at(&self, covers: Position) -> Result<u32, StoreError> {
        if covers < self.start.end {
            let file = self.segment(covers.segment());
            let mut window =
                Window::new(file.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?)?;
            let frame = window.frame(u64::from(covers.offset()), self.seed, covers)?;
            if let Some((head, _)) = frame {
                return Ok(head.epoch);
            }
            if self.start.ends.get(&covers.segment()) == Some(&covers.offset()) {
                let next = covers.next_segment();
                return self.epoch_at(next);
            }
        }
        Ok(self.epoch())
    }
}

/// When the broker was last alive before the checkpoint, and the epoch of what follows it; `None`:
/// it is not whole.
pub(super) fn verify(
    disk: &dyn Disk,
    identity: [u8; 16],
    covers: Position,
) -> Result<Option<(Time, u32)>, StoreError> {
    let name = checkpoint_name(covers.0);
    let file = disk.open(&name)?;
    match read_head(&*file, &name) {
        Ok(head) if head.kind != FileKind::Checkpoint || head.number != covers.0 => {
            return Ok(None);
        }
        Ok(head) if head.store != identity => return Ok(None),
        Ok(_) => {}
        Err(StoreError::Damaged { .. }) => return Ok(None),
        Err(error) => return Err(error),
    }
    let seed = FileHead { kind: FileKind::Checkpoint, store: identity, number: covers.0 }.seed();
    let mut window = Window::new(file)?;
    let mut at = FILE_HEAD as u64;
    while let Some((head, frame)) = window.frame(at, seed, Position::in_checkpoint(at))? {
        if !head.verify(&frame[FRAME_HEAD..], seed) {
            return Ok(None);
        }
        if head.body_len == 0 {
            return Ok(Some((Time(head.time), head.epoch)));
        }
        at += head.frame_len();
    }
    Ok(None)
}
