"""Learning from completions: they are the best there are, and a run teaches the policy to join."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from l2o import checkpoint, completion, problems
from l2o.improve import complete
from l2o.join import join
from l2o.models.fragments import Config, Policy
from l2o.problems.base import Completes
from l2o.problems.fragments import Fragments
from l2o.problems.instance import Instance, Ints, Routes
from l2o.recipe import InvalidRecipe, from_dict
from l2o.train import train
from l2o.workers import Workers

SMALL: dict[str, Any] = {
    "method": "completion",
    "model": {"kind": "fragments", "width": 16, "message": 8, "vectors": 2, "depth": 1},
    "data": {"sizes": [12, 20], "starts": 1, "decisions": 200},
    "budget": {"decisions": 15_000},
    "optimizer": {"rate": 5e-3, "average": 0.9},
}


def search(instance: Instance, paths: Ints, routes: Routes) -> Routes:
    return complete(instance, paths, routes, seed=0, iterations=400)


def solutions(ends: list[int], depot: bool) -> Iterator[list[list[int]]]:
    """All there are: orders of the ends, for routes cut in every way."""
    if not depot:
        yield from ([[ends[0], *rest]] for rest in itertools.permutations(ends[1:]))
        return
    for order in itertools.permutations(ends):
        for cuts in itertools.product((False, True), repeat=len(ends) - 1):
            routes = [[order[0]]]
            for node, cut in zip(order[1:], cuts, strict=True):
                routes = [*routes, [node]] if cut else [*routes[:-1], [*routes[-1], node]]
            yield routes


@pytest.mark.parametrize(("name", "n"), [("tsp", 8), ("cvrp", 6)])
@pytest.mark.parametrize("seed", range(6))
def test_completions_are_the_best_that_hold_all_paths(name: str, n: int, seed: int) -> None:
    problem = problems.find(name)
    completes = cast(Completes, problem)
    graph = problem.sample(torch.Generator().manual_seed(seed), 1, n, "uniform")
    torch.manual_seed(seed)
    policy = Policy(Config(width=8, message=4, depth=1), moves=problem.moves)
    rounds: list[Fragments] = []
    made = join(completes, policy, graph, share=1e-9, watch=lambda left, state: rounds.append(state.clone()))
    assert made is not None
    distance = torch.cdist(graph.pos[0], graph.pos[0]).tolist()
    instance = graph.instance(name, 0)
    for state in rounds[1:]:
        open_, other, closed = (x[0].tolist() for x in (state.open, state.other, state.closed))
        load = state.load[0].tolist()
        ends = [node for node in range(graph.n) if open_[node] > 0]
        found = completes.completed(graph, 0, state, made.routes[0], search)
        problem.check(instance, found)
        # The paths are still there, inner nodes and all.
        held, whole = edges(found, completes.depot), edges(made.routes[0], completes.depot)
        assert all(edge in held for edge in whole if all(open_[node] == 0 for node in edge - {0}))

        def neighbours(routes: list[list[int]], depot: bool = completes.depot) -> dict[int, list[int]]:
            near: dict[int, list[int]] = {}
            for route in routes:
                ring = [0, *route, 0] if depot else [route[-1], *route, route[0]]
                near |= {node: [a, b] for a, node, b in zip(ring, ring[1:], ring[2:], strict=False)}
            return near

        def length(
            near: dict[int, list[int]],
            ends: list[int] = ends,
            other: list[int] = other,
            closed: list[bool] = closed,
        ) -> float:
            """Of the ways that are not paths; infinite where a path is broken up."""
            total = 0.0
            for node in ends:
                ways = list(near[node])
                tied = 0 if closed[node] else other[node]
                if tied != node:
                    if tied not in ways:
                        return math.inf
                    ways.remove(tied)
                # Each way between two ends is seen from both, each way home from one.
                total += sum(distance[node][way] / (1 if completes.depot and way == 0 else 2) for way in ways)
            return total

        carried = {i: load[i] if other[i] >= i or closed[i] else 0.0 for i in ends}
        best = min(
            length(neighbours(routes))
            for routes in solutions(ends, completes.depot)
            if all(sum(carried[i] for i in route) <= 1 + 1e-9 for route in routes)
        )
        shortened = [[node for node in route if open_[node] > 0] for route in found]
        assert length(neighbours([route for route in shortened if route])) == pytest.approx(best, rel=1e-6)
        around = completion.neighbours(state, [found], completes.depot)[0].tolist()
        for node in ends:
            outside = [way for way in around[node] if way >= 0]
            if not (closed[node] and other[node] == node):
                expected = neighbours([list(route) for route in found])[node]
                assert sorted(outside) == sorted(expected)
            else:
                assert sorted([0, *outside]) == sorted(neighbours([list(route) for route in found])[node])


@pytest.mark.parametrize("name", ["tsp", "cvrp"])
def test_a_solution_that_is_ready_is_its_own_completion(name: str) -> None:
    """Of several instances that are built side by side, one is ready first."""
    problem = problems.find(name)
    completes = cast(Completes, problem)
    graph = problem.sample(torch.Generator().manual_seed(0), 1, 6, "uniform")
    rounds: list[Fragments] = []
    policy = Policy(Config(width=8, message=4, depth=1), moves=problem.moves)
    made = join(completes, policy, graph, watch=lambda left, state: rounds.append(state))
    assert made is not None
    # Of a tour, one path remains, whose ends are joined without asking.
    assert int(rounds[-1].open.sum()) == (0 if completes.depot else 2)
    assert completes.completed(graph, 0, rounds[-1], made.routes[0], search) == made.routes[0]


@pytest.mark.parametrize("name", ["tsp", "cvrp"])
def test_processes_find_what_one_finds(name: str) -> None:
    problem = problems.find(name)
    module = completion.Completion(problem, from_dict(SMALL | {"problem": name}))
    graph = problem.sample(torch.Generator().manual_seed(3), 5, 15, "clusters")
    fragments, made = module.play(graph, torch.Generator().manual_seed(4))
    several = graph.at(torch.arange(len(fragments.open)) % 5)
    found = []
    for count in (1, 3):
        module.workers = Workers(count)
        found.append(module.partners(several, fragments, made.routes, 7))
        module.workers.close()
    assert torch.equal(*found)
    # Whose neighbour a node is, that is its neighbour; the depot has more than two.
    for around in found[0].tolist():
        ways = [(a, b) for a, both in enumerate(around) for b in both if name == "tsp" or (a > 0 and b > 0)]
        assert sorted(ways) == sorted((b, a) for a, b in ways)


def edges(routes: Routes, depot: bool) -> list[set[int]]:
    rings = ((0, *route) if depot else route for route in routes)
    return [{a, b} for ring in rings for a, b in zip(ring, (*ring[1:], ring[0]), strict=True)]


def test_a_run_teaches_and_solves(tmp_path: Path) -> None:
    folder = train(from_dict(SMALL | {"validation": {"most": 100}}), tmp_path / "run", quiet=True)
    loaded = checkpoint.load(str(folder))
    assert "completed by own local search" in loaded.record["loss"] and loaded.record["decisions"] >= 15_000
    torch.manual_seed(0)
    plain = Policy(loaded.recipe.model)
    problem = problems.find("tsp")
    graph = problem.sample(torch.Generator().manual_seed(9), 60, 20, "uniform")
    costs = []
    for policy in (plain, loaded.policy):
        made = join(cast(Completes, problem), cast(Policy, policy), graph)
        assert made is not None
        costs.append(float(made.cost.mean()))
    assert costs[1] < costs[0]

    file = Path(__file__).parents[1] / "examples" / "berlin52.tsp"
    command = [sys.executable, "-m", "l2o", "solve", str(file), "--model", str(folder), "--no-improve", "--json"]
    for options, solver in (([], "policy, greedy"), (["--samples", "20"], "policy, best of 20 samples")):
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        assert sorted(answer["routes"][0]) == list(range(1, 53)) and answer["cost"] >= 7542
        assert answer["solver"] in (solver, "policy, greedy")
    done = subprocess.run([*command, "--starts", "5"], capture_output=True, text=True)
    assert done.returncode == 2 and "draw samples instead" in done.stderr and "Traceback" not in done.stderr


def test_fragments_learn_by_completion_alone() -> None:
    for wrong in ({"method": "reinforce"}, {"model": {"kind": "local"}}):
        with pytest.raises(InvalidRecipe, match="fragments learn by completion alone"):
            from_dict(SMALL | wrong | {"data": {"starts": 2}})
