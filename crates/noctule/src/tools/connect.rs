//! From settings to a connector: what CONNECT says, and the way to the broker.

use super::Tool;
use super::option_file::as_os;
use super::property::{Property, Value, has_duplicate};
use super::security::{self, MQTTS_PORT};
use super::settings::{ClientId, Connection, Settings};
use super::trouble::{Fault, Trouble};
use noctule_client::net::{Endpoint, Host, Socks5, Tls, WebSocket};
use noctule_client::{
    AuthError, Authenticator, Connector, Goodbye, Message, Options, PropertiesBuf, ReasonCode,
    Reconnect, UserPropertiesBuf, Version, Will,
};
use noctule_proto::TopicName;
use noctule_proto::property::PropertyId;
use noctule_proto::text;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const MQTT_PORT: u16 = 1883;
/// What mosquitto's library announces, if the tool has no reason for less.
const RECEIVE_MAXIMUM: u16 = 20;

/// Everything that is needed to connect. What is wrong with it is found in the order in which
/// mosquitto's tools find it.
pub(super) fn connector(settings: &Settings) -> Result<Connector, Trouble> {
    let mut options = Options::new(client_id(settings)?);
    let connection = &settings.connection;
    options.version = connection.version;
    options.clean_start = connection.clean_session;
    options.keep_alive_secs = connection.keep_alive_secs;
    options.connect_timeout_secs = connection.keep_alive_secs;
    options.session_expiry_secs = connection.session_expiry_secs.unwrap_or(0);
    options.send_maximum = Some(u16::try_from(connection.in_flight_max).unwrap_or(u16::MAX));
    options.receive_maximum = receive_maximum(settings);
    options.use_topic_aliases = has(&settings.properties.publish, PropertyId::TopicAlias);
    options.will = will(settings)?;
    (options.user_name, options.password) = credentials(connection)?;
    let tls = security::tls(settings)?;
    let authenticator = connect_properties(settings, &mut options)?;
    // An identifier that nobody asked for would show in the output.
    let connector = Connector::new(endpoint(connection, tls)?, options);
    let mut connector = connector.number_subscriptions(false);
    if let Some(authenticator) = authenticator {
        connector = connector.authenticator(Box::new(authenticator));
    }
    Ok(connector)
}

fn client_id(settings: &Settings) -> Result<String, Trouble> {
    let connection = &settings.connection;
    let invalid = || {
        Trouble::plain(match settings.tool {
            Tool::Pub => "Error: Invalid id.",
            Tool::Sub | Tool::Rr => "Error: Invalid id and/or clean_session.",
        })
    };
    let id = match &connection.client_id {
        Some(ClientId::Whole(id)) => id.clone(),
        Some(ClientId::Prefix(prefix)) => {
            [prefix.as_slice(), std::process::id().to_string().as_bytes()].concat()
        }
        None if !connection.clean_session => return Err(invalid()),
        None if connection.version == Version::V31 => return Ok(random_id()),
        None => return Ok(String::new()),
    };
    if id.is_empty() {
        return Err(invalid());
    }
    // mosquitto's tools have no words for this one.
    let id = String::from_utf8(id).map_err(|_| Trouble::silent())?;
    if text::is_clean(&id) && id.len() <= text::LEN_MAX { Ok(id) } else { Err(Trouble::silent()) }
}

/// MQTT 3.1 wants an identifier of up to 23 characters.
fn random_id() -> String {
    const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    // Each state of this kind has keys of its own.
    let letters = (0..18_u8).map(|at| {
        let number = RandomState::new().hash_one(at) % LETTERS.len() as u64;
        char::from(LETTERS[number as usize])
    });
    format!("mosq-{}", letters.collect::<String>())
}

/// No more than will be printed is asked for: what comes beyond it would be taken and lost.
fn receive_maximum(settings: &Settings) -> u16 {
    let count = match settings.tool {
        Tool::Pub => None,
        Tool::Sub => settings.receive.count,
        Tool::Rr => Some(1),
    };
    let count = count.and_then(|count| u16::try_from(count).ok());
    count.map_or(RECEIVE_MAXIMUM, |count| count.min(RECEIVE_MAXIMUM))
}

fn credentials(connection: &Connection) -> Result<(Option<String>, Option<Vec<u8>>), Trouble> {
    let wrong = || Trouble::plain("Error: Problem setting username and/or password.");
    let user = connection.user_name.clone().map(String::from_utf8).transpose();
    let user = user.map_err(|_| wrong())?;
    if user.as_ref().is_some_and(|user| !text::is_clean(user) || user.len() > text::LEN_MAX) {
        return Err(wrong());
    }
    let password = connection.password.clone();
    let alone = password.is_some() && user.is_none() && connection.version != Version::V5;
    if alone || password.as_ref().is_some_and(|password| password.len() > text::LEN_MAX) {
        return Err(wrong());
    }
    Ok((user, password))
}

