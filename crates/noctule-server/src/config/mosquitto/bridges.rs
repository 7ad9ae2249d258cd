//! A `connection` as a `[[bridge]]` table.

use super::Surroundings;
use super::lines::{Line, Place};
use super::read::Said;
use super::value::{self, Values};
use super::write::Writer;
use crate::config::Fault;
use crate::config::value::list;
use std::fmt::Write as _;

/// Port of the other broker, with TLS or without.
const PORT: u16 = 1883;

/// Seconds until a connection is tried again, at least and at most, if nothing is said.
const RETRY_SECS: (i64, i64) = (5, 30);

/// What is said of a bridge.
#[derive(Debug)]
pub(super) struct BridgeSaid {
    pub(super) place: Place,
    pub(super) name: Box<str>,
    pub(super) values: Values,
    addresses: Vec<(Box<str>, u16)>,
    addresses_place: Option<Place>,
    topics: Vec<Topic>,
    retry_secs: (i64, i64),
    stable_secs: Option<i64>,
}

#[derive(Debug)]
struct Topic {
    place: Place,
    filter: Box<str>,
    direction: Box<str>,
    qos: Box<str>,
    local_prefix: Box<str>,
    remote_prefix: Box<str>,
}

impl BridgeSaid {
    pub(super) fn new(line: &Line) -> BridgeSaid {
        BridgeSaid {
            place: line.place.clone(),
            name: line.rest.clone(),
            values: Values::default(),
            addresses: Vec::new(),
            addresses_place: None,
            topics: Vec::new(),
            retry_secs: RETRY_SECS,
            stable_secs: None,
        }
    }

    /// `address host[:port] ...`
    pub(super) fn address(&mut self, line: &Line) -> Result<(), String> {
        for word in line.rest.split(' ').filter(|word| !word.is_empty()) {
            self.addresses.push(host_and_port(word)?);
        }
        self.addresses_place = Some(line.place.clone());
        Ok(())
    }

    /// `topic pattern [out|in|both [qos [local-prefix [remote-prefix]]]]`
    pub(super) fn topic(&mut self, line: &Line) -> Result<(), String> {
        let words = words(&line.rest)?;
        let word = |at: usize, default: &str| -> Box<str> {
            words.get(at).map_or(default, String::as_str).into()
        };
        let topic = Topic {
            place: line.place.clone(),
            filter: word(0, ""),
            direction: word(1, "out"),
            qos: word(2, "0"),
            local_prefix: word(3, ""),
            remote_prefix: word(4, ""),
        };
        if !["out", "in", "both"].contains(&&*topic.direction) {
            return Err(format!("{:?} must be out, in or both", topic.direction));
        }
        if !["0", "1", "2"].contains(&&*topic.qos) {
            return Err(format!("{:?} must be a QoS: 0, 1 or 2", topic.qos));
        }
        self.topics.push(topic);
        Ok(())
    }

    /// `restart_timeout constant`, or `base cap [stable]`.
    pub(super) fn restart_timeout(&mut self, line: &Line) -> Result<(), String> {
        let numbers = line.rest.split(' ').filter(|word| !word.is_empty());
        let numbers = numbers.map(|word| value::number(word).filter(|secs| *secs > 0));
        let numbers: Option<Vec<i64>> = numbers.collect();
        match numbers.as_deref() {
            Some([constant]) => self.retry_secs = (*constant, *constant),
            Some([base, cap]) if base <= cap => self.retry_secs = (*base, *cap),
            Some([base, cap, stable]) if base <= cap => {
                (self.retry_secs, self.stable_secs) = ((*base, *cap), Some(*stable));
            }
            _ => return Err("must be one number of seconds, or two or three, growing".into()),
        }
        Ok(())
    }

    fn has_tls(&self) -> bool {
        let file = ["bridge_cafile", "bridge_capath"];
        file.iter().any(|name| self.values.text(name).is_some())
            || self.values.flag("bridge_tls_use_os_certs") == Some(true)
    }
}

