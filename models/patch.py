"""The patch: what the policy looks at in one state, in units of its own surroundings.

``m`` slots: the current node, the anchor, the ``k`` nearest nodes that may be visited next, and a few more distant ones
picked by rank as the sight beyond. Everything in it is invariant or equivariant under E(n), invariant under scale, and
bounded, so that no size or shape of instance leaves the range seen in training.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from l2o.problems.base import Graph, State, Ways
from l2o.problems.instance import Unsupported

CURRENT, ANCHOR, CANDIDATES = 0, 1, 2
"""Slots: the current node, the anchor, the first of the candidates."""

NEAR = 2.5
"""Radius, in units of the patch, up to which distances from the current node are true; beyond they saturate."""

GAPS = 3
"""How many of its nearest unvisited nodes each candidate is told of: one that stands alone is a detour later on, and
the patch by itself cannot tell it from one at its rim."""

TIE = 1e-7
"""Relative difference below which two distances tie."""

LARGE = 2000
"""Nodes above which neighbours are looked up in a k-d tree."""


@dataclass(frozen=True)
class Patch:
    """``P`` patches with ``m`` slots of which ``k`` are candidates."""

    node: Tensor
    """``[P, m]`` node numbers; arbitrary where not valid."""
    row: Tensor
    """``[P]`` instances."""
    valid: Tensor
    """``[P, m]`` True where a slot is filled."""
    pos: Tensor
    """``[P, m, dim]`` relative to the current node, normalised, saturated."""
    x: Tensor
    """``[P, m, features]`` the problem's scalars, how much is left, and how alone each candidate is."""
    legs: Tensor
    """``[P, k, moves]`` normalised length of each choice."""
    unit: Tensor
    """``[P]`` what is 1 in the patch, in units of the graph."""
    allowed: Tensor
    """``[P, k, moves]`` True = may be chosen."""

    @property
    def choices(self) -> Tensor:
        """``[P, k]`` the candidates."""
        return self.node[:, CANDIDATES : CANDIDATES + self.allowed.shape[1]]

    def __getitem__(self, rows: Tensor) -> Patch:
        return Patch(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def cat(cls, patches: list[Patch]) -> Patch:
        """Stack along the first axis."""
        return cls(**{f.name: torch.cat([getattr(p, f.name) for p in patches]) for f in fields(cls)})

    def __len__(self) -> int:
        return len(self.row)


class Neighbours:
    """Finds the nearest nodes still to be visited, exactly, whatever has been visited.

    ``order [B, n, K]`` lists the K nearest other nodes of each node, nearest first. Walking it costs K per state; those
    whose list holds too few unvisited nodes look at all nodes.
    """

    def __init__(self, graph: Graph, ranks: Tensor, sight: int, limit: int) -> None:
        """``ranks`` are the places in the list of unvisited nodes that are in the patch, ascending; gaps are measured
        to the ``sight`` nearest; ``limit`` bounds K.
        """
        self.graph, self.sight = graph, sight
        self.ranks = torch.tensor(sorted({*range(sight), *ranks.tolist()}), device=ranks.device)
        self.patch = torch.searchsorted(self.ranks, ranks)
        self.order = nearest(graph.pos, min(limit, graph.n - 1))
        self.slot = torch.full((int(self.ranks[-1]) + 2,), len(self.ranks), device=ranks.device)
        self.slot[self.ranks] = torch.arange(len(self.ranks), device=ranks.device)

    def __call__(self, state: State) -> tuple[Tensor, Tensor]:
        """``node [P, r]`` and ``valid``, of the unvisited nodes at the ranks ``ranks [r]`` by distance."""
        node, valid = self._pick(self.order[state.row, state.current], state)
        wanted = int((self.ranks < state.left).sum())
        if self.order.shape[-1] < self.graph.n - 1 and wanted:
            short = (~valid[:, wanted - 1]).nonzero().squeeze(1)
            if len(short):
                node[short], valid[short] = self._search(state, short)
        return node, valid

    def _pick(self, nearby: Tensor, state: State) -> tuple[Tensor, Tensor]:
        free = state.unvisited.gather(1, nearby)
        rank = (free.cumsum(dim=1) - 1).clamp(max=len(self.slot) - 1)
        trash = len(self.ranks)
        slot = torch.where(free, self.slot[rank], trash)
        node = nearby.new_full((len(nearby), trash + 1), -1).scatter_(1, slot, nearby)[:, :trash]
        valid = node >= 0
        return node.clamp(min=0), valid

    def _search(self, state: State, short: Tensor) -> tuple[Tensor, Tensor]:
        row, current = state.row[short], state.current[short]
        distance = (self.graph.pos[row] - self.graph.pos[row, current].unsqueeze(1)).square().sum(dim=-1)
        distance = distance.masked_fill(~state.unvisited[short], torch.inf)
        nearby = distance.topk(min(int(self.ranks[-1]) + 1, self.graph.n), dim=1, largest=False).indices
        return self._pick(nearby, state.at(short))


def nearest(pos: Tensor, count: int) -> Tensor:
    """``[B, n, count]`` the nearest other nodes, nearest first, of ``pos [B, n, dim]``, exactly."""
    if pos.device.type == "cpu" and pos.shape[1] > LARGE:
        return torch.stack([_nearest_by_tree(instance, count) for instance in pos])
    batch, n, _ = pos.shape
    order = torch.empty(batch, n, count, dtype=torch.int64, device=pos.device)
    step = max(1, 2**24 // (batch * n))
    for begin in range(0, n, step):
        part = pos[:, begin : begin + step]
        distance = torch.cdist(part, pos, compute_mode="donot_use_mm_for_euclid_dist")
        own = torch.arange(begin, begin + part.shape[1], device=pos.device)
        distance[:, own - begin, own] = torch.inf
        order[:, begin : begin + step] = distance.topk(count, dim=-1, largest=False).indices
    return order


def _nearest_by_tree(pos: Tensor, count: int) -> Tensor:
    """:func:`nearest` for one large instance, without looking at all pairs."""
    from scipy.spatial import cKDTree

    points = pos.numpy()
    _, found = cKDTree(points).query(points, k=count + 1, workers=torch.get_num_threads())
    order = torch.from_numpy(found)
    # The node itself is nearest, but for more duplicates than fit in the list, when any of them may be missing.
    own = order == torch.arange(len(pos)).unsqueeze(1)
    own[:, -1] |= ~own.any(dim=1)
    return order[~own].view(len(pos), count)


def context_ranks(candidates: int, context: int, reach: int, device: torch.device) -> Tensor:
    """Ranks of the patch's nodes: the ``candidates`` nearest, then ``context`` more, geometrically out to ``reach``."""
    beyond = candidates * (reach / candidates) ** (torch.arange(1, context + 1, dtype=torch.float64) / max(context, 1))
    return torch.tensor(sorted({*range(candidates), *(beyond.round().long() - 1).tolist()}), device=device)


class PatchSight:
    """Cuts the patch out of every state of one graph."""

    def __init__(
        self, ways: Ways, graph: Graph, *, candidates: int, context: int, reach: int, sight: int, raw: bool
    ) -> None:
        """See :class:`l2o.models.local.Config` for the settings."""
        if raw and graph.pos.shape[-1] != 2:
            raise Unsupported(f"found points in {graph.pos.shape[-1]} dimensions, expected 2; use an invariant model")
        self.ways, self.graph, self.candidates, self.raw = ways, graph, candidates, raw
        ranks = context_ranks(candidates, context, reach, graph.pos.device)
        self.neighbours = Neighbours(graph, ranks, sight=sight, limit=4 * max(reach, sight))

    def __call__(self, state: State) -> Patch:
        ways, graph, neighbours = self.ways, self.graph, self.neighbours
        near, known = neighbours(state)
        node = torch.cat([state.current.unsqueeze(1), state.anchor.unsqueeze(1), near[:, neighbours.patch]], dim=1)
        valid = torch.cat([torch.ones_like(known[:, :2]), known[:, neighbours.patch]], dim=1)
        first, last = CANDIDATES, CANDIDATES + self.candidates
        choice, fits = node[:, first:last], valid[:, first:last]

        place = graph.pos[state.row.unsqueeze(1), node]
        around = graph.pos[state.row.unsqueeze(1), near[:, : neighbours.sight]]
        gaps = gaps_of(place[:, first:last], around, known[:, : neighbours.sight])
        pos = place - place[:, :1]
        length = pos.square().sum(dim=-1, keepdim=True).sqrt()
        scale = scale_of(length[:, first:last, 0], fits)
        unit = scale[:, None, None]
        pos, length = pos / unit, length / unit
        beyond = (length / NEAR).clamp(min=1).square()
        pos = pos * torch.where(length > NEAR, NEAR * 2 * beyond / (beyond + 1) / length.clamp(min=NEAR), 1.0)

        left = length.new_full((len(node), node.shape[1], 1), state.left / (state.left + 10))
        company = nn.functional.pad(1 / (1 + gaps / unit), (0, 0, first, node.shape[1] - last))
        features = [ways.node_features(graph, state, node), left, company]
        x = torch.cat([*features, place, pos] if self.raw else features, dim=-1)
        x = x * valid.unsqueeze(-1)
        allowed = ways.allowed(graph, state, choice) & fits.unsqueeze(-1)
        legs = ways.legs(graph, state, choice) / unit
        return Patch(node, state.row, valid, pos * valid.unsqueeze(-1), x, legs, scale, allowed)

    def ambiguous(self, state: State) -> Tensor:
        """``[P]`` True where a node of the patch, or of the sight, is as far away as one that is not in it."""
        distance = (self.graph.pos[state.row] - self.graph.pos[state.row, state.current].unsqueeze(1)).square().sum(-1)
        distance = distance.sqrt().masked_fill(~state.unvisited, torch.inf).sort(dim=1).values[:, : state.left]
        near = distance[:, 1:] - distance[:, :-1] <= TIE * distance[:, 1:]
        tied = torch.zeros_like(state.row, dtype=torch.bool)
        for ranks in (self.neighbours.ranks[self.neighbours.patch], torch.arange(self.neighbours.sight)):
            inside = torch.zeros(state.left, dtype=torch.bool, device=distance.device)
            inside[ranks[ranks < state.left]] = True
            tied |= (near & (inside[1:] != inside[:-1])).any(dim=1)
        return tied


def gaps_of(candidate: Tensor, around: Tensor, valid: Tensor) -> Tensor:
    """``[P, k, GAPS]`` distances from ``candidate [P, k, dim]`` to the nearest of ``around [P, s, dim]`` that are
    ``valid [P, s]``, infinite where there are none; the first ``k`` of these are the candidates themselves.
    """
    distance = torch.cdist(candidate, around, compute_mode="donot_use_mm_for_euclid_dist")
    distance.masked_fill_(~valid.unsqueeze(1), torch.inf)
    distance.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    return distance.topk(GAPS, dim=-1, largest=False).values


def scale_of(length: Tensor, valid: Tensor) -> Tensor:
    """``[P]`` the patch's unit: geometric mean of the candidates' distances ``[P, k]``.

    A geometric mean keeps near nodes apart where some candidates are far (clusters); each distance counts at least as a
    fiftieth of the largest, which bounds the effect of duplicates.
    """
    length = torch.where(valid, length, 0.0)
    largest = length.amax(dim=1, keepdim=True)
    largest = torch.where(largest > 0, largest, torch.ones_like(largest))
    logs = torch.where(valid, length.clamp(min=0).maximum(largest / 50).log(), torch.zeros_like(length))
    return (logs.sum(dim=1) / valid.sum(dim=1).clamp(min=1)).exp()
