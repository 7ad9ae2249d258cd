//! Detection on virtual time: ten thousand devices for a week, and each kind of attack among them.
//!
//! The devices sleep by night or talk less, lose their network in waves, send what waited, get new
//! firmware, some have an old password, some are gateways, some speak by chance. Each is replayed
//! for itself, look by look, since the detector keeps nothing of one client with another. That are
//! one and a half billion looks: one device in ten is taken, all with `NOCTULE_REPLAY_ALL=1`.

use noctule_core::Time;
use noctule_core::defence::{
    Answer, ClientKey, Clients, Found, Kind, LOOK_SECS, Look, Sources, Thresholds, Traffic,
};

const DEVICES: u64 = 10_000;
const DAY: u64 = 86_400;
const WEEK: u64 = 7 * DAY;
const LOOK: u64 = LOOK_SECS as u64;
const BEGIN: Time = Time(1_700_000_000_000);

/// Seconds of the week at which something happens to many.
const OUTAGES: [u64; 4] = [DAY + 30_000, 2 * DAY + 70_000, 4 * DAY + 5000, 6 * DAY + 50_000];
const FIRMWARE: u64 = 3 * DAY + 36_000;

/// Numbers that only the seed decides.
#[derive(Clone)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// How a device talks.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Habit {
    /// So often, by day and by night.
    Always(u64),
    /// Three times less by night.
    LessByNight(u64),
    /// Gone by night.
    Sleeps(u64),
    /// By chance, once in so many seconds on the average.
    Chance(u64),
    /// A few hundred topics, many messages a second.
    Gateway,
    /// Five hundred messages once an hour.
    Batch,
}

fn habit(device: u64) -> Habit {
    let period = [30, 60, 60, 120, 300, 900][device as usize / 7 % 6];
    match device % 20 {
        0..=7 => Habit::Always(period),
        8..=12 => Habit::LessByNight(period),
        13..=15 => Habit::Sleeps(period),
        16..=17 => Habit::Chance(period * 5),
        18 => Habit::Batch,
        _ => Habit::Gateway,
    }
}

/// A device and what is known of it.
struct Device {
    number: u64,
    habit: Habit,
    chance: Chance,
    key: ClientKey,
    connected: bool,
    next_at: u64,
    /// Messages that wait for the network.
    waiting: u32,
    /// Until when it downloads firmware, and talks of its progress.
    updates_until: u64,
    back_at: u64,
}

impl Device {
    fn new(number: u64) -> Device {
        let mut chance = Chance(number.wrapping_mul(0x1234_5678_9ABC_DEF1));
        let key = ClientKey::of(chance.next());
        let next_at = chance.below(60);
        Device {
            number,
            habit: habit(number),
            chance,
            key,
            connected: false,
            next_at,
            waiting: 0,
            updates_until: 0,
            back_at: 0,
        }
    }

    fn is_night(at: u64) -> bool {
        !(6 * 3600..22 * 3600).contains(&(at % DAY))
    }

    /// Seconds to its next message.
    fn pause(&mut self, at: u64) -> u64 {
        match self.habit {
            // A little off each time, as clocks and networks are.
            Habit::Always(period) => period - period / 20 + self.chance.below(period / 10 + 1),
            Habit::LessByNight(period) if Device::is_night(at) => 3 * period,
            Habit::LessByNight(period) | Habit::Sleeps(period) => period,
            Habit::Chance(mean) => {
                let uniform = (self.chance.below(1 << 30) + 1) as f64 / (1u64 << 30) as f64;
                (-uniform.ln() * mean as f64) as u64 + 1
            }
            Habit::Gateway => 1,
            Habit::Batch => 3600,
        }
    }

    /// What it does in one look's time.
    fn messages(&mut self, at: u64) -> u32 {
        let mut messages = std::mem::take(&mut self.waiting);
        while self.next_at < at + LOOK {
            messages += match self.habit {
                Habit::Gateway => 30 + self.chance.below(20) as u32,
                Habit::Batch => 500,
                Habit::Always(_) | Habit::LessByNight(_) | Habit::Sleeps(_) | Habit::Chance(_) => 1,
            };
            self.next_at += self.pause(self.next_at).max(1);
        }
        if at < self.updates_until {
            // Progress, once a second.
            messages += LOOK as u32;
        }
        messages
    }

    /// Whether it has a network, and is awake.
    fn is_on(&mut self, at: u64) -> bool {
        let spread = self.number % 97;
        if self.habit_sleeps() && Device::is_night(at + spread) {
            return false;
        }
        let out =
            OUTAGES.iter().any(|from| (*from + spread / 8..from + 300 + spread).contains(&at));
        !out && at >= self.back_at
    }

