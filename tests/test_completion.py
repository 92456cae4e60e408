"""Learning from completions: they are the best there are, and a run teaches the policy to join."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from l2o import checkpoint, problems
from l2o.improve import improve
from l2o.join import join
from l2o.models.fragments import Config, Policy
from l2o.problems.base import Completes
from l2o.problems.fragments import Fragments
from l2o.problems.instance import Instance, Routes, Unsupported
from l2o.recipe import InvalidRecipe, from_dict
from l2o.train import train

SMALL: dict[str, Any] = {
    "method": "completion",
    "model": {"kind": "fragments", "width": 16, "message": 8, "vectors": 2, "depth": 1},
    "data": {"sizes": [12, 20], "starts": 1, "decisions": 200},
    "budget": {"decisions": 15_000},
    "optimizer": {"rate": 5e-3, "average": 0.9},
}


def search(instance: Instance, routes: Routes) -> Routes:
    return improve(instance, routes, deadline=math.inf, seed=0, iterations=200)


@pytest.mark.parametrize("seed", range(6))
def test_completions_are_the_best_that_hold_all_paths(seed: int) -> None:
    problem = problems.find("tsp")
    completes: Completes = problem  # type: ignore[assignment]
    n = 8
    graph = problem.sample(torch.Generator().manual_seed(seed), 1, n, "uniform")
    torch.manual_seed(seed)
    rounds: list[Fragments] = []
    made = join(
        Policy(Config(width=8, message=4, depth=1)),
        graph,
        share=1e-9,
        watch=lambda left, state: rounds.append(state.clone()),
    )
    assert made is not None
    distance = torch.cdist(graph.pos[0], graph.pos[0])
    tour = made.tours[0].tolist()
    for state in rounds[1:]:
        partners = completes.completed(graph, 0, state, tour, search)
        ends = (state.open[0] > 0).nonzero().squeeze(1).tolist()
        assert (partners[state.open[0] == 0] == -1).all()

        def length(ring: tuple[int, ...], state: Fragments = state) -> float:
            """Of the ways that are not paths; infinite where a path is broken up."""
            pairs = list(zip(ring, (*ring[1:], ring[0]), strict=True))
            tied = {(i, int(state.other[0, i])) for i in ring if int(state.other[0, i]) != i}
            if not all((i, j) in pairs or (j, i) in pairs for i, j in tied):
                return math.inf
            return sum(float(distance[i, j]) for i, j in pairs if (i, j) not in tied)

        best = min(length((ends[0], *rest)) for rest in itertools.permutations(ends[1:]))
        ring, before = [ends[0]], -1
        while len(ring) < len(ends):
            here = ring[-1]
            following = [j for j in partners[here].tolist() if j != before]
            before = here
            ring.append(following[0])
        assert length(tuple(ring)) == pytest.approx(best, rel=1e-6)


def test_a_run_teaches_and_solves(tmp_path: Path) -> None:
    folder = train(from_dict(SMALL), tmp_path / "run", quiet=True)
    loaded = checkpoint.load(str(folder))
    assert "completed by own local search" in loaded.record["loss"] and loaded.record["decisions"] >= 15_000
    torch.manual_seed(0)
    plain = Policy(loaded.recipe.model)
    problem = problems.find("tsp")
    graph = problem.sample(torch.Generator().manual_seed(9), 60, 20, "uniform")
    costs = []
    for policy in (plain, loaded.policy):
        made = join(policy, graph)  # type: ignore[arg-type]
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


def test_fragments_learn_by_completion_alone(tmp_path: Path) -> None:
    for wrong in ({"method": "reinforce"}, {"model": {"kind": "local"}}):
        with pytest.raises(InvalidRecipe, match="fragments learn by completion alone"):
            from_dict(SMALL | wrong | {"data": {"starts": 2}})
    with pytest.raises(Unsupported, match="to tours only"):
        train(from_dict(SMALL | {"problem": "cvrp"}), tmp_path)
