"""What the scripts that measure share: building, serving, loading, and what a handful of values says."""

import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Each side has a processor of its own.
SERVER_CPU, CLIENT_CPU = 0, 1


def build(*what) -> Path:
    """Builds in release mode; gives the directory of the programs."""
    if subprocess.run(["cargo", "build", "--release", "--quiet", *what], cwd=ROOT).returncode != 0:
        sys.exit("cargo build: failed, as it says above")
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "release"


def output(*command) -> dict:
    """The JSON that a command prints."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


class Server:
    """A server that runs."""

    def __init__(self, process: subprocess.Popen, endpoint: str):
        self.process, self.pid, self.endpoint = process, process.pid, endpoint
        # What it said in the end, once it has ended.
        self.report = ""


@contextmanager
def server(command: list):
    """A server that prints `listening ENDPOINT` and ends at SIGINT, on its processor, until the block ends. If it ends
    with its input as well, it does so when this script is killed."""
    command, pipe = [str(word) for word in command], subprocess.PIPE
    pin = lambda: os.sched_setaffinity(0, {SERVER_CPU})
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, preexec_fn=pin) as process:
        word, _, bound = process.stdout.readline().strip().partition(" ")
        if word != "listening":
            sys.exit(f"{' '.join(command)}: it did not start: {process.stderr.read().strip()}")
        running = Server(process, bound.partition("?")[0])
        try:
            yield running
        finally:
            process.send_signal(signal.SIGINT)
            running.report = process.communicate()[1]


def bench_command(binaries: Path, endpoint: str, load: list, pid: int | None = None) -> list:
    """One round of `swapwire bench` from one thread on the client's processor; prints JSON."""
    how = ["--rounds", "1", "--threads", "1", "--pin", str(CLIENT_CPU), "--quiet", "--json", "-"]
    seen = ["--server-pid", str(pid)] if pid else []
    return [str(binaries / "swapwire"), "bench", endpoint, *load, *how, *seen]


def the_round(run: dict) -> dict:
    """The only round of the only cell."""
    return run["cells"][0]["rounds"][0]


def interval(values: list) -> tuple[float, float]:
    """The 95 % interval of the median, whatever the distribution: between the k-th value from either end, where fewer
    than k of so many tosses of a coin come up heads in at most 2.5 of 100 cases. Below six values there is none; then it
    is all that was seen."""
    values, count = sorted(values), len(values)
    tail, k = 0.0, 0
    while (tail := tail + math.comb(count, k) / 2**count) <= 0.025:
        k += 1
    k = max(k, 1)
    return values[k - 1], values[-k]


def median(values) -> float:
    return statistics.median(values)


def page(title: str, path: str | None):
    """What prints a line, and writes it below `title` into the file at `path` too, if one was asked for."""
    file = open(path, "w") if path else None

    def line(text: str) -> None:
        print(text, flush=True)
        if file:
            print(text, file=file, flush=True)

    if file:
        print(f"# {title}\n", file=file)
    return line


def circumstances() -> str:
    """When, of what and where, as a sentence."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    system = f"Linux {os.uname().release.partition('-')[0]}, {cpu[1] if cpu else os.uname().machine}"
    return f"{time.strftime('%Y-%m-%d')}, commit {commit.stdout.strip()}, {system}, {os.cpu_count()} processors;"
