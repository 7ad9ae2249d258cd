//! `noctule top` on a terminal: takes it, listens to keys and signals, gives it back.

use super::feed::{Feed, Order};
use super::model::{EVERYTHING, Model, News, Snapshot};
use super::signals::told_to_end;
use super::view::{Layer, Look, Time, draw};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, poll, read};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often it is looked whether there is something new to draw.
const TICK: Duration = Duration::from_millis(100);

/// How long nothing is drawn if nothing is new: ages grow all the same.
const DRAW_LEAST: Duration = Duration::from_secs(1);

/// How long the thread of the keys waits before it looks whether it is to end.
const KEY_WAIT: Duration = Duration::from_millis(50);

/// Presses that may wait.
const KEYS: usize = 64;

/// Shows the dashboard until the user or the system wants it to end.
pub(super) async fn run(feed: &mut Feed, place: &str, filter: Option<String>) -> io::Result<()> {
    let mut terminal = Terminal::take()?;
    let mut keys = Keys::listen();
    let mut stop = pin!(told_to_end());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut screen = Screen::new(place, filter);
    let mut batch = Vec::new();
    loop {
        let asked = tokio::select! {
            count = feed.news(&mut batch) => {
                if count == 0 {
                    return Ok(());
                }
                screen.take(&mut batch);
                Asked::Nothing
            }
            event = keys.events.recv() => match event {
                Some(Ok(event)) => screen.event(&event, feed),
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            _ = ticks.tick() => screen.tick(),
            () = &mut stop => return Ok(()),
        };
        match asked {
            Asked::Nothing => {}
            Asked::Draw => screen.draw(&mut terminal.0)?,
            Asked::End => return Ok(()),
        }
    }
}

/// What follows from an event.
enum Asked {
    Nothing,
    Draw,
    End,
}

struct Screen<'a> {
    place: &'a str,
    /// What is sampled, or would be.
    filter: String,
    samples: bool,
    model: Model,
    look: Look,
    /// What stands while the time stands.
    frozen: Option<Box<Snapshot>>,
    start: Instant,
    drawn_at: Option<Instant>,
    news: bool,
}

impl Screen<'_> {
    fn new(place: &str, filter: Option<String>) -> Screen<'_> {
        Screen {
            place,
            samples: filter.is_some(),
            filter: filter.unwrap_or_else(|| EVERYTHING.to_owned()),
            model: Model::new(Duration::ZERO),
            look: Look::default(),
            frozen: None,
            start: Instant::now(),
            drawn_at: None,
            news: true,
        }
    }

    fn take(&mut self, batch: &mut Vec<News>) {
        let now = self.start.elapsed();
        for news in batch.drain(..) {
            self.news |= !matches!(news, News::Sampled(..));
            self.model.take(now, news);
        }
    }

    fn tick(&mut self) -> Asked {
        let now = self.start.elapsed();
        self.model.tick(now);
        let late = self.drawn_at.is_none_or(|at| at.elapsed() >= DRAW_LEAST);
        if late || (self.news && self.model.is_settled(now)) { Asked::Draw } else { Asked::Nothing }
    }

    fn event(&mut self, event: &Event, feed: &Feed) -> Asked {
        match event {
            Event::Key(key) if key.kind == KeyEventKind::Release => Asked::Nothing,
            Event::Key(key) => self.key(*key, feed),
            Event::Resize(..) => Asked::Draw,
            Event::FocusGained | Event::FocusLost | Event::Mouse(_) | Event::Paste(_) => {
                Asked::Nothing
            }
        }
    }

    fn key(&mut self, key: KeyEvent, feed: &Feed) -> Asked {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, self.look.layer) {
            (KeyCode::Char('c' | 'd'), _) if control => return Asked::End,
            (KeyCode::Char('q'), _) => return Asked::End,
            (_, Layer::Help) => self.look.layer = Layer::Figures,
            (KeyCode::Esc, Layer::Figures) => return Asked::End,
            (KeyCode::Char('?' | 'h'), Layer::Figures) => self.look.layer = Layer::Help,
            (KeyCode::Char('p' | ' '), Layer::Figures) => self.pause(),
            (KeyCode::Char('s'), Layer::Figures) => self.look.sort = self.look.sort.next(),
            (KeyCode::Char('t'), Layer::Figures) => {
                self.samples = !self.samples;
                let sample = Order::Sample(self.filter.clone());
                feed.order(if self.samples { sample } else { Order::Rest });
            }
            (_, Layer::Figures) => return Asked::Nothing,
        }
        Asked::Draw
    }

    fn pause(&mut self) {
        (self.look.time, self.frozen) = match self.look.time {
            Time::Runs => {
                let snapshot = self.model.snapshot(self.start.elapsed());
                (Time::Stands, Some(Box::new(snapshot)))
            }
            Time::Stands => (Time::Runs, None),
        };
    }

    fn draw(&mut self, terminal: &mut DefaultTerminal) -> io::Result<()> {
        self.news = false;
        self.drawn_at = Some(Instant::now());
        let present;
        let snapshot = match &self.frozen {
            Some(frozen) => frozen,
            None => {
                present = self.model.snapshot(self.start.elapsed());
                &present
            }
        };
        terminal.draw(|frame| draw(frame, self.place, snapshot, self.look)).map(|_| ())
    }
}

/// The terminal while it is ours: the other screen, keys unseen and at once. Given back with the
/// value, and by a hook if the program panics.
struct Terminal(DefaultTerminal);

impl Terminal {
    fn take() -> io::Result<Terminal> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Terminal(terminal)),
            Err(error) => {
                // It may have come half the way.
                let _ = ratatui::try_restore();
                Err(error)
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = ratatui::try_restore();
    }
}

/// A thread that waits for keys, because reading a terminal blocks.
struct Keys {
    events: mpsc::Receiver<io::Result<Event>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keys {
    fn listen() -> Keys {
        let (sender, events) = mpsc::channel(KEYS);
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                let event = match poll(KEY_WAIT) {
                    Ok(false) => continue,
                    Ok(true) => read(),
                    Err(error) => Err(error),
                };
                let failed = event.is_err();
                // Keys that come faster than they are served are lost, as in any terminal.
                let sent = match sender.try_send(event) {
                    Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => true,
                    Err(mpsc::error::TrySendError::Closed(_)) => false,
                };
                if failed || !sent {
                    return;
                }
            }
        });
        Keys { events, ends, thread: Some(thread) }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
