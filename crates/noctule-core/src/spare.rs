//! Buffers of queues that come and go with each commit: emptied ones wait for the next queue, so
//! that a queue costs no memory while it is empty and no allocation when it fills.

use std::collections::VecDeque;

/// Items for which there is room in all of them.
const ROOM_MAX: usize = 1 << 15;

/// Empty buffers.
#[derive(Debug)]
pub(crate) struct Spares<T> {
    buffers: Vec<VecDeque<T>>,
    room: usize,
}

impl<T> Default for Spares<T> {
    fn default() -> Spares<T> {
        Spares { buffers: Vec::new(), room: 0 }
    }
}

impl<T> Spares<T> {
    /// Lends a buffer to a queue that has none.
    pub(crate) fn lend(&mut self, queue: &mut VecDeque<T>) {
        if queue.capacity() == 0
            && let Some(buffer) = self.buffers.pop()
        {
            self.room -= buffer.capacity();
            *queue = buffer;
        }
    }

    /// Takes the buffer of a queue that is empty.
    pub(crate) fn take_back(&mut self, queue: &mut VecDeque<T>) {
        debug_assert!(queue.is_empty(), "items would be lost");
        let buffer = std::mem::take(queue);
        if buffer.capacity() > 0 && self.room + buffer.capacity() <= ROOM_MAX {
            self.room += buffer.capacity();
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_goes_from_queue_to_queue_and_not_all_are_kept() {
        let mut spares = Spares::default();
        let mut first = VecDeque::from([1, 2, 3]);
        let room = first.capacity();
        first.clear();
        spares.take_back(&mut first);
        assert_eq!(first.capacity(), 0);
        let mut second = VecDeque::new();
        spares.lend(&mut second);
        assert_eq!((second.capacity(), second.len()), (room, 0));
        // One that has a buffer keeps it.
        let mut third = VecDeque::with_capacity(ROOM_MAX + 1);
        spares.take_back(&mut second);
        spares.lend(&mut third);
        assert!(third.capacity() > ROOM_MAX && spares.room == room);
        spares.take_back(&mut third);
        assert_eq!((spares.room, spares.buffers.len()), (room, 1));
    }
}
