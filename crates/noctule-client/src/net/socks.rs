//! Proxies that speak SOCKS 5 [RFC 1928], with user name and password [RFC 1929] or without.

use super::address::{AddressError, AddressPart, host_and_port, unescape};
use super::failure::ConnectError;
use super::stream::Stream;
use std::fmt;
use std::io;
use std::net::IpAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The port of SOCKS.
const PORT: u16 = 1080;
const VERSION: u8 = 5;
/// The version of the exchange of user name and password.
const LOGIN_VERSION: u8 = 1;
const NO_LOGIN: u8 = 0;
const LOGIN: u8 = 2;
const NOTHING_OFFERED: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// A SOCKS 5 proxy. It looks up the host itself: no name leaves this machine another way.
#[derive(Clone)]
pub struct Socks5 {
    host: String,
    port: u16,
    login: Option<Login>,
}

#[derive(Clone)]
struct Login {
    user_name: Vec<u8>,
    password: Vec<u8>,
}

/// Why a proxy does not let us through.
#[derive(Debug)]
#[non_exhaustive]
pub enum SocksError {
    /// It closed the connection, or the network failed on the way to it.
    Io(io::Error),
    /// It answers, but not as a SOCKS 5 proxy.
    NotSocks,
    /// It wants another way of authentication than we can offer.
    NoLogin {
        /// Whether we offered user name and password.
        offered: bool,
    },
    /// It does not take user name and password.
    LoginRefused,
    /// It cannot or will not connect to the server; the code of RFC 1928, 6.
    Refused(u8),
    /// The name of the server is too long to be told (255 bytes).
    NameTooLong,
}

impl Socks5 {
    /// A proxy that asks for no user name.
    pub fn new(host: impl Into<String>, port: u16) -> Socks5 {
        Socks5 { host: host.into(), port, login: None }
    }

    /// The same with user name and password, of up to 255 bytes each.
    pub fn credentials(self, user_name: &[u8], password: &[u8]) -> Result<Socks5, AddressError> {
        let short = |bytes: &[u8], part| match bytes.len() {
            0..=255 => Ok(bytes.to_vec()),
            _ => Err(AddressError::Part { part, why: "has more than 255 bytes" }),
        };
        let login = Login {
            user_name: short(user_name, AddressPart::UserName)?,
            password: short(password, AddressPart::Password)?,
        };
        Ok(Socks5 { login: Some(login), ..self })
    }

    /// Parses `socks5h://[user[:password]@]host[:port]`, with `%41` for any byte of user name and
    /// password. The default port is 1080.
    pub fn parse(text: &str) -> Result<Socks5, AddressError> {
        let wrong = |part, why| AddressError::Part { part, why };
        let Some(rest) = text.strip_prefix("socks5h://") else {
            return Err(wrong(AddressPart::Scheme, "of a proxy is socks5h"));
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, host) = match rest.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, rest),
        };
        let (host, port) = host_and_port(host)?;
        let proxy = Socks5::new(host, port.unwrap_or(PORT));
        let Some(user) = user else { return Ok(proxy) };
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        let bytes = |text, part| unescape(text).ok_or(wrong(part, "has a bad % escape"));
        let user_name = bytes(user, AddressPart::UserName)?;
        proxy.credentials(&user_name, &bytes(password, AddressPart::Password)?)
    }

    /// Where the proxy is.
    pub(super) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Asks the proxy at the other end of `stream` for a connection to this host and port.
    pub(super) async fn connect(
        &self,
        mut stream: Stream,
        (name, port): (&str, u16),
    ) -> Result<Stream, ConnectError> {
        self.log_in(&mut stream).await?;
        stream.write_all(&request(name, port)?).await.map_err(SocksError::Io)?;
        stream.flush().await.map_err(SocksError::Io)?;
        let [version, code, _, kind] = read(&mut stream).await?;
        if version != VERSION {
            return Err(SocksError::NotSocks.into());
        }
        if code != 0 {
            return Err(SocksError::Refused(code).into());
        }
        // The address that the proxy connects from: of no use to us, but in the way.
        let length = match kind {
            IPV4 => 4,
            IPV6 => 16,
            NAME => usize::from(read::<1>(&mut stream).await?[0]),
            _ => return Err(SocksError::NotSocks.into()),
        };
        let mut address = vec![0; length + 2];
        stream.read_exact(&mut address).await.map_err(SocksError::Io)?;
        Ok(stream)
    }

    async fn log_in(&self, stream: &mut Stream) -> Result<(), SocksError> {
        let offer: &[u8] = match self.login {
            Some(_) => &[VERSION, 2, NO_LOGIN, LOGIN],
            None => &[VERSION, 1, NO_LOGIN],
        };
        stream.write_all(offer).await.map_err(SocksError::Io)?;
        stream.flush().await.map_err(SocksError::Io)?;
        let [version, chosen] = read(stream).await?;
        if version != VERSION {
            return Err(SocksError::NotSocks);
        }
        match (chosen, &self.login) {
            (NO_LOGIN, _) => Ok(()),
            (LOGIN, Some(login)) => login.show(stream).await,
            (NOTHING_OFFERED, login) => Err(SocksError::NoLogin { offered: login.is_some() }),
            _ => Err(SocksError::NotSocks),
        }
    }
}

