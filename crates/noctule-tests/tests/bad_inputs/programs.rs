//! Programs that connect once, and what they print of it.

use anyhow::{Context, Result, ensure};
use noctule_tests::driver::{self, Needs};
use noctule_tests::process;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What a client shows.
#[derive(Clone, Copy, Default)]
pub(crate) struct Shown<'a> {
    /// Where the files are.
    pub(crate) folder: Option<&'a Path>,
    /// Certificate and key, by their name in the folder.
    pub(crate) certificate: Option<&'a str>,
    pub(crate) user_name: Option<&'a str>,
    pub(crate) password: Option<&'a str>,
}

/// MQTT 3.1.1, a clean session, a client id that the broker chooses.
const CONNECT: [u8; 14] = [0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 0];

/// openssl's client, by TLS 1.3: the alert, or what it does not believe, or `accepted`.
pub(crate) fn openssl(address: SocketAddr, shown: Shown<'_>) -> Result<String> {
    let folder = shown.folder.context("where its files are")?;
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-tls1_3", "-verify_return_error", "-CAfile", "ca.crt"]);
    command.args(["-connect", &address.to_string(), "-verify_hostname", "localhost"]);
    if let Some(name) = shown.certificate {
        command.args(["-cert", &format!("{name}.crt"), "-key", &format!("{name}.key")]);
    }
    let mut child = command
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("openssl")?;
    let mut input = child.stdin.take().context("the pipe was asked for")?;
    // It may have ended already, and says why.
    drop(input.write_all(&CONNECT));
    let mut answer = [0; 4];
    let mut output = child.stdout.take().context("the pipe was asked for")?;
    let accepted = std::io::Read::read_exact(&mut output, &mut answer).is_ok();
    drop(input);
    drop(child.kill());
    let errors = BufReader::new(child.stderr.take().context("the pipe was asked for")?);
    let lines: Vec<String> = errors.lines().collect::<std::io::Result<_>>()?;
    child.wait()?;
    if accepted {
        return Ok("accepted".to_owned());
    }
    let after = |mark: &str| lines.iter().find_map(|line| Some(line.split_once(mark)?.1));
    let said = after("SSL alert number ").map(|number| format!("alert {number}"));
    let said = said.or_else(|| after("verify error:").map(str::to_owned));
    Ok(said.unwrap_or_else(|| lines.join("\n")))
}

/// Each paho-mqtt that is here, by one version of MQTT.
pub(crate) fn paho(address: SocketAddr, version: &str, shown: Shown<'_>) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for program in [Needs::Paho1, Needs::Paho2].into_iter().filter_map(Needs::program) {
        let mut command = Command::new(program);
        command.arg(driver::clients_directory().join("paho/refused.py"));
        command.args(["localhost", &address.port().to_string(), version]);
        let mut given = |name: &str, value: &str| {
            command.arg(format!("{name}={value}"));
        };
        if shown.folder.is_some() {
            given("ca", "ca.crt");
        }
        for (name, value) in
            [("own", shown.certificate), ("user", shown.user_name), ("password", shown.password)]
        {
            value.iter().for_each(|value| given(name, value));
        }
        command.current_dir(shown.folder.unwrap_or(Path::new(".")));
        let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output()?;
        ensure!(output.status.success(), "{}", text(&output));
        // It warns on stderr of its own ways.
        said.push(String::from_utf8(output.stdout)?.trim().to_owned());
    }
    Ok(said)
}

/// mosquitto_pub, and `noctule pub`, by one version of MQTT: exit code and what is printed.
pub(crate) fn publishers(
    address: SocketAddr,
    version: &str,
    shown: Shown<'_>,
) -> Result<[String; 2]> {
    let theirs = PathBuf::from("mosquitto_pub");
    let ours = process::binary()?;
    let run = |program: &Path, word: Option<&str>| -> Result<String> {
        let mut command = Command::new(program);
        command.args(word).args(["-h", "localhost", "-p", &address.port().to_string()]);
        command.args(["-V", version, "-q", "1", "-t", "a", "-m", "b", "-i", "refused"]);
        if shown.folder.is_some() {
            // In TLS 1.3 a client may be told only once it has said everything.
            command.args(["--cafile", "ca.crt", "--tls-version", "tlsv1.2"]);
        }
        if let Some(name) = shown.certificate {
            command.args(["--cert", &format!("{name}.crt"), "--key", &format!("{name}.key")]);
        }
        for (flag, value) in [("-u", shown.user_name), ("-P", shown.password)] {
            command.args(value.iter().flat_map(|value| [flag, value]));
        }
        command.current_dir(shown.folder.unwrap_or(Path::new(".")));
        let output = command.output().with_context(|| format!("{}", program.display()))?;
        Ok(format!("{} {}", output.status.code().unwrap_or(-1), text(&output)))
    };
    Ok([run(&theirs, None)?, run(&ours, Some("pub"))?])
}

/// What a program has printed, in one line.
pub(crate) fn text(output: &Output) -> String {
    let bytes = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(str::trim).collect::<Vec<_>>().join(" / ")
}
