//! One client against its own past.
//!
//! Its past is peaks: the most it sent in a look, the longest it was silent, the most topics it had
//! in an hour. They fade by half in a day, so a client is not taken for an attacker because it is
//! day again. What is new is a spike when it is eight times the peak in two looks, one after the
//! other: the messages that waited for a network come in one.

use super::level::{Level, Middle};
use super::sketch::Sketch;
use super::traffic::{ClientKey, Traffic};
use super::{Answer, Found, Kind, LOOK_SECS, Thresholds};

/// Looks before a client has a past: ten minutes.
const YOUNG: u16 = 150;

/// Looks of an hour, for which topics are counted.
const HOUR: u32 = 900;

/// Looks after which it is known how long a client is silent by day and by night: a day.
const DAY: u16 = 21_600;

/// Looks of a fade: a day has 2048 of them.
const FADE: u32 = 10;

/// Looks between two findings about one client.
const QUIET: u8 = 3;

/// A spike is so many times the peak.
const SPIKE: f32 = 8.0;

/// An explosion is so many times the topics of an hour.
const EXPLOSION: f32 = 16.0;

/// Topics in one look that are new enough to go on with a finding.
const TOPICS_OF_A_LOOK: f32 = 64.0;

/// Without a past it takes so many times more topics.
const EXPLOSION_OF_THE_YOUNG: f32 = 10.0;

/// Silence is so many times the longest there was: before three are over.
const SILENCE: f32 = 2.75;

/// Looks of silence that are never a finding: half a minute.
const SILENCE_MIN: u16 = 8;

/// Who is silent for longer, an hour, is nobody who always talks.
const TALKER_MAX: f32 = 900.0;

/// Nor is one whose longest silence is so many times the usual one: who talks three times less by
/// night still is, who talks by chance is not.
const REGULAR: f32 = 3.3;

/// Seconds after which one end of a connection is forgiven.
const FORGIVEN_SECS: u32 = 30;

/// Seconds a client is remembered that is gone, young or with a past.
const GONE_SECS: [u32; 2] = [60, 3600];

/// What is known of a client.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Client {
    pub(super) key: ClientKey,
    /// Seconds; when its connection ended.
    left_at: u32,
    /// Of this hour.
    topics: Sketch,
    /// Messages of a look, at the most.
    messages: Level,
    /// Bytes of a look, at the most.
    bytes: Level,
    /// Looks between two in which it talked, at the most.
    gap: Level,
    /// Topics of an hour, at the most.
    topics_of_hour: Level,
    /// Looks at it.
    age: u16,
    /// Looks since it talked.
    silent: u16,
    gap_usual: Middle,
    /// Ends of connections, less those forgiven at `left_at`.
    flaps: u8,
    /// Looks until there may be a finding again.
    quiet: u8,
    marks: Marks,
}

const _: () = assert!(size_of::<Client>() <= 32);

/// A few bits: two for the answer whose turn it is, one each for what follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Marks(u8);

impl Marks {
    const CONNECTED: u8 = 4;
    /// It was above its peak in the last look.
    const HOT_MESSAGES: u8 = 8;
    const HOT_BYTES: u8 = 16;
    /// Its silence was told.
    const SILENT: u8 = 32;
    /// It has talked on this connection.
    const TALKED: u8 = 64;
    /// It subscribed too much in the last look.
    const HOT_SUBSCRIBES: u8 = 128;

    fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }

    /// Sets or clears a mark; answers what it was.
    fn set(&mut self, mark: u8, to: bool) -> bool {
        let before = self.has(mark);
        self.0 = if to { self.0 | mark } else { self.0 & !mark };
        before
    }

    /// The answer whose turn it is; then the next one's is.
    fn answer(&mut self) -> Answer {
        let answer = match self.0 & 3 {
            0 => Answer::Observe,
            1 => Answer::Slow,
            2 => Answer::Quarantine,
            _ => Answer::Ban,
        };
        self.0 = self.0 & !3 | answer.harder() as u8;
        answer
    }

    fn forgive(&mut self) {
        self.0 &= !3;
    }
}

