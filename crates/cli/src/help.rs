//! Examples and exit codes, as `--help` shows them. A test runs every example: `tests/documented`.

pub(crate) const ROOT_SHORT: &str = "\
Try: swapwire serve
     swapwire connect tcp://127.0.0.1:8888
     swapwire bench";

pub(crate) const ROOT: &str = "\
Examples:
  swapwire serve
  swapwire connect tcp://127.0.0.1:8888
  printf 'hello\\n' | swapwire connect udp://127.0.0.1:8888
  swapwire bench

Exit codes:
  0  success
  1  failure: a port in use, a refused connection, no reply, a wrong reply
  2  wrong usage: a malformed endpoint, an unknown scheme, option, handler or framing
  3  sessions were cut at the drain deadline or by a second signal; an objective was missed; a run is a regression";

pub(crate) const SERVE_SHORT: &str = "\
Examples:
  swapwire serve
  swapwire serve tcp://127.0.0.1:8888 --handler echo
  swapwire serve tcp://127.0.0.1:8888 udp://127.0.0.1:8888 unix:/run/user/1000/echo.sock --framing lines
Ctrl-C or SIGTERM stops the server; --help has more.";

pub(crate) const SERVE_LONG: &str = "Ctrl-C or SIGTERM stops the server; examples and exit codes are at the end.";

pub(crate) const SERVE: &str = "\
Prints `listening ENDPOINT` (with --check `ok ENDPOINT`) on the standard output, one line each, once all of them are bound. The first SIGINT, \
SIGTERM, SIGQUIT or SIGHUP begins a drain: new connections are refused, open sessions may finish, and then a report goes to the \
standard error. A second signal cuts all sessions at once; a SIGHUP beside another signal cuts none. With a file \
(--config), and where an endpoint has files that can be read again, as certificates, SIGHUP does that and stops nothing; a line on the \
standard error says so at the start. A \
signal that was ignored when the command began, as under nohup, stays ignored. The server does not wait for the reader of its \
log: lines that do not fit are dropped and counted.

Each flag but --check, --print-config and --print-schema can be given by the environment: --max-message by SWAPWIRE_MAX_MESSAGE. \
Flags win over the environment, and that over a file (--config). Beside --config, --check binds nothing.

Examples:
  swapwire serve
  swapwire serve 'tcp://127.0.0.1:8888?backlog=3' --handler uppercase-echo
  swapwire serve 'tcp://[::1]:0' 'unix:/run/user/1000/echo.sock?mode=660' --handler echo --framing lines
  swapwire serve udp://127.0.0.1:8888 unix-dgram:./echo.sock --max-message 64KiB
  swapwire serve tcp://127.0.0.1:13 --handler daytime --idle-timeout 10s --drain-timeout 5s
  swapwire serve tcp://127.0.0.1:8888 --handler chat --max-connections 100 --log info
  swapwire serve ws://127.0.0.1:8080 tcp://127.0.0.1:8888 --handler chat --page
  swapwire serve tcp://127.0.0.1:8888 --workers 1
  swapwire serve tcp://0.0.0.0:8888 udp://0.0.0.0:8888 --max-per-source 64 --source-rate 200 --refuse=full
  swapwire serve tcp://0.0.0.0:8888 --max-connections 10000 --memory-budget 256MiB
  swapwire serve tcp://127.0.0.1:8888 --admin-listen tcp://127.0.0.1:9090 --drain-delay 5s
  swapwire serve 'unix:/run/user/1000/echo.sock?mode=660' --check
  swapwire serve --config swapwire.toml
  swapwire serve --config swapwire.toml --check
  swapwire serve tcp://127.0.0.1:8888 --handler echo --print-config
  sleep 60 | swapwire serve tcp://127.0.0.1:8888 --until-eof

Exit codes:
  0  drained after a signal (or the end of the input), nothing was cut
  1  an endpoint could not be bound, a worker could not be started, or an endpoint failed while serving
  2  wrong usage, or a mistake in the file of --config
  3  sessions were cut: at the drain deadline, or by a second signal";

