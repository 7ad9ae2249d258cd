//! One bridge, for as long as it is configured.

use crate::drive::Sockets;
use crate::hello::{self, Manners, NoConnection, PATIENCE};
use crate::line::Line;
use crate::plan::Plan;
use crate::relay::{End, Relay, Side};
use crate::rules::Way;
use crate::status::{Counted, Status};
use crate::via::Stamp;
use noctule_client::net::{Endpoint, Stream};
use noctule_server::Inside;
use noctule_server::config::{BridgeReload, BridgeStart};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

/// How often a lazy bridge looks whether something waits.
const LOOK: Duration = Duration::from_millis(500);

/// How often is looked whether the first address is there again.
const PRIMARY: Duration = Duration::from_secs(5);

/// What a bridge is made of, and how others see it.
pub(crate) struct Keeper {
    pub(crate) inside: Inside,
    pub(crate) stamp: Stamp,
    pub(crate) status: Arc<Status>,
    /// What it is to do; `None`: nothing more.
    pub(crate) plans: watch::Receiver<Option<Arc<Plan>>>,
    /// Which address is tried.
    at: usize,
    /// Which one a connection went to last.
    last: Option<usize>,
    /// Whether CONNECT says that this is a bridge.
    says_bridge: bool,
    /// Whether its Will asks for less than it might.
    plain_will: bool,
    /// The end here, while there has not been another one yet.
    near: Option<(UnixStream, Line)>,
    failures: u32,
}

impl Keeper {
    pub(crate) fn new(
        inside: Inside,
        stamp: Stamp,
        status: Arc<Status>,
        plans: watch::Receiver<Option<Arc<Plan>>>,
    ) -> Keeper {
        let (at, last, failures) = (0, None, 0);
        let (says_bridge, plain_will, near) = (true, false, None);
        Keeper { inside, stamp, status, plans, at, last, says_bridge, plain_will, near, failures }
    }

    fn plan(&mut self) -> Option<Arc<Plan>> {
        self.plans.borrow_and_update().clone()
    }

    /// Tries, and tries again, until there is nothing more to do.
    pub(crate) async fn run(mut self) {
        while let Some(plan) = self.plan() {
            self.tell(&plan, "0");
            self.prepare(&plan).await;
            if plan.bridge.start == BridgeStart::Lazy && !self.something_waits(&plan).await {
                continue;
            }
            if self.at >= plan.endpoints.len() {
                self.at = 0;
            }
            let end = self.connect(&plan).await;
            self.status.set_connected(false);
            self.tell(&plan, "0");
            let pause = match end {
                Ok((end, lasted)) => self.ended(&plan, &end, lasted),
                Err(error) => Some(self.failed(&plan, &error)),
            };
            if plan.bridge.start == BridgeStart::Once && pause.is_some() {
                info!("bridge {}: has ended, and is started once only", plan.name());
                if self.plans.changed().await.is_err() {
                    return;
                }
                continue;
            }
            if let Some(pause) = pause {
                tokio::select! {
                    () = sleep(pause) => {}
                    _ = self.plans.changed() => {}
                }
            }
        }
    }

    /// Tells clients here how it stands.
    fn tell(&self, plan: &Plan, state: &str) {
        if let Some(topic) = &plan.state_topic {
            self.inside.publish_retained(topic, state);
        }
    }

    /// Has messages wait here from now on, before there is a connection to where they go.
    ///
    /// The end here stays open until then, unread: what is retained comes once, and of QoS 0 no
    /// session would keep it.
    async fn prepare(&mut self, plan: &Plan) {
        let wanted = plan.rules.filters(Way::Out);
        if plan.bridge.forgets_here() || wanted.is_empty() {
            return;
        }
        let held = self.session(plan).await.unwrap_or_default();
        if wanted.iter().all(|(filter, _)| held.filters.iter().any(|it| **it == **filter)) {
            return;
        }
        let made = async {
            let mut stream = self.inside(&plan.local_client_id)?;
            let line = hello::near_alone(plan, &mut stream).await?;
            Ok::<_, NoConnection>((stream, line))
        };
        match timeout(PATIENCE, made).await {
            Ok(Ok(near)) => {
                info!("bridge {}: what is published waits for it from now on", plan.name());
                self.near = Some(near);
            }
            Ok(Err(error)) => warn!("bridge {}: nothing waits here yet: {error}", plan.name()),
            Err(_) => warn!("bridge {}: nothing waits here yet: no answer", plan.name()),
        }
    }

