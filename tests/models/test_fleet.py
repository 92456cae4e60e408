"""Networks of fleets: turns of the whole system turn and permute what all do, and only with the symmetry built in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from l2o.models import fleet
from l2o.models.fleet import Fleet, FleetSymmetry, Sight, traffic_symmetry, wildlife_symmetry
from l2o.models.homomorphic import KINDS
from l2o.problems.fleet import Fleets
from l2o.problems.traffic import Junctions
from l2o.problems.wildlife import Drones

B = 12
TEAMS: dict[str, tuple[str, Fleets, FleetSymmetry]] = {
    "wildlife": ("wildlife", Drones(B), wildlife_symmetry()),
    "five drones": ("wildlife", Drones(B, drones=5, side=5), wildlife_symmetry(5, 15)),
    "traffic": ("traffic", Junctions(B), traffic_symmetry()),
}


@pytest.fixture(autouse=True)
def double() -> object:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def network(name: str, kind: str) -> Fleet:
    """With weights that make a difference, also in its heads."""
    found: Fleet = getattr(fleet, name)(kind, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(len(parameter))).mul_(0.2)
    return found


def sights(worlds: Fleets, steps: int = 25) -> Sight:
    """What is seen after a while of random play."""
    worlds.reset(seed=1)
    worlds.action_space.seed(2)
    for _ in range(steps):
        seen: dict[str, Any] = worlds.step(worlds.action_space.sample())[0]
    return {name: torch.from_numpy(part).double() for name, part in seen.items()}


def turned(symmetry: FleetSymmetry, element: int, logits: Tensor) -> Tensor:
    """``[B, A, actions]`` by the matrices of agents and of actions."""
    agents, actions = symmetry.agents.matrices[element], symmetry.act.matrices[element]
    return torch.einsum("xi,bia,ya->bxy", agents, logits, actions)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("team", TEAMS)
def test_policies_follow_turns_of_the_whole_system_and_values_do_not_care(team: str, kind: str) -> None:
    name, worlds, symmetry = TEAMS[team]
    made, seen = network(name, kind), sights(worlds)
    logits, value = made(seen)
    assert logits.shape == (B, worlds.agents, symmetry.act.dim) and value.shape == (B,)
    assert logits.std(dim=(0, 1)).min() > 1e-3 and value.std() > 1e-3
    worst = 0.0
    for element in range(4):
        new_logits, new_value = made(symmetry.seen(torch.full((B,), element), seen))
        change = (new_logits - turned(symmetry, element, logits)).abs().max() / logits.abs().max()
        worst = max(worst, float(change), float((new_value - value).abs().max() / value.abs().max()))
    assert worst < 1e-12 if kind == "equivariant" else worst > 1e-3


@torch.no_grad()
def test_drones_may_be_renumbered() -> None:
    made, seen = network("wildlife", "plain"), sights(TEAMS["five drones"][1])
    order = torch.tensor([3, 0, 4, 2, 1])
    other = {
        "image": seen["image"][:, order],
        "offset": seen["offset"][:, order][:, :, order],
        "heard": seen["heard"][:, order][:, :, order],
    }
    (logits, value), (new_logits, new_value) = made(seen), made(other)
    torch.testing.assert_close(new_logits, logits[:, order], atol=1e-12, rtol=0)
    torch.testing.assert_close(new_value, value, atol=1e-12, rtol=0)


@torch.no_grad()
def test_what_is_not_heard_makes_no_difference() -> None:
    seen = sights(TEAMS["traffic"][1])
    made = network("traffic", "equivariant")
    made.rounds = made.rounds[:1]
    made.policy = torch.nn.Identity()
    features = made(seen)[0]
    changed = {**seen, "image": seen["image"].clone()}
    changed["image"][:, 0] = torch.rand(B, 3, 21, 21, generator=torch.Generator().manual_seed(3))
    same = torch.isclose(made(changed)[0], features, atol=1e-12, rtol=0).all(dim=2).all(dim=0)
    # One round of messages carries news to the next junctions, not to the one across.
    assert same.tolist() == [False, False, True, False]


@pytest.mark.parametrize("team", TEAMS)
def test_turns_are_a_group_of_what_is_seen_and_done(team: str) -> None:
    _, worlds, symmetry = TEAMS[team]
    seen = sights(worlds)
    act = torch.from_numpy(worlds.action_space.sample())
    for first, second in np.ndindex(4, 4):
        one, two = torch.full((B,), first), torch.full((B,), second)
        both = (one + two) % 4
        for name, part in symmetry.seen(both, seen).items():
            torch.testing.assert_close(symmetry.seen(two, symmetry.seen(one, seen))[name], part, atol=1e-12, rtol=0)
        assert torch.equal(symmetry.acted(two, symmetry.acted(one, act)), symmetry.acted(both, act))
    mixed = torch.arange(B) % 4
    for name, part in symmetry.seen(mixed, seen).items():
        alone = [symmetry.seen(mixed[i : i + 1], {n: p[i : i + 1] for n, p in seen.items()})[name] for i in range(B)]
        assert torch.equal(torch.cat(alone), part)
    assert not torch.equal(symmetry.acted(torch.ones(B, dtype=torch.long), act), act)


def test_arms_differ_in_symmetry_alone() -> None:
    for name in ("wildlife", "traffic"):
        weights = {}
        for kind in KINDS:
            made = getattr(fleet, name)(kind, torch.Generator().manual_seed(0))
            weights[kind] = sum(parameter.numel() for parameter in made.parameters())
            seen = sights(TEAMS[name][1])
            logits, value = made(seen)
            assert float(logits.detach().softmax(dim=2).max()) < 1.5 / logits.shape[2]
            (logits.square().sum() + value.square().sum()).backward()
            for path, parameter in made.named_parameters():
                assert parameter.numel() == 0 or parameter.grad.abs().max() > 0, (kind, path)
        assert weights["equivariant"] == weights["random"]
        assert weights["equivariant"] == pytest.approx(weights["plain"], rel=0.1)
