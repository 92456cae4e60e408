"""What every policy is to the engine: it looks at a state, and gives a logit to each choice that it sees."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, Protocol, Self, TypeVar

from torch import Tensor, nn

from l2o.problems.base import Graph, Problem, State


class View(Protocol):
    """What a policy sees in ``P`` states, ``k`` choices in each."""

    @property
    def row(self) -> Tensor:
        """``[P]`` instances."""

    @property
    def choices(self) -> Tensor:
        """``[P, k]`` node numbers, each perhaps several times for other moves; arbitrary where nothing is allowed."""

    @property
    def allowed(self) -> Tensor:
        """``[P, k, moves]`` True = may be chosen."""

    def __getitem__(self, rows: Tensor) -> Self: ...

    def __len__(self) -> int: ...

    @classmethod
    def cat(cls, views: list[Self]) -> Self:
        """Stack along the first axis."""


Seen = TypeVar("Seen", bound=View)
Looked = TypeVar("Looked", bound=View, covariant=True)


class Sight(Protocol[Looked]):
    """Eyes for the states of one graph; safe to use from several threads."""

    def __call__(self, state: State) -> Looked:
        """What there is to see."""

    def ambiguous(self, state: State) -> Tensor:
        """``[P]`` True where what is seen hangs on the order of equal distances, which no symmetry keeps."""


class Policy(nn.Module, ABC, Generic[Seen]):
    """A view in, logits out. What is learned once per instance comes from ``encoder``, if there is one."""

    encoder: nn.Module | None

    fleet: ClassVar[bool] = False
    """Whether it steers all vehicles of a fleet at once."""

    @abstractmethod
    def sight(self, problem: Problem, graph: Graph) -> Sight[Seen]:
        """Everything about ``graph`` that looking at a state takes and no weight touches, computed once."""

    def encode(self, graph: Graph) -> Tensor | None:
        """``[B, n, width]`` what the encoder says of every node, once per instance; None without one."""
        return None if self.encoder is None else self.encoder(graph)

    @abstractmethod
    def forward(self, view: Seen, memory: Tensor | None = None) -> Tensor:
        """Logits ``[P, k, moves]``, ``-inf`` where not allowed. ``memory`` is what :meth:`encode` gave."""
