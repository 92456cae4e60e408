"""Networks that respect symmetry: turned inputs give turned policies and the same values, and only theirs do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from l2o.models import homomorphic
from l2o.models.fixable import fixed
from l2o.models.homomorphic import (
    GROUP_CNN,
    KINDS,
    ActorCritic,
    Distinct,
    Symmetry,
    cartpole_symmetry,
    gridworld_symmetry,
    pong_symmetry,
)
from l2o.models.symmetrizer import quarter_turns

TASKS = {
    "cartpole": (cartpole_symmetry, (4,)),
    "gridworld": (gridworld_symmetry, (1, 21, 21)),
    "pong": (pong_symmetry, (4, 80, 80)),
}
NETWORKS = [(name, kind) for name in TASKS for kind in KINDS] + [("gridworld", GROUP_CNN)]


@pytest.fixture(params=[(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=["double", "single"])
def precision(request: pytest.FixtureRequest) -> Iterator[float]:
    """The largest relative error allowed, while numbers are of the one or the other kind."""
    dtype, error = request.param
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    yield error
    torch.set_default_dtype(before)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(name: str, kind: str) -> tuple[ActorCritic, Symmetry, torch.Tensor]:
    symmetry, shape = TASKS[name]
    network = getattr(homomorphic, name)(kind, seeded(0))
    return network, symmetry(), torch.rand(6, *shape, generator=seeded(2))


@torch.no_grad()
@pytest.mark.parametrize(("name", "kind"), NETWORKS)
def test_policies_follow_the_group_and_values_do_not_care(precision: float, name: str, kind: str) -> None:
    network, symmetry, seen = make(name, kind)
    for parameter in network.parameters():
        parameter.normal_(generator=seeded(1)).mul_(0.3)
    logits, value = network(seen)
    assert logits.shape == (6, symmetry.act.dim) and value.shape == (6,)
    worst = 0.0
    for element in range(symmetry.order):
        which = torch.full((6,), element)
        turned_logits, turned_value = network(symmetry.seen(which, seen))
        # The logit of an action is that of the turned action, once everything is turned.
        actions = torch.arange(symmetry.act.dim).expand(6, -1).flatten()
        places = symmetry.acted(torch.full((len(actions),), element), actions).view(6, -1)
        change = (turned_logits.gather(1, places) - logits).abs().max() / logits.abs().max()
        worst = max(worst, float(change), float((turned_value - value).abs().max() / value.abs().max()))
    assert worst < precision if kind in ("equivariant", GROUP_CNN) else worst > 1e-3


def test_quarter_turns_are_those_of_the_representation() -> None:
    symmetry, seen = gridworld_symmetry(), torch.rand(4, 1, 21, 21, generator=seeded(0))
    matrices = quarter_turns(21).matrices.float()
    expected = (matrices @ seen.flatten(1).unsqueeze(2)).view_as(seen)
    assert torch.equal(symmetry.seen(torch.arange(4), seen), expected)


@pytest.mark.parametrize(("name", "kind"), [("gridworld", "equivariant"), ("pong", "random")])
def test_fixed_weights_are_those_of_the_moment_and_let_go(name: str, kind: str) -> None:
    network, _, seen = make(name, kind)
    with torch.no_grad(), fixed(network):
        before = network(seen)[1]
        for parameter in network.parameters():
            parameter.mul_(2.0)
        assert torch.equal(network(seen)[1], before)
    assert not torch.allclose(network(seen)[1], before)


def test_equal_sights_are_looked_at_once_and_count_as_often_as_they_are_there() -> None:
    looked = []
    trunk = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8, 3))
    trunk.register_forward_hook(lambda _, inputs, __: looked.append(len(inputs[0])))
    seen = torch.rand(5, 2, 4, generator=seeded(0))[torch.tensor([0, 3, 3, 1, 0, 0])]
    gradients = []
    for module in (trunk, Distinct(trunk)):
        trunk.zero_grad()
        features = module(seen)
        (features * torch.arange(1.0, 7.0).unsqueeze(1)).sum().backward()
        gradients.append([features.detach(), *(p.grad.clone() for p in trunk.parameters() if p.grad is not None)])
    assert looked == [6, 3]
    with torch.no_grad(), fixed(module):
        for part in (seen[:2], seen[1:], seen):
            torch.testing.assert_close(module(part), trunk[1](part.flatten(1)))
    # Two are new, then one, then none.
    assert looked[2:] == [2, 1]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", TASKS)
def test_arms_have_about_as_many_weights(name: str) -> None:
    counts = {
        kind: sum(p.numel() for p in getattr(homomorphic, task)(kind, seeded(0)).parameters())
        for task, kind in NETWORKS
        if task == name
    }
    assert counts["equivariant"] == counts["random"] == counts.get(GROUP_CNN, counts["random"])
    assert 0.5 < counts["equivariant"] / counts["plain"] < 2


@pytest.mark.parametrize(("name", "kind"), NETWORKS)
def test_an_untrained_policy_prefers_nothing(name: str, kind: str) -> None:
    network, _, seen = make(name, kind)
    logits, _ = network(seen)
    assert float(logits.detach().softmax(dim=1).max()) < 1.5 / logits.shape[1]