    fn habit_sleeps(&self) -> bool {
        matches!(self.habit, Habit::Sleeps(_))
    }
}

/// All that is found about a device, up to an end, with what an attacker adds to it.
fn replay(
    clients: &mut Clients,
    device: &mut Device,
    end: u64,
    mut attack: impl FnMut(u64, &mut Traffic) -> bool,
) -> Vec<(u64, Found)> {
    let mut all = Vec::new();
    let mut on = false;
    let update_at = (FIRMWARE + device.number % 3600) / LOOK * LOOK;
    for at in (0..end).step_by(LOOK as usize) {
        let now = Time(BEGIN.0 + at * 1000);
        if at == update_at {
            device.updates_until = at + 240;
        }
        if device.updates_until > 0 && at >= device.updates_until {
            // It starts anew, which takes a while.
            device.updates_until = 0;
            device.back_at = at + 90;
        }
        if at % 20 == 0 {
            on = device.is_on(at);
        }
        if on != device.connected {
            device.connected = on;
            if on {
                // A network that comes back comes a few times.
                for _ in 0..device.number % 4 {
                    clients.connected(now, device.key);
                    all.extend(clients.ended(now, device.key, true).map(|found| (at, found)));
                }
                clients.connected(now, device.key);
            } else {
                all.extend(clients.ended(now, device.key, true).map(|found| (at, found)));
            }
        }
        if !on {
            // What it would say waits, but not all of it.
            device.waiting = device.messages(at).min(200);
            continue;
        }
        let messages = device.messages(at);
        let mut traffic = Traffic::of(messages, messages * 150);
        if messages > 0 {
            let topics = if device.habit == Habit::Gateway { 300 } else { 3 };
            for _ in 0..messages.min(50) {
                let topic = device.chance.below(topics);
                traffic.topic(Chance(device.number << 16 | topic).next());
            }
        }
        if !attack(at, &mut traffic) {
            continue;
        }
        let look = Look { client: device.key, tenant: Default::default(), traffic };
        let found = clients.look(now, &look, LOOK_SECS * 1000);
        all.extend(found.map(|found| (at + LOOK, found)));
    }
    all
}

fn clients() -> Clients {
    Clients::new(Thresholds::default(), 1_000_000, BEGIN)
}

#[test]
fn a_week_of_ten_thousand_devices_gives_at_most_one_finding_a_day() {
    let step = if std::env::var_os("NOCTULE_REPLAY_ALL").is_some() { 1 } else { 10 };
    let part = |from: u64, to: u64| {
        let mut clients = clients();
        let mut all = Vec::new();
        // Twenty in a row have all habits.
        for number in (from..to).filter(|number| number / 20 % step == 0) {
            let mut device = Device::new(number);
            let found = replay(&mut clients, &mut device, WEEK, |_, _| true);
            all.extend(found.into_iter().map(|it| (number, device.habit, it)));
        }
        (clients.len(), all)
    };
    let (one, two) = std::thread::scope(|scope| {
        let other = scope.spawn(|| part(0, DEVICES / 2));
        (part(DEVICES / 2, DEVICES), other.join().expect("it does not panic"))
    });
    let found: Vec<_> = one.1.iter().chain(&two.1).collect();
    assert_eq!((one.0 + two.0) as u64, DEVICES / step);
    assert!(
        found.len() as u64 <= 7 / step,
        "{} false findings, such as {:?}",
        found.len(),
        found.iter().take(20).collect::<Vec<_>>()
    );
}

#[test]
fn ten_thousand_clients_take_48_bytes_each_at_most() {
    let mut clients = clients();
    for number in 0..DEVICES {
        clients.connected(BEGIN, Device::new(number).key);
    }
    assert_eq!(clients.len() as u64, DEVICES);
    assert!(clients.bytes() <= 48 * clients.len(), "{}", clients.bytes());
}

#[test]
fn failed_logins_of_a_week_are_no_finding() {
    let mut addresses = Sources::new(Thresholds::default().address_failures_max, BEGIN);
    let mut users = Sources::new(Thresholds::default().user_failures_max, BEGIN);
    let mut found = 0;
    // One in a thousand has an old password and tries every five minutes; half of them share an
    // address, where all others log in after each outage.
    for at in (0..WEEK).step_by(10) {
        let now = Time(BEGIN.0 + at * 1000);
        if OUTAGES.iter().any(|outage| (*outage..outage + 300).contains(&at)) {
            (0..DEVICES / 60).for_each(|_| addresses.succeeded(now, 1));
        }
        for device in (0..DEVICES / 1000).filter(|device| (at / 10 + device * 3) % 30 == 0) {
            let address = if device % 2 == 0 { 1 } else { device + 2 };
            found += usize::from(addresses.failed(now, address).is_some());
            found += usize::from(users.failed(now, device).is_some());
        }
    }
    assert!(found <= 7, "{found} false findings");
}

