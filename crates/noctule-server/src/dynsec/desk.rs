//! The thread that owns the file: does what messages ask for, one after the other, and tells all
//! shards before anybody is answered.

use super::file::Book;
use super::model::{Model, Name};
use super::request::{Draft, Users, perform};
use super::rights::ranked;
use super::{NO_ENDPOINT, TOPIC};
use crate::shard::{Command, Mailbox};
use noctule_core::grant::Ranked;
use noctule_core::output::ControlRequest;
use noctule_core::{ConnId, Tenant};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Messages that may wait. A client has one under way, so these are so many clients.
const WAITING_MAX: usize = 256;

/// How long is waited for shards. They answer in their next turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// A message of a client.
pub(crate) struct Question {
    /// Whose answer goes to which shard.
    pub(crate) shard: u16,
    pub(crate) conn: ConnId,
    /// Which connection of that number.
    pub(crate) epoch: u16,
    pub(crate) client_id: Box<str>,
    pub(crate) user_name: Option<Box<str>>,
    pub(crate) request: ControlRequest,
}

enum Asked {
    Question(Box<Question>),
    /// The file may be another one.
    Reread,
}

/// Who may log in, and who may do what.
#[derive(Clone)]
pub(crate) struct Rights {
    pub(crate) model: Arc<Model>,
    pub(crate) ranked: Arc<Ranked>,
}

/// What a shard is told by the desk. Nothing of it is printed: names may be secrets to others.
pub(crate) enum Order {
    /// These hold from here on; the sender is let go of when they do.
    Rights(Rights, Sender<()>),
    /// A message is answered.
    Answered { conn: ConnId, epoch: u16, tenant: Tenant, topic: String, payload: String },
    /// The connections of these users end.
    End(Arc<Users>),
    /// Who of these users is connected?
    Find(Arc<BTreeSet<Name>>, Sender<Vec<Connected>>),
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Order::Rights(..) => "Order::Rights",
            Order::Answered { .. } => "Order::Answered",
            Order::End(_) => "Order::End",
            Order::Find(..) => "Order::Find",
        })
    }
}

/// A client that is connected.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Connected {
    pub(crate) user_name: Name,
    pub(crate) client_id: Name,
    pub(crate) address: Option<String>,
}

/// A shard's way to ask.
#[derive(Clone)]
pub(crate) struct Desk(SyncSender<Asked>);

impl Desk {
    /// Hands over a message; `false` if too many wait.
    pub(crate) fn ask(&self, question: Question) -> bool {
        self.0.try_send(Asked::Question(Box::new(question))).is_ok()
    }
}

/// Owns the thread, which ends once all desks are gone.
pub(crate) struct DeskThread {
    desk: Desk,
    thread: JoinHandle<()>,
}

/// A desk at which nobody sits yet.
pub(crate) struct Opening {
    book: Book,
    desk: Desk,
    inbox: Receiver<Asked>,
}

impl Opening {
    pub(crate) fn new(book: Book) -> Opening {
        let (asked, inbox) = sync_channel(WAITING_MAX);
        Opening { book, desk: Desk(asked), inbox }
    }

    /// What a shard begins with.
    pub(crate) fn parts(&self) -> (Rights, Desk) {
        (rights_of(&self.book), self.desk.clone())
    }

    /// Begins to work, for these shards.
    pub(crate) fn start(self, shards: &[Mailbox]) -> io::Result<DeskThread> {
        let Opening { book, desk, inbox } = self;
        let mut clerk = Clerk { book, shards: shards.to_vec() };
        let thread = std::thread::Builder::new().name("dynsec".into()).spawn(move || {
            while let Ok(asked) = inbox.recv() {
                match asked {
                    Asked::Question(question) => clerk.answer(&question),
                    Asked::Reread => clerk.reread(),
                }
            }
        })?;
        Ok(DeskThread { desk, thread })
    }
}

impl DeskThread {
    /// Has the file read again.
    pub(crate) fn reread(&self) {
        // Clients wait for what is before it; the main thread can.
        drop(self.desk.0.send(Asked::Reread));
    }

