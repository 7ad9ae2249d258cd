//! stub
use crate::identity::{Tenant, Time};
use crate::message::Message;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
/// stub
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RetainedStore {}
#[allow(missing_docs, unused)]
impl RetainedStore {
    pub fn set(&mut self, message: Arc<Message>) -> Option<Arc<Message>> {
        None
    }
    pub fn get(&self, tenant: Tenant, topic: &str) -> Option<&Arc<Message>> {
        None
    }
    pub fn scan(
        &self,
        tenant: Tenant,
        filter: (&str, Option<&str>),
        limit: (usize, Time),
        out: &mut Vec<Arc<Message>>,
    ) -> Option<Box<str>> {
        None
    }
    pub fn expire(&mut self, now: Time, limit: usize) {}
    pub fn next_expiry(&self) -> Option<Time> {
        None
    }
    pub fn len(&self) -> usize {
        0
    }
    pub fn bytes(&self) -> u64 {
        0
    }
    pub fn check(&self) {}
}
