//! Who gets a message: grouped by what they have in common, their numbers sorted and told by
//! their differences. Two receipts of one receiver keep no order between them.

use super::bytes::{Bytes, put_varint};
use super::decode::Malformed;
use noctule_core::identity::{GroupNumber, SessionNumber};
use noctule_core::index::Receiver;
use noctule_core::record::{Manner, Receipt, Receivers};
use noctule_proto::QoS;
use std::sync::Arc;

const RETAIN: u8 = 1 << 2;
const GROUP: u8 = 1 << 3;
const SUBSCRIPTION_ID: u8 = 1 << 4;
/// One receiver, no count.
const ONE: u8 = 1 << 5;
/// What a [`Waiting`](noctule_core::record::Waiting) and a receipt share.
const DELIVERY: u8 = 3 | RETAIN | SUBSCRIPTION_ID;

/// How a message is delivered: one byte, and the Subscription Identifier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Delivery {
    head: u8,
    subscription_id: u32,
}

impl Delivery {
    pub(super) fn new(qos: QoS, retain: bool, subscription_id: u32) -> Delivery {
        let mut head = qos as u8;
        head |= if retain { RETAIN } else { 0 };
        head |= if subscription_id != 0 { SUBSCRIPTION_ID } else { 0 };
        Delivery { head, subscription_id }
    }

    pub(super) fn of(manner: Manner) -> Delivery {
        Delivery::new(manner.qos, manner.retain, manner.subscription_id)
    }

    /// What [`Delivery::of`] was made of.
    pub(super) fn manner(self) -> Result<Manner, Malformed> {
        if !self.is_plain() {
            return Err(Malformed("a manner of delivery with more to it"));
        }
        let (qos, retain, subscription_id) = self.parts()?;
        Ok(Manner { qos, retain, subscription_id })
    }

    pub(super) fn put(self, out: &mut Vec<u8>) {
        out.push(self.head);
        if self.subscription_id != 0 {
            put_varint(out, u64::from(self.subscription_id));
        }
    }

    pub(super) fn read(from: &mut Bytes<'_>) -> Result<Delivery, Malformed> {
        let head = from.u8()?;
        let named = head & SUBSCRIPTION_ID != 0;
        Ok(Delivery { head, subscription_id: if named { from.small()? } else { 0 } })
    }

    /// Nothing but what every delivery has.
    pub(super) fn is_plain(self) -> bool {
        self.head & !DELIVERY == 0
    }

    pub(super) fn parts(self) -> Result<(QoS, bool, u32), Malformed> {
        let qos = QoS::from_u8(self.head & 3).ok_or(Malformed("no such QoS"))?;
        Ok((qos, self.head & RETAIN != 0, self.subscription_id))
    }
}

/// Reused from record to record.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    all: Vec<(Delivery, u64)>,
    /// Numbers of receivers that have all in common.
    numbers: Vec<u64>,
    /// The last receivers, more than one, and how they are told: the next message is likely to have
    /// the same.
    last: Option<(Arc<[Receipt]>, Vec<u8>)>,
}

fn key(receipt: &Receipt) -> (Delivery, u64) {
    let mut delivery = Delivery::new(receipt.qos, receipt.retain, receipt.subscription_id);
    match receipt.receiver {
        Receiver::Session(number) => (delivery, number.0),
        Receiver::Group(number) => {
            delivery.head |= GROUP;
            (delivery, number.0)
        }
    }
}

/// Appends the receivers, up to the end of the item.
pub(super) fn put_receivers(out: &mut Vec<u8>, receivers: &Receivers, scratch: &mut Scratch) {
    if let [one] = **receivers {
        let (mut delivery, number) = key(&one);
        delivery.head |= ONE;
        delivery.put(out);
        return put_varint(out, number);
    }
    let Receivers::Many(all) = receivers else { return };
    match &scratch.last {
        Some((last, encoded)) if Arc::ptr_eq(last, all) => out.extend_from_slice(encoded),
        Some(_) | None => {
            let start = out.len();
            put_many(out, all, scratch);
            let (_, mut encoded) = scratch.last.take().unwrap_or_default();
            encoded.clear();
            encoded.extend_from_slice(&out[start..]);
            scratch.last = Some((Arc::clone(all), encoded));
        }
    }
}

fn put_many(out: &mut Vec<u8>, receivers: &[Receipt], scratch: &mut Scratch) {
    let Some((common, _)) = receivers.first().map(key) else { return };
    let numbers = &mut scratch.numbers;
    numbers.clear();
    numbers.extend(
        receivers
            .iter()
            .map(key)
            .map_while(|(delivery, number)| (delivery == common).then_some(number)),
    );
    if numbers.len() == receivers.len() {
        sort(numbers);
        return put_group(out, common, numbers.iter().copied());
    }
    let all = &mut scratch.all;
    all.clear();
    all.extend(receivers.iter().map(key));
    sort(all);
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        put_group(out, group[0].0, group.iter().map(|(_, number)| *number));
    }
}

/// Sorts; what comes from the index is often in order.
fn sort<T: Ord>(all: &mut [T]) {
    if !all.is_sorted() {
        all.sort_unstable();
    }
}

fn put_group(out: &mut Vec<u8>, delivery: Delivery, numbers: impl ExactSizeIterator<Item = u64>) {
    delivery.put(out);
    put_varint(out, numbers.len() as u64);
    let mut previous = 0;
    for number in numbers {
        put_varint(out, number - previous);
        previous = number;
    }
}

/// Reads the receivers, up to the end of the item.
pub(super) fn read_receivers(
    from: &mut Bytes<'_>,
    out: &mut Vec<Receipt>,
) -> Result<(), Malformed> {
    while !from.is_empty() {
        let delivery = Delivery::read(from)?;
        let (qos, retain, subscription_id) = delivery.parts()?;
        let one = delivery.head & ONE != 0;
        let count = if one { 1 } else { from.small::<usize>()? };
        // A receiver takes a byte at least: the count reserves no more than there can be.
        out.reserve(count.min(from.0.len()));
        let mut number: u64 = 0;
        for _ in 0..count {
            number = number.checked_add(from.varint()?).ok_or(Malformed("no such receiver"))?;
            let receiver = receiver(delivery.head & GROUP != 0, number);
            out.push(Receipt { receiver, qos, retain, subscription_id });
        }
    }
    Ok(())
}

/// A receiver by what it is and its number.
pub(super) fn receiver(group: bool, number: u64) -> Receiver {
    if group {
        Receiver::Group(GroupNumber(number))
    } else {
        Receiver::Session(SessionNumber(number))
    }
}
