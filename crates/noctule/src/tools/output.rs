//! Standard output of `sub` and `rr`: messages as they are to be printed, written by a thread of
//! its own, so that a reader who is slow keeps nobody from answering the broker.

use super::Called;
use super::debug::Entry;
use super::format::{Moment, Shown};
use super::opening::Packets;
use super::settings::Settings;
use super::trouble::Voice;
use noctule_client::Message;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Pieces that may wait for the writer before messages do.
const PIECES_MAX: usize = 16;
/// A piece of this size is handed over, even if there is more to print.
const PIECE_FULL: usize = 64 * 1024;

const TOPIC_COLOUR: &[u8] = b"\x1b[36m";
const FAINT: &[u8] = b"\x1b[2m";
const PLAIN: &[u8] = b"\x1b[0m";

/// Prints messages.
pub(super) struct Printer<'a> {
    settings: &'a Settings,
    voice: Voice,
    /// JSON over several lines.
    pretty: bool,
    coloured: bool,
    /// The line of the screen that each topic has (`--watch`).
    places: HashMap<Arc<str>, usize>,
    chance: Chance,
    piece: Vec<u8>,
    pieces: mpsc::Sender<Vec<u8>>,
    written: oneshot::Receiver<std::io::Result<()>>,
}

/// Nobody reads any more.
#[derive(Debug)]
pub(super) struct Closed;

impl<'a> Printer<'a> {
    pub(super) fn new(settings: &'a Settings, voice: Voice) -> Printer<'a> {
        let (pieces, queue) = mpsc::channel(PIECES_MAX);
        let (done, written) = oneshot::channel();
        std::thread::spawn(move || done.send(write_all(queue)));
        let ours = voice.called == Called::Noctule && std::io::stdout().is_terminal();
        Printer {
            settings,
            voice,
            pretty: settings.output.pretty || ours,
            coloured: ours && std::env::var_os("NO_COLOR").is_none(),
            places: HashMap::new(),
            chance: Chance::new(),
            piece: Vec::new(),
            pieces,
            written,
        }
    }

    /// Clears the screen for `--watch`.
    pub(super) fn begin(&mut self) {
        if self.watches() {
            let host = self.settings.connection.host.as_deref().unwrap_or(b"localhost");
            self.text(b"\x1b[2J\x1b[1;1HBroker: ");
            self.text(host);
            self.text(b"\n");
        }
    }

    fn watches(&self) -> bool {
        self.settings.output.watch && !self.settings.receive.message_rate
    }

    /// Adds text to what is printed.
    pub(super) fn text(&mut self, text: &[u8]) {
        self.piece.extend_from_slice(text);
    }

    /// Adds a line of `-d`; answers how many messages come behind it.
    pub(super) fn debug(&mut self, entry: Entry) -> usize {
        match entry {
            Entry::Answer(_) if self.settings.quiet => {}
            Entry::Line(line) | Entry::Answer(line) => self.text(format!("{line}\n").as_bytes()),
            Entry::Message => return 1,
        }
        0
    }

    /// The lines before this message, counted from 1.
    pub(super) async fn debug_until(&mut self, packets: &mut Option<Packets>, message: usize) {
        let Some(packets) = packets else { return };
        let mut messages = 0;
        while messages < message
            && let Some(entry) = packets.recv().await
        {
            messages += self.debug(entry);
        }
    }

    /// The lines that are left.
    pub(super) fn debug_all(&mut self, packets: Option<Packets>) {
        let Some(mut packets) = packets else { return };
        while let Ok(entry) = packets.try_recv() {
            self.debug(entry);
        }
    }

    /// Adds a message to what is printed, in the form that was asked for.
    pub(super) fn message(&mut self, message: &Message) {
        let places = self.places.len();
        if self.watches() {
            let next = places + 2;
            let line = *self.places.entry(Arc::clone(&message.topic)).or_insert(next);
            self.text(format!("\x1b[{line};1H").as_bytes());
        }
        if !self.chance.hits(self.settings.output.chance) {
            return;
        }
        let end: &[u8] = if self.settings.output.end_of_line { b"\n" } else { b"" };
        match &self.settings.output.format {
            Some(format) => {
                let moment = Moment::now();
                let packet_id = message.packet_id;
                let shown = Shown { message, packet_id, moment: &moment, pretty: self.pretty };
                let mut complaints = Vec::new();
                format.print(shown, &mut self.piece, &mut complaints);
                self.voice.complain(complaints);
                self.text(end);
            }
            None => self.plain(message, end),
        }
        if self.watches() {
            let last = self.places.len() + 1;
            self.text(format!("\x1b[{last};1H\n").as_bytes());
        }
    }

    /// An empty message shows only where its topic does, in a line.
    fn plain(&mut self, message: &Message, end: &[u8]) {
        let empty = message.payload.is_empty();
        if empty && !(self.settings.output.verbose && self.settings.output.end_of_line) {
            return;
        }
        if self.settings.output.verbose {
            self.in_colour(TOPIC_COLOUR, message.topic.as_bytes());
            self.text(b" ");
        }
        if empty {
            self.in_colour(FAINT, b"(null)");
        } else {
            self.text(&message.payload);
        }
        self.text(end);
    }

    fn in_colour(&mut self, colour: &[u8], text: &[u8]) {
        if self.coloured {
            self.text(colour);
        }
        self.text(text);
        if self.coloured {
            self.text(PLAIN);
        }
    }

    /// Whether so much is to be printed that it should be handed over now.
    pub(super) fn is_full(&self) -> bool {
        self.piece.len() >= PIECE_FULL
    }

    pub(super) fn is_empty(&self) -> bool {
        self.piece.is_empty()
    }

    /// Hands what there is to the writer; waits while that has too much to do. Nothing is lost if
    /// it is called off.
    pub(super) async fn flush(&mut self) -> Result<(), Closed> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let place = self.pieces.reserve().await.map_err(|_| Closed)?;
        place.send(std::mem::take(&mut self.piece));
        Ok(())
    }

    /// Waits until everything is written. That nobody reads, as behind `head`, is no error.
    pub(super) async fn finish(mut self) -> std::io::Result<()> {
        let _ = self.flush().await;
        drop(self.pieces);
        match self.written.await {
            Ok(Err(error)) if error.kind() != ErrorKind::BrokenPipe => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn write_all(mut pieces: mpsc::Receiver<Vec<u8>>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    while let Some(piece) = pieces.blocking_recv() {
        out.write_all(&piece)?;
        out.flush()?;
    }
    Ok(())
}

/// Dice for `--random-filter`.
struct Chance {
    seed: RandomState,
    thrown: u64,
}

impl Chance {
    fn new() -> Chance {
        Chance { seed: RandomState::new(), thrown: 0 }
    }

    /// True so many times in 10,000.
    fn hits(&mut self, chance: u16) -> bool {
        if chance >= 10_000 {
            return true;
        }
        self.thrown += 1;
        self.seed.hash_one(self.thrown) % 10_000 < u64::from(chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_what_it_is_said_to_be() {
        let mut chance = Chance::new();
        assert!((0..100).all(|_| chance.hits(10_000)));
        assert!((0..100).all(|_| !chance.hits(0)));
        let hits = (0..100_000).filter(|_| chance.hits(2_500)).count();
        assert!((24_000..26_000).contains(&hits), "{hits}");
    }
}