fn will(settings: &Settings) -> Result<Option<Will>, Trouble> {
    let Some(topic) = &settings.will.topic else { return Ok(None) };
    let wrong = || Trouble::plain("Error: Problem setting will.");
    let given = &settings.properties.will;
    let payload = settings.will.payload.clone().unwrap_or_default();
    let misplaced = !given.is_empty() && settings.connection.version != Version::V5;
    if misplaced || has_duplicate(given) || payload.len() > text::LEN_MAX {
        return Err(wrong());
    }
    let mut message = Message::new(topic.as_str(), payload).qos(settings.will.qos);
    message.retain = settings.will.retain;
    set_properties(&mut message, given).map_err(|_| wrong())?;
    let mut will = Will::from(message);
    will.delay_secs = number(given, PropertyId::WillDelayInterval).unwrap_or(0);
    Ok(Some(will))
}

/// Puts properties of the command line into a message.
pub(super) fn set_properties(message: &mut Message, given: &[Property]) -> Result<(), Fault> {
    let mut properties = PropertiesBuf::new();
    for property in given {
        let set = match (property.id, &property.value) {
            (PropertyId::PayloadFormatIndicator, Value::Number(number @ (0 | 1))) => {
                Ok(properties.payload_format(*number == 1))
            }
            (PropertyId::PayloadFormatIndicator, _) => return Err(Fault::Protocol),
            (PropertyId::ContentType, Value::Text(text)) => properties.content_type(text),
            (PropertyId::ResponseTopic, Value::Text(text)) => {
                let topic = TopicName::parse(text).map_err(|_| Fault::Protocol)?;
                properties.response_topic(topic)
            }
            (PropertyId::CorrelationData, Value::Binary(data)) => properties.correlation_data(data),
            (PropertyId::UserProperty, Value::Pair(name, value)) => {
                properties.user_property(name, value)
            }
            (PropertyId::MessageExpiryInterval, Value::Number(secs)) => {
                message.expiry_secs = Some(*secs);
                continue;
            }
            (PropertyId::TopicAlias, Value::Number(0)) => return Err(Fault::Protocol),
            // The library chooses topic aliases; a Will's delay is no part of the message.
            _ => continue,
        };
        set.map_err(|_| Fault::Invalid)?;
    }
    message.properties = properties;
    Ok(())
}

fn connect_properties(
    settings: &Settings,
    options: &mut Options,
) -> Result<Option<FixedAnswer>, Trouble> {
    let given = &settings.properties.connect;
    let expiry = settings.connection.session_expiry_secs.filter(|secs| *secs > 0);
    if has_duplicate(given) || expiry.is_some() && has(given, PropertyId::SessionExpiryInterval) {
        return Err(Trouble::unable(Fault::DuplicateProperty));
    }
    if !given.is_empty() && options.version != Version::V5 {
        return Err(Trouble::unable(Fault::NotSupported));
    }
    let mut authentication = FixedAnswer::default();
    for property in given {
        let Value::Number(number) = property.value else {
            take_words(property, options, &mut authentication)?;
            continue;
        };
        let wrong = Trouble::unable(Fault::Protocol);
        let small = u16::try_from(number).unwrap_or(u16::MAX);
        match property.id {
            PropertyId::SessionExpiryInterval => options.session_expiry_secs = number,
            PropertyId::ReceiveMaximum if number == 0 => return Err(wrong),
            PropertyId::ReceiveMaximum => options.receive_maximum = small,
            PropertyId::MaximumPacketSize if number == 0 => return Err(wrong),
            PropertyId::MaximumPacketSize => options.maximum_packet_size = Some(number),
            PropertyId::TopicAliasMaximum => options.topic_alias_maximum = small,
            PropertyId::RequestResponseInformation if number > 1 => return Err(wrong),
            PropertyId::RequestResponseInformation => {
                options.request_response_information = number == 1;
            }
            PropertyId::RequestProblemInformation if number > 1 => return Err(wrong),
            PropertyId::RequestProblemInformation => {
                options.request_problem_information = number == 1;
            }
            _ => {}
        }
    }
    Ok((!authentication.method.is_empty()).then_some(authentication))
}

fn take_words(
    property: &Property,
    options: &mut Options,
    authentication: &mut FixedAnswer,
) -> Result<(), Trouble> {
    match &property.value {
        Value::Pair(name, value) => {
            let added = options.user_properties.push(name, value);
            added.map(|_| ()).map_err(|_| Trouble::unable(Fault::Invalid))?;
        }
        Value::Text(method) if property.id == PropertyId::AuthenticationMethod => {
            authentication.method.clone_from(method);
        }
        Value::Binary(data) if property.id == PropertyId::AuthenticationData => {
            authentication.data = Some(data.clone());
        }
        Value::Text(_) | Value::Binary(_) | Value::Number(_) => {}
    }
    Ok(())
}

