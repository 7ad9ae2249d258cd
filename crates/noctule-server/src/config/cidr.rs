//! Networks, and which of them a listener takes connections from.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network, as `10.0.0.0/8` or `2001:db8::/32`; an address alone is the network of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cidr {
    network: IpAddr,
    bits: u8,
}

/// Where connections may come from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Admission {
    /// From there alone; from anywhere if it is empty.
    pub allow: Vec<Cidr>,
    /// Not from there, whatever is allowed.
    pub deny: Vec<Cidr>,
}

impl Cidr {
    /// Whether an address lies in it. An IPv4 address in the clothes of IPv6 is one of IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let same_kind = address.to_canonical().is_ipv4() == self.network.is_ipv4();
        same_kind && masked(address.to_canonical(), self.bits) == self.network
    }
}

impl Admission {
    /// Whether an address may come in.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        let within = |list: &[Cidr]| list.iter().any(|it| it.contains(address));
        (self.allow.is_empty() || within(&self.allow)) && !within(&self.deny)
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
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
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
    fn deny_wins_over_allow_and_no_allow_is_everybody() {
        let list = |text: &str| text.split_whitespace().map(|it| it.parse().unwrap()).collect();
        let admits = |allow, deny, address: &str| {
            Admission { allow: list(allow), deny: list(deny) }.admits(address.parse().unwrap())
        };
        assert!(admits("", "", "1.2.3.4"));
        assert!(admits("10.0.0.0/8 ::1", "", "::1"));
        assert!(!admits("10.0.0.0/8 ::1", "", "1.2.3.4"));
        assert!(!admits("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"));
        assert!(admits("10.0.0.0/8", "10.1.0.0/16", "10.2.2.3"));
        assert!(!admits("", "0.0.0.0/0", "10.2.2.3"));
        assert!(admits("", "0.0.0.0/0", "::1"));
    }
}
