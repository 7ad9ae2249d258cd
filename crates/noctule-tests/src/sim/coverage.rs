//! How often what is rare came about.

use super::world::World;
use noctule_core::verdict::Verdict;
use std::collections::BTreeMap;

/// Counts by name, of one run or many.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    counts: BTreeMap<&'static str, u64>,
}

impl Coverage {
    pub(crate) fn of(world: &World) -> Coverage {
        let counted = world.counted();
        let facts = &world.ledger.facts;
        let verdict = |verdict: Verdict| counted.verdicts[verdict as usize];
        let counts = [
            ("runs", 1),
            ("steps", u64::from(world.plan.steps)),
            ("connects", counted.connects_accepted),
            ("takeover", counted.takeovers),
            ("session resumed", facts.resumed),
            ("session expiry", counted.sessions_expired),
            ("keep alive over", counted.keep_alive_timeouts),
            ("publishes", counted.publishes_received),
            ("deliveries", facts.deliveries),
            ("promised deliveries checked", facts.owed),
            ("promised share deliveries checked", facts.shares_owed),
            ("promised retained messages checked", facts.retained_owed),
            ("resent after reconnect", counted.publishes_resent),
            ("resent and arrived twice", facts.redeliveries),
            ("retained deliveries", facts.retained_deliveries),
            ("retained superseded", verdict(Verdict::RetainedSuperseded)),
            ("overflow, newest dropped", verdict(Verdict::QueueFullNewest)),
            ("overflow, oldest dropped", verdict(Verdict::QueueFullOldest)),
            ("overflow of a share group", verdict(Verdict::GroupFull)),
            ("missing, as stated", facts.missing),
            ("slow receiver", verdict(Verdict::SlowReceiver)),
            ("too large", verdict(Verdict::TooLarge)),
            ("message expiry", verdict(Verdict::Expired)),
            ("no local", verdict(Verdict::NoLocal)),
            ("refused by a member", verdict(Verdict::RefusedByMember)),
            ("share redelivery", counted.share_redelivered),
            ("share moved to another member", facts.share_moves),
            ("alias reuse", counted.aliases_replaced),
            ("will published", counted.wills_published),
            ("will delay", facts.wills_after_delay),
            ("will cancelled while delayed", facts.wills_cancelled),
            ("full peer channel", counted.peer_channel_full),
            ("publisher held", counted.publishers_held),
            ("job continued", counted.jobs_continued),
            ("freeze and thaw", world.freezes),
        ];
        Coverage::counted(counts.into_iter().chain(of_crashes(world)).collect())
    }

    pub(crate) fn counted(counts: BTreeMap<&'static str, u64>) -> Coverage {
        Coverage { counts }
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Coverage) {
        for (name, count) in &other.counts {
            *self.counts.entry(name).or_default() += count;
        }
    }

    /// What never came about.
    pub fn never(&self) -> impl Iterator<Item = &'static str> {
        self.counts.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name)
    }
}

/// What crashes brought about.
fn of_crashes(world: &World) -> impl Iterator<Item = (&'static str, u64)> {
    let (deaths, facts) = (&world.deaths, &world.ledger.facts.crash);
    let counts = [
        ("crash", deaths.count),
        ("crash, power cut", deaths.power_cuts),
        ("crash, records lost", deaths.lost),
        ("crash, lost of class os", facts.lost_of_os),
        ("crash, lost of class memory", facts.lost_of_memory),
        ("crash, other number of shards", deaths.resharded),
        ("crash, log folded", deaths.folded),
        ("crash, session kept", facts.sessions_kept),
        ("crash, session void", facts.sessions_void),
        ("crash, end of a session undone", facts.sessions_back),
        ("crash, subscription undone", facts.subscribed_undone),
        ("crash, unsubscription kept", facts.unsubscribed_kept),
        ("crash, unsubscription undone", facts.unsubscribed_undone),
        ("crash, publish undone", facts.routings_undone),
        ("crash, QoS 2 waits for PUBREL", facts.received_kept),
        ("crash, QoS 2 PUBLISH undone", facts.received_undone),
        ("crash, QoS 2 PUBREL undone", facts.released_undone),
        ("crash, answer of a subscriber undone", facts.answers_undone),
        ("crash, may come again", facts.again),
        ("crash, came only afterwards", facts.waited),
        ("crash, deletion of a retained kept", facts.clears_kept),
        ("crash, will goes on to wait", facts.wills_pending),
        ("crash, will undone", facts.wills_undone),
        ("crash, will stays cancelled", facts.wills_stay_cancelled),
    ];
    counts.into_iter()
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, count) in &self.counts {
            writeln!(f, "{name:<38}{count:>12}")?;
        }
        Ok(())
    }
}
