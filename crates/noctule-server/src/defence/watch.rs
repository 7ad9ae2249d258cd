//! The defence thread: adds up failed logins, tells of findings, owns the bans, and looks at the
//! memory of the process.

use super::bans::Ban;
use super::line;
use super::report::REPORTS_MAX;
use super::{
    Alarm, Allowed, AuditLog, BanFile, Bans, Question, Reloaded, Report, Reports, Subject,
    Suspicion, Tally,
};
use crate::cidr::Cidr;
use crate::config;
use crate::memory::{Change, Meter};
use crate::shard::{Clock, Command, Mailbox};
use noctule_core::defence::{Answer, Found, Kind, Sources};
use noctule_core::input::Memory;
use noctule_core::output::{End, Purpose};
use noctule_core::{Event, Tenant, Time};
use noctule_proto::ReasonCode;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks whether bans are over, and whether they are to be saved.
const PAUSE: Duration = Duration::from_millis(200);

/// Findings that are told in a second; more are only counted.
const TOLD_MAX: u32 = 50;

/// Who bans by itself.
const US: &str = "noctule";

/// The thread, and the way to it.
pub(crate) struct Defence {
    reports: Reports,
    thread: Option<JoinHandle<()>>,
}

/// What the thread needs of others: made before the shards are, and started after them.
pub(crate) struct Posts {
    inbox: Receiver<Report>,
    reports: Reports,
}

impl Posts {
    pub(crate) fn new() -> Posts {
        let (sender, inbox) = sync_channel(REPORTS_MAX);
        Posts { inbox, reports: Reports { sender, tally: Arc::default() } }
    }

    /// A way to report.
    pub(crate) fn reports(&self) -> Reports {
        self.reports.clone()
    }
}

impl Defence {
    /// Starts the thread. `file`: where bans survive a restart; `bans`: those that did.
    pub(crate) fn start(
        posts: Posts,
        config: &config::Config,
        (file, bans): (Option<BanFile>, Bans),
        mailboxes: Vec<Mailbox>,
        clock: Clock,
    ) -> io::Result<Defence> {
        let Posts { inbox, reports } = posts;
        let tally = Arc::clone(&reports.tally);
        let audit = AuditLog::start(&config.audit, Arc::clone(&tally))?;
        let alarm = Alarm::start(&config.defence, &tally)?;
        let (now, than) = (clock.now(), config.defence.thresholds);
        let mut watch = Watch {
            allowed: Allowed::new(&config.defence),
            config: config.defence.clone(),
            addresses: Sources::new(than.address_failures_max, now),
            users: Sources::new(than.user_failures_max, now),
            idle: Sources::of_connects(than.idle_connects_max, now),
            hasher: RandomState::new(),
            bans,
            file,
            unsaved: false,
            unposted: Vec::new(),
            posted: true,
            mailboxes,
            tenants: config.tenants(),
            audit,
            alarm,
            told: (0, 0),
            meter: Meter::new(config.memory_max, &tally.memory),
            tally,
            clock,
        };
        watch.tally.bans.store(watch.bans.len() as u64, Ordering::Relaxed);
        let work = move || watch.run(&inbox);
        let thread = std::thread::Builder::new().name("defence".into()).spawn(work)?;
        Ok(Defence { reports, thread: Some(thread) })
    }

    /// A way to report.
    pub(crate) fn reports(&self) -> &Reports {
        &self.reports
    }
}

