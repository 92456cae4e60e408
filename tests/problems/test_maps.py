"""Maps in space fill what they say, evenly, and nothing else in the engine takes them for maps in the plane."""

from __future__ import annotations

import pytest
import torch

from l2o import problems
from l2o.problems.maps import MAPS, SOLID
from l2o.selection import random_instances


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", MAPS)
def test_three_dimensions_or_two(name: str) -> None:
    assert MAPS[name](seeded(), 2, 9).shape == (2, 9, 3 if name in SOLID else 2)


def test_the_cube_is_filled_evenly() -> None:
    pos = MAPS["cube"](seeded(), 4, 5_000).flatten(0, 1)
    assert pos.min() >= 0 and pos.max() <= 1
    cells = torch.bincount((pos * 2).long() @ torch.tensor([4, 2, 1]), minlength=8)
    assert (cells / len(pos) - 1 / 8).abs().max() < 0.01


def test_the_sphere_is_covered_evenly() -> None:
    pos = MAPS["sphere"](seeded(), 4, 5_000).flatten(0, 1)
    torch.testing.assert_close(pos.norm(dim=1), torch.ones(len(pos), dtype=torch.float64))
    assert pos.mean(dim=0).abs().max() < 0.02
    # Archimedes: slices of equal height have equal areas, whichever way they are cut.
    heights = pos.sort(dim=0).values
    assert (heights - torch.linspace(-1, 1, len(pos)).unsqueeze(1)).abs().max() < 0.03


@pytest.mark.parametrize("problem", problems.names())
def test_random_instances_in_space_cost_what_their_coordinates_say(problem: str) -> None:
    (instance,) = random_instances(problem, "cube", 6, 1, seed=0)
    assert instance.metric == "EUC_3D" and instance.coords is not None
    assert float(instance.distance(1, 4)) == pytest.approx(
        float(((instance.coords[1] - instance.coords[4]) ** 2).sum() ** 0.5)
    )
