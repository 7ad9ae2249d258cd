//! What the broker has to say of its clients.

use anyhow::{Result, bail};

/// Ends that links bring about.
const EXPECTED: [&str; 4] = ["taken over", "eep alive", "hutting down", "no CONNECT in time"];

/// It is an error if the broker had to end a connection because a client broke the rules, or lost
/// messages itself.
pub(super) fn check(log: &str) -> Result<()> {
    let accuses = |line: &&str| {
        let ended = line.contains("connection ended") || line.contains("client refused");
        let lost = line.contains("queue full");
        lost || ended && !EXPECTED.iter().any(|expected| line.contains(expected))
    };
    let complaints: Vec<&str> = log.lines().filter(accuses).take(20).collect();
    if !complaints.is_empty() {
        bail!("the broker complains:\n{}", complaints.join("\n"));
    }
    Ok(())
}
