"""How soon is OR-Tools' result of a minute reached? ``python benchmarks/catch_up.py FILE... [--seconds 60]``

Every solve is a fresh process; both times count from its start. OR-Tools has all of its time, ``l2o`` a tenth of it,
and of that it is told when it first was as good or better. One thread each.
"""

from __future__ import annotations

import argparse
import math
import statistics

from l2o.compare import rehearse
from l2o.files import read
from l2o.fresh import attempt_afresh
from l2o.machine import commit, hardware
from l2o.problems import rules


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    instances = [read(file) for file in options.files]
    rehearse(["l2o"], instances, None)
    print(f"{hardware()}; commit {commit() or 'none'}\n")
    print("| instance | nodes | OR-Tools | as good after, s | one in |\n" + "|---" * 5 + "|")
    ratios = []
    for instance in instances:
        theirs = attempt_afresh("ortools", instance, time_limit=options.seconds, seed=0, threads=1)
        ours = attempt_afresh("l2o", instance, time_limit=options.seconds / 10, seed=0, threads=1)
        assert theirs is not None and ours is not None
        if theirs.solution is None or ours.solution is None:
            print(f"| {instance.name} | {instance.n:,} | {theirs.reason or ours.reason} | | |", flush=True)
            continue
        target = rules.find(instance.problem).check(instance, theirs.solution.routes)
        reached = next((seconds for seconds, cost in ours.solution.trace if cost <= target), math.inf)
        ratios.append(options.seconds / reached)
        print(f"| {instance.name} | {instance.n:,} | {target:,.0f} | {reached:.2f} | {ratios[-1]:,.0f} |", flush=True)
    print(f"\nmedian: one in {statistics.median(ratios):,.0f}; least: one in {min(ratios):,.0f}")


if __name__ == "__main__":
    main()
