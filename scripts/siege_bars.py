"""What `scripts/siege` tries. Each bar gives rows: the figure, what was seen, and whether that holds."""

import json
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from measuring import median

# Where the programs are; `scripts/siege` says it.
RELEASE = Path()
# 28,000 ports for each address that connects.
SOURCES = ["--src", "127.0.0.2", "--src", "127.0.0.3"]


class Server:
    """`swapwire serve`, or another command that prints `listening ENDPOINT`."""

    def __init__(self, process: subprocess.Popen, endpoint: str, log: Path):
        self.process, self.pid, self.endpoint, self.log = process, process.pid, endpoint, log

    def tell(self, what: signal.Signals) -> None:
        self.process.send_signal(what)

    def rss(self) -> int:
        """Resident memory, in bytes."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))

    def lines(self) -> int:
        return self.log.read_text().count("\n")


@contextmanager
def serve(place: str, *flags: str, program=None, descriptors: int | None = None):
    """Until the block ends."""
    command = [*(program or [RELEASE / "swapwire", "serve"]), place, *flags]

    def limit():
        if descriptors:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                [str(word) for word in command], stdout=subprocess.PIPE, stderr=errors, text=True, preexec_fn=limit
            )
        word, _, bound = process.stdout.readline().strip().partition(" ")
        if word != "listening":
            sys.exit(f"{' '.join(map(str, command))}: it did not start: {log.read_text().strip()}")
        try:
            yield Server(process, bound.partition("?")[0], log)
        finally:
            process.kill()
            process.wait()


def begin(program: str, *words) -> subprocess.Popen:
    """Starts the adversary, or the proxy; see `end`."""
    command = [str(RELEASE / program), *map(str, words), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen) -> dict:
    out, errors = process.communicate()
    if not out.strip():
        sys.exit(f"{' '.join(process.args)}: exit {process.returncode}: {errors.strip()}")
    return json.loads(out.strip().splitlines()[-1])


def adv(*words) -> dict:
    return end(begin("adv", *words))


def faults(report: dict, *names: str) -> int:
    return sum(report["counts"][name] for name in names)


WRONG = ("lost", "duplicated", "crossed", "corrupt", "cut")


def place(wire: str, directory: str) -> str:
    return f"{wire}://127.0.0.1:0" if wire in ("tcp", "udp") else f"{wire}:{directory}/server"


def descriptors(quick: bool):
    """256 descriptors and 1,000 clients"""
    hold = 5 if quick else 15
    # Below the limit on descriptors connections wait in the queue; above it, accepting fails.
    for flags, what in (([], "at the cap"), (["--max-connections", "100000"], "at EMFILE")):
        with serve("tcp://127.0.0.1:0", *flags, descriptors=256) as server:
            judge = begin("adv", "verify", server.endpoint, "-c", 8, "--for", f"{hold}s", "--pause", "20ms")
            time.sleep(0.5)
            crowd = begin("adv", "hold", server.endpoint, "-n", 1000, "--hold-for", f"{hold - 2}s")
            time.sleep(1.5)
            quiet_from, lines = time.monotonic(), server.lines()
            watched = adv("watch", server.pid, "--for", f"{hold - 4}s")
            seconds, lines = time.monotonic() - quiet_from, server.lines() - lines
            end(crowd)
            freed = time.monotonic()
            after = adv("verify", server.endpoint, "-c", 64, "-n", 64)
            recovery = time.monotonic() - freed
            judged = end(judge)
        cpu = watched["cpu_percent"]["mean"]
        yield f"< 5 % CPU while full, {what}", f"{cpu:.1f} %", cpu < 5
        admitted = judged["ok"] and judged["answered"] > 0
        yield f"admitted clients are answered, {what}", f"{judged['answered']} of {judged['requests']}", admitted
        saw = f"{recovery:.2f} s, {after['answered']} of 64 answered"
        yield f"full service 1 s after release, {what}", saw, recovery < 1 and after["ok"]
        yield f"at most one log line a second, {what}", f"{lines} in {seconds:.1f} s", lines <= seconds + 1


def drain(quick: bool):
    """SIGTERM under full load, with 64 sessions, and with 8 clients that connect for each message"""
    runs = 3 if quick else 50
    for wire in ("tcp", "unix", "udp", "unix-dgram"):
        if wire in ("udp", "unix-dgram"):
            # What comes behind the end of the server is nobody's; all that it answered must arrive.
            names, loads = ("duplicated", "crossed", "corrupt"), {"sessions": ["-c", 64, "--for", "1s"]}
        else:
            # Before its first reply, too, nobody who is connected is reset.
            names, until = (*WRONG, "reset", "turned-away"), ["--until-closed", "--signal"]
            loads = {"sessions": ["-c", 64, *until], "connects": ["-c", 8, "--churn", 1, *until]}
        for what, load in loads.items():
            wrong, answered, counted = drained(wire, runs, names, load)
            figure = f"{wire}, {what}: none {' or '.join(', '.join(names).rsplit(', ', 1))}, {runs} runs"
            saw = f"{wrong} of {answered:,} replies; the server counts {counted:,}"
            yield figure, saw, wrong == 0 and counted == answered


def drained(wire: str, runs: int, names: tuple, how: list) -> tuple[int, int, int]:
    """How many faults, replies, and messages by the server's own count."""
    wrong = answered = counted = 0
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(runs):
            with serve(place(wire, directory)) as server:
                asked = [*how, server.pid] if how[-1] == "--signal" else how
                judge = begin("adv", "verify", server.endpoint, *asked)
                if asked is how:
                    time.sleep(0.5)
                    server.tell(signal.SIGTERM)
                judged = end(judge)
                server.process.wait()
                wrong += faults(judged, *names)
                answered += judged["answered"]
                counted += int(re.search(r"(\d+) messages", server.log.read_text())[1])
    return wrong, answered, counted


