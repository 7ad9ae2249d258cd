//! `memory_max` of `[limits]`: how much memory the process may take.

use super::options::{Opt, opt};
use super::value::{Value, parse_bytes, show_bytes};
use crate::memory::MemoryMax;
use toml::de::DeValue;

/// With less no broker does its work.
const BYTES_MIN: u64 = 16 << 20;

/// The options of `[limits]` that are for the process.
pub(super) const MEMORY: &[Opt<MemoryMax>] = &[opt!(
    "memory_max",
    "Memory of the whole process, as a number of bytes, or a share like \"75 %\" of what it may \
     have (by its control group, or of the machine), or \"none\". Near it things are shed in a \
     stated order: see the manual.",
    |memory| Box::new(memory)
)];

impl Value for &mut MemoryMax {
    fn show(&self) -> Option<String> {
        Some(match **self {
            MemoryMax::Percent(percent) => format!("\"{percent} %\""),
            MemoryMax::Bytes(bytes) => show_bytes(bytes),
            MemoryMax::None => "\"none\"".into(),
        })
    }

    fn set(&mut self, value: &DeValue<'_>) -> Result<(), String> {
        let wanted =
            "a number of bytes, like \"2 GiB\", a share like \"75 %\", or \"none\" expected";
        **self = match value.as_str().map(str::trim) {
            Some("none") => MemoryMax::None,
            Some(text) => match text.strip_suffix('%') {
                Some(percent) => {
                    let percent = percent.trim_end().parse().ok();
                    let percent = percent.filter(|it| (1..=100).contains(it));
                    MemoryMax::Percent(percent.ok_or("must lie between 1 % and 100 %")?)
                }
                None => of_bytes(parse_bytes(text).ok_or(wanted)?)?,
            },
            None => of_bytes(super::value::integer(value).ok_or(wanted)?)?,
        };
        Ok(())
    }
}

fn of_bytes(bytes: u64) -> Result<MemoryMax, String> {
    match bytes {
        0 => Ok(MemoryMax::None),
        BYTES_MIN.. => Ok(MemoryMax::Bytes(bytes)),
        _ => Err(format!("must be at least {} (or 0, which is \"none\")", show_bytes(BYTES_MIN))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn parsed(said: &str) -> Option<MemoryMax> {
        let text = format!("[limits]\nmemory_max = {said}\n");
        Config::parse("f", &text).ok().map(|config| config.memory_max)
    }

    #[test]
    fn what_is_said_is_shown_again() {
        for (said, max) in [
            ("\"2 GiB\"", MemoryMax::Bytes(2 << 30)),
            ("16_777_216", MemoryMax::Bytes(16 << 20)),
            ("0", MemoryMax::None),
            ("\"0\"", MemoryMax::None),
            ("\"none\"", MemoryMax::None),
            ("\"75 %\"", MemoryMax::Percent(75)),
            ("\"100%\"", MemoryMax::Percent(100)),
        ] {
            assert_eq!(parsed(said), Some(max), "{said}");
            let mut slot = max;
            let shown = Value::show(&&mut slot).unwrap();
            assert_eq!(parsed(&shown), Some(max), "{shown}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for said in
            ["-1", "1", "\"1 MiB\"", "\"0 %\"", "\"101 %\"", "\"%\"", "\"much\"", "true", "\"\""]
        {
            assert_eq!(parsed(said), None, "{said}");
        }
        assert_eq!(Config::default().memory_max, MemoryMax::Percent(75));
    }
}