/// Enhanced authentication of the command line: what was given, and no answer to a challenge.
#[derive(Default)]
struct FixedAnswer {
    method: String,
    data: Option<Vec<u8>>,
}

impl Authenticator for FixedAnswer {
    fn method(&self) -> &str {
        &self.method
    }

    fn start(&mut self) -> Option<Vec<u8>> {
        self.data.clone()
    }

    fn answer(&mut self, _challenge: &[u8]) -> Result<Vec<u8>, AuthError> {
        Err(AuthError("the broker asks for more than the command line says".to_owned()))
    }

    fn finish(&mut self, _data: &[u8]) -> Result<(), AuthError> {
        Ok(())
    }
}

/// What is said at the end.
pub(super) fn goodbye(settings: &Settings) -> Goodbye {
    let given = &settings.properties.disconnect;
    let mut goodbye = Goodbye::default();
    goodbye.session_expiry_secs = number(given, PropertyId::SessionExpiryInterval);
    goodbye.user_properties = user_properties(given);
    for property in given {
        if let (PropertyId::ReasonString, Value::Text(text)) = (property.id, &property.value) {
            goodbye.reason_string = Some(text.clone());
        }
    }
    goodbye
}

/// Why a tool says goodbye that is told to end: since MQTT 5 its Will is published, as
/// mosquitto's tools ask for.
pub(super) fn interrupted(settings: &Settings) -> ReasonCode {
    match settings.connection.version {
        Version::V5 => ReasonCode::DisconnectWithWill,
        Version::V31 | Version::V311 => ReasonCode::Success,
    }
}

/// The user properties among these.
pub(super) fn user_properties(given: &[Property]) -> UserPropertiesBuf {
    let mut all = UserPropertiesBuf::new();
    for property in given {
        if let Value::Pair(name, value) = &property.value {
            // They come from a command line, which was checked.
            let _ = all.push(name, value);
        }
    }
    all
}

/// The number of this property.
pub(super) fn number(given: &[Property], id: PropertyId) -> Option<u32> {
    given.iter().find_map(|property| match property.value {
        Value::Number(number) if property.id == id => Some(number),
        _ => None,
    })
}

fn has(given: &[Property], id: PropertyId) -> bool {
    given.iter().any(|property| property.id == id)
}

fn endpoint(connection: &Connection, tls: Option<Tls>) -> Result<Endpoint, Trouble> {
    let secure = if tls.is_some() { MQTTS_PORT } else { MQTT_PORT };
    let port = connection.port.unwrap_or(i32::from(secure));
    let port = u16::try_from(port).map_err(|_| Trouble::unable(Fault::Invalid))?;
    let host = connection.host.as_deref().unwrap_or(b"localhost");
    let name = || String::from_utf8(host.to_vec()).map_err(|_| Trouble::unable(Fault::Lookup));
    let host = match port {
        0 => Host::Unix(as_os(host).into()),
        _ if connection.service_record => Host::Srv(name()?),
        port => Host::Tcp { name: name()?, port },
    };
    let mut endpoint = Endpoint::unix("");
    endpoint.host = host;
    endpoint.tls = tls;
    endpoint.websocket = connection.web_socket.then(|| WebSocket::new("/mqtt"));
    endpoint.proxy = proxy(connection)?;
    endpoint.bind = bind(connection)?;
    Ok(endpoint)
}

fn proxy(connection: &Connection) -> Result<Option<Socks5>, Trouble> {
    let Some(proxy) = &connection.proxy else { return Ok(None) };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let socks = Socks5::new(text(&proxy.host), proxy.port);
    let Some(user) = &proxy.user_name else { return Ok(Some(socks)) };
    let password = proxy.password.as_deref().unwrap_or_default();
    let socks = socks.credentials(user, password);
    socks.map(Some).map_err(|_| Trouble::unable(Fault::Proxy))
}

fn bind(connection: &Connection) -> Result<Option<std::net::IpAddr>, Trouble> {
    let Some(address) = &connection.bind_address else { return Ok(None) };
    let address = std::str::from_utf8(address).ok().and_then(|text| text.parse().ok());
    address.map(Some).ok_or_else(|| Trouble::unable(Fault::Lookup))
}

/// Connects again a second after a connection is lost, as mosquitto's tools do, or a bit earlier:
/// not all clients of a broker that restarts come at once.
pub(super) fn reconnect() -> Reconnect {
    const DELAY: Duration = Duration::from_secs(1);
    Reconnect { delay_min: DELAY, delay_max: DELAY, ..Reconnect::default() }
}
