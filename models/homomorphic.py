"""Actor-critic networks that respect the symmetries of a decision process, and those without to compare with.

Source: E. van der Pol and others, "MDP homomorphic networks", 2020, section 5 and appendix: policies are equivariant,
values invariant. Channels are one over the root of the group's order as many as without symmetry, so that the networks
have about as many weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Generator, Tensor, nn

from l2o.models.fixable import Fixable
from l2o.models.group_cnn import TurningConv2d, TurningLinear, TurningPolicy, TurningValue
from l2o.models.symmetrizer import Conv2d, Linear, Representation, cyclic, quarter_turns, upside_down

KINDS = ("equivariant", "nullspace", "random", "plain")
"""Bases of the weights; ``plain`` is an ordinary network."""
GROUP_CNN = "group-cnn"
"""One kind more for the grid world: equivariant by filters that are turned."""


class ActorCritic(nn.Module):
    """What is seen in, logits ``[B, actions]`` and values ``[B]`` out, from a common trunk."""

    def __init__(self, trunk: nn.Module, policy: nn.Module, value: nn.Module) -> None:
        super().__init__()
        self.trunk, self.policy, self.value = trunk, policy, value

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(seen)
        return self.policy(features), self.value(features)[:, 0]


class Symmetry:
    """What a group does to what is seen and to actions."""

    def __init__(self, moves: Sequence[Callable[[Tensor], Tensor]], act: Representation) -> None:
        """``moves`` do to observations ``[B, ...]`` what the elements do, and ``act`` to actions."""
        self.act = act
        self._moves = moves
        self._places = act.matrices.argmax(dim=1)

    @property
    def order(self) -> int:
        """How many elements the group has."""
        return self.act.order

    def seen(self, element: Tensor, observations: Tensor) -> Tensor:
        """``observations [B, ...]`` after the group elements ``[B]``."""
        moved = torch.stack([move(observations) for move in self._moves])
        return moved[element, torch.arange(len(observations), device=element.device)]

    def acted(self, element: Tensor, actions: Tensor) -> Tensor:
        """``actions [B]`` after the group elements ``[B]``."""
        return self._places[element, actions]


def cartpole_symmetry() -> Symmetry:
    """Seen in a mirror, positions and angles change their signs and left is right."""
    return Symmetry([torch.clone, torch.neg], cyclic(2))


def gridworld_symmetry() -> Symmetry:
    """Turned by quarters, the directions of the compass follow each other; to stay is to stay."""
    turns = [partial(torch.rot90, k=k, dims=(2, 3)) for k in range(4)]
    return Symmetry(turns, cyclic(4) + Representation.trivial(4))


def pong_symmetry() -> Symmetry:
    """Upside down, up is down; to do nothing is to do nothing."""
    return Symmetry([torch.clone, partial(torch.flip, dims=(2,))], Representation.trivial(2) + cyclic(2))


def cartpole(kind: str, generator: Generator) -> ActorCritic:
    """Two hidden layers: 64 channels of two numbers each, or 64 and 128 ordinary units."""
    if kind == "plain":
        trunk = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 128), nn.ReLU())
        return ActorCritic(trunk, _small(nn.Linear(128, 2)), _small(nn.Linear(128, 1)))
    unit = torch.eye(4, dtype=torch.float64)
    mirrored, hidden, one = Representation(torch.stack([unit, -unit])), cyclic(2), Representation.trivial(2)
    layer = _layers(kind, generator)
    trunk = nn.Sequential(layer(mirrored, hidden, (1, 64)), nn.ReLU(), layer(hidden, hidden, (64, 64)), nn.ReLU())
    policy, value = layer(hidden, cartpole_symmetry().act, (64, 1)), layer(hidden, one, (64, 1))
    return ActorCritic(trunk, _small(policy), _small(value))


def gridworld(kind: str, generator: Generator) -> ActorCritic:
    """Two convolutions, the largest answer over the image, one hidden layer."""
    sizes = (32, 64, 512)
    if kind == "plain":
        first, second, third = sizes
        trunk = nn.Sequential(
            nn.Conv2d(1, first, 7, stride=2), nn.ReLU(), nn.Conv2d(first, second, 5), nn.ReLU(), Brightest(),
            nn.Linear(second, third), nn.ReLU(),
        )  # fmt: skip
        return ActorCritic(Distinct(trunk), _small(nn.Linear(third, 5)), _small(nn.Linear(third, 1)))
    first, second, third = _narrowed(sizes, 4)
    if kind == GROUP_CNN:
        trunk = nn.Sequential(
            TurningConv2d(1, first, 7, lifting=True, stride=2, generator=generator), nn.ReLU(),
            TurningConv2d(first, second, 5, generator=generator), nn.ReLU(), Brightest(),
            TurningLinear(second, third, generator=generator), nn.ReLU(),
        )  # fmt: skip
        head, worth = TurningPolicy(third, generator=generator), TurningValue(third, generator=generator)
        return ActorCritic(Distinct(trunk), _small(head), _small(worth))
    group, one = cyclic(4).regular(), Representation.trivial(4)
    layer = _layers(kind, generator)
    trunk = nn.Sequential(
        Conv2d(one, group, (1, first), quarter_turns(7), stride=2, kind=kind, generator=generator), nn.ReLU(),
        Conv2d(group, group, (first, second), quarter_turns(5), kind=kind, generator=generator), nn.ReLU(), Brightest(),
        layer(group, group, (second, third)), nn.ReLU(),
    )  # fmt: skip
    policy, value = layer(group, gridworld_symmetry().act, (third, 1)), layer(group, one, (third, 1))
    return ActorCritic(Distinct(trunk), _small(policy), _small(value))


def pong(kind: str, generator: Generator) -> ActorCritic:
    """Two convolutions and one hidden layer, which knows where in the image each answer was given.

    The ordinary one has the sizes of rlpyt's network for Atari (Stooke & Abbeel 2019), from which the authors set out.
    """
    # Of 80 rows and columns the convolutions leave 8.
    sizes, left = (16, 32, 512), 8
    if kind == "plain":
        first, second, third = sizes
        trunk = nn.Sequential(
            nn.Conv2d(4, first, 8, stride=4), nn.ReLU(), nn.Conv2d(first, second, 5, stride=2), nn.ReLU(), nn.Flatten(),
            nn.Linear(second * left**2, third), nn.ReLU(),
        )  # fmt: skip
        return ActorCritic(trunk, _small(nn.Linear(third, 3)), _small(nn.Linear(third, 1)))
    first, second, third = _narrowed(sizes, 2)
    group, one = cyclic(2), Representation.trivial(2)
    layer = _layers(kind, generator)
    trunk = nn.Sequential(
        Conv2d(one, group, (4, first), upside_down(8), stride=4, kind=kind, generator=generator), nn.ReLU(),
        Conv2d(group, group, (first, second), upside_down(5), stride=2, kind=kind, generator=generator), nn.ReLU(),
        nn.Flatten(), layer(group * upside_down(left), group, (second, third)), nn.ReLU(),
    )  # fmt: skip
    policy, value = layer(group, pong_symmetry().act, (third, 1)), layer(group, one, (third, 1))
    return ActorCritic(trunk, _small(policy), _small(value))


class Brightest(nn.Module):
    """``[B, c, h, w]`` to ``[B, c]``: the largest over the image, wherever it is."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax(dim=(2, 3))


