"""Steerable networks: features turn by Wigner's matrices, logits do not, and a mirror is told apart if so wanted."""

from __future__ import annotations

import math
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from l2o import checkpoint, problems, validation
from l2o.construct import construct
from l2o.problems.base import Graph, State
from l2o.problems.instance import Unsupported
from l2o.recipe import InvalidRecipe, from_dict, load
from l2o.selection import random_instances
from l2o.train import train

pytest.importorskip("e3nn", reason="e3nn is missing: pip install 'l2o[steerable]'")

from e3nn import o3

from l2o.models.steerable import EDGE, SPACE, Config, Policy

TSP = problems.find("tsp")
SMALL: dict[str, Any] = {"width": 16, "message": 8}
SHAPES: list[dict[str, Any]] = [{}, {"tensors": 0}, {"parity": False}, {"parity": False, "tensors": 0}]
MIRROR = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)


@cache
def drawn(**settings: Any) -> Policy:
    torch.manual_seed(0)
    policy = Policy(Config(**SMALL | settings), features=0, moves=1)
    for parameter in policy.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return policy


def make(dtype: torch.dtype = torch.float64, **settings: Any) -> Policy:
    """With large weights, so that much of what it says comes from its layers."""
    return drawn(**settings).to(dtype)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed: int) -> Tensor:
    turn, _ = torch.linalg.qr(random(SPACE, SPACE, seed=seed))
    proper: Tensor = turn * torch.linalg.det(turn)
    return proper


