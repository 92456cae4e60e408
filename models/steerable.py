"""The steerable policy: a patch is read by messages that carry spherical harmonics, in three dimensions or fewer.

Nodes have scalars, and features that turn with the map: vectors, which are the harmonics of degree 1, and those of
degree 2. A message is the tensor product of the sender's features with the harmonics of the way to it, each channel
weighted by what would be an EGNN's message (Thomas et al. 2018, "Tensor field networks", arXiv:1802.08219, section 4;
Brandstetter et al. 2022, "Geometric and physical quantities improve E(3) equivariant message passing",
arXiv:2110.02905, section 3). Harmonics, Wigner's 3j symbols and equivariant linear maps are e3nn's (Geiger & Smidt
2022, arXiv:2207.09453).

With ``parity``, what a mirror does to a feature is said by its degree, products that would have it otherwise are left
out, and logits are invariant under O(3). Without, cross products are among the paths, and logits are invariant under
rotations alone: they may tell a map from its image in a mirror.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from l2o.models.patch import ANCHOR, CANDIDATES, CURRENT, Patch, PatchSight
from l2o.models.patch_policy import PatchPolicy, Shape
from l2o.problems.base import Graph, Problem
from l2o.problems.instance import Unsupported

try:
    from e3nn import o3
except ModuleNotFoundError:
    raise Unsupported("found no e3nn, which steerable models need; pip install 'l2o[steerable]'") from None

SPACE = 3
"""Dimensions of the space that patches are put into."""

SOFT = 0.1
"""Vectors are divided by their length and this more: those of no length stay zero, where a direction would be that of
rounding errors."""

EDGE = 3
"""Functions of a distance."""


@dataclass(frozen=True)
class Config(Shape):
    """The shape of the network."""

    kind: str = "steerable"
    scalars: int = 8
    """Scalars of a node that enter the products."""
    vectors: int = 4
    """Vectors of a node."""
    tensors: int = 2
    """Its features of degree 2."""
    nearest: int = 4
    """Nearest nodes that a node hears of, besides the current one and the anchor."""
    parity: bool = True
    """Whether a map and its image in a mirror are the same, O(3), or may be told apart, SO(3). As a map in the plane
    can be turned over in space, which is a mirror too, the latter is told there which side is up: SO(2)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, least in (("scalars", 1), ("vectors", 1), ("tensors", 0), ("nearest", 0)):
            if getattr(self, key) < least:
                raise ValueError(f"{key} is {getattr(self, key)}; it must be at least {least}")


def harmonics(config: Config) -> o3.Irreps:
    """Degrees from 0 up. Without parity all are said to be even, so that every product is one of them."""
    return o3.Irreps.spherical_harmonics(2 if config.tensors else 1, p=-1 if config.parity else 1)


class Product(nn.Module):
    """Tensor products of features with harmonics, channel by channel, weighted and summed up over the senders.

    Each channel has a weight on each edge, which is that of all paths that begin with it.
    """

    def __init__(self, features: o3.Irreps, sh: o3.Irreps) -> None:
        super().__init__()
        self.channels = features.num_irreps
        self.blocks: list[tuple[slice, int, Tensor, list[int]]] = []
        found: list[tuple[int, o3.Irrep]] = []
        for (mul, left), place in zip(features, features.slices(), strict=True):
            tables = []
            for (_, right), rows in zip(sh, sh.slices(), strict=True):
                for ir in left * right:
                    if ir in sh:
                        # In double precision, and no buffers, which would lose it with the weights.
                        symbols = o3.wigner_3j(left.l, right.l, ir.l, dtype=torch.float64) * ir.dim**0.5
                        table = symbols.new_zeros(sh.dim, left.dim, ir.dim)
                        table[rows] = symbols.transpose(0, 1)
                        tables.append(table)
                        found.append((mul, ir))
            self.blocks.append((place, mul, torch.cat(tables, dim=2), [table.shape[2] for table in tables]))
        ordered = o3.Irreps(found).sort()
        self.order, self.irreps = ordered.inv, ordered.irreps.simplify()

    def forward(self, features: Tensor, sh: Tensor, weights: Tensor) -> Tensor:
        """``[..., irreps]``, by degree, from ``[..., s, features]``, ``[..., s, sh]`` and ``[..., s, channels]``."""
        *rest, senders, _ = sh.shape
        parts, used = [], 0
        for place, mul, table, dims in self.blocks:
            turning = (sh @ table.flatten(1).to(sh)).view(*rest, -1, table.shape[2])
            sent = features[..., place].view(*rest, senders, mul, -1) * weights[..., used : used + mul, None]
            # One matrix product sums up over the senders and over the components of what they send.
            heard = sent.transpose(-2, -3).flatten(-2) @ turning
            parts += [part.flatten(-2) for part in torch.split(heard, dims, dim=-1)]
            used += mul
        return torch.cat([parts[path] for path in self.order], dim=-1)


