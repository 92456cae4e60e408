"""The fragments policy: it looks at all ends of paths at once and gives a logit to each join of two near ones.

A logit says how likely the join is in the best completion; it is invariant under E(n) and scale, the same from either
end, and hangs on nothing inside the paths. Untrained, the policy is the multi-fragment heuristic (J. L. Bentley, "Fast
algorithms for geometric traveling salesman problems", 1992) with lengths in the ends' own units: shortest join first.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from l2o.models.ends import nearest
from l2o.models.patch import TIE, context_ranks, scale_of
from l2o.models.vectors import VectorEGNN
from l2o.problems.base import Graph
from l2o.problems.fragments import Fragments
from l2o.problems.instance import Unsupported

UNIT = 5
"""Nearest ends whose distances, in the geometric mean, are the unit of an end."""

REACH = 8.0
"""Units beyond which vectors saturate."""

FARTHEST = 100.0
"""Units beyond which distances saturate."""

MEASURES = 3
PAIR = 2 * 4 * MEASURES + 3
"""Invariant features of a pair of ends."""

PLANE = 2
"""Dimensions of maps whose raw coordinates are told."""


@dataclass(frozen=True)
class Config:
    """The shape of the network."""

    kind: str = "fragments"
    width: int = 64
    """Features per end."""
    message: int = 48
    """Features per message."""
    vectors: int = 8
    """Vectors per end."""
    depth: int = 5
    """Layers over the graph of ends."""
    candidates: int = 10
    """Nearest ends that an end may be joined with, ``c``."""
    context: int = 4
    """Further ends that are seen but cannot be chosen."""
    reach: int = 50
    """Rank of the furthest of them."""
    raw: bool = False
    """Whether ends are also told their raw coordinates in the plane, and those of the ways to others. It breaks the
    symmetry, for comparison only."""

    def __post_init__(self) -> None:
        for key in ("width", "message", "vectors", "depth", "candidates"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} is {getattr(self, key)}; it must be at least 1")
        if self.context < 0:
            raise ValueError(f"context is {self.context}; it must not be negative")


@dataclass(frozen=True)
class Ends:
    """``N`` ends of all instances in one graph.

    Each has ``s`` slots: candidates, further ends, the other end of the path, the depot.
    """

    node: Tensor
    """``[N]`` ``row * n + node`` number."""
    partner: Tensor
    """``[N, k]`` the candidates, numbered in the same way; where there is a depot, that is one more: going home."""
    allowed: Tensor
    """``[N, k]`` True = may be joined."""
    at: Tensor
    """``[N, s]`` place of each neighbour among the ends."""
    valid: Tensor
    """``[N, s]`` True where a slot is filled."""
    x: Tensor
    """``[N, features]`` whether alone, how far the other end is, how much is left; of loads, where there are some."""
    way: Tensor
    """``[N, s, dim]`` in units of the end, saturated."""
    pair: Tensor
    """``[N, s, pair]`` as seen from the end itself."""
    back: Tensor
    """``[N, c, pair]`` as seen from the candidate, the depot not included."""
    length: Tensor
    """``[N, c]`` of the join, in the units of both."""

    def __len__(self) -> int:
        return len(self.node)

    def __getitem__(self, rows: Tensor) -> Ends:
        """Those of some instances, ``rows [M]``, with all their neighbours."""
        some = {f.name: getattr(self, f.name)[rows] for f in fields(self)}
        place = torch.zeros(len(self), dtype=torch.int64, device=rows.device)
        place[rows] = torch.arange(len(rows), device=rows.device)
        return Ends(**some | {"at": place[some["at"]]})

    @classmethod
    def cat(cls, parts: list[Ends]) -> Ends:
        """One graph of several; their nodes keep their numbers."""
        joined = {f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)}
        before = torch.tensor([0, *(len(part) for part in parts[:-1])], device=joined["at"].device).cumsum(0)
        joined["at"] = torch.cat([part.at + shift for part, shift in zip(parts, before, strict=True)])
        return cls(**joined)


class Policy(nn.Module):
    """Ends in, logits ``[N, k]`` out."""

    def __init__(self, config: Config, *, features: int = 0, moves: int = 1) -> None:
        """``features`` and ``moves`` are the problem's."""
        super().__init__()
        self.config = config
        self.depot = moves > 1
        ranks = context_ranks(config.candidates, config.context, config.reach, torch.device("cpu"))
        self.register_buffer("ranks", ranks, persistent=False)
        self.ranks: Tensor
        kind = [0] * config.candidates + [1] * (len(ranks) - config.candidates) + [2, 3][: 1 + self.depot]
        # The slot after all that are near.
        self.other = len(ranks)
        self.register_buffer("kind", nn.functional.one_hot(torch.tensor(kind)).float(), persistent=False)
        self.kind: Tensor
        plane = PLANE if config.raw else 0
        pair = PAIR + self.depot + plane
        self.enter = nn.Linear(3 + 3 * self.depot + plane, config.width)
        self.tied = nn.Parameter(0.1 * torch.randn(config.vectors))
        self.layers = nn.ModuleList(
            VectorEGNN(config.width, config.message, config.vectors, pair + self.kind.shape[1])
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width)
        self.of_end = nn.Linear(config.width, config.width)
        self.of_partner = nn.Linear(config.width, config.width, bias=False)
        self.of_pair = nn.Linear(pair, config.width, bias=False)
        self.head = nn.Linear(config.width, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.sharpness = nn.Parameter(torch.tensor(1.0))
        self.home = nn.Linear(config.width, 1) if self.depot else None

    def look(self, graph: Graph, fragments: Fragments) -> Ends:
        """All there is to see of the partial solutions."""
        batch, n, dim = graph.pos.shape
        if self.config.raw and dim != PLANE:
            raise Unsupported(f"found points in {dim} dimensions, expected {PLANE}; use an invariant model")
        device = graph.pos.device
        k = self.config.candidates
        pos, ranks = graph.pos.reshape(-1, dim), self.ranks.to(device)
        start = (torch.arange(batch, device=device) * n).unsqueeze(1)
        open_ = fragments.open.to(device)
        gone = fragments.closed.to(device)
        # What has gone home is tied to the depot, wherever the path began.
        other = (fragments.other.to(device).masked_fill(gone, 0) + start).flatten()
        node = (open_ > 0).flatten().nonzero().squeeze(1)
        alone, closed = open_.flatten()[node] == 2, gone.flatten()[node]
        load = fragments.load.to(device)
        near, length = nearest(graph.pos, open_ > 0, other, node, load if self.depot else None, int(ranks[-1]) + 1)
        valid = length.isfinite()
        unit = scale_of(length[:, :UNIT], valid[:, :UNIT])
        near, valid = near[:, ranks], valid[:, ranks]
        near = torch.where(valid, near, node.unsqueeze(1))
        here = torch.arange(len(node), device=device)
        place = torch.zeros(batch * n, dtype=torch.int64, device=device)
        place[node] = here
        slots = torch.cat([near, other[node].unsqueeze(1)], dim=1)
        at = place[slots]
        valid = torch.cat([valid, ~(alone | closed).unsqueeze(1)], dim=1)
        partner, allowed = near[:, :k], valid[:, :k]
        if self.depot:
            home = (node - node % n).unsqueeze(1)
            # The depot is no end: what it says is what the end itself knows, seen from there.
            slots, at = torch.cat([slots, home], dim=1), torch.cat([at, here.unsqueeze(1)], dim=1)
            valid = nn.functional.pad(valid, (0, 1), value=True)
            partner = torch.cat([partner, home], dim=1)
            allowed = nn.functional.pad(allowed, (0, 1), value=True)

        begin, end = pos[node].unsqueeze(1), pos[slots]
        other_begin, other_end = pos[other[node]].unsqueeze(1), pos[other[slots]]
        way = end - begin
        # The two ends, and the two that they are tied to, as seen from either.
        straight, mine = way.norm(dim=-1), (end - other_begin).norm(dim=-1)
        theirs, across = (other_end - begin).norm(dim=-1), (other_end - other_begin).norm(dim=-1)
        unit_here, unit_there = unit.unsqueeze(1), unit[at]
        # Distances are as exact as the map; what the network is told of them, as exact as the network.
        dtype = self.head.weight.dtype
        own = torch.cat([measures((d / unit_here).to(dtype)) for d in (straight, mine, theirs, across)], dim=-1)
        its = torch.cat([measures((d / unit_there).to(dtype)) for d in (straight, theirs, mine, across)], dim=-1)
        ratio = (unit_there / unit_here).to(dtype).log().clamp(-4, 4).unsqueeze(-1)
        single = alone.to(dtype)
        flags = torch.stack([single.unsqueeze(1).expand_as(straight), single[at]], dim=-1)
        both = [(load.flatten()[node].unsqueeze(1) + load.flatten()[slots]).to(dtype).unsqueeze(-1)][: self.depot]
        size, its_size = straight / unit_here, straight / unit_there
        from_there = (-way * (REACH / its_size.clamp(min=REACH) / unit_there).unsqueeze(-1)).to(dtype)
        way = (way * (REACH / size.clamp(min=REACH) / unit_here).unsqueeze(-1)).to(dtype)
        forth, reverse = ([*both, way], [*both, from_there]) if self.config.raw else (both, both)
        pair = torch.cat([own, its, ratio, flags, *forth], dim=-1)
        back = torch.cat([its, own, -ratio, flags.flip(-1), *reverse], dim=-1)[:, :k]
        left = (open_ > 0).sum(dim=1).to(dtype)[node // n]
        tied = torch.where(alone, 0.0, torch.log1p(size[:, self.other].clamp(max=FARTHEST))).to(dtype)
        x = torch.stack([single, tied, left / (left + 10)], dim=-1)
        if self.depot:
            # Every path counts once, whether one of its ends is left or both.
            share = torch.where((open_ == 2) | gone, 1.0, 0.5) * (open_ > 0)
            rest = (load * share).sum(dim=1)[node // n]
            loads = torch.stack([load.flatten()[node], closed.double(), rest / (rest + 2)], dim=-1)
            x = torch.cat([x, loads.to(dtype)], dim=-1)
        if self.config.raw:
            x = torch.cat([x, pos[node].to(dtype)], dim=-1)
        length = (size + its_size)[:, :k].to(dtype)
        return Ends(node, partner, allowed, at, valid, x, way, pair, back, length)

    def ambiguous(self, graph: Graph, fragments: Fragments) -> Tensor:
        """``[B]`` True where an end that is seen is as far away as one that is not, which no symmetry keeps."""
        batch, n, _ = graph.pos.shape
        start = (torch.arange(batch, device=graph.pos.device) * n).unsqueeze(1)
        ends = fragments.open.to(graph.pos.device) > 0
        other = (fragments.other.masked_fill(fragments.closed, 0).to(graph.pos.device) + start).flatten()
        node = ends.flatten().nonzero().squeeze(1)
        k, ranks = self.config.candidates, self.ranks.tolist()
        load = fragments.load.to(graph.pos.device) if self.depot else None
        _, length = nearest(graph.pos, ends, other, node, load, ranks[-1] + 2)
        tied = length[:, 1:].isfinite() & (length.diff(dim=1) <= TIE * length[:, 1:])
        seen = torch.zeros(length.shape[1], dtype=torch.bool, device=length.device)
        seen[ranks] = True
        rim = seen.diff().logical_or(torch.arange(1, len(seen), device=length.device) == k)
        found = torch.zeros(batch, dtype=torch.bool, device=length.device)
        found[node[(tied & rim).any(dim=1)] // n] = True
        return found

    def forward(self, ends: Ends) -> Tensor:
        """Logits, ``-inf`` where not allowed."""
        way, pair, back = ends.way, ends.pair, ends.back
        k = back.shape[1]
        edge = torch.cat([pair, self.kind.to(pair.dtype).expand(len(pair), -1, -1)], dim=-1)
        h = self.enter(ends.x)
        # The first vectors point along the path to its other end.
        along = way[:, self.other] * ends.valid[:, self.other, None]
        v = self.tied.unsqueeze(-1) * along.unsqueeze(1)
        for layer in self.layers:
            h, v = layer(h, v, ends.at, ends.valid, way, edge)
        h = self.norm(h)
        first, second = self.of_end(h), self.of_partner(h)
        partner = ends.at[:, :k]
        # Once with the roles exchanged: a join is the same from either end.
        forth = first.unsqueeze(1) + second[partner] + self.of_pair(pair[:, :k])
        reverse = first[partner] + second.unsqueeze(1) + self.of_pair(back)
        logits = self.head(nn.functional.silu(forth) + nn.functional.silu(reverse)).squeeze(-1)
        prior = nn.functional.softplus(self.sharpness) * ends.length.clamp(max=FARTHEST)
        logits = logits - prior
        if self.home is not None:
            logits = torch.cat([logits, self.home(h).to(logits.dtype)], dim=1)
        result: Tensor = logits.masked_fill(~ends.allowed, -torch.inf)
        return result


def measures(distance: Tensor) -> Tensor:
    """``[..., 3]`` one ``distance [...]`` in units, as features that tell small from smaller and large from larger."""
    d = distance.clamp(max=FARTHEST)
    return torch.stack([torch.exp(-d), torch.log1p(d), torch.log(d + 0.02)], dim=-1)