def queue(quick: bool):
    """SIGTERM while 100 clients wait in the accept queue"""
    runs = 2 if quick else 10
    for wire in ("tcp", "unix"):
        answered = asked = 0
        with tempfile.TemporaryDirectory() as directory:
            for _ in range(runs):
                with serve(place(wire, directory)) as server:
                    server.tell(signal.SIGSTOP)
                    judge = begin("adv", "verify", server.endpoint, "-c", 100, "-n", 100)
                    time.sleep(0.5)
                    server.tell(signal.SIGTERM)
                    server.tell(signal.SIGCONT)
                    judged = end(judge)
                    answered, asked = answered + judged["answered"], asked + 100
        yield f"{wire}: all are answered, {runs} runs of 100", f"{answered} of {asked}", answered == asked


def last_reply(quick: bool):
    """A reply of 1.5 MB, with input that the server has not read when it closes"""
    count = 20 if quick else 1000
    # What is no line within 64 KiB ends the session, behind the replies.
    flags = ["--framing", "lines", "--max-message", "64KiB"]
    with serve("tcp://127.0.0.1:0", *flags) as server:
        how = ["--framing", "lines", "--size", "32768", "--junk", "1MiB"]
        saw = adv("pipeline", server.endpoint, "1536KiB", "-n", count, *how)
    yield f"whole, {count:,} times", f"{saw['whole']:,} of {count:,}", saw["whole"] == count


def noread(quick: bool):
    """256 peers that never read"""
    deadline = 5 if quick else 30
    load = ["-c", 16, "--pause", "5ms"]
    with serve("tcp://127.0.0.1:0", "--write-timeout", f"{deadline}s") as server:
        alone = adv("verify", server.endpoint, *load, "--for", "4s")
        before = server.rss()
        crowd = begin("adv", "noread", server.endpoint, "-n", 256, "--closed-within", f"{deadline - 1}s..{deadline + 5}s")
        # Until what they ask has filled the buffers at both ends, they are a flood.
        filled = 2 if quick else 8
        time.sleep(filled)
        beside = adv("verify", server.endpoint, *load, "--for", f"{deadline - filled - 1}s")
        each = (server.rss() - before) / 256
        closed = end(crowd)
    # An upper-case echo without a framing has messages of what one read gives: at most 128 KiB.
    yield "memory for each: at most 256 KiB and a message", f"{each / 1024:.0f} KiB", each <= (256 + 128) * 1024
    after = closed["closed_after"] or {"min_ms": 0, "max_ms": 0}
    saw = f"{closed['closed']} closed after {after['min_ms'] / 1e3:.1f}–{after['max_ms'] / 1e3:.1f} s"
    yield f"closed at the write deadline of {deadline} s", saw, closed["closed"] == 256 and closed["ok"]
    p99 = alone["latency"]["p99_ms"], beside["latency"]["p99_ms"]
    yield "p99 of others at most doubled", f"{p99[0]:.2f} → {p99[1]:.2f} ms", p99[1] <= 2 * p99[0]