impl Login {
    async fn show(&self, stream: &mut Stream) -> Result<(), SocksError> {
        let mut words = vec![LOGIN_VERSION];
        for word in [&self.user_name, &self.password] {
            words.push(u8::try_from(word.len()).expect("parse takes at most 255 bytes"));
            words.extend_from_slice(word);
        }
        stream.write_all(&words).await.map_err(SocksError::Io)?;
        stream.flush().await.map_err(SocksError::Io)?;
        let [_, code] = read(stream).await?;
        if code == 0 { Ok(()) } else { Err(SocksError::LoginRefused) }
    }
}

/// The request for a connection. A literal address goes as an address, so that a proxy need not
/// take it for a name.
fn request(name: &str, port: u16) -> Result<Vec<u8>, SocksError> {
    let mut request = vec![VERSION, CONNECT, 0];
    match name.parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend_from_slice(&address.octets());
        }
        Err(_) => {
            request.push(NAME);
            request.push(u8::try_from(name.len()).map_err(|_| SocksError::NameTooLong)?);
            request.extend_from_slice(name.as_bytes());
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    Ok(request)
}

/// The next `N` bytes.
async fn read<const N: usize>(stream: &mut Stream) -> Result<[u8; N], SocksError> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(SocksError::Io)?;
    Ok(bytes)
}

impl SocksError {
    pub(super) fn os_error(&self) -> Option<i32> {
        match self {
            SocksError::Io(error) => error.raw_os_error(),
            SocksError::NotSocks
            | SocksError::NoLogin { .. }
            | SocksError::LoginRefused
            | SocksError::Refused(_)
            | SocksError::NameTooLong => None,
        }
    }

    pub(super) fn likely_fix(&self) -> Option<&'static str> {
        match self {
            SocksError::NotSocks => Some("check host and port of the proxy"),
            SocksError::NoLogin { offered: false } => {
                Some("give the proxy a user name and password: socks5h://user:password@host")
            }
            SocksError::LoginRefused => Some("check user name and password of the proxy"),
            SocksError::Refused(4) => Some("check the spelling of the server's host"),
            SocksError::Refused(5) => Some("start the server, or check host and port"),
            SocksError::Io(_)
            | SocksError::NoLogin { offered: true }
            | SocksError::Refused(_)
            | SocksError::NameTooLong => None,
        }
    }
}

impl fmt::Display for SocksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SocksError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                "the proxy closed the connection"
            }
            SocksError::Io(error) => return write!(f, "the connection to the proxy: {error}"),
            SocksError::NotSocks => "the proxy does not speak SOCKS 5",
            SocksError::NoLogin { .. } => "the proxy wants another way of authentication",
            SocksError::LoginRefused => "the proxy does not take user name and password",
            SocksError::Refused(1) => "the proxy failed to connect to the server",
            SocksError::Refused(2) => "the proxy does not allow this connection",
            SocksError::Refused(3) => "the proxy cannot reach the server's network",
            SocksError::Refused(4) => "the proxy cannot reach the server's host",
            SocksError::Refused(5) => "the server refused the proxy's connection",
            SocksError::Refused(6) => "the server did not answer the proxy in time",
            SocksError::Refused(code) => {
                return write!(f, "the proxy refused the connection (code {code})");
            }
            SocksError::NameTooLong => "the name of the server is too long for the proxy",
        })
    }
}

impl std::error::Error for SocksError {}

/// Without the password.
impl fmt::Debug for Socks5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = self.login.as_ref().map(|_| "...");
        let (host, port) = self.address();
        write!(f, "Socks5 {{ host: {host:?}, port: {port}, login: {login:?} }}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_written_as_urls() {
        let proxy = Socks5::parse("socks5h://u%40:p%3a@[::1]:7/").expect("good");
        assert_eq!(proxy.address(), ("::1", 7));
        let login = proxy.login.expect("a user name");
        assert_eq!((&login.user_name[..], &login.password[..]), (&b"u@"[..], &b"p:"[..]));
        let plain = Socks5::parse("socks5h://h").expect("good");
        assert!(plain.address() == ("h", 1080) && plain.login.is_none());
        let long = format!("socks5h://{}@h", "x".repeat(256));
        for (text, wrong) in [
            ("socks5://h", AddressPart::Scheme),
            ("socks5h://", AddressPart::Host),
            ("socks5h://h:x", AddressPart::Port),
            ("socks5h://%@h", AddressPart::UserName),
            ("socks5h://u:%@h", AddressPart::Password),
            (&long, AddressPart::UserName),
        ] {
            let error = Socks5::parse(text).expect_err("bad");
            assert!(matches!(error, AddressError::Part { part, .. } if part == wrong), "{error}");
        }
    }

    #[test]
    fn literal_addresses_are_told_as_addresses_and_names_as_names() {
        let head = [VERSION, CONNECT, 0];
        let four = request("1.2.3.4", 0x0102).expect("short");
        assert_eq!(four, [&head[..], &[IPV4, 1, 2, 3, 4, 1, 2]].concat());
        let six = request("::1", 1).expect("short");
        assert_eq!(six.len(), 4 + 16 + 2);
        let name = request("ab", 1).expect("short");
        assert_eq!(name, [&head[..], &[NAME, 2, b'a', b'b', 0, 1]].concat());
        assert!(matches!(request(&"x".repeat(256), 1), Err(SocksError::NameTooLong)));
    }
}