pub(crate) const CONNECT: &str = "\
From a pipe, every line is sent as one message and every reply is printed on a line. On byte streams empty lines are left \
out (not with --framing chunks), the end of the input ends the sending half, and replies are read until the peer ends. On \
message wires (datagrams) an empty line is an empty message, and one reply is expected for each message. No input is no message.

On a terminal, each line is sent when it is entered, and the peer's bytes are shown as they arrive, whole lines or not. With \
--framing chunks lines are sent with their line feed. Ctrl-D sends the text before it and ends the input; Ctrl-C leaves at \
once. The line is edited as in a shell, a Tab is a byte of it, and Ctrl-V inserts the next key unchanged. Control characters from \
the peer are printed escaped, as \\x1b. The history is in $XDG_STATE_HOME/swapwire (else ~/.local/state/swapwire). It does not \
contain lines that begin with a space, nor answers to a question without an end of line, as `login: `; an answer to a \
question for a password cannot be recalled at the prompt either. A terminal without editing (TERM=dumb, emacs, cons25, or \
none) reads whole lines.

Examples:
  swapwire connect tcp://127.0.0.1:8888
  printf 'hello\\n' | swapwire connect tcp://127.0.0.1:8888
  printf 'hello\\n' | swapwire connect udp://127.0.0.1:8888 --wait 500ms
  swapwire connect tcp://127.0.0.1:13 < /dev/null
  printf 'GET / HTTP/1.0\\r\\n\\r\\n' | swapwire connect tcp://127.0.0.1:80 --framing chunks
  swapwire connect unix:@upper --framing length
  printf 'hello\\n' | swapwire connect tcp://127.0.0.1:8888 --no-shutdown --wait 500ms
  printf '\\n' | swapwire connect udp://127.0.0.1:8888

Exit codes:
  0  the input ended and the replies arrived, only sending was asked for (--wait 0), Ctrl-C at a prompt, or the reader of the \
output closed it
  1  the connection failed or broke, the peer ended before the input did, a message was too long or could not be sent, or \
replies are missing: one for each message on message wires, at least one on byte streams
  2  wrong usage
A prompt has the same exit codes.";

pub(crate) const BENCH_SHORT: &str = "\
Examples:
  swapwire bench
  swapwire bench tcp unix --size 64,1k,16k --html wires.html
  swapwire bench tcp://127.0.0.1:8888 --expect echo -c 16 -n 10k --warmup 0
  swapwire bench tcp://127.0.0.1:8888 --message 'PING\\r' --framing lines --expect 'regex:^PING'
  swapwire bench tcp --find-max --slo p99=5ms
Ctrl-C keeps what was measured; --help explains the figures.";

pub(crate) const BENCH_LONG: &str =
    "Ctrl-C keeps what was measured; the meaning of the figures, examples and exit codes are at the end.";

pub(crate) const BENCH: &str = "\
Without arguments it starts a server on tcp, udp, unix, unix-dgram and mem, and measures all of them side by side in \
about 35 s. A target may be any server that answers each request with a reply: --expect and --framing describe a right reply, \
and --message sets the request.

Load models:
  closed loop  (the default) each connection keeps --pipeline requests under way and sends the next when a reply has \
arrived. It shows how much a server can do at most. Its latencies are those of a server that is always busy, and when the \
server stalls the load stops as well.
  open loop    (--rate) requests have intended times that do not wait for replies. A latency runs from the intended \
time, so a stall counts for every request that it delayed (no coordinated omission). It shows the latencies of independent clients.
  search       (--find-max --slo p99=5ms) doubles the rate of an open loop until the objective no longer holds, then \
halves the distance.

Rounds: every target is measured under every load once in each round, one after the other, so that slow changes of \
the machine affect all alike. Figures are medians over the rounds; ± is half the 95 % confidence interval of the median.

Figures:
  messages/s   right replies that arrived in the measured part, over its length
  latency      from sending (open loop: from the intended time) to the whole reply; p99: 99 % were at most that long. \
