//! The simulated world: a node, clients, links between them, a ledger beside them, and one clock.

use super::chance::Chance;
use super::client::{Client, Ear, Link};
use super::crash::Deaths;
use super::ledger::{Asked, Ledger, LineEnd};
use super::plan::Plan;
use super::universe::Universe;
use crate::node::{LineId, Node, Step};
use noctule_core::input::Level;
use noctule_core::{Event, Homes, ShardId, Tenant, Time};
use noctule_proto::Version;
use std::collections::BTreeSet;
use std::rc::Rc;

/// See the module.
pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) plan: Plan,
    pub(crate) node: Node,
    pub(crate) ledger: Ledger,
    pub(crate) clients: Vec<Client>,
    pub(crate) links: Vec<Link>,
    /// Links that are not over.
    pub(crate) live: Vec<usize>,
    /// Channels between shards in which nothing moves.
    pub(crate) stuck: BTreeSet<(u16, u16)>,
    /// Channels that were said to be full.
    pub(crate) full: BTreeSet<(u16, u16)>,
    pub(crate) freezes: u64,
    pub(crate) deaths: Deaths,
    due: Vec<Step>,
    pub(crate) homes: Homes,
    pub(crate) seed: u64,
}

impl World {
    pub(crate) fn new(seed: u64, shards: u16, traced: bool) -> World {
        let mut chance = Chance::new(seed);
        let plan = Plan::new(&mut chance);
        let homes = Homes::new(shards, seed);
        // The last three: the witness, and two that look at what is retained in the end.
        let count = plan.clients + 3;
        let universe = Rc::new(Universe::new(count, traced));
        let version = |number: usize, chance: &mut Chance| match () {
            () if number == plan.clients || number == plan.clients + 1 => Version::V5,
            () if number == plan.clients + 2 => Version::V311,
            () => {
                chance.pick(&[Version::V5, Version::V5, Version::V5, Version::V311, Version::V31])
            }
        };
        let clients =
            (0..count).map(|number| Client::new(number, version(number, &mut chance))).collect();
        let mut world = World {
            node: Node::new(shards, seed, &plan.limits),
            ledger: Ledger::new(universe, count, plan.limits.clone()),
            clients,
            links: Vec::new(),
            live: Vec::new(),
            stuck: BTreeSet::new(),
            full: BTreeSet::new(),
            freezes: 0,
            deaths: Deaths::default(),
            homes,
            seed,
            due: Vec::new(),
            chance,
            plan,
        };
        world.ledger.time_is(world.now());
        world
    }

    pub(crate) fn now(&self) -> u64 {
        self.node.now().0
    }

    pub(crate) fn witness(&self) -> usize {
        self.plan.clients
    }

    /// Something the node did is carried out: what it said to links, what it closed, what it
    /// accepted.
    pub(crate) fn after(&mut self, shards: &[ShardId], answered: Option<LineId>) {
        self.ledger.at_once(true);
        for at in (0..self.live.len()).rev() {
            let link = &self.links[self.live[at]];
            let ended = !link.closed && !self.node.is_open(link.line);
            if ended && Some(link.line) != answered {
                self.closed(self.live[at], answered);
            }
        }
        if let Some(line) = answered {
            let number = self.accepted(line);
            // It may have been closed again in the same turn.
            if !self.node.is_open(line) {
                self.closed(number, None);
            }
        }
        let (clients, homes) = (&self.clients, &self.homes);
        let home = |client: usize| homes.of_client(Tenant(0), &clients[client].id);
        self.ledger.wills_overdue(|client| shards.contains(&home(client)));
        self.ledger.at_once(false);
        self.mark();
        for event in self.node.take_events() {
            self.ledger.trace(|| format!("{event:?}"));
            if let Event::QueueOverflow { client_id, .. } = event {
                self.overflowed(&client_id);
            }
        }
        self.collect();
        self.watch_channels();
        shards.iter().for_each(|shard| self.node.broker(*shard).check());
    }

    /// A turn ended: so far goes the log.
    pub(crate) fn mark(&mut self) {
        let (records, ..) = self.node.recorded();
        let known = self.deaths.marks.last().map_or(0, |(_, len)| *len);
        for record in &records[known..] {
            self.ledger.trace(|| format!("{record:?}"));
        }
        self.deaths.marks.push((self.ledger.stamp(), records.len()));
    }

