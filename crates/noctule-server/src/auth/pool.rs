//! Threads that check plain passwords. A check takes milliseconds on purpose, so it is kept off
//! the shards, and there is a bound on how many may wait.

use super::Verifier;
use crate::shard::{Command, Mailbox};
use noctule_core::ConnId;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Checks that may wait, node-wide: about ten seconds of work.
const WAITING_MAX: usize = 1024;

/// Owns the threads; they end once every [`PasswordCheck`] is gone.
pub(crate) struct PasswordPool {
    questions: SyncSender<Question>,
    threads: Vec<JoinHandle<()>>,
}

/// A shard's way to ask.
pub(crate) struct PasswordCheck {
    questions: SyncSender<Question>,
    answers: Mailbox,
}

struct Question {
    verifier: Verifier,
    password: Box<[u8]>,
    conn: ConnId,
    ticket: u64,
    answers: Mailbox,
}

impl PasswordPool {
    /// Starts `threads` threads.
    pub(crate) fn start(threads: usize) -> std::io::Result<PasswordPool> {
        let (questions, queue) = sync_channel(WAITING_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let spawn = |number| {
            let queue = Arc::clone(&queue);
            let name = format!("password-{number}");
            std::thread::Builder::new().name(name).spawn(move || work(&queue))
        };
        let threads = (0..threads.max(1)).map(spawn).collect::<std::io::Result<_>>()?;
        Ok(PasswordPool { questions, threads })
    }

    /// A way to ask, answered into `answers`.
    pub(crate) fn asker(&self, answers: Mailbox) -> PasswordCheck {
        PasswordCheck { questions: self.questions.clone(), answers }
    }

    /// Waits for the threads to end.
    pub(crate) fn join(self) {
        drop(self.questions);
        for thread in self.threads {
            // A thread that panicked has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl PasswordCheck {
    /// Asks; the answer comes as `Command::PasswordChecked`. `false` if too many wait already.
    pub(super) fn ask(
        &self,
        conn: ConnId,
        ticket: u64,
        verifier: Verifier,
        password: Box<[u8]>,
    ) -> bool {
        let answers = self.answers.clone();
        self.questions.try_send(Question { verifier, password, conn, ticket, answers }).is_ok()
    }
}

fn work(queue: &Mutex<Receiver<Question>>) {
    loop {
        // Only the wait for a question is under the lock, not the check.
        let question = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Question { verifier, password, conn, ticket, answers }) = question else { return };
        let accepted = verifier.accepts(&password);
        answers.post(Command::PasswordChecked { conn, ticket, accepted });
    }
}