    /// Waits for the end: the shards' desks are gone.
    pub(crate) fn join(self) {
        drop(self.desk);
        // A thread that panicked has been reported by the panic hook.
        let _ = self.thread.join();
    }
}

fn rights_of(book: &Book) -> Rights {
    let ranked = Arc::new(ranked(&book.model, &book.file));
    Rights { model: Arc::clone(&book.model), ranked }
}

struct Clerk {
    book: Book,
    shards: Vec<Mailbox>,
}

impl Clerk {
    fn answer(&mut self, question: &Question) {
        let Question { client_id, user_name, request, .. } = question;
        let (payload, ended) = if *request.topic == *TOPIC {
            let who = format!("{client_id}/{}", user_name.as_deref().unwrap_or("(null)"));
            self.perform(&request.payload, &who)
        } else {
            (NO_ENDPOINT.into(), Users::new())
        };
        let order = Order::Answered {
            conn: question.conn,
            epoch: question.epoch,
            tenant: request.tenant,
            topic: format!("{}/response", request.topic),
            payload,
        };
        if let Some(shard) = self.shards.get(usize::from(question.shard)) {
            shard.post(Command::Dynsec(order));
        }
        // Who changes itself hears of that before it ends.
        self.end(ended);
    }

    fn perform(&mut self, payload: &[u8], who: &str) -> (String, Users) {
        let shards = &self.shards;
        let find = |users| find(shards, users);
        let model = Arc::clone(&self.book.model);
        let mut draft = Draft { model, changed: false, ended: Users::new(), find: &find };
        let done = perform(payload, &mut draft, who);
        let Draft { model, changed, ended, .. } = draft;
        if !changed {
            return (done.text(Ok(())), Users::new());
        }
        match self.book.keep(model) {
            Ok(()) => {
                self.tell();
                (done.text(Ok(())), ended)
            }
            Err(error) => {
                let file = self.book.file.display();
                tracing::error!("dynamic security: nothing is changed: {file}: {error}");
                (done.text(Err(error.to_string())), Users::new())
            }
        }
    }

    fn reread(&mut self) {
        let new = match self.book.reread() {
            Ok(new) if new == self.book.model => return,
            Ok(new) => new,
            Err(error) => {
                tracing::error!("dynamic security stays as it was: {error}");
                return;
            }
        };
        let before = std::mem::replace(&mut self.book.model, new);
        self.tell();
        let now = &self.book.model;
        // Rights hold at once; who may not be here, or not as this one, is to come again.
        let changed = before.clients.iter().filter(|(name, client)| {
            now.client(name).is_none_or(|new| {
                (&new.secret, &new.client_id) != (&client.secret, &client.client_id) || new.disabled
            })
        });
        let ended = changed.map(|(name, _)| Some(name.clone())).collect();
        tracing::info!("dynamic security: {} is read again", self.book.file.display());
        self.end(ended);
    }

    /// Has all shards heed what there is now, and waits until they do.
    fn tell(&self) {
        let rights = rights_of(&self.book);
        let (heeded, all) = channel();
        for shard in &self.shards {
            let order = Order::Rights(rights.clone(), heeded.clone());
            shard.post(Command::Dynsec(order));
        }
        drop(heeded);
        if all.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("dynamic security: a shard has not heeded a change for 10 s");
        }
    }

    fn end(&self, users: Users) {
        if users.is_empty() {
            return;
        }
        let users = Arc::new(users);
        for shard in &self.shards {
            shard.post(Command::Dynsec(Order::End(Arc::clone(&users))));
        }
    }
}

/// Asks all shards who is connected.
fn find(shards: &[Mailbox], users: BTreeSet<Name>) -> Vec<Connected> {
    let (users, (tell, told)) = (Arc::new(users), channel());
    for shard in shards {
        shard.post(Command::Dynsec(Order::Find(Arc::clone(&users), tell.clone())));
    }
    drop(tell);
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    while let Ok(some) = told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        all.extend(some);
    }
    all
}
