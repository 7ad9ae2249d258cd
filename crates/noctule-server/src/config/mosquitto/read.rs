//! What the lines say: of the broker, and of each listener.

use super::bridges::BridgeSaid;
use super::lines::{Line, Place};
use super::options::{self, Fate, Kind, Known, Scope};
use super::plugins::Plugins;
use super::value::{self, Value, Values};
use super::{Note, log::LogSaid};
use crate::config::Fault;
use std::collections::BTreeMap;

/// What a file says.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) global: Values,
    pub(super) listeners: Vec<ListenerSaid>,
    /// No option has said that there are listeners for others than this machine.
    pub(super) local_only: bool,
    pub(super) bridges: Vec<BridgeSaid>,
    pub(super) log: LogSaid,
    pub(super) notes: Vec<Note>,
}

/// What it says of a listener.
#[derive(Debug)]
pub(super) struct ListenerSaid {
    pub(super) place: Place,
    pub(super) port: u16,
    /// A host, or the path of a Unix socket with port 0.
    pub(super) host: Option<Box<str>>,
    pub(super) values: Values,
    pub(super) origins: Vec<Box<str>>,
}

/// Reads all lines, or says what is wrong with them.
pub(super) fn read(lines: &[Line]) -> Result<Said, Vec<Fault>> {
    let mut reader = Reader::default();
    for line in lines {
        if let Err(what) = reader.line(line) {
            reader.faults.push(line.place.fault(what));
        }
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    global: Values,
    listeners: Vec<ListenerSaid>,
    /// The one that `port` and `bind_address` are about.
    default_listener: Option<usize>,
    listens: bool,
    per_listener: bool,
    /// An option was said that `per_listener_settings` is about.
    security_said: bool,
    /// The last listener of each file.
    last: BTreeMap<usize, usize>,
    bridges: Vec<BridgeSaid>,
    plugins: Plugins,
    log: LogSaid,
    notes: Vec<Note>,
    faults: Vec<Fault>,
}

const LISTENER_FIRST: &str = "is about a listener: write it below one";
const BRIDGE_FIRST: &str = "is about a bridge: write it below a `connection`";

impl Reader {
    fn line(&mut self, line: &Line) -> Result<(), String> {
        let key = &*line.place.option;
        let Some(known) = options::find(key) else {
            return Err("is no option of mosquitto.conf".into());
        };
        if let Fate::Noted(why) = known.fate {
            self.notes.push(Note { place: line.place.clone(), text: why.into() });
        }
        match known.kind {
            Kind::Own => self.own(known, line),
            Kind::Flag
            | Kind::Number(_)
            | Kind::Text
            | Kind::LastText
            | Kind::Word(_)
            | Kind::Anything => self.simple(known, line),
        }
    }

    /// An option that has a value and that is all.
    fn simple(&mut self, known: &'static Known, line: &Line) -> Result<(), String> {
        let value = value::parse(known, &line.rest)?;
        if matches!(known.name(), "auto_id_prefix" | "listener_auto_id_prefix")
            && line.rest.len() > 50
        {
            return Err("must have 50 characters at most".into());
        }
        let values = self.values(known.scope, line)?;
        if matches!(known.kind, Kind::Text) && values.place(known.name()).is_some() {
            return Err("is there already".into());
        }
        values.set(known.name(), value, &line.place);
        Ok(())
    }

    /// Where the value of an option of a scope belongs to.
    fn values(&mut self, scope: Scope, line: &Line) -> Result<&mut Values, String> {
        let at = match scope {
            Scope::Bridge => return self.bridge().map(|bridge| &mut bridge.values),
            Scope::Global => None,
            Scope::Listener => Some(self.last(line)?),
            Scope::AnyListener => Some(self.last_or_default(line)),
            Scope::Security => {
                self.security_said = true;
                if self.per_listener { Some(self.last(line)?) } else { None }
            }
        };
        Ok(match at {
            Some(at) => &mut self.listeners[at].values,
            None => &mut self.global,
        })
    }

    fn bridge(&mut self) -> Result<&mut BridgeSaid, String> {
        self.bridges.last_mut().ok_or_else(|| BRIDGE_FIRST.into())
    }

    fn last(&self, line: &Line) -> Result<usize, String> {
        self.last.get(&line.part).copied().ok_or_else(|| LISTENER_FIRST.into())
    }

    fn last_or_default(&mut self, line: &Line) -> usize {
        match self.last.get(&line.part) {
            Some(at) => *at,
            None => self.default_listener(line),
        }
    }

    fn default_listener(&mut self, line: &Line) -> usize {
        let at = self.default_listener.unwrap_or_else(|| self.add(line, 1883, None));
        self.default_listener = Some(at);
        self.last.insert(line.part, at);
        at
    }

    fn add(&mut self, line: &Line, port: u16, host: Option<&str>) -> usize {
        let place = line.place.clone();
        let (host, values) = (host.map(Into::into), Values::default());
        self.listeners.push(ListenerSaid { place, port, host, values, origins: Vec::new() });
        self.listeners.len() - 1
    }

    fn own(&mut self, known: &'static Known, line: &Line) -> Result<(), String> {
        if line.rest.is_empty() {
            return Err("has no value".into());
        }
        match known.name() {
            "listener" => self.listener(line),
            "port" => {
                let port = port(&line.rest).filter(|port| *port > 0);
                let port = port.ok_or("must be a port between 1 and 65535")?;
                let at = self.default_listener(line);
                self.listeners[at].port = port;
                self.listeners[at].place = line.place.clone();
                self.listens = true;
                Ok(())
            }
            "bind_address" => {
                let at = self.default_listener(line);
                self.listens = true;
                match self.listeners[at].host.replace(line.rest.clone()) {
                    Some(_) => Err("is there already".into()),
                    None => Ok(()),
                }
            }
            "per_listener_settings" => self.per_listener_settings(line),
            "accept_protocol_versions" => {
                let at = self.last(line)?;
                let value = Value::Text(line.rest.clone());
                self.listeners[at].values.set(known.name(), value, &line.place);
                Ok(())
            }
            "websockets_origin" => {
                let at = self.last(line)?;
                self.listeners[at].origins.push(line.rest.clone());
                self.listeners[at].values.set(known.name(), Value::Flag(true), &line.place);
                Ok(())
            }
            "persistent_client_expiration" => {
                let word = line.rest.split(' ').next().unwrap_or_default();
                let secs = value::duration(word);
                let secs = secs.ok_or("must be a number with s, h, d, w, m or y, like 2w")?;
                self.global.set(known.name(), Value::Number(secs), &line.place);
                Ok(())
            }
            "log_dest" => self.log.destination(line),
            "log_type" => self.log.kind(line),
            "connection" => {
                self.bridges.push(BridgeSaid::new(line));
                Ok(())
            }
            "address" => self.bridge()?.address(line),
            "topic" => self.bridge()?.topic(line),
            "restart_timeout" => self.bridge()?.restart_timeout(line),
            _ => self.plugin(known.name(), line),
        }
    }

    fn listener(&mut self, line: &Line) -> Result<(), String> {
        let mut words = line.rest.split(' ').filter(|word| !word.is_empty());
        let port = words.next().and_then(port).ok_or("must begin with a port, 0 to 65535")?;
        let host = words.next().filter(|word| !word.starts_with('#'));
        if port == 0 && host.is_none() {
            return Err("port 0 needs the path of a Unix socket behind it".into());
        }
        let at = self.add(line, port, host);
        self.last.insert(line.part, at);
        self.listens = true;
        Ok(())
    }

    fn per_listener_settings(&mut self, line: &Line) -> Result<(), String> {
        // Once it is true it stays so, as with mosquitto.
        if self.per_listener {
            return Ok(());
        }
        self.per_listener = match line.rest.split(' ').next() {
            Some("true" | "1") => true,
            Some("false" | "0") => false,
            _ => return Err("must be true or false (or 1 or 0)".into()),
        };
        if self.per_listener && self.security_said {
            return Err("must stand before what it is about: passwords, rules, anonymous".into());
        }
        Ok(())
    }

    fn plugin(&mut self, name: &str, line: &Line) -> Result<(), String> {
        let at = match name {
            "plugin" if self.per_listener => Some(self.last(line)?),
            "plugin_use" => Some(self.last(line)?),
            _ => None,
        };
        self.security_said |= name != "plugin_load";
        self.plugins.line(name, line, at)
    }

    fn finish(mut self) -> Result<Said, Vec<Fault>> {
        let uses = std::mem::take(&mut self.plugins).finish(&mut self.faults);
        for plugin in uses {
            let values = match plugin.listener {
                Some(at) => &mut self.listeners[at].values,
                None => &mut self.global,
            };
            if values.place(plugin.option).is_some() {
                let what = format!("`{}` is there already, for the same clients", plugin.option);
                self.faults.push(plugin.place.fault(what));
            }
            values.set(plugin.option, Value::Text(plugin.file), &plugin.place);
        }
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        if !self.listens {
            for place in self.listeners.iter().flat_map(|it| it.values.places()) {
                let text = "has no effect: without `listener` there are the loopback listeners \
                            alone, and they have no options"
                    .into();
                self.notes.push(Note { place: place.clone(), text });
            }
            self.listeners.clear();
        }
        Ok(Said {
            global: self.global,
            listeners: self.listeners,
            bridges: self.bridges,
            local_only: !self.listens,
            log: self.log,
            notes: self.notes,
        })
    }
}

fn port(word: &str) -> Option<u16> {
    let word = word.split(' ').next()?;
    value::number(word).and_then(|number| u16::try_from(number).ok())
}
