//! What runs beside the broker in its process, in rooms above this one.

use crate::config::{Bridge, Fault};
use crate::inside::Inside;
use crate::server::Handle;
use std::io;
use std::thread::JoinHandle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What runs beside the broker in its process, as its clients: the bridges.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// Whether they can be as configured.
    pub check: fn(&[Bridge]) -> Result<(), Fault>,
    /// Starts them on a thread that ends when nothing more can come.
    pub start: fn(Inside, UnboundedReceiver<Vec<Bridge>>) -> io::Result<JoinHandle<()>>,
}

/// The bridges of a running broker.
pub(crate) struct Bridges {
    beside: Beside,
    running: Option<(UnboundedSender<Vec<Bridge>>, JoinHandle<()>)>,
}

impl Bridges {
    pub(crate) fn new(beside: Beside) -> Bridges {
        Bridges { beside, running: None }
    }

    /// Whose they are.
    pub(crate) fn beside(&self) -> Beside {
        self.beside
    }

    /// Has those run that are configured. What they need is started with the first of them.
    pub(crate) fn are(&mut self, configured: &[Bridge], handle: &Handle) -> io::Result<()> {
        if self.running.is_none() && !configured.is_empty() {
            let (tell, told) = unbounded_channel();
            self.running = Some((tell, (self.beside.start)(handle.inside(), told)?));
        }
        if let Some((tell, _)) = &self.running {
            // A thread that has ended has told why.
            drop(tell.send(configured.into()));
        }
        Ok(())
    }

    /// Ends them, with manners.
    pub(crate) fn end(&mut self) {
        if let Some((tell, thread)) = self.running.take() {
            drop(tell);
            // A thread that panicked has been reported by the panic hook.
            drop(thread.join());
        }
    }
}
