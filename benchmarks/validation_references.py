"""Write ``l2o/validation.json``: for every validation instance the best cost that long searches find.

``python benchmarks/validation_references.py [PROBLEM...]`` computes the named problems anew (default: all) and keeps
the rest. The searches end after a number of iterations, so the result does not depend on how busy the machine is.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

import numpy as np

from l2o import problems
from l2o.heuristics import quick
from l2o.improve import improve
from l2o.problems.instance import Instance
from l2o.selection import instances_of
from l2o.validation import REFERENCES, validation_sets

SEEDS = (0, 1)
ITERATIONS_PER_NODE = {"tsp": 100, "cvrp": 2000, "mtsp": 200}
"""Kicks of Lin-Kernighan search for tours; ruins, each the work of a few microseconds, for routes."""


def reference(instance: Instance) -> list[float]:
    """The cost each seed finds."""
    problem = problems.find(instance.problem)
    start = quick(instance)[0] if instance.has_depot else (tuple(range(instance.n)),)
    iterations = ITERATIONS_PER_NODE[instance.problem] * instance.n
    found = [improve(instance, start, deadline=math.inf, seed=seed, iterations=iterations) for seed in SEEDS]
    return [problem.check(instance, routes) for routes in found]


def main(names: list[str]) -> None:
    """Compute and write, one problem after the other."""
    known = json.loads(REFERENCES.read_text(encoding="utf-8")) if REFERENCES.exists() else {}
    for name in names:
        costs: dict[str, list[float]] = {}
        for data in validation_sets(problems.find(name)):
            begun = time.monotonic()
            results = np.array([reference(instance) for instance in instances_of(data.graph, name, data.name)])
            costs[data.name] = results.min(axis=1).tolist()
            spread = 100 * (results.max(axis=1) / results.min(axis=1) - 1)
            print(
                f"{name} {data.name}: mean {np.mean(costs[data.name]):.5f}, seeds apart by {spread.mean():.3f} % "
                f"(worst {spread.max():.3f}), {time.monotonic() - begun:.0f} s",
                flush=True,
            )
        iterations = f"{ITERATIONS_PER_NODE[name]} iterations per node"
        source = f"best of l2o.improve with seeds {SEEDS}, {iterations}, by {Path(__file__).name}"
        known[name] = {"source": source, "costs": costs}
        REFERENCES.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or problems.names())
