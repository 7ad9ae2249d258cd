//! Where the messages of one stream wait for the application.

use crate::error::Error;
use crate::message::Message;
use crate::shell::gauge::{Gauge, weight};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

/// The receiving end. Dropped, it gives up what lies unread.
#[derive(Debug)]
pub(in crate::shell) struct Inbox {
    messages: mpsc::UnboundedReceiver<Message>,
    end: Arc<OnceLock<Error>>,
    gauge: Arc<Gauge>,
}

/// The sending end.
#[derive(Debug)]
pub(super) struct Outlet {
    messages: mpsc::UnboundedSender<Message>,
    end: Arc<OnceLock<Error>>,
    gauge: Arc<Gauge>,
}

/// Both ends of a new one.
pub(super) fn inbox(gauge: &Arc<Gauge>) -> (Outlet, Inbox) {
    let (sender, messages) = mpsc::unbounded_channel();
    let end = Arc::<OnceLock<Error>>::default();
    let outlet = Outlet { messages: sender, end: Arc::clone(&end), gauge: Arc::clone(gauge) };
    (outlet, Inbox { messages, end, gauge: Arc::clone(gauge) })
}

impl Inbox {
    pub(in crate::shell) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let message = ready!(self.messages.poll_recv(cx));
        if let Some(message) = &message {
            self.gauge.take(weight(message));
        }
        Poll::Ready(message)
    }

    /// Why nothing comes any more, if the client goes on.
    pub(in crate::shell) fn end(&self) -> Option<Error> {
        self.end.get().cloned()
    }

    #[cfg(test)]
    pub(super) fn count(&mut self) -> usize {
        let left = std::iter::from_fn(|| self.messages.try_recv().ok());
        left.map(|message| self.gauge.take(weight(&message))).count()
    }

    #[cfg(test)]
    pub(super) fn is_over(&self) -> bool {
        self.messages.is_closed()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.messages.close();
        while let Ok(message) = self.messages.try_recv() {
            self.gauge.take(weight(&message));
        }
    }
}

impl Outlet {
    /// Puts a message in, unless the stream was dropped.
    pub(super) fn push(&self, message: Message) {
        let bytes = weight(&message);
        self.gauge.add(bytes);
        if self.messages.send(message).is_err() {
            self.gauge.take(bytes);
        }
    }

    /// The application has dropped the stream.
    pub(super) fn is_closed(&self) -> bool {
        self.messages.is_closed()
    }

    /// Nothing comes any more, for this reason.
    pub(super) fn end(&self, error: Error) {
        let _ = self.end.set(error);
    }
}
