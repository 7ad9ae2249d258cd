//! Threads that check plain passwords. A check takes milliseconds on purpose, so it is kept off
//! the shards, and there is a bound on how many may wait.
//!
//! Who guesses passwords makes nobody wait but others of his kind: checks for an address at which
//! one has failed of late wait in a lane of their own, which has its turn when the other is empty,
//! and a small share otherwise. And the threads give way to the shards: a processor that is busy
//! with guesses serves messages first.

use super::Secret;
use super::recent::Recent;
use crate::cidr::Cidr;
use crate::shard::{Command, Mailbox};
use noctule_core::ConnId;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Checks that may wait in each lane, node-wide: about ten seconds of work.
const WAITING_MAX: usize = 1024;

/// One check in so many is one of the suspects', whoever else waits: among them may be somebody
/// who shares an address with an attacker.
const SUSPECTS_EVERY: u32 = 8;

/// Addresses that are suspected at a time. More are not: then those wait with the others.
const SUSPECTS_MAX: usize = 65_536;

/// For how long a failure makes an address a suspect.
const SUSPECTED_FOR: Duration = Duration::from_secs(60);

/// Between two looks whether a thread has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// How much the threads give way to others of the machine: a tenth of a share where all are busy.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Owns the threads; they end once every [`PasswordCheck`] is gone.
pub(crate) struct PasswordPool {
    desk: Arc<Desk>,
    threads: Vec<JoinHandle<()>>,
}

/// A shard's way to ask.
pub(crate) struct PasswordCheck {
    desk: Arc<Desk>,
    answers: Mailbox,
}

/// What the shards and the threads share.
struct Desk {
    lanes: Mutex<Lanes>,
    come: Condvar,
    recent: Recent,
}

struct Question {
    secret: Secret,
    password: Box<[u8]>,
    from: Option<Cidr>,
    conn: ConnId,
    ticket: u64,
    answers: Mailbox,
}

/// Who waits.
#[derive(Default)]
struct Lanes {
    clear: VecDeque<Question>,
    suspects: VecDeque<Question>,
    /// Until when addresses are suspected.
    suspected: HashMap<Cidr, Instant>,
    taken: u32,
    askers: usize,
    stopping: bool,
}

impl Lanes {
    fn is_suspected(&self, from: Option<Cidr>, now: Instant) -> bool {
        from.and_then(|from| self.suspected.get(&from)).is_some_and(|until| now < *until)
    }

    /// Queues a question; `false` if its lane is full.
    fn add(&mut self, question: Question, now: Instant) -> bool {
        let suspected = self.is_suspected(question.from, now);
        let lane = if suspected { &mut self.suspects } else { &mut self.clear };
        let has_room = lane.len() < WAITING_MAX;
        if has_room {
            lane.push_back(question);
        }
        has_room
    }

    /// The next question. One that waits with the others while its address becomes suspected is
    /// put where it belongs, if not too many are there.
    fn take(&mut self, now: Instant) -> Option<Question> {
        self.taken = self.taken.wrapping_add(1);
        if self.taken.is_multiple_of(SUSPECTS_EVERY)
            && let Some(question) = self.suspects.pop_front()
        {
            return Some(question);
        }
        while let Some(question) = self.clear.pop_front() {
            if !self.is_suspected(question.from, now) || self.suspects.len() >= 2 * WAITING_MAX {
                return Some(question);
            }
            self.suspects.push_back(question);
        }
        self.suspects.pop_front()
    }

    fn suspect(&mut self, from: Option<Cidr>, now: Instant) {
        let Some(from) = from else { return };
        if self.suspected.len() >= SUSPECTS_MAX {
            self.suspected.retain(|_, until| now < *until);
        }
        if self.suspected.len() < SUSPECTS_MAX {
            self.suspected.insert(from, now + SUSPECTED_FOR);
        }
    }
}

impl PasswordPool {
    /// Starts `threads` threads.
    pub(crate) fn start(threads: usize) -> std::io::Result<PasswordPool> {
        let (lanes, come) = (Mutex::default(), Condvar::new());
        let desk = Arc::new(Desk { lanes, come, recent: Recent::new()? });
        let spawn = |number| {
            let desk = Arc::clone(&desk);
            let name = format!("password-{number}");
            std::thread::Builder::new().name(name).spawn(move || desk.work())
        };
        let threads = (0..threads.max(1)).map(spawn).collect::<std::io::Result<_>>()?;
        Ok(PasswordPool { desk, threads })
    }

    /// A way to ask, answered into `answers`.
    pub(crate) fn asker(&self, answers: Mailbox) -> PasswordCheck {
        self.desk.lanes().askers += 1;
        PasswordCheck { desk: Arc::clone(&self.desk), answers }
    }

