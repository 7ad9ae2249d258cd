//! Writes the byte cases as seeds, one file each, into a folder per target: `seeds FOLDER`.

use std::fs;
use std::io::Result;
use std::path::Path;

use noctule_fuzz::broker::as_script;
use noctule_proto::cases::Case;
use noctule_proto::{Role, Version};

fn main() -> Result<()> {
    let home = std::env::args().nth(1).expect("the folder to write to");
    let home = Path::new(&home);
    for (at, case) in noctule_proto::cases::all().iter().enumerate() {
        for target in decoders(case) {
            write(&home.join(target), at, &case.bytes)?;
        }
        if case.sender == Role::Client && case.bytes.len() < 1024 {
            write(&home.join("broker"), at, &as_script(case))?;
        }
    }
    write_config(home)?;
    let topics = ["a/b\na/b", "a/+/c\na/b/c", "#\n$SYS/x", "$share/g/a/#\na", "+/+\n/"];
    for (at, topic) in topics.iter().enumerate() {
        write(&home.join("topic"), at, topic.as_bytes())?;
    }
    Ok(())
}

/// The sample whole, and each of its lines as if it were set.
fn write_config(home: &Path) -> Result<()> {
    let folder = home.join("config");
    let sample = noctule_server::config::sample();
    write(&folder, 0, sample.as_bytes())?;
    let mut table = String::new();
    for (at, line) in sample.lines().enumerate() {
        if line.starts_with('[') {
            table = format!("{line}\n");
        }
        write(&folder, at + 1, format!("{table}{line}\n").as_bytes())?;
    }
    Ok(())
}

/// The decoders that a case belongs to.
fn decoders(case: &Case) -> &'static [&'static str] {
    match case.version {
        Some(Version::V31) => &["decode_v31"],
        Some(Version::V311) => &["decode_v311"],
        Some(Version::V5) => &["decode_v5"],
        None => &["decode_v31", "decode_v311", "decode_v5"],
    }
}

fn write(folder: &Path, at: usize, bytes: &[u8]) -> Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(format!("case-{at}")), bytes)
}
