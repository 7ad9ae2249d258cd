//! Rounds: one life of a broker each.

use super::broker::{Broker, Keeps, Launch};
use super::recorded::{Orders, Recorded};
use super::stage::{Cast, EVERYBODY, Stage};
use crate::sim::Chance;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What was acknowledged has to arrive within so long after a start.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often the ledger is asked whether all is there, and somebody is disturbed.
const ASK: Duration = Duration::from_millis(10);
const DISTURB: Duration = Duration::from_millis(60);
/// A pause where nothing happened, so that the broker has the processor.
const PAUSE: Duration = Duration::from_micros(200);
/// Every so many-th round proves that the recorder saw everything.
const PROVE: u64 = 5;

/// What to run.
#[derive(Clone, Debug)]
pub struct Setting {
    /// What all is drawn from.
    pub seed: u64,
    /// Lives of a broker.
    pub rounds: u64,
    /// Syncs do nothing.
    pub lie: bool,
    /// The broker keeps nothing, so its connections are cut instead: a test of the test.
    pub memory: bool,
    /// Where everything lies.
    pub home: PathBuf,
}

/// A run in progress.
#[derive(Debug)]
pub struct Run {
    setting: Setting,
    launch: Launch,
    recorded: Recorded,
    stage: Stage,
    /// Entries that recent lives made of the journal.
    entries: usize,
    /// The checkpoints that were there after a round.
    checkpoints: BTreeSet<OsString>,
    /// The broker that lives on from round to round, if it does.
    lasting: Option<Broker>,
}

/// What a round is to be like.
#[derive(Debug)]
struct Plan {
    shards: usize,
    die_at: Option<u64>,
    cast: Cast,
    /// Killed so long after its start, whatever it is doing; or else after so much load.
    early: Option<Duration>,
    load: Duration,
    /// Messages sent at most; when they are out, there is silence.
    messages: u64,
    /// The power is cut too.
    cut: bool,
}

impl Plan {
    fn draw(chance: &mut Chance, entries: usize) -> Plan {
        let at_entry = chance.percent(50);
        let die_at = chance.between(2, 2 + entries as u64 * 3 / 2);
        let cast = Cast { away: chance.percent(30), members: chance.below(4) };
        let early = Duration::from_millis(chance.between(1, 400));
        let early = chance.percent(25).then_some(early);
        Plan {
            shards: chance.pick(&[1, 2, 2, 3]),
            die_at: at_entry.then_some(die_at),
            cast,
            early,
            load: Duration::from_millis(chance.between(20, 700)),
            messages: chance.pick(&[300, 3_000, 10_000]),
            cut: chance.percent(65),
        }
    }
}

impl Run {
    /// Prepares a run in an empty directory.
    pub fn new(setting: Setting) -> Result<Run> {
        std::fs::create_dir_all(&setting.home)?;
        let home: &Path = &setting.home.canonicalize()?;
        let launch = Launch::new(home)?;
        let recorded = Recorded::new(home)?;
        Ok(Run {
            setting,
            launch,
            recorded,
            stage: Stage::new(),
            entries: 400,
            checkpoints: BTreeSet::new(),
            lasting: None,
        })
    }

    /// All rounds and a last look; `say` is told of each.
    pub fn run(&mut self, say: &mut dyn FnMut(&str)) -> Result<()> {
        for round in 0..self.setting.rounds {
            let seed = self.setting.seed.wrapping_mul(1_000_003).wrapping_add(round);
            let told = self.round(round, &mut Chance::new(seed));
            let told = told.with_context(|| {
                let Setting { seed, home, .. } = &self.setting;
                format!("round {round} of seed {seed}, in {}", home.display())
            })?;
            say(&format!("round {round}: {told}"));
        }
        self.last_look().context("the last look")
    }

    /// Messages acknowledged, first deliveries, and checkpoints that a round ended with.
    #[must_use]
    pub fn account(&self) -> (u64, u64, usize) {
        let ledger = &self.stage.ledger;
        (ledger.acknowledged, ledger.arrived, self.checkpoints.len())
    }

    /// Which checkpoints are there.
    fn look_for_checkpoints(&mut self) -> Result<()> {
        for entry in std::fs::read_dir(self.recorded.data())? {
            let name = entry?.file_name();
            if name.to_string_lossy().starts_with("ckpt-") {
                self.checkpoints.insert(name);
            }
        }
        Ok(())
    }

