//! Examples and exit codes, as `--help` shows them. A test parses every example.

pub(crate) const ROOT_SHORT: &str = "\
Try: swapwire serve
     swapwire connect tcp://127.0.0.1:8888";

pub(crate) const ROOT: &str = "\
Examples:
  swapwire serve
  swapwire connect tcp://127.0.0.1:8888
  printf 'hello\\n' | swapwire connect udp://127.0.0.1:8888

Exit codes:
  0  all went well
  1  it failed: a port in use, a refused connection, no reply
  2  it was called wrongly: a malformed endpoint, an unknown scheme, option, handler or framing
  3  sessions were cut at the drain deadline or by a second signal";

pub(crate) const SERVE: &str = "\
Prints `listening ENDPOINT` on the standard output, one line each, once all of them are bound. The first SIGINT or \
SIGTERM drains: no new connections, open sessions may finish; then a report goes to the standard error. A second signal \
cuts everything at once.

Examples:
  swapwire serve
  swapwire serve 'tcp://127.0.0.1:8888?backlog=3' --handler uppercase-echo
  swapwire serve 'tcp://[::1]:0' 'unix:/run/user/1000/echo.sock?mode=660' --handler echo --framing lines
  swapwire serve udp://127.0.0.1:8888 unix-dgram:./echo.sock --max-message 64KiB
  swapwire serve tcp://127.0.0.1:13 --handler daytime --idle-timeout 10s --drain-timeout 5s
  swapwire serve tcp://127.0.0.1:8888 --handler chat --max-connections 100 --log info

Exit codes:
  0  drained after a signal, nothing was cut
  1  an endpoint could not be bound, or failed while serving
  2  called wrongly
  3  sessions were cut: at the drain deadline, or by a second signal";

pub(crate) const CONNECT: &str = "\
From a pipe, every non-empty line is sent as one message and every reply is printed on a line. On byte streams the end \
of the input ends the sending half, and what the peer still says is read to its end. On message wires (datagrams) one \
reply is expected for each message.

On a terminal, each non-empty line is one message, and replies are printed as they come. Ctrl-D ends, Ctrl-C leaves at \
once. Control characters from the peer are printed escaped, as \\x1b. Lines that begin with a space are not kept in the \
history, which is in $XDG_STATE_HOME/swapwire (else ~/.local/state/swapwire).

Examples:
  swapwire connect tcp://127.0.0.1:8888
  printf 'hello\\n' | swapwire connect tcp://127.0.0.1:8888
  printf 'hello\\n' | swapwire connect udp://127.0.0.1:8888 --wait 500ms
  swapwire connect tcp://127.0.0.1:13 < /dev/null
  printf 'GET / HTTP/1.0\\r\\n\\r\\n' | swapwire connect tcp://127.0.0.1:80 --framing chunks
  swapwire connect unix:@upper --framing length

Exit codes:
  0  the input ended and the replies came, or the reader of the output left
  1  no connection, it broke, the peer ended before the input did, a message was too long, or no reply came at all
  2  called wrongly";

pub(crate) const HANDLERS: &str = "\
Prints one line for each handler: its name, the framing it wants on byte streams (- for none), and what it does.

Examples:
  swapwire handlers
  swapwire serve --handler daytime tcp://127.0.0.1:0";

pub(crate) const TRANSPORTS: &str = "\
Prints one line for each scheme: its name, the shape of its wires, and what they can do.

Examples:
  swapwire transports
  swapwire transports --options
  swapwire serve 'tcp://127.0.0.1:8888?backlog=3&nodelay=off'";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  swapwire completions bash > ~/.local/share/bash-completion/completions/swapwire
  swapwire completions zsh > ~/.zfunc/_swapwire
  swapwire completions fish > ~/.config/fish/completions/swapwire.fish";

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use swapwire::{Endpoint, Framing};

    use super::*;
    use crate::cli::{Cli, Command};

    /// The words of the `swapwire` command in an example line, without its redirections.
    fn words(line: &str) -> Option<Vec<&str>> {
        let command = line.split(" | ").map(str::trim).find(|part| part.starts_with("swapwire "))?;
        let command = command.split(' ').take_while(|word| !["<", ">"].contains(word));
        Some(
            command
                .map(|word| {
                    // The shell gives another meaning to these outside quotes.
                    assert!(!word.contains(['?', '&', '[']) || word.starts_with('\''), "{word} needs quotes");
                    word.trim_matches('\'')
                })
                .collect(),
        )
    }

    #[test]
    fn every_example_is_a_command_that_parses() {
        let texts = [ROOT_SHORT, ROOT, SERVE, CONNECT, HANDLERS, TRANSPORTS, COMPLETIONS];
        let lines =
            texts.iter().flat_map(|text| text.lines()).filter_map(|line| words(line.trim_start_matches("Try:")));
        let mut count = 0;
        for words in lines {
            let cli = Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
            let (endpoints, framing) = match cli.command {
                Command::Serve(args) => {
                    swapwire::default_handlers().get(&args.handler).unwrap();
                    (args.endpoints, args.framing)
                }
                Command::Connect(args) => (vec![args.endpoint], args.framing),
                _ => (vec![], None),
            };
            for endpoint in endpoints {
                let endpoint: Endpoint = endpoint.parse().unwrap();
                swapwire::default_registry().transport(&endpoint).unwrap();
            }
            assert!(framing.is_none_or(|framing| framing.parse::<Framing>().is_ok()), "{words:?}");
            count += 1;
        }
        assert!(count >= 20, "only {count} examples found");
    }
}
