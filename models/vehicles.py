"""The policy for fleets: each vehicle looks at its own patch, all exchange messages, each bids for its candidates.

A choice is a pair of a vehicle and a node. Logits are invariant under E(n) and scale, permute with the vehicles and
with the nodes, and hang on the tail alone. What a vehicle knows is what is near it and what the others tell: where they
stand, how far they may go before theirs is the longest route, and, round by round, what they have made of it.
Untrained, the policy is soft list scheduling: the vehicle that has come the least far goes to a near node.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from l2o.models import base, local
from l2o.models.egnn import EGNN
from l2o.models.patch import CURRENT, Patch, PatchSight
from l2o.models.patch_policy import FARTHEST, Shape
from l2o.problems.base import Graph, Problem, State

PLACE = 4
"""What a vehicle is told of every node of its patch, see :meth:`FleetSight.places`."""
VEHICLE = 10
"""What all are told of every vehicle, see :meth:`FleetSight.vehicles`."""
FAR = 10.0
"""Legs that make up a long way; lengths are told in units of a leg, and of so many."""


@dataclass(frozen=True)
class Config(Shape):
    """The shape of the network: of each vehicle's look at its patch, and of the talk."""

    kind: str = "vehicles"
    width: int = 32
    message: int = 16
    candidates: int = 6
    context: int = 4
    reach: int = 40
    sight: int = 16
    rounds: int = 2
    """EGNN layers over the fleet: how often all vehicles hear all others."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rounds < 0:
            raise ValueError(f"rounds is {self.rounds}; it must not be negative")

    def look(self) -> local.Config:
        """Of one vehicle's look at its patch."""
        return local.Config(**{f.name: getattr(self, f.name) for f in fields(Shape)})


@dataclass(frozen=True)
class FleetView:
    """What ``V`` vehicles see in each of ``P`` states."""

    row: Tensor
    """``[P]`` instances."""
    patch: Patch
    """``P * V`` patches, those of a state one after the other, with what a vehicle is told of each node in front."""
    vehicle: Tensor
    """``[P, V, VEHICLE]`` what all are told of each."""
    place: Tensor
    """``[P, V, dim]`` where they stand, in legs."""
    start: Tensor
    """``[P, V]`` by how many legs each has come further than the last."""
    ahead: Tensor
    """``[P, V, k]`` how many legs it would go on to each of its candidates."""
    present: Tensor
    """``[P, V]`` True for the vehicles that there are."""

    @property
    def choices(self) -> Tensor:
        """``[P, V * k]`` the candidates, vehicle by vehicle."""
        return self.patch.choices.reshape(len(self), -1)

    @property
    def allowed(self) -> Tensor:
        """``[P, V * k, V]`` each candidate by its own vehicle."""
        count, fleet = self.present.shape
        near = self.patch.allowed.view(count, fleet, -1, 1) & self.present[:, :, None, None]
        own = torch.eye(fleet, dtype=torch.bool, device=near.device).unsqueeze(1)
        return (near & own).flatten(1, 2)

    def __getitem__(self, rows: Tensor) -> FleetView:
        fleet = self.present.shape[1]
        patches = (rows.unsqueeze(1) * fleet + torch.arange(fleet, device=rows.device)).flatten()
        return FleetView(
            **{f.name: getattr(self, f.name)[patches if f.name == "patch" else rows] for f in fields(self)}
        )

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def cat(cls, views: list[FleetView]) -> FleetView:
        """Stack along the first axis."""
        patch = Patch.cat([view.patch for view in views])
        rest = {f.name: torch.cat([getattr(v, f.name) for v in views]) for f in fields(cls) if f.name != "patch"}
        return cls(patch=patch, **rest)


