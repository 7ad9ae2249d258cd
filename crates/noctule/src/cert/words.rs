//! What was made, and the lines that use it, ready to be copied.

use super::leaf::{Leaf, Pair, server_file};
use super::name::ServerName;
use super::{Made, authority, files, leaf};
use std::path::Path;

/// Port of MQTT over TLS.
const PORT: u16 = 8883;

/// An account of a run.
pub(super) struct Account<'a> {
    pub(super) dir: &'a Path,
    pub(super) made: &'a Made,
    /// Whether there is a certificate of a server, of this run or another.
    pub(super) has_server: bool,
}

impl Account<'_> {
    pub(super) fn text(&self) -> String {
        let mut text = self.files();
        if self.has_server {
            text += &self.configuration();
        }
        text + &self.command()
    }

    /// A line for each file.
    fn files(&self) -> String {
        let authority = &self.made.authority;
        let end = authority.until.date();
        let mut lines = Vec::new();
        let [certificate, key] = files::pair(self.dir, authority::STEM);
        if authority.made.is_some() {
            lines.push((certificate, format!("CA, until {end}: what clients trust")));
            lines.push((key, "keep it secret: who has it can pretend to be anyone".to_owned()));
        } else {
            lines.push((certificate, format!("CA, until {end}: was there, and is used")));
        }
        for (leaf, pair) in &self.made.leaves {
            let [certificate, key] = files::pair(self.dir, leaf.stem());
            lines.push((certificate, self.about(leaf, pair)));
            lines.push((key, "its key: readable by its owner only".to_owned()));
        }
        let lines: Vec<_> = lines.iter().map(|(path, about)| (display(path), about)).collect();
        let width = lines.iter().map(|(path, _)| path.chars().count()).max().unwrap_or_default();
        lines.iter().map(|(path, about)| format!("{path:width$}  {about}\n")).collect()
    }

    fn about(&self, leaf: &Leaf, pair: &Pair) -> String {
        let whose = match leaf {
            Leaf::Server(names) => {
                names.iter().map(ServerName::to_string).collect::<Vec<_>>().join(", ")
            }
            Leaf::Client(name) => format!("client {name}"),
        };
        let end = pair.until.date();
        let cut = if pair.until == self.made.authority.until { ", as its CA" } else { "" };
        format!("{whose}; until {end}{cut}")
    }

    fn configuration(&self) -> String {
        let [certificate, key] = files::pair(self.dir, leaf::SERVER_STEM);
        let mut text = format!(
            "\n# noctule.toml; with bind = \"0.0.0.0\" it listens to other machines too:\n\
             [[listener]]\nport = {PORT}\n\n[listener.tls]\n\
             certificate = {}\nkey = {}\n",
            toml(&absolute(&certificate)),
            toml(&absolute(&key))
        );
        if self.client().is_some() {
            let [authority, _] = files::pair(self.dir, authority::STEM);
            let authority = toml(&absolute(&authority));
            text += &format!("client_ca = {authority}\nclient_certificates = \"required\"\n");
        } else {
            text += "client_certificates = \"none\"\n";
        }
        text
    }

    fn command(&self) -> String {
        let [authority, _] = files::pair(self.dir, authority::STEM);
        let mut text = match self.host() {
            Some(_) => "\n# A client:\n".to_owned(),
            None => format!(
                "\n# A client; HOST is a name that stands in {}:\n",
                display(&server_file(self.dir))
            ),
        };
        text += &format!("noctule sub --cafile {}", shell(&absolute(&authority)));
        if let Some(client) = self.client() {
            let [certificate, key] = files::pair(self.dir, client);
            let (certificate, key) = (absolute(&certificate), absolute(&key));
            text += &format!(" --cert {} --key {}", shell(&certificate), shell(&key));
        }
        let host = self.host().unwrap_or_else(|| "HOST".to_owned());
        text + &format!(" -h {host} -p {PORT} -t '#' -v\n")
    }

    /// The first client.
    fn client(&self) -> Option<&str> {
        self.made.leaves.iter().find_map(|(leaf, _)| match leaf {
            Leaf::Client(name) => Some(name.as_str()),
            Leaf::Server(_) => None,
        })
    }

    /// The first name of the server that stands for one machine.
    fn host(&self) -> Option<String> {
        let names = self.made.leaves.iter().find_map(|(leaf, _)| match leaf {
            Leaf::Server(names) => Some(names),
            Leaf::Client(_) => None,
        })?;
        names.iter().map(ServerName::to_string).find(|name| !name.starts_with('*'))
    }
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

/// A path that holds wherever the line is copied to.
fn absolute(path: &Path) -> String {
    display(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}

/// The text as a basic string of TOML.
fn toml(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted += &format!("\\u{:04X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The text as one word of a shell.
fn shell(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@,".contains(c);
    if text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_the_place_they_are_copied_to() {
        assert_eq!(toml("C:\\a \"b\"\n"), r#""C:\\a \"b\"\u000A""#);
        assert_eq!(shell("/home/a-b/ärger_1.crt"), "/home/a-b/ärger_1.crt");
        assert_eq!(shell("/it's $here"), r"'/it'\''s $here'");
    }
}
