"""What `scripts/limit` measures: the servers, the loads and the figures."""

import atexit
import functools
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

# `serve` as the figures mean it: everything else is its default.
SERVE = ["--until-eof", "--workers", "1"]
# Both servers' datagram sockets have the same system buffers, so that loops are compared and not queues: of UDP ours has
# its default, in bytes.
RECV_BUFFER = 4 << 20
BUFFERS = {"udp": "?send_buffer=2MiB", "unix-dgram": "?recv_buffer=2MiB&send_buffer=2MiB"}
# A peer that knows nothing of trains.
SINGLE = "?gso=false&gro=false"

CPU, RATE, P99 = "server CPU/message", "messages/s", "p99"


def place(wire: str, directory: str, name: str) -> str:
    return f"{wire}:{directory}/{name}" if wire.startswith("unix") else f"{wire}://127.0.0.1:0"


def limit(wire: str, how: str = "limit"):
    """The command of the server by hand."""
    return lambda binaries, directory: [binaries / "limit-server", place(wire, directory, f"limit-{how}"), "--how", how]


def stranger(how: str):
    """The command of another's WebSocket server."""
    return lambda binaries, directory: [binaries / "limit-stranger", place("ws", directory, how), "--how", how]


def swapwire(wire: str, *flags: str):
    """The command of ours."""

    def command(binaries, directory: str) -> list:
        at = place(wire, directory, "swapwire") + BUFFERS.get(wire, "")
        if wire in ("tls+tcp", "wss"):
            cert, key = certificate()
            at += f"?cert={cert}&key={key}"
        return [binaries / "swapwire", "serve", at, *SERVE, *flags]

    return command


def sessions(wire: str):
    """The command of a server whose handler is a session handler."""
    return lambda binaries, directory: [
        binaries / "examples" / "session_echo",
        place(wire, directory, "sessions") + BUFFERS.get(wire, ""),
    ]


TLS = Path(tempfile.gettempdir()) / "swapwire-limit-tls"


@functools.cache
def certificate() -> tuple:
    """The files of a certificate for this machine, and of its key."""
    shutil.rmtree(TLS, ignore_errors=True)
    TLS.mkdir(mode=0o700)
    atexit.register(shutil.rmtree, TLS, ignore_errors=True)
    cert, key = TLS / "cert.pem", TLS / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    # Nothing signs with it: a certificate that may is none of a server.
    names += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*made, *names, "-out", cert, "-keyout", key], check=True, stderr=subprocess.DEVNULL)
    return cert, key


def limit_tls(binaries, directory: str) -> list:
    """The command of the server by hand under TLS."""
    return [binaries / "limit-server", place("tcp", directory, "limit"), "--tls", *certificate()]


def trusting(endpoint: str) -> str:
    """What a client of that server is told to trust."""
    return f"?ca={TLS}/cert.pem" if endpoint.startswith(("tls", "wss", "ws+tls")) else ""


def load(size: str = "64", depth: int = 1, connections: int = 64, *more: str) -> list:
    return ["--size", size, "--pipeline", str(depth), "--connections", str(connections), *more]


@dataclass
class Pair:
    """Two servers under the same load, in turn: the ratio of a metric, b over a."""

    name: str
    what: str
    # `None`: measured, and held to nothing.
    figure: float | None
    a: object
    b: object
    load: list
    metric: str = CPU
    # Of the client's endpoint; if it depends on that, what tells it.
    query: object = ""
    at_least: bool = False
    # Others in turn: what each column of their ratio to a is called.
    beside: dict = field(default_factory=dict)
    # The server by hand with tokio, for the column that `--tokio` adds.
    tokio: object = None
    # Two servers by whose ratio that of b to a is divided.
    over: tuple = ()
    sides: tuple = ("limit", "swapwire")
    # Ours is to lose nothing.
    lossless: bool = False


@dataclass
class Absolute:
    """A count of each server by itself; the figure is of ours."""

    name: str
    what: str
    figure: float
    kind: str  # calls, instructions or memory
    wire: str
    load: list = field(default_factory=list)
    flags: tuple = ()
    query: str = ""
    at_least: bool = False


