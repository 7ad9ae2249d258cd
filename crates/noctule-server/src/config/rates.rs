//! Options of `[limits.client]` and `[limits.address]`: how much one of many may do.

use super::options::{Opt, U32, bytes, opt, plain};
use super::value::{Choice, Number, Unit};
use noctule_core::limits::{ClientLimits, OverRate};
use noctule_core::rate::Rate;

/// Bounds of one source address; of IPv6 of one /64, which is what one site has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressLimits {
    /// Connections open at a time; `u32::MAX`: no bound.
    pub connections_max: u32,
    /// Of those, the ones whose CONNECT is awaited.
    pub half_open_max: u32,
    /// Connections that it opens in a minute; 0: no bound.
    pub connects_per_min: u32,
    /// Of those, the ones at once; 0: as many.
    pub connects_burst: u32,
}

impl Default for AddressLimits {
    /// None: thousands of devices may share an address behind a router.
    fn default() -> AddressLimits {
        AddressLimits {
            connections_max: u32::MAX,
            half_open_max: u32::MAX,
            connects_per_min: 0,
            connects_burst: 0,
        }
    }
}

impl AddressLimits {
    /// Whether there is anything to be counted.
    pub(crate) fn are_any(&self) -> bool {
        *self != AddressLimits { connects_burst: self.connects_burst, ..AddressLimits::default() }
    }

    /// How often an address may connect.
    pub(crate) fn rate(&self) -> Option<Rate> {
        Rate::new(self.connects_per_min.into(), 60, self.connects_burst.into())
    }
}

fn or_no_bound(slot: &mut u32) -> Box<dyn super::value::Value + '_> {
    Box::new(Number { slot, range: 1..=U32, unit: Unit::OrNoBound })
}

const AT_ONCE: &str = "How many of those may come at once. 0: as many as the rate says.";

/// Options of `[limits.address]`.
pub(super) const ADDRESS: &[Opt<AddressLimits>] = &[
    opt!(
        "connections_max",
        "Connections of one address open at a time, or \"no bound\"; more are closed as they come.",
        |a| or_no_bound(&mut a.connections_max)
    ),
    opt!(
        "half_open_max",
        "Of those, the ones that have not sent their CONNECT yet, or \"no bound\".",
        |a| or_no_bound(&mut a.half_open_max)
    ),
    opt!(
        "connects_per_min",
        "Connections that one address may open in a minute; more are closed as they come. 0: any.",
        |a| plain(&mut a.connects_per_min, 0, U32)
    ),
    opt!("connects_burst", AT_ONCE, |a| plain(&mut a.connects_burst, 0, U32)),
];

/// Options of `[limits.client]`.
pub(super) const CLIENT: &[Opt<ClientLimits>] = &[
    opt!(
        "connects_per_min",
        "Connections that a client id may make in a minute, from wherever; more are refused \
         (0x9F). 0: any.",
        |c| plain(&mut c.connects_per_min, 0, U32)
    ),
    opt!("connects_burst", AT_ONCE, |c| plain(&mut c.connects_burst, 0, U32)),
    opt!(
        "publishes_per_sec",
        "Messages that a client may publish in a second; beyond, `over_rate` decides. 0: any.",
        |c| plain(&mut c.publishes_per_sec, 0, U32)
    ),
    opt!("publishes_burst", AT_ONCE, |c| plain(&mut c.publishes_burst, 0, U32)),
    opt!(
        "publish_bytes_per_sec",
        "Bytes of such packets in a second; beyond, `over_rate` decides. 0: any.",
        |c| bytes(&mut c.publish_bytes_per_sec, 0, super::options::I64)
    ),
    opt!("publish_bytes_burst", AT_ONCE, |c| {
        bytes(&mut c.publish_bytes_burst, 0, super::options::I64)
    }),
    opt!(
        "over_rate",
        "What becomes of more: \"wait\" (the client is not read for a while), \"refuse\" (QoS 1 \
         and 2: 0x97, before MQTT 5 the connection ends; QoS 0 is dropped) or \"disconnect\" \
         (0x96).",
        |c| Box::new(Choice { slot: &mut c.over_rate, words: OVER_RATE })
    ),
    opt!(
        "will_bytes_max",
        "Bytes of a will, with its topic and properties; a larger one is refused (0x97).",
        |c| bytes(&mut c.will_bytes_max, 1024, U32)
    ),
];

const OVER_RATE: &[(&str, OverRate)] =
    &[("wait", OverRate::Wait), ("refuse", OverRate::Refuse), ("disconnect", OverRate::Disconnect)];
