"""Small worlds, many at once, that go on by themselves: what they have in common, as Gymnasium's vectorised kind."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from l2o.problems.instance import Bools, Floats, Ints

MOVES: Ints = np.array([[-1, 0], [0, -1], [1, 0], [0, 1], [0, 0]])
"""Rows and columns of five actions: up, left, down, right, each a quarter turn to the left of the one before; stay."""


class Worlds(VectorEnv[Any, Ints, Any], ABC):
    """``num_envs`` worlds: the step after the end of an episode only begins the next one.

    What is left to chance is drawn apart from what it does, so that the same may happen to two worlds.
    """

    longest: ClassVar[int]
    """Steps of an episode at most."""

    def __init__(self, num_envs: int, see: spaces.Space[Any], act: spaces.Space[Any]) -> None:
        """``see`` and ``act`` are the spaces of one world."""
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.single_observation_space, self.single_action_space = see, act
        self.observation_space, self.action_space = batch_space(see, num_envs), batch_space(act, num_envs)
        self.steps: Ints = np.zeros(num_envs, np.int64)
        """``[N]`` since the episode began."""
        self._ended = np.zeros(num_envs, bool)

    @abstractmethod
    def begin(self, which: Bools) -> None:
        """Put the worlds ``which [N]`` into a state to begin with, at random."""

    @abstractmethod
    def draw(self) -> Any:
        """What chance has in mind for the next step."""

    @abstractmethod
    def advance(self, actions: Ints, drawn: Any) -> tuple[Floats, Bools]:
        """Take a step: rewards ``[N]``, and ``[N]`` what is over."""

    @abstractmethod
    def seen(self) -> Any:
        """What is seen now."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """All begin anew; one seed is for all of them."""
        super().reset(seed=None if seed is None else operator.index(seed))
        self.begin(np.ones(self.num_envs, bool))
        self.steps[:] = 0
        self._ended[:] = False
        return self.seen(), {}

    def step(self, actions: Ints) -> tuple[Any, Floats, Bools, Bools, dict[str, Any]]:
        """One step of every world, or its next beginning."""
        fresh = self._ended
        reward, over = self.advance(actions, self.draw())
        self.steps += 1
        late = self.steps >= self.longest
        self.begin(fresh)
        self.steps[fresh] = 0
        terminated, truncated = over & ~fresh, late & ~over & ~fresh
        self._ended = terminated | truncated
        return self.seen(), np.where(fresh, 0.0, reward), terminated, truncated, {}
