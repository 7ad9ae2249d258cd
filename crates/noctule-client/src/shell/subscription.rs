//! The messages of one subscription.

use super::client::{Client, Shared};
use super::gauge::Gauge;
use crate::error::Error;
use crate::message::Message;
use noctule_proto::ReasonCode;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Receives what a subscription brings, in the order in which the server sent it.
///
/// Dropped, it forgets what comes; the server goes on sending until
/// [`Client::unsubscribe`]. The connection lasts as long as there is a [`Client`] or a
/// `Subscription`.
#[derive(Debug)]
pub struct Subscription {
    codes: Vec<ReasonCode>,
    messages: mpsc::UnboundedReceiver<Message>,
    gauge: Arc<Gauge>,
    client: Client,
}

impl Subscription {
    pub(super) fn new(
        codes: Vec<ReasonCode>,
        messages: mpsc::UnboundedReceiver<Message>,
        shared: &Shared,
        client: Client,
    ) -> Subscription {
        Subscription { codes, messages, gauge: Arc::clone(&shared.gauge), client }
    }

    /// The next message; `None` when no more can come: the connection is over (see
    /// [`Client::end`]), or all filters are unsubscribed.
    pub async fn recv(&mut self) -> Option<Message> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The same for hand-written futures and streams.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let polled = self.messages.poll_recv(cx);
        if let Poll::Ready(Some(_)) = &polled {
            self.gauge.take(1);
        }
        polled
    }

    /// The server's answer: the QoS granted for each filter, or why it was refused.
    pub fn codes(&self) -> &[ReasonCode] {
        &self.codes
    }

    /// Why the connection is over, if it is.
    pub fn end(&self) -> Option<Error> {
        self.client.end()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.messages.close();
        let left = std::iter::from_fn(|| self.messages.try_recv().ok()).count();
        self.gauge.take(left);
    }
}
