//! All bridges of a broker, on a thread of their own.

use crate::keeper::{Keeper, forget};
use crate::plan::Plan;
use crate::status::Status;
use crate::via::Stamp;
use noctule_server::Inside;
use noctule_server::config::Bridge;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::task::JoinHandle as Task;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

/// Seconds between two updates of what `$SYS` says.
const SYS_SECS: u64 = 10;

/// Starts the thread, which ends when nothing more can be told.
pub(crate) fn start(
    inside: Inside,
    told: UnboundedReceiver<Vec<Bridge>>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let fleet = Fleet { inside, stamp: Stamp::new(), bridges: HashMap::new() };
    std::thread::Builder::new()
        .name("bridges".into())
        .spawn(move || runtime.block_on(fleet.run(told)))
}

/// All that there are.
struct Fleet {
    inside: Inside,
    stamp: Stamp,
    bridges: HashMap<Box<str>, Running>,
}

/// One that runs.
struct Running {
    plan: Arc<Plan>,
    plans: watch::Sender<Option<Arc<Plan>>>,
    status: Arc<Status>,
    task: Task<()>,
    /// What `$SYS` says of it.
    told: HashMap<&'static str, u64>,
}

impl Fleet {
    async fn run(mut self, mut told: UnboundedReceiver<Vec<Bridge>>) {
        let mut ticks = interval(Duration::from_secs(SYS_SECS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                bridges = told.recv() => match bridges {
                    Some(bridges) => self.are(&bridges).await,
                    None => break,
                },
                _ = ticks.tick() => self.tell().await,
            }
        }
        // All at once: each may have to wait for its goodbyes.
        for running in self.bridges.values() {
            running.plans.send_replace(None);
        }
        for (_, running) in self.bridges.drain() {
            ended(running.task).await;
        }
    }

    /// Has those run that are configured, and no others.
    async fn are(&mut self, bridges: &[Bridge]) {
        let gone: Vec<Box<str>> = self
            .bridges
            .keys()
            .filter(|name| bridges.iter().all(|bridge| bridge.name != **name))
            .cloned()
            .collect();
        for name in gone {
            if let Some(running) = self.bridges.remove(&name) {
                info!("bridge {name}: is configured no more");
                self.end(running).await;
            }
        }
        for bridge in bridges {
            match Plan::of(bridge) {
                Ok(plan) => self.is(Arc::new(plan)).await,
                // It was checked; what has changed since then is said.
                Err(fault) => error!("bridge {}: {}", bridge.name, fault.what),
            }
        }
    }

    /// Has one run as planned.
    async fn is(&mut self, plan: Arc<Plan>) {
        let name = plan.bridge.name.clone();
        if let Some(running) = self.bridges.get_mut(&name) {
            if running.plan.bridge == plan.bridge {
                return;
            }
            let same_session = running.plan.local_client_id == plan.local_client_id;
            if same_session && !running.task.is_finished() {
                info!("bridge {name}: is configured anew");
                running.plan = Arc::clone(&plan);
                running.plans.send_replace(Some(plan));
                return;
            }
            if let Some(running) = self.bridges.remove(&name) {
                match same_session {
                    true => ended(running.task).await,
                    false => self.end(running).await,
                }
            }
        }
        self.inside.reserve(&plan.local_client_id, true);
        let (plans, told) = watch::channel(Some(Arc::clone(&plan)));
        let status = Arc::<Status>::default();
        let keeper =
            Keeper::new(self.inside.clone(), self.stamp.clone(), Arc::clone(&status), told);
        let task = tokio::spawn(keeper.run());
        self.bridges.insert(name, Running { plan, plans, status, task, told: HashMap::new() });
    }

    /// Ends one for good: nothing is to wait for it.
    async fn end(&self, running: Running) {
        running.plans.send_replace(None);
        ended(running.task).await;
        forget(self.inside.clone(), running.plan.local_client_id.clone()).await;
        self.inside.reserve(&running.plan.local_client_id, false);
        for name in running.told.keys() {
            self.inside.publish_retained(&topic(&running.plan, name), "");
        }
        if let Some(topic) = &running.plan.state_topic {
            self.inside.publish_retained(topic, "");
        }
    }

    /// Says in `$SYS` how they stand, where that has changed.
    async fn tell(&mut self) {
        for running in self.bridges.values_mut() {
            let (inside, id) = (self.inside.clone(), running.plan.local_client_id.clone());
            let held = tokio::task::spawn_blocking(move || inside.holdings(&id)).await;
            // A broker that ends has nothing to say.
            let Ok(Ok(held)) = held else { return };
            let waiting = held.map_or(0, |held| held.waiting as u64);
            let all = running.status.told().into_iter().chain([("messages/waiting", waiting)]);
            for (name, value) in all {
                if running.told.insert(name, value) != Some(value) {
                    let topic = topic(&running.plan, name);
                    self.inside.publish_retained(&topic, &value.to_string());
                }
            }
        }
    }
}

fn topic(plan: &Plan, name: &str) -> String {
    format!("$SYS/broker/bridge/{}/{name}", plan.name())
}

/// Waits for the end of one.
async fn ended(task: Task<()>) {
    if let Err(error) = task.await {
        error!("a bridge ended by itself: {error}");
    }
}
