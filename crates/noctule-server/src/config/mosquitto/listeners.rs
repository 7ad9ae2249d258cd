//! A `listener` as `[[listener]]` tables: one for each address that it listens on.

use super::Surroundings;
use super::lines::Place;
use super::read::{ListenerSaid, Said};
use super::value::Values;
use super::write::Writer;
use crate::config::Fault;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

/// Topic aliases of a listener that says nothing of them.
pub(super) const TOPIC_ALIAS_MAX: i64 = 10;

/// Where a listener listens.
enum At {
    Address { ip: IpAddr, required: bool },
    Unix,
}

/// Writes all of them.
pub(super) fn write(
    said: &Said,
    around: &Surroundings,
    writer: &mut Writer,
    faults: &mut Vec<Fault>,
) {
    if said.local_only {
        let ports = if around.ports.is_empty() { &[1883][..] } else { &around.ports };
        for port in ports {
            local(said, *port, writer);
        }
        return;
    }
    for listener in &said.listeners {
        match addresses(listener) {
            Ok(all) => {
                for at in all {
                    one(said, listener, (&at, around), writer, faults);
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
}

/// The two of loopback, which there are where nothing else is said.
fn local(said: &Said, port: u16, writer: &mut Writer) {
    let anonymous = said.global.flag("allow_anonymous").unwrap_or(true);
    let place = said.global.place("allow_anonymous");
    for (ip, required) in [("127.0.0.1", true), ("::1", false)] {
        writer.table("[[listener]]", None);
        writer.text("bind", ip, None);
        writer.put("port", port, None);
        if !required {
            writer.put("required", false, None);
        }
        writer.put("allow_anonymous", anonymous, place);
        client_ids(said, writer);
    }
}

/// What the ids of all clients have to begin with.
fn client_ids(said: &Said, writer: &mut Writer) {
    let name = "clientid_prefixes";
    if let Some(prefix) = said.global.text(name) {
        writer.text("client_id_prefix", prefix, said.global.place(name));
    }
}

fn addresses(listener: &ListenerSaid) -> Result<Vec<At>, Fault> {
    if listener.port == 0 {
        return Ok(vec![At::Unix]);
    }
    let wanted = listener.values.text("socket_domain");
    let fits = |ip: &IpAddr| match wanted {
        Some("ipv4") => ip.is_ipv4(),
        Some(_) => ip.is_ipv6(),
        None => true,
    };
    let Some(host) = listener.host.as_deref() else {
        // A machine without IPv6 has the other one.
        let all = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()];
        let required = |ip: &IpAddr| ip.is_ipv4() || wanted.is_some();
        let at = |ip| At::Address { ip, required: required(&ip) };
        return Ok(all.into_iter().filter(fits).map(at).collect());
    };
    let found = (host, listener.port).to_socket_addrs().map_err(|error| {
        listener.place.fault(format!("{host:?} is no address of this machine: {error}"))
    })?;
    let mut ips: Vec<IpAddr> = Vec::new();
    for ip in found.map(|address| address.ip()).filter(fits) {
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    if ips.is_empty() {
        let what = format!("{host:?} has no address of that `socket_domain`");
        return Err(listener.place.fault(what));
    }
    Ok(ips.into_iter().map(|ip| At::Address { ip, required: true }).collect())
}

fn one(
    said: &Said,
    listener: &ListenerSaid,
    (at, around): (&At, &Surroundings),
    writer: &mut Writer,
    faults: &mut Vec<Fault>,
) {
    let (values, here) = (&listener.values, Some(&listener.place));
    writer.table("[[listener]]", here);
    match at {
        At::Address { ip, required } => {
            writer.text("bind", &ip.to_string(), here);
            writer.put("port", listener.port, here);
            if !required {
                writer.put("required", false, here);
            }
        }
        At::Unix => {
            let path = around.path(listener.host.as_deref().unwrap_or_default());
            writer.text("unix", &path, here);
        }
    }
    access(said, values, around, writer);
    client_ids(said, writer);
    if let Some(interface) = values.text("bind_interface") {
        writer.text("interface", interface, values.place("bind_interface"));
    }
    bounds(said, values, writer, faults);
    transport(said, listener, writer);
    tls(values, around, writer, faults);
}

/// Who gets in, and what they may do.
fn access(said: &Said, values: &Values, around: &Surroundings, writer: &mut Writer) {
    // With `per_listener_settings` what is said of a listener stands there already.
    let own = |name: &str| values.flag(name).map(|it| (it, values.place(name)));
    let all =
        || said.global.flag("allow_anonymous").map(|it| (it, said.global.place("allow_anonymous")));
    let anonymous = own("listener_allow_anonymous").or_else(|| own("allow_anonymous"));
    let (anonymous, place) = anonymous.or_else(all).unwrap_or((false, None));
    writer.put("allow_anonymous", anonymous, place);
    for name in ["password_file", "acl_file"] {
        if let Some(file) = values.text(name) {
            writer.text(name, &around.path(file), values.place(name));
        }
    }
    if let Some(assign) = values.flag("allow_zero_length_clientid") {
        let place = values.place("allow_zero_length_clientid");
        writer.put("assign_client_ids", assign, place);
    }
    let name = "use_username_as_clientid";
    if values.flag(name) == Some(true) {
        writer.put("client_id_from_user_name", true, values.place(name));
    }
    for name in ["listener_auto_id_prefix", "auto_id_prefix"] {
        if let Some(prefix) = values.text(name) {
            writer.text("assigned_id_prefix", prefix, values.place(name));
            break;
        }
    }
}

fn bounds(said: &Said, values: &Values, writer: &mut Writer, faults: &mut Vec<Fault>) {
    if let Some(most) = values.number("max_connections").filter(|most| *most > 0) {
        writer.put("connections_max", most, values.place("max_connections"));
    }
    if let Some(qos) = values.number("max_qos") {
        writer.put("qos_max", qos, values.place("max_qos"));
    }
    for (name, option) in
        [("max_topic_alias", "topic_alias_max"), ("max_topic_alias_broker", "topic_alias_out_max")]
    {
        let most = values.number(name).unwrap_or(TOPIC_ALIAS_MAX);
        // The bound of all listeners is the greatest of theirs.
        if most < super::translate::aliases(said, name) || values.place(name).is_some() {
            writer.put(option, most, values.place(name));
        }
    }
    if let Some(mount_point) = values.text("mount_point") {
        writer.text("mount_point", mount_point, values.place("mount_point"));
    }
    let name = "accept_protocol_versions";
    if let (Some(said), Some(place)) = (values.text(name), values.place(name)) {
        let served: Vec<&str> = said
            .split([',', ' ', '\t'])
            .filter_map(|word| match word {
                "3" => Some("3.1"),
                "4" => Some("3.1.1"),
                "5" => Some("5.0"),
                _ => None,
            })
            .collect();
        if served.is_empty() {
            faults.push(place.fault("names none of 3, 4 and 5: nobody could connect"));
        }
        writer.put("versions", super::super::value::list(served), Some(place));
    }
}

/// What lies between TCP and MQTT.
fn transport(said: &Said, listener: &ListenerSaid, writer: &mut Writer) {
    let values = &listener.values;
    let protocol = values.place("protocol");
    match values.text("protocol") {
        Some("websockets") => {
            writer.text("protocol", "websocket", protocol);
            if !listener.origins.is_empty() {
                let place = values.place("websockets_origin");
                let origins = super::super::value::list(&listener.origins);
                writer.put("websocket_origins", origins, place);
            }
            let name = "packet_buffer_size";
            if let Some(bytes) = said.global.number(name) {
                // What it is for there, a buffer's size, need not make sense for a request.
                writer.put(
                    "websocket_header_max",
                    bytes.clamp(256, 32_768),
                    said.global.place(name),
                );
            }
        }
        Some("http_api") => {
            writer.text("protocol", "http_api", protocol);
        }
        Some(_) | None => {}
    }
    if let Some(version) = values.number("enable_proxy_protocol") {
        let place = values.place("enable_proxy_protocol");
        writer.text("proxy_protocol", &format!("v{version}"), place);
        let name = "proxy_protocol_v2_require_tls";
        if version == 2 && values.flag(name) == Some(true) {
            writer.put("proxy_protocol_require_tls", true, values.place(name));
        }
        // Where TLS ends at the proxy, it says what the certificate was.
        let name = "use_identity_as_username";
        if version == 2 && values.flag(name) == Some(true) && values.place("certfile").is_none() {
            writer.text("proxy_protocol_user_name", "common_name", values.place(name));
        }
    }
}

fn tls(values: &Values, around: &Surroundings, writer: &mut Writer, faults: &mut Vec<Fault>) {
    const FILES: [(&str, &str); 5] = [
        ("certfile", "certificate"),
        ("keyfile", "key"),
        ("cafile", "client_ca"),
        ("capath", "client_ca"),
        ("crlfile", "crl"),
    ];
    let first = FILES.iter().find_map(|(name, _)| values.place(name));
    // Without files mosquitto passes over the other options of TLS.
    let Some(first) = first else { return };
    if values.place("certfile").is_none() || values.place("keyfile").is_none() {
        return faults.push(first.fault("needs both `certfile` and `keyfile` beside it"));
    }
    writer.line("[listener.tls]", Some(first));
    let required = values.flag("require_certificate").unwrap_or(false);
    if required && let (Some(_), Some(second)) = (values.place("cafile"), values.place("capath")) {
        faults.push(second.fault("is beside `cafile`: put all CAs into one file, or one folder"));
    }
    for (name, option) in FILES {
        // mosquitto looks at CAs and what they took back only where it asks for certificates.
        let of_clients = matches!(option, "client_ca" | "crl");
        if let Some(file) = values.text(name).filter(|_| required || !of_clients) {
            writer.text(option, &around.path(file), values.place(name));
        }
    }
    if required {
        let place = values.place("require_certificate");
        writer.text("client_certificates", "required", place);
    }
    for (name, from) in
        [("use_identity_as_username", "common_name"), ("use_subject_as_username", "subject")]
    {
        if values.flag(name) == Some(true) {
            writer.text("user_name_from", from, values.place(name));
            break;
        }
    }
    version_and_ciphers(values, writer, faults);
}

fn version_and_ciphers(values: &Values, writer: &mut Writer, faults: &mut Vec<Fault>) {
    if let (Some(version), Some(place)) = (values.text("tls_version"), values.place("tls_version"))
    {
        match version {
            "tlsv1.2" => writer.text("minimum_version", "1.2", Some(place)),
            "tlsv1.3" => writer.text("minimum_version", "1.3", Some(place)),
            other => faults.push(place.fault(format!("{other:?} must be tlsv1.2 or tlsv1.3"))),
        }
    }
    let names = ["ciphers", "ciphers_tls1.3"];
    let all: Vec<&str> = names.iter().filter_map(|name| values.text(name)).collect();
    let place: Option<&Place> = names.iter().find_map(|name| values.place(name));
    if !all.is_empty() {
        writer.text("ciphers", &all.join(":"), place);
    }
}
