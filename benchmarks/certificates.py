"""How far from optimal can a solution be? ``python benchmarks/certificates.py FILE... [--seconds 10] [--threads 2]``

Runs ``l2o solve`` on each file as a user does, and prints what its bound says of its cost. A bound above the best known
cost would be a mistake, and ends the run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

from l2o.machine import commit, hardware


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print(f"{hardware()}; {options.threads} threads; {options.seconds:g} s; commit {commit() or 'none'}\n")
    print("| instance | nodes | gap, % | certified, % | seconds | by |\n" + "|---" * 6 + "|")
    certified, gaps, proven = [], [], 0
    words = ["--json", "-q", "-t", f"{options.seconds:g}", "--threads", str(options.threads)]
    for file in options.files:
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "l2o", "solve", file, *words], capture_output=True, text=True, check=True
        )
        seconds = time.monotonic() - begun
        found = json.loads(done.stdout)
        bound, cost = found["bound"], found["cost"]
        assert bound is None or found["best_known"] is None or bound <= found["best_known"], f"{file}: {bound}"
        gaps.append(found["gap"] if found["gap"] is not None else float("nan"))
        certified.append(100 * (cost / bound - 1) if bound else float("nan"))
        proven += cost == bound
        cells = f"{gaps[-1]:.3f} | {certified[-1]:.3f} | {seconds:.1f} | {found['bound_method']}"
        print(f"| {found['instance']} | {found['n']:,} | {cells} |", flush=True)
    print(
        f"\nmean gap {statistics.fmean(gaps):.3f} %, mean certified gap {statistics.fmean(certified):.3f} %, "
        f"proven optimal {proven} of {len(certified)}"
    )


if __name__ == "__main__":
    main()
