"""The attention model, the field's standard: coordinates in, encode once, attend to what is left at every decision.

Kool, van Hoof & Welling (2019), "Attention, learn to solve routing problems!", with the decoder of Kwon et al. (2020),
"POMO", which asks for the first and the last node instead of the mean of all. It is here to compare with: it sees raw
coordinates, and what it has learned of one position of a map it must learn again for the others. With
``encoder = "egnn"`` the encoder is the invariant one of :mod:`l2o.models.encoder`; as its features do not say where a
node lies, the decoder is told distances besides, and the rest is the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from l2o.models import base
from l2o.problems.base import Graph, Problem, State
from l2o.problems.instance import Unsupported


@dataclass(frozen=True)
class Config:
    """The shape of the network; defaults are those of the attention model."""

    kind: str = "attention"
    encoder: str = "attention"
    """``attention`` over all pairs of nodes, or ``egnn`` over a k-NN graph."""
    width: int = 128
    """Features per node."""
    heads: int = 8
    """Heads of each attention."""
    depth: int = 3
    """Layers of the encoder."""
    hidden: int = 512
    """Width inside a layer's feed-forward part (``attention``), or of the messages (``egnn``)."""
    neighbours: int = 10
    """Neighbours of a node in the graph of ``egnn``."""
    clip: float = 10.0
    """Largest logit: the last scores pass through ``clip tanh``."""

    def __post_init__(self) -> None:
        if self.encoder not in ("attention", "egnn"):
            raise ValueError(f"encoder is {self.encoder!r}; it must be 'attention' or 'egnn'")
        for key in ("width", "heads", "depth", "hidden", "neighbours"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} is {getattr(self, key)}; it must be at least 1")
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}; it must be a multiple of heads, {self.heads}")