def _pairs() -> list:
    cells = []

    def pair(name, what, figure, wire, a, b, asked, tokio=True, **more):
        by_tokio = limit(wire, "tokio") if tokio else None
        cells.append(Pair(name, what, figure, a, b, asked, tokio=by_tokio, **more))

    for wire, word in (("tcp", "TCP"), ("unix", "Unix stream")):
        for size in ("64", "1k"):
            for depth in (1, 16):
                what = f"{word}, {'64 B' if size == '64' else '1 KiB'}, depth {depth}"
                # The kernel's path of a Unix stream is a third of TCP's: the reactor is a larger part of the whole.
                figure = 1.08 if wire == "unix" and depth == 1 else 1.05
                pair(f"{wire}-{size}-{depth}", what, figure, wire, limit(wire), swapwire(wire), load(size, depth))
    pair("tcp-16k-16", "TCP, 16 KiB, depth 16", 1.10, "tcp", limit("tcp"), swapwire("tcp"), load("16k", 16))
    lines = load("64", 16, 64, "--framing", "lines")
    what = "TCP, lines, 64 B, depth 16; the limit is unframed"
    pair("tcp-lines", what, 1.15, "tcp", limit("tcp"), swapwire("tcp", "--framing", "lines"), lines)
    for depth, figure in ((1, 1.06), (16, 0.93)):
        what = f"UDP, 64 B, depth {depth}, single datagrams; the limit does not merge"
        asked = load("64", depth)
        pair(f"udp-{depth}", what, figure, "udp", limit("udp"), swapwire("udp"), asked, query=SINGLE, lossless=True)
    # The queue of a socket holds no more of the longer ones.
    for size, peers in (("64", 64), ("1k", 16)):
        what = f"UDP, trains of 16 × {'64 B' if size == '64' else '1 KiB'}, {peers} peers; the limit is GRO + GSO"
        asked = load(size, 16, peers)
        pair(f"udp-trains-{size}", what, 1.15, "udp", limit("udp", "gro"), swapwire("udp"), asked)
    dgram = "unix-dgram"
    what = "Unix datagram, 64 B, depth 8"
    pair("unix-dgram", what, 1.10, dgram, limit(dgram), swapwire(dgram), load("64", 8))
    what = "Unix datagram, 1 KiB, depth 8"
    rate = {"metric": RATE, "at_least": True, "tokio": False}
    pair("unix-dgram-rate", what, 1.0, dgram, limit(dgram), swapwire(dgram), load("1k", 8), **rate)
    what = "TCP, 64 B, 512 connections"
    pair("tcp-p99", what, 1.5, "tcp", limit("tcp"), swapwire("tcp"), load("64", 1, 512), metric=P99)
    what = "TCP, connect + one message + close, 64 at a time"
    churn = load("64", 1, 64, "--reconnect-every", "1")
    pair("tcp-churn", what, 1.08, "tcp", limit("tcp"), swapwire("tcp"), churn)
    trusted = {"query": trusting, "tokio": False}
    swapwire_tls = swapwire("tls+tcp")
    rate = {"metric": RATE, "at_least": True}
    for depth in (1, 16):
        what = f"TLS over TCP, 64 B, depth {depth}"
        pair(f"tls-64-{depth}", what, 1.10, "tcp", limit_tls, swapwire_tls, load("64", depth), **trusted)
    for size, word in (("16k", "16 KiB"), ("1m", "1 MiB")):
        asked = load(size, 1, 8)
        pair(f"tls-{size}", f"TLS over TCP, {word}", 0.95, "tcp", limit_tls, swapwire_tls, asked, **trusted, **rate)
    what = "TLS over TCP, full handshake + one message + close, 16 at a time"
    churn = load("64", 1, 16, "--reconnect-every", "1")
    pair("tls-churn", what, 0.95, "tcp", limit_tls, swapwire_tls, churn, **trusted, **rate)
    ws, length = swapwire("ws"), swapwire("tcp", "--framing", "length")
    for size, word in (("64", "64 B"), ("16k", "16 KiB")):
        for depth in (1, 16):
            what, asked = f"WebSocket, {word}, depth {depth}", load(size, depth)
            pair(f"ws-{size}-{depth}", what, 1.10, "ws", limit("ws"), ws, asked, tokio=False)
            for how in ("tokio-tungstenite", "fastwebsockets"):
                sides = {"sides": (how, "swapwire"), "tokio": False}
                pair(f"ws-{how}-{size}-{depth}", f"{what}, {how}", 1.0, "ws", stranger(how), ws, asked, **sides)
            # Frames of their own need no framing.
            framed, sides = [*asked, "--framing", "length"], {"sides": ("length", "ws"), "tokio": False}
            beside = f"{what}, against the framing length over TCP"
            figure = 1.15 if depth == 1 else None
            pair(f"ws-length-{size}-{depth}", beside, figure, "ws", length, ws, framed, **sides)
            beside = f"WebSocket over TLS against TLS, over WebSocket against TCP, {word}, depth {depth}"
            over = {"over": (swapwire("tcp"), ws), "sides": ("tls", "wss"), **trusted}
            pair(f"wss-{size}-{depth}", beside, 1.05, "wss", swapwire_tls, swapwire("wss"), asked, **over)
    text = {"query": "?type=text", "tokio": False}
    pair("ws-text-64-1", "WebSocket, text, 64 B, depth 1", None, "ws", limit("ws"), ws, load(), **text)
    seq = "unix-seq"
    for size, word in (("64", "64 B"), ("16k", "16 KiB")):
        for depth in (1, 16):
            what = f"Unix seqpacket, {word}, depth {depth}; the limit sets SO_PASSCRED"
            beside = {"beside": {"without SO_PASSCRED / limit": limit(seq, "plain")}, "tokio": False}
            pair(f"{seq}-{size}-{depth}", what, 1.10, seq, limit(seq), swapwire(seq), load(size, depth), **beside)
    for depth in (1, 16):
        what = f"UDP, 64 B, depth {depth}: a session handler, against a handler"
        both = {"sides": ("handler", "sessions"), "tokio": False, "query": SINGLE}
        pair(f"udp-sessions-{depth}", what, 1.35, "udp", swapwire("udp"), sessions("udp"), load("64", depth), **both)
    return cells


