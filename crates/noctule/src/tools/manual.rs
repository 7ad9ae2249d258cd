//! What manual pages say beyond flags: formats, exit codes and files.

use super::Tool;

const FORMATS: &str = "\
Formats:
  In the value of -F these stand for parts of the message:

  %t topic                      %q quality of service
  %p payload                    %r 1 if retained, else 0
  %x %X payload in hexadecimal  %m packet identifier
  %l length of the payload      %S subscription identifier
  %d %f payload of 8 or 4 bytes, as a number of IEEE 754

  %C content type               %R response topic
  %D correlation data           %E seconds until it expires
  %F payload format indicator   %P user properties, NAME:VALUE
  %A topic alias, always blank

  %j all of it as JSON          %J the same, with a payload of JSON as such
  %I time, as in ISO 8601       %U seconds and nanoseconds since 1970
  %% a percent sign

  Between % and the letter may stand - (to the left), 0 (zeros before it),
  a width, and behind a dot a precision; for %x and %X that is how many
  digits make a group, and behind it comes what stands between groups:
  %.2:x prints 0a:1b:2c.

  @X prints the local time as %X of strftime(3) does, @N nanoseconds, @@ an
  at sign. \\\\ \\0 \\a \\e \\n \\r \\t \\v are characters as in C.
";

const FILES: &str = "\
Files:
  $XDG_CONFIG_HOME/NAME, or else ~/.config/NAME
      Options that are read before those of the command line, one a line.
";

/// Sections that stand behind the flags; each begins with a line that ends in a colon.
pub(super) fn sections(tool: Tool) -> String {
    let formats = match tool {
        Tool::Pub => "",
        Tool::Sub | Tool::Rr => FORMATS,
    };
    let codes: &[(&str, &str)] = match tool {
        Tool::Pub => &[
            ("0", "the broker has all messages, as far as their quality of service can tell"),
            ("1", "wrong use, or no connection"),
            ("1 to 5, 128 to 162", "the code with which the broker refused the connection"),
            ("others", "an error of mosquitto's library: 4 or 7, the connection was lost"),
        ],
        Tool::Sub => &[
            ("0", "all messages have come, or it was told to end by SIGINT or SIGTERM"),
            ("1", "wrong use, or no connection"),
            ("1 to 5, 128 to 162", "the code with which the broker refused the connection"),
            ("27", "the time of -W is over"),
            ("255", "it was told to end before the broker had let it in"),
            ("others", "an error of mosquitto's library: 4 or 7, the connection was lost for good"),
        ],
        Tool::Rr => &[
            ("0", "the response has come"),
            ("1", "wrong use, or no connection"),
            ("1 to 5, 128 to 162", "the code with which the broker refused the connection"),
            ("27", "the time of -W is over"),
            ("others", "an error of mosquitto's library: 4 or 7, the connection was lost"),
        ],
    };
    let codes: String =
        codes.iter().map(|(code, meaning)| format!("  {code}\n      {meaning}\n")).collect();
    let files = FILES.replace("NAME", tool.mosquitto_name());
    let parts = [formats, &format!("Exit status:\n{codes}"), &files];
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("\n")
}
