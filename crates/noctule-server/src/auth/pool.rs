//! Threads that check plain passwords. A check takes milliseconds on purpose, so it is kept off
//! the shards, and there is a bound on how many may wait.

use super::Secret;
use super::recent::Recent;
use crate::shard::{Command, Mailbox};
use noctule_core::ConnId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Checks that may wait, node-wide: about ten seconds of work.
const WAITING_MAX: usize = 1024;

/// Between two looks whether a thread has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Owns the threads; they end once every [`PasswordCheck`] is gone.
pub(crate) struct PasswordPool {
    questions: SyncSender<Question>,
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// A shard's way to ask.
pub(crate) struct PasswordCheck {
    questions: SyncSender<Question>,
    answers: Mailbox,
}

struct Question {
    secret: Secret,
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
        let stopping = Arc::new(AtomicBool::new(false));
        let recent = Arc::new(Recent::new()?);
        let spawn = |number| {
            let (queue, stopping) = (Arc::clone(&queue), Arc::clone(&stopping));
            let recent = Arc::clone(&recent);
            let name = format!("password-{number}");
            std::thread::Builder::new().name(name).spawn(move || work(&queue, &recent, &stopping))
        };
        let threads = (0..threads.max(1)).map(spawn).collect::<std::io::Result<_>>()?;
        Ok(PasswordPool { questions, stopping, threads })
    }

    /// A way to ask, answered into `answers`.
    pub(crate) fn asker(&self, answers: Mailbox) -> PasswordCheck {
        PasswordCheck { questions: self.questions.clone(), answers }
    }

    /// Waits for the threads to end, until `deadline`. What they have not begun stays unanswered:
    /// nobody is left to be let in. A check of many rounds that was begun ends by itself later.
    pub(crate) fn join(self, deadline: Instant) {
        self.stopping.store(true, Ordering::Relaxed);
        drop(self.questions);
        for thread in self.threads {
            while !thread.is_finished() {
                if Instant::now() >= deadline {
                    return;
                }
                std::thread::sleep(LOOK_AGAIN);
            }
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
        secret: Secret,
        password: Box<[u8]>,
    ) -> bool {
        let answers = self.answers.clone();
        self.questions.try_send(Question { secret, password, conn, ticket, answers }).is_ok()
    }
}

fn work(queue: &Mutex<Receiver<Question>>, recent: &Recent, stopping: &AtomicBool) {
    loop {
        // Only the wait for a question is under the lock, not the check.
        let question = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Question { secret, password, conn, ticket, answers }) = question else { return };
        if stopping.load(Ordering::Relaxed) {
            return;
        }
        let accepted = recent.accepts(&secret, &password);
        answers.post(Command::PasswordChecked { conn, ticket, accepted });
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verifier;
    use super::*;
    use crate::shard::tests_only::mailbox;

    #[test]
    fn the_end_does_not_wait_for_checks_that_nobody_needs() {
        let pool = PasswordPool::start(1).unwrap();
        let (mailbox, inbox) = mailbox();
        let asker = pool.asker(mailbox);
        let slow = Verifier::from_password("right", 200_000, b"salty salt");
        for ticket in 0..200 {
            assert!(asker.ask(ConnId(1), ticket, slow.clone().into(), b"wrong".as_slice().into()));
        }
        drop(asker);
        pool.join(Instant::now() + Duration::from_secs(20));
        assert!(inbox.try_iter().count() < 200, "all were checked");
    }
}
