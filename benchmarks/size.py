"""How the shipped policy does as maps grow: one greedy construction each, no search.

``python benchmarks/size.py [--model tsp] [--sizes 20,...,100000] [--threads 2] [--referenced 20000]`` prints, for each
size, the gap of uniform and of clustered maps, how long one construction takes, and how many looks the policy takes a
second: at an end of a path to score its joins, or around at a step of a walk. References are the package's own local
search from the policy's tour, 100 kicks a node, on maps of up to ``--referenced`` nodes; the last column compares
uniform maps with the expected optimum of D. S. Johnson & L. A. McGeoch, 0.7124 sqrt(n A) (1 + 0.33 / n), which is
printed from 1,000 nodes on.
"""

from __future__ import annotations

import argparse
import math
import time
from typing import Any

import torch

from l2o import checkpoint, problems
from l2o.improve import improve
from l2o.machine import commit, hardware, versions
from l2o.memory import keep_freed_memory
from l2o.problems.base import Graph
from l2o.problems.instance import Instance, Solution
from l2o.solve import solve

SIZES = (20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
KICKS = 100
HOLDS = 1_000
"""Nodes from which on the formula is as good as the search."""
NODES = 5_000
"""Of all maps of one size and shape together, about; one map at least."""


class Looks:
    """Counts what the policy scores while it builds."""

    def __init__(self, policy: Any) -> None:
        self.scored = 0
        policy.register_forward_hook(self._count)

    def _count(self, module: Any, seen: tuple[Any, ...], logits: Any) -> None:
        self.scored += len(logits)


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="tsp")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="comma-separated")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--referenced", type=int, default=SIZES[-1], help="nodes up to which references are searched")
    options = parser.parse_args()
    keep_freed_memory()
    problem, policy = problems.find("tsp"), checkpoint.load(options.model).policy
    looks = Looks(policy)
    print(f"{hardware()}; {options.threads} threads; torch {versions()['torch']}; commit {commit() or 'none'}\n")
    print(
        "| nodes | maps | uniform, % | clusters, % | seconds | looks/s | uniform to formula, % |\n" + "|---" * 7 + "|"
    )

    def above(instance: Instance, made: Solution) -> float:
        """Percent above the reference; NaN without one."""
        if instance.n > options.referenced:
            return math.nan
        better = improve(instance, made.routes, deadline=math.inf, seed=0, iterations=KICKS * instance.n)
        return (made.cost / problem.cost(instance, better) - 1) * 100

    for n in (int(word) for word in options.sizes.split(",")):
        count = max(1, min(64, NODES // n))
        gaps, seconds, looked, formula = {}, 0.0, 0, 0.0
        for shape in ("uniform", "clusters"):
            generator = torch.Generator().manual_seed(40_000 + n)
            graph: Graph = problem.sample(generator, count, n, shape)
            found = []
            for number in range(count):
                instance = graph.instance("tsp", number)
                looks.scored, begun = 0, time.perf_counter()
                made = solve(instance, policy, improve=False, threads=options.threads)
                if shape == "uniform":
                    seconds += time.perf_counter() - begun
                    looked += looks.scored
                    side = graph.pos[number].amax(dim=0) - graph.pos[number].amin(dim=0)
                    # The square that the nodes were drawn from reaches a little beyond them.
                    area = float(side.prod()) * ((n + 1) / (n - 1)) ** 2
                    formula += (made.cost / (0.7124 * math.sqrt(n * area) * (1 + 0.33 / n)) - 1) * 100 / count
                found.append(above(instance, made))
            gaps[shape] = sum(found) / count
        known = ("" if math.isnan(gap) else f"{gap:.2f}" for gap in gaps.values())
        cells = f"{' | '.join(known)} | {seconds / count:.2f} | {looked / seconds:,.0f}"
        expected = f"{formula:.2f}" if n >= HOLDS else ""
        print(f"| {n:,} | {count} | {cells} | {expected} |", flush=True)


if __name__ == "__main__":
    main()
