//! Flags: where to connect, and as whom.

use super::{ALL, Flag, Group, Misuse, Outcome, Takes, flag};
use crate::tools::address;
use crate::tools::number::{atoi, whole};
use crate::tools::settings::{ClientId, Settings};
use noctule_client::Version;

pub(super) const TABLE: &[Flag] = &[
    value("HOST", "-h argument given but no host specified.", host, "Host to connect to.")
        .short('h')
        .long("host"),
    value(
        "PORT",
        "-p argument given but no port specified.",
        port,
        "Port to connect to: 1883 unless given, 8883 with --cafile or --capath.",
    )
    .short('p')
    .long("port"),
    value(
        "URL",
        "-L argument given but no URL specified.",
        address::url,
        "All in one: mqtt://[user[:password]@]host[:port]/topic; also mqtts, ws and wss.",
    )
    .short('L')
    .long("url"),
    value(
        "PATH",
        "--unix argument given but no socket path specified.",
        unix,
        "Connect through a Unix socket.",
    )
    .long("unix"),
    switch(web_socket, "Connect through a WebSocket.").long("ws"),
    switch(
        service_record,
        "Ask DNS which host serves MQTT for the domain given with -h: _mqtt._tcp, or \
         _secure-mqtt._tcp with TLS.",
    )
    .short('S'),
    value(
        "ADDRESS",
        "-A argument given but no address specified.",
        bind_address,
        "Local address to connect from.",
    )
    .short('A'),
    value(
        "URL",
        "--proxy argument given but no proxy url specified.",
        address::proxy,
        "Connect through a SOCKS5 proxy: socks5h://[user[:password]@]host[:port].",
    )
    .long("proxy"),
    switch(no_delay, "Send small packets at once instead of together.").long("nodelay"),
    value(
        "VERSION",
        "--protocol-version argument given but no version specified.",
        version,
        "Version of MQTT: 5, 311 or 31, also written mqttv5 and so on.",
    )
    .short('V')
    .long("protocol-version"),
    session("NAME", "-u argument given but no username specified.", user_name, "User name.")
        .short('u')
        .long("username"),
    session("PASSWORD", "-P argument given but no password specified.", password, "Password.")
        .short('P')
        .long("pw"),
    session(
        "ID",
        "-i argument given but no id specified.",
        client_id,
        "Client identifier; chosen by the broker unless given.",
    )
    .short('i')
    .long("id"),
    session(
        "PREFIX",
        "-I argument given but no id prefix specified.",
        id_prefix,
        "Client identifier: this, with the process number behind it.",
    )
    .short('I')
    .long("id-prefix"),
    session(
        "SECS",
        "-k argument given but no keepalive specified.",
        keep_alive,
        "Seconds of silence after which the connection is checked.",
    )
    .short('k')
    .long("keepalive"),
    flag(
        ALL,
        Group::Session,
        Takes::Nothing(keep_session),
        "Keep the session at the broker when the connection ends, and take up the one that was \
         kept; needs -i.",
    )
    .short('c')
    .long("disable-clean-session"),
    session(
        "SECS",
        "-x argument given but no session expiry interval specified.",
        session_expiry,
        "How long the broker keeps the session; -1 or ∞ for ever. Implies -V 5.",
    )
    .short('x')
    .own_long("session-expiry-interval"),
    session(
        "COUNT",
        "-M argument given but max_inflight not specified.",
        in_flight,
        "How many messages of QoS 1 and 2 may wait for their acknowledgement at once.",
    )
    .short('M'),
];

type Setter = fn(&mut Settings, &[u8]) -> Outcome;

const fn value(name: &'static str, missing: &'static str, set: Setter, help: &'static str) -> Flag {
    flag(ALL, Group::Connection, Takes::Value { name, missing, set }, help)
}

const fn session(
    name: &'static str,
    missing: &'static str,
    set: Setter,
    help: &'static str,
) -> Flag {
    flag(ALL, Group::Session, Takes::Value { name, missing, set }, help)
}

const fn switch(set: fn(&mut Settings) -> Outcome, help: &'static str) -> Flag {
    flag(ALL, Group::Connection, Takes::Nothing(set), help)
}