/// Words, of which some stand in quotes.
fn words(rest: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = rest.trim_start();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("a quote is not closed")?,
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

/// `host`, `host:port`, `[address]:port`.
fn host_and_port(word: &str) -> Result<(Box<str>, u16), String> {
    let (host, port) = match word.rsplit_once(':') {
        // More than one colon is an address of IPv6, unless it stands in brackets.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (word, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = match port {
        None => Some(PORT),
        Some(port) => value::number(port).and_then(|it| u16::try_from(it).ok()),
    };
    match port.filter(|port| *port > 0 && !host.is_empty()) {
        Some(port) => Ok((host.into(), port)),
        None => Err(format!("{word:?} must be a host, or host:port")),
    }
}

/// Writes all of them.
pub(super) fn write(
    said: &Said,
    around: &Surroundings,
    writer: &mut Writer,
    faults: &mut Vec<Fault>,
) {
    for (at, bridge) in said.bridges.iter().enumerate() {
        if said.bridges[..at].iter().any(|it| it.name == bridge.name) {
            faults.push(bridge.place.fault("is there already"));
        }
        one(said, bridge, around, writer);
    }
}

fn one(said: &Said, bridge: &BridgeSaid, around: &Surroundings, writer: &mut Writer) {
    let values = &bridge.values;
    writer.table("[[bridge]]", Some(&bridge.place));
    writer.text("name", &bridge.name, Some(&bridge.place));
    let scheme = if bridge.has_tls() { "mqtts" } else { "mqtt" };
    let url = |(host, port): &(Box<str>, u16)| {
        let mut url = format!("{scheme}://");
        match host.contains(':') {
            true => write!(url, "[{host}]:{port}"),
            false => write!(url, "{host}:{port}"),
        }
        .expect("writing to a String cannot fail");
        url
    };
    let place = bridge.addresses_place.as_ref();
    writer.put("addresses", list(bridge.addresses.iter().map(url)), place);
    let name = "bridge_protocol_version";
    let version = match values.text(name) {
        Some("mqttv31") => "3.1",
        Some("mqttv50") => "5.0",
        _ => "3.1.1",
    };
    writer.text("version", version, values.place(name));
    for (name, option) in [
        ("remote_clientid", "client_id"),
        ("remote_username", "user_name"),
        ("remote_password", "password"),
        ("local_clientid", "local_client_id"),
        ("local_username", "local_user_name"),
        ("start_type", "start"),
        ("notification_topic", "notification_topic"),
        ("bridge_bind_address", "bind"),
    ] {
        if let Some(text) = values.text(name) {
            writer.text(option, text, values.place(name));
        }
    }
    let name = "bridge_reload_type";
    writer.text("reload", values.text(name).unwrap_or("lazy"), values.place(name));
    flags(values, writer);
    numbers(said, bridge, writer);
    if bridge.has_tls() {
        tls(values, around, writer);
    }
    for topic in &bridge.topics {
        writer.line("[[bridge.topic]]", Some(&topic.place));
        writer.text("filter", &topic.filter, Some(&topic.place));
        writer.text("direction", &topic.direction, Some(&topic.place));
        writer.put("qos", &topic.qos, Some(&topic.place));
        writer.text("local_prefix", &topic.local_prefix, Some(&topic.place));
        writer.text("remote_prefix", &topic.remote_prefix, Some(&topic.place));
    }
}

fn flags(values: &Values, writer: &mut Writer) {
    for (name, option) in [
        ("cleansession", "clean_start"),
        ("local_cleansession", "local_clean_start"),
        ("round_robin", "round_robin"),
        ("try_private", "bridge_bit"),
        ("bridge_attempt_unsubscribe", "unsubscribe"),
        ("bridge_outgoing_retain", "outgoing_retain"),
    ] {
        if let Some(flag) = values.flag(name) {
            writer.put(option, flag, values.place(name));
        }
    }
    let all = "notifications_local_only";
    let (whom, place) = match values.flag("notifications") {
        Some(false) => ("none", values.place("notifications")),
        _ if values.flag(all) == Some(true) => ("local", values.place(all)),
        _ => ("both", values.place("notifications")),
    };
    writer.text("notifications", whom, place);
}

fn numbers(said: &Said, bridge: &BridgeSaid, writer: &mut Writer) {
    let values = &bridge.values;
    for (name, option) in [
        ("keepalive_interval", "keep_alive_secs"),
        ("idle_timeout", "idle_secs"),
        ("threshold", "threshold"),
        ("bridge_session_expiry_interval", "session_expiry_secs"),
    ] {
        if let Some(number) = values.number(name) {
            writer.put(option, number, values.place(name));
        }
    }
    let place = values.place("restart_timeout");
    let (least, most) = bridge.retry_secs;
    writer.put("retry_secs_min", least, place);
    writer.put("retry_secs_max", most, place);
    if let Some(secs) = bridge.stable_secs {
        writer.put("stable_secs", secs, place);
    }
    let name = "bridge_max_packet_size";
    if let Some(size) = values.number(name).filter(|size| *size > 0) {
        writer.put("packet_size_max", size.min(268_435_460), values.place(name));
    }
    let name = "bridge_receive_maximum";
    let usual = said.global.number("max_inflight_messages").unwrap_or(20);
    let most = values.number(name).unwrap_or(usual);
    let most = if (1..65_535).contains(&most) { most } else { 65_535 };
    writer.put("receive_maximum", most, values.place(name));
}

fn tls(values: &Values, around: &Surroundings, writer: &mut Writer) {
    writer.line("[bridge.tls]", None);
    for (name, option) in [
        ("bridge_cafile", "ca"),
        ("bridge_capath", "ca_folder"),
        ("bridge_certfile", "certificate"),
        ("bridge_keyfile", "key"),
    ] {
        if let Some(file) = values.text(name) {
            writer.text(option, &around.path(file), values.place(name));
        }
    }
    for (name, option) in
        [("bridge_tls_use_os_certs", "system_roots"), ("bridge_insecure", "any_host_name")]
    {
        if let Some(flag) = values.flag(name) {
            writer.put(option, flag, values.place(name));
        }
    }
    let name = "bridge_tls_version";
    if let Some(version) = values.text(name) {
        writer.put("v13_only", version == "tlsv1.3", values.place(name));
    }
    if let Some(protocol) = values.text("bridge_alpn") {
        writer.put("alpn", list([protocol]), values.place("bridge_alpn"));
    }
    let both = ["bridge_ciphers", "bridge_ciphers_tls1.3"];
    let named = both.iter().filter_map(|name| values.text(name));
    let names: Vec<&str> =
        named.flat_map(|names| names.split([':', ','])).filter(|it| !it.is_empty()).collect();
    if !names.is_empty() {
        let place = both.iter().find_map(|name| values.place(name));
        writer.put("ciphers", list(names), place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_maybe_a_port() {
        for (word, wanted) in [
            ("hub", Some(("hub", 1883))),
            ("hub:8883", Some(("hub", 8883))),
            ("[::1]:1884", Some(("::1", 1884))),
            ("::1", Some(("::1", 1883))),
            ("[::1]", Some(("::1", 1883))),
            ("hub:0", None),
            ("hub:x", None),
            (":1883", None),
        ] {
            let wanted = wanted.map(|(host, port)| (Box::from(host), port));
            assert_eq!(host_and_port(word).ok(), wanted, "{word}");
        }
    }

    #[test]
    fn words_may_stand_in_quotes() {
        assert_eq!(words("a  out 1 \"\" \"b c/\"").unwrap(), ["a", "out", "1", "", "b c/"]);
        assert!(words("\"a").is_err());
        assert!(words("").unwrap().is_empty());
    }
}
