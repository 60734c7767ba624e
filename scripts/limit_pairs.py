"""Ratios: two servers take turns under the same load."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import measuring
from limit_cells import CPU, P99, RATE, RECV_BUFFER, Pair
from measuring import interval, median

# Pairs with the same processes: where one happens to lie in memory stays with it, so now and then all start anew.
TOGETHER = 5

UNITS = {CPU: (1, "ns", 0), RATE: (1e-3, "k/s", 0), P99: (1e-6, "ms", 2)}


def of(metric: str, round: dict) -> float:
    if metric == RATE:
        return round["messages"] / round["elapsed_s"]
    if metric == P99:
        return round["latency"]["p99_ns"]
    return round["server"]["cpu_s"] * 1e9 / round["server"]["messages"]


def rounds(cell: Pair, commands: list, binaries: Path, asked) -> list:
    """For each pair, a round of each server."""
    load = [*cell.load, "--duration", asked.duration, "--warmup", "200ms"]
    every = []
    while len(every) < asked.pairs:
        with tempfile.TemporaryDirectory() as directory, ExitStack() as running:
            # A folder for each: one may stand there twice, and would bind the same path.
            folders = [tempfile.mkdtemp(dir=directory) for _ in commands]
            asked_for = [command(binaries, folder) for command, folder in zip(commands, folders)]
            servers = [running.enter_context(measuring.server(command)) for command in asked_for]
            for _ in range(min(TOGETHER, asked.pairs - len(every))):
                turn = []
                for server in servers:
                    query = cell.query(server.endpoint) if callable(cell.query) else cell.query
                    command = measuring.bench_command(binaries, server.endpoint + query, load, server.pid)
                    turn.append(measuring.the_round(measuring.output(*command)))
                every.append(turn)
    return every


def busy(rounds: list) -> str:
    server = median(round["server"]["cpu_s"] / round["elapsed_s"] for round in rounds)
    client = median(round["client"]["busy"] for round in rounds)
    return f"{server * 100:.0f} / {client * 100:.0f} %"


def verdict(cell: Pair, ratio: float, low: float, high: float) -> str:
    """Half of the interval is granted; where the ratio needs that, the verdict says so."""
    if cell.figure is None:
        return "published"
    half = (high - low) / 2
    sign = -1 if cell.at_least else 1
    if sign * ratio <= sign * cell.figure:
        return "holds"
    return "holds within the interval" if sign * ratio - half <= sign * cell.figure else "**missed**"


def losses(side: list) -> tuple:
    """Requests without a reply, and datagrams that the system dropped at the client's sockets and at the server's. A train
    counts as one."""
    counts = ("lost", "client_drops", "server_drops")
    return tuple(sum(round["faults"][count] or 0 for round in side) for count in counts)


def told(loss: tuple) -> str:
    lost, client, server = loss
    return f"{lost} lost: {client} dropped at the client, {server} at the server"


def lossy(cell: Pair, lost: list) -> str:
    """A cell that is to lose nothing, where the system gives the buffers that are asked for, misses if ours loses."""
    capped = int(Path("/proc/sys/net/core/rmem_max").read_text()) < RECV_BUFFER
    if not cell.lossless or not any(lost[1]):
        return ""
    return f", and loses: net.core.rmem_max is below {RECV_BUFFER}" if capped else ", **and loses**"


def measure(cell: Pair, binaries: Path, asked) -> dict:
    """The row of the table."""
    beside = dict(cell.beside)
    if asked.tokio and cell.tokio:
        beside["tokio / limit"] = cell.tokio
    if asked.against_itself:
        beside["a / a"] = cell.a
    commands = [cell.a, cell.b, *beside.values(), *cell.over]
    every = rounds(cell, commands, binaries, asked)
    values = [[of(cell.metric, round) for round in turn] for turn in every]
    ratios = [b / a for a, b, *_ in values]
    if cell.over:
        ratios = [ratio * c / d for ratio, (*_, c, d) in zip(ratios, values)]
    ratio, (low, high) = median(ratios), interval(ratios)
    factor, unit, digits = UNITS[cell.metric]
    sides = list(zip(*every))
    a, b = (f"{median(side) * factor:,.{digits}f} {unit}" for side in list(zip(*values))[:2])
    lost = [losses(side) for side in sides[:2]]
    name_a, name_b = cell.sides
    row = {
        "cell": f"`{cell.name}`",
        "what": cell.what + (f" ({'; '.join(told(loss) for loss in lost)})" if any(any(loss) for loss in lost) else ""),
        "figure": f"{'≥' if cell.at_least else '≤'} {cell.figure:.2f} × {cell.metric}" if cell.figure else cell.metric,
        "measured": f"{ratio:.3f} [{low:.3f}, {high:.3f}]",
        "least – largest": f"{min(ratios):.2f} – {max(ratios):.2f}",
        "a": f"{name_a} {a}",
        "b": f"{name_b} {b}",
        "busy, a": busy(sides[0]),
        "busy, b": busy(sides[1]),
        "verdict": verdict(cell, ratio, low, high) + lossy(cell, lost) + ("" if asked.pairs >= 15 else ", few pairs"),
    }
    for index, column in enumerate(beside, start=2):
        others = [turn[index] / turn[0] for turn in values]
        low, high = interval(others)
        row[column] = f"{median(others):.3f} [{low:.3f}, {high:.3f}]"
    return row
