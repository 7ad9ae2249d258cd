//! What a process has stored, and what its application makes of it.

use noctule_client::{Change, Token};
use std::collections::{BTreeMap, BTreeSet};

/// What a crash leaves.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    /// Of the session.
    pub(super) changes: Vec<Change>,
    pub(super) app: App,
}

/// What the application knows.
#[derive(Clone, Debug, Default)]
pub(super) struct App {
    /// It has its subscription.
    pub(super) subscribed: bool,
    /// How many messages it has published.
    pub(super) asked: usize,
    /// Those whose end it waits for.
    pub(super) waiting: BTreeMap<Token, usize>,
    /// Those whose end it was told.
    pub(super) done: BTreeSet<usize>,
    /// Messages of the other one that it has dealt with, each as often as it has.
    pub(super) handled: Vec<usize>,
}

/// What a turn brought: on the disk as a whole, or not at all.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    changes: Vec<Change>,
    fact: Option<Fact>,
}

/// What the application has to know after a crash.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fact {
    Subscribed,
    Asked { token: Token, number: usize },
    Done { token: Token },
    Handled { number: usize },
}

impl Record {
    /// What belongs together: an application's deed and what the session noted of it. Changes
    /// without one are stored one by one, so that a crash may come between any two.
    pub(super) fn of(changes: Vec<Change>, fact: Option<Fact>) -> Vec<Record> {
        match fact {
            Some(_) => vec![Record { changes, fact }],
            None => {
                let one = |change| Record { changes: vec![change], fact: None };
                changes.into_iter().map(one).collect()
            }
        }
    }
}

impl App {
    pub(super) fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::Subscribed => self.subscribed = true,
            Fact::Asked { token, number } => {
                self.asked = number + 1;
                self.waiting.insert(token, number);
            }
            Fact::Done { token } => self.done.extend(self.waiting.remove(&token)),
            Fact::Handled { number } => self.handled.push(number),
        }
    }
}

impl Disk {
    pub(super) fn store(&mut self, record: Record) {
        self.changes.extend(record.changes);
        if let Some(fact) = record.fact {
            self.app.learn(fact);
        }
    }
}
