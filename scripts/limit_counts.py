"""Counts: system calls, instructions and memory of each server by itself. The figure is of ours."""

import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import measuring
from limit_cells import Absolute, limit, swapwire
from measuring import median

# Fresh servers, each; what is counted hardly differs between them.
TIMES = 3
# Between two runs under callgrind lie so many messages: starting and stopping fall out of the difference.
FEW, MANY = 5_000, 45_000
# Messages of a run under strace: some seconds, beside which accepting hardly counts.
STRACED = 100_000
CONNECTIONS = 10_000
# A message and its reply, on each wire: a frame of WebSocket has a header, and a client's a mask.
SENT = {"tcp": b"x" * 64, "ws": b"\x82\xc0\0\0\0\0" + b"x" * 64}
REPLIES = {"tcp": b"X" * 64, "ws": b"\x82\x40" + b"X" * 64}
# What Chromium asks with.
UPGRADE = """GET / HTTP/1.1
Host: {place}
Connection: Upgrade
Pragma: no-cache
Cache-Control: no-cache
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36
Upgrade: websocket
Origin: http://{place}
Sec-WebSocket-Version: 13
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-US,en;q=0.9
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits

"""


def measure(cell: Absolute, binaries: Path, asked) -> dict:
    """The row of the table."""
    return {"calls": calls, "instructions": instructions, "memory": memory}[cell.kind](cell, binaries, asked)


def row(cell: Absolute, how: str, unit: str, form: str, values: list, beside=("", "")) -> dict:
    """`values` are pairs: of the limit, of ours."""
    a, b = zip(*values)
    return {
        "cell": f"`{cell.name}`",
        "what": f"{cell.what} ({how})",
        "figure": f"≤ {cell.figure:,g} {unit}",
        "measured": f"{median(b):{form}}",
        "least – largest": f"{min(b):{form}} – {max(b):{form}}",
        "a": f"limit {median(a):{form}}{beside[0]}",
        "b": f"swapwire {median(b):{form}}{beside[1]}",
        "verdict": "holds" if median(b) <= cell.figure else "**missed**",
    }


def both(cell: Absolute) -> list:
    """The commands of the limit, and of ours."""
    return [limit(cell.wire), swapwire(cell.wire, *cell.flags)]


def calls(cell: Absolute, binaries: Path, asked) -> dict:
    """By strace, which slows the server, so that one client saturates it. Beside it by perf, which slows nobody."""
    counted = []
    for by in (strace, perf):
        counted.append([[by(cell, binaries, asked, command) for command in both(cell)] for _ in range(TIMES)])
    stressed, free = counted
    beside = [f" (perf: {median(side):.3f})" for side in zip(*free)]
    return row(cell, "strace", "system calls/message", ",.3f", stressed, beside)


def strace(cell: Absolute, binaries: Path, asked, command) -> float:
    """All system calls while the client runs, those of accepting among them, for each message."""
    with tempfile.TemporaryDirectory() as directory, measuring.server(command(binaries, directory)) as server:
        counted = Path(directory) / "counted"
        seen = ["strace", "-f", "-c", "-q", "-U", "calls,name", "-o", counted, "-p", str(server.pid)]
        tracer = subprocess.Popen(seen, stderr=subprocess.DEVNULL)
        # The system says of each thread who traces it.
        tasks = Path(f"/proc/{server.pid}/task").glob("*/status")
        for status in tasks:
            while "TracerPid:\t0\n" in status.read_text():
                if tracer.poll() is not None:
                    sys.exit(f"strace -p {server.pid}: exit {tracer.returncode}")
        load = [*cell.load, "--requests", str(STRACED), "--warmup", "0"]
        bench = measuring.bench_command(binaries, server.endpoint + cell.query, load)
        answered = measuring.the_round(measuring.output(*bench))["answered"]
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        lines = re.findall(r"^ *(\d+) (\w+)$", counted.read_text(), re.MULTILINE)
        return sum(int(count) for count, name in lines if name != "total") / answered


def perf(cell: Absolute, binaries: Path, asked, command) -> float:
    """The same by a counter in the kernel."""
    with tempfile.TemporaryDirectory() as directory, measuring.server(command(binaries, directory)) as server:
        load = [*cell.load, "--duration", asked.duration, "--warmup", "0"]
        bench = measuring.bench_command(binaries, server.endpoint + cell.query, load)
        counted = Path(directory) / "counted"
        counter = ["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", str(server.pid), "-o", str(counted)]
        answered = measuring.the_round(measuring.output(*counter, "--", *bench))["answered"]
        return int(re.search(r"^(\d+),", counted.read_text(), re.MULTILINE)[1]) / answered


def instructions(cell: Absolute, binaries: Path, asked) -> dict:
    values = [executed(cell, binaries, command) for command in both(cell)]
    return row(cell, "callgrind, user space", "instructions/message", ",.0f", [values])


def executed(cell: Absolute, binaries: Path, command) -> float:
    """User instructions for each message: the same in every run, but for a few."""
    done = []
    for requests in (FEW, MANY):
        with tempfile.TemporaryDirectory() as directory:
            valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/callgrind"]
            with measuring.server([*valgrind, *command(binaries, directory)]) as server:
                load = [*cell.load, "--requests", str(requests), "--warmup", "0", "--timeout", "20s"]
                bench = measuring.bench_command(binaries, server.endpoint + cell.query, load)
                answered = measuring.the_round(measuring.output(*bench))["answered"]
            done.append((answered, int(re.search(r"Collected : (\d+)", server.report)[1])))
    (few, before), (many, after) = done
    return (after - before) / (many - few)


def memory(cell: Absolute, binaries: Path, asked) -> dict:
    values = [[grown(binaries, command) for command in both(cell)] for _ in range(TIMES)]
    return row(cell, "VmRSS", "B/connection", ",.0f", values)


def grown(binaries: Path, command) -> float:
    """Resident bytes for each connection that has had one message answered."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < CONNECTIONS + 100:
        sys.exit(f"limit on descriptors: {most}: {CONNECTIONS} connections need more (ulimit -H -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as directory, measuring.server(command(binaries, directory)) as server:
        scheme, _, place = server.endpoint.partition("://")
        wire = scheme.partition("+")[0]
        host, _, port = place.rstrip("/").rpartition(":")
        upgrade = UPGRADE.format(place=f"{host}:{port}").replace("\n", "\r\n").encode()
        before, open_ones = resident(server.pid), []
        for _ in range(CONNECTIONS):
            connection = socket.create_connection((host, int(port)))
            if wire == "ws":
                connection.sendall(upgrade)
                # Nothing follows the answer, so it is short.
                if not connection.recv(4096).endswith(b"\r\n\r\n"):
                    sys.exit(f"{server.endpoint}: no WebSocket")
            connection.sendall(SENT[wire])
            if connection.recv(len(REPLIES[wire]), socket.MSG_WAITALL) != REPLIES[wire]:
                sys.exit(f"{server.endpoint}: a wrong reply")
            open_ones.append(connection)
        after = resident(server.pid)
        for connection in open_ones:
            connection.close()
        return (after - before) / CONNECTIONS


def resident(pid: int) -> int:
    return int(re.search(r"VmRSS:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) * 1024
