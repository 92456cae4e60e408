"""A predator on a torus of 7 x 7 cells looks for a prey: many such worlds at once, as Gymnasium's vectorised kind.

Source: E. van der Pol and others, "MDP homomorphic networks", 2020, section 5.3: the prey takes a step with probability
0.15 in a random direction of the compass, to catch it is worth 1 and every other step costs 0.1, an episode lasts 100
steps at most, and what is seen is an image of 21 x 21 with the predator in the middle and the prey where it is from
there.
"""

from __future__ import annotations

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from l2o.problems.instance import Bools, Floats, Ints
from l2o.problems.worlds import MOVES, Worlds

SIDE, PIXELS = 7, 3
"""Cells on each side, and pixels on each side of a cell."""
RESTLESS = 0.15

Images = NDArray[np.float32]


class GridWorlds(Worlds):
    """``num_envs`` predators, each in a world of its own."""

    longest = 100

    def __init__(self, num_envs: int) -> None:
        size = SIDE * PIXELS
        super().__init__(num_envs, spaces.Box(0.0, 1.0, (1, size, size), np.float32), spaces.Discrete(len(MOVES)))
        self.prey: Ints = np.zeros((num_envs, 2), np.int64)
        """``[N, 2]`` row and column of the prey from the predator, 0 to 6 around the torus; (0, 0) is caught."""

    def begin(self, which: Bools) -> None:
        """Predator and prey at random, not on the same cell."""
        cell = self.np_random.integers(1, SIDE * SIDE, size=self.num_envs)
        self.prey = np.where(which[:, None], np.stack([cell // SIDE, cell % SIDE], axis=1), self.prey)

    def draw(self) -> tuple[Bools, Ints]:
        """Whether preys run, and where to."""
        return self.np_random.random(self.num_envs) < RESTLESS, self.np_random.integers(4, size=self.num_envs)

    def advance(self, actions: Ints, drawn: tuple[Bools, Ints]) -> tuple[Floats, Bools]:
        """The predator goes, then the prey if it is not caught."""
        runs, direction = drawn
        prey = (self.prey - MOVES[actions]) % SIDE
        runs = runs & (prey != 0).any(axis=1)
        self.prey = np.where(runs[:, None], (prey + MOVES[direction]) % SIDE, prey)
        # A prey that runs into the predator is caught as well.
        caught = (self.prey == 0).all(axis=1)
        return np.where(caught, 1.0, -0.1), caught

    def seen(self) -> Images:
        """``[N, 1, 21, 21]``"""
        cells = np.zeros((self.num_envs, SIDE, SIDE), np.float32)
        middle = SIDE // 2
        cells[:, middle, middle] = 1.0
        row, column = ((self.prey + middle) % SIDE).T
        cells[np.arange(self.num_envs), row, column] = 1.0
        return cells.repeat(PIXELS, axis=1).repeat(PIXELS, axis=2)[:, None]