impl Client {
    pub(super) fn new(key: ClientKey, now_secs: u32) -> Client {
        Client {
            key,
            left_at: now_secs,
            topics: Sketch::default(),
            messages: Level::default(),
            bytes: Level::default(),
            gap: Level::default(),
            topics_of_hour: Level::default(),
            age: 0,
            silent: 0,
            gap_usual: Middle::default(),
            flaps: 0,
            quiet: 0,
            marks: Marks::default(),
        }
    }

    pub(super) fn connected(&mut self) {
        self.marks.set(Marks::CONNECTED, true);
        self.marks.set(Marks::TALKED, false);
        self.marks.set(Marks::SILENT, false);
        self.silent = 0;
    }

    /// Its connection has ended; `flap`: it was lost, or of no use.
    pub(super) fn ended(&mut self, now_secs: u32, flap: bool, than: &Thresholds) -> Option<Found> {
        self.marks.set(Marks::CONNECTED, false);
        let forgiven = now_secs.saturating_sub(self.left_at) / FORGIVEN_SECS;
        // What is left of a half minute counts for the next one, unless all is forgiven.
        self.left_at = match u32::from(self.flaps) > forgiven {
            true => self.left_at + forgiven * FORGIVEN_SECS,
            false => now_secs,
        };
        self.flaps = u32::from(self.flaps).saturating_sub(forgiven) as u8;
        if !flap || than.flaps_max == 0 {
            return None;
        }
        self.flaps = self.flaps.saturating_add(1);
        let (value, usual) = (u64::from(self.flaps), u64::from(than.flaps_max));
        if value <= usual {
            return None;
        }
        // Half as many bring the next finding.
        self.flaps = than.flaps_max / 2 + 1;
        Some(Found { kind: Kind::Flapping, value, usual, answer: self.marks.answer() })
    }

    /// Whether it is gone for so long that it is not remembered.
    pub(super) fn is_over(&self, now_secs: u32) -> bool {
        let for_secs = GONE_SECS[usize::from(self.age >= YOUNG)];
        !self.marks.has(Marks::CONNECTED) && now_secs.saturating_sub(self.left_at) >= for_secs
    }

    /// A look: what it did in the `millis` since the last one. `round` counts looks of all.
    pub(super) fn look(
        &mut self,
        round: u32,
        traffic: &Traffic,
        millis: u32,
        than: &Thresholds,
    ) -> Option<Found> {
        self.age = self.age.saturating_add(1);
        self.quiet = self.quiet.saturating_sub(1);
        // Spread, so that not all have their hour at once.
        let round = round.wrapping_add(self.key.number() as u32);
        if round.is_multiple_of(FADE) {
            self.messages.fade();
            self.bytes.fade();
            self.topics_of_hour.fade();
        }
        // Slower: a day may pass without the longest pause of who talks by chance.
        if round.is_multiple_of(4 * FADE) {
            self.gap.fade();
        }
        let spikes = self.spikes(traffic, millis.max(1), than);
        let topics = self.topics(round, traffic, than);
        let silence = self.silence(traffic, than);
        let denied = denied(traffic, millis.max(1), than);
        let subscribes = self.subscribes(traffic, millis.max(1), than);
        let (kind, value, usual) = denied.or(subscribes).or(topics).or(spikes).or(silence)?;
        let (value, usual) = (value.round() as u64, usual.round() as u64);
        if kind == Kind::Silence {
            // Nobody is punished for saying nothing.
            return Some(Found { kind, value, usual, answer: Answer::Observe });
        }
        if self.quiet > 0 {
            return None;
        }
        self.quiet = QUIET;
        Some(Found { kind, value, usual, answer: self.marks.answer() })
    }

