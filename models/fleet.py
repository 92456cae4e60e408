"""Agents that compute locally and are equivariant globally: turn the whole system, and all that they do turns with it.

Source: E. van der Pol, H. van Hoof, F. Oliehoek, M. Welling, "Multi-agent MDP homomorphic networks", ICLR 2022. A turn
of the whole system turns what every agent sees and the offsets between agents, and puts agents in each other's places.
Policies are equivariant under it if all agents have the same network, if its encoder of what is seen is equivariant,
and so are messages, in the direct sum of offset and feature: ``K_g m(x_j - x_i, f_j) = m(U_g (x_j - x_i), L_g f_j)``.

What an agent computes needs its own observation and the features of those it hears: :mod:`l2o.models.fleet_member`.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Generator, Tensor, nn

from l2o.models.homomorphic import Brightest
from l2o.models.symmetrizer import Conv2d, Linear, Representation, cyclic, quarter_turns

Sight = dict[str, Tensor]
"""See :data:`l2o.problems.fleet.Sight`, with a batch ``B`` for ``N``."""
VECTOR = Representation(
    torch.stack([torch.linalg.matrix_power(torch.tensor([[0, -1], [1, 0]]).double(), g) for g in range(4)])
)
"""What quarter turns to the left do to rows and columns."""
EYE, HIDDEN = (16, 32), (64, 64)
"""Widths, in numbers: of the two convolutions and the two rounds of messages without symmetry."""


class FleetSymmetry:
    """What quarter turns of the whole system do to what is seen and to actions."""

    order = 4

    def __init__(self, side: int, agents: Representation, act: Representation) -> None:
        """``side`` of images in pixels; ``agents`` says who comes into whose place, ``act`` what becomes of actions."""
        self.agents, self.act = agents, act
        # Rows of permutation matrices say where an entry is from, columns where it goes to.
        self._pixel, self._agent = (rep.matrices.argmax(dim=2) for rep in (quarter_turns(side), agents))
        self._action = act.matrices.argmax(dim=1)

    def seen(self, element: Tensor, seen: Sight) -> Sight:
        """What is seen after the group elements ``[B]``."""
        batch = torch.arange(len(element))
        agent = self._agent[element]
        image = seen["image"][batch.unsqueeze(1), agent]
        pixel = self._pixel[element][:, None, None].expand(*image.shape[:3], -1)
        pair = (batch[:, None, None], agent.unsqueeze(2), agent.unsqueeze(1))
        vector = VECTOR.matrices.to(image.dtype)[element]
        return {
            "image": image.flatten(3).gather(3, pixel).view_as(image),
            "offset": torch.einsum("bxy,bijy->bijx", vector, seen["offset"][pair]),
            "heard": seen["heard"][pair],
        }

    def acted(self, element: Tensor, actions: Tensor) -> Tensor:
        """``actions [B, A]`` after the group elements ``[B]``."""
        moved = actions.gather(1, self._agent[element])
        return self._action[element.unsqueeze(1), moved]


class Round(nn.Module):
    """Every agent takes in what those it hears have told it.

    A linear map of the direct sum of an offset and a feature is one of each, added.
    """

    def __init__(self, layer: Any, vector: Representation, group: Representation, channels: tuple[int, int]) -> None:
        """``layer(inputs, outputs, channels)`` makes linear maps; ``channels`` of ``group`` come in and go out."""
        super().__init__()
        into, out = channels
        self.where = layer(vector, group, (1, out), bias=False)
        self.what = layer(group, group, (into, out))
        self.keep = layer(group, group, (into, out))
        self.take = layer(group, group, (out, out), bias=False)

    def forward(self, own: Tensor, told: Tensor, offset: Tensor, heard: Tensor) -> Tensor:
        """Features ``own [..., d]`` of agents, ``told [..., k, d]`` by others ``offset [..., k, 2]`` away, of whom only
        those ``heard [..., k]`` count, to features ``[..., d']``."""
        message = (self.where(offset) + self.what(told)).relu()
        total = (message * heard.unsqueeze(-1)).sum(dim=-2)
        features: Tensor = (self.keep(own) + self.take(total)).relu()
        return features


class Fleet(nn.Module):
    """One network for all agents: what is seen in, logits ``[B, A, actions]`` and values ``[B]`` of the team out."""

    def __init__(self, kind: str, generator: Generator, *, channels: int, act: Representation) -> None:
        """Images have so many ``channels``; ``act`` is what turns do to the actions of one agent.

        ``kind`` is one of :data:`l2o.models.homomorphic.KINDS`. All have the same layers; ``plain`` has the group of
        one element, under which everything is equivariant. Channels are one over the root of the order as many.
        """
        super().__init__()
        plain = kind == "plain"
        turns = Representation.trivial(1) if plain else cyclic(4)
        group, one = turns.regular(), Representation.trivial(turns.order)
        first, second, *hidden = (math.floor(width / math.sqrt(turns.order)) for width in EYE + HIDDEN)
        made: dict[str, Any] = {"kind": "equivariant" if plain else kind, "generator": generator}
        layer: Any = partial(Linear, **made)

        def under(rep: Representation) -> Representation:
            return Representation(rep.matrices[: turns.order])

        self.eye = nn.Sequential(
            Conv2d(one, group, (channels, first), under(quarter_turns(7)), stride=2, **made), nn.ReLU(),
            Conv2d(group, group, (first, second), under(quarter_turns(5)), **made), nn.ReLU(), Brightest(),
        )  # fmt: skip
        self.rounds = nn.ModuleList(Round(layer, under(VECTOR), group, pair) for pair in pairwise([second, *hidden]))
        self.policy, self.value = layer(group, under(act), (hidden[-1], 1)), layer(group, one, (hidden[-1], 1))
        with torch.no_grad():  # all actions about equally likely at first
            for parameter in (*self.policy.parameters(), *self.value.parameters()):
                parameter.mul_(0.01)

    def forward(self, seen: Sight) -> tuple[Tensor, Tensor]:
        """All agents at once."""
        image = seen["image"]
        features = self.eye(image.flatten(0, 1)).unflatten(0, image.shape[:2])
        for listen in self.rounds:
            features = listen(features, features.unsqueeze(1), seen["offset"], seen["heard"])
        return self.policy(features), self.value(features)[..., 0].mean(dim=1)


def wildlife_symmetry(drones: int = 3, side: int = 21) -> FleetSymmetry:
    """Drones stay who they are, wherever they come to be; the directions of the compass follow each other."""
    same = Representation.of_permutations([list(range(drones))] * 4)
    return FleetSymmetry(side, same, cyclic(4) + Representation.trivial(4))


def traffic_symmetry() -> FleetSymmetry:
    """Junctions come into each other's places, rows are columns."""
    return FleetSymmetry(21, cyclic(4), Representation.of_permutations([(0, 1), (1, 0)] * 2))


def wildlife(kind: str, generator: Generator) -> Fleet:
    """For any number of :class:`l2o.problems.wildlife.Drones`."""
    return Fleet(kind, generator, channels=1, act=wildlife_symmetry().act)


def traffic(kind: str, generator: Generator) -> Fleet:
    """For :class:`l2o.problems.traffic.Junctions`."""
    return Fleet(kind, generator, channels=3, act=traffic_symmetry().act)
