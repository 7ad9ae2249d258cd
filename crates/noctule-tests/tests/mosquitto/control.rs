//! `enable_control_api`: questions on `$CONTROL/broker/v1`, asked of both by mosquitto_rr.

use crate::side::Side;
use anyhow::{Result, ensure};
use serde_json::Value;
use std::process::Command;

const TOPIC: &str = "$CONTROL/broker/v1";

const QUESTIONS: [&str; 12] = [
    r#"{"commands":[{"command":"listListeners"}]}"#,
    r#"{"commands":[{"command":"LISTLISTENERS","correlationData":"x"}]}"#,
    r#"{"commands":[{"command":"listPlugins"},{"command":"moon"},{"command":"listPlugins"}]}"#,
    r#"{"commands":[{"command":"listPlugins","correlationData":5},{"command":"listPlugins"}]}"#,
    r#"{"commands":[{},{"command":"listPlugins"}]}"#,
    r#"{"commands":[5,{"command":"listPlugins"}]}"#,
    r#"{"commands":[{"command":5}]}"#,
    r#"{"commands":[]}"#,
    r#"{"commands":{}}"#,
    r#"{"COMMANDS":[{"Command":"listPlugins"}]} and more"#,
    r#"[]"#,
    "no JSON",
];

/// What mosquitto_rr prints, and how it ends.
fn ask(theirs: &Side, side: &Side, topic: &str, question: &str) -> Result<(Option<i32>, String)> {
    let answer = format!("{topic}/response");
    let output = Command::new(theirs.program.with_file_name("mosquitto_rr"))
        .args(["-V", "5", "-p", &side.ports[0].to_string(), "-i", "asker", "-W", "5"])
        .args(["-t", topic, "-e", &answer, "-m", question])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok((output.status.code(), side.emptied(&text)))
}

/// The same questions to both.
pub(crate) fn compare(sides: &[Side; 2]) -> Result<()> {
    let file = "user root\nlistener @PORT1@ 127.0.0.1\nallow_anonymous true\n\
                listener 0 @DIR@/socket\nlistener @PORT2@\nprotocol websockets\n\
                enable_control_api true\nclientid_prefixes ask\n";
    for side in sides {
        side.write("this.conf", file)?;
    }
    let running = [sides[0].start("this.conf")?, sides[1].start("this.conf")?];
    for (topic, question) in
        QUESTIONS.iter().map(|question| (TOPIC, *question)).chain([("$CONTROL/moon/v1", "{}")])
    {
        let [theirs, ours] = [&sides[0], &sides[1]].map(|it| ask(&sides[0], it, topic, question));
        let (theirs, ours) = (theirs?, ours?);
        let read = |text: &str| serde_json::from_str::<Value>(text);
        ensure!(theirs.0 == Some(0) && theirs.0 == ours.0, "{question}: {theirs:?} {ours:?}");
        ensure!(read(&theirs.1)? == read(&ours.1)?, "{question}:\n{}\n{}", theirs.1, ours.1);
    }
    drop(running);
    rules(sides)
}

/// Who may not publish there gets no answer.
fn rules(sides: &[Side; 2]) -> Result<()> {
    for (rule, answered) in [
        ("topic readwrite #", false),
        ("topic readwrite $CONTROL/#", true),
        ("topic read $CONTROL/#", false),
    ] {
        for side in sides {
            side.write("rules", &format!("{rule}\n"))?;
            side.write(
                "this.conf",
                "user root\nlistener @PORT1@ 127.0.0.1\nallow_anonymous true\n\
                 enable_control_api 1\nacl_file @DIR@/rules\n",
            )?;
            let running = side.start("this.conf")?;
            let output = Command::new(sides[0].program.with_file_name("mosquitto_rr"))
                .args(["-V", "5", "-p", &side.ports[0].to_string(), "-W", "1", "-t", TOPIC])
                .args(["-e", "$CONTROL/broker/v1/response", "-m", QUESTIONS[0]])
                .output()?;
            ensure!(output.stdout.is_empty() != answered, "{rule}: {output:?}");
            drop(running);
        }
    }
    Ok(())
}