    fn overflowed(&mut self, client_id: &str) {
        let client = self.clients.iter().position(|client| client.id == client_id);
        let client = client.expect("a client of this world");
        if let Some(session) = self.ledger.current[client] {
            self.ledger.sessions[session].overflowed = true;
        }
    }

    /// What was said goes to the links; the witness hears it at once.
    fn collect(&mut self) {
        let now = self.now();
        for at in 0..self.live.len() {
            let number = self.live[at];
            let link = &mut self.links[number];
            let bytes = self.node.read(link.line);
            if !bytes.is_empty() {
                link.said(now, bytes);
            }
            if self.node.is_paused(link.line) {
                link.was_paused = true;
            }
            if link.client == self.witness() {
                self.hear(number, usize::MAX);
            }
            self.watch_backlog(number);
        }
    }

    /// Tells the broker when a link fills and empties.
    pub(crate) fn watch_backlog(&mut self, number: usize) {
        let link = &mut self.links[number];
        let high = self.plan.limits.backlog_high as usize;
        let level = match link.high {
            false if link.down_len > high => Level::High,
            true if link.down_len <= high / 2 => Level::Low,
            _ => return,
        };
        link.high = level == Level::High;
        if link.closed || link.session.is_none() {
            return;
        }
        let (line, shard) = (link.line, self.node.home(link.line));
        self.node.backlog(line, level);
        self.after(&[shard], None);
    }

    fn watch_channels(&mut self) {
        for from in 0..self.node.shards() {
            for to in 0..self.node.shards() {
                let waiting = self.node.waiting(ShardId(from), ShardId(to));
                let was = self.full.contains(&(from, to));
                let level = match was {
                    false if waiting > self.plan.channel_max => Level::High,
                    true if waiting <= self.plan.channel_max / 2 => Level::Low,
                    _ => continue,
                };
                match level {
                    Level::High => self.full.insert((from, to)),
                    Level::Low => self.full.remove(&(from, to)),
                };
                self.node.peer_backlog(ShardId(from), ShardId(to), level);
                self.after(&[ShardId(from)], None);
            }
        }
    }

    /// Up to `count` bytes reach the client of a link, who hears what is whole.
    pub(crate) fn hear(&mut self, number: usize, count: usize) {
        let now = self.now();
        let link = &mut self.links[number];
        link.carry_down(count);
        let client = &mut self.clients[link.client];
        let (ledger, chance) = (&mut self.ledger, &mut self.chance);
        if !link.given_up {
            Ear { client, link, ledger, chance, now }.listen();
        }
        if link.client == self.plan.clients {
            let bytes = link.carry_up(usize::MAX);
            self.node.write(link.line, &bytes);
        }
    }

    /// The node closed a link: it had better have a reason.
    fn closed(&mut self, number: usize, answered: Option<LineId>) {
        let now = self.now();
        let link = &mut self.links[number];
        link.closed = true;
        let said_goodbye = link.goodbye.is_some();
        let taken_over = answered.is_some_and(|line| {
            self.links
                .iter()
                .any(|other| other.line == line && other.client == self.links[number].client)
        });
        let link = &self.links[number];
        let keep_alive = u64::from(link.keep_alive_of(&self.plan.limits)) * 1500;
        let timeout = u64::from(self.plan.limits.connect_timeout_secs) * 1000;
        let overdue = match link.spoken_to && link.session.is_some() {
            true => keep_alive > 0 && now - link.last_handed_in >= keep_alive,
            // CONNACK may be late as well, for want of the store.
            false => now - link.opened_at >= timeout,
        };
        assert!(
            said_goodbye || taken_over || overdue || link.hung_up,
            "the broker closed link {number} of {} for no reason: {link:?}",
            self.clients[link.client].id,
        );
        let end = match link.goodbye {
            Some(false) => LineEnd::Goodbye,
            Some(true) | None => LineEnd::Lost,
        };
        if let Some((session, _)) = link.session {
            self.ledger.trace(|| format!("link {number} of session {session} is closed: {end:?}"));
            self.ledger.line_ended(session, end);
        }
        self.ledger.forgive_retained(number);
    }

