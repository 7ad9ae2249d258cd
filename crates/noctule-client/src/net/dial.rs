//! TCP connections `[MQTT-4.2-1 v5]` `[MQTT-7.1.2-1 v3.1.1]`: every address of a name has its
//! chance.

use super::failure::ConnectError;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::sleep;

/// How long an address is tried alone before the next joins in [RFC 8305, 5].
const HEAD_START: Duration = Duration::from_millis(250);

/// One attempt; the address goes along for the error.
type Attempt = Pin<Box<dyn Future<Output = Result<TcpStream, (SocketAddr, io::Error)>> + Send>>;

/// Connects to the first address of the host that takes the connection, from `bind` where given.
pub(super) async fn dial(
    name: &str,
    port: u16,
    bind: Option<IpAddr>,
) -> Result<TcpStream, ConnectError> {
    let failed = |error| ConnectError::Lookup { name: name.to_owned(), error };
    let mut addresses: Vec<SocketAddr> = lookup_host((name, port)).await.map_err(failed)?.collect();
    if let Some(bind) = bind {
        addresses.retain(|address| address.is_ipv4() == bind.is_ipv4());
    }
    if addresses.is_empty() {
        let why = "the name has no address of this family";
        return Err(failed(io::Error::new(ErrorKind::NotFound, why)));
    }
    race(in_turns(addresses), bind)
        .await
        .map_err(|(to, error)| ConnectError::Unreachable { to: to.to_string(), error })
}

/// The addresses in the resolver's order, but the families in turns: one that is cut off costs
/// one head start, not one for each address.
fn in_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut mixed = Vec::with_capacity(preferred.len() + other.len());
    loop {
        let (one, two) = (preferred.next(), other.next());
        if one.is_none() && two.is_none() {
            return mixed;
        }
        mixed.extend(one.into_iter().chain(two));
    }
}

/// Tries the addresses in their order, the next one when the last has failed or its head start is
/// over. `addresses` must not be empty.
async fn race(
    addresses: Vec<SocketAddr>,
    bind: Option<IpAddr>,
) -> Result<TcpStream, (SocketAddr, io::Error)> {
    let mut waiting = addresses.into_iter();
    let mut running: Vec<Attempt> = Vec::new();
    let mut failure = None;
    loop {
        if let Some(address) = waiting.next() {
            running.push(Box::pin(attempt(address, bind)));
        } else if running.is_empty() {
            return Err(failure.expect("an attempt ends well or leaves its error"));
        }
        tokio::select! {
            ended = poll_fn(|cx| first_of(&mut running, cx)) => match ended {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = Some(error),
            },
            () = sleep(HEAD_START), if waiting.len() > 0 => {}
        }
    }
}

/// The outcome of the first attempt that has one.
fn first_of(
    running: &mut Vec<Attempt>,
    cx: &mut Context<'_>,
) -> Poll<Result<TcpStream, (SocketAddr, io::Error)>> {
    for at in 0..running.len() {
        if let Poll::Ready(ended) = running[at].as_mut().poll(cx) {
            drop(running.swap_remove(at));
            return Poll::Ready(ended);
        }
    }
    Poll::Pending
}

async fn attempt(
    address: SocketAddr,
    bind: Option<IpAddr>,
) -> Result<TcpStream, (SocketAddr, io::Error)> {
    connect(address, bind).await.map_err(|error| (address, error))
}

async fn connect(address: SocketAddr, bind: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(bind) = bind {
        socket.bind(SocketAddr::new(bind, 0))?;
    }
    socket.connect(address).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::net::TcpListener;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn families_take_turns_and_keep_the_order_of_the_resolver() {
        let given = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(address);
        let mixed = in_turns(given.to_vec());
        assert_eq!(mixed, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"].map(address));
        assert!(in_turns(Vec::new()).is_empty());
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_hide_one_that_takes_the_connection() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback");
        let good = listener.local_addr().expect("a bound socket");
        // Bound but not listening: it refuses for as long as it lives.
        let closed = TcpSocket::new_v4().expect("a socket");
        closed.bind(address("127.0.0.1:0")).expect("a free port");
        let bad = closed.local_addr().expect("a bound socket");
        let stream = race(vec![bad, good], None).await.expect("the second one listens");
        assert_eq!(stream.peer_addr().expect("a connected socket"), good);
        let (to, error) = race(vec![bad, bad], None).await.expect_err("nobody listens");
        assert_eq!((to, error.kind()), (bad, ErrorKind::ConnectionRefused));
    }

    #[tokio::test]
    async fn the_connection_comes_from_the_address_it_is_bound_to() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback");
        let port = listener.local_addr().expect("a bound socket").port();
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let stream = dial("127.0.0.1", port, Some(here)).await.expect("it listens");
        assert_eq!(stream.local_addr().expect("a connected socket").ip(), here);
        let six = "::1".parse().expect("an address");
        let error = dial("127.0.0.1", port, Some(six)).await.expect_err("another family");
        assert!(matches!(error, ConnectError::Lookup { .. }), "{error}");
    }
}
