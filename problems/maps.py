"""Random point sets of many shapes, vectorised over a batch: what policies are trained on.

Each function takes ``(generator, batch, n)`` and returns float64 ``[batch, n, dim]``, in the plane but for those of
:data:`SOLID`. Explosion and implosion are after
Bossek et al. (2019), "Evolving diverse TSP instances by means of novel and creative mutation operators".
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor


def _rand(generator: Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


def _randn(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def uniform(generator: Generator, batch: int, n: int) -> Tensor:
    """Independent and uniform in the unit square."""
    return _rand(generator, batch, n, 2)


def clusters(generator: Generator, batch: int, n: int) -> Tensor:
    """Gaussian clusters: 2 to 12 centres, each with a spread of its own."""
    most = 12
    count = 2 + (_rand(generator, batch, 1) * (most - 1)).long()
    centre = _rand(generator, batch, most, 2)
    spread = 0.01 + 0.09 * _rand(generator, batch, most, 1)
    member = (_rand(generator, batch, n) * count).long()
    index = member.unsqueeze(-1).expand(-1, -1, 2)
    return centre.gather(1, index) + spread.expand(-1, -1, 2).gather(1, index) * _randn(generator, batch, n, 2)


def mixed(generator: Generator, batch: int, n: int) -> Tensor:
    """Clusters over a uniform background."""
    share = _rand(generator, batch, 1)
    background = _rand(generator, batch, n) < share
    return torch.where(background.unsqueeze(-1), uniform(generator, batch, n), clusters(generator, batch, n))


def explosion(generator: Generator, batch: int, n: int) -> Tensor:
    """Uniform points blown out of a disc, leaving a hole with a crowded rim."""
    pos = uniform(generator, batch, n)
    centre = _rand(generator, batch, 1, 2)
    radius = 0.1 + 0.3 * _rand(generator, batch, 1, 1)
    away = pos - centre
    length = away.square().sum(-1, keepdim=True).sqrt()
    rim = radius - 0.1 * torch.log(_rand(generator, batch, n, 1).clamp(min=1e-9)) * radius
    return torch.where(length < radius, centre + away / length.clamp(min=1e-12) * rim, pos)


def implosion(generator: Generator, batch: int, n: int) -> Tensor:
    """Uniform points drawn towards the middle of a disc."""
    pos = uniform(generator, batch, n)
    centre = _rand(generator, batch, 1, 2)
    radius = 0.2 + 0.4 * _rand(generator, batch, 1, 1)
    away = pos - centre
    inside = away.square().sum(-1, keepdim=True).sqrt() < radius
    return torch.where(inside, centre + away * (0.1 + 0.4 * _rand(generator, batch, 1, 1)), pos)


def lattice(generator: Generator, batch: int, n: int) -> Tensor:
    """Sites of a square grid with some left out, exact or slightly shaken: drilling plans and the ties they bring."""
    side = int((n * 1.5) ** 0.5) + 1
    site = _rand(generator, batch, side * side).argsort(dim=1)[:, :n]
    pos = torch.stack([site // side, site % side], dim=-1).to(torch.float64)
    shake = 0.2 * (_rand(generator, batch, 1, 1) - 0.5).clamp(min=0)
    stretch = torch.cat([torch.ones(batch, 1, 1, dtype=torch.float64), 0.5 + _rand(generator, batch, 1, 1)], dim=-1)
    return (pos + shake * _randn(generator, batch, n, 2)) * stretch


def squeezed(generator: Generator, batch: int, n: int) -> Tensor:
    """Uniform or clustered points in a flat rectangle, sides 1 : 2 to 1 : 12."""
    flat = 1 / (2 + 10 * _rand(generator, batch, 1))
    return mixed(generator, batch, n) * torch.stack([torch.ones_like(flat), flat], dim=-1)


def lines(generator: Generator, batch: int, n: int) -> Tensor:
    """Points strung along a few random segments: boards, streets."""
    most = 10
    count = 2 + (_rand(generator, batch, 1) * (most - 1)).long()
    ends = _rand(generator, batch, most, 4)
    index = (_rand(generator, batch, n) * count).long().unsqueeze(-1).expand(-1, -1, 4)
    end = ends.gather(1, index)
    along = _rand(generator, batch, n, 1)
    width = 0.02 * _rand(generator, batch, 1, 1)
    return end[..., :2] + along * (end[..., 2:] - end[..., :2]) + width * _randn(generator, batch, n, 2)


def boards(generator: Generator, batch: int, n: int) -> Tensor:
    """A few blocks of regularly spaced points, close together or far apart, over scattered ones: circuit boards."""
    most = 8
    count = 1 + (_rand(generator, batch, 1) * most).long()
    weight = torch.where(torch.arange(most) < count, _rand(generator, batch, most), 0.0)
    member = torch.multinomial(weight, n, replacement=True, generator=generator)
    own = torch.nn.functional.one_hot(member, most)
    rank = (own.cumsum(dim=1) - 1).gather(2, member.unsqueeze(-1)).squeeze(-1)

    def of_block(values: Tensor) -> Tensor:
        return values.gather(1, member)

    # Some sites are left out, evenly.
    site = (rank * of_block(1 + 0.6 * _rand(generator, batch, most))).long()
    columns = of_block(1 + (_rand(generator, batch, most).square() * 30).long())
    pitch = of_block(torch.exp(-2 - 3 * _rand(generator, batch, most)))
    stretch = of_block(0.5 + _rand(generator, batch, most))
    centre = _rand(generator, batch, most, 2).gather(1, member.unsqueeze(-1).expand(-1, -1, 2))
    block = centre + pitch.unsqueeze(-1) * torch.stack([site % columns, site // columns * stretch], dim=-1)
    scattered = _rand(generator, batch, n) < 0.5 * _rand(generator, batch, 1)
    return torch.where(scattered.unsqueeze(-1), uniform(generator, batch, n) * 1.5, block)


def cube(generator: Generator, batch: int, n: int) -> Tensor:
    """Independent and uniform in the unit cube."""
    return _rand(generator, batch, n, 3)


def sphere(generator: Generator, batch: int, n: int) -> Tensor:
    """Independent and uniform on the unit sphere."""
    return torch.nn.functional.normalize(_randn(generator, batch, n, 3), dim=-1)


SOLID = ("cube", "sphere")
"""Maps in three dimensions."""

MAPS: dict[str, Callable[[Generator, int, int], Tensor]] = {
    f.__name__: f
    for f in (uniform, clusters, mixed, explosion, implosion, lattice, squeezed, lines, boards, cube, sphere)
}