/// The first finding of a kind, in seconds after the attack began.
fn first(found: &[(u64, Found)], kind: Kind, began: u64) -> Option<u64> {
    let before = found.iter().filter(|(at, _)| *at < began).count();
    assert_eq!(before, 0, "{found:?}");
    found.iter().find(|(_, found)| found.kind == kind).map(|(at, _)| at - began)
}

/// What is to be found, and what a client does at an instant.
type Attack<'a> = (Kind, &'a mut dyn FnMut(u64, &mut Traffic));

#[test]
fn each_attack_of_a_client_is_found_within_ten_seconds() {
    let end = DAY + 600;
    for offset in 0..40 {
        let began = DAY + offset;
        // How much of the look was after the attack began.
        let share = |at: u64| (at + LOOK).saturating_sub(began).min(LOOK) as u32;
        let mut fresh = 0;
        let attacks: [Attack<'_>; 4] = [
            (Kind::RateSpike, &mut |at, traffic| traffic.messages += 2000 * share(at)),
            (Kind::SizeSpike, &mut |at, traffic| {
                traffic.messages += share(at);
                traffic.bytes += 10_000_000 * share(at);
            }),
            (Kind::Denied, &mut |at, traffic| traffic.denials += 50 * share(at) as u16),
            (Kind::TopicExplosion, &mut |at, traffic| {
                for _ in 0..1500 * share(at) {
                    fresh += 1;
                    traffic.topic(Chance(fresh).next());
                }
                // Slowly enough to be no spike of messages.
                traffic.messages += 20 * share(at);
            }),
        ];
        for (kind, attack) in attacks {
            // Neither asleep nor a gateway.
            let mut device = Device::new(offset * 20);
            let found = replay(&mut clients(), &mut device, end, |at, traffic| {
                attack(at, traffic);
                true
            });
            let after = first(&found, kind, began);
            assert!(after.is_some_and(|secs| secs <= 10), "{kind:?} {offset}: {found:?}");
            assert_eq!(found[0].1.answer, Answer::Observe);
        }
    }
}

#[test]
fn flapping_and_guessing_are_found_within_ten_seconds() {
    let mut clients = clients();
    let key = ClientKey::of(Chance(1).next());
    let mut found = None;
    for millis in (0..10_000).step_by(700) {
        let now = Time(BEGIN.0 + millis);
        clients.connected(now, key);
        found = found.or(clients.ended(now, key, true));
    }
    assert_eq!(found.map(|found| found.kind), Some(Kind::Flapping));
    // From one address, and from a thousand for one user.
    let mut addresses = Sources::new(Thresholds::default().address_failures_max, BEGIN);
    let mut users = Sources::new(Thresholds::default().user_failures_max, BEGIN);
    let at = |millis| Time(BEGIN.0 + millis);
    assert!((0..10_000).step_by(800).any(|millis| addresses.failed(at(millis), 1).is_some()));
    let mut from_many = (0..10_000).step_by(100).map(|millis| {
        let alone = addresses.failed(at(millis), 1000 + millis).is_some();
        assert!(!alone, "each address tries once");
        users.failed(at(millis), 1).is_some()
    });
    assert!(from_many.any(|found| found));
}

#[test]
fn a_silent_client_is_found_within_three_of_its_periods() {
    let end = 3 * DAY;
    for number in (0..2000).filter(|number| matches!(habit(*number), Habit::Always(_))) {
        let Habit::Always(period) = habit(number) else { continue };
        let stops_at = 2 * DAY - 5000 + number;
        let mut device = Device::new(number);
        let mut last = 0;
        let found = replay(&mut clients(), &mut device, end, |at, traffic| {
            if at >= stops_at {
                *traffic = Traffic::default();
            } else if traffic.messages > 0 {
                last = at;
            }
            true
        });
        let after = first(&found, Kind::Silence, stops_at).map(|secs| stops_at + secs - last);
        // A period is up to a twentieth longer than it is called, and its look up to four seconds.
        let periods = 3 * (period + period / 20 + LOOK);
        assert!(after.is_some_and(|secs| secs <= periods), "{number} {period}: {found:?}");
        assert_eq!(found.len(), 1, "it is told once: {found:?}");
    }
}
