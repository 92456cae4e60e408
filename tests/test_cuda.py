"""A GPU gives the answers of the CPU, and learns; only where there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch

from l2o import checkpoint, problems
from l2o.construct import construct
from l2o.join import join
from l2o.models.fragments import Policy
from l2o.problems.base import Completes
from l2o.recipe import from_dict
from l2o.solve import solve
from l2o.train import train
from l2o.workers import Workers

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

SMALL: dict[str, Any] = {"data": {"sizes": [20], "decisions": 4000}, "budget": {"decisions": 40_000}}


@pytest.mark.parametrize("name", ["tsp", "cvrp"])
def test_joins_are_those_of_the_cpu(name: str) -> None:
    """In double precision, where rounding decides nothing."""
    problem = problems.find(name)
    policy = cast(Policy, checkpoint.load(name).policy.double())
    graph = problem.sample(torch.Generator().manual_seed(0), 16, 60, "clusters")
    graph = type(graph)(graph.pos.double(), graph.demand)
    here = join(cast(Completes, problem), policy, graph)
    there = join(cast(Completes, problem), policy.to("cuda"), graph.to("cuda"))
    assert here is not None and there is not None
    assert here.routes == there.routes
    assert torch.allclose(here.cost, there.cost.cpu(), rtol=1e-12)


@pytest.mark.parametrize("name", ["tsp", "cvrp"])
def test_walks_are_those_of_the_cpu(name: str, tmp_path: Path) -> None:
    folder = train(from_dict(SMALL | {"problem": name}), tmp_path / "run", device="cuda", quiet=True)
    loaded = checkpoint.load(str(folder))
    assert "NVIDIA" in loaded.record["hardware"] and loaded.record["decisions"] >= 40_000
    problem, policy = problems.find(name), loaded.policy.double()
    graph = problem.sample(torch.Generator().manual_seed(0), 16, 60, "clusters")
    graph = type(graph)(graph.pos.double(), graph.demand)
    costs = []
    for device in ("cpu", "cuda"):
        seen = graph.to(device)
        row = torch.arange(16, device=device)
        made = construct(problem, policy.to(device), seen, row, problem.starts(seen, 1)[:, 0])
        assert made is not None
        costs.append(made.cost.cpu())
    assert torch.allclose(costs[0], costs[1], rtol=1e-12)


@pytest.mark.parametrize("name", ["tsp", "cvrp"])
def test_a_run_of_joins_teaches(name: str, tmp_path: Path) -> None:
    joins = {"method": "completion", "model": {"kind": "fragments"}, "problem": name, "compile": name == "tsp"}
    train(from_dict(SMALL | joins), tmp_path / "run", device="cuda", threads=4, quiet=True)
    loaded = checkpoint.load(str(tmp_path / "run"))
    assert loaded.record["skipped"] == 0
    problem = problems.find(name)
    graph = problem.sample(torch.Generator().manual_seed(9), 200, 20, "uniform").to("cuda")
    costs = []
    for policy in (Policy(loaded.recipe.model, moves=problem.moves), loaded.policy):
        made = join(cast(Completes, problem), cast(Policy, policy.to("cuda")), graph)
        assert made is not None
        costs.append(float(made.cost.mean()))
    assert costs[1] < costs[0]


@pytest.mark.parametrize("name", ["tsp", "cvrp"])
def test_a_file_is_solved_as_on_the_cpu(name: str) -> None:
    instance = problems.find(name).sample(torch.Generator().manual_seed(1), 1, 80, "uniform").instance(name, 0)
    policy = checkpoint.load(name).policy.double()
    here = solve(instance, policy, improve=False, samples=8)
    assert solve(instance, policy.to("cuda"), improve=False, samples=8).routes == here.routes


def test_processes_do_not_touch_the_gpu() -> None:
    torch.zeros(1, device="cuda")
    workers = Workers(2)
    assert workers.map(abs, [(-1,), (2,), (-3,)]) == [1, 2, 3]
    workers.close()
