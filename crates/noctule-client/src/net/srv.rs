//! Servers of a domain, by the SRV records of DNS [RFC 2782].

use super::failure::ConnectError;
use domain::base::iana::Rtype;
use domain::base::name::{Name, ToName};
use domain::rdata::Srv;
use domain::resolv::StubResolver;
use domain::resolv::stub::Answer;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind};

/// A server that a record names.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Server {
    priority: u16,
    weight: u16,
    name: String,
    port: u16,
}

/// The servers of a domain, in the order in which to try them; at least one.
pub(super) async fn lookup(domain: &str, tls: bool) -> Result<Vec<(String, u16)>, ConnectError> {
    ask(&StubResolver::new(), domain, tls).await
}

async fn ask(
    resolver: &StubResolver,
    domain: &str,
    tls: bool,
) -> Result<Vec<(String, u16)>, ConnectError> {
    let service = if tls { "_secure-mqtt._tcp" } else { "_mqtt._tcp" };
    let name = format!("{service}.{}", domain.trim_end_matches('.'));
    let failed = |error| ConnectError::Lookup { name: name.clone(), error };
    let question =
        name.parse::<Name<Vec<u8>>>().map_err(|error| failed(io::Error::other(error)))?;
    let answer = resolver.query((question, Rtype::SRV)).await.map_err(failed)?;
    let servers = in_order(servers(&answer), random);
    if servers.is_empty() {
        return Err(failed(io::Error::new(ErrorKind::NotFound, "no SRV record names a server")));
    }
    Ok(servers.into_iter().map(|server| (server.name, server.port)).collect())
}

/// What the records of an answer name; records that cannot be understood name nothing.
fn servers(answer: &Answer) -> Vec<Server> {
    // Behind aliases the records stand under another name than was asked for.
    let (Some(owner), Ok(records)) = (answer.canonical_name(), answer.answer()) else {
        return Vec::new();
    };
    let records = records.limit_to_in::<Srv<_>>().flatten();
    let records = records.filter(|record| record.owner() == &owner);
    let servers = records.map(|record| Server {
        priority: record.data().priority(),
        weight: record.data().weight(),
        name: record.data().target().to_vec().to_string(),
        port: record.data().port(),
    });
    // A dot alone says that there is no such service.
    servers.filter(|server| server.name != ".").collect()
}

/// By priority; those of the same one in an order that `random` draws, likelier first the heavier
/// [RFC 2782]. `random` answers a number from 0 to what it is given.
fn in_order(mut servers: Vec<Server>, mut random: impl FnMut(u64) -> u64) -> Vec<Server> {
    // Those of weight 0 come first into the draw, where they have a small chance.
    servers.sort_by_key(|server| (server.priority, server.weight != 0));
    let mut ordered = Vec::with_capacity(servers.len());
    while let Some(first) = servers.first() {
        let priority = first.priority;
        let equal = servers.iter().take_while(|server| server.priority == priority);
        let mut drawn = random(equal.clone().map(|server| u64::from(server.weight)).sum());
        let chosen = equal.map(|server| u64::from(server.weight)).position(|weight| {
            let here = drawn <= weight;
            drawn = drawn.saturating_sub(weight);
            here
        });
        ordered.push(servers.remove(chosen.expect("the draw is at most the sum of weights")));
    }
    ordered
}

/// Random enough to spread clients over servers: the keys of the standard library's hash maps.
fn random(max: u64) -> u64 {
    RandomState::new().build_hasher().finish() % (max + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::resolv::stub::conf::{ResolvConf, ServerConf, Transport};
    use std::net::Ipv4Addr;
    use tokio::net::UdpSocket;

    fn server(priority: u16, weight: u16, name: &str) -> Server {
        Server { priority, weight, name: name.to_owned(), port: 1 }
    }

    fn names(servers: Vec<Server>, random: impl FnMut(u64) -> u64) -> String {
        in_order(servers, random).into_iter().map(|server| server.name).collect()
    }

    #[test]
    fn priority_goes_before_weight_and_weight_is_drawn() {
        let servers =
            || vec![server(2, 9, "d"), server(1, 1, "a"), server(1, 0, "z"), server(1, 3, "b")];
        assert_eq!(names(servers(), |_| 0), "zabd");
        assert_eq!(names(servers(), |max| max), "bazd");
        let mut draws = [1, 4, 0, 0].into_iter();
        assert_eq!(names(servers(), |max| draws.next().unwrap_or(0).min(max)), "abzd");
        assert!(in_order(Vec::new(), |_| 0).is_empty());
        for max in [0, 1, u64::from(u16::MAX)] {
            assert!(random(max) <= max);
        }
    }

    /// Answers one question by these records: priority, weight, port, labels of the target.
    async fn answer(socket: UdpSocket, records: &[(u16, u16, u16, &[&str])]) -> Vec<u8> {
        let mut question = [0; 512];
        let (len, from) = socket.recv_from(&mut question).await.expect("a question");
        // The question ends with its type and class; what follows belongs to EDNS.
        let end = 12 + question[12..len].iter().position(|byte| *byte == 0).expect("a name") + 5;
        let mut reply = question[..end].to_vec();
        reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0]);
        reply[7] = u8::try_from(records.len()).expect("few");
        for (priority, weight, port, labels) in records {
            reply.extend_from_slice(&[0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60]);
            let mut data = Vec::new();
            for number in [priority, weight, port] {
                data.extend_from_slice(&number.to_be_bytes());
            }
            for label in *labels {
                data.push(u8::try_from(label.len()).expect("short"));
                data.extend_from_slice(label.as_bytes());
            }
            data.push(0);
            reply.extend_from_slice(&u16::try_from(data.len()).expect("short").to_be_bytes());
            reply.extend_from_slice(&data);
        }
        socket.send_to(&reply, from).await.expect("loopback");
        question[12..end - 5].to_vec()
    }

    async fn resolver() -> (StubResolver, UdpSocket) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback");
        let address = socket.local_addr().expect("a bound socket");
        let mut config = ResolvConf::new();
        config.servers.push(ServerConf::new(address, Transport::UdpTcp));
        (StubResolver::from_conf(config), socket)
    }

    #[tokio::test]
    async fn the_service_asked_for_depends_on_tls() {
        for (tls, asked) in [(false, "_mqtt"), (true, "_secure-mqtt")] {
            let (resolver, socket) = resolver().await;
            let records: [(u16, u16, u16, &[&str]); 2] =
                [(2, 0, 1884, &["b", "test"]), (1, 0, 1883, &["a", "test"])];
            let (found, question) =
                tokio::join!(ask(&resolver, "example.test", tls), answer(socket, &records));
            let found = found.expect("two servers");
            assert_eq!(found, [("a.test".to_owned(), 1883), ("b.test".to_owned(), 1884)]);
            assert_eq!(&question[1..=usize::from(question[0])], asked.as_bytes());
        }
    }

    #[tokio::test]
    async fn a_domain_that_names_no_server_is_an_error() {
        let (resolver, socket) = resolver().await;
        let (found, _) =
            tokio::join!(ask(&resolver, "example.test.", false), answer(socket, &[(0, 0, 0, &[])]));
        let error = found.expect_err("no server").to_string();
        assert_eq!(error, "no address for _mqtt._tcp.example.test: no SRV record names a server");
    }
}
