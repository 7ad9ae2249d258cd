//! What a network does to connections, drawn from a seed.

use crate::sim::chance::Chance;
use std::time::Duration;
use tokio::sync::watch;

/// The weather over all links of a run.
#[derive(Clone, Debug)]
pub(crate) struct Weather(watch::Sender<Sky>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sky {
    /// Nothing happens to connections.
    Calm,
    /// Each has its doom.
    Storm,
}

impl Weather {
    pub(crate) fn new(sky: Sky) -> Weather {
        Weather(watch::channel(sky).0)
    }

    pub(crate) fn change(&self, sky: Sky) {
        self.0.send_replace(sky);
    }

    pub(crate) fn sky(&self) -> Sky {
        *self.0.borrow()
    }

    /// Waits for a calm.
    pub(crate) async fn calm(&self) {
        // The sender lives in `self`.
        let _ = self.0.subscribe().wait_for(|sky| *sky == Sky::Calm).await;
    }
}

/// Which bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// From the client to the server.
    Up,
    Down,
}

/// What will happen to one connection.
#[derive(Clone, Debug)]
pub(crate) struct Doom {
    /// It comes about when so many bytes have passed, if some do, ...
    pub(crate) after_bytes: Option<(Direction, u64)>,
    /// ... or after this time.
    pub(crate) after: Duration,
    pub(crate) end: End,
    /// How long the server goes on with a connection that is none any more.
    pub(crate) ghost: Duration,
    /// How long pieces take on their way at most.
    pub(crate) delay: Duration,
    /// The size of pieces.
    pub(crate) piece: usize,
}

/// How a connection ends, or what interrupts it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// It is refused before it begins.
    Refused,
    /// RST to both sides.
    Reset,
    /// FIN to both sides, over what is on its way.
    Closed,
    /// FIN to one side; what comes from there still passes for this long.
    HalfClosed(Direction, Duration),
    /// Nothing passes for this long; then it goes on for as long as before.
    Stalled(Duration),
    /// One direction swallows everything, for as long as the ends bear it.
    Deaf(Direction),
    /// Both do.
    Void,
}

impl End {
    pub(crate) fn name(self) -> &'static str {
        match self {
            End::Refused => "refused",
            End::Reset => "reset",
            End::Closed => "closed",
            End::HalfClosed(Direction::Up, _) => "half closed up",
            End::HalfClosed(Direction::Down, _) => "half closed down",
            End::Stalled(_) => "stalled",
            End::Deaf(Direction::Up) => "deaf up",
            End::Deaf(Direction::Down) => "deaf down",
            End::Void => "void",
        }
    }
}

impl Doom {
    pub(crate) fn draw(chance: &mut Chance) -> Doom {
        let direction = chance.pick(&[Direction::Up, Direction::Down]);
        let bytes = match chance.below(10) {
            // Within the first packets.
            0..3 => Some(chance.between(0, 120)),
            3..7 => Some(chance.between(0, 30_000)),
            _ => None,
        };
        Doom {
            after_bytes: bytes.map(|bytes| (direction, bytes)),
            after: millis(chance, 50, 1500),
            end: draw_end(chance),
            ghost: if chance.percent(40) { millis(chance, 0, 800) } else { Duration::ZERO },
            delay: if chance.percent(40) { millis(chance, 1, 15) } else { Duration::ZERO },
            piece: chance.pick(&[7, 100, 1460, 16 * 1024]),
        }
    }
}

fn draw_end(chance: &mut Chance) -> End {
    let direction = chance.pick(&[Direction::Up, Direction::Down]);
    match chance.below(100) {
        0..5 => End::Refused,
        5..35 => End::Reset,
        35..60 => End::Closed,
        60..80 => End::HalfClosed(direction, millis(chance, 10, 500)),
        80..96 => End::Stalled(millis(chance, 50, 1000)),
        96..98 => End::Deaf(direction),
        _ => End::Void,
    }
}

fn millis(chance: &mut Chance, low: u64, high: u64) -> Duration {
    Duration::from_millis(chance.between(low, high))
}