class Distinct(Fixable):
    """A trunk that looks once at what is equal, for there are only 49 sights in a grid world.

    In a batch; and while its weights are fixed, in all batches.
    """

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self._known: dict[bytes, Tensor] | None = None

    def fix(self, fixed: bool) -> None:
        """Whether to remember; see :func:`l2o.models.fixable.fixed`."""
        self._known = {} if fixed else None

    def forward(self, seen: Tensor) -> Tensor:
        distinct, which = torch.unique(seen, dim=0, return_inverse=True)
        features: Tensor = self.trunk(distinct) if self._known is None else self._remembered(distinct, self._known)
        return features[which]

    def _remembered(self, sights: Tensor, known: dict[bytes, Tensor]) -> Tensor:
        keys = [sight.numpy().tobytes() for sight in sights.cpu()]
        new = [i for i, key in enumerate(keys) if key not in known]
        if new:
            known |= zip([keys[i] for i in new], self.trunk(sights[new]), strict=True)
        return torch.stack([known[key] for key in keys])


def _narrowed(sizes: tuple[int, ...], order: int) -> list[int]:
    """Channels of as many numbers as the group has elements, instead of ordinary ones."""
    return [math.floor(size / math.sqrt(order)) for size in sizes]


def _layers(kind: str, generator: Generator) -> Callable[..., Linear]:
    def layer(inputs: Representation, outputs: Representation, channels: tuple[int, int]) -> Linear:
        return Linear(inputs, outputs, channels, kind=kind, generator=generator)

    return layer


def _small(head: nn.Module) -> nn.Module:
    """A head that says little at first, so that all actions are about equally likely."""
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(0.01)
    return head
