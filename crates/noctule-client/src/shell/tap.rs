//! Shows packets as they pass, to whoever wants to print or count them.

use noctule_proto::{REMAINING_LENGTH_MAX, next_frame};
use std::fmt;

/// The longest packet, header included.
const PACKET_MAX: u32 = REMAINING_LENGTH_MAX + 5;

/// A packet that passes between client and server, whole and in its encoded form; the packet types
/// of `noctule-proto` read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tapped<'a> {
    /// The client has made it; the network will have it soon, unless the connection breaks.
    Sent(&'a [u8]),
    /// It came from the server, and is about to be heeded.
    Received(&'a [u8]),
}

type Look = Box<dyn FnMut(Tapped<'_>) + Send>;

/// Who looks, and how far into the output.
#[derive(Default)]
pub(super) struct Tap {
    look: Option<Look>,
    /// Bytes at the beginning of the output that were shown.
    shown: usize,
}

impl Tap {
    pub(super) fn new(look: impl FnMut(Tapped<'_>) + Send + 'static) -> Tap {
        Tap { look: Some(Box::new(look)), shown: 0 }
    }

    pub(super) fn is_open(&self) -> bool {
        self.look.is_some()
    }

    /// A connection begins, with nothing in the output.
    pub(super) fn begin(&mut self) {
        self.shown = 0;
    }

    /// The network has taken so many bytes of the output.
    pub(super) fn written(&mut self, len: usize) {
        self.shown = self.shown.saturating_sub(len);
    }

    /// Shows what is new in the output.
    pub(super) fn sent(&mut self, output: &[u8]) {
        let Some(look) = &mut self.look else { return };
        while let Some(len) = output.get(self.shown..).and_then(packet_len) {
            look(Tapped::Sent(&output[self.shown..self.shown + len]));
            self.shown += len;
        }
    }

    /// Shows a packet that came.
    pub(super) fn received(&mut self, packet: &[u8]) {
        if let Some(look) = &mut self.look {
            look(Tapped::Received(packet));
        }
    }
}

/// How long the packet at the beginning is, if it is whole.
pub(super) fn packet_len(bytes: &[u8]) -> Option<usize> {
    next_frame(bytes, PACKET_MAX).ok().flatten().map(|frame| frame.len)
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("is_open", &self.is_open()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    const PING: &[u8] = &[0xC0, 0];

    #[test]
    fn each_packet_is_shown_once_however_it_is_written() {
        let (sender, seen) = channel();
        let mut tap = Tap::new(move |tapped| {
            let _ = sender.send(format!("{tapped:?}"));
        });
        let count = || seen.try_iter().count();
        let output = [PING, PING].concat();
        tap.sent(&output);
        assert_eq!(count(), 2);
        tap.sent(&output);
        assert_eq!(count(), 0);
        tap.written(3);
        tap.sent(&[&output[3..], PING].concat());
        assert_eq!(count(), 1);
        tap.begin();
        tap.sent(PING);
        tap.received(PING);
        let last: Vec<String> = seen.try_iter().collect();
        assert_eq!(last, ["Sent([192, 0])", "Received([192, 0])"]);
    }
}
