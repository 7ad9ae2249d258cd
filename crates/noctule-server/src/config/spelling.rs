//! How the file writes networks, versions, interfaces and mount points.

use super::value::{Value, list, texts};
use crate::cidr::Cidr;
use noctule_core::limits::Versions;
use noctule_proto::text::is_clean;
use noctule_proto::{TopicName, Version};
use toml::de::DeValue;

/// Longest name of a network interface, bytes.
const INTERFACE_LEN_MAX: usize = 15;

/// Versions of MQTT by their names.
const VERSIONS: [(&str, Version); 3] =
    [("3.1", Version::V31), ("3.1.1", Version::V311), ("5.0", Version::V5)];

impl Value for &mut Vec<Cidr> {
    fn show(&self) -> Option<String> {
        Some(list(self.iter().map(Cidr::to_string)))
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        let wanted = "a list of networks expected, like [\"10.0.0.0/8\", \"::1\"]";
        let texts = texts(value).ok_or(wanted)?;
        **self = texts.into_iter().map(str::parse).collect::<Result<_, String>>()?;
        Ok(())
    }
}

impl Value for &mut Versions {
    fn show(&self) -> Option<String> {
        let served = VERSIONS.iter().filter(|(_, version)| self.contains(*version));
        Some(list(served.map(|(name, _)| name)))
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        let wanted = "a list of \"3.1\", \"3.1.1\" and \"5.0\" expected";
        let version = |text: &str| {
            let text = if text == "5" { "5.0" } else { text };
            VERSIONS.iter().find(|(name, _)| *name == text).map(|(_, version)| *version)
        };
        let versions: Option<Vec<Version>> =
            texts(value).and_then(|all| all.into_iter().map(version).collect());
        let versions = versions.filter(|all| !all.is_empty()).ok_or(wanted)?;
        **self = Versions::of(&versions);
        Ok(())
    }
}

/// The name of a network interface, or not set.
pub(super) fn interface(slot: &mut Option<Box<str>>) -> Box<dyn Value + '_> {
    struct Interface<'a>(&'a mut Option<Box<str>>);
    impl Value for Interface<'_> {
        fn show(&self) -> Option<String> {
            self.0.as_ref().map(|name| format!("\"{name}\""))
        }
        fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
            let fits = |name: &&str| {
                (1..=INTERFACE_LEN_MAX).contains(&name.len())
                    && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"/\"\\".contains(&byte))
            };
            let name = value.as_str().filter(fits);
            let name = name.ok_or("the name of a network interface expected, like \"eth0\"")?;
            if !cfg!(target_os = "linux") {
                return Err("is for Linux alone: name the interface's address in `bind`".into());
            }
            *self.0 = Some(name.into());
            Ok(())
        }
    }
    Box::new(Interface(slot))
}

/// What assigned client ids begin with, or not set.
pub(super) fn id_prefix(slot: &mut Option<Box<str>>) -> Box<dyn Value + '_> {
    struct Prefix<'a>(&'a mut Option<Box<str>>);
    impl Value for Prefix<'_> {
        fn show(&self) -> Option<String> {
            self.0.as_deref().map(super::value::quoted)
        }
        fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
            let text = value.as_str().ok_or("text in quotes expected")?;
            check_id_prefix(text)?;
            *self.0 = Some(text.into());
            Ok(())
        }
    }
    Box::new(Prefix(slot))
}

/// Whether text can be the beginning of client ids.
pub(super) fn check_id_prefix(text: &str) -> Result<(), String> {
    if text.len() > 64 || text.contains(['+', '#', '/']) || !is_clean(text) {
        let wanted = "at most 64 bytes without `+`, `#`, `/` and control characters expected";
        return Err(wanted.into());
    }
    Ok(())
}

/// Whether text can be the beginning of topics.
pub(super) fn check_mount_point(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    if let Err(error) = TopicName::parse(text) {
        return Err(format!("{error}; the beginning of a topic name expected, like \"site/\""));
    }
    if !text.ends_with('/') {
        return Err(format!("must end with /, as \"{text}/\": a filter like # goes behind it"));
    }
    if ["$SYS/", "$share/"].iter().any(|own| text.starts_with(own)) {
        return Err("must not lie under $SYS/ or $share/, which mean something already".into());
    }
    Ok(())
}
