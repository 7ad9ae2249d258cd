//! Which networks a listener takes connections from.

use crate::cidr::Cidr;
use std::net::IpAddr;

/// Where connections may come from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Admission {
    /// From there alone; from anywhere if it is empty.
    pub allow: Vec<Cidr>,
    /// Not from there, whatever is allowed.
    pub deny: Vec<Cidr>,
}

impl Admission {
    /// Whether an address may come in.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        let within = |list: &[Cidr]| list.iter().any(|it| it.contains(address));
        (self.allow.is_empty() || within(&self.allow)) && !within(&self.deny)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
