//! mosquitto's plugins: some of its own are what options are too, `password_file`, `acl_file` and
//! `[dynamic_security]`.

use super::lines::{Line, Place};
use crate::config::Fault;
use std::collections::BTreeMap;

/// What takes the place of a plugin that is used.
#[derive(Debug)]
pub(super) struct Use {
    /// The option: `password_file`, `acl_file`, or one of [`DYNSEC`].
    pub(super) option: &'static str,
    pub(super) file: Box<str>,
    pub(super) place: Place,
    /// For that listener; `None`: for all.
    pub(super) listener: Option<usize>,
}

/// What the options of `[dynamic_security]` are called among those of the file, which has none.
pub(super) const DYNSEC: [&str; 2] =
    ["dynamic_security.file", "dynamic_security.password_init_file"];

/// The plugins of mosquitto that noctule takes the place of: the options of each, the first of
/// which it needs, and what they are here.
const OWN: [(&str, &[(&str, &str)]); 3] = [
    ("mosquitto_password_file", &[("password_file", "password_file")]),
    ("mosquitto_acl_file", &[("acl_file", "acl_file")]),
    (
        "mosquitto_dynamic_security",
        &[("config_file", DYNSEC[0]), ("password_init_file", DYNSEC[1])],
    ),
];

#[derive(Debug)]
struct Plugin {
    name: Option<Box<str>>,
    place: Place,
    options: &'static [(&'static str, &'static str)],
    /// What is said of each option.
    said: Vec<(&'static str, Box<str>)>,
    used: Vec<Option<usize>>,
}

/// The plugins of a file.
#[derive(Default, Debug)]
pub(super) struct Plugins {
    all: Vec<Plugin>,
    /// The last one of each file.
    last: BTreeMap<usize, usize>,
}

impl Plugins {
    /// A line about plugins, and the listener that it is about.
    pub(super) fn line(
        &mut self,
        option: &str,
        line: &Line,
        listener: Option<usize>,
    ) -> Result<(), String> {
        match option {
            "plugin_load" => {
                let (name, path) = line.rest.split_once(' ').unwrap_or((&line.rest, ""));
                let at = self.load(line, Some(name), path.trim())?;
                self.last.insert(line.part, at);
                Ok(())
            }
            "plugin_use" => {
                let named = |it: &Plugin| it.name.as_deref() == Some(&*line.rest);
                let at = self.all.iter().position(named).ok_or("names no plugin that is loaded")?;
                self.all[at].used.push(listener);
                self.last.insert(line.part, at);
                Ok(())
            }
            "plugin_opt_" => self.option(line),
            _ => {
                let path = line.rest.split(' ').next().unwrap_or_default();
                let at = self.load(line, None, path)?;
                self.all[at].used.push(listener);
                self.last.insert(line.part, at);
                Ok(())
            }
        }
    }

    fn load(&mut self, line: &Line, name: Option<&str>, path: &str) -> Result<usize, String> {
        let file = path.rsplit('/').next().unwrap_or_default();
        let stem = file.split('.').next().unwrap_or_default();
        if stem == "mosquitto_persist_sqlite" {
            return Err(format!(
                "{path:?}: write `persistence true` instead, and bring what it has kept by \
                 `noctule import`"
            ));
        }
        let Some((_, options)) = OWN.iter().find(|(it, _)| *it == stem) else {
            return Err(format!(
                "{path:?} cannot be loaded: noctule has no plugins, and takes the place of \
                 mosquitto_password_file, mosquitto_acl_file and mosquitto_dynamic_security \
                 alone; see `[webhook]`, `[jwt]` and roles for others"
            ));
        };
        if name.is_some() && self.all.iter().any(|it| it.name.as_deref() == name) {
            return Err("has a name that another plugin has already".into());
        }
        let (name, place) = (name.map(Into::into), line.place.clone());
        let (said, used) = (Vec::new(), Vec::new());
        self.all.push(Plugin { name, place, options, said, used });
        Ok(self.all.len() - 1)
    }

    fn option(&mut self, line: &Line) -> Result<(), String> {
        let key = &*line.place.option;
        let key = key.strip_prefix("plugin_opt_").or_else(|| key.strip_prefix("auth_opt_"));
        let at = self.last.get(&line.part).copied();
        let plugin = &mut self.all[at.ok_or("is about a plugin: write it below one")?];
        let Some((_, option)) = plugin.options.iter().find(|(name, _)| Some(*name) == key) else {
            let all = plugin.options.iter().map(|(name, _)| format!("`plugin_opt_{name}`"));
            let all = all.collect::<Vec<_>>().join(" and ");
            return Err(format!("{all} is all that this plugin has"));
        };
        plugin.said.retain(|(said, _)| said != option);
        plugin.said.push((option, line.rest.clone()));
        Ok(())
    }

    /// What the plugins come to.
    pub(super) fn finish(self, faults: &mut Vec<Fault>) -> Vec<Use> {
        let mut uses = Vec::new();
        for plugin in self.all {
            let (name, needed) = plugin.options[0];
            if !plugin.said.iter().any(|(said, _)| *said == needed) {
                let what = format!("needs `plugin_opt_{name}`");
                faults.push(plugin.place.fault(what));
                continue;
            }
            if needed == DYNSEC[0] && plugin.used.iter().any(Option::is_some) {
                let what = "is for all listeners here: load it with `global_plugin`";
                faults.push(plugin.place.fault(what));
                continue;
            }
            for listener in plugin.used {
                uses.extend(plugin.said.iter().map(|(option, file)| Use {
                    option,
                    file: file.clone(),
                    place: plugin.place.clone(),
                    listener,
                }));
            }
        }
        uses
    }
}
