"""Memory and time for each node as maps grow: ``python benchmarks/scale.py [--sizes 10000,...] [--rate 0.0012]``

Writes a file of uniform points of each size, runs ``l2o solve`` on it as a user does, with so many seconds for each
node, and prints what it took at most and how far the tour is from the expected optimum, 0.7124 sqrt(n A) (1 + 0.33 / n)
(D. S. Johnson & L. A. McGeoch). Draws ``docs/scale.png``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from l2o.machine import commit, hardware

ROOT = Path(__file__).parents[1]
SIZES = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
SIDE = 1_000_000


def main() -> None:
    """Measure, print a table in Markdown, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="comma-separated")
    parser.add_argument("--rate", type=float, default=0.0012, help="seconds for each node")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print(f"{hardware()}; {options.threads} threads; {options.rate:g} s a node; commit {commit() or 'none'}\n")
    print("| nodes | seconds | peak memory, GB | KB a node | to formula, % |\n" + "|---" * 5 + "|")
    rows = []
    for n in (int(word) for word in options.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"uniform{n}.tsp"
            points = np.random.default_rng(n).integers(0, SIDE, (n, 2)).tolist()
            lines = "\n".join(f"{i} {x} {y}" for i, (x, y) in enumerate(points, start=1))
            head = f"NAME : uniform{n}\nTYPE : TSP\nDIMENSION : {n}\nEDGE_WEIGHT_TYPE : EUC_2D\nNODE_COORD_SECTION\n"
            file.write_text(f"{head}{lines}\nEOF\n")
            words = ["-t", str(options.rate * n), "--threads", str(options.threads), "-o", file.with_suffix(".tour")]
            begun = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-m", "l2o", "solve", file, "--json", "-q", *map(str, words)], stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            found = json.loads(process.stdout.read())
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - begun
            assert status == 0
        gigabytes = usage.ru_maxrss * 1024 / 1e9
        gap = 100 * (found["cost"] / (0.7124 * math.sqrt(n) * SIDE * (1 + 0.33 / n)) - 1)
        rows.append((n, seconds, gigabytes))
        print(f"| {n:,} | {seconds:.1f} | {gigabytes:.2f} | {gigabytes * 1e6 / n:.1f} | {gap:.2f} |", flush=True)
    draw(rows)


def draw(rows: list[tuple[int, float, float]]) -> None:
    """Milliseconds and kilobytes for each node."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3.5), layout="constrained")
    sizes = [n for n, _, _ in rows]
    axes.plot(sizes, [1000 * seconds / n for n, seconds, _ in rows], marker="o", label="milliseconds a node")
    axes.plot(sizes, [1e6 * gigabytes / n for n, _, gigabytes in rows], marker="o", label="kilobytes a node")
    axes.set(xscale="log", yscale="log", xlabel="nodes")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(ROOT / "docs" / "scale.png", dpi=120)


if __name__ == "__main__":
    main()
