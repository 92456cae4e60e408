"""A predator on a torus of 7 x 7 cells looks for a prey: many such worlds at once, as Gymnasium's vectorised kind.

Source: E. van der Pol and others, "MDP homomorphic networks", 2020, section 5.3: the prey takes a step with probability
0.15 in a random direction of the compass, to catch it is worth 1 and every other step costs 0.1, an episode lasts 100
steps at most, and what is seen is an image of 21 x 21 with the predator in the middle and the prey where it is from
there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from l2o.problems.instance import Bools, Floats, Ints

SIDE, PIXELS = 7, 3
"""Cells on each side, and pixels on each side of a cell."""
MOVES: Ints = np.array([[-1, 0], [0, -1], [1, 0], [0, 1], [0, 0]])
"""Rows and columns of the actions: up, left, down, right, each a quarter turn to the left of the one before; stay."""
RESTLESS, LONGEST = 0.15, 100

Images = NDArray[np.float32]


class GridWorlds(VectorEnv[Images, Ints, Any]):
    """``num_envs`` worlds that go on by themselves: the step after the end of an episode only begins the next one."""

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        size = SIDE * PIXELS
        self.single_observation_space = spaces.Box(0.0, 1.0, (1, size, size), np.float32)
        self.single_action_space = spaces.Discrete(len(MOVES))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.prey: Ints = np.zeros((num_envs, 2), np.int64)
        """``[N, 2]`` row and column of the prey from the predator, 0 to 6 around the torus; (0, 0) is caught."""
        self._steps = np.zeros(num_envs, np.int64)
        self._ended = np.zeros(num_envs, bool)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Images, dict[str, Any]]:
        """Predator and prey at random, not on the same cell."""
        super().reset(seed=seed if isinstance(seed, int) else None)
        self._begin(np.ones(self.num_envs, bool))
        self._ended[:] = False
        return self.images(), {}

    def step(self, actions: Ints) -> tuple[Images, Floats, Bools, Bools, dict[str, Any]]:
        """The predator goes, then the prey if it is not caught."""
        fresh = self._ended.copy()
        prey = (self.prey - MOVES[actions]) % SIDE
        caught = (prey == 0).all(axis=1)
        runs = ~caught & (self.np_random.random(self.num_envs) < RESTLESS)
        prey = np.where(runs[:, None], (prey + MOVES[self.np_random.integers(4, size=self.num_envs)]) % SIDE, prey)
        # A prey that runs into the predator is caught as well.
        caught |= (prey == 0).all(axis=1)
        self.prey = np.where(fresh[:, None], self.prey, prey)
        self._steps += 1
        reward = np.where(caught, 1.0, -0.1)
        late = self._steps >= LONGEST
        self._begin(fresh)
        reward[fresh] = 0.0
        terminated, truncated = caught & ~fresh, late & ~caught & ~fresh
        self._ended = terminated | truncated
        return self.images(), reward, terminated, truncated, {}

    def images(self) -> Images:
        """``[N, 1, 21, 21]`` what is seen now."""
        cells = np.zeros((self.num_envs, SIDE, SIDE), np.float32)
        middle = SIDE // 2
        cells[:, middle, middle] = 1.0
        row, column = ((self.prey + middle) % SIDE).T
        cells[np.arange(self.num_envs), row, column] = 1.0
        return cells.repeat(PIXELS, axis=1).repeat(PIXELS, axis=2)[:, None]

    def _begin(self, which: Bools) -> None:
        cell = self.np_random.integers(1, SIDE * SIDE, size=self.num_envs)
        self.prey = np.where(which[:, None], np.stack([cell // SIDE, cell % SIDE], axis=1), self.prey)
        self._steps[which] = 0
