//! How the command ends: exit codes, and errors as single lines.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal, Write as _};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::log::{self, Severity};
use crate::stdio::Output;
use crate::{cli, notices};

/// Success.
pub(crate) const OK: u8 = 0;
/// Failure: a port in use, a refused connection, no reply.
pub(crate) const FAILURE: u8 = 1;
/// Wrong usage: a retry does not help.
pub(crate) const USAGE: u8 = 2;
/// Sessions were cut at the drain deadline or by a second signal.
pub(crate) const CUT: u8 = 3;
/// An objective was missed, or a run is worse than the one before.
pub(crate) const MISSED: u8 = 3;

/// Why the command ends with another code than 0; each line stands for one problem.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    lines: Vec<String>,
}

impl Failure {
    /// Called wrongly.
    pub(crate) fn usage(problem: impl fmt::Display) -> Self {
        Self { code: USAGE, lines: vec![problem.to_string()] }
    }

    /// Failed.
    pub(crate) fn failed(problem: impl fmt::Display) -> Self {
        Self { code: FAILURE, lines: vec![problem.to_string()] }
    }

    /// Several problems; at least one.
    pub(crate) fn several(code: u8, lines: Vec<String>) -> Self {
        Self { code, lines }
    }

    /// Prints the problems and gives the exit code.
    pub(crate) fn report(self) -> u8 {
        for line in self.lines {
            notices::tell_last(log::line(Severity::Error, line));
        }
        self.code
    }
}

/// One line on the standard error. Nothing waits for it: see [`notices`].
pub(crate) fn complain(line: impl fmt::Display) {
    notices::tell(log::line(Severity::Info, line));
}

/// One line on the standard error that says what has failed, where the command goes on.
pub(crate) fn complain_of(failure: impl fmt::Display) {
    notices::tell(log::line(Severity::Error, failure));
}

/// One line on the standard error that says how the command ends.
pub(crate) fn complain_last(line: impl fmt::Display) {
    notices::tell_last(log::line(Severity::Info, line));
}

/// Writes a result. A reader that has seen enough (`| head -1`) is no error.
pub(crate) fn print(text: &str) -> Result<u8, Failure> {
    match write_stdout(text) {
        Err(error) => Err(Failure::failed(format_args!("write the standard output: {error}"))),
        Ok(()) => Ok(OK),
    }
}

/// Writes to the standard output, and waits as long as that takes. A reader that has seen enough is no error.
pub(crate) fn write_stdout(text: &str) -> io::Result<()> {
    match Output::Stdout.write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Whether colours are welcome there: `NO_COLOR` forbids them (<https://no-color.org>), else `CLICOLOR_FORCE` asks for
/// them (<https://bixense.com/clicolors>), else a terminal shows them that is not dumb.
pub(crate) fn is_colored(stream: &impl IsTerminal) -> bool {
    colored(stream.is_terminal(), |name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
}

fn colored(terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    match (set("NO_COLOR"), set("CLICOLOR_FORCE"), set("CLICOLOR")) {
        (Some(_), ..) => false,
        (None, Some(force), _) if force != "0" => true,
        (.., Some(welcome)) if welcome == "0" => false,
        _ => terminal && set("TERM").is_none_or(|term| term != "dumb"),
    }
}

/// What an error of the system means, without its number.
pub(crate) fn cause(error: &io::Error) -> String {
    #[cfg(unix)]
    if let Some(code) = error.raw_os_error() {
        return nix::errno::Errno::from_raw(code).desc().to_owned();
    }
    error.to_string()
}

/// What clap says, on one line; help and version as they are.
pub(crate) fn misuse(error: &clap::Error, args: &[OsString]) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let text = error.render();
            let code = u8::try_from(error.exit_code()).unwrap_or(USAGE);
            let text = |colored| if colored { text.ansi().to_string() } else { text.to_string() };
            if error.use_stderr() {
                notices::tell_last(text(is_colored(&io::stderr())));
                return code;
            }
            print(&text(is_colored(&io::stdout()))).map_or_else(Failure::report, |_| code)
        }
        _ => Failure::usage(one_line(&error.to_string()) + &variable_of(error, args)).report(),
    }
}

/// The variable of the environment that is at fault: of a flag that is, and is not among the arguments.
fn variable_of(error: &clap::Error, args: &[OsString]) -> String {
    let named = [ContextKind::InvalidArg, ContextKind::PriorArg].into_iter().filter_map(|kind| match error.get(kind) {
        Some(ContextValue::String(flag)) => flag.split([' ', '=', '[']).next(),
        _ => None,
    });
    let is_given = |flag: &str| args.iter().any(|arg| arg.to_string_lossy().split('=').next() == Some(flag));
    let mut variables =
        named.filter(|flag| !is_given(flag)).filter_map(|flag| Some(cli::variable(flag.strip_prefix("--")?)));
    let at_fault = variables.find(|variable| std::env::var_os(variable).is_some());
    at_fault.map_or_else(String::new, |variable| format!(" ({variable} of the environment)"))
}

/// The essence of an error of clap: without its heading and the usage, its paragraphs joined.
fn one_line(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let end = ["\n\nUsage:", "\n\nFor more information"].iter().filter_map(|mark| text.find(mark)).min();
    let paragraphs = text[..end.unwrap_or(text.len())].split("\n\n").map(|paragraph| {
        let words: Vec<_> = paragraph.split_whitespace().collect();
        words.join(" ")
    });
    paragraphs.chain(["see --help".to_owned()]).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn misuse_of(args: &[&str]) -> String {
        one_line(&Cli::try_parse_from(args).unwrap_err().to_string())
    }

    #[test]
    fn the_environment_decides_on_colours() {
        type Set<'a> = &'a [(&'a str, &'a str)];
        let with = |terminal, set: Set<'_>| {
            colored(terminal, |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        let cases: [(bool, Set<'_>, bool); 11] = [
            (true, &[], true),
            (false, &[], false),
            (true, &[("TERM", "dumb")], false),
            (true, &[("NO_COLOR", "1")], false),
            (true, &[("NO_COLOR", "")], true),
            (false, &[("CLICOLOR_FORCE", "1")], true),
            (false, &[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")], true),
            (false, &[("CLICOLOR_FORCE", "0")], false),
            (true, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
            (true, &[("CLICOLOR", "0")], false),
            (false, &[("CLICOLOR", "1")], false),
        ];
        for (terminal, set, expected) in cases {
            assert_eq!(with(terminal, set), expected, "{terminal} {set:?}");
        }
    }

    #[test]
    fn every_misuse_is_one_line() {
        let missing = misuse_of(&["swapwire", "connect"]);
        assert_eq!(missing, "the following required arguments were not provided: <ENDPOINT>; see --help");
        let unknown = misuse_of(&["swapwire", "serve", "--handeler", "echo"]);
        assert!(unknown.starts_with("unexpected argument '--handeler' found; tip: a similar argument"), "{unknown}");
        let value = misuse_of(&["swapwire", "serve", "--idle-timeout", "soon"]);
        assert_eq!(
            value,
            "invalid value 'soon' for '--idle-timeout <TIME>': write a time, as 500ms, 30s, 5m or 1h, or none; see --help"
        );
    }
}
