//! Who is only ever observed.

use crate::config;
use noctule_core::defence::Answer;
use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: the addresses that begin with the same bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// The network of this size that an address lies in.
    pub(crate) fn around(address: IpAddr, bits: u8) -> Network {
        // An IPv4 client of a socket for both is the same client.
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let bits = bits.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                Network { address: Ipv4Addr::from(u32::from(v4) & mask).into(), bits }
            }
            IpAddr::V6(v6) => {
                let bits = bits.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                Network { address: Ipv6Addr::from(u128::from(v6) & mask).into(), bits }
            }
        }
    }

    /// What stands for one client: an address of IPv4, or the 64 bits that a customer of an IPv6
    /// provider chooses the rest of.
    pub(crate) fn of_client(address: IpAddr) -> Network {
        let address = address.to_canonical();
        Network::around(address, if address.is_ipv4() { 32 } else { 64 })
    }

    pub(crate) fn bits(self) -> u8 {
        self.bits
    }

    pub(crate) fn is_v4(self) -> bool {
        self.address.is_ipv4()
    }

    pub(crate) fn holds(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.is_v4() && Network::around(address, self.bits) == self
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let wrong = || format!("{text:?} is no address or network, like 192.0.2.7 or 10.0.0.0/8");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        match bits {
            Some(bits) if bits > all => Err(wrong()),
            bits => Ok(Network::around(address, bits.unwrap_or(all))),
        }
    }
}

impl fmt::Display for Network {
    /// A single address without its bits, as `fail2ban` and people expect it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.bits) {
            (IpAddr::V4(address), 32) => address.fmt(f),
            (IpAddr::V6(address), 128) => address.fmt(f),
            (address, bits) => write!(f, "{address}/{bits}"),
        }
    }
}

/// Those whom the configuration allows everything, and how hard others are answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowed {
    answer: Answer,
    loopback: bool,
    networks: Vec<Network>,
    users: HashSet<Box<str>>,
    clients: HashSet<Box<str>>,
}

impl Allowed {
    /// As configured.
    pub(crate) fn new(config: &config::Defence) -> Allowed {
        let names = |text: &str| parts(text).map(Into::into).collect();
        Allowed {
            answer: config.answer,
            loopback: !config.answer_loopback,
            // The configuration was checked when it was read.
            networks: Allowed::networks(&config.allow_addresses).unwrap_or_default(),
            users: names(&config.allow_users),
            clients: names(&config.allow_clients),
        }
    }

    /// The networks of a list.
    pub(crate) fn networks(text: &str) -> Result<Vec<Network>, String> {
        parts(text).map(str::parse).collect()
    }

    /// What is done, if it is an address's turn to be answered like that.
    pub(crate) fn answer_address(&self, address: IpAddr, turn: Answer) -> Answer {
        let address = address.to_canonical();
        let loopback = self.loopback && address.is_loopback();
        if loopback || self.networks.iter().any(|network| network.holds(address)) {
            return Answer::Observe;
        }
        turn.min(self.answer)
    }

    /// The same for a client, wherever it comes from and whatever its user name.
    pub(crate) fn answer_client(
        &self,
        client_id: &str,
        (address, user): (Option<IpAddr>, Option<&str>),
        turn: Answer,
    ) -> Answer {
        let by_name =
            self.clients.contains(client_id) || user.is_some_and(|it| self.users.contains(it));
        if by_name {
            return Answer::Observe;
        }
        match address {
            Some(address) => self.answer_address(address, turn),
            None => turn.min(self.answer),
        }
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.7", "::ffff:192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "fe80::1", "127.0.0.1"),
        ] {
            assert!(network(text).holds(inside.parse().unwrap()), "{text}");
            assert!(!network(text).holds(outside.parse().unwrap()), "{text}");
        }
        assert_eq!(network("10.1.2.3/8"), network("10.0.0.0/8"));
        assert_eq!(network("10.1.2.3/8").to_string(), "10.0.0.0/8");
        assert_eq!(network("10.1.2.3/32").to_string(), "10.1.2.3");
        for text in ["", "10.0.0.0/33", "10.0.0.0/", "::/129", "host", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        assert!(Allowed::networks("10.0.0.0/8, x").is_err());
    }

    #[test]
    fn who_is_allowed_is_observed_and_others_get_what_is_configured() {
        let config = config::Defence {
            answer: Answer::Quarantine,
            allow_addresses: "192.0.2.0/24".into(),
            allow_users: "ann, bob".into(),
            allow_clients: "gateway".into(),
            ..config::Defence::default()
        };
        let allowed = Allowed::new(&config);
        let of = |client, address: &str, user| {
            let address = Some(address.parse().unwrap());
            allowed.answer_client(client, (address, user), Answer::Ban)
        };
        assert_eq!(of("c", "203.0.113.1", None), Answer::Quarantine);
        assert_eq!(of("gateway", "203.0.113.1", None), Answer::Observe);
        assert_eq!(of("c", "203.0.113.1", Some("bob")), Answer::Observe);
        assert_eq!(of("c", "192.0.2.9", None), Answer::Observe);
        assert_eq!(of("c", "127.0.0.9", None), Answer::Observe);
        let loopback = Allowed::new(&config::Defence { answer_loopback: true, ..config });
        let address = "127.0.0.9".parse().unwrap();
        assert_eq!(loopback.answer_address(address, Answer::Ban), Answer::Quarantine);
    }
}
