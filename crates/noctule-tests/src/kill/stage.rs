//! All clients of a run, looked after in turns.

use super::ender::Ender;
use super::leaver::Leaver;
use super::ledger::{Kind, Ledger};
use super::publisher::Publisher;
use super::retained::Look;
use super::subscriber::Subscriber;
use super::will::Wills;
use crate::sim::Chance;
use anyhow::Result;
use noctule_proto::Version;
use std::net::SocketAddr;

/// The stream that is published to all the time: the first publisher's first.
const WITNESS: usize = 0;

/// The clients and the ledger.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) ledger: Ledger,
    publishers: Vec<Publisher>,
    /// Connected whenever the broker is there.
    steady: Vec<Subscriber>,
    /// Away most of the time.
    away: Vec<Subscriber>,
    /// Members of one share group.
    members: Vec<Subscriber>,
    wills: Wills,
    enders: Vec<Ender>,
    leavers: Vec<Leaver>,
    look: Look,
    /// How many messages are sent at most, up to the end of this round.
    sent_max: u64,
}

/// Who comes in a round besides those that always do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cast {
    pub(super) away: bool,
    /// Members of the group.
    pub(super) members: usize,
}

/// All of them.
pub(super) const EVERYBODY: Cast = Cast { away: true, members: 3 };

impl Stage {
    pub(super) fn new() -> Stage {
        let mut ledger = Ledger::default();
        let versions = [Version::V5, Version::V311, Version::V5];
        let publishers = versions.iter().enumerate();
        let publishers =
            publishers.map(|(at, version)| Publisher::new(at, *version, &mut ledger)).collect();
        let wills = Wills::new(&mut ledger);
        let all = [Kind::AtLeastOnce, Kind::ExactlyOnce, Kind::Wills];
        let mut subscriber = |name: &str, version, qos| {
            let receiver = ledger.receiver(name, qos, false, &all);
            Subscriber::new(name, version, receiver).at(qos, &["t/#", "w/#"])
        };
        let steady = vec![
            subscriber("steady-two", Version::V5, 2),
            subscriber("steady-one", Version::V311, 1),
        ];
        let away = [
            subscriber("away-two", Version::V5, 2),
            subscriber("away-one", Version::V311, 1),
            subscriber("away-five", Version::V5, 1),
        ];
        // Two subscriptions of one session: each brings its copy, exactly once.
        let both = ledger.receiver("away-both", 2, false, &all[..2]);
        ledger.overlap(both, 2);
        let both = Subscriber::new("away-both", Version::V5, both);
        let away = away.into_iter().chain([both.at(2, &["t/#", "t/+/two"])]).collect();
        let group = ledger.receiver("group", 2, true, &all[..2]);
        let member = |at: usize| {
            let name = format!("member-{at}");
            Subscriber::new(&name, Version::V5, group).at(2, &["$share/group/t/#"])
        };
        let members = (0..EVERYBODY.members).map(member).collect();
        let enders = vec![Ender::new("ender-5", Version::V5), Ender::new("ender-4", Version::V311)];
        let leavers =
            vec![Leaver::new("leaver-5", Version::V5), Leaver::new("leaver-4", Version::V311)];
        Stage {
            ledger,
            publishers,
            steady,
            away,
            members,
            wills,
            enders,
            leavers,
            look: Look::default(),
            sent_max: 0,
        }
    }

    /// A broker listens again; it is to be sent so many messages.
    pub(super) fn begin(&mut self, address: SocketAddr, messages: u64) {
        self.sent_max = self.ledger.sent + messages;
        self.look = Look::begin(address, &self.ledger);
    }

    /// One turn for everybody; answers whether anything happened.
    pub(super) fn turn(
        &mut self,
        chance: &mut Chance,
        address: SocketAddr,
        cast: Cast,
        produces: bool,
    ) -> Result<bool> {
        let mut busy = false;
        let publishes = produces && self.ledger.sent < self.sent_max;
        for publisher in &mut self.publishers {
            publisher.connect(address);
            busy |= publisher.turn(&mut self.ledger, chance, publishes)?;
        }
        let away = if cast.away { self.away.len() } else { 0 };
        let present = self.steady.iter_mut().chain(&mut self.away[..away]);
        for subscriber in present.chain(&mut self.members[..cast.members]) {
            subscriber.connect(address);
            busy |= subscriber.turn(&mut self.ledger, chance)?;
        }
        let may_come = produces.then_some(address);
        self.wills.turn(&mut self.ledger, chance, WITNESS, may_come)?;
        for ender in &mut self.enders {
            ender.turn(chance, may_come)?;
        }
        for leaver in &mut self.leavers {
            leaver.turn(&self.ledger, chance, may_come)?;
        }
        self.look.turn(&self.ledger, false)?;
        Ok(busy)
    }

    /// Somebody loses the connection, or begins anew.
    pub(super) fn disturb(&mut self, chance: &mut Chance) {
        match chance.below(6) {
            0 | 1 => {
                let at = chance.below(self.publishers.len());
                self.publishers[at].hang_up();
            }
            2 => {
                let at = chance.below(self.steady.len());
                self.steady[at].hang_up();
            }
            3 => {
                let at = chance.below(self.members.len());
                self.members[at].hang_up();
            }
            4 if chance.percent(10) => self.away[0].begin_anew(&mut self.ledger),
            _ => self.away.iter_mut().for_each(Subscriber::hang_up),
        }
    }

    /// All connections are cut, and the broker lives on.
    pub(super) fn cut(&mut self) {
        self.publishers.iter_mut().for_each(Publisher::hang_up);
        self.subscribers().for_each(Subscriber::hang_up);
    }

    /// The broker was killed: everything it had sent is read and counts.
    pub(super) fn drain(&mut self) -> Result<()> {
        for publisher in &mut self.publishers {
            publisher.drain(&mut self.ledger)?;
        }
        let subscribers = self.steady.iter_mut().chain(&mut self.away).chain(&mut self.members);
        for subscriber in subscribers {
            subscriber.drain(&mut self.ledger)?;
        }
        self.wills.drain(&mut self.ledger)?;
        for ender in &mut self.enders {
            ender.drain()?;
        }
        for leaver in &mut self.leavers {
            leaver.drain(&self.ledger)?;
        }
        self.look.turn(&self.ledger, true)
    }

    fn subscribers(&mut self) -> impl Iterator<Item = &mut Subscriber> {
        self.steady.iter_mut().chain(&mut self.away).chain(&mut self.members)
    }

    /// What is still owed to those who are there; nothing, if it is empty.
    pub(super) fn owed(&mut self, cast: Cast) -> String {
        let mut story = String::new();
        for publisher in self.publishers.iter().filter(|publisher| !publisher.is_idle()) {
            story += &publisher.story();
        }
        let away = if cast.away { &self.away[..] } else { &[] };
        let members = &self.members[..cast.members];
        for subscriber in self.steady.iter().chain(away).chain(members) {
            if !subscriber.is_ready() {
                story += &subscriber.story();
            }
        }
        // What a member has not answered is its own, so the group's account needs them all.
        let group = if cast.members == EVERYBODY.members { &members[..1] } else { &[] };
        for subscriber in self.steady.iter().chain(away).chain(group) {
            story += &self.ledger.lacks(subscriber.receiver);
        }
        let missing = self.look.lacks(&self.ledger);
        if !self.look.is_subscribed() || !missing.is_empty() {
            story += &format!("\n  retained messages are missing: {missing:?}");
        }
        story
    }
}
