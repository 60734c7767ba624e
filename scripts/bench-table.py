#!/usr/bin/env python3
"""Prints the results of the last `cargo bench` as Markdown tables.

Usage: scripts/bench-table.py [DIRECTORY] [--markdown docs/results/criterion.md]

Reads `**/new/{benchmark,estimates}.json` below DIRECTORY (default: `criterion` in `$CARGO_TARGET_DIR` or `target`).
Times are medians of criterion's samples. A ratio is the time of a server, client or codec over the time of the one in the
last column of rates: below 1, it is faster than that.
"""

import argparse
import json
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True
import measuring

# In which order the first column goes.
ORDER = ["tcp", "udp", "unix", "unix-dgram", "unix-seq", "ws", "mem", "chunks", "lines", "length", "delimiter", "fixed"]
SERVERS = {"swapwire": "swapwire", "by-hand": "by hand"}
# Group, title, what the rest of a group's name says, and its functions; the last one is what the others are held against.
TABLES = [
    ("throughput", "Throughput: 16 messages under way on each connection, or as many as have room",
     ["wire", "connections"], SERVERS),
    ("round-trip", "Round trip: 1 message under way on each connection", ["wire", "connections"], SERVERS),
    ("client", "Client: round trip against the same server", ["wire"], {"session": "session", "raw": "plain socket"}),
    ("codec", "Framing alone: 16 messages framed and cut", ["framing"], {"swapwire": "swapwire", "by-hand": "tokio_util"}),
    ("framed", "Framing through a server in memory: 1 connection, 16 messages under way", ["framing"],
     {"swapwire": "swapwire", "by-hand": "`Framed` by hand"}),
    ("erasure", "Where the handler comes from: in memory, 1 connection", ["wire", "under way"],
     {"registry": "registry", "swapwire": "by type", "by-hand": "tokio by hand", "direct": "direct loop"}),
    ("sessions", "Session handler and message handler: 64 B, 1 connection", ["wire", "under way"],
     {"session": "session", "by-hand": "by hand", "swapwire": "message"}),
]


def read(directory: Path) -> dict:
    """Nanoseconds for each message by (group, the rest of its name, size), then by function."""
    results = {}
    for path in directory.glob("**/new/estimates.json"):
        benchmark = json.loads(path.with_name("benchmark.json").read_text())
        estimates = json.loads(path.read_text())
        group, *rest = benchmark["group_id"].split("/")
        messages = benchmark["throughput"]["ElementsAndBytes"]["elements"]
        cell = results.setdefault((group, tuple(rest), int(benchmark["value_str"])), {})
        cell[benchmark["function_id"]] = estimates["median"]["point_estimate"] / messages
    return results


def size_name(size: int) -> str:
    return f"{size // 1024} KiB" if size >= 1024 and size % 1024 == 0 else f"{size:,} B"


def rate(nanoseconds: float | None) -> str:
    return f"{1e9 / nanoseconds:,.0f}" if nanoseconds else "–"


def order(key: tuple) -> tuple:
    (_, (first, *rest), size) = key
    return (ORDER.index(first) if first in ORDER else len(ORDER), [int(part) for part in rest], size)


def table(results: dict, group: str, title: str, parts: list[str], functions: dict[str, str]) -> str:
    *others, base = functions
    heads = [*parts, "size", *(f"{name}, msg/s" for name in functions.values())]
    heads += [f"time, {functions[other]} / {functions[base]}" for other in others]
    lines = [f"## {title}", "", f"| {' | '.join(heads)} |", f"| --- |{' ---: |' * (len(heads) - 1)}"]
    # Names of another length are of an older matrix.
    rows = [key for key in results if key[0] == group and len(key[1]) == len(parts)]
    for key in sorted(rows, key=order):
        cell = results[key]
        ratios = [f"{cell[other] / cell[base]:.2f}" if other in cell and base in cell else "–" for other in others]
        line = [*key[1], size_name(key[2]), *(rate(cell.get(function)) for function in functions), *ratios]
        lines.append(f"| {' | '.join(line)} |")
    return "\n".join(lines) if rows else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "criterion"
    parser.add_argument("directory", nargs="?", type=Path, default=default)
    parser.add_argument("--markdown", metavar="FILE", help="write the tables there, too")
    asked = parser.parse_args()
    directory = asked.directory
    results = read(directory)
    tables = [text for spec in TABLES if (text := table(results, *spec))]
    if not tables:
        print(f"bench-table: no results below {directory}: run `cargo bench` first", file=sys.stderr)
        return 1
    line = measuring.page("The criterion matrix", asked.markdown)
    line("\n\n".join([measuring.circumstances().replace(";", "."), *tables]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
