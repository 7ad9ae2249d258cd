//! Publishers that keep their session in a file and are killed: what was in line arrives.

use super::child::{Orders, QOS, Word};
use super::course::{Course, Phase, text_of};
use super::cut::{MEMBERS, SUBSCRIBERS, config};
use super::ledger::{Care, Lenience};
use super::link::open_link;
use super::receive::{share, subscribe};
use super::weather::{Sky, Weather};
use super::{Setting, log};
use crate::process::{BrokerProcess, fresh_directory};
use crate::sim::chance::Chance;
use anyhow::{Context, Result, ensure};
use noctule_client::{ReasonCode, Version};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep};

/// More than this on its way makes the publishers pause.
const BACKLOG_HIGH: u64 = 3000;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// One publisher through all its processes.
struct Line {
    course: Arc<Course>,
    party: u16,
    streams: [u16; 3],
    orders: Orders,
    chance: Chance,
}

pub(super) async fn run(setting: Setting) -> Result<String> {
    let broker = BrokerProcess::start_with(&config())?;
    let course = Course::new(broker.address(), Weather::new(Sky::Storm), setting.seed);
    let folder = fresh_directory()?;
    let account = setting.watch(&course, publishers_die(&course, setting.time, &folder)).await;
    // What is left of a run that failed is worth a look.
    if account.is_ok() {
        std::fs::remove_dir_all(&folder)?;
    }
    log::check(&broker.log()).and(account)
}

async fn publishers_die(course: &Arc<Course>, time: Duration, folder: &Path) -> Result<()> {
    let (mut receivers, mut lines) = (JoinSet::new(), JoinSet::new());
    subscribe(course, &SUBSCRIBERS, Care::Strict, &mut receivers).await?;
    share(course, &MEMBERS, &mut receivers).await?;
    for version in [Version::V5, Version::V311] {
        lines.spawn(Line::new(course, version, folder).await?.run());
    }
    sleep(time).await;
    course.enter(Phase::End);
    course.weather.change(Sky::Calm);
    let mut last = Vec::new();
    while let Some(line) = lines.join_next().await {
        last.push(line??);
    }
    course.until(|ledger| ledger.backlog() == 0).await;
    for child in last {
        let status = spawn_blocking(move || child.part()).await??;
        ensure!(status, "the last process of a publisher did not end well");
    }
    course.part().await
}

impl Line {
    async fn new(course: &Arc<Course>, version: Version, folder: &Path) -> Result<Line> {
        let name = format!("mortal {}", text_of(version));
        let party = course.ledger.party(&name);
        let streams = QOS.map(|qos| course.ledger.stream(party, "send", qos, Lenience::Elsewhere));
        let (weather, ledger) = (&course.weather, &course.ledger);
        let address = open_link(course.server, party, weather, ledger, course.chance()).await?;
        let orders = Orders {
            address: address.to_string(),
            version,
            client_id: name.replace(' ', "-"),
            store: folder.join(name.replace(' ', "-")),
            seed: 0,
            next: streams.map(|stream| course.ledger.next(stream)),
        };
        let (course, chance) = (Arc::clone(course), course.chance());
        Ok(Line { course, party, streams, orders, chance })
    }

    /// One process after the other; the last one has ended its streams, and lives.
    async fn run(mut self) -> Result<Process> {
        let mut size = 0;
        loop {
            self.orders.seed = self.chance.next();
            self.orders.next = self.streams.map(|stream| self.course.ledger.next(stream));
            let mut process = Process::start(&self.orders)?;
            let hearing = process.output()?;
            let (course, party) = (Arc::clone(&self.course), self.party);
            let heard = spawn_blocking(move || hear(&course, party, hearing));
            let life = match self.chance.percent(30) {
                true => self.chance.between(5, 200),
                false => self.chance.between(200, 1800),
            };
            if self.live(&mut process, Duration::from_millis(life)).await? {
                // It says `done` and stays.
                heard.await?;
                return Ok(process);
            }
            process.child.kill()?;
            process.child.wait()?;
            heard.await?;
            self.course.ledger.note(self.party, "is killed");
            self.course.ledger.count("killed");
            for stream in self.streams {
                self.course.ledger.abandon(stream);
            }
            let now = std::fs::metadata(&self.orders.store).map_or(0, |file| file.len());
            if now < size {
                self.course.ledger.count("files written anew");
            }
            size = now;
        }
    }

    /// Lets a process live so long; whether it is the last one.
    async fn live(&self, process: &mut Process, life: Duration) -> Result<bool> {
        let end = Instant::now() + life;
        let mut paused = false;
        while Instant::now() < end {
            if self.course.ends() {
                process.tell("end")?;
                return Ok(true);
            }
            let pause = self.course.ledger.backlog() > BACKLOG_HIGH;
            if pause != paused {
                process.tell(if pause { "pause" } else { "go" })?;
                paused = pause;
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(false)
    }
}

/// Writes down what a process says, until it is done or gone.
fn hear(course: &Course, party: u16, output: BufReader<ChildStdout>) {
    let ledger = &course.ledger;
    for line in output.lines().map_while(Result::ok) {
        match Word::parse(&line) {
            Some(Word::Ask(name)) => ledger.ask_elsewhere(name),
            Some(Word::Line(name)) => ledger.in_line(name),
            Some(Word::Kept(name)) => ledger.settle(name, &Ok(ReasonCode::Success)),
            Some(Word::Lost(name, why)) => ledger.lose(name, why),
            Some(Word::Note(what)) => ledger.note(party, what),
            Some(Word::Done) => return,
            None => ledger.fail(&format!("says: {line}"), party),
        }
    }
}

/// One process of a publisher.
struct Process {
    child: Child,
}

impl Process {
    fn start(orders: &Orders) -> Result<Process> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("child").args(orders.arguments());
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        Ok(Process { child })
    }

    fn output(&mut self) -> Result<BufReader<ChildStdout>> {
        Ok(BufReader::new(self.child.stdout.take().context("the pipe was asked for")?))
    }

    fn tell(&mut self, word: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("the pipe was asked for")?;
        input.write_all(format!("{word}\n").as_bytes())?;
        Ok(())
    }

    /// Lets it end; whether it does so well.
    fn part(mut self) -> Result<bool> {
        drop(self.child.stdin.take());
        Ok(self.child.wait()?.success())
    }
}

/// A run that failed leaves no process behind.
impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
