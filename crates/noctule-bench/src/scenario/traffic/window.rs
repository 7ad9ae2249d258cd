//! A publisher's window, counted from end to end: how many of its messages have not reached all
//! their subscribers.

use std::ops::Range;
use std::time::Duration;

/// Messages on the way, the oldest first.
#[derive(Debug)]
pub(crate) struct Window {
    size: u32,
    fan_out: u32,
    /// The oldest message on the way.
    oldest: u64,
    /// One above the newest.
    next: u64,
    /// Copies of each that are still to come, by the low bits of its number.
    copies: Vec<u32>,
    mask: u64,
    /// When the oldest one changed last.
    moved: Duration,
}

impl Window {
    /// Of a publisher whose messages go to so many subscribers each.
    pub(crate) fn new(size: u32, fan_out: u32) -> Window {
        let places = (size as usize).next_power_of_two();
        Window {
            size,
            fan_out,
            oldest: 0,
            next: 0,
            copies: vec![0; places],
            mask: places as u64 - 1,
            moved: Duration::ZERO,
        }
    }

    /// How many messages may be published.
    #[inline]
    pub(crate) fn room(&self) -> u32 {
        self.size - (self.next - self.oldest) as u32
    }

    /// The next message is published.
    #[inline]
    pub(crate) fn publish(&mut self) {
        self.copies[(self.next & self.mask) as usize] = self.fan_out;
        self.next += 1;
    }

    /// One subscriber need not be waited for any more for these messages.
    #[inline]
    pub(crate) fn settle(&mut self, messages: Range<u64>, now: Duration) {
        // What was written off may come late.
        for message in messages.start.max(self.oldest)..messages.end {
            let copies = &mut self.copies[(message & self.mask) as usize];
            *copies = copies.saturating_sub(1);
        }
        while self.oldest < self.next && self.copies[(self.oldest & self.mask) as usize] == 0 {
            self.oldest += 1;
            self.moved = now;
        }
    }

    /// Whether messages are on the way and none has arrived for this long.
    pub(crate) fn is_stuck(&self, now: Duration, quiet: Duration) -> bool {
        self.oldest < self.next && now >= self.moved + quiet
    }

    /// What is on the way will not come any more.
    pub(crate) fn write_off(&mut self, now: Duration) {
        self.oldest = self.next;
        self.moved = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn a_message_leaves_room_when_its_last_subscriber_has_it() {
        let mut window = Window::new(3, 2);
        for room in [3, 2, 1] {
            assert_eq!(window.room(), room);
            window.publish();
        }
        assert_eq!(window.room(), 0);
        window.settle(0..3, NOW);
        assert_eq!(window.room(), 0, "one subscriber is behind");
        window.settle(0..1, NOW);
        assert_eq!(window.room(), 1);
        window.publish();
        window.settle(1..4, NOW);
        assert_eq!(window.room(), 2, "the newest has reached one of two");
    }

    #[test]
    fn what_is_written_off_counts_no_more_if_it_comes_after_all() {
        let mut window = Window::new(2, 1);
        window.publish();
        window.publish();
        let quiet = Duration::from_secs(1);
        assert!(!window.is_stuck(NOW, quiet) && window.is_stuck(quiet, quiet));
        window.write_off(quiet);
        assert_eq!(window.room(), 2);
        window.publish();
        window.settle(0..2, NOW);
        assert_eq!(window.room(), 1);
        window.settle(2..3, NOW);
        assert_eq!(window.room(), 2);
        assert!(!window.is_stuck(quiet * 9, quiet), "nothing is on the way");
    }
}