def drip(quick: bool):
    """10,000 peers that drip"""
    count, deadline = (500, 5) if quick else (10_000, 30)
    with serve("tcp://127.0.0.1:0", "--frame-timeout", f"{deadline}s", "--framing", "lines") as server:
        within = ["--closed-within", f"{deadline - 1}s..{deadline + 1}s", "--every", "5s"]
        crowd = begin("adv", "drip", server.endpoint, "-n", count, *within, *SOURCES)
        good = adv("verify", server.endpoint, "-c", 1, "--framing", "lines", "--pause", "2ms", "--for", f"{deadline}s")
        closed = end(crowd)
    after = closed["closed_after"] or {"min_ms": 0, "max_ms": 0}
    saw = f"{closed['closed']:,} closed after {after['min_ms'] / 1e3:.1f}–{after['max_ms'] / 1e3:.1f} s"
    yield f"all {count:,} closed at the frame deadline of {deadline} s", saw, closed["closed"] == count and closed["ok"]
    p99 = good["latency"]["p99_ms"]
    yield "p99 of a good client below 50 ms", f"{p99:.1f} ms", p99 < 50 and good["ok"]


# A request that switches to WebSocket.
UPGRADE = (
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# A server on each wire with a handshake, and how such a handshake begins.
WITH_HANDSHAKES = {
    "ws": ("ws://127.0.0.1:0", r"GET / HTTP/1.1\r\nHost: 127.0"),
    "tls": ("tls://127.0.0.1:0?self_signed=true", r"\x16\x03\x01\x01\x00"),
    "proxy": ("proxy+tcp://127.0.0.1:0?trust=127.0.0.0/8", "PROXY TCP4 192.0"),
}


def connect(wire: str, port: int) -> socket.socket:
    """A client of `wire`, once its handshake is done."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if wire == "proxy":
        plain.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 2222\r\n")
    if wire == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(plain)
    if wire == "ws":
        plain.sendall(UPGRADE.encode())
        if not plain.recv(4096).endswith(b"\r\n\r\n"):
            raise OSError("no WebSocket")
    return plain


def ask(wire: str, client: socket.socket) -> bool:
    # A frame of WebSocket has a header, and a client's a mask.
    said, right = (b"\x82\x81\0\0\0\0x", b"\x82\x01X") if wire == "ws" else (b"x", b"X")
    client.sendall(said)
    return client.recv(len(right), 0 if wire == "tls" else socket.MSG_WAITALL) == right


def ask_anew(wire: str, port: int) -> bool:
    with connect(wire, port) as client:
        return ask(wire, client)


def handshakes(quick: bool):
    """2,048 handshakes that stall, and as many that come again at once"""
    count, seconds = (2048, 5) if quick else (2048, 30)
    for wire, (place, begun) in WITH_HANDSHAKES.items():
        for says in ([], ["--say", begun]):
            with serve(place, "tcp://127.0.0.1:0") as server:
                other = int(server.process.stdout.readline().rpartition(":")[2])
                port = int(server.endpoint.rpartition(":")[2])
                connected = connect(wire, port)
                clients = {
                    f"a connected client of {wire}": lambda: ask(wire, connected),
                    f"one that connects by {wire} for each message": lambda: ask_anew(wire, port),
                    "one that connects by tcp for each message": lambda: ask_anew("tcp", other),
                }
                attack = ["stall-handshake", f"tcp://127.0.0.1:{port}", "-n", count, *says, *SOURCES]
                crowds = [
                    begin("adv", *attack, "--for", f"{seconds + 2}s"),
                    begin("adv", *attack, "--for", f"{seconds + 2}s", "--again"),
                ]
                time.sleep(1)
                times = {name: [] for name in clients}
                failed, until = 0, time.monotonic() + seconds
                while time.monotonic() < until:
                    for name, client in clients.items():
                        begun_at = time.monotonic()
                        try:
                            failed += not client()
                        except OSError as error:
                            print(f"{name}: {error}", file=sys.stderr)
                            failed += 1
                        times[name].append(time.monotonic() - begun_at)
                    time.sleep(0.002)
                connected.close()
                came_again = sum(end(crowd)["came_again"] for crowd in crowds)
            how = "that begin and stop" if says else "that say nothing"
            for name, seen in times.items():
                p99 = sorted(seen)[len(seen) * 99 // 100] * 1e3
                yield f"{how}: p99 of {name} below 50 ms", f"{p99:.1f} ms of {len(seen):,}", p99 < 50
            saw = f"{failed} failed; {came_again:,} came again"
            yield f"{how}, {wire}: all are answered", saw, failed == 0 and came_again > 0


def frames(quick: bool):
    """WebSockets: pings of peers that never read, and messages in fragments of one byte"""
    greeting = UPGRADE.encode("unicode_escape").decode()
    ping = ["--greet", greeting, "--request", r"\x89\x80\0\0\0\0", "--receive-buffer", "4k", "--for", "10s"]
    for count, since, filled in ((1, "from the beginning", 0), (16 if quick else 256, "once their buffers are full", 4)):
        with serve("ws://127.0.0.1:0") as server:
            # The worker's own buffers are there.
            ask_anew("ws", int(server.endpoint.rstrip("/").rpartition(":")[2]))
            before = server.rss()
            target = "tcp://" + server.endpoint.partition("://")[2].rstrip("/")
            crowd = begin("adv", "noread", target, "-n", count, *ping)
            time.sleep(filled)
            before = server.rss() if filled else before
            time.sleep(8 - filled)
            grown = (server.rss() - before) / 2**20
            written = end(crowd)["written_bytes"]["min"]
        saw = f"{grown:.2f} MiB; {written:,} bytes of pings or more on each"
        figure = f"pings without reading, {count} at a time: at most 1 MiB more, {since}"
        yield figure, saw, grown <= 1 and written > 0
    # Below the most that a message may have, so that none of them ends.
    count, most = (16, 128 << 10) if quick else (256, 768 << 10)
    with serve("ws://127.0.0.1:0") as server:
        target = "tcp://" + server.endpoint.partition("://")[2].rstrip("/")
        # The first fragment comes with the request.
        greeting += r"\x02\x81\0\0\0\0x"
        fragment = [r"\0\x81\0\0\0\0x", "--ask", most, "--for", "12s"]
        before = server.rss()
        crowd = begin("adv", "noread", target, "-n", count, "--greet", greeting, "--request", *fragment)
        time.sleep(10)
        grown = server.rss() - before
        held = end(crowd)
    sent = count * held["written_bytes"]["min"]
    saw = f"{grown:,} of {sent:,}; {held['still_open']} stayed open"
    figure = f"fragments of one byte of {count} peers: at most twice the bytes sent"
    yield figure, saw, grown <= 2 * sent and held["still_open"] == count and sent == count * most


def idle(quick: bool):
    """15,000 idle connections"""
    count = 1000 if quick else 15_000
    with serve("tcp://127.0.0.1:0") as server:
        adv("verify", server.endpoint, "-c", 1, "-n", 100)
        before = server.rss()
        crowd = begin("adv", "hold", server.endpoint, "-n", count, "--hold-for", "20s", "--ask", *SOURCES)
        time.sleep(18)
        each = (server.rss() - before) / count
        held = end(crowd)
    yield "resident memory for each: at most 1.25 KiB", f"{each:,.0f} bytes", each <= 1280
    yield f"all {count:,} answer afterwards", f"{held['answered']:,}", held["answered"] == count


def truth(quick: bool):
    """10 million requests of 512 clients that come and go, through a proxy that misbehaves"""
    count = 20_000 if quick else 1_250_000
    slices = ["--slice", "100", "--stall", "0.0001"]
    loss = ["--drop", "0.01", "--duplicate", "0.01", "--reorder", "0.02"]
    for wire in ("tcp", "unix", "udp", "unix-dgram"):
        if wire in ("udp", "unix-dgram"):
            yield truthful(wire, "lossy", 2 * count, loss, ["lost", "late", "reordered", "duplicated"])
        else:
            yield truthful(wire, "whole", count, slices, [])
            # A request on a connection that the proxy resets is lost, and no fault of the server's.
            yield truthful(wire, "reset", count, [*slices, "--reset", "0.00001"], ["reset", "closed", "cut", "lost"])


def truthful(wire: str, what: str, count: int, ill: list, allowed: list) -> tuple:
    with tempfile.TemporaryDirectory() as directory, serve(place(wire, directory)) as server:
        at = f"{wire}://127.0.0.1:0" if wire in ("tcp", "udp") else f"{wire}:{directory}/proxy"
        proxy = begin("faultproxy", at, server.endpoint, *ill, "--seed", "1")
        bound = proxy.stdout.readline().strip().removeprefix("listening ")
        how = ["-c", 512, "-n", count, "--pipeline", 4, "--churn", 1000, "--deadline", "30m"]
        judged = adv("verify", bound, *how, *(["--allow", ",".join(allowed)] if allowed else []))
        proxy.terminate()
        proxy.communicate()
    names = [name for name in WRONG if name not in allowed]
    wrong = faults(judged, *names)
    holds = wrong == 0 and judged["answered"] > 0
    figure = f"{wire}, {what}: none {' or '.join(', '.join(names).rsplit(', ', 1))}, {count:,} requests"
    return figure, f"{wrong} of {judged['answered']:,} replies", holds


def spoof(quick: bool):
    """1,000,000 sources beside 100 live sessions"""
    count = 20_000 if quick else 1_000_000
    # On loopback alone there would be no bound.
    with serve("udp://0.0.0.0:0", program=[RELEASE / "examples" / "session_echo"]) as server:
        endpoint = server.endpoint.replace("0.0.0.0", "127.0.0.1")
        live = begin("adv", "verify", endpoint, "-c", 100, "--pause", "50ms", "--for", "10s" if quick else "60s")
        time.sleep(1)
        before = server.rss()
        spoofed = adv("udp-spoof", endpoint, "-n", count)
        grown = (server.rss() - before) / 2**20
        judged = end(live)
    yield f"at most 64 MiB more for {count:,} sources", f"{grown:.0f} MiB", grown <= 64
    answered, asked = judged["answered"], judged["requests"]
    yield "none of the 100 sessions is lost", f"{answered:,} of {asked:,} answered", answered >= 0.99 * asked
    yield "at most three bytes for each of theirs, or 64", f"{len(spoofed['faults'])} faults", spoofed["ok"]


def unix(quick: bool):
    """Unix sockets: restarts after kill -9, double starts, files of others"""
    restarts, doubles = (20, 5) if quick else (1000, 100)
    with tempfile.TemporaryDirectory() as directory:
        endpoint = f"unix:{directory}/server"
        back = 0
        for _ in range(restarts):
            with serve(endpoint):
                back += 1
        yield f"{restarts:,} restarts after kill -9", f"{back:,}", back == restarts
        refused = removed = 0
        command = [str(RELEASE / "swapwire"), "serve"]
        with serve(endpoint):
            for _ in range(doubles):
                second = subprocess.run([*command, endpoint], capture_output=True, text=True)
                refused += second.returncode == 1 and "another server" in second.stderr
        yield f"{doubles} second starts are refused", f"{refused}", refused == doubles
        target = Path(directory) / "target"
        target.write_text("kept")
        others = {"file": lambda at: at.write_text("kept"), "folder": lambda at: at.mkdir()}
        others |= {"link": lambda at: at.symlink_to(target), "fifo": lambda at: os.mkfifo(at)}
        for name, make in others.items():
            at = Path(directory) / name
            make(at)
            for _ in range(max(1, doubles // 10)):
                done = subprocess.run([*command, f"unix:{at}"], capture_output=True, text=True, timeout=10)
                removed += done.returncode != 1 or not at.is_symlink() and not at.exists()
        yield "no file of others is removed", f"{removed}", removed == 0


BARS = {
    "descriptors": descriptors,
    "drain": drain,
    "queue": queue,
    "last-reply": last_reply,
    "noread": noread,
    "drip": drip,
    "handshakes": handshakes,
    "frames": frames,
    "idle": idle,
    "spoof": spoof,
    "unix": unix,
    "truth": truth,
}
