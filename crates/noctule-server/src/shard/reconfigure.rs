//! What a reload changes of a running shard.

use super::{Reconfiguration, Shard, listener_id};
use noctule_core::{Index, Input, Limits};
use noctule_proto::ReasonCode;
use std::sync::Arc;

impl Shard {
    pub(super) fn reconfigure(&mut self, index: &Index, new: &Reconfiguration) {
        self.limit(&new.limits);
        self.watch.reconfigure(new.thresholds, Arc::clone(&new.allowed));
        self.address_limits = new.address_limits;
        for (anonymous, door) in self.anonymous.iter_mut().zip(&new.doors) {
            *anonymous = door.allow_anonymous;
        }
        for listener in &mut self.listeners {
            if let Some(door) = new.doors.get(listener.at) {
                listener.door.clone_from(door);
            }
        }
        for conn in self.auth.reconfigure(Arc::clone(&new.trust)) {
            let why = "the user, or who vouches for it, was removed or changed";
            let input = Input::Revoked { conn, reason: ReasonCode::NotAuthorized, why };
            self.broker.handle(self.now, index, input, &mut self.outbox);
        }
        if let Some(policies) = &new.policies {
            let input = Input::Policies(policies.clone());
            self.broker.handle(self.now, index, input, &mut self.outbox);
            for (conn, principal) in self.auth.known() {
                let input = Input::Identified { conn, principal };
                self.broker.handle(self.now, index, input, &mut self.outbox);
            }
        }
        if let Some(sys) = &mut self.sys {
            sys.set_interval(new.sys_interval_secs, self.now);
        }
        let limits = Box::new(new.limits.clone());
        self.broker.handle(self.now, index, Input::Reconfigured(limits), &mut self.outbox);
    }

    /// Goes by these bounds.
    pub(super) fn limit(&mut self, limits: &Limits) {
        for (at, size_max) in self.packet_sizes_max.iter_mut().enumerate() {
            *size_max = limits.packet_size_max_at(listener_id(at));
        }
        self.control_api = limits.control_api;
        self.half_open_max = limits.half_open_max as usize;
        self.lines.backlog_max = limits.backlog_high as usize;
        self.lines.set_memory(self.memory);
    }
}
