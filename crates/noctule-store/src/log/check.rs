//! A look at a log that nobody has open, which changes nothing.

use super::recover::{Found, inspect};
use super::window::Window;
use super::{StoreError, Torn};
use crate::disk::Disk;
use crate::format::{FILE_HEAD, FRAME_HEAD, Position, cold_name, log_name, seed_of};
use noctule_core::Time;
use std::io;

/// Bytes that are not what was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// Name of the file in the store's directory.
    pub file: String,
    /// Where in the file.
    pub offset: u64,
}

/// What a log looks like.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Checked {
    /// Segments, that which is prepared included.
    pub segments: u64,
    /// Files of messages that were moved out of segments.
    pub cold_files: u64,
    /// Bytes of frames in segments.
    pub bytes: u64,
    /// Bytes that all these take on the disk.
    pub disk_bytes: u64,
    /// Frames.
    pub frames: u64,
    /// The position up to which there is a checkpoint.
    pub checkpoint: Option<Position>,
    /// Where the log ends.
    pub end: Position,
    /// When it was last known to be in use.
    pub alive: Option<Time>,
    /// A torn tail, which the next start would cut.
    pub torn: Option<Torn>,
    /// Damage before the last checkpoint: it does not keep a broker from starting, but messages
    /// that lie there may be lost.
    pub damaged: Vec<Damage>,
}

/// Checks a log: each frame of it is verified.
///
/// # Errors
/// A broker would not start from it: damage says where; or it is in use; or the disk fails.
/// `None`: there is no log.
pub fn check(disk: &dyn Disk) -> Result<Option<Checked>, StoreError> {
    let _in_use = disk.lock()?;
    let Some(found) = inspect(disk)? else { return Ok(None) };
    let mut checked = Checked {
        segments: found.segments.len() as u64,
        checkpoint: found.start.checkpoint,
        end: found.start.end,
        alive: found.start.alive,
        torn: found.torn.clone(),
        ..Checked::default()
    };
    for number in found.segments.keys() {
        check_segment(&found, *number, &mut checked)?;
    }
    for (number, cold) in found.cold.iter() {
        checked.cold_files += 1;
        checked.disk_bytes += cold.size;
        let damage = |offset| Damage { file: cold_name(number), offset };
        checked.damaged.extend(cold.damaged(seed_of(&found.identity))?.into_iter().map(damage));
    }
    Ok(Some(checked))
}

/// Counts the frames of a segment, and finds the first one that is not whole where another
/// segment, or the checkpoint, says that there was one.
fn check_segment(found: &Found, number: u32, checked: &mut Checked) -> io::Result<()> {
    let seed = seed_of(&found.identity);
    let start = &found.start;
    let mut window = Window::new(found.segments[&number].clone())?;
    checked.disk_bytes += window.len();
    let mut at = Position::new(number, FILE_HEAD as u32);
    while at < start.end
        && let Some((head, frame)) = window.frame(u64::from(at.offset()), seed, at)?
        && head.verify(&frame[FRAME_HEAD..], seed)
    {
        checked.frames += 1;
        checked.bytes += head.frame_len();
        at = head.end();
    }
    let sealed_at = match found.segments.get(&(number + 1)) {
        Some(next) if number < start.end.segment() => {
            let first = at.next_segment();
            let mut window = Window::new(next.clone())?;
            let frame = window.frame(FILE_HEAD as u64, seed, first)?;
            frame.map(|(head, _)| head.previous_end)
        }
        Some(_) | None => None,
    };
    // Of the segment of the checkpoint, what that covers was durable.
    let covered = start.checkpoint.filter(|covers| covers.segment() == number);
    let sealed_at = sealed_at.or(covered.map(Position::offset));
    if sealed_at.is_some_and(|end| at.offset() < end) {
        let offset = u64::from(at.offset());
        checked.damaged.push(Damage { file: log_name(number), offset });
    }
    Ok(())
}
