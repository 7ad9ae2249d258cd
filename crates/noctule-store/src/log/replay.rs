//! The records that were kept, in order. Any number of replays may run at once.

use super::recover::{Start, damaged};
use super::window::Window;
use super::{Log, Replayed};
use crate::StoreError;
use crate::format::{Context, FILE_HEAD, Position, Undecoded, checkpoint_name, decode, log_name};
use noctule_core::Time;
use noctule_core::record::Record;

impl Log {
    /// Gives every record kept when the log was opened to `each`, in order.
    ///
    /// # Errors
    /// What was whole when the log was opened is not any more; the disk fails.
    pub fn replay(&self, each: &mut dyn FnMut(&Record)) -> Result<Replayed, StoreError> {
        let mut bodies = |place| self.read(place);
        let mut context = Context::new(&mut bodies, each);
        if let Some(covers) = self.start.checkpoint {
            self.replay_checkpoint(covers, &mut context)?;
        }
        let Start { from, end, .. } = self.start;
        for number in from.segment()..=end.segment() {
            let from = from.max(Position::new(number, FILE_HEAD as u32));
            let ends = self.start.ends.get(&number).copied().unwrap_or(end.offset());
            self.replay_segment(from, ends, &mut context)?;
        }
        let Context { records, message_id_max, .. } = context;
        Ok(Replayed { records, alive: self.start.alive, message_id_max })
    }

    /// Replays a segment from a position to an offset; answers the time of the last frame.
    pub(super) fn replay_segment(
        &self,
        from: Position,
        end: u32,
        context: &mut Context<'_>,
    ) -> Result<Time, StoreError> {
        let mut at = from;
        let mut alive = Time::default();
        let name = || log_name(from.segment());
        let file = self.segment(from.segment());
        let mut window = Window::new(
            file.ok_or_else(|| damaged(name(), 0, "a segment of the log is missing"))?,
        )?;
        while at.offset() < end {
            let offset = u64::from(at.offset());
            let Some((head, frame)) = window.frame(offset, self.seed, at)? else {
                return Err(damaged(name(), offset, "a frame is not whole"));
            };
            decode(frame, at, context).map_err(|error| undecoded(error, name(), offset))?;
            at = head.end();
            alive = Time(head.time);
        }
        Ok(alive)
    }

    pub(super) fn replay_checkpoint(
        &self,
        covers: Position,
        context: &mut Context<'_>,
    ) -> Result<(), StoreError> {
        let name = checkpoint_name(covers.0);
        let mut window = Window::new(self.disk.open(&name)?)?;
        let mut offset = FILE_HEAD as u64;
        loop {
            let at = Position::in_checkpoint(offset);
            let Some((head, frame)) = window.frame(offset, self.seed, at)? else {
                return Err(damaged(name, offset, "a frame is not whole"));
            };
            if head.body_len == 0 {
                return Ok(());
            }
            decode(frame, at, context).map_err(|error| undecoded(error, name.clone(), offset))?;
            offset += head.frame_len();
        }
    }
}

fn undecoded(error: Undecoded, file: String, offset: u64) -> StoreError {
    match error {
        Undecoded::Malformed(error) => damaged(file, offset, error.0),
        Undecoded::Body(error) => error,
    }
}
