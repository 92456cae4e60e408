"""Networks that respect symmetry: turned inputs give turned policies and the same values, and only theirs do."""

from __future__ import annotations

import pytest
import torch

from l2o.models import homomorphic
from l2o.models.homomorphic import KINDS, cartpole_symmetry, gridworld_symmetry

TASKS = {"cartpole": (cartpole_symmetry, (4,)), "gridworld": (gridworld_symmetry, (1, 21, 21))}


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TASKS)
def test_policies_follow_the_group_and_values_do_not_care(name: str, kind: str) -> None:
    make, shape = TASKS[name]
    symmetry = make()
    network = getattr(homomorphic, name)(kind, torch.Generator().manual_seed(0))
    for parameter in network.parameters():
        parameter.normal_(generator=torch.Generator().manual_seed(1)).mul_(0.3)
    seen = torch.rand(6, *shape, generator=torch.Generator().manual_seed(2))
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
    assert worst < 1e-5 if kind == "equivariant" else worst > 1e-3


@pytest.mark.parametrize("name", TASKS)
def test_arms_have_about_as_many_weights(name: str) -> None:
    counts = {
        kind: sum(p.numel() for p in getattr(homomorphic, name)(kind, torch.Generator().manual_seed(0)).parameters())
        for kind in KINDS
    }
    assert counts["equivariant"] == counts["random"]
    assert 0.5 < counts["equivariant"] / counts["plain"] < 2


@pytest.mark.parametrize("name", TASKS)
def test_an_untrained_policy_prefers_nothing(name: str) -> None:
    _, shape = TASKS[name]
    for kind in KINDS:
        network = getattr(homomorphic, name)(kind, torch.Generator().manual_seed(0))
        logits, _ = network(torch.rand(20, *shape, generator=torch.Generator().manual_seed(2)))
        assert float(logits.detach().softmax(dim=1).max()) < 1.5 / logits.shape[1]
