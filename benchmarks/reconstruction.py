"""Is a tour made better by letting the policy rebuild parts of it? Many parts at once, the same weights.

``python benchmarks/reconstruction.py FILE... [--seconds 10]`` opens the tour inside balls all over the map, has the
policy join what was opened, brings the result to a local optimum, and lets the tour take over those of its edges that
pay (edge assembly crossover, cycle by cycle). Beside it, kicks for as long. Both begin with the local optimum that a
greedy edge tour leads to. One thread; what is compiled or loaded before, torch and weights too, does not count.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from typing import cast

import numpy as np
import torch

from l2o import checkpoint, problems
from l2o.files import read
from l2o.heuristics import greedy_edge
from l2o.improve import kernels_eax, random, warm_up
from l2o.improve.run import Clock
from l2o.improve.space import Space, space
from l2o.improve.tsp import NEIGHBOURS, chained, descended, ignore, length
from l2o.join import QUICK, Gumbel, join
from l2o.machine import commit, hardware
from l2o.models.fragments import Policy
from l2o.problems import rules
from l2o.problems.base import Completes
from l2o.problems.fragments import Fragments
from l2o.problems.instance import Instance, Ints

BALL, SHARE = 50, 0.3
"""Nodes of a ball, and of the map the share that lies in balls."""


def opened(tour: Ints, inside: Ints) -> tuple[Fragments, Ints]:
    """``tour`` without its edges between nodes that are ``inside [n]`` the same ball, numbered from 0, or -1 for none.

    What is left of it as paths, and its edges ``[m, 2]``.
    """
    n = len(tour)
    following = np.roll(tour, -1)
    cut = (inside[tour] >= 0) & (inside[tour] == inside[following])
    first = int(np.flatnonzero(cut)[0]) + 1
    tour, cut = np.roll(tour, -first), np.roll(cut, -first)
    ends = np.flatnonzero(cut)
    begins = np.concatenate([[0], ends[:-1] + 1])
    open_, other = np.zeros(n, np.int64), np.arange(n)
    np.add.at(open_, tour[begins], 1)
    np.add.at(open_, tour[ends], 1)
    other[tour[begins]], other[tour[ends]] = tour[ends], tour[begins]
    kept = np.stack([tour, np.roll(tour, -1)], axis=1)[~cut]
    parts = (torch.from_numpy(one)[None] for one in (open_, other, np.zeros(n)))
    return Fragments(*parts), kept


def balls(instance: Instance, rng: np.random.Generator) -> Ints:
    """``[n]`` in which ball each node is; where two overlap, in the later one."""
    from scipy.spatial import cKDTree

    assert instance.coords is not None
    count = max(1, math.ceil(SHARE * instance.n / BALL))
    centres = rng.choice(instance.n, count, replace=False)
    near = cKDTree(instance.coords).query(instance.coords[centres], k=min(BALL, instance.n))[1]
    inside = np.full(instance.n, -1)
    for number, nodes in enumerate(near):
        inside[nodes] = number
    return inside


def rebuilt(instance: Instance, where: Space, policy: Policy, tour: Ints, clock: Clock) -> tuple[Ints, int]:
    """The tour after as many rounds as there is time for, and how many there were."""
    rng, problem = np.random.default_rng(0), cast(Completes, problems.find("tsp"))
    graph = problems.find("tsp").graph(instance)
    room = kernels_eax.workspace(where.metric, where.near, where.held, random.state(0))
    frequency = np.empty(where.near.shape, np.int64)
    noise, rounds = Gumbel(torch.Generator().manual_seed(0)), 0
    while not clock.over():
        partial = opened(tour, balls(instance, rng))
        made = join(
            cast(Completes, problem),
            policy,
            graph,
            share=QUICK,
            noise=noise,
            partial=partial,
            stop=lambda _: clock.over(),
        )
        if made is None:
            break
        other = descended(where, np.array(made.routes[0][0], np.int64), clock, ignore)[1]
        tours = np.stack([tour, other])
        costs = np.array([length(instance, one) for one in tours])
        better = True
        while better:
            kernels_eax.count_edges(frequency, where.near, tours, 2)
            better = kernels_eax.cross(room, tours, costs, frequency, 0, 1, instance.n)
        tour = tours[0 if costs[0] < costs[1] else 1].copy()
        rounds += 1
    return tour, rounds


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--seconds", default="10", help="comma-separated")
    options = parser.parse_args()
    torch.set_num_threads(1)
    policy = checkpoint.load("tsp").policy
    warm_up("tsp")
    problem = rules.find("tsp")
    print(f"{hardware()}; 1 thread; commit {commit() or 'none'}\n")
    print("| file | seconds | local optimum | rebuilt by the policy (rounds) | kicks |\n" + "|---" * 5 + "|")
    totals: list[list[float]] = []
    for file in options.files:
        instance = read(file)
        assert instance.best_known is not None, f"{instance.name}: no best known cost"
        for seconds in map(float, options.seconds.split(",")):
            where = space(instance, NEIGHBOURS)
            assert where is not None
            begin = descended(where, np.array(greedy_edge(instance)[0]), Clock(math.inf, None, None), ignore)[1]
            by_policy, rounds = rebuilt(instance, where, policy, begin, Clock(time.monotonic() + seconds, None, None))
            by_kicks = chained(where, begin, Clock(time.monotonic() + seconds, None, None), 0, 0, ignore)[1]
            gaps = [
                100 * (problem.check(instance, (tuple(tour.tolist()),)) / instance.best_known - 1)
                for tour in (begin, by_policy, by_kicks)
            ]
            totals.append(gaps)
            cells = [f"{gaps[0]:.2f}", f"{gaps[1]:.2f} ({rounds})", f"{gaps[2]:.2f}"]
            print(f"| {instance.name} | {seconds:g} | " + " | ".join(cells) + " |", flush=True)
    print("| mean | | " + " | ".join(f"{statistics.fmean(column):.2f}" for column in zip(*totals, strict=True)) + " |")


if __name__ == "__main__":
    main()