    /// Waits until enough messages wait; `false`: there is another plan.
    async fn something_waits(&mut self, plan: &Plan) -> bool {
        if self.session(plan).await.is_none() {
            // The first connection makes the session that messages wait in.
            return true;
        }
        loop {
            let held = self.session(plan).await.unwrap_or_default();
            if held.waiting >= plan.bridge.threshold as usize {
                return true;
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                _ = self.plans.changed() => return false,
            }
        }
    }

    /// What the session here holds.
    async fn session(&self, plan: &Plan) -> Option<noctule_core::Holdings> {
        let (inside, id) = (self.inside.clone(), plan.local_client_id.clone());
        let held = tokio::task::spawn_blocking(move || inside.holdings(&id)).await;
        held.ok()?.ok()?
    }

    /// A connection, from its beginning to its end, and how long it lasted.
    async fn connect(&mut self, plan: &Arc<Plan>) -> Result<(End, Duration), NoConnection> {
        let endpoint = &plan.endpoints[self.at];
        info!("Connecting bridge {} ({endpoint})", plan.name());
        let mut plans = self.plans.clone();
        let ways = tokio::select! {
            ways = timeout(PATIENCE, self.ways(plan, endpoint)) => ways,
            () = wanted(&mut plans) => return Ok((End::Wanted, Duration::ZERO)),
        };
        let (mut sockets, mut relay) = ways.map_err(|_| NoConnection::TimedOut)??;
        self.last = Some(self.at);
        self.status.count(Counted::Connection);
        self.status.set_connected(true);
        self.tell(plan, "1");
        info!("bridge {}: connected to {endpoint}", plan.name());
        let primary = plan.endpoints[0].clone();
        let end = {
            let runs = sockets.run(&mut relay);
            let other = async {
                match self.at == 0 || plan.bridge.round_robin {
                    true => std::future::pending().await,
                    false => is_there_again(&primary).await,
                }
            };
            tokio::select! {
                end = runs => end,
                () = other => End::Primary,
                () = wanted(&mut self.plans) => End::Wanted,
            }
        };
        if matches!(end, End::Primary | End::Wanted | End::Idle) {
            relay.leave();
        } else {
            relay.give_up();
        }
        sockets.close(&mut relay).await;
        Ok((end, relay.age(Instant::now())))
    }

    /// Both ends of a relay, joined.
    async fn ways(
        &mut self,
        plan: &Arc<Plan>,
        endpoint: &Endpoint,
    ) -> Result<(Sockets, Relay), NoConnection> {
        let mut far_stream = endpoint.connect().await.map_err(NoConnection::Unreachable)?;
        for warning in far_stream.warnings() {
            warn!("bridge {}: {warning}", plan.name());
        }
        let manners = Manners {
            says_bridge: self.says_bridge && plan.bridge.bridge_bit,
            plain_will: self.plain_will,
            packet_size_max: self.inside.packet_size_max(),
        };
        let far = hello::far(plan, &mut far_stream, manners).await?;
        let held = self.session(plan).await.unwrap_or_default();
        let near = match self.near.take() {
            Some(near) => Ok(near),
            None => self.near(plan, far.terms.receive_maximum).await,
        };
        let (near_stream, near) = near.inspect_err(|error| {
            warn!("bridge {}: this broker does not let it in: {error}", plan.name());
        })?;
        let told = (self.stamp.clone(), Arc::clone(&self.status));
        let mut relay = Relay::new(Arc::clone(plan), told, (near, far), Instant::now());
        // Which of several brokers it was before the process began is not known.
        let strange = plan.endpoints.len() > 1 && self.last != Some(self.at);
        relay.begin(&held, strange);
        Ok((Sockets::new(near_stream, far_stream), relay))
    }

    /// The end here.
    async fn near(
        &self,
        plan: &Plan,
        receive_maximum: u16,
    ) -> Result<(UnixStream, Line), NoConnection> {
        let mut stream = self.inside(&plan.local_client_id)?;
        let line = hello::near(plan, &mut stream, receive_maximum).await?;
        Ok((stream, line))
    }

    fn inside(&self, client_id: &str) -> Result<UnixStream, NoConnection> {
        inside(&self.inside, client_id).map_err(|error| NoConnection::Ended(Some(error)))
    }

