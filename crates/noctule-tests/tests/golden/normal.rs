//! Makes equal what has to differ, and nothing else.

use crate::case::Compare;

/// An output to compare: the identifier that a broker chose becomes `ID`.
pub(crate) fn output(bytes: &[u8], compare: Compare) -> String {
    let mut text = bytes.iter().map(|byte| byte.escape_ascii().to_string()).collect::<String>();
    // One line of output stays one line.
    text = text.replace("\\n", "\\n\n");
    if let Some(id) = chosen_id(&text) {
        text = text.replace(&id, "ID");
    }
    match compare {
        Compare::Exactly => text,
        Compare::Digits => digits(&text),
        Compare::Time => without_time(&text),
        Compare::AnyOrder => {
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            lines.join("\n")
        }
        Compare::Something => (!text.is_empty()).to_string(),
    }
}

/// Packets to compare; mosquitto's library says goodbye twice now and then.
pub(crate) fn wire(mut packets: Vec<String>) -> Vec<String> {
    packets.dedup_by(|next, last| next.starts_with("Disconnect(") && next == last);
    packets
}

/// The process number becomes `PID`, where it is a number of its own.
pub(crate) fn without_pid(text: &str, pid: u32) -> String {
    let pid = pid.to_string();
    let mut normal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(&pid) {
        let (before, behind) = rest.split_at(at);
        let behind = &behind[pid.len()..];
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        normal += before;
        normal +=
            if digit(before.chars().last()) || digit(behind.chars().next()) { &pid } else { "PID" };
        rest = behind;
    }
    normal + rest
}

/// The identifier in debug output that stands there from CONNACK on.
fn chosen_id(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains(" received CONNACK"))?;
    let id = line.strip_prefix("Client ")?.split(' ').next()?;
    let chosen = id.len() > 20 && !id.starts_with('(');
    chosen.then(|| id.to_owned())
}

/// The value of the member `tst` becomes `TIME`.
fn without_time(text: &str) -> String {
    // Its quotes are escaped here.
    let Some((before, behind)) = text.split_once("tst\\\":") else { return text.to_owned() };
    let (time, rest) = behind.split_once(',').unwrap_or((behind, ""));
    let time = digits(time);
    format!("{before}tst\\\":{time},{rest}")
}

/// Every row of digits, and what may stand between them in a number, becomes `0`.
fn digits(text: &str) -> String {
    let mut normal = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if normal.ends_with('0') => {}
            '0'..='9' => normal.push('0'),
            c => normal.push(c),
        }
    }
    normal
}

#[test]
fn what_has_to_differ_is_made_equal() {
    let debug =
        b"Client null sending CONNECT\nClient auto-12345678901234567890 received CONNACK (0)\n\
                  Client auto-12345678901234567890 sending DISCONNECT\n";
    let normal = output(debug, Compare::Exactly);
    assert_eq!(
        normal,
        "Client null sending CONNECT\\n\nClient ID received CONNACK (0)\\n\n\
         Client ID sending DISCONNECT\\n\n"
    );
    assert_eq!(
        output(b"Client (null) received CONNACK", Compare::Exactly),
        "Client (null) received CONNACK"
    );
    assert_eq!(output(b"x12345.67s", Compare::Digits), "x0.0s");
    assert_eq!(without_pid("id-4711 47110", 4711), "id-PID 47110");
    assert_eq!(output(b"b\na\n", Compare::AnyOrder), "a\\n\nb\\n");
}