class Alone:
    """How a vehicle can go on as far as it knows by itself: straight to any node."""

    def allowed(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """Every unvisited node."""
        return torch.ones(*node.shape, 1, dtype=torch.bool, device=node.device)

    def legs(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """The straight way."""
        return graph.distance(state.row.unsqueeze(1), state.current.unsqueeze(1), node).unsqueeze(-1)

    def node_features(self, graph: Graph, state: State, node: Tensor) -> Tensor:
        """None."""
        return graph.pos.new_empty(*node.shape, 0)


@dataclass(frozen=True)
class Told:
    """What ``V`` vehicles tell each other of themselves before any network has looked, in units of the graph."""

    present: Tensor
    """``[P, V]`` True for the vehicles that there are."""
    place: Tensor
    """``[P, V, dim]`` where each stands."""
    home: Tensor
    """``[P, V]`` how far that is from the depot."""
    room: Tensor
    """``[P, V]`` how much longer its route may become before it is the longest."""
    start: Tensor
    """``[P, V]`` how much further than the last it has come."""
    unit: Tensor
    """``[P, V]`` what is 1 in its patch."""

    @property
    def leg(self) -> Tensor:
        """``[P]`` the length of a leg: the geometric mean of the units."""
        return (self.unit.log() * self.present).sum(dim=1).div(self.present.sum(dim=1)).exp()


class FleetSight:
    """Cuts the patches of all vehicles out of every state of one graph."""

    def __init__(self, problem: Problem, graph: Graph, config: local.Config) -> None:
        self.problem, self.graph = problem, graph
        self.sight = PatchSight(
            Alone(),
            graph,
            candidates=config.candidates,
            context=config.context,
            reach=config.reach,
            sight=config.sight,
            raw=False,
        )

    def __call__(self, state: State) -> FleetView:
        patch = self.sight(each(state))
        told = self.told(state, patch)
        node = patch.node.view(len(state.row), -1)
        features = self.problem.node_features(self.graph, state, node).view(*patch.node.shape, -1)
        x = torch.cat([self.places(state, patch, told), features], dim=-1) * patch.valid.unsqueeze(-1)
        leg = told.leg.unsqueeze(1)
        return FleetView(
            row=state.row,
            patch=replace(patch, x=torch.cat([x, patch.x], dim=-1)),
            vehicle=self.vehicles(state, told),
            place=told.place / leg.unsqueeze(2),
            start=told.start / leg,
            ahead=(patch.legs.squeeze(-1) * patch.unit.unsqueeze(1)).view(*told.start.shape, -1) / leg.unsqueeze(2),
            present=told.present,
        )

    def told(self, state: State, patch: Patch) -> Told:
        """Of each vehicle what it can say without the others, but for the length of the longest route."""
        graph, row = self.graph, state.row.unsqueeze(1)
        present = graph.present(state.row, state.current.shape[1])
        home = graph.distance(row, state.current, state.anchor.unsqueeze(1))
        room = state.load.to(home.dtype)
        # The longest route less what a vehicle may add to its own, and less its way home, is how far it has come.
        come = -(room + home)
        return Told(
            present=present,
            place=graph.pos[row, state.current],
            home=home,
            room=room,
            start=come - come.masked_fill(~present, torch.inf).amin(dim=1, keepdim=True),
            unit=patch.unit.view(home.shape),
        )

    def places(self, state: State, patch: Patch, told: Told) -> Tensor:
        """``[P * V, m, PLACE]`` of each node: how much further from the depot it is, how far this vehicle could go on
        from there before its route is the longest, how near another vehicle is, and how much later than this one any
        other could be there."""
        graph, (count, fleet) = self.graph, state.current.shape
        row, node = state.row.unsqueeze(1), patch.node.view(count, -1)
        away = torch.cdist(graph.pos[row, node], told.place, compute_mode="donot_use_mm_for_euclid_dist")
        away = away.view(count, fleet, -1, fleet)
        own = away.diagonal(dim1=1, dim2=3).mT
        further = graph.distance(row, node, state.anchor.unsqueeze(1)).view(own.shape) - told.home.unsqueeze(2)
        itself = torch.eye(fleet, dtype=torch.bool, device=node.device).unsqueeze(1)
        nobody = itself | ~told.present[:, None, None]
        rival = away.masked_fill(nobody, torch.inf).amin(dim=3)
        later = (away + told.start[:, None, None]).masked_fill(nobody, torch.inf).amin(dim=3)
        later = later - own - told.start.unsqueeze(2)
        known = torch.stack([further, told.room.unsqueeze(2) - own - further, rival, later], dim=-1)
        return squash(known.flatten(0, 1) / patch.unit[:, None, None])

    def vehicles(self, state: State, told: Told) -> Tensor:
        """``[P, V, VEHICLE]`` of each vehicle: how far it may go before its route is the longest, how far it is from
        home, and how much further than the last it has come, each in legs and in ten; how thinly nodes lie around it;
        and, the same for all, how many nodes are left for each vehicle, how many vehicles there are, and how far each
        may go on average."""
        leg, number = told.leg.unsqueeze(1), told.present.sum(dim=1, keepdim=True)
        mean = (told.room * told.present).sum(dim=1, keepdim=True) / number
        lengths = [length / leg / scale for length in (told.room, told.home, told.start) for scale in (1.0, FAR)]
        shared = [state.left / number / FAR, number, mean / leg / FAR]
        known = [*lengths, (told.unit / leg).log(), *(value.expand_as(told.home) for value in shared)]
        return squash(torch.stack(known, dim=-1))

    def ambiguous(self, state: State) -> Tensor:
        """``[P]`` True where a node of any patch is as far away as one that is not in it."""
        return self.sight.ambiguous(each(state)).view(state.current.shape).any(dim=1)


def each(state: State) -> State:
    """``P * V`` states: what is left as each vehicle would see it by itself."""
    fleet = state.current.shape[1]
    row, anchor, unvisited = (t.repeat_interleave(fleet, dim=0) for t in (state.row, state.anchor, state.unvisited))
    return State(row, state.current.flatten(), anchor, unvisited, state.left, state.load.flatten())


def squash(x: Tensor) -> Tensor:
    """Into [-1, 1], as ``x`` itself where that is small; infinity becomes 1."""
    return x.sign() * (1 - 1 / (1 + x.abs()))


class Policy(base.Policy[FleetView]):
    """What all vehicles see in, logits ``[P, V * k, V]`` out: a candidate may be chosen for its own vehicle alone."""

    fleet = True

    def __init__(self, config: Config, *, features: int, moves: int) -> None:
        """``features`` and ``moves`` are the problem's; there must be one way to a node for each vehicle."""
        assert moves == 1
        super().__init__()
        self.config = config
        self.encoder = None
        self.look = local.Policy(config.look(), features=PLACE + features, moves=moves)
        self.enter = nn.Linear(VEHICLE, config.width)
        self.rounds = nn.ModuleList(
            EGNN(config.width, config.message, 2, coordinates=False) for _ in range(config.rounds)
        )
        self.norm = nn.LayerNorm(config.width)
        # The same routes can be built in many orders; that the last one goes next, as a rule, leaves fewer of them.
        self.haste = nn.Parameter(torch.tensor(8.0))

    def sight(self, problem: Problem, graph: Graph) -> FleetSight:
        """Patches of this policy's shape."""
        return FleetSight(problem, graph, self.config.look())

    def forward(self, view: FleetView, memory: Tensor | None = None) -> Tensor:
        """Logits, ``-inf`` where not allowed."""
        count, fleet = view.present.shape
        h = self.look.read(view.patch)
        dtype = h.dtype
        distance = torch.cdist(view.place, view.place, compute_mode="donot_use_mm_for_euclid_dist").to(dtype)
        edge = torch.stack([torch.exp(-distance), torch.exp(-distance / FAR)], dim=-1)
        vehicle = h[:, CURRENT].view(count, fleet, -1) + self.enter(view.vehicle.to(dtype))
        for layer in self.rounds:
            vehicle, _ = layer(vehicle, view.place, view.present, edge, length=distance.log1p())
        logits = self.look.judge(h, self.norm(vehicle).flatten(0, 1)).view(count, fleet, -1)
        bids = (logits - self.lateness(view).to(logits.dtype)).flatten(1, 2)
        return torch.where(view.allowed, bids.unsqueeze(-1), -torch.inf)

    def lateness(self, view: FleetView) -> Tensor:
        """``[P, V, k]`` how far each vehicle has come and how far each of its candidates is, in legs, each weighted,
        less the least that there is of it; bounded as in :mod:`l2o.models.local`."""
        count, fleet = view.present.shape
        sharpness, haste = nn.functional.softplus(self.look.sharpness), nn.functional.softplus(self.haste)
        late = sharpness * view.ahead + haste * view.start.unsqueeze(2)
        allowed = view.patch.allowed.view(count, fleet, -1) & view.present.unsqueeze(2)
        least = late.masked_fill(~allowed, torch.inf).amin(dim=(1, 2), keepdim=True)
        return (late - least).clamp(max=FARTHEST)
