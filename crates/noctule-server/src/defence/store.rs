//! The bans in a file, which survives a restart: written anew as a whole, and put in place of the
//! old one when it is on the disk.

use super::bans::{Ban, Bans, Subject};
use noctule_core::{Tenant, Time};
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Its name, in the directory of the store.
const NAME: &str = "bans.json";

/// Where bans are kept.
pub(crate) struct BanFile(PathBuf);

impl BanFile {
    pub(crate) fn in_directory(directory: &Path) -> BanFile {
        BanFile(directory.join(NAME))
    }

    /// What an earlier run left. A file that cannot be understood is put aside: a broker that does
    /// not start for it would be worse than one that lets somebody in.
    pub(crate) fn load(&self) -> Bans {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Bans::default(),
            Err(error) => {
                tracing::error!("{}: no bans, it cannot be read: {error}", self.0.display());
                return Bans::default();
            }
        };
        parse(&text).unwrap_or_else(|why| {
            let aside = self.0.with_extension("json.damaged");
            let moved = fs::rename(&self.0, &aside);
            let (file, aside) = (self.0.display(), aside.display());
            match moved {
                Ok(()) => tracing::error!("{file}: no bans, {why}; it is {aside} now"),
                Err(error) => tracing::error!("{file}: no bans, {why}; it stays there: {error}"),
            }
            Bans::default()
        })
    }

    pub(crate) fn save(&self, bans: &Bans) -> io::Result<()> {
        let new = self.0.with_extension("json.new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        file.write_all(format!("{:#}\n", to_json(bans)).as_bytes())?;
        file.sync_all()?;
        drop(file);
        fs::rename(&new, &self.0)?;
        #[cfg(unix)]
        if let Some(directory) = self.0.parent() {
            fs::File::open(directory)?.sync_all()?;
        }
        Ok(())
    }
}

/// All bans, as the file and the admin listener have them.
pub(crate) fn to_json(bans: &Bans) -> Value {
    let all = bans.sorted();
    let all: Vec<Value> = all.into_iter().map(|(subject, ban)| one(subject, ban)).collect();
    json!({ "version": 1, "bans": all })
}

fn one(subject: &Subject, ban: &Ban) -> Value {
    json!({
        "kind": subject.kind(),
        "name": subject.name(),
        "tenant": subject.tenant().0,
        "until_millis": ban.until.map(|until| until.0),
        "why": &*ban.why,
        "by": &*ban.by,
    })
}

fn parse(text: &str) -> Result<Bans, String> {
    let root: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if root["version"] != 1 {
        return Err("its version is not 1".into());
    }
    let mut bans = Bans::default();
    for entry in root["bans"].as_array().ok_or("it has no list of bans")? {
        let (subject, ban) = parse_one(entry)?;
        bans.add(subject, ban);
    }
    Ok(bans)
}

/// Whom an entry means.
pub(crate) fn parse_subject(entry: &Value) -> Result<Subject, String> {
    let text = |name: &str| entry[name].as_str().ok_or_else(|| format!("`{name}` is missing"));
    let tenant = match &entry["tenant"] {
        Value::Null => Some(0),
        tenant => tenant.as_u64().and_then(|tenant| u16::try_from(tenant).ok()),
    };
    let tenant = tenant.ok_or("`tenant` is no number from 0 to 65535")?;
    Subject::parse(text("kind")?, text("name")?, Tenant(tenant))
}

fn parse_one(entry: &Value) -> Result<(Subject, Ban), String> {
    let text = |name: &str| entry[name].as_str().ok_or_else(|| format!("`{name}` is missing"));
    let until = match &entry["until_millis"] {
        Value::Null => None,
        until => Some(Time(until.as_u64().ok_or("`until_millis` is no number")?)),
    };
    let ban = Ban { until, why: text("why")?.into(), by: text("by")?.into() };
    Ok((parse_subject(entry)?, ban))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("noctule-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn what_is_saved_is_loaded_and_only_its_owner_may_read_it() {
        let home = directory("bans");
        let file = BanFile::in_directory(&home);
        assert_eq!(file.load().len(), 0);
        let mut bans = Bans::default();
        for (kind, name, tenant) in
            [("address", "10.0.0.0/8", 0), ("client", "a\"\n b", 7), ("user", "änn", 0)]
        {
            let subject = Subject::parse(kind, name, Tenant(tenant)).unwrap();
            let until = (kind == "user").then_some(Time(1 << 50));
            bans.add(subject, Ban { until, why: "why".into(), by: "who".into() });
        }
        file.save(&bans).unwrap();
        file.save(&bans).unwrap();
        assert_eq!(file.load().sorted(), bans.sorted());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(home.join(NAME)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn a_file_of_no_use_is_put_aside() {
        let home = directory("bans-damaged");
        for text in [
            "",
            "{",
            "[]",
            r#"{"version":2,"bans":[]}"#,
            r#"{"version":1}"#,
            r#"{"version":1,"bans":[{"kind":"address","name":"x","why":"","by":""}]}"#,
            r#"{"version":1,"bans":[{"kind":"user","name":"x","why":"","by":"","tenant":-1}]}"#,
        ] {
            fs::write(home.join(NAME), text).unwrap();
            assert_eq!(BanFile::in_directory(&home).load().len(), 0, "{text}");
            assert!(!home.join(NAME).exists() && home.join("bans.json.damaged").exists(), "{text}");
        }
        fs::remove_dir_all(home).unwrap();
    }
}