    fn accepted(&mut self, line: LineId) -> usize {
        let number = self.live.iter().copied().find(|number| self.links[*number].line == line);
        let number = number.expect("an open line has a link");
        let link = &mut self.links[number];
        let limits = &self.plan.limits;
        let expiry_secs = match (link.is_v5(), link.terms.clean_start) {
            (true, _) => link.terms.expiry_secs,
            (false, true) => 0,
            (false, false) => limits.session_expiry_secs_v3,
        };
        let session = self.ledger.accepted(Asked {
            client: link.client,
            link: link.number,
            v5: link.is_v5(),
            clean_start: link.terms.clean_start,
            expiry_secs: expiry_secs.min(limits.session_expiry_secs_max),
            packet_size_max: if link.is_v5() { link.terms.packet_size_max } else { u32::MAX },
            will: link.terms.will.map(|(will, _)| will),
        });
        link.session = Some(session);
        link.accepted = self.ledger.stamp();
        if let Some((will, delay_secs)) = link.terms.will {
            let delay_secs = if link.is_v5() { delay_secs } else { 0 };
            self.ledger.will_armed(session.0, will, delay_secs);
        }
        self.ledger.trace(|| {
            format!(
                "link {} of {} serves session {session:?}: {:?}",
                link.number, self.clients[link.client].id, link.terms
            )
        });
        number
    }

    /// Does one thing that is due.
    pub(crate) fn take(&mut self, step: Step) {
        let (shards, answered) = match step {
            Step::Hear { to, .. } => (vec![to], None),
            Step::Store(shard) | Step::Write(shard) | Step::Fetch(shard) | Step::Tick(shard) => {
                (vec![shard], None)
            }
            Step::Index => (self.node.changed(), None),
            Step::Answer(line) => (vec![self.node.home(line)], Some(line)),
            Step::Read(line) => return self.read(line),
        };
        self.ledger.trace(|| format!("{step:?}"));
        self.node.take(step);
        self.after(&shards, answered);
    }

    /// The node reads one packet.
    fn read(&mut self, line: LineId) {
        let number = self.live.iter().copied().find(|number| self.links[*number].line == line);
        let link = &mut self.links[number.expect("an open line has a link")];
        let home = self.node.home(line);
        let sent = link.sent.pop_front().expect("every packet was sent by the client");
        self.ledger.trace(|| format!("{} -> {sent:?}", self.clients[link.client].id));
        (link.last_handed_in, link.was_paused) = (self.node.now().0, false);
        sent.handed_in(link, &mut self.ledger);
        self.node.take(Step::Read(line));
        let now_home = self.node.home(line);
        if now_home != home {
            link.sent.push_front(sent);
        }
        self.after(&[home, now_home], None);
    }

    /// Does up to `count` things, in any order.
    pub(crate) fn run(&mut self, count: usize) {
        for _ in 0..count {
            let mut due = std::mem::take(&mut self.due);
            due.clear();
            self.node.due(&mut due);
            if !self.stuck.is_empty() {
                due.retain(|step| match step {
                    Step::Hear { from, to } => !self.stuck.contains(&(from.0, to.0)),
                    _ => true,
                });
            }
            if self.deaths.slow_disk {
                due.retain(|step| !matches!(step, Step::Store(_)));
            }
            let step = due.get(self.chance.below(due.len())).copied();
            self.due = due;
            let Some(step) = step else { return };
            self.take(step);
        }
    }

    /// Lets the node do everything there is to do, and looks whether it has.
    pub(crate) fn rest(&mut self) {
        self.stuck.clear();
        self.run(100_000);
        self.due.clear();
        self.node.due(&mut self.due);
        assert!(self.due.is_empty(), "the node does not come to rest: {:?}", self.due);
        self.ledger.node_at_rest();
        self.check_keep_alive();
    }

    /// [MQTT-3.1.2-22 v5]: who is silent for too long is gone by now.
    fn check_keep_alive(&self) {
        for number in &self.live {
            let link = &self.links[*number];
            let keep_alive = u64::from(link.keep_alive_of(&self.plan.limits)) * 1500;
            let silent = self.now() - link.last_handed_in > keep_alive;
            let known = link.session.is_some() && keep_alive > 0 && !link.was_paused;
            assert!(
                link.closed || !known || !silent,
                "link {number} is silent since {} and still open at {}",
                link.last_handed_in,
                self.now(),
            );
        }
    }

    pub(crate) fn set_time(&mut self, time: u64) {
        self.node.set_now(Time(time));
        self.ledger.time_is(time);
    }

    /// Links whose end both sides know are forgotten.
    pub(crate) fn bury(&mut self) {
        for at in (0..self.live.len()).rev() {
            let number = self.live[at];
            let link = &mut self.links[number];
            if !link.closed || !(link.given_up || link.down.is_empty()) {
                continue;
            }
            let client = &mut self.clients[link.client];
            if client.link == Some(number) {
                client.link = None;
            }
            self.live.remove(at);
        }
    }
}