def _absolutes() -> list:
    lines = load("64", 16, 64, "--framing", "lines")
    of_lines = {"flags": ("--framing", "lines")}
    single = {"query": SINGLE}
    idle = "idle after one message of 64 B, 10,000 connections"
    return [
        Absolute("instructions-tcp", "TCP, 64 B, depth 1", 1150, "instructions", "tcp", load()),
        Absolute("instructions-udp", "UDP, 64 B, 64 peers, batched", 250, "instructions", "udp", load(), **single),
        Absolute("instructions-lines", "TCP, lines, 64 B, depth 16", 200, "instructions", "tcp", lines, **of_lines),
        Absolute("calls-tcp-1", "TCP, 64 B, depth 1", 2.05, "calls", "tcp", load()),
        Absolute("calls-tcp-16", "TCP, 64 B, depth 16", 0.14, "calls", "tcp", load("64", 16)),
        Absolute("calls-udp-1", "UDP, 64 B, 64 peers, depth 1", 0.1, "calls", "udp", load(), **single),
        Absolute("calls-udp-16", "UDP, 64 B, 64 peers, depth 16", 0.1, "calls", "udp", load("64", 16), **single),
        Absolute("calls-ws-16", "WebSocket, 64 B, depth 16", 0.14, "calls", "ws", load("64", 16)),
        Absolute("calls-unix-seq-16", "Unix seqpacket, 64 B, depth 16", 2.05, "calls", "unix-seq", load("64", 16)),
        Absolute("memory", f"TCP, {idle}", 1.25 * 1024, "memory", "tcp"),
        Absolute("memory-ws", f"WebSocket, {idle}; the request is a browser's", 1.25 * 1024 + 256, "memory", "ws"),
    ]


CELLS = _pairs() + _absolutes()
