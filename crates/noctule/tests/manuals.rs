//! What is made from the table of commands and flags: scripts for shells and manual pages.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn noctule(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_noctule"));
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// What a command prints.
fn printed(arguments: &[&str]) -> String {
    let output = noctule(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    assert!(output.stderr.is_empty(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a shell can read the script; true also if there is no such shell.
#[cfg(unix)]
fn is_script(shell: &str, script: &str) -> bool {
    use std::io::Write;
    let command = Command::new(shell).arg("-n").stdin(Stdio::piped()).spawn();
    let Ok(mut shell) = command else { return true };
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    shell.wait().unwrap().success()
}

#[cfg(unix)]
#[test]
fn shells_learn_all_commands_and_flags() {
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&["completions", shell]);
        assert!(is_script(shell, &script), "{shell}");
        for word in ["serve", "top", "bench", "passwd", "cert", "retain-handling", "repeat-delay"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[cfg(unix)]
#[test]
fn links_have_scripts_of_their_own() {
    for name in ["mosquitto_pub", "mosquitto_sub", "mosquitto_rr"] {
        for shell in ["bash", "zsh", "fish"] {
            let script = printed(&["completions", shell, "--for", name]);
            assert!(is_script(shell, &script), "{shell} {name}");
            assert!(script.contains(name) && script.contains("will-payload"), "{shell} {name}");
            assert!(!script.contains("passwd"), "{shell} {name}");
        }
    }
}

#[test]
fn wrong_shells_are_refused() {
    assert_eq!(noctule(&["completions", "cmd"]).status.code(), Some(2));
    assert_eq!(noctule(&["completions", "bash", "--for", "ls"]).status.code(), Some(2));
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("man/inner");
    printed(&["man", folder.to_str().unwrap()]);
    let page = |name: &str| std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap();
    for command in
        ["serve", "pub", "sub", "rr", "top", "bench", "passwd", "cert", "completions", "man"]
    {
        let page = page(&format!("noctule-{command}"));
        assert!(page.contains(&format!(".TH noctule-{command} 1")), "{command}");
    }
    let sub = page("noctule-sub");
    let words = [".SH EXAMPLES", ".SH FORMATS", ".SH \"EXIT STATUS\"", "\\-\\-retain\\-handling"];
    for words in words {
        assert!(sub.contains(words), "{words}");
    }
    assert!(sub.contains("noctule\\-sub \\- Subscribe to topics"), "{sub}");
    assert!(!page("noctule-pub").contains(".SH FORMATS"));
    assert!(page("noctule").contains("noctule\\-sub(1)"));

    let file = folder.join("noctule.1");
    let failed = noctule(&["man", file.to_str().unwrap()]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("noctule.1"));
}