def wigner(irreps: o3.Irreps, turn: Tensor) -> Tensor:
    """``[dim, dim]``; e3nn computes it only as exactly as the default type is."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    matrix = irreps.D_from_matrix(turn) if irreps.dim else turn[:0, :0]
    torch.set_default_dtype(before)
    return matrix


def state_of(graph: Graph, steps: int) -> State:
    """After going from node 0 to as many others in order."""
    rows = torch.arange(len(graph.pos))
    state = TSP.start(graph, rows, torch.zeros_like(rows))
    for node in range(1, steps + 1):
        state = TSP.step(graph, state, torch.full_like(rows, node), rows)
    return state


def logits(policy: Policy, pos: Tensor, steps: int = 5) -> Tensor:
    """``[B, n]`` by node, ``-inf`` where it is no choice."""
    graph = Graph.of(pos, dtype=torch.float64)
    view = policy.sight(TSP, graph)(state_of(graph, steps))
    by_node = torch.full(pos.shape[:2], -torch.inf, dtype=torch.float64)
    return by_node.scatter(1, view.choices, policy(view)[..., 0].double())


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=str)
@pytest.mark.parametrize("settings", SHAPES, ids=str)
def test_features_turn_by_wigners_matrices(settings: dict[str, Any], dtype: torch.dtype, bound: float) -> None:
    policy = make(dtype, **settings)
    parity = settings.get("parity", True)
    way, share = random(3, 6, 4, SPACE, seed=1).to(dtype), random(3, 6, 4, seed=2).sigmoid().to(dtype)
    edge, at = random(3, 6, 4, EDGE, seed=3).to(dtype), torch.arange(24).view(6, 4).expand(3, 6, 4) * 5 % 8
    h = random(3, 8, 16, seed=4).to(dtype)
    layers: Any = policy.layers
    for number, layer in enumerate(layers):
        after = layer.one.irreps_out
        before = after if number else o3.Irreps("" if parity else "1e")
        f = random(3, 8, before.dim, seed=5).to(dtype)
        plain_h, plain_f = layer(h, f, at, share, policy.harmonics(way), edge)
        assert plain_f.abs().max() > 0.1
        for sign in (1, -1):
            turn = sign * rotation(6)
            there, here = (wigner(irreps, turn).to(dtype) for irreps in (after, before))
            turned_h, turned_f = layer(h, f @ here.T, at, share, policy.harmonics(way @ turn.T.to(dtype)), edge)
            worst = max(float((turned_h - plain_h).abs().max()), float((turned_f - plain_f @ there.T).abs().max()))
            assert worst < bound if sign == 1 or parity else worst > 1e-2


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-9), (torch.float32, 1e-5)], ids=str)
@pytest.mark.parametrize("settings", SHAPES, ids=str)
def test_logits_stay_the_same_in_space(settings: dict[str, Any], dtype: torch.dtype, bound: float) -> None:
    policy, pos = make(dtype, **settings), random(3, 40, SPACE)
    plain = logits(policy, pos)
    order = torch.cat([torch.arange(6), 6 + torch.randperm(34, generator=torch.Generator().manual_seed(1))])
    moved = [pos @ rotation(1).T, pos + 1e3 * random(SPACE), pos * 1e6, pos * 1e-6, pos[:, order]]
    if settings.get("parity", True):
        moved.append(pos * MIRROR)
    for there, expected in zip(moved, [plain] * 4 + [plain[:, order], plain], strict=False):
        torch.testing.assert_close(logits(policy, there), expected, atol=bound, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("settings", SHAPES, ids=str)
def test_only_what_is_handed_is_told_from_its_mirror_image(settings: dict[str, Any]) -> None:
    policy = make(**settings)
    solid, flat = random(2, 30, SPACE), random(2, 30, 2)
    lifted = torch.nn.functional.pad(flat, (0, 1))

    def change(pos: Tensor, mirror: Tensor) -> float:
        return float((logits(policy, pos) - logits(policy, pos * mirror)).nan_to_num(0).abs().max())

    assert change(lifted, MIRROR) < 1e-9, "a flat map can be turned over in space"
    for pos, mirror in ((solid, MIRROR), (flat, MIRROR[:2])):
        assert change(pos, mirror) < 1e-9 if settings.get("parity", True) else change(pos, mirror) > 1e-4


@torch.no_grad()
@pytest.mark.parametrize("parity", [True, False])
def test_which_of_equally_distant_nodes_is_heard_makes_no_difference(parity: bool) -> None:
    """Corners of a cube have three others next to them; rounding errors say to which two the network listens."""
    policy = make(parity=parity, nearest=2)
    cube = torch.cartesian_prod(*[torch.arange(2.0, dtype=torch.float64)] * 3)
    plain = logits(policy, cube[None], 1)
    assert plain.isfinite().sum() == 6 and plain[0, 2:].std() > 0.01
    for seed in range(5):
        turned = (cube @ rotation(seed).T)[None]
        torch.testing.assert_close(logits(policy, turned, 1), plain, atol=1e-7, rtol=0)


@torch.no_grad()
def test_points_in_one_place_and_the_last_of_a_tour() -> None:
    for parity in (True, False):
        policy = make(parity=parity)
        for dim in (1, 2, 3):
            assert not logits(policy, torch.full((2, 12, dim), 5.0), 3).isnan().any()
            seen = logits(policy, random(2, 7, dim), 5)
            assert seen.isfinite().sum() == 2


def test_every_parameter_gets_a_gradient_in_space() -> None:
    for settings in SHAPES:
        policy = make(**settings)
        parameters = dict(policy.named_parameters())
        total = logits(policy, random(3, 40, SPACE)).log_softmax(1)[:, 10:].clamp(min=-100).sum()
        for name, slope in zip(parameters, torch.autograd.grad(total, list(parameters.values())), strict=True):
            assert slope.abs().sum() > 0, name


def test_it_learns_left_from_right_only_without_parity() -> None:
    """One patch and its mirror image, with other choices to be made: with parity each is half right at best."""
    pos = random(1, 8, SPACE)
    pair = torch.cat([pos, pos * MIRROR])
    right = torch.tensor([4, 6])
    for parity in (True, False):
        torch.manual_seed(0)
        policy = Policy(Config(**SMALL, parity=parity), features=0, moves=1).double()
        optimizer = torch.optim.Adam(policy.parameters(), lr=2e-2)
        for _ in range(20 if parity else 80):
            loss = torch.nn.functional.cross_entropy(logits(policy, pair, 1), right)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        assert loss.item() > math.log(2) - 1e-6 if parity else loss.item() < 0.1


def test_more_than_three_dimensions_are_refused() -> None:
    with pytest.raises(
        Unsupported, match="found points in 4 dimensions, expected 3 at most; use a model of kind local"
    ):
        logits(make(), random(1, 9, 4))


def test_settings_that_make_no_sense_are_named() -> None:
    settings: list[dict[str, Any]] = [{"scalars": 0}, {"vectors": 0}, {"tensors": -1}, {"nearest": -1}, {"depth": 0}]
    for setting in settings:
        (name,) = setting
        with pytest.raises(ValueError, match=f"{name} is"):
            Config(**setting)


def test_trained_in_space_it_is_read_back_and_builds_tours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "SETS", (("uniform", 8, 2),))
    monkeypatch.setattr(validation, "REFERENCES", tmp_path / "none")
    recipe = from_dict(
        {
            "model": {"kind": "steerable", "parity": False, "candidates": 4, "context": 2, "reach": 8, **SMALL},
            "data": {"sizes": [9], "uniform": 0, "distributions": ["cube", "sphere"], "starts": 4, "decisions": 100},
            "budget": {"decisions": 300},
        }
    )
    loaded = checkpoint.load(str(train(recipe, tmp_path / "run", quiet=True)))
    assert loaded.recipe == recipe
    (instance,) = random_instances("tsp", "sphere", 12, 1, seed=0)
    graph = TSP.graph(instance)
    made = construct(TSP, loaded.policy, graph, torch.tensor([0]), TSP.starts(graph, 1)[:, 0])
    assert made is not None
    assert TSP.check(instance, made.routes(TSP, 0)) == pytest.approx(float(made.cost), rel=1e-6)


def test_without_e3nn_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('[model]\nkind = "steerable"\n[budget]\nminutes = 1\n')
    monkeypatch.setitem(sys.modules, "e3nn", None)
    monkeypatch.delitem(sys.modules, "l2o.models.steerable")
    with pytest.raises(InvalidRecipe, match=r"^model\.kind: found no e3nn, .* pip install 'l2o\[steerable\]'$"):
        load(path)