    /// A connection has ended: how long to wait for the next; `None`: not at all.
    fn ended(&mut self, plan: &Plan, end: &End, lasted: Duration) -> Option<Duration> {
        if lasted >= Duration::from_secs(plan.bridge.stable_secs.into()) {
            self.failures = 0;
        }
        let name = plan.name();
        match end {
            End::Wanted => return None,
            End::Primary => {
                info!("bridge {name}: goes back to its first address");
                self.at = 0;
                return None;
            }
            End::Idle => {
                info!("bridge {name}: has nothing to pass on, and ends its connection");
                return None;
            }
            End::Said(Side::Far, reason, Some(why)) => {
                warn!("bridge {name}: the other broker ends the connection: {reason}: {why}");
            }
            End::Said(Side::Far, reason, None) => {
                warn!("bridge {name}: the other broker ends the connection: {reason}");
            }
            End::Said(Side::Near, reason, _) => {
                warn!("bridge {name}: this broker ends the connection: {reason}");
            }
            End::Closed(Side::Far, Some(error)) => warn!("bridge {name}: connection lost: {error}"),
            End::Closed(Side::Far, None) => {
                warn!("bridge {name}: connection closed by the other broker");
            }
            End::Closed(Side::Near, _) => debug!("bridge {name}: this broker has closed"),
            End::Broken(side, error) => {
                warn!("bridge {name}: {} sends what is no MQTT: {error}", words(*side));
            }
            End::Unexpected(side, packet) => {
                warn!("bridge {name}: {} sends a packet out of place: {packet:?}", words(*side));
            }
            End::NoRoom(side) => {
                warn!("bridge {name}: {} takes no more for now", words(*side));
            }
            End::Silent => warn!("bridge {name}: the other broker does not answer"),
        }
        Some(self.next(plan))
    }

    /// None has come about: how long to wait for the next.
    fn failed(&mut self, plan: &Plan, error: &NoConnection) -> Duration {
        let endpoint = &plan.endpoints[self.at];
        warn!("bridge {}: no connection to {endpoint}: {error}", plan.name());
        if plan.bridge.bridge_bit && error.may_be_for_the_bit() {
            // The other way round is worth a try, too: whoever closes may do so for other reasons.
            self.says_bridge = !self.says_bridge;
        }
        self.plain_will |= error.is_for_the_will();
        self.next(plan)
    }

    /// Moves on to the next address; how long to wait before.
    fn next(&mut self, plan: &Plan) -> Duration {
        self.at = (self.at + 1) % plan.endpoints.len();
        let (min, max) = (plan.bridge.retry_secs_min, plan.bridge.retry_secs_max);
        let doubled = u64::from(min).saturating_mul(1 << self.failures.min(20));
        self.failures += 1;
        let pause = Duration::from_secs(doubled.min(max.into()));
        if min == max {
            return pause;
        }
        // Between a half and the whole: many bridges of a broker must not come back at once.
        let dice = getrandom::u32().unwrap_or(u32::MAX);
        pause / 2 + (pause / 2).mul_f64(f64::from(dice) / f64::from(u32::MAX))
    }
}

fn words(side: Side) -> &'static str {
    match side {
        Side::Near => "this broker",
        Side::Far => "the other broker",
    }
}

/// A way into this broker.
fn inside(inside: &Inside, client_id: &str) -> std::io::Result<UnixStream> {
    let stream = inside.connect(client_id)?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Has this broker forget the session of a bridge that is no more.
pub(crate) async fn forget(way: Inside, client_id: String) {
    let goodbye = async {
        let mut stream = inside(&way, &client_id)?;
        hello::forget(&client_id, &mut stream)
            .await
            .map_err(|error| std::io::Error::other(error.to_string()))
    };
    match timeout(PATIENCE, goodbye).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!("the session {client_id} of a bridge stays: {error}"),
        Err(_) => warn!("the session {client_id} of a bridge stays: no answer"),
    }
}

/// Waits until there is another plan that does not wait for the next connection.
async fn wanted(plans: &mut watch::Receiver<Option<Arc<Plan>>>) {
    loop {
        if plans.changed().await.is_err() {
            return;
        }
        let waits = |plan: &Arc<Plan>| plan.bridge.reload == BridgeReload::Lazy;
        if !plans.borrow().as_ref().is_some_and(waits) {
            return;
        }
    }
}

/// Waits until a broker can be reached.
async fn is_there_again(endpoint: &Endpoint) {
    loop {
        sleep(PRIMARY).await;
        let reached: Result<Result<Stream, _>, _> = timeout(PRIMARY, endpoint.connect()).await;
        if matches!(reached, Ok(Ok(_))) {
            return;
        }
    }
}
