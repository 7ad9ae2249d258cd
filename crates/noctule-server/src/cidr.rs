//! Networks, and what stands for one client among addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network, as `10.0.0.0/8` or `2001:db8::/32`; an address alone is the network of itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Cidr {
    network: IpAddr,
    bits: u8,
}

impl Cidr {
    /// The network of this size that an address lies in.
    pub(crate) fn around(address: IpAddr, bits: u8) -> Cidr {
        // An IPv4 client of a socket for both is the same client.
        let address = address.to_canonical();
        let bits = bits.min(if address.is_ipv4() { 32 } else { 128 });
        Cidr { network: masked(address, bits), bits }
    }

    /// What stands for one client: an address of IPv4, or the 64 bits that a customer of an IPv6
    /// provider chooses the rest of.
    pub(crate) fn of_client(address: IpAddr) -> Cidr {
        Cidr::around(address, if address.to_canonical().is_ipv4() { 32 } else { 64 })
    }

    pub(crate) fn bits(self) -> u8 {
        self.bits
    }

    pub(crate) fn is_v4(self) -> bool {
        self.network.is_ipv4()
    }

    /// Whether an address lies in it. An IPv4 address in the clothes of IPv6 is one of IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let same_kind = address.to_canonical().is_ipv4() == self.network.is_ipv4();
        same_kind && masked(address.to_canonical(), self.bits) == self.network
    }
}

/// An address without what lies behind its first bits.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Cidr, String> {
        let (address, bits) = text.split_once('/').unzip();
        let address = address.unwrap_or(text);
        let network: IpAddr = address
            .parse()
            .map_err(|_| format!("{text:?} is no network: \"10.0.0.0/8\" or \"::1\" are some"))?;
        let bits_max = if network.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => bits_max,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= bits_max).ok_or_else(|| {
                format!("{text:?} is no network: a number up to {bits_max} belongs behind the /")
            })?,
        };
        let begins = masked(network, bits);
        if begins != network {
            return Err(format!("{text:?} begins in its middle: write \"{begins}/{bits}\""));
        }
        Ok(Cidr { network, bits })
    }
}

impl fmt::Display for Cidr {
    /// A single address without its bits, as fail2ban and people expect it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.network, self.bits) {
            (IpAddr::V4(address), 32) => address.fmt(f),
            (IpAddr::V6(address), 128) => address.fmt(f),
            (network, bits) => write!(f, "{network}/{bits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.2"),
            ("0.0.0.0/0", "255.1.1.1", "::"),
            ("192.168.4.0/22", "192.168.7.255", "192.168.8.0"),
            ("::1", "::1", "0.0.0.1"),
            ("::/0", "fe80::1", "1.2.3.4"),
            ("2001:db8:8000::/33", "2001:db8:ffff::1", "2001:db8:7fff::1"),
            ("127.0.0.0/8", "::ffff:127.0.0.1", "::ffff:126.0.0.1"),
        ] {
            let cidr: Cidr = network.parse().unwrap();
            assert!(cidr.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!cidr.contains(outside.parse().unwrap()), "{network} {outside}");
            assert_eq!(cidr.to_string().parse(), Ok(cidr));
        }
    }

    #[test]
    fn what_is_no_network_says_what_would_be_one() {
        let wrong = |text: &str| text.parse::<Cidr>().unwrap_err();
        assert_eq!(
            wrong("10.0.0.1/8"),
            "\"10.0.0.1/8\" begins in its middle: write \"10.0.0.0/8\""
        );
        assert_eq!(wrong("fe80::1/10"), "\"fe80::1/10\" begins in its middle: write \"fe80::/10\"");
        for text in ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1"] {
            assert!(wrong(text).contains("behind the /"), "{text}");
        }
        for text in ["", "localhost", "10.0.0/8", "10.0.0.0/8/8"] {
            assert!(wrong(text).contains("is no network"), "{text}");
        }
    }

    #[test]
    fn a_client_is_an_address_or_what_a_customer_is_given() {
        for (address, client) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8::1", "2001:db8::/64"),
        ] {
            assert_eq!(Cidr::of_client(address.parse().unwrap()).to_string(), client);
        }
        assert_eq!(Cidr::around("10.1.2.3".parse().unwrap(), 8).to_string(), "10.0.0.0/8");
    }
}