    fn round(&mut self, round: u64, chance: &mut Chance) -> Result<String> {
        let plan = Plan::draw(chance, self.entries);
        let before = self.stage.ledger.acknowledged;
        if self.setting.memory {
            self.round_in_memory(&plan, chance)?;
            return Ok(format!("{} acknowledged", self.stage.ledger.acknowledged - before));
        }
        let orders = Orders { lie: self.setting.lie, die_at: plan.die_at };
        let start = Instant::now();
        let mut broker =
            self.launch.start(&Keeps::Recorded(&self.recorded, orders), plan.shards)?;
        let lived = self.live(&mut broker, &plan, chance);
        let lived = lived.with_context(|| format!("{plan:?}; its log:\n{}", broker.tail()))?;
        broker.kill()?;
        self.stage.drain()?;
        let entries = self.recorded.ended()?;
        if plan.early.is_none() && plan.die_at.is_none() {
            self.entries = entries;
        }
        if round.is_multiple_of(PROVE) {
            self.recorded.prove()?;
        }
        let acknowledged = self.stage.ledger.acknowledged - before;
        let (shards, secs) = (plan.shards, start.elapsed().as_secs_f64());
        let told = format!(
            "{shards} shards, killed after {secs:.2} s and {entries} changes {lived}, \
             {acknowledged} acknowledged"
        );
        if !plan.cut {
            return Ok(told);
        }
        let (style, toll) = self.recorded.cut(chance.next())?;
        let told = format!("{told}; {style:?}: {toll}");
        if !chance.percent(30) {
            return Ok(told);
        }
        self.recorded.fold()?;
        self.look_for_checkpoints()?;
        Ok(format!("{told}; folded"))
    }

    /// A broker's life up to its end; answers in what phase it ended.
    fn live(
        &mut self,
        broker: &mut Broker,
        plan: &Plan,
        chance: &mut Chance,
    ) -> Result<&'static str> {
        let start = Instant::now();
        let end = plan.early.map(|early| start + early);
        if !broker.listens(self.launch.address, end.unwrap_or(start + PATIENCE))? {
            return Ok("before it listened");
        }
        self.stage.begin(self.launch.address, plan.messages);
        if let Some(end) = end {
            self.load(broker, plan.cast, end, chance)?;
            return Ok("early");
        }
        if !self.settle(broker, plan.cast, chance)? {
            return Ok("while it settled");
        }
        self.load(broker, plan.cast, Instant::now() + plan.load, chance)?;
        Ok("under load")
    }

    /// Waits until everybody who is there has what is owed; `false` if the broker died before.
    fn settle(&mut self, broker: &mut Broker, cast: Cast, chance: &mut Chance) -> Result<bool> {
        let start = Instant::now();
        let mut asked = start;
        loop {
            let busy = self.stage.turn(chance, self.launch.address, cast, false)?;
            if busy {
                continue;
            }
            if asked.elapsed() > ASK {
                asked = Instant::now();
                if !broker.lives()? {
                    return Ok(false);
                }
                let owed = self.stage.owed(cast);
                if owed.is_empty() {
                    return Ok(true);
                }
                ensure!(start.elapsed() < PATIENCE, "after {PATIENCE:?} still owed:{owed}");
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Load until a moment, or until the broker has died.
    fn load(
        &mut self,
        broker: &mut Broker,
        cast: Cast,
        end: Instant,
        chance: &mut Chance,
    ) -> Result<()> {
        let mut disturbed = Instant::now();
        while Instant::now() < end && broker.lives()? {
            if !self.stage.turn(chance, self.launch.address, cast, true)? {
                std::thread::sleep(PAUSE);
            }
            if disturbed.elapsed() > DISTURB {
                disturbed = Instant::now();
                self.stage.disturb(chance);
            }
        }
        Ok(())
    }

    fn round_in_memory(&mut self, plan: &Plan, chance: &mut Chance) -> Result<()> {
        let mut broker = match self.lasting.take() {
            Some(broker) => broker,
            None => self.launch.start(&Keeps::Nothing, plan.shards)?,
        };
        let outcome = self.live(&mut broker, plan, chance);
        outcome.with_context(|| format!("{plan:?}; its log:\n{}", broker.tail()))?;
        self.stage.cut();
        self.lasting = Some(broker);
        Ok(())
    }

    /// Everybody comes once more.
    fn last_look(&mut self) -> Result<()> {
        let mut broker = match self.lasting.take() {
            Some(broker) => broker,
            None => {
                let keeps = Keeps::Recorded(&self.recorded, Orders::default());
                self.launch.start(&keeps, 2)?
            }
        };
        ensure!(broker.listens(self.launch.address, Instant::now() + PATIENCE)?, "it was killed");
        self.stage.begin(self.launch.address, 0);
        let mut chance = Chance::new(self.setting.seed);
        let settled = self.settle(&mut broker, EVERYBODY, &mut chance);
        let settled = settled.with_context(|| format!("its log:\n{}", broker.tail()))?;
        ensure!(settled, "it died");
        Ok(())
    }
}