fn host(settings: &mut Settings, value: &[u8]) -> Outcome {
    settings.connection.host = Some(value.to_vec());
    Ok(())
}

fn port(settings: &mut Settings, value: &[u8]) -> Outcome {
    let port = atoi(value);
    if u16::try_from(port).is_err() {
        return Err(Misuse::line(format!("Invalid port given: {port}")));
    }
    settings.connection.port = Some(port);
    Ok(())
}

fn unix(settings: &mut Settings, value: &[u8]) -> Outcome {
    settings.connection.host = Some(value.to_vec());
    settings.connection.port = Some(0);
    Ok(())
}

fn web_socket(settings: &mut Settings) -> Outcome {
    settings.connection.web_socket = true;
    Ok(())
}

fn service_record(settings: &mut Settings) -> Outcome {
    settings.connection.service_record = true;
    Ok(())
}

fn bind_address(settings: &mut Settings, value: &[u8]) -> Outcome {
    settings.connection.bind_address = Some(value.to_vec());
    Ok(())
}

fn no_delay(settings: &mut Settings) -> Outcome {
    settings.connection.no_delay = true;
    Ok(())
}

fn version(settings: &mut Settings, value: &[u8]) -> Outcome {
    settings.connection.version = match value.strip_prefix(b"mqttv").unwrap_or(value) {
        b"31" => Version::V31,
        b"311" => Version::V311,
        b"5" => Version::V5,
        _ => return Err(Misuse::paragraph("Invalid protocol version argument given.")),
    };
    Ok(())
}

fn user_name(settings: &mut Settings, value: &[u8]) -> Outcome {
    settings.connection.user_name = Some(value.to_vec());
    Ok(())
}

fn password(settings: &mut Settings, value: &[u8]) -> Outcome {
    settings.connection.password = Some(value.to_vec());
    Ok(())
}

fn client_id(settings: &mut Settings, value: &[u8]) -> Outcome {
    match settings.connection.client_id {
        Some(ClientId::Prefix(_)) => Err(two_ids()),
        Some(ClientId::Whole(_)) | None => {
            settings.connection.client_id = Some(ClientId::Whole(value.to_vec()));
            Ok(())
        }
    }
}

fn id_prefix(settings: &mut Settings, value: &[u8]) -> Outcome {
    match settings.connection.client_id {
        Some(ClientId::Whole(_)) => Err(two_ids()),
        Some(ClientId::Prefix(_)) | None => {
            settings.connection.client_id = Some(ClientId::Prefix(value.to_vec()));
            Ok(())
        }
    }
}

fn two_ids() -> Misuse {
    Misuse::paragraph("-i and -I argument cannot be used together.")
}

fn keep_alive(settings: &mut Settings, value: &[u8]) -> Outcome {
    let secs = u16::try_from(atoi(value)).ok().filter(|secs| *secs >= 5);
    let wrong = "Invalid keepalive given, it must be between 5 and 65535 inclusive.";
    settings.connection.keep_alive_secs = secs.ok_or_else(|| Misuse::paragraph(wrong))?;
    Ok(())
}

fn keep_session(settings: &mut Settings) -> Outcome {
    settings.connection.clean_session = false;
    Ok(())
}

fn session_expiry(settings: &mut Settings, value: &[u8]) -> Outcome {
    let secs = match value {
        b"\xe2\x88\x9e" => -1,
        _ => {
            let wrong = "session-expiry-interval not a number.";
            whole(value).ok_or_else(|| Misuse::paragraph(wrong))?
        }
    };
    let wrong = "session-expiry-interval out of range.";
    let secs = if secs == -1 { Ok(u32::MAX) } else { u32::try_from(secs) };
    settings.connection.session_expiry_secs = Some(secs.map_err(|_| Misuse::paragraph(wrong))?);
    settings.connection.version = Version::V5;
    Ok(())
}

fn in_flight(settings: &mut Settings, value: &[u8]) -> Outcome {
    let count = u32::try_from(atoi(value)).ok().filter(|count| *count > 0);
    let wrong = "Maximum inflight messages must be greater than 0.";
    settings.connection.in_flight_max = count.ok_or_else(|| Misuse::paragraph(wrong))?;
    Ok(())
}
