"""Can the policy guide local search? Its surest joins as candidates of moves, its doubts as places of kicks.

``python benchmarks/guidance.py FILE... [--seconds 1,10]`` prints mean gaps to the best known cost. Every search is
iterated local search from the same greedy edge tour on one thread. The time that the network takes counts; what is
compiled or loaded before, torch and the weights among it, does not.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import cast

import numpy as np
import torch

from l2o import checkpoint, problems
from l2o.files import read
from l2o.heuristics import greedy_edge
from l2o.improve import kernels_tsp, random, warm_up
from l2o.improve.metric import metric
from l2o.improve.neighbours import nearest
from l2o.improve.space import NONE, Space
from l2o.improve.tsp import HEAT, KICKS_PER_NODE
from l2o.machine import commit, hardware
from l2o.models.fragments import Policy
from l2o.problems import rules
from l2o.problems.base import Completes
from l2o.problems.instance import Floats, Instance, Ints

CHUNK = 100
"""Kicks between two looks at the clock."""
DOUBTS = 50
"""Such chunks between two looks at where the tour is doubtful."""
LEAST = 0.02
"""Doubt that every place is owed."""

Near = Callable[[Instance, Policy], Ints]


def by_distance(k: int) -> Near:
    """The nearest."""

    def near(instance: Instance, policy: Policy) -> Ints:
        found = nearest(instance, k)
        assert found is not None
        return found

    return near


def by_quadrant(k: int) -> Near:
    """As many of each quadrant as there are, the nearest others where that is not enough."""

    def near(instance: Instance, policy: Policy) -> Ints:
        assert instance.coords is not None
        many = nearest(instance, 5 * k)
        assert many is not None
        way = instance.coords[many] - instance.coords[:, None]
        quadrant = 2 * (way[..., 0] < 0) + (way[..., 1] < 0)
        rank = np.empty_like(many)
        for side in range(4):
            rank = np.where(quadrant == side, (quadrant == side).cumsum(axis=1), rank)
        order = np.argsort(rank > k // 4, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(many, np.sort(order, axis=1), axis=1)

    return near


def by_policy(k: int) -> Near:
    """Those that the policy would sooner join, seen when nothing is joined yet."""

    def near(instance: Instance, policy: Policy) -> Ints:
        logits, partner = first_look(instance, policy)
        best = logits.topk(k, dim=1).indices.sort(dim=1).values
        return partner.gather(1, best).numpy()

    return near


NEAR: dict[str, Near] = {
    "nearest 10": by_distance(10),
    "nearest 7": by_distance(7),
    "nearest 5": by_distance(5),
    "quadrants 8": by_quadrant(8),
    "policy's 7": by_policy(7),
    "policy's 5": by_policy(5),
}


@torch.no_grad()
def first_look(instance: Instance, policy: Policy) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and partners ``[n, k]``, nearest first."""
    problem = problems.find(instance.problem)
    graph = problem.graph(instance)
    ends = policy.look(graph, cast(Completes, problem).fragments(graph))
    return policy(ends).float(), ends.partner


def doubts(tour: Ints, probability: Floats, partner: Ints) -> Floats:
    """``[n]`` for each place of the tour how unlikely the policy finds the edge behind it."""
    following = np.roll(tour, -1)
    there = partner[tour] == following[:, None]
    likely = np.where(there.any(axis=1), probability[tour, there.argmax(axis=1)], 0.0)
    doubt = np.maximum(1.0 - likely, LEAST)
    return doubt / doubt.sum()


def search(instance: Instance, policy: Policy, near: Near, seconds: float, *, guided: bool) -> Ints:
    """Iterated local search, annealed, as ``l2o.improve.tsp`` does it; kicks are ``guided`` to where doubts are."""
    begun = time.monotonic()
    rng, n = np.random.default_rng(0), instance.n
    where = Space(metric(instance), near(instance, policy), NONE)
    if guided:
        logits, partners = first_look(instance, policy)
        probability, partner = torch.sigmoid(logits).numpy(), partners.numpy()
    tour = np.array(greedy_edge(instance)[0], np.int64)
    work = kernels_tsp.search(where.metric, where.near, tour, random.state(0), where.held)
    while not kernels_tsp.descend(work, 5_000_000):
        pass
    warm = HEAT * float(np.median(work.near_cost[:, :3]))
    kicks, started = 0, time.monotonic()
    weight = None
    while (now := time.monotonic()) < begun + seconds:
        progress = (now - started) / (begun + seconds - started)
        hurry = min(1.0, kicks / max(progress, 1e-9) / (KICKS_PER_NODE * n)) if kicks else 1.0
        heat = warm * hurry * (1.0 - progress)
        if guided:
            if kicks // CHUNK % DOUBTS == 0:
                weight = doubts(work.tour, probability, partner)
            for place in rng.choice(n, CHUNK, p=weight).tolist():
                kernels_tsp.kick(work, place, heat)
        else:
            kernels_tsp.kicks(work, CHUNK, heat)
        kicks += CHUNK
    return kernels_tsp.best(work)


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--seconds", default="1,10", help="comma-separated")
    options = parser.parse_args()
    torch.set_num_threads(1)
    instances = [read(file) for file in options.files]
    policy = checkpoint.load("tsp").policy
    warm_up("tsp")
    limits = [float(word) for word in options.seconds.split(",")]
    search(instances[0], policy, NEAR["policy's 7"], 0.5, guided=True)
    print(f"{len(instances)} files; {hardware()}; 1 thread; commit {commit() or 'none'}\n")
    print("| candidates | kicks | " + " | ".join(f"{limit:g} s" for limit in limits) + " |")
    print("|---" * (2 + len(limits)) + "|")
    problem = rules.find("tsp")
    for name, guided in [*((name, False) for name in NEAR), ("nearest 10", True)]:
        cells = []
        for limit in limits:
            gaps = []
            for instance in instances:
                assert instance.best_known is not None, f"{instance.name}: no best known cost"
                tour = search(instance, policy, NEAR[name], limit, guided=guided)
                gaps.append(100 * (problem.check(instance, (tuple(tour.tolist()),)) / instance.best_known - 1))
            cells.append(f"{statistics.fmean(gaps):.3f}")
        print(
            f"| {name} | {'where the policy doubts' if guided else 'anywhere'} | " + " | ".join(cells) + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