The first request of each connection is counted separately, as the first reply
  connect      opening a connection
  lost         no reply within --timeout; late: it arrived after that. On a stream the connection is then closed
  duplicated, reordered  replies that arrived again, or after the reply to a later request; where the contents allow it \
(uppercase, echo)
  warm-up      requests before the measured part, in no figure; with --warmup 0 a server gets the requests of -n and no others
  unsent       an open loop could not send in time, because --pipeline requests were under way or the wire was full
  lag          how late the generator itself was; if it exceeds the latencies, the generator was measured
  client CPU, server CPU  processor time for each right reply; the server's where its process is known (started here, \
or --server-pid). mem is served within the generator's own process
A warning is printed when the generator was the bottleneck, or when something else makes the figures doubtful.

SIGINT, SIGTERM, SIGQUIT or SIGHUP ends the run early: what was measured is kept and marked as partial. A second signal ends \
it at once; a SIGHUP beside another signal does not.

Examples:
  swapwire bench
  swapwire bench --html wires.html --json wires.json
  swapwire bench tcp unix --size 64,1k,16k --connections 1,64
  swapwire bench tcp ws wss unix-seq --pipeline 1,16
  swapwire bench udp --pipeline 16 -t 1 --pin 0 --server-pin 0
  swapwire bench tcp unix -c 512 --server-workers 2
  swapwire bench tcp://127.0.0.1:8888 unix:/run/echo.sock --expect echo
  swapwire bench tcp://127.0.0.1:8888 --rate 10k,50k --slo p99=5ms -d 10s
  swapwire bench tcp --reconnect-every 1 --source 127.0.0.2,127.0.0.3
  swapwire bench tcp --find-max --slo p99=5ms,loss=0.1%
  swapwire bench tcp://127.0.0.1:7 --expect echo --size 64..1k -n 10k --server-pid 1
  swapwire bench tcp --reconnect-every 1
  swapwire bench unix --quiet --json -

Exit codes:
  0  measured; datagrams that were lost are a finding, not a failure
  1  nothing or only a part was measured, replies were wrong, there were errors, or a file could not be written
  2  wrong usage: flags that contradict each other, a load that a wire cannot carry
  3  the objective of --slo was missed; with --find-max: it held at no rate";

pub(crate) const COMPARE: &str = "\
Prints what changed from one run to another, cell by cell. A regression is a change for the worse that is larger than a \
rule allows and larger than the noise of both runs.

Examples:
  swapwire compare before.json after.json
  swapwire compare before.json after.json --fail-if 'p99>+5%' --fail-if 'throughput<-3%'

Exit codes:
  0  no regression
  1  a file could not be read, or the runs cannot be compared
  2  wrong usage
  3  a regression; each is a line on the standard error";

pub(crate) const REPORT: &str = "\
Prints the tables of runs that were written with --json, and writes the other files of `bench` from them. Several runs are \
shown side by side on one page.

Examples:
  swapwire report run.json
  swapwire report before.json after.json --html both.html
  swapwire report run.json --csv run.csv --markdown run.md --hlog run.hlog

Exit codes:
  0  printed and written
  1  a file could not be read or written
  2  wrong usage";

pub(crate) const HANDLERS: &str = "\
Prints one line for each handler: its name, its framing on byte streams (- for none), and what it does.

Examples:
  swapwire handlers
  swapwire serve --handler daytime tcp://127.0.0.1:0";

pub(crate) const TRANSPORTS: &str = "\
Prints one line for each scheme: its name, the shape of its wires, and their capabilities.

Examples:
  swapwire transports
  swapwire transports --options
  swapwire serve 'tcp://127.0.0.1:8888?backlog=3&nodelay=off'";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  swapwire completions bash > ~/.local/share/bash-completion/completions/swapwire
  swapwire completions zsh > ~/.zfunc/_swapwire
  swapwire completions fish > ~/.config/fish/completions/swapwire.fish";
