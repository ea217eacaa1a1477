"""Prints the figures of both as one table: `compare.py FOLDER`, with `floe-N.json` and `peer-N.json` of each round in it.

Each figure is the median of the rounds. The ratio says how many times less time or memory Floe takes.
"""

import json
import statistics
import sys
from pathlib import Path

# What is compared: the name here, Floe's name of it, PenguiFlow's, the unit.
ROWS: list[tuple[str, str, str | None, str]] = [
    ("hop, 1 trace in flight", "native hop, no journal, 1 in flight", "hop, 1 in flight", "µs"),
    ("hop, 8 traces in flight", "native hop, no journal, 8 in flight", "hop, 8 in flight", "µs"),
    ("hop, 256 traces in flight", "native hop, no journal, 256 in flight", "hop, 256 in flight", "µs"),
    ("durable hop, 1 trace in flight", "native hop, journal in SQLite, 1 in flight", None, "µs"),
    ("durable hop, 256 traces in flight", "native hop, journal in SQLite, 256 in flight", None, "µs"),
    ("chunk, two nodes", "a chunk to the reader, over two nodes", "chunk, two nodes", "µs"),
    ("chunk, two nodes against one", "a chunk to the reader, over two nodes", "chunk, one node", "µs"),
    ("subflow or playbook call", "a subflow call, beyond its nodes' hops", "playbook call", "µs"),
    ("fan-out of 100 and join", "a request that fans out into 100 and joins", "fan-out and join", "µs"),
    ("cancel of a node that computes", "cancel, until a guest that computes has ended", "cancel, computing", "µs"),
    ("cancel of a node that waits", "", "cancel, waiting", "µs"),
    ("running flow of 10 nodes", "a running flow of 10 nodes", "idle flow", "KiB"),
    ("and a trace in it", "  and a trace in it", "busy flow", "KiB"),
    ("queued message of 1 KiB", "a queued message of 1 KiB", "queued message", "KiB"),
]


def floe_figures(file: Path) -> dict[str, float | str]:
    figures = json.loads(file.read_text())["figures"]
    # A number that is none is null in JSON.
    return {figure["name"]: "not measured here" if figure["value"] is None else figure["value"] for figure in figures}


def peer_figures(file: Path) -> dict[str, float | str]:
    figures = json.loads(file.read_text())
    return {name: figure.get("value", figure.get("failed")) for name, figure in figures.items()}


def median(rounds: list[dict[str, float | str]], name: str | None, scale: float = 1.0) -> float | str:
    """The middle of the rounds, or the words of the first that has no number."""
    if not name:
        return "–"
    values = [figures[name] for figures in rounds]
    words = [value for value in values if isinstance(value, str)]
    return words[0] if words else statistics.median(values) * scale


def shown(value: float | str, unit: str) -> str:
    return value if isinstance(value, str) else f"{value:,.2f} {unit}".replace(",", " ")


def main() -> None:
    folder = Path(sys.argv[1])
    floe = [floe_figures(file) for file in sorted(folder.glob("floe-*.json"))]
    peer = [peer_figures(file) for file in sorted(folder.glob("peer-*.json"))]
    table = [("WHAT", "FLOE", "PENGUIFLOW", "RATIO")]
    for what, floe_name, peer_name, unit in ROWS:
        ours = median(floe, floe_name)
        # The peer's memory is in bytes.
        theirs = median(peer, peer_name, 1 / 1024 if unit == "KiB" else 1.0)
        numbers = isinstance(ours, float) and isinstance(theirs, float) and ours > 0
        table.append((what, shown(ours, unit), shown(theirs, unit), f"{theirs / ours:,.1f} ×" if numbers else ""))
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    for row in table:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    main()
