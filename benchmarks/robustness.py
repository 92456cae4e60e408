"""How do policies trained on uniform maps of 50 nodes do on other maps? The arms of ``symmetry.py``, once trained.

``python benchmarks/robustness.py [--problem tsp] [--minutes 4] [--seeds 3] [--side-by-side 2] [--arm NAME]...
[--maps NAME]...`` trains what ``symmetry.py`` has not left yet, each arm with the learning rate that was best there,
and prints a table in Markdown: greedy gaps in percent, the median over the seeds.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from symmetry import ARMS, NODES, gaps, launch, references
from torch import Tensor

from l2o import checkpoint, problems
from l2o.problems.base import Graph, Problem
from l2o.problems.instance import Unsupported

RATES = {
    "tsp": {
        "walks, invariant": 2e-3,
        "walks, raw coordinates": 4e-3,
        "walks, raw, turned maps": 1e-3,
        "walks, EGNN encoded once": 2e-3,
        "walks, attention model": 5e-4,
        "joins, invariant": 4e-3,
        "joins, raw coordinates": 4e-3,
        "joins, raw, turned maps": 4e-3,
    },
    "cvrp": {"joins, invariant": 2e-3, "joins, raw coordinates": 4e-3},
}
"""Found by ``symmetry.py --minutes 4`` for each problem, see ``docs/symmetry.md``."""
ANGLE = math.radians(30)
TURN = torch.tensor([[math.cos(ANGLE), math.sin(ANGLE)], [-math.sin(ANGLE), math.cos(ANGLE)]], dtype=torch.float64)


@dataclass(frozen=True)
class Maps:
    """What is measured on."""

    name: str
    nodes: int = NODES
    count: int = 64
    shape: str = "uniform"
    change: Callable[[Tensor], Tensor] = lambda pos: pos

    def graph(self, problem: Problem) -> Graph:
        """The same maps for every arm; those that are only moved are the same as those that are not."""
        graph = problem.sample(torch.Generator().manual_seed(32_000), self.count, self.nodes, self.shape)
        return Graph.of(self.change(graph.pos.double()), graph.demand)


def lifted(pos: Tensor) -> Tensor:
    """Uniform in a cube instead of a square."""
    generator = torch.Generator().manual_seed(33_000)
    return torch.rand(*pos.shape[:2], 3, generator=generator, dtype=torch.float64)


MAPS = (
    Maps("as in training"),
    Maps("turned by 30 degrees", change=lambda pos: pos @ TURN),
    Maps("mirrored", change=lambda pos: pos * pos.new_tensor([-1.0, 1.0])),
    Maps("moved and scaled", change=lambda pos: 1000 * pos + 1e5),
    Maps("squeezed 1 : 4", change=lambda pos: pos * pos.new_tensor([1.0, 0.25])),
    Maps("squeezed 1 : 4 and turned", change=lambda pos: pos * pos.new_tensor([1.0, 0.25]) @ TURN),
    Maps("clusters", shape="clusters"),
    Maps("explosion", shape="explosion"),
    Maps("three dimensions", change=lifted),
    Maps("20 nodes", nodes=20),
    Maps("100 nodes", nodes=100),
    Maps("200 nodes", nodes=200, count=32),
    Maps("1,000 nodes", nodes=1_000, count=4),
    Maps("10,000 nodes", nodes=10_000, count=1),
)


def main() -> None:
    """Measure and print, one row for each kind of map."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--problem", choices=list(RATES), default="tsp")
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--side-by-side", type=int, default=2)
    parser.add_argument("--arm", action="append", choices=list(ARMS), metavar="NAME", help="repeatable; default: all")
    names = [maps.name for maps in MAPS]
    parser.add_argument("--maps", action="append", choices=names, metavar="NAME", help="the same, of rows")
    options = parser.parse_args()
    problem, rates, seeds = problems.find(options.problem), RATES[options.problem], range(options.seeds)
    arms = options.arm or list(rates)
    if unknown := [arm for arm in arms if arm not in rates]:
        parser.error(f"no rate is known of {unknown[0]!r} for {problem.name}; there are {', '.join(rates)}")

    def trained(arm: str, seed: int) -> Any:
        run = launch(problem.name, arm, rates[arm], seed, options.minutes, measured=False)
        return checkpoint.load(str(run)).policy

    with ThreadPoolExecutor(options.side_by_side) as pool:
        training = {arm: [pool.submit(trained, arm, seed) for seed in seeds] for arm in arms}
    policies = {arm: [one.result() for one in training[arm]] for arm in arms}
    print("| maps | " + " | ".join(arms) + " |\n" + "|---" * (1 + len(arms)) + "|")
    for maps in MAPS:
        if maps.name not in (options.maps or [maps.name]):
            continue
        graph = maps.graph(problem)
        reference = references(problem, graph)
        cells = []
        for arm in arms:
            try:
                found = [gaps(problem, policy, graph, reference) for policy in policies[arm]]
                cells.append(f"{statistics.median(found):.2f}")
            except Unsupported:
                cells.append("not possible")
        print(f"| {maps.name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