    /// Waits for the threads to end, until `deadline`. What they have not begun stays unanswered:
    /// nobody is left to be let in. A check of many rounds that was begun ends by itself later.
    pub(crate) fn join(self, deadline: Instant) {
        self.desk.lanes().stopping = true;
        self.desk.come.notify_all();
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
    /// Whether this password was right a moment ago: then there is nothing to wait for.
    pub(super) fn knows(&self, secret: &Secret, password: &[u8]) -> bool {
        self.desk.recent.knows(secret, password)
    }

    /// Asks for a client of an address; the answer comes as `Command::PasswordChecked`. `false` if
    /// too many wait already.
    pub(super) fn ask(
        &self,
        (conn, ticket): (ConnId, u64),
        from: Option<Cidr>,
        secret: Secret,
        password: Box<[u8]>,
    ) -> bool {
        let answers = self.answers.clone();
        let question = Question { secret, password, from, conn, ticket, answers };
        let asked = self.desk.lanes().add(question, Instant::now());
        self.desk.come.notify_one();
        asked
    }
}

impl Drop for PasswordCheck {
    fn drop(&mut self) {
        self.desk.lanes().askers -= 1;
        self.desk.come.notify_all();
    }
}

impl Desk {
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        // Where it cannot be said, shards and threads have equal shares, as anywhere.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::setpriority_process(None, NICE);
        let mut had_askers = false;
        loop {
            let mut lanes = self.lanes();
            let question = loop {
                had_askers |= lanes.askers > 0;
                if lanes.stopping {
                    return;
                }
                if let Some(question) = lanes.take(Instant::now()) {
                    break question;
                }
                if had_askers && lanes.askers == 0 {
                    return;
                }
                lanes = self.come.wait(lanes).unwrap_or_else(PoisonError::into_inner);
            };
            drop(lanes);
            let Question { secret, password, from, conn, ticket, answers } = question;
            let accepted = self.recent.accepts(&secret, &password);
            if !accepted {
                self.lanes().suspect(from, Instant::now());
            }
            answers.post(Command::PasswordChecked { conn, ticket, accepted });
        }
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
            let question = (ConnId(1), ticket);
            assert!(asker.ask(question, None, slow.clone().into(), b"wrong".as_slice().into()));
        }
        drop(asker);
        pool.join(Instant::now() + Duration::from_secs(20));
        assert!(inbox.try_iter().count() < 200, "all were checked");
    }

    /// A question of an address of 10/8.
    fn question(answers: &Mailbox, number: u8, ticket: u64) -> Question {
        let secret = Verifier::from_password("right", 1000, b"salty salt").into();
        let from = Some(Cidr::of_client(std::net::Ipv4Addr::new(10, 0, 0, number).into()));
        let answers = answers.clone();
        Question { secret, password: Box::default(), from, conn: ConnId(1), ticket, answers }
    }

    #[test]
    fn who_guesses_waits_behind_those_who_do_not() {
        let (mut lanes, now) = (Lanes::default(), Instant::now());
        let (answers, _inbox) = mailbox();
        // What an attacker asked before anything failed waits in front of the first good one.
        for ticket in 0..500 {
            assert!(lanes.add(question(&answers, 66, ticket), now));
        }
        assert_eq!(lanes.take(now).map(|it| it.ticket), Some(0));
        lanes.suspect(question(&answers, 66, 0).from, now);
        for ticket in 500..WAITING_MAX as u64 + 400 {
            lanes.add(question(&answers, 66, ticket), now);
        }
        for ticket in 5000..5010 {
            assert!(lanes.add(question(&answers, 1, ticket), now), "there is room for others");
        }
        let taken: Vec<u64> = (0..12).map_while(|_| lanes.take(now)).map(|it| it.ticket).collect();
        let good = taken.iter().filter(|ticket| **ticket >= 5000).count();
        assert!(good >= 10, "{taken:?}");
        // The suspects are not forgotten, and there is a bound on how many wait.
        let rest: Vec<Question> = std::iter::from_fn(|| lanes.take(now)).collect();
        assert!((1000..=WAITING_MAX + 500).contains(&rest.len()), "{}", rest.len());
    }

    #[test]
    fn suspicion_ends_and_those_who_are_suspected_have_their_share() {
        let (mut lanes, now) = (Lanes::default(), Instant::now());
        let (answers, _inbox) = mailbox();
        lanes.suspect(question(&answers, 66, 0).from, now);
        for ticket in 0..20 {
            assert!(lanes.add(question(&answers, 1, ticket), now));
        }
        assert!(lanes.add(question(&answers, 66, 100), now));
        let at = (0..20).position(|_| lanes.take(now).is_some_and(|it| it.ticket == 100));
        assert_eq!(at, Some(SUSPECTS_EVERY as usize - 1));
        assert!(!lanes.is_suspected(question(&answers, 66, 0).from, now + SUSPECTED_FOR));
        assert!(lanes.is_suspected(question(&answers, 66, 0).from, now));
    }
}
