//! Long work, cut into turns: a message for very many receivers, the end of a session with very
//! many subscriptions, the end of all connections. Resumed by `tick` under a budget.

use crate::broker::{Broker, Turn};
use crate::identity::{ConnId, SessionNumber, ShardId, Tenant};
use crate::message::Message;
use crate::outbound::Outbound;
use crate::output::Effect;
use crate::peer::{Delivery, Target};
use crate::session::HeldSubscription;
use noctule_proto::ReasonCode;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// Work with a cursor.
#[derive(Debug, Serialize, Deserialize)]
enum Job {
    /// Deliver from target `next` on; `hold` is not read meanwhile.
    Spread { message: Arc<Message>, targets: Arc<[Target]>, next: u32, hold: Option<ConnId> },
    /// The same for a peer; later messages of that peer queue up behind.
    Delivery { from: ShardId, delivery: Delivery, next: u32 },
    /// Take the rest of an ended session's subscriptions out of the index.
    Unsubscribe { tenant: Tenant, number: SessionNumber, rest: Vec<HeldSubscription> },
    /// Ask for more retained messages for a session.
    AskOn { number: SessionNumber },
    /// End all connections from this number on.
    Shutdown { next: u32 },
}

/// The jobs of a shard, in the order they came.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Jobs {
    queue: VecDeque<Job>,
}

impl Jobs {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// A message of this peer waits to be delivered.
    pub(crate) fn has_delivery_of(&self, shard: ShardId) -> bool {
        self.queue.iter().any(|job| match job {
            Job::Delivery { from, .. } => *from == shard,
            Job::Spread { .. }
            | Job::Unsubscribe { .. }
            | Job::AskOn { .. }
            | Job::Shutdown { .. } => false,
        })
    }

    pub(crate) fn deliver(&mut self, from: ShardId, delivery: Delivery) {
        self.queue.push_back(Job::Delivery { from, delivery, next: 0 });
    }

    /// A connection is gone: nothing is to be released once a job is done.
    pub(crate) fn forget_hold(&mut self, conn: ConnId) {
        for job in &mut self.queue {
            if let Job::Spread { hold, .. } = job
                && *hold == Some(conn)
            {
                *hold = None;
            }
        }
    }

    pub(crate) fn ask_on(&mut self, number: SessionNumber) {
        self.queue.push_back(Job::AskOn { number });
    }

    pub(crate) fn unsubscribe(
        &mut self,
        tenant: Tenant,
        number: SessionNumber,
        rest: Vec<HeldSubscription>,
    ) {
        self.queue.push_back(Job::Unsubscribe { tenant, number, rest });
    }
}

impl Broker {
    /// Delivers to many receivers as a job. The publisher is not read until it is done, so that
    /// its next message cannot overtake. [MQTT-4.6.0-5 v5]
    pub(crate) fn spread_later(
        &mut self,
        turn: &mut Turn<'_>,
        targets: Arc<[Target]>,
        message: Arc<Message>,
        conn: Option<ConnId>,
    ) {
        if let Some(conn) = conn {
            self.hold(turn, conn);
        }
        self.jobs.queue.push_back(Job::Spread { message, targets, next: 0, hold: conn });
    }

    /// Works through the jobs until they are done or the turn's budget is.
    pub(crate) fn run_jobs(&mut self, turn: &mut Turn<'_>) {
        // Each job that is not done goes to the back, so that none starves; deliveries of one
        // peer stay in order because a job that is not done used up the budget.
        while self.budget > 0 {
            let Some(job) = self.jobs.queue.pop_front() else { return };
            if let Some(rest) = self.run_job(turn, job) {
                self.counters.jobs_continued += 1;
                self.jobs.queue.push_front(rest);
            }
        }
    }

    fn run_job(&mut self, turn: &mut Turn<'_>, job: Job) -> Option<Job> {
        match job {
            Job::Spread { message, targets, next, hold } => {
                match self.run_delivery(turn, &message, &targets, next) {
                    Some(next) => Some(Job::Spread { message, targets, next, hold }),
                    None => {
                        if let Some(conn) = hold {
                            self.release(turn, conn);
                        }
                        None
                    }
                }
            }
            Job::Delivery { from, delivery, next } => {
                let Delivery { message, targets, .. } = &delivery;
                let next = self.run_delivery(turn, message, targets, next)?;
                Some(Job::Delivery { from, delivery, next })
            }
            Job::Unsubscribe { tenant, number, mut rest } => {
                let left = rest.len().saturating_sub(self.budget as usize);
                let now = rest.split_off(left);
                self.budget -= now.len() as u32;
                for held in now {
                    self.remove_from_index(turn, tenant, &held.filter, number);
                }
                (!rest.is_empty()).then_some(Job::Unsubscribe { tenant, number, rest })
            }
            Job::AskOn { number } => {
                if let Some(slot) = self.sessions.slot_of(number) {
                    self.ask_on(turn, slot);
                }
                None
            }
            Job::Shutdown { next } => self.run_shutdown(turn, next),
        }
    }

    /// Delivers from `next` on and says where to go on.
    fn run_delivery(
        &mut self,
        turn: &mut Turn<'_>,
        message: &Arc<Message>,
        targets: &[Target],
        next: u32,
    ) -> Option<u32> {
        let mut outbound = Outbound::of_message(message);
        let end = (next + self.budget).min(targets.len() as u32);
        self.budget -= end - next;
        for target in &targets[next as usize..end as usize] {
            self.deliver_to(turn, target, &mut outbound, false);
        }
        (end < targets.len() as u32).then_some(end)
    }

    /// Refuses new connections and ends all others. (DISCONNECT 0x8B)
    pub(crate) fn shutdown(&mut self, turn: &mut Turn<'_>) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        self.jobs.queue.push_back(Job::Shutdown { next: 0 });
        self.run_jobs(turn);
    }

    fn run_shutdown(&mut self, turn: &mut Turn<'_>, mut next: u32) -> Option<Job> {
        while next < self.connections.end() {
            if self.budget == 0 {
                return Some(Job::Shutdown { next });
            }
            self.budget -= 1;
            let conn = ConnId(next);
            next += 1;
            let Some(connection) = self.connections.get(conn) else { continue };
            if connection.is_live() {
                let why = "the broker is shutting down";
                self.end(turn, conn, ReasonCode::ServerShuttingDown, why);
            } else {
                let why = "the broker is shutting down";
                self.lose(turn, conn, ReasonCode::ServerShuttingDown, why);
            }
        }
        turn.out.effects.push(Effect::Stopped);
        None
    }
}
