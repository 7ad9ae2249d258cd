//! A pair of clients beside what is measured, whose latency shows whether others are held up. It
//! has a thread of its own, so that it is not the bench's other work that holds it up.

use super::super::traffic::Mint;
use super::super::{Deaf, answered, client_id, connect, disconnect, fresh_run};
use crate::error::Error;
use crate::fleet::Listener;
use crate::histogram::Latencies;
use crate::payload::{Header, RunId};
use crate::plan::{MessageShape, Plan};
use noctule_client::{Delivery, Event, Options, QoS, Subscribe};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two messages.
const EVERY: Duration = Duration::from_millis(2);

/// What they look like.
const SHAPE: MessageShape =
    MessageShape { qos: QoS::AtMostOnce, size: 64, user_properties: 0, aliases: false };

/// The pair, on its thread. It ends with the value.
#[derive(Debug)]
pub(super) struct Bystander {
    ask: Sender<()>,
    answers: Receiver<Duration>,
    thread: JoinHandle<Result<(), Error>>,
}

impl Bystander {
    /// Starts publishing and receiving.
    pub(super) fn start(plan: Plan) -> Result<Bystander, Error> {
        let (ask, questions) = channel();
        let (answer, answers) = channel();
        let thread = std::thread::Builder::new()
            .name("bystander".into())
            .spawn(move || stand(&plan, &questions, &answer))
            .map_err(Error::io("a thread"))?;
        Ok(Bystander { ask, answers, thread })
    }

    /// The latency that 99 % of the messages since the last call had at most.
    pub(super) fn p99(&self) -> Result<Duration, Error> {
        let gone = || Error::Broker("the bystander's connection ended".into());
        self.ask.send(()).map_err(|_| gone())?;
        self.answers.recv().map_err(|_| gone())
    }

    /// Ends it.
    pub(super) fn end(self) -> Result<(), Error> {
        drop(self.ask);
        // A thread that panicked has said so.
        self.thread.join().unwrap_or(Ok(()))
    }
}

/// Hears the messages of one run.
struct Ear {
    id: RunId,
    latencies: Latencies,
}

impl Listener for Ear {
    fn message(&mut self, _: usize, delivery: &Delivery<'_>, now: Duration) {
        if let Some(header) = Header::read(delivery.payload).filter(|it| it.run == self.id) {
            self.latencies.record(now.saturating_sub(header.sent));
        }
    }

    fn event(&mut self, _: usize, _: &Event, _: Duration) {}
}

fn stand(plan: &Plan, questions: &Receiver<()>, answer: &Sender<Duration>) -> Result<(), Error> {
    let id = fresh_run();
    let topic: Arc<str> = format!("bench/{:08x}/beside", id.0).into();
    let mut fleet = super::super::fleet(plan, 2)?;
    let options: Vec<Options> =
        (0..2).map(|number| SHAPE.tune(plan.target.options(client_id(id, number)))).collect();
    connect(&mut fleet, options.into_iter(), plan, &mut Deaf)?;
    let (listens, speaks) = (0, 1);
    fleet.subscribe(listens, &Subscribe::to(topic.as_ref(), SHAPE.qos))?;
    answered(&mut fleet, 1, plan, &mut Deaf)?;
    let mut mint = Mint::new(&SHAPE)?;
    let mut ear = Ear { id, latencies: Latencies::default() };
    let (mut due, mut sequence) = (fleet.look_at_clock(), 0);
    loop {
        match questions.try_recv() {
            Ok(()) => {
                // Nobody is left to be told if this fails, and the next turn ends it.
                let _ = answer.send(ear.latencies.turn().p99);
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => break,
        }
        while due <= fleet.look_at_clock() {
            let header = Header { run: id, publisher: 0, sequence, sent: due };
            mint.publish(&topic, &header, (&mut fleet, speaks))?;
            due += EVERY;
            sequence += 1;
        }
        fleet.turn(due, &mut ear)?;
        fleet.roll().check()?;
    }
    disconnect(&mut fleet, &mut ear);
    Ok(())
}
