//! `-F`: every letter, flag, width and escape.

use crate::case::{Case, Compare, subscribe};
use crate::stage::{Kind, compare};

#[test]
fn formats_print_the_same_with_mosquitto() {
    compare(Kind::Mosquitto, cases());
}

#[test]
fn formats_print_the_same_with_noctule() {
    compare(Kind::Noctule, cases());
}

const FULL: &str = "-t {t}/a -m He\"y -q 1 -V 5 -D publish content-type text/plain \
    -D publish user-property k v -D publish response-topic re/sp -D publish user-property k2 v2 \
    -D publish correlation-data c\"d -D publish payload-format-indicator 1 \
    -D publish message-expiry-interval 4000";

fn cases() -> Vec<Case> {
    let fields = [
        "%A|%C|%D|%E|%F|%P|%R|%S|%l|%m|%p|%q|%r|%t|%x|%X|%%",
        "%5A|%05E|%-5E|%2E|%5F|%-5F|%05F|%5S|%05S|%8l|%-8l|%08l|%4m|%04m",
        "%12C|%-12C|%.2C|%10.2C|%-4.2C|%012C|%.0C",
        "%20t|%-20t|%020t|%.3t|%9.3t|%-9.3t|%20R|%-20R|%.1R|%20D|%20P|%9r|%9q|%3%",
        "%10p|%-10p|%-p|%010p|%-010p|%2p|%.2p|%-2p|%9.2p",
        "%10x|%-10x|%-x|%010x|%-010x|%3x|%-3x|%1X",
        "%.1x|%.2:x|%.2-X|%.3 x|%9.3 x|%-9.3 x|%012.4_X|%.0x|%.9x|%.2.x|%.2~X|%16.2:x",
        "%:p|%_t|%!l|% q|%--p|%-05p",
        "\\\\|\\0|\\a|\\e|\\n|\\r|\\t|\\v|@@",
        "@% @E @O @q @i @f @J @K @L @o @Q @v @- @1 @+ @n@t",
        "Grüße %p @@ 100%%",
        "",
        "%99999t",
    ];
    let fields = fields.into_iter().map(|format| {
        subscribe(&format!("-t {{t}}/a -q 1 -V 5 -C 1 -F '{format}'")).during(&[FULL])
    });
    fields.chain(json()).chain(times()).chain(numbers()).chain(flags()).collect()
}

fn json() -> Vec<Case> {
    let payloads = [
        "{\"b\":1,\"a\":[1,2.50,{\"x\":null,\"y\":{}},[],[[1]]]}",
        "{\"c\":\"\\u00e9\\n\\/\\ud83d\\ude00\\t\\u001f\",\"d\":1e3,\"e\":1.0,\"g\":-0.1}",
        "[123456789012345678,1e-7,true,false,0.1e400,-0,3.14159265358979312,1E+2,2147483648]",
        "[0.1,0.2,0.30000000000000004,100000000000000000000,1e20,1e21,123456.789,5e-324]",
        "\"text\"",
        "17",
        " [ 1 , 2 ] ",
        "{\"a\":1,\"a\":2}",
        "01",
        "1.",
        "nul",
        "[1,]",
        "{\"a\"}",
        "no json",
        "\"\\ud800\"",
        "Grüße\t\u{7f}\u{80}",
        "",
    ];
    let texts = payloads.into_iter().flat_map(|payload| {
        ["%J", "%j", "%J --pretty", "%j --pretty"].map(|format| {
            let message = "-t {t} -f {dir}/payload";
            let case = subscribe(&format!("-t {{t}} -C 1 -F {format}"));
            let case = case.file("payload", payload).during(&[message]);
            case.stdout(Compare::Time)
        })
    });
    let full = ["%j", "%J", "%j --pretty"].map(|format| {
        let case = subscribe(&format!("-t {{t}}/a -q 1 -V 5 -C 1 -F {format}"));
        case.during(&[FULL]).stdout(Compare::Time)
    });
    let numbered = subscribe("-t {t}/a -q 2 -C 1 -F %j -D subscribe subscription-identifier 9");
    let numbered = numbered.during(&[FULL]).stdout(Compare::Time);
    texts.chain(full).chain([numbered]).collect()
}

fn times() -> Vec<Case> {
    let digits =
        ["%I|%30I|%-30I|%.5I|%U|%20U", "@C @d @D @F @g @G @H @I @j @m @M @N @R @s @S @T @y @Y @z"];
    let digits = digits.map(|format| {
        subscribe(&format!("-t {{t}} -C 1 -F '{format}'"))
            .during(&["-t {t} -m x"])
            .stdout(Compare::Digits)
    });
    let letters = "@a @A @b @B @h @p @P @Z @z @u @w @U @V @W @e";
    let zones = ["UTC", "America/New_York", "Asia/Kolkata", "EST5EDT", "<+0330>-3:30", ""];
    let zones = zones.map(|zone| {
        subscribe(&format!("-t {{t}} -C 1 -F '{letters} @F'"))
            .during(&["-t {t} -m x"])
            .variable("TZ", zone)
    });
    digits.into_iter().chain(zones).collect()
}

/// `%f` and `%d` read the payload as a number in the machine's own form.
fn numbers() -> Vec<Case> {
    let formats = ["%f", "%.2f", "%12f", "%-12f|", "%012.3f", "%.0f", "%d", "%.3d", "%016.2d"];
    let payloads = ["abcd", "abcdefgh", "abc", "    ", "\u{1}\u{2}\u{3}\u{4}"];
    let both = formats.into_iter().flat_map(|format| payloads.map(|payload| (format, payload)));
    both.map(|(format, payload)| {
        let case = subscribe(&format!("-t {{t}} -C 1 -F '{format}'"));
        case.file("payload", payload).during(&["-t {t} -f {dir}/payload"])
    })
    .collect()
}

/// Flags beside the format.
fn flags() -> Vec<Case> {
    ["-N", "-v", "-w", "--quiet", "--pretty", "-F %p"]
        .into_iter()
        .map(|flags| {
            subscribe(&format!("-t {{t}} -C 2 -F '%t:%p|' {flags}"))
                .during(&["-t {t} -m one -q 1", "-t {t} -n -q 1"])
        })
        .collect()
}
