//! Who is only ever observed.

use crate::cidr::Cidr;
use crate::config;
use noctule_core::defence::Answer;
use std::collections::HashSet;
use std::net::IpAddr;

/// Those whom the configuration allows everything, and how hard others are answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowed {
    answer: Answer,
    loopback: bool,
    networks: Vec<Cidr>,
    users: HashSet<Box<str>>,
    clients: HashSet<Box<str>>,
}

impl Allowed {
    /// As configured.
    pub(crate) fn new(config: &config::Defence) -> Allowed {
        Allowed {
            answer: config.answer,
            loopback: !config.answer_loopback,
            networks: config.allow_addresses.clone(),
            users: config.allow_users.iter().cloned().collect(),
            clients: config.allow_clients.iter().cloned().collect(),
        }
    }

    /// What is done, if it is an address's turn to be answered like that.
    pub(crate) fn answer_address(&self, address: IpAddr, turn: Answer) -> Answer {
        let address = address.to_canonical();
        let loopback = self.loopback && address.is_loopback();
        if loopback || self.networks.iter().any(|network| network.contains(address)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_allowed_is_observed_and_others_get_what_is_configured() {
        let config = config::Defence {
            answer: Answer::Quarantine,
            allow_addresses: vec!["192.0.2.0/24".parse().unwrap()],
            allow_users: vec!["ann".into(), "bob".into()],
            allow_clients: vec!["gateway".into()],
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