class SteerableLayer(nn.Module):
    """One round of messages.

    Args:
        shape: the widths.
        before: features that come in besides scalars.
        after: those that come out.
        sh: harmonics of the ways.
    """

    def __init__(self, shape: Config, before: o3.Irreps, after: o3.Irreps, sh: o3.Irreps) -> None:
        super().__init__()
        width, message = shape.width, shape.message
        self.norm = nn.LayerNorm(width)
        self.receive = nn.Linear(width, message)
        self.send = nn.Linear(width, message, bias=False)
        self.measure = nn.Linear(EDGE, message, bias=False)
        self.carry = nn.Linear(width, shape.scalars, bias=False)
        self.product = Product(o3.Irreps(f"{shape.scalars}x0e") + before, sh)
        self.weigh = nn.Linear(message, self.product.channels, bias=False)
        heard = self.product.irreps
        self.scalars = heard.count("0e")
        self.one, self.other = (o3.Linear(heard + before, after) for _ in range(2))
        self.phi_h = nn.Sequential(
            nn.Linear(width + message + self.scalars + after.num_irreps, width), nn.SiLU(), nn.Linear(width, width)
        )
        dims = [ir.dim for mul, ir in after for _ in range(mul)]
        of = torch.arange(len(dims)).repeat_interleave(torch.tensor(dims))
        self.register_buffer("components", nn.functional.one_hot(of).T.float(), persistent=False)
        self.components: Tensor
        """``[features, after]`` 1 where a component is of that feature."""

    def forward(
        self, h: Tensor, f: Tensor, at: Tensor, share: Tensor, sh: Tensor, edge: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Of the ``m`` nodes only the first ``r`` receive messages.

        Args:
            h: ``[P, m, width]`` scalars.
            f: ``[P, m, before]`` what turns.
            at: ``[P, r, s]`` the senders.
            share: ``[P, r, s]`` how much each counts.
            sh: ``[P, r, s, sh]`` harmonics of the way to it.
            edge: ``[P, r, s, EDGE]`` functions of its distance.

        Returns:
            ``h [P, r, width]`` and ``f [P, r, after]``.
        """
        receivers = at.shape[1]
        row = torch.arange(len(at), device=at.device)[:, None, None]
        normed = self.norm(h)
        hidden = self.receive(normed[:, :receivers]).unsqueeze(2) + self.send(normed)[row, at] + self.measure(edge)
        message = nn.functional.silu(hidden) * share.unsqueeze(-1)
        sent = torch.cat([self.carry(normed), f], dim=-1)[row, at]
        heard = self.product(sent, sh, self.weigh(message))
        turning = torch.cat([heard, f[:, :receivers]], dim=-1)
        one, other = self._bounded(self.one(turning)), self._bounded(self.other(turning))
        angles = (one * other) @ self.components.T
        news = torch.cat([normed[:, :receivers], message.sum(dim=2), heard[..., : self.scalars], angles], dim=-1)
        return h[:, :receivers] + self.phi_h(news), one

    def _bounded(self, f: Tensor) -> Tensor:
        """``f [..., after]`` with every feature shorter than 1."""
        length = (f.square() @ self.components.T).clamp(min=1e-12).sqrt()
        return f * ((1 / (length + SOFT)) @ self.components)


class Policy(PatchPolicy):
    """Patch in, logits ``[P, k, moves]`` out."""

    config: Config

    def __init__(self, config: Config, *, features: int, moves: int) -> None:
        """``features`` and ``moves`` are the problem's."""
        super().__init__(config, features=features, moves=moves)
        self.harmonics = o3.SphericalHarmonics(harmonics(config), normalize=False, normalization="component")

    def layer(self, number: int) -> nn.Module:
        """Nothing turns that comes into the first, but for the normal of the plane where it is told."""
        config, sh = self.config, harmonics(self.config)
        after = o3.Irreps([(mul, ir) for mul, (_, ir) in zip((config.vectors, config.tensors), sh[1:], strict=False)])
        normal = o3.Irreps("" if config.parity else "1e")
        return SteerableLayer(config, after if number else normal, after, sh)

    def sight(self, problem: Problem, graph: Graph) -> PatchSight:
        """Patches of this policy's shape. Raises :class:`Unsupported` in more than three dimensions."""
        dim = graph.pos.shape[-1]
        if dim > SPACE:
            raise Unsupported(f"found points in {dim} dimensions, expected {SPACE} at most; use a model of kind local")
        return super().sight(problem, graph)

    def pass_messages(self, patch: Patch, h: Tensor, distance: Tensor, edge: Tensor) -> Tensor:
        """See :class:`PatchPolicy`."""
        dim = patch.pos.shape[-1]
        # In half precision features would not turn as exactly as distances stay the same.
        with torch.autocast(h.device.type, enabled=False):
            h = h.to(distance.dtype)
            at, share = self._senders(patch, distance)
            row = torch.arange(len(at), device=at.device)[:, None, None]
            pos = nn.functional.pad(patch.pos, (0, SPACE - dim))
            way = (pos[row, at] - pos.unsqueeze(2)).to(h.dtype)
            sh = self.harmonics(way / (distance.gather(2, at) + SOFT).unsqueeze(-1))
            edge = edge.gather(2, at.unsqueeze(-1).expand(-1, -1, -1, EDGE))
            f = h.new_zeros(*h.shape[:2], 0 if self.config.parity else SPACE)
            if dim < SPACE:
                f[..., -1:] = 1
            for number, layer in enumerate(self.layers, start=1):
                # What the last layer makes of the sight beyond the candidates, nobody reads.
                to = slice(CANDIDATES + self.config.candidates if number == len(self.layers) else None)
                h, f = layer(h, f, at[:, to], share[:, to], sh[:, to], edge[:, to])
        return h

    def _senders(self, patch: Patch, distance: Tensor) -> tuple[Tensor, Tensor]:
        """``[P, m, s]`` whom each node hears of, and ``[P, m, s]`` how much each of them counts: 1 together, or less.

        They are the current node, the anchor, and the nearest of the others. A node fades as it comes to be as far away
        as the first that is left out, so which of several equally distant ones is taken makes no difference.
        """
        m = distance.shape[1]
        itself = torch.eye(m, dtype=torch.bool, device=distance.device)
        away = distance.masked_fill(itself | ~patch.valid.unsqueeze(1), torch.inf)
        others = nn.functional.pad(away[:, :, CANDIDATES:], (0, 1), value=torch.inf)
        length, near = others.topk(min(self.config.nearest + 1, others.shape[2]), dim=2, largest=False)
        length, rim = length[..., :-1], length[..., -1:]
        fade = torch.where(length < rim, 1 - length / rim, 0.0)
        always = torch.tensor([CURRENT, ANCHOR], device=near.device).expand(*near.shape[:2], -1)
        at = torch.cat([always, (near[..., :-1] + CANDIDATES).clamp(max=m - 1)], dim=2)
        share = torch.cat([away[:, :, :CANDIDATES].isfinite().to(fade.dtype), fade], dim=2)
        return at, share / share.sum(dim=2, keepdim=True).clamp(min=1)
