#!/usr/bin/env python3
"""Prints the results of the last `cargo bench` as Markdown tables.

Usage: scripts/bench-table.py [DIRECTORY]

Reads `**/new/{benchmark,estimates}.json` below DIRECTORY (default: `criterion` in `$CARGO_TARGET_DIR` or `target`).
Times are medians of criterion's samples. A ratio is the time of the first server or client over the time of the second
one: below 1, the first is faster.
"""

import json
import os
import sys
from pathlib import Path

WIRES = ["tcp", "udp", "unix", "unix-dgram", "mem"]
# Group, title, the two functions and what the table calls them.
TABLES = [
    ("throughput", "Throughput: pipelined, 4 connections", "swapwire", "by-hand", "by hand"),
    ("round-trip", "Round trip: 1 connection, 1 message under way", "swapwire", "by-hand", "by hand"),
    ("client", "Client: round trip against the same server", "session", "raw", "plain socket"),
]


def read(directory: Path) -> dict:
    """Nanoseconds for each message by (group, wire, function, size)."""
    results = {}
    for path in directory.glob("**/new/estimates.json"):
        benchmark = json.loads(path.with_name("benchmark.json").read_text())
        estimates = json.loads(path.read_text())
        group, _, wire = benchmark["group_id"].partition("/")
        messages = benchmark["throughput"]["ElementsAndBytes"]["elements"]
        key = (group, wire, benchmark["function_id"], int(benchmark["value_str"]))
        results[key] = estimates["median"]["point_estimate"] / messages
    return results


def size_name(size: int) -> str:
    return f"{size} B" if size < 1024 else f"{size // 1024} KiB"


def rate(nanoseconds: float) -> str:
    return f"{1e9 / nanoseconds:,.0f}"


def table(results: dict, group: str, title: str, ours: str, other: str, other_name: str) -> str:
    lines = [
        f"**{title}**",
        "",
        f"| wire | size | {ours}, msg/s | {other_name}, msg/s | time, {ours} / {other_name} |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for wire in WIRES:
        for size in sorted(size for (g, w, f, size) in results if (g, w, f) == (group, wire, ours)):
            a, b = results[group, wire, ours, size], results.get((group, wire, other, size))
            right = (rate(b), f"{a / b:.2f}") if b else ("–", "–")
            lines.append(f"| {wire} | {size_name(size)} | {rate(a)} | {right[0]} | {right[1]} |")
    return "\n".join(lines)


def main() -> int:
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        print(__doc__.strip())
        return 2 if len(sys.argv) > 2 else 0
    target = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    directory = Path(sys.argv[1]) if len(sys.argv) == 2 else target / "criterion"
    results = read(directory)
    if not results:
        print(f"bench-table: no results below {directory}: run `cargo bench` first", file=sys.stderr)
        return 1
    groups = {group for (group, *_) in results}
    print("\n\n".join(table(results, *spec) for spec in TABLES if spec[0] in groups))
    return 0


if __name__ == "__main__":
    sys.exit(main())