impl Drop for Defence {
    /// What was reported before is heard; whoever reports later finds nobody.
    fn drop(&mut self) {
        self.reports.insist(Report::Stop);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

struct Watch {
    config: config::Defence,
    allowed: Allowed,
    addresses: Sources,
    users: Sources,
    /// Addresses whose connections come to nothing.
    idle: Sources,
    hasher: RandomState,
    bans: Bans,
    file: Option<BanFile>,
    /// The file does not say what is the case.
    unsaved: bool,
    /// Who is to be ended when the shards are told.
    unposted: Vec<Subject>,
    /// The shards know all bans.
    posted: bool,
    mailboxes: Vec<Mailbox>,
    tenants: Vec<Tenant>,
    audit: AuditLog,
    alarm: Option<Alarm>,
    /// Second, and findings told in it.
    told: (u64, u32),
    meter: Meter,
    tally: Arc<Tally>,
    clock: Clock,
}

impl Watch {
    fn run(&mut self, inbox: &Receiver<Report>) {
        let mut tidied = Instant::now();
        loop {
            match inbox.recv_timeout(self.meter.pause().min(PAUSE)) {
                Ok(Report::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(report) => self.hear(report),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.look_at_memory();
            // Now and then, so that a thousand bans are posted and saved once.
            if tidied.elapsed() >= PAUSE {
                tidied = Instant::now();
                self.expire();
                self.post();
                self.save();
            }
        }
        self.save();
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Event(now, event) => {
                if self.audit.is_on()
                    && let Some(line) = line::of_event(now, &event)
                {
                    self.audit.write(&line);
                }
                self.login(now, &event);
                self.connection(now, &event);
            }
            Report::Idle(now, address) => self.came_for_nothing(now, address),
            Report::Found(now, suspicion) => self.found(now, &suspicion),
            Report::Ask(question) => self.answer(question),
            Report::Reloaded(reloaded) => self.reload(*reloaded),
            Report::Stop => {}
        }
    }

    /// Looks whether a login failed.
    fn login(&mut self, now: Time, event: &Event) {
        match event {
            Event::Connected { remote: Some(remote), .. } => {
                let key = self.hasher.hash_one(Cidr::of_client(remote.ip()));
                self.addresses.succeeded(now, key);
            }
            Event::Refused {
                client_id: Some(_),
                user_name,
                remote,
                reason:
                    ReasonCode::BadUserNameOrPassword
                    | ReasonCode::NotAuthorized
                    | ReasonCode::BadAuthenticationMethod,
                ..
            } => {
                let address = remote.map(|remote| remote.ip());
                if let Some(address) = address {
                    self.login_failed_from(now, address);
                }
                if let Some(user) = user_name {
                    self.login_failed_for(now, user);
                }
            }
            Event::Connected { .. }
            | Event::Refused { .. }
            | Event::Disconnected { .. }
            | Event::Denied { .. }
            | Event::SessionExpired { .. }
            | Event::QueueOverflow { .. }
            | Event::Subscribed { .. }
            | Event::Damaged { .. }
            | Event::Unsubscribed { .. } => {}
        }
    }

    fn login_failed_from(&mut self, now: Time, address: IpAddr) {
        let network = Cidr::of_client(address);
        // What was under way when it was banned is not told again.
        if self.bans.is_banned(&Subject::Address(network), now) {
            return;
        }
        let Some(value) = self.addresses.failed(now, self.hasher.hash_one(network)) else { return };
        let usual = u64::from(self.config.thresholds.address_failures_max);
        self.address_found(now, address, (Kind::AuthFailures, value, usual));
    }

    /// A connection ended; was it of any use?
    fn connection(&mut self, now: Time, event: &Event) {
        let Event::Disconnected { remote: Some(remote), purpose, end, .. } = event else { return };
        match (purpose, end) {
            // Who hears what its session has for it is no stranger, and there may be many of them
            // behind one address.
            (Purpose::Traffic | Purpose::Hearing, _) => {
                let key = self.hasher.hash_one(Cidr::of_client(remote.ip()));
                self.idle.succeeded(now, key);
            }
            (Purpose::None, End::ByClient(_) | End::Lost) => {
                self.came_for_nothing(now, remote.ip());
            }
            // It is not to be blamed for what we did.
            (Purpose::None, End::ByBroker { .. }) => {}
        }
    }

    fn came_for_nothing(&mut self, now: Time, address: IpAddr) {
        let network = Cidr::of_client(address);
        if self.bans.is_banned(&Subject::Address(network), now) {
            return;
        }
        let Some(value) = self.idle.failed(now, self.hasher.hash_one(network)) else { return };
        let usual = u64::from(self.config.thresholds.idle_connects_max);
        self.address_found(now, address, (Kind::ConnectFlood, value, usual));
    }

    fn address_found(
        &mut self,
        now: Time,
        address: IpAddr,
        (kind, value, usual): (Kind, u64, u64),
    ) {
        // There is no connection that could be slowed, and nothing to be refused.
        let answer = match self.allowed.answer_address(address, Answer::Ban) {
            Answer::Ban => Answer::Ban,
            Answer::Observe | Answer::Slow | Answer::Quarantine => Answer::Observe,
        };
        let found = Found { kind, value, usual, answer };
        let address = Some(address.to_canonical());
        self.found(now, &Suspicion { found, answer, address, client: None, user: None });
    }

    /// Nobody is kept out because others guess his password: this is only ever told.
    fn login_failed_for(&mut self, now: Time, user: &str) {
        let Some(value) = self.users.failed(now, self.hasher.hash_one(user)) else { return };
        let usual = u64::from(self.config.thresholds.user_failures_max);
        let answer = Answer::Observe;
        let found = Found { kind: Kind::AuthFailures, value, usual, answer };
        let user = Some(user.into());
        self.found(now, &Suspicion { found, answer, address: None, client: None, user });
    }

    fn found(&mut self, now: Time, it: &Suspicion) {
        Tally::add(&self.tally.found[it.found.kind as usize]);
        if self.told.0 != now.0 / 1000 {
            self.told = (now.0 / 1000, 0);
        }
        self.told.1 += 1;
        if self.told.1 <= TOLD_MAX {
            self.tell(now, it);
        } else {
            Tally::add(&self.tally.untold);
        }
        if it.answer != Answer::Ban {
            return;
        }
        let subject = match (&it.client, it.address) {
            (Some((tenant, client_id)), _) => Subject::Client(*tenant, client_id.clone()),
            (None, Some(address)) => Subject::Address(Cidr::of_client(address)),
            (None, None) => return,
        };
        let until = now.plus_secs(self.config.ban_secs.into());
        let why = it.found.kind.name();
        // Who is in by his password stays in, though others try theirs at the same address.
        let cut = it.client.is_some();
        self.ban(now, subject, Ban { until: Some(until), why: why.into(), by: US.into() }, cut);
    }

    /// The line has a stable form, for programs that ban by address.
    fn tell(&mut self, now: Time, it: &Suspicion) {
        let address = it.address.map(|it| it.to_canonical().to_string()).unwrap_or_default();
        tracing::warn!(
            kind = it.found.kind.name(),
            address,
            client_id = it.client.as_ref().map(|(_, it)| &**it).unwrap_or_default(),
            user_name = it.user.as_deref().unwrap_or_default(),
            value = it.found.value,
            usual = it.found.usual,
            answer = it.answer.name(),
            "suspicious"
        );
        let line = line::of_finding(now, it);
        self.audit.write(&line);
        if let Some(alarm) = &self.alarm {
            alarm.raise(line.to_string());
        }
        if !self.config.alerts {
            return;
        }
        let tenants = match &it.client {
            Some((tenant, _)) => vec![*tenant],
            None => self.tenants.clone(),
        };
        self.alert(tenants, it.found.kind.name(), line.to_string());
    }

    fn alert(&self, tenants: Vec<Tenant>, kind: &str, payload: String) {
        if let Some(first) = self.mailboxes.first() {
            let topic = format!("$SYS/broker/alerts/{kind}");
            first.post(Command::Publish { tenants, topic, payload, retain: false });
        }
    }

    /// Tells the shards how much memory is left, whenever that changes; while there is none, at
    /// each look, for what they shed bit by bit.
    fn look_at_memory(&mut self) {
        let Some(change) = self.meter.look(&self.tally.memory) else { return };
        if let Some(change) = change {
            self.tell_memory(&change);
        }
        let level = self.meter.level();
        if change.is_some() || level == Memory::Full {
            for mailbox in &self.mailboxes {
                mailbox.post(Command::Memory(level));
            }
        }
        self.meter.trim();
    }

    fn tell_memory(&mut self, change: &Change) {
        let Change { from, to, used, budget } = *change;
        let (before, level) = (from.name(), to.name());
        if to > from {
            tracing::warn!(level, before, used, budget, "little memory left");
        } else {
            tracing::info!(level, before, used, budget, "more memory left");
        }
        let line = line::of_memory(self.clock.now(), change);
        self.audit.write(&line);
        if self.config.alerts {
            self.alert(self.tenants.clone(), "memory", line.to_string());
        }
    }

    fn ban(&mut self, now: Time, subject: Subject, ban: Ban, cut: bool) {
        self.audit.write(&line::of_ban(now, "banned", &subject, Some(&ban), &ban.by));
        match ban.until {
            Some(until) => {
                let secs = until.millis_since(now) / 1000;
                tracing::warn!("banned for {secs} s: {subject:?} ({}, by {})", ban.why, ban.by);
            }
            None => tracing::warn!("banned: {subject:?} ({}, by {})", ban.why, ban.by),
        }
        if cut {
            self.unposted.push(subject.clone());
        }
        self.bans.add(subject, ban);
        self.changed();
    }

    fn changed(&mut self) {
        (self.unsaved, self.posted) = (true, false);
        self.tally.bans.store(self.bans.len() as u64, Ordering::Relaxed);
    }

    fn expire(&mut self) {
        let now = self.clock.now();
        if self.bans.next_end().is_none_or(|end| end > now) {
            return;
        }
        for subject in self.bans.expire(now) {
            self.audit.write(&line::of_ban(now, "unbanned", &subject, None, "time"));
            tracing::info!("the ban is over: {subject:?}");
        }
        self.changed();
    }

    /// Tells the shards who is banned.
    fn post(&mut self) {
        if std::mem::replace(&mut self.posted, true) {
            return;
        }
        let bans = Arc::new(self.bans.clone());
        let cut: Arc<[Subject]> = std::mem::take(&mut self.unposted).into();
        for mailbox in &self.mailboxes {
            mailbox.post(Command::Banned { bans: Arc::clone(&bans), cut: Arc::clone(&cut) });
        }
    }

    fn save(&mut self) {
        let Some(file) = self.file.as_ref().filter(|_| self.unsaved) else { return };
        self.unsaved = false;
        if let Err(error) = file.save(&self.bans) {
            tracing::error!("the bans will not survive a restart: {error}");
        }
    }

    /// Who asks and does not wait for the answer needs none.
    fn answer(&mut self, question: Question) {
        let now = self.clock.now();
        let admin = "admin";
        match question {
            Question::List(answer) => {
                self.expire();
                drop(answer.send(super::to_json(&self.bans)));
            }
            Question::Add(subject, secs, why, answer) => {
                let until = secs.map(|secs| now.plus_secs(secs.into()));
                self.ban(now, subject, Ban { until, why, by: admin.into() }, true);
                self.post();
                self.save();
                let _ = answer.send(());
            }
            Question::Remove(subject, answer) => {
                let found = self.bans.remove(&subject);
                if let Some(ban) = &found {
                    self.audit.write(&line::of_ban(now, "unbanned", &subject, Some(ban), admin));
                    tracing::info!("the ban was taken back: {subject:?}");
                    self.changed();
                    self.post();
                    self.save();
                }
                let _ = answer.send(found.is_some());
            }
        }
    }

    fn reload(&mut self, reloaded: Reloaded) {
        let Reloaded { defence, audit, memory_max, changed, pinned } = reloaded;
        self.meter.set_max(memory_max, &self.tally.memory);
        self.audit.reopen(&audit);
        self.audit.write(&line::of_reload(self.clock.now(), &changed, &pinned));
        self.addresses.set_failures_max(defence.thresholds.address_failures_max);
        self.users.set_failures_max(defence.thresholds.user_failures_max);
        self.idle.set_failures_max(defence.thresholds.idle_connects_max);
        self.allowed = Allowed::new(&defence);
        if !defence.alarms_as(&self.config) {
            match Alarm::start(&defence, &self.tally) {
                Ok(alarm) => self.alarm = alarm,
                Err(error) => tracing::error!("alerts go where they went before: {error}"),
            }
        }
        self.config = defence;
    }
}
