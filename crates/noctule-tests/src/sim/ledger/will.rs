//! Wills: published when due and only then, within the same rest of the node.

use super::{At, Ledger};

/// How far a Will is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WillState {
    /// Its connection lives.
    Armed {
        /// Will Delay Interval.
        delay_secs: u32,
    },
    /// Its connection ended, its delay runs until this time.
    Pending(u64),
    /// To be published since.
    Due(At),
    /// Never to be published.
    Cancelled,
}

impl Ledger {
    /// A Will was accepted with its connection.
    pub(crate) fn will_armed(&mut self, session: usize, number: usize, delay_secs: u32) {
        self.messages[number].session = Some(session);
        self.messages[number].will = Some(WillState::Armed { delay_secs });
        self.wills.push(number);
        self.remember(session);
    }

    pub(super) fn will_cancelled(&mut self, number: usize) {
        if let Some(WillState::Pending(_)) = self.messages[number].will {
            self.facts.wills_cancelled += 1;
        }
        self.messages[number].will = Some(WillState::Cancelled);
    }

    /// The connection ended without a goodbye.
    pub(super) fn will_triggered(&mut self, number: usize, expiry_secs: u32) {
        let delay = match self.messages[number].will {
            Some(WillState::Armed { delay_secs }) => delay_secs.min(expiry_secs),
            _ => 0,
        };
        if delay == 0 {
            self.will_is_due(number);
        } else {
            let due = self.now.time + u64::from(delay) * 1000;
            self.messages[number].will = Some(WillState::Pending(due));
        }
    }

    pub(super) fn will_is_due(&mut self, number: usize) {
        let at = self.instant();
        let message = &mut self.messages[number];
        if let Some(WillState::Armed { .. } | WillState::Pending(_)) = message.will {
            message.will = Some(WillState::Due(at));
            message.born.push(at.time);
            message.acknowledged = true;
            self.routed(number);
            let client = self.messages[number].client;
            if let Some(session) = self.current[client]
                && self.sessions[session].will == Some(number)
            {
                self.sessions[session].will = None;
                self.remember(session);
            }
        }
    }

    pub(super) fn is_overdue(&self, number: usize) -> bool {
        let state = self.messages[number].will;
        matches!(state, Some(WillState::Pending(due)) if due <= self.now.time)
    }

    /// Wills that a crash brought about are published only now: from now on they live.
    pub(crate) fn wills_late(&mut self) {
        for number in &self.wills {
            let message = &mut self.messages[*number];
            if let Some(WillState::Due(at)) = message.will
                && at > self.crashed
            {
                message.born.push(self.now.time);
            }
        }
    }

    /// The shards of these clients ticked: what was pending until now is published.
    pub(crate) fn wills_overdue(&mut self, whose: impl Fn(usize) -> bool) {
        for at in 0..self.wills.len() {
            let number = self.wills[at];
            if whose(self.messages[number].client) && self.is_overdue(number) {
                self.facts.wills_after_delay += 1;
                self.will_is_due(number);
            }
        }
    }

    /// A Will that was due has been seen, one that was not has not.
    pub(super) fn wills_at_rest(&mut self) {
        for number in std::mem::take(&mut self.wills) {
            match self.messages[number].will {
                Some(WillState::Armed { .. } | WillState::Pending(_)) => self.wills.push(number),
                Some(WillState::Due(at)) => {
                    assert!(
                        self.seen_by_witness(number)
                            || self.messages[number].expired(self.now.time),
                        "will {number} of client {} is due since {at:?}, now {:?}, and not there",
                        self.messages[number].client,
                        self.now,
                    );
                }
                Some(WillState::Cancelled) | None => {}
            }
        }
    }

    /// Whether a message may exist: a Will that is not due may not.
    pub(super) fn check_will_due(&self, number: usize) {
        let message = &self.messages[number];
        if let Some(state) = message.will {
            assert!(
                matches!(state, WillState::Due(_)),
                "will {number} of client {} was published at {:?} but is {state:?}",
                message.client,
                self.now,
            );
        }
    }
}
