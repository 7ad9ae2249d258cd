//! Tokens, in the password of a client.

use crate::programs::{Shown, paho, publishers};
use crate::signer::{Signer, coded, in_secs, key_set, with_secret};
use anyhow::{Result, ensure};
use noctule_tests::driver::Needs;
use noctule_tests::process::{BrokerProcess, target_directory};

const HS256: &str = r#"{"alg":"HS256"}"#;

fn claims(secs: i64) -> String {
    format!(r#"{{"iss":"joe","aud":"mqtt","sub":"ann","exp":{}}}"#, in_secs(secs))
}

#[test]
fn of_every_kind() -> Result<()> {
    if Needs::MosquittoClients.program().is_none() {
        return Ok(());
    }
    let (known, unknown) = (Signer::new("known")?, Signer::new("unknown")?);
    let folder = target_directory().join("tmp").join("bad-inputs-tokens");
    std::fs::create_dir_all(&folder)?;
    let keys = folder.join("keys.json");
    std::fs::write(&keys, key_set(&[&known]))?;
    let broker = BrokerProcess::start_with(&format!(
        "[jwt]\nissuer = \"joe\"\naudience = \"mqtt\"\njwks = {keys:?}\n"
    ))?;
    let address = broker.address();
    let good = known.sign(&claims(3600))?;
    let other = |from: &str, to: &str| known.sign(&claims(3600).replace(from, to));
    let confused = r#"{"alg":"HS256","kid":"known"}"#;
    for (token, why) in [
        (known.sign(&claims(-60))?, "the token has expired"),
        (
            other("\"sub\"", &format!("\"nbf\":{},\"sub\"", in_secs(1800)))?,
            "the token is not valid yet",
        ),
        (
            format!("{}.{}.", coded(r#"{"alg":"none"}"#), coded(claims(3600))),
            "the token is signed by an algorithm unknown here",
        ),
        (other("mqtt", "http")?, "the token is for another audience"),
        (other("joe", "jim")?, "the token's issuer is unknown here"),
        (
            with_secret(confused, &claims(3600), known.public_key()),
            "the token's algorithm is not one of its key",
        ),
        (
            with_secret(HS256, &claims(3600), known.public_key()),
            "the token's algorithm is not one of its key",
        ),
        (unknown.sign(&claims(3600))?, "the token's key is unknown here"),
        (good[..good.len() - 20].to_owned(), "the token is malformed"),
    ] {
        let shown = Shown { user_name: Some("any"), password: Some(&token), ..Shown::default() };
        for (version, paho_version, said) in
            [("mqttv5", "5", format!("134 {why}")), ("mqttv311", "3.1.1", "5".to_owned())]
        {
            let pahos = paho(address, paho_version, shown)?;
            ensure!(pahos.iter().all(|told| *told == said), "{why}: {pahos:?}");
            let [theirs, ours] = publishers(address, version, shown)?;
            let (expected, reason) = match version {
                "mqttv5" => {
                    ("134 Connection error: Bad User Name or Password", &*format!("\"{why}\""))
                }
                _ => ("5 Connection error: Connection Refused: not authorised.", "(code 5)"),
            };
            ensure!(theirs.starts_with(expected), "{why}: {theirs}");
            let code = &said[..said.find(' ').unwrap_or(said.len())];
            ensure!(
                ours.starts_with(&format!("{code} Error: ")) && ours.contains(reason),
                "{ours}"
            );
        }
    }
    let shown = Shown { user_name: Some("any"), password: Some(&good), ..Shown::default() };
    for (version, paho_version) in [("mqttv5", "5"), ("mqttv311", "3.1.1")] {
        ensure!(paho(address, paho_version, shown)?.iter().all(|told| told == "accepted"));
        ensure!(publishers(address, version, shown)? == ["0 ", "0 "]);
    }
    ensure!(broker.stop()?.success());
    Ok(())
}