@dataclass(frozen=True)
class AllNodes:
    """``P`` states seen whole: every node is a choice, those visited are not allowed."""

    row: Tensor
    current: Tensor
    """``[P]``"""
    anchor: Tensor
    """``[P]``"""
    load: Tensor
    """``[P]`` capacity left."""
    allowed: Tensor
    """``[P, n, moves]``"""

    @property
    def choices(self) -> Tensor:
        """``[P, n]`` the nodes by number."""
        return torch.arange(self.allowed.shape[1], device=self.row.device).expand(self.allowed.shape[:2])

    def __getitem__(self, rows: Tensor) -> AllNodes:
        return AllNodes(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def cat(cls, views: list[AllNodes]) -> AllNodes:
        """Stack along the first axis."""
        return cls(**{f.name: torch.cat([getattr(v, f.name) for v in views]) for f in fields(cls)})


class WholeSight:
    """Sees all nodes of every state of one graph."""

    def __init__(self, problem: Problem, graph: Graph) -> None:
        self.problem, self.graph = problem, graph
        self.nodes = torch.arange(graph.n, device=graph.pos.device)

    def __call__(self, state: State) -> AllNodes:
        nodes = self.nodes.expand(len(state.row), -1)
        allowed = self.problem.allowed(self.graph, state, nodes) & state.unvisited.unsqueeze(-1)
        return AllNodes(state.row, state.current, state.anchor, state.load, allowed)

    def ambiguous(self, state: State) -> Tensor:
        """Never: all nodes are seen."""
        return torch.zeros_like(state.row, dtype=torch.bool)


class Policy(base.Policy[AllNodes]):
    """All nodes in, logits ``[P, n, moves]`` out."""

    encoder: nn.Module

    def __init__(self, config: Config, *, features: int, moves: int) -> None:
        super().__init__()
        self.config, self.moves = config, moves
        width = config.width
        self.encoder = Encoder(config)
        self.of_first = nn.Linear(width, width, bias=False)
        self.of_last = nn.Linear(width + 1, width, bias=False)
        self.combine = nn.Linear(width, moves * width)
        self.legs = Legs(config.hidden, moves) if config.encoder == "egnn" else None

    def sight(self, problem: Problem, graph: Graph) -> WholeSight:
        """Everything."""
        return WholeSight(problem, graph)

    def forward(self, view: AllNodes, memory: Tensor | None = None) -> Tensor:
        """Logits, ``-inf`` where not allowed."""
        assert memory is not None, "this policy sees nodes through its encoder alone"
        heads, width = self.config.heads, self.config.width
        group, place = grouped(view.row)
        nodes, keys, values, pos = memory[group].tensor_split([width, 2 * width, 3 * width], dim=-1)
        allowed = torch.ones(*place.shape, *view.allowed.shape[1:], dtype=torch.bool, device=place.device)
        filled = place >= 0
        allowed[filled] = view.allowed[place[filled]]
        index = place.clamp(min=0)
        instance = torch.arange(len(group), device=index.device).unsqueeze(1)
        first, last = nodes[instance, view.anchor[index]], nodes[instance, view.current[index]]
        load = view.load[index].to(nodes.dtype).unsqueeze(-1)
        query = self.of_first(first) + self.of_last(torch.cat([last, load], dim=-1))
        glimpse = nn.functional.scaled_dot_product_attention(
            split(query, heads), split(keys, heads), split(values, heads), allowed.any(dim=-1).unsqueeze(1)
        )
        asked = self.combine(glimpse.transpose(1, 2).flatten(2)).view(*place.shape, self.moves, width)
        scores = torch.einsum("gcmw,gnw->gcnm", asked, nodes) / math.sqrt(width)
        scores = self.config.clip * torch.tanh(scores.float()).to(scores.dtype)
        if self.legs is not None:
            scores = scores + self.legs(pos, pos[instance, view.current[index]], pos[instance, view.anchor[index]])
        logits = torch.where(allowed, scores, -torch.inf)
        result = logits.new_empty(view.allowed.shape)
        return result.index_put((place[filled],), logits[filled])


def split(h: Tensor, heads: int) -> Tensor:
    """``[G, heads, C, width / heads]`` from ``[G, C, width]``."""
    return h.reshape(*h.shape[:2], heads, -1).transpose(1, 2)


def grouped(row: Tensor) -> tuple[Tensor, Tensor]:
    """The instances ``[G]`` that occur in ``row [P]``, and ``place [G, C]``, where they do; padded with -1.

    States of one instance share its keys and values, which are large: none is copied for each state.
    """
    group, of, counts = torch.unique(row, return_inverse=True, return_counts=True)
    order = of.argsort(stable=True)
    column = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[of[order]]
    place = row.new_full((len(group), int(counts.max())), -1)
    place[of[order], column] = order
    return group, place


class Legs(nn.Module):
    """What distances alone say of the next node; untrained, that the nearest is best."""

    def __init__(self, hidden: int, moves: int) -> None:
        super().__init__()
        last = nn.Linear(hidden, moves)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(nn.Linear(3, hidden), nn.SiLU(), last)
        self.sharpness = nn.Parameter(torch.tensor(1.0))

    def forward(self, pos: Tensor, here: Tensor, goal: Tensor) -> Tensor:
        """``[G, C, n, moves]`` from ``pos [G, n, dim]``, and where one stands and must end, ``[G, C, dim]`` each."""
        ways = [torch.cdist(spot, pos, compute_mode="donot_use_mm_for_euclid_dist") for spot in (here, goal)]
        between = (here - goal).norm(dim=-1, keepdim=True).expand_as(ways[0])
        # Neighbours in a map of unit radius are about 1 / sqrt(n) apart.
        told = torch.stack([*ways, between], dim=-1) * pos.shape[1] ** 0.5
        found: Tensor = self.network(told.log1p()) - nn.functional.softplus(self.sharpness) * told[..., :1]
        return found


class Encoder(nn.Module):
    """Nodes, and what the decoder's first attention asks of them: ``[B, n, 3 width]``; ``egnn`` adds coordinates."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.egnn: nn.Module | None = None
        self.layers = nn.ModuleList()
        if config.encoder == "egnn":
            # Imported where it is wanted: PyG takes long to load.
            from l2o.models.encoder import InstanceEncoder

            self.egnn = InstanceEncoder(config.width, config.hidden, config.depth, config.neighbours)
        else:
            self.enter = nn.Linear(3, config.width)
            self.layers.extend(Layer(config) for _ in range(config.depth))
        self.leave = nn.Linear(config.width, 2 * config.width, bias=False)

    def forward(self, graph: Graph) -> Tensor:
        """Coordinates (normalised, two of them) and demands are what ``attention`` sees; ``egnn`` sees distances."""
        if self.egnn is not None:
            h = self.egnn(graph)
            return torch.cat([h, self.leave(h), graph.pos.to(h.dtype)], dim=-1)
        if graph.pos.shape[-1] != 2:
            raise Unsupported(
                f"found points in {graph.pos.shape[-1]} dimensions, expected 2; use a model of kind local"
            )
        h = self.enter(torch.cat([graph.pos, graph.demand.unsqueeze(-1)], dim=-1).to(self.enter.weight.dtype))
        for layer in self.layers:
            h = layer(h)
        return torch.cat([h, self.leave(h)], dim=-1)


class Layer(nn.Module):
    """Attention over all nodes and a feed-forward part, each with a residual and normalised over the instance."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.ask = nn.Linear(width, 3 * width, bias=False)
        self.combine = nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, config.hidden), nn.ReLU(), nn.Linear(config.hidden, width))
        self.norms = nn.ModuleList(nn.InstanceNorm1d(width, affine=True) for _ in range(2))

    def forward(self, h: Tensor) -> Tensor:
        """``[B, n, width]`` both ways."""
        query, key, value = (split(part, self.heads) for part in self.ask(h).chunk(3, dim=-1))
        mixed = nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        h = self.norms[0]((h + self.combine(mixed)).transpose(1, 2)).transpose(1, 2)
        normed: Tensor = self.norms[1]((h + self.feed(h)).transpose(1, 2))
        return normed.transpose(1, 2)
