//! Every message that is owed, one by one: payloads are read as they are told.

use super::replayed;
use crate::StoreError;
use crate::log::{Log, Names, Owed, Wait};
use noctule_core::Time;
use noctule_core::index::Receiver;
use noctule_core::message::{Message, Origin, Parts};
use noctule_core::record::{Body, Manner, Record, StoredWill, Waiting};
use noctule_proto::{PacketId, QoS};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Bytes of messages read at a time, about.
const BATCH: u64 = 256 * 1024;

/// A message that is owed.
#[derive(Clone, Copy, Debug)]
pub struct Owing<'o> {
    /// Who is owed it.
    pub owed: &'o Owed,
    /// The message; `None`: it is damaged.
    pub message: Option<&'o Message>,
    /// QoS of the delivery.
    pub qos: QoS,
    /// RETAIN flag of the delivery.
    pub retain: bool,
    /// Subscription Identifier; 0 = none.
    pub subscription_id: u32,
    /// The packet id under which it is on its way (QoS 2).
    pub packet_id: Option<PacketId>,
    /// It is the Will of that client: not owed to it, but to others if the client does not come
    /// back within so many seconds.
    pub will_delay_secs: Option<u32>,
}

/// Takes messages; what fails ends the export.
type Each<'e> = dyn FnMut(&Owing<'_>) -> io::Result<()> + 'e;

/// Says how a message is delivered.
type How<'h> = dyn Fn(&mut Owing<'_>, Option<&Message>) + 'h;

/// Tells every message that is owed of the store in a directory: retained ones, those of share
/// groups, then session by session, in order. `false`: there is no store.
///
/// # Errors
/// A broker would not start from it, or has it open; the disk fails; `each` fails.
pub fn export(directory: &Path, each: &mut Each<'_>) -> Result<bool, StoreError> {
    let Some((log, broker)) = replayed(directory)? else { return Ok(false) };
    let names = Names::default();
    let mut telling = Telling { log, names, each, told: Ok(()) };
    broker.snapshot(&mut |record| {
        if telling.told.is_ok() {
            telling.told = telling.record(&record);
        }
    });
    telling.told?;
    Ok(true)
}

struct Telling<'e, 'f> {
    log: Log,
    names: Names,
    each: &'e mut Each<'f>,
    told: io::Result<()>,
}

impl Telling<'_, '_> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        self.names.learn(record);
        match record {
            Record::Published { message, retained: true, .. } => {
                let qos = |message: &Message| message.qos;
                self.tell(&Owed::Retained, message, &|owing, message| {
                    (owing.qos, owing.retain) = (message.map_or(QoS::AtMostOnce, qos), true);
                })
            }
            Record::Sent { session, message, manner, id } => {
                let owed = self.names.of(Receiver::Session(*session));
                self.tell(&owed, message, &|owing, _| {
                    owing.packet_id = Some(*id);
                    let Manner { qos, retain, subscription_id } = *manner;
                    (owing.qos, owing.retain, owing.subscription_id) =
                        (qos, retain, subscription_id);
                })
            }
            Record::Received { session, id, message } => {
                let owed = self.names.of(Receiver::Session(*session)).unreleased();
                self.tell(&owed, message, &|owing, message| {
                    owing.packet_id = Some(*id);
                    owing.retain = message.is_some_and(|message| message.retain);
                })
            }
            Record::Waiting { receiver, messages } => {
                let owed = self.names.of(*receiver);
                let mut rest = &messages[..];
                while !rest.is_empty() {
                    let batch;
                    (batch, rest) = rest.split_at(batch_of(rest));
                    self.waiting(&owed, batch)?;
                }
                Ok(())
            }
            Record::Will { session, will: Some(will) } => {
                let owed = self.names.of(Receiver::Session(*session));
                self.will(&owed, will)
            }
            _ => Ok(()),
        }
    }

    /// Tells one message, with what `how` knows beside that it is of QoS 2.
    fn tell(&mut self, owed: &Owed, body: &Body, how: &How<'_>) -> io::Result<()> {
        let message = match body {
            Body::Here(message) => Some(Arc::clone(message)),
            Body::Stored(stored) => self.log.read(stored.place).ok(),
        };
        let message = message.as_deref();
        let mut owing = Owing {
            owed,
            message,
            qos: QoS::ExactlyOnce,
            retain: false,
            subscription_id: 0,
            packet_id: None,
            will_delay_secs: None,
        };
        how(&mut owing, message);
        (self.each)(&owing)
    }

    fn waiting(&mut self, owed: &Owed, batch: &[Waiting]) -> io::Result<()> {
        let places: Vec<_> = batch.iter().filter_map(|waiting| waiting.message.place()).collect();
        let mut messages = Vec::with_capacity(places.len());
        self.log.read_all(&places, Wait::Disk, &mut messages)?;
        for (waiting, message) in batch.iter().zip(&messages) {
            (self.each)(&Owing {
                owed,
                message: message.as_deref(),
                qos: waiting.qos,
                retain: waiting.retain,
                subscription_id: waiting.subscription_id,
                packet_id: None,
                will_delay_secs: None,
            })?;
        }
        Ok(())
    }

    fn will(&mut self, owed: &Owed, will: &StoredWill) -> io::Result<()> {
        // Its time begins when it is published.
        let parts = Parts { expiry_secs: None, ..will.parts() };
        (self.each)(&Owing {
            owed,
            message: Some(&Message::new(Time(0), Origin::default(), &parts)),
            qos: will.qos,
            retain: will.retain,
            subscription_id: 0,
            packet_id: None,
            will_delay_secs: Some(will.delay_secs),
        })
    }
}

/// How many of the messages are read at once: one at least.
fn batch_of(messages: &[Waiting]) -> usize {
    let mut bytes = 0;
    let fits = |waiting: &&Waiting| {
        bytes += waiting.message.cost();
        bytes <= BATCH
    };
    messages.iter().take_while(fits).count().max(1)
}
