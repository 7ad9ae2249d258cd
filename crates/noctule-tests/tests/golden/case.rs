//! One command line, and what surrounds it.

/// A tool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tool {
    Pub,
    Sub,
    Rr,
}

impl Tool {
    /// The name of the program.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Tool::Pub => "mosquitto_pub",
            Tool::Sub => "mosquitto_sub",
            Tool::Rr => "mosquitto_rr",
        }
    }
}

/// A command line. In all its words `{t}` stands for a topic that no other case uses, `{dir}` for
/// a directory of this case, and there are places for the ways to a broker (see `ways`).
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) tool: Tool,
    /// Words, divided by spaces; those in single quotes may hold some.
    pub(crate) line: String,
    pub(crate) stdin: Vec<u8>,
    /// Files in `{dir}`.
    pub(crate) files: Vec<(&'static str, String)>,
    /// Variables of the environment.
    pub(crate) variables: Vec<(&'static str, &'static str)>,
    /// Command lines of mosquitto_sub that come first, for sessions to be there.
    pub(crate) sessions: Vec<String>,
    /// Command lines of mosquitto_pub that come then.
    pub(crate) before: Vec<String>,
    /// Command lines of mosquitto_pub, run one after the other as soon as the tool is subscribed
    /// (`rr`: has sent its request).
    pub(crate) during: Vec<String>,
    /// Connections that are cut as soon as their client is subscribed.
    pub(crate) cuts: usize,
    /// A signal, sent as soon as the tool has printed the text.
    pub(crate) signal: Option<(&'static str, &'static str)>,
    /// Without a connection: the command line ends by itself, or nobody listens.
    pub(crate) connects: bool,
    /// A broker that lets nobody in.
    pub(crate) locked: bool,
    pub(crate) same: Same,
}

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Same {
    pub(crate) stdout: Compare,
    pub(crate) stderr: Compare,
    /// The exit code; else only whether it is 0.
    pub(crate) code: bool,
    pub(crate) wire: bool,
    /// Whether DISCONNECT is a part of it.
    pub(crate) goodbye: bool,
}

/// How two outputs are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Compare {
    /// Byte for byte.
    Exactly,
    /// With every digit taken for the same: times, latencies.
    Digits,
    /// With any time in the form of `%j`.
    Time,
    /// Line by line, in any order.
    AnyOrder,
    /// Both say something, or both say nothing.
    Something,
}

/// A command line of mosquitto_pub.
pub(crate) fn publish(line: &str) -> Case {
    Case::new(Tool::Pub, line)
}

/// A command line of mosquitto_sub.
pub(crate) fn subscribe(line: &str) -> Case {
    Case::new(Tool::Sub, line)
}

/// A command line of mosquitto_rr.
pub(crate) fn request(line: &str) -> Case {
    Case::new(Tool::Rr, line)
}

impl Case {
    fn new(tool: Tool, line: &str) -> Case {
        Case {
            tool,
            line: line.to_owned(),
            stdin: Vec::new(),
            files: Vec::new(),
            variables: Vec::new(),
            sessions: Vec::new(),
            before: Vec::new(),
            during: Vec::new(),
            cuts: 0,
            signal: None,
            connects: true,
            locked: false,
            same: Same {
                stdout: Compare::Exactly,
                stderr: Compare::Exactly,
                code: true,
                wire: true,
                goodbye: true,
            },
        }
    }

    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Case {
        self.stdin = bytes.into();
        self
    }

    pub(crate) fn file(mut self, name: &'static str, text: &str) -> Case {
        self.files.push((name, text.to_owned()));
        self
    }

    pub(crate) fn variable(mut self, name: &'static str, value: &'static str) -> Case {
        self.variables.push((name, value));
        self
    }

    pub(crate) fn session(mut self, line: &str) -> Case {
        self.sessions.push(line.to_owned());
        self
    }

    pub(crate) fn before(mut self, lines: &[&str]) -> Case {
        self.before.extend(lines.iter().map(|line| (*line).to_owned()));
        self
    }

    pub(crate) fn during(mut self, lines: &[&str]) -> Case {
        self.during.extend(lines.iter().map(|line| (*line).to_owned()));
        self
    }

    pub(crate) fn cuts(mut self, count: usize) -> Case {
        self.cuts = count;
        self
    }

    pub(crate) fn signal(mut self, name: &'static str, printed: &'static str) -> Case {
        self.signal = Some((name, printed));
        self
    }

    pub(crate) fn offline(mut self) -> Case {
        self.connects = false;
        self
    }

    pub(crate) fn locked(mut self) -> Case {
        self.locked = true;
        self
    }

    pub(crate) fn stdout(mut self, compare: Compare) -> Case {
        self.same.stdout = compare;
        self
    }

    pub(crate) fn stderr(mut self, compare: Compare) -> Case {
        self.same.stderr = compare;
        self
    }

    /// Compares only whether the exit code is 0.
    pub(crate) fn any_code(mut self) -> Case {
        self.same.code = false;
        self
    }

    /// Does not compare who says goodbye.
    pub(crate) fn no_goodbye(mut self) -> Case {
        self.same.goodbye = false;
        self
    }

    /// Does not compare what is sent.
    pub(crate) fn any_wire(mut self) -> Case {
        self.same.wire = false;
        self
    }
}

/// What stands for what in the words of a line.
pub(crate) type Places = Vec<(String, String)>;

/// The words of a line.
pub(crate) fn words(line: &str, places: &Places) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words.into_iter().map(|word| fill(&word, places)).collect()
}

/// A text with every place filled.
pub(crate) fn fill(text: &str, places: &Places) -> String {
    places.iter().fold(text.to_owned(), |text, (place, value)| text.replace(place, value))
}

#[test]
fn words_are_divided_by_spaces_outside_of_quotes() {
    let places = vec![("{t}".to_owned(), "T".to_owned()), ("{dir}".to_owned(), "D".to_owned())];
    assert_eq!(words("-t '{t} a'  ''", &places), ["-t", "T a", ""]);
    assert_eq!(words("a'b c'd {dir}/x", &places), ["ab cd", "D/x"]);
}
