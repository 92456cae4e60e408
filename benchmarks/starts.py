"""What the search begins with, and what it is worth: the same search from several starts at equal times.

``python benchmarks/starts.py FILE... [--seconds 0.1,1,10,60] [--start NAME]...`` prints mean gaps to the best known
cost. Time counts from the beginning of the construction; torch and the weights are loaded before, as is all compiled
code. One thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from l2o import constructions, heuristics, weights
from l2o.clock import Clock
from l2o.files import read
from l2o.improve import improve, warm_up
from l2o.machine import commit, hardware
from l2o.problems import rules
from l2o.problems.instance import Instance, Routes
from l2o.progress import Watcher


def by_policy(instance: Instance) -> Routes:
    """One greedy construction with the shipped weights, in rounds as coarse as ``l2o solve`` makes them."""
    clock = Clock(time.monotonic())
    wanted = constructions.Wanted(1, 0, 0, 1, clock, Watcher(), improving=True)
    chosen = weights.find(weights.default(instance.problem))
    ((routes, _),) = constructions.constructions(chosen, instance, wanted)
    return routes


STARTS: dict[str, Callable[[Instance], Routes]] = {
    "policy": by_policy,
    "greedy edge": heuristics.greedy_edge,
    "space-filling curve": heuristics.space_filling,
    "random insertion": heuristics.random_insertion,
    "nearest neighbour": heuristics.nearest_neighbour,
    "savings": heuristics.savings,
}


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--seconds", default="0.1,1,10,60", help="comma-separated")
    parser.add_argument("--start", action="append", choices=list(STARTS), help="repeatable; default: all that fit")
    options = parser.parse_args()
    torch.set_num_threads(1)
    instances = [read(file) for file in options.files]
    tours = instances[0].demand is None
    unfit = {"savings"} if tours else {"greedy edge", "space-filling curve", "random insertion"}
    starts = options.start or [name for name in STARTS if name not in unfit]
    for problem in {instance.problem for instance in instances}:
        warm_up(problem)
    by_policy(instances[0])
    limits = [float(word) for word in options.seconds.split(",")]
    print(f"{len(instances)} files; {hardware()}; 1 thread; commit {commit() or 'none'}\n")
    print("| start | start alone | " + " | ".join(f"{limit:g} s" for limit in limits) + " |")
    print("|---" * (2 + len(limits)) + "|")
    for name in starts:
        gaps: list[list[float]] = [[] for _ in range(1 + len(limits))]
        for instance in instances:
            problem = rules.find(instance.problem)
            assert instance.best_known is not None, f"{instance.name}: no best known cost"
            for number, limit in enumerate([0.0, *limits]):
                begun = time.monotonic()
                routes = STARTS[name](instance)
                if number:
                    routes = improve(instance, routes, deadline=begun + limit, seed=0)
                gaps[number].append(100 * (problem.check(instance, routes) / instance.best_known - 1))
        print(f"| {name} | " + " | ".join(f"{statistics.fmean(column):.3f}" for column in gaps) + " |", flush=True)


if __name__ == "__main__":
    main()
