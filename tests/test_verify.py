"""`l2o verify` passes the policy, and fails one that looks at coordinates."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from l2o import models, problems
from l2o.models import vehicles as fleets
from l2o.models.local import Config, Policy
from l2o.models.patch import Patch
from l2o.problems.instance import InvalidInstance
from l2o.verify import SYMMETRIES, verify, verify_file


class Leaking(Policy):
    """Sees one raw coordinate of its patch."""

    def forward(self, patch: Patch, memory: Tensor | None = None) -> Tensor:
        logits = super().forward(patch, memory)
        return logits + 0.1 * patch.pos[:, 2 : 2 + logits.shape[1], :1].to(logits.dtype)


def policy_of(kind: type[Policy], name: str) -> Any:
    problem = problems.find(name)
    torch.manual_seed(0)
    if problem.fleet:
        policy = models.policy(fleets.Config(width=16, message=8), problem)
    else:
        policy = kind(Config(width=16, message=8), features=problem.features, moves=problem.moves)
    for parameter in policy.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return policy


def cloud(name: str) -> tuple[Tensor, Tensor, Tensor | None]:
    problem = problems.find(name)
    graph = problem.sample(torch.Generator().manual_seed(1), 1, 20 if problem.fleet else 40, "uniform")
    return graph.pos[0].double() * 300, graph.demand[0], graph.vehicles


@pytest.mark.parametrize("name", problems.names())
def test_the_policy_passes(name: str) -> None:
    pos, demand, vehicles = cloud(name)
    rows = verify(problems.find(name), policy_of(Policy, name), pos, demand, trials=20, seed=0, vehicles=vehicles)
    assert {row.symmetry for row in rows} == set(SYMMETRIES) and len(rows) == 2 * len(SYMMETRIES)
    for row in rows:
        assert row.passed and row.tied == 0 and row.cost <= 1e-9, row


def test_a_policy_that_sees_coordinates_fails() -> None:
    pos, demand, _ = cloud("tsp")
    rows = verify(problems.find("tsp"), policy_of(Leaking, "tsp"), pos, demand, trials=10, seed=0)
    failed = {row.symmetry for row in rows if not row.passed}
    assert failed == {"rotation", "reflection"}


def test_ties_are_left_out_and_counted() -> None:
    grid = torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0)).double()
    rows = verify(problems.find("tsp"), policy_of(Policy, "tsp"), grid, None, trials=5, seed=0)
    for row in rows:
        assert row.tied > 0 and (math.isnan(row.logits) or row.logits < 1e-4)


def test_there_must_be_nodes_to_share_out() -> None:
    with pytest.raises(InvalidInstance, match="found 3 vehicles without a file"):
        verify_file(None, None, trials=1, seed=0, vehicles=3)


@pytest.mark.parametrize("name", SYMMETRIES)
def test_transformations_are_what_they_say(name: str) -> None:
    pos, demand, _ = cloud("cvrp")
    there = SYMMETRIES[name](pos, demand, torch.Generator().manual_seed(2), depot=True)
    back = there.pos[there.new]
    ratio = (back[1:] - back[:-1]).norm(dim=1) / (pos[1:] - pos[:-1]).norm(dim=1)
    assert float(ratio.max() / ratio.min()) == pytest.approx(1, abs=1e-6)
    assert (float(ratio.mean()) == pytest.approx(1, abs=1e-6)) == (name != "scaling")
    torch.testing.assert_close(there.demand[there.new], demand)
    assert int(there.new[0]) == 0
    turned = torch.linalg.lstsq(pos - pos.mean(0), back - back.mean(0)).solution
    assert float(torch.linalg.det(turned).sign()) == (-1 if name == "reflection" else 1)
