//! The messages of one subscription.

use super::client::Client;
use super::routes::Inbox;
use crate::error::Error;
use crate::message::Message;
use futures_core::Stream;
use noctule_proto::ReasonCode;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Receives what a subscription brings, in the order in which the server sent it. It is a
/// [`Stream`] too.
///
/// Dropped, it forgets what comes; the server goes on sending until
/// [`Client::unsubscribe`]. The connection lasts as long as there is a [`Client`] or a
/// `Subscription`.
#[derive(Debug)]
pub struct Subscription {
    codes: Vec<ReasonCode>,
    inbox: Inbox,
    client: Client,
}

impl Subscription {
    pub(super) fn new(codes: Vec<ReasonCode>, inbox: Inbox, client: Client) -> Subscription {
        Subscription { codes, inbox, client }
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
