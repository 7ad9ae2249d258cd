//! The configurations in the manual's pages on bridges are good, and those of a mosquitto.conf say
//! the same as the noctule.toml above them.

use anyhow::{Context, Result, ensure};
use noctule_server::config::{Bridge, BridgeTls, Config};
use noctule_tests::process;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The configurations in a page, in their order, each with its language.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut within = false;
    for line in page.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(_) if within => within = false,
            Some(language) => {
                within = true;
                blocks.push((language, String::new()));
            }
            None if within => {
                let (_, block) = blocks.last_mut().expect("it has begun");
                block.push_str(line);
                block.push('\n');
            }
            None => {}
        }
    }
    blocks.retain(|(language, _)| ["toml", "conf"].contains(language));
    blocks
}

/// Files that a mosquitto.conf names are looked for where the broker is started.
fn config(what: &str, file: &Path) -> Result<Output> {
    let folder = file.parent().context("a file in a folder")?;
    let mut command = Command::new(process::binary()?);
    Ok(command.args(["config", what]).arg(file).current_dir(folder).output()?)
}

/// Its only bridge, but for what is otherwise where nothing is said.
fn bridge(file: &Path) -> Result<Bridge> {
    let bridge = Config::load(file)?.bridges.first().cloned().context("a bridge")?;
    let usual = Bridge::default();
    Ok(Bridge {
        retry_secs_min: usual.retry_secs_min,
        retry_secs_max: usual.retry_secs_max,
        receive_maximum: usual.receive_maximum,
        reload: usual.reload,
        // Those are trusted that the system trusts, said or not, where there are no others.
        tls: BridgeTls { system_roots: false, ..bridge.tls },
        ..bridge
    })
}

/// A folder with the files that the examples name.
fn folder() -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(vec!["hut-7".into()])?.self_signed(&key)?;
    for name in ["hut-7.crt", "ca.crt"] {
        std::fs::write(folder.path().join(name), certificate.pem())?;
    }
    std::fs::write(folder.path().join("hut-7.key"), key.serialize_pem())?;
    Ok(folder)
}

#[test]
fn the_examples_of_the_manual_are_good() -> Result<()> {
    let folder = folder()?;
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for (name, examples, pairs) in [
        ("bridges.md", 2, 0),
        ("bridge-aws.md", 2, 1),
        ("bridge-azure.md", 4, 2),
        ("bridge-google.md", 2, 1),
    ] {
        let page = std::fs::read_to_string(docs.join(name)).context(name)?;
        let blocks = blocks(&page);
        ensure!(blocks.len() == examples, "{name} has {} examples", blocks.len());
        let (mut before, mut compared): (Option<PathBuf>, usize) = (None, 0);
        for (language, text) in blocks {
            let file = folder.path().join(format!("noctule.{language}"));
            std::fs::write(&file, &text)?;
            let checked = config("check", &file)?;
            ensure!(checked.status.success(), "{name}: {checked:?}\n{text}");
            if language == "conf" {
                let converted = config("convert", &file)?;
                ensure!(converted.status.success(), "{name}: {converted:?}");
                let file = folder.path().join("converted.toml");
                std::fs::write(&file, converted.stdout)?;
                let toml = before.take().context("one of ours goes before it")?;
                let (ours, theirs) = (bridge(&toml)?, bridge(&file)?);
                // mosquitto has no such bound.
                let same = ours == Bridge { rate_max: ours.rate_max, ..theirs.clone() };
                ensure!(same, "{name}:\n{ours:#?}\n{theirs:#?}");
                compared += 1;
            } else {
                before = Some(file);
            }
        }
        ensure!(compared == pairs, "{name}: {compared} of {pairs} were compared");
    }
    Ok(())
}
