//! The messages of one subscription.

use super::client::Client;
use super::routes::Inbox;
use crate::error::Error;
use crate::message::{Message, Unsubscribe};
use futures_core::Stream;
use noctule_proto::ReasonCode;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Receives what a subscription brings, in the order in which the server sent it. It is a
/// [`Stream`] too.
///
/// What lies here unread holds the server back: from 4,096 messages on (or 16 MiB), nothing more is
/// read unless a request waits for its answer, and then nothing is acknowledged, so that no more
/// than [`receive_maximum`](crate::Options::receive_maximum) messages of QoS 1 and 2 come.
///
/// Dropped, it forgets what comes; the server goes on sending until it is
/// [unsubscribed](Self::unsubscribe). If the application acknowledges messages itself
/// ([`Acknowledge::ByApplication`](crate::Acknowledge)), those that a dropped stream had, and
/// those that come for it, stay unacknowledged: the server keeps them for the next connection,
/// and once its window is full of them it sends nothing else. Unsubscribe first, and take what
/// has come. The connection lasts as long as there is a [`Client`] or a `Subscription`.
#[derive(Debug)]
pub struct Subscription {
    filters: Vec<String>,
    codes: Vec<ReasonCode>,
    inbox: Inbox,
    client: Client,
}

impl Subscription {
    pub(super) fn new(
        filters: Vec<String>,
        codes: Vec<ReasonCode>,
        inbox: Inbox,
        client: Client,
    ) -> Subscription {
        Subscription { filters, codes, inbox, client }
    }

    /// The next message; `None` when no more can come: the connection is over (see
    /// [`Client::end`]), or all filters are unsubscribed.
    pub async fn recv(&mut self) -> Option<Message> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The same for hand-written futures and streams.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.inbox.poll(cx)
    }

    /// The server's answer: the QoS granted for each filter, or why it was refused.
    pub fn codes(&self) -> &[ReasonCode] {
        &self.codes
    }

    /// Ends the subscription, with every other stream of the same filters, and waits for the
    /// server's answer. What has come before can still be taken, up to the `None` behind it.
    pub async fn unsubscribe(&self) -> Result<(), Error> {
        let mut unsubscribe = Unsubscribe::default();
        unsubscribe.filters.clone_from(&self.filters);
        self.client.unsubscribe(unsubscribe).await.map(drop)
    }

    /// Why nothing comes any more, if so: the server has refused to renew the subscription, or the
    /// client is over.
    pub fn end(&self) -> Option<Error> {
        self.inbox.end().or_else(|| self.client.end())
    }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_recv(cx)
    }
}
