"""Near ends: trees and distances against a search through all pairs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from l2o.models.ends import by_distances, by_trees

Find = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor | None, int], tuple[Tensor, Tensor]]


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

    def nearest(self, find: Find, count: int, *, loads: bool) -> tuple[Tensor, Tensor]:
        return find(self.pos, self.is_end, self.other, self.node, self.load if loads else None, count)

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


@pytest.mark.parametrize("find", [by_distances, by_trees])
@settings(deadline=None)
@given(st.integers(3, 60), st.sampled_from([2, 3]), st.integers(0, 99), st.booleans(), st.booleans())
def test_the_nearest_are_found(find: Find, n: int, dim: int, seed: int, grid: bool, loads: bool) -> None:
    world = World(maps(n, dim, seed, grid=grid), seed)
    near, length = world.nearest(find, 7, loads=loads)
    for place, i in enumerate(world.node.tolist()):
        lengths = world.lengths(i, loads=loads)
        expected = sorted(lengths.values())[:7]
        found = length[place][length[place].isfinite()].tolist()
        assert np.allclose(found, expected, rtol=1e-12) and len(found) == len(expected)
        assert [lengths[j] for j in near[place, : len(found)].tolist()] == pytest.approx(found)
        assert len(set(near[place, : len(found)].tolist())) == len(found)


def test_trees_of_many_equal_points_and_several_threads() -> None:
    pos = torch.zeros(1, 500, 2, dtype=torch.float64)
    pos[0, 250:] = torch.rand(250, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    world, threads = World(pos, 1), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        _, length = world.nearest(by_trees, 20, loads=True)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(length, world.nearest(by_distances, 20, loads=True)[1])
