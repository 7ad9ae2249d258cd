//! A client that says no more than it has to, so that what it is answered can be told exactly.

use anyhow::{Context, Result, bail, ensure};
use noctule_proto::packet::{Auth, Connect, ConnectProperties, Packet};
use noctule_proto::property::UserProperties;
use noctule_proto::{ReasonCode, Role, Version, next_frame};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What a client says of itself.
#[derive(Clone, Copy)]
pub(crate) struct Hello<'a> {
    pub(crate) version: Version,
    pub(crate) client_id: &'a str,
    pub(crate) user_name: Option<&'a str>,
    pub(crate) password: Option<&'a [u8]>,
    /// Authentication Method and Data.
    pub(crate) method: Option<(&'a str, &'a [u8])>,
}

impl Default for Hello<'_> {
    fn default() -> Self {
        Hello {
            version: Version::V5,
            client_id: "dev",
            user_name: None,
            password: None,
            method: None,
        }
    }
}

/// What it is told.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Told {
    Accepted,
    /// CONNACK with this code; the Reason String, where there is one.
    Refused(ReasonCode, String),
    /// AUTH with this code.
    Auth(ReasonCode),
    /// DISCONNECT with this code.
    Gone(ReasonCode, String),
    Pong,
    /// PUBACK, or SUBACK of one filter, with this code.
    Answered(u8),
    Closed,
}

/// What a client does with a topic.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Publish,
    Subscribe,
}

/// Its connection.
pub(crate) struct Client {
    stream: TcpStream,
    version: Version,
    bytes: Vec<u8>,
}

impl Client {
    /// Says hello.
    pub(crate) fn hello(address: SocketAddr, hello: &Hello<'_>) -> Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let properties = ConnectProperties {
            authentication_method: hello.method.map(|(method, _)| method),
            authentication_data: hello.method.map(|(_, data)| data),
            ..ConnectProperties::default()
        };
        let mut client = Client { stream, version: hello.version, bytes: Vec::new() };
        client.say(&Packet::Connect(Connect {
            version: hello.version,
            bridge: false,
            clean_start: true,
            keep_alive_secs: 60,
            client_id: hello.client_id,
            will: None,
            user_name: hello.user_name,
            password: hello.password,
            properties,
        }))?;
        Ok(client)
    }

    /// AUTH 0x19 with this data.
    pub(crate) fn authenticate_again(&mut self, method: &str, data: &[u8]) -> Result<()> {
        self.say(&Packet::Auth(Auth {
            reason: ReasonCode::ReAuthenticate,
            method: Some(method),
            data: Some(data),
            reason_string: None,
            user_properties: UserProperties::default(),
        }))
    }

    /// What a PUBLISH at QoS 1, or a SUBSCRIBE, of this topic is answered.
    pub(crate) fn may(&mut self, what: Action, topic: &str) -> Result<bool> {
        let len = u8::try_from(topic.len())?;
        let head: &[u8] = match what {
            Action::Publish => &[0x32, len + 5, 0, len],
            Action::Subscribe => &[0x82, len + 6, 0, 1, 0, 0, len],
        };
        let tail: &[u8] = match what {
            Action::Publish => &[0, 1, 0],
            Action::Subscribe => &[1],
        };
        self.stream.write_all(&[head, topic.as_bytes(), tail].concat())?;
        match self.told()? {
            Told::Answered(0x87) => Ok(false),
            Told::Answered(code) if code < 0x80 => Ok(true),
            other => bail!("{other:?}"),
        }
    }

    pub(crate) fn ping(&mut self) -> Result<()> {
        self.say(&Packet::PingReq)?;
        let told = self.told()?;
        ensure!(told == Told::Pong, "{told:?}");
        Ok(())
    }

    fn say(&mut self, packet: &Packet<'_>) -> Result<()> {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes);
        Ok(self.stream.write_all(&bytes)?)
    }

    /// The next thing that it is told.
    pub(crate) fn told(&mut self) -> Result<Told> {
        loop {
            if let Some(frame) = next_frame(&self.bytes, u32::MAX).ok().context("a frame")? {
                let len = frame.len;
                let packet = Packet::decode(frame, Some(self.version), Role::Server);
                let told = told(&packet.ok().context("a packet")?)?;
                self.bytes.drain(..len);
                return Ok(told);
            }
            let mut more = [0; 4096];
            match self.stream.read(&mut more) {
                Ok(0) => return Ok(Told::Closed),
                Ok(len) => self.bytes.extend_from_slice(&more[..len]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Ok(Told::Closed);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn told(packet: &Packet<'_>) -> Result<Told> {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Ok(match packet {
        Packet::ConnAck(it) if it.reason == ReasonCode::Success => Told::Accepted,
        Packet::ConnAck(it) => Told::Refused(it.reason, text(it.properties.reason_string)),
        Packet::Auth(it) => Told::Auth(it.reason),
        Packet::Disconnect(it) => Told::Gone(it.reason, text(it.reason_string)),
        Packet::PingResp => Told::Pong,
        Packet::PubAck(it) => Told::Answered(it.reason as u8),
        Packet::SubAck(it) => Told::Answered(*it.codes.first().context("one code")?),
        other => bail!("{other:?}"),
    })
}

/// Says hello and hears the answer.
pub(crate) fn answer(address: SocketAddr, hello: &Hello<'_>) -> Result<Told> {
    Client::hello(address, hello)?.told()
}