    fn spikes(&mut self, traffic: &Traffic, millis: u32, than: &Thresholds) -> Option<Measured> {
        if traffic.messages == 0 {
            // Most looks.
            self.marks.set(Marks::HOT_MESSAGES | Marks::HOT_BYTES, false);
            return None;
        }
        let a_second = |count: u32| count as f32 * 1000.0 / millis as f32;
        let old = self.age > YOUNG;
        let messages = a_second(traffic.messages);
        let min = than.spike_messages_min;
        let hot_messages = old && spike(&mut self.messages, messages, min);
        let bytes = a_second(traffic.bytes);
        let hot_bytes = old && spike(&mut self.bytes, bytes, than.spike_bytes_min);
        if !old {
            self.messages.hold(Level::of(messages));
            self.bytes.hold(Level::of(bytes));
        }
        let again = self.marks.set(Marks::HOT_MESSAGES, hot_messages) && hot_messages;
        let again_bytes = self.marks.set(Marks::HOT_BYTES, hot_bytes) && hot_bytes;
        if again {
            Some((Kind::RateSpike, messages, self.messages.number()))
        } else if again_bytes {
            Some((Kind::SizeSpike, bytes, self.bytes.number()))
        } else {
            None
        }
    }

    /// Two looks, one after the other: what a client has at its start comes in one.
    fn subscribes(
        &mut self,
        traffic: &Traffic,
        millis: u32,
        than: &Thresholds,
    ) -> Option<Measured> {
        let a_second = f32::from(traffic.subscribes) * 1000.0 / millis as f32;
        let max = f32::from(than.subscribes_max);
        let hot = max > 0.0 && a_second > max;
        let again = self.marks.set(Marks::HOT_SUBSCRIBES, hot) && hot;
        again.then_some((Kind::SubscribeFlood, a_second, max))
    }

    fn topics(&mut self, round: u32, traffic: &Traffic, than: &Thresholds) -> Option<Measured> {
        if round.is_multiple_of(HOUR) {
            self.topics_of_hour.hold(Level::of(self.topics.count()));
            self.topics = Sketch::default();
            self.marks.forgive();
        }
        if traffic.topics == Sketch::default() {
            return None;
        }
        self.topics.join(traffic.topics);
        let count = self.topics.count();
        let usual = self.topics_of_hour.number();
        let known = u32::from(self.age) > HOUR;
        let min = than.topics_min as f32 * if known { 1.0 } else { EXPLOSION_OF_THE_YOUNG };
        let many = than.topics_min > 0
            && traffic.topics.count() >= TOPICS_OF_A_LOOK
            && count >= min
            && (!known || count >= usual * EXPLOSION);
        many.then_some((Kind::TopicExplosion, count, usual))
    }

    /// Judged of a connection only on which it has talked: the end of one is told as such.
    fn silence(&mut self, traffic: &Traffic, than: &Thresholds) -> Option<Measured> {
        if traffic.messages > 0 {
            if self.marks.set(Marks::TALKED, true) {
                let gap = f32::from(self.silent) + 1.0;
                self.gap.hold(Level::of(gap));
                self.gap_usual.see(gap);
            }
            self.silent = 0;
            self.marks.set(Marks::SILENT, false);
            return None;
        }
        self.silent = self.silent.saturating_add(1);
        let may_be = than.silence && self.age >= DAY && self.silent >= SILENCE_MIN;
        if !may_be || !self.marks.has(Marks::TALKED) || self.marks.has(Marks::SILENT) {
            return None;
        }
        let (longest, silent) = (self.gap.number(), f32::from(self.silent));
        let talker = longest <= TALKER_MAX && longest <= REGULAR * self.gap_usual.number().max(1.0);
        if !talker || silent < SILENCE * longest {
            return None;
        }
        let secs = |looks: f32| looks * LOOK_SECS as f32;
        self.marks.set(Marks::SILENT, true);
        Some((Kind::Silence, secs(silent), secs(longest)))
    }
}

/// A kind, what was measured, and what is usual.
type Measured = (Kind, f32, f32);

/// Whether `now` is a spike above a peak, which learns of it: slowly if it is one.
fn spike(peak: &mut Level, now: f32, min: u32) -> bool {
    let is_one = min > 0 && now >= min as f32 && now >= SPIKE * peak.number();
    if is_one {
        peak.approach(Level::of(now));
    } else {
        peak.hold(Level::of(now));
    }
    is_one
}

fn denied(traffic: &Traffic, millis: u32, than: &Thresholds) -> Option<Measured> {
    let a_second = f32::from(traffic.denials) * 1000.0 / millis as f32;
    let max = f32::from(than.denials_max);
    (max > 0.0 && a_second > max).then_some((Kind::Denied, a_second, max))
}
