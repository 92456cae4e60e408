"""Who can tell a map from its mirror image? Tours in a wind that turns, learned by networks that differ in symmetry.

``python benchmarks/chirality.py [--minutes 1] [--seeds 3] [--arm NAME]...`` trains every arm by REINFORCE on tours of
12 nodes (``problems/wind.py``), one run after the other on one thread, in minutes of the processor. Networks are shown
the map in calm air and learn of the wind from what tours cost; one arm is told what the next leg costs instead of how
long it is. Then it draws ``docs/chirality.png`` and prints a table in Markdown: costs of greedy tours, the mean over
maps and their mirror images; beside it the cheapest tours, and the least to be paid by whoever takes the same tours in
the mirror. Runs are kept in ``benchmarks/results/chirality/`` and not repeated.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from strip_plot import strip_plot
from torch import Tensor

from l2o.construct import construct
from l2o.data import draw_batch
from l2o.memory import keep_freed_memory
from l2o.problems.base import Graph
from l2o.problems.instance import Floats
from l2o.problems.tsp import PROBLEM as CALM
from l2o.problems.wind import PROBLEM as WIND
from l2o.recipe import from_dict
from l2o.reinforce import Reinforce

RESULTS = Path(__file__).parent / "results" / "chirality"
PICTURE = Path(__file__).parents[1] / "docs" / "chirality.png"
NODES, MAPS_MEASURED = 12, 64
TOLD = "EGNN, told what the next leg costs"
ARMS: dict[str, dict[str, Any]] = {
    "EGNN, E(2)": {"kind": "local"},
    "steerable, O(3)": {"kind": "steerable"},
    "steerable, SO(3) and the plane's normal": {"kind": "steerable", "parity": False},
    TOLD: {"kind": "local"},
}
SHAPE = {"width": 32, "message": 16, "candidates": NODES - 1, "context": 0}
"""All nodes that are left are candidates, and there is no more to see."""
SETTINGS: dict[str, Any] = {
    "precision": "32",
    "data": {"sizes": [NODES], "uniform": 1.0, "starts": 16, "decisions": 1024},
    "optimizer": {"rate": 8e-3},
}


def train(arm: str, seed: int, minutes: float) -> Any:
    """The policy of one arm after so many minutes, each step taken with a rate that falls to zero as a cosine does."""
    torch.manual_seed(seed)
    model = ARMS[arm] | SHAPE
    recipe = from_dict(SETTINGS | {"model": model, "budget": {"minutes": minutes}})
    module = Reinforce(WIND, recipe)
    policy, begin, number = module.policy, time.process_time(), 0
    optimizer = torch.optim.AdamW(policy.parameters(), weight_decay=recipe.optimizer.weight_decay, betas=(0.9, 0.99))
    while (spent := (time.process_time() - begin) / 60 / minutes) < 1:
        optimizer.param_groups[0]["lr"] = recipe.optimizer.rate * (1 + math.cos(math.pi * spent)) / 2
        batch = draw_batch(WIND, recipe.data, seed, number, 0, 1)
        made = construct(
            WIND, policy, batch.graph, batch.row, batch.first, noise=batch.noise, lots=batch.lots,
            keep=recipe.objective.keep, known=known(arm, policy, batch.graph),
        )  # fmt: skip
        assert made is not None
        for parameter, slope in zip(policy.parameters(), module.policy_gradient(made, batch.graph), strict=True):
            parameter.grad = slope
        torch.nn.utils.clip_grad_norm_(policy.parameters(), recipe.optimizer.clip)
        optimizer.step()
        number += 1
    return policy


def known(arm: str, policy: Any, graph: Graph) -> Any:
    """Eyes for ``graph``: in calm air, unless the arm is told of the wind."""
    return (policy.sight(WIND if arm == TOLD else CALM, graph), None)


def maps() -> tuple[Graph, Graph]:
    """Those that are measured on, and their mirror images."""
    graph = WIND.sample(torch.Generator().manual_seed(34_000), MAPS_MEASURED, NODES, "uniform")
    return graph, Graph(graph.pos * graph.pos.new_tensor([-1.0, 1.0]), graph.demand)


def greedy(arm: str, policy: Any, graph: Graph) -> float:
    """Mean cost of greedy tours."""
    row = torch.arange(len(graph.pos))
    made = construct(WIND, policy, graph, row, torch.zeros_like(row), known=known(arm, policy, graph))
    assert made is not None
    return float(made.cost.mean())


def cheapest(leg: Floats) -> Floats:
    """``[B]`` costs of the cheapest tours, given ``leg [B, n, n]``, by dynamic programming (Held & Karp 1962)."""
    others = leg.shape[1] - 1
    least = np.full((1 << others, others, len(leg)), np.inf)
    for last in range(others):
        least[1 << last, last] = leg[:, 0, last + 1]
    for visited in range(1 << others):
        for last in range(others):
            before = visited & ~(1 << last)
            if before and before != visited:
                least[visited, last] = (least[before] + leg[:, 1:, last + 1].T).min(axis=0)
    found: Floats = (least[-1] + leg[:, 1:, 0].T).min(axis=0)
    return found


def legs(graph: Graph) -> tuple[Tensor, Tensor]:
    """``[B, n, n]`` what they cost, and how long they are."""
    node = torch.arange(graph.n)
    ends = torch.arange(len(graph.pos))[:, None, None], node[:, None], node
    return WIND.leg(graph, *ends), graph.distance(*ends)


def cost_of(arm: str, seed: int, minutes: float) -> float:
    """What one run was measured to cost, trained if that is not known yet."""
    path = RESULTS / f"{arm.replace(' ', '-').replace(',', '')}-{seed}-{minutes:g}min.json"
    if not path.exists():
        policy = train(arm, seed, minutes)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([greedy(arm, policy, graph) for graph in maps()]))
        print(f"trained {path.stem}: {path.read_text()}", file=sys.stderr, flush=True)
    return statistics.mean(json.loads(path.read_text()))


def main() -> None:
    """Train what is missing and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arm", action="append", choices=list(ARMS), help="repeatable; default: all")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    windy, calm = (float(cheapest(leg.double().numpy()).mean()) for leg in legs(maps()[0]))
    print(f"The cheapest tours cost {windy:.3f}; without telling mirror images apart, {calm:.3f} at least.\n")
    print("| arm | seeds | cost, median | least to most | above the cheapest |\n" + "|---" * 5 + "|")
    found: dict[str, list[float]] = {}
    for arm in options.arm or ARMS:
        costs = found[arm] = [cost_of(arm, seed, options.minutes) for seed in range(options.seeds)]
        middle = statistics.median(costs)
        spread = f"{min(costs):.3f} to {max(costs):.3f}"
        print(f"| {arm} | {len(costs)} | {middle:.3f} | {spread} | {middle / windy - 1:.1%} |", flush=True)
    strip_plot({"cost": found}, PICTURE, lines={"the cheapest": windy, "by the same tours in the mirror": calm})


if __name__ == "__main__":
    main()
