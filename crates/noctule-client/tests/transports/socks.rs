//! SOCKS 5, against a small proxy that looks names up itself.

use crate::servers::{closed_port, echo, serve, talk_by};
use noctule_client::net::{ConnectError, Endpoint, Socks5, SocksError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The name that only the proxy knows.
const HIDDEN: &str = "broker.hidden";

/// How the proxy treats its clients.
#[derive(Clone, Copy)]
enum Door {
    Open,
    /// User name and password.
    Login(&'static str, &'static str),
}

/// A proxy to this port of loopback, under whatever name.
async fn proxy(door: Door, to: u16) -> u16 {
    serve(move |mut stream| async move {
        // A client that breaks off is no failure of the test.
        let _ = relay(&mut stream, door, to).await;
    })
    .await
}

async fn relay(stream: &mut TcpStream, door: Door, to: u16) -> std::io::Result<()> {
    let mut hello = [0; 2];
    stream.read_exact(&mut hello).await?;
    assert_eq!(hello[0], 5);
    let mut methods = vec![0; usize::from(hello[1])];
    stream.read_exact(&mut methods).await?;
    match door {
        Door::Open => stream.write_all(&[5, 0]).await?,
        Door::Login(..) if !methods.contains(&2) => return stream.write_all(&[5, 0xff]).await,
        Door::Login(user, password) => {
            stream.write_all(&[5, 2]).await?;
            assert_eq!(stream.read_u8().await?, 1);
            let given = [text(stream).await?, text(stream).await?];
            if given != [user, password] {
                return stream.write_all(&[1, 1]).await;
            }
            stream.write_all(&[1, 0]).await?;
        }
    }
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    assert_eq!(request[..3], [5, 1, 0]);
    let host = match request[3] {
        1 => std::net::Ipv4Addr::from(stream.read_u32().await?).to_string(),
        3 => text(stream).await?,
        4 => std::net::Ipv6Addr::from(stream.read_u128().await?).to_string(),
        other => panic!("{other}"),
    };
    let port = stream.read_u16().await?;
    if !["127.0.0.1", HIDDEN].contains(&host.as_str()) || port != to {
        // Where it connected from may be told by name, too.
        return stream.write_all(&[5, 4, 0, 3, 1, b'x', 0, 0]).await;
    }
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut answer = vec![5, 0, 0, 4];
    answer.extend_from_slice(&[0; 18]);
    stream.write_all(&answer).await?;
    tokio::io::copy_bidirectional(stream, &mut server).await?;
    Ok(())
}

async fn text(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut bytes).await?;
    Ok(String::from_utf8(bytes).expect("tests send UTF-8"))
}

fn through(proxy: &str, host: &str, port: u16) -> Endpoint {
    let mut endpoint = Endpoint::tcp(host, port);
    endpoint.proxy = Some(Socks5::parse(proxy).expect("a good address"));
    endpoint
}

async fn refusal(endpoint: &Endpoint) -> SocksError {
    match endpoint.connect().await.expect_err("a refusal") {
        ConnectError::Socks(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_proxy_connects_and_looks_up_the_name() {
    let server = serve(echo).await;
    let port = proxy(Door::Open, server).await;
    for url in [format!("socks5h://127.0.0.1:{port}"), format!("socks5h://u:p@127.0.0.1:{port}")] {
        talk_by(&through(&url, "127.0.0.1", server)).await;
        talk_by(&through(&url, HIDDEN, server)).await;
    }
    let url = format!("socks5h://127.0.0.1:{port}");
    let error = refusal(&through(&url, "unknown.hidden", server)).await;
    assert!(matches!(error, SocksError::Refused(4)), "{error:?}");
    let error = refusal(&through(&url, "::1", server)).await;
    assert!(matches!(error, SocksError::Refused(4)), "{error:?}");
    let error = refusal(&through(&url, &"x".repeat(256), server)).await;
    assert!(matches!(error, SocksError::NameTooLong), "{error:?}");
}

#[tokio::test]
async fn the_proxy_may_want_a_user_name() {
    let server = serve(echo).await;
    let port = proxy(Door::Login("us:er", "p@ss"), server).await;
    talk_by(&through(&format!("socks5h://us%3aer:p%40ss@127.0.0.1:{port}"), HIDDEN, server)).await;
    let wrong = through(&format!("socks5h://us%3aer:no@127.0.0.1:{port}"), HIDDEN, server);
    let error = refusal(&wrong).await;
    assert!(matches!(error, SocksError::LoginRefused), "{error:?}");
    let error = refusal(&through(&format!("socks5h://127.0.0.1:{port}"), HIDDEN, server)).await;
    assert!(matches!(error, SocksError::NoLogin { offered: false }), "{error:?}");
    assert!(ConnectError::from(error).likely_fix().is_some_and(|fix| fix.contains("user")));
}

#[tokio::test]
async fn tls_and_frames_go_through_the_proxy() {
    use crate::certificates::Ca;
    use noctule_client::net::Tls;
    let ca = Ca::new("a CA");
    let server = crate::servers::tls_echo(crate::servers::server(ca.issue(&[HIDDEN]))).await;
    let port = proxy(Door::Open, server).await;
    let mut endpoint = through(&format!("socks5h://127.0.0.1:{port}"), HIDDEN, server);
    endpoint.tls = Some(Tls::new().ca_pem(ca.pem));
    talk_by(&endpoint).await;
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_told_as_what_it_is() {
    let (_held, address) = closed_port();
    let port = address.port();
    let endpoint = through(&format!("socks5h://127.0.0.1:{port}"), HIDDEN, 1883);
    let error = endpoint.connect().await.expect_err("nobody");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
}
