"""Near ends: trees and distances against a search through all pairs."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from l2o import problems
from l2o.join import join
from l2o.models import ends as ends_module
from l2o.models.ends import Distances, Surroundings, Trees
from l2o.models.fragments import Config, Policy
from l2o.problems.base import Completes
from l2o.problems.fragments import Fragments

KINDS = pytest.mark.parametrize("kind", [Distances, Trees])


class World:
    """Two instances of ``n`` nodes, some of them ends, the first two of which are tied to each other."""

    def __init__(self, pos: Tensor, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        batch, self.n, _ = pos.shape
        self.pos, self.is_end = pos, torch.rand(batch, self.n, generator=generator) < 0.7
        self.is_end[:, :3] = True
        self.load = torch.rand(batch, self.n, generator=generator, dtype=torch.float64)
        other = torch.arange(self.n).repeat(batch, 1)
        other[:, 0], other[:, 1] = 1, 0
        self.load[:, 1] = self.load[:, 0]
        self.other = (other + torch.arange(batch).unsqueeze(1) * self.n).flatten()
        self.node = self.is_end.flatten().nonzero().squeeze(1)

    def around(self, kind: type[Distances] | type[Trees], *, loads: bool = True) -> Surroundings:
        return kind(self.pos, self.is_end, self.other, self.node, self.load if loads else None)

    def lengths(self, i: int, *, loads: bool) -> dict[int, float]:
        """From end ``i`` to each that it may see."""
        found = {}
        for j in self.node.tolist():
            strange = j != i and j // self.n == i // self.n and j != int(self.other[i])
            fits = not loads or float(self.load.flatten()[i] + self.load.flatten()[j]) <= 1
            if strange and fits:
                found[j] = math.dist(self.pos.flatten(0, 1)[i].tolist(), self.pos.flatten(0, 1)[j].tolist())
        return found


def maps(n: int, dim: int, seed: int, *, grid: bool) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    if grid:
        return torch.randint(4, (2, n, dim), generator=generator).double()
    return torch.rand(2, n, dim, generator=generator, dtype=torch.float64)


@KINDS
@settings(deadline=None)
@given(st.integers(3, 60), st.sampled_from([2, 3]), st.integers(0, 99), st.booleans(), st.booleans())
def test_the_nearest_are_found(
    kind: type[Distances] | type[Trees], n: int, dim: int, seed: int, grid: bool, loads: bool
) -> None:
    world = World(maps(n, dim, seed, grid=grid), seed)
    near, length = world.around(kind, loads=loads).nearest(7)
    for place, i in enumerate(world.node.tolist()):
        lengths = world.lengths(i, loads=loads)
        expected = sorted(lengths.values())[:7]
        found = length[place][length[place].isfinite()].tolist()
        assert np.allclose(found, expected, rtol=1e-12) and len(found) == len(expected)
        assert [lengths[j] for j in near[place, : len(found)].tolist()] == pytest.approx(found)
        assert len(set(near[place, : len(found)].tolist())) == len(found)


@KINDS
@settings(deadline=None)
@given(st.integers(3, 60), st.sampled_from([2, 3]), st.integers(0, 99), st.booleans())
def test_the_nearest_beyond_a_ring_is_found(
    kind: type[Distances] | type[Trees], n: int, dim: int, seed: int, grid: bool
) -> None:
    world = World(maps(n, dim, seed, grid=grid), seed)
    radius = torch.tensor([0.0, 0.3, 1.7]).double().expand(len(world.node), -1)
    around = world.around(kind)
    near, valid = around.beyond(radius, torch.ones_like(radius, dtype=torch.bool))
    for place, i in enumerate(world.node.tolist()):
        lengths = world.lengths(i, loads=False)
        for ring, bound in enumerate(radius[place].tolist()):
            further = [length for length in lengths.values() if length > bound]
            assert bool(valid[place, ring]) == bool(further)
            if further:
                assert lengths[int(near[place, ring])] == pytest.approx(min(further), rel=1e-12)


@KINDS
def test_what_rounding_decides_is_noticed(kind: type[Distances] | type[Trees]) -> None:
    # From the first: one at 1, two at 2, one at 3; they are no ends of one path.
    pos = torch.tensor([[[0.0, 0], [9, 9], [1, 0], [2, 0], [0, 2], [-3, 0]]]).double()
    world = World(pos, 0)
    world.is_end[:] = True
    world.node = torch.arange(6)
    doubtful = world.around(kind).doubtful(torch.tensor([0.5, 1.5, 2.5, 1.0, 3.0 * (1 + 1e-9), 9.0]).expand(6, -1))
    assert doubtful[0].tolist() == [False, True, False, True, True, False]


def test_trees_of_many_equal_points_and_several_threads() -> None:
    pos = torch.zeros(1, 500, 2, dtype=torch.float64)
    pos[0, 250:] = torch.rand(250, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    world, threads = World(pos, 1), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        _, length = world.around(Trees).nearest(20)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(length, world.around(Distances).nearest(20)[1])


@pytest.mark.parametrize("large", [10, 1000])
def test_what_is_remembered_is_what_is_found_anew(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends_module, "LARGE", large)
    torch.manual_seed(0)
    policy = Policy(Config(width=16, message=8, vectors=3, depth=1, rings=3)).double()
    problem = problems.find("tsp")
    graph = problem.sample(torch.Generator().manual_seed(0), 2, 200, "clusters")
    rings, rounds = policy.rings(graph), 0

    def watch(_: int, fragments: Fragments) -> None:
        nonlocal rounds
        rounds += 1
        remembered, anew = policy.look(graph, fragments, rings), policy.look(graph, fragments)
        assert torch.equal(remembered.at, anew.at) and torch.equal(remembered.valid, anew.valid)

    join(cast(Completes, problem), policy, graph, watch=watch)
    assert rounds > 20
