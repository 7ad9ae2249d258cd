//! Threads that check tokens, apart from those that check passwords.
//!
//! A signature takes 0.07 ms (RS256), 0.15 ms (ES256, EdDSA) or 2.3 ms (ES384), and the way to a
//! thread and back takes 0.01 ms. A fleet that comes back all at once would stop its shards'
//! messages for that long a client, and behind passwords, each of which takes 40 ms, it would wait
//! for many seconds.

use super::{Judged, TokenError, Tokens};
use crate::auth::identity::{Asked, Verdict};
use crate::shard::{Command, Mailbox};
use noctule_core::ConnId;
use noctule_proto::ReasonCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

/// Tokens that may wait, node-wide: a second of work, of ES384 alone twenty.
const WAITING_MAX: usize = 16_384;

/// Owns the threads; they end once every [`TokenCheck`] is gone.
pub(crate) struct TokenPool {
    questions: SyncSender<Question>,
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// A shard's way to ask.
pub(crate) struct TokenCheck {
    questions: SyncSender<Question>,
    answers: Mailbox,
}

/// A token to be judged. However it ends, it is answered.
pub(super) struct Question {
    tokens: Arc<Tokens>,
    asked: Asked,
    proof: Proof,
    conn: ConnId,
    ticket: u64,
    answers: Mailbox,
}

/// A token as it came.
pub(crate) struct Proof {
    pub(crate) token: Box<[u8]>,
    /// By enhanced authentication.
    pub(crate) enhanced: bool,
}

impl TokenPool {
    /// Starts `threads` threads.
    pub(crate) fn start(threads: usize) -> std::io::Result<TokenPool> {
        let (questions, queue) = sync_channel(WAITING_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let stopping = Arc::new(AtomicBool::new(false));
        let spawn = |number| {
            let (queue, stopping) = (Arc::clone(&queue), Arc::clone(&stopping));
            let name = format!("token-{number}");
            std::thread::Builder::new().name(name).spawn(move || work(&queue, &stopping))
        };
        let threads = (0..threads.max(1)).map(spawn).collect::<std::io::Result<_>>()?;
        Ok(TokenPool { questions, stopping, threads })
    }

    /// A way to ask, answered into `answers`.
    pub(crate) fn asker(&self, answers: Mailbox) -> TokenCheck {
        TokenCheck { questions: self.questions.clone(), answers }
    }

    /// Waits for the threads to end. What they have not begun stays unanswered: nobody is left to
    /// be let in.
    pub(crate) fn join(self) {
        self.stopping.store(true, Ordering::Relaxed);
        drop(self.questions);
        for thread in self.threads {
            // A thread that panicked has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl TokenCheck {
    /// Asks; the answer comes as `Command::Identified`. `false` if too many wait already.
    pub(crate) fn ask(
        &self,
        (conn, ticket): (ConnId, u64),
        tokens: &Arc<Tokens>,
        asked: Asked,
        proof: Proof,
    ) -> bool {
        let (tokens, answers) = (Arc::clone(tokens), self.answers.clone());
        let question = Question { tokens, asked, proof, conn, ticket, answers };
        self.questions.try_send(question).is_ok()
    }
}

impl Question {
    /// Answers it, now or when its issuer's keys were fetched.
    fn begin(self) {
        match self.judge() {
            Judged::LacksKey(issuer, error) => {
                if let Err(question) = issuer.wait_for_keys(self) {
                    question.refuse(error);
                }
            }
            Judged::Good(identity) => self.answer(Verdict::Allow(Box::new(identity))),
            Judged::Bad(error) => self.refuse(error),
        }
    }

    /// Answers it with what is known now.
    pub(super) fn settle(self) {
        match self.judge() {
            Judged::Good(identity) => self.answer(Verdict::Allow(Box::new(identity))),
            Judged::Bad(error) | Judged::LacksKey(_, error) => self.refuse(error),
        }
    }

    fn judge(&self) -> Judged {
        self.tokens.judge(&self.proof.token, &self.asked, now_millis())
    }

    fn refuse(self, error: TokenError) {
        let reason: ReasonCode = error.reason(self.proof.enhanced);
        self.answer(Verdict::Deny { reason, why: error.to_string().into() });
    }

    fn answer(self, verdict: Verdict) {
        let Question { conn, ticket, answers, .. } = self;
        answers.post(Command::Identified { conn, ticket, verdict });
    }
}

/// Milliseconds since 1970.
pub(in crate::auth) fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn work(queue: &Mutex<Receiver<Question>>, stopping: &AtomicBool) {
    loop {
        // Only the wait for a question is under the lock, not the check.
        let question = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(question) = question else { return };
        if stopping.load(Ordering::Relaxed) {
            return;
        }
        question.begin();
    }
}
