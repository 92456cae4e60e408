"""Drones watch over wildlife on a torus and trap a poacher together: many such fleets at once.

Source: E. van der Pol, H. van Hoof, F. Oliehoek, M. Welling, "Multi-agent MDP homomorphic networks", ICLR 2022: a torus
of 7 x 7 or 5 x 5 cells, images with the drone in the middle, a poacher that takes a step with probability 0.8 in a
random direction of the compass, 100 steps at most. What the authors' public environment (ElisevanderPol/marlenvs) says
beyond that is kept: three drones, no two of them on one cell; the compass and "stay" as actions; three pixels to a
cell; each step costs 0.05; the poacher is trapped by a drone above it and one or more beside it, each of which is worth
1. Drones see the ground and not each other, and hear all but those at the farthest corner.

Decided here:

- "Beside" goes around the torus as everything else does; there it did not. So moving the whole system changes nothing.
- Drones go first; the poacher takes its step only if it is not trapped.
- Drones that want the same cell all stay where they were, which may be in the way of others, who then stay as well. Two
  may change places. This does not depend on how they are numbered.
- Sides are odd: on an even torus the cell opposite has no direction.
"""

from __future__ import annotations

import numpy as np

from l2o.problems.fleet import Fleets, Floats32, Sight
from l2o.problems.instance import Bools, Floats, Ints, InvalidInstance
from l2o.problems.worlds import MOVES

PIXELS = 3
"""On each side of a cell."""
RESTLESS, COST = 0.8, 0.05


class Drones(Fleets):
    """``num_envs`` fleets, each with a poacher of its own."""

    longest = 100
    member = "drone"

    def __init__(self, num_envs: int, *, drones: int = 3, side: int = 7) -> None:
        """Raises :class:`InvalidInstance` for an even or too small torus, or too few or too many drones."""
        if side < 3 or side % 2 == 0:
            raise InvalidInstance(f"found a torus of side {side}, expected an odd one, 3 at least")
        if not 2 <= drones < side * side:
            raise InvalidInstance(f"found {drones} drones, expected 2 to {side * side - 1} on a torus of side {side}")
        self.side, self.half = side, side // 2
        super().__init__(num_envs, agents=drones, actions=len(MOVES), image=(1, side * PIXELS, side * PIXELS))
        self.cells: Ints = np.zeros((num_envs, drones + 1, 2), np.int64)
        """``[N, drones + 1, 2]`` row and column of each drone and, last, of the poacher."""
        self._views = views(side)

    def begin(self, which: Bools) -> None:
        """All on cells of their own."""
        count = int(which.sum())
        shuffled = self.np_random.random((count, self.side**2)).argsort(axis=1)[:, : self.agents + 1]
        self.cells[which] = np.stack([shuffled // self.side, shuffled % self.side], axis=2)

    def draw(self) -> tuple[Bools, Ints]:
        """Whether poachers run, and where to."""
        return self.np_random.random(self.num_envs) < RESTLESS, self.np_random.integers(4, size=self.num_envs)

    def advance(self, actions: Ints, drawn: tuple[Bools, Ints]) -> tuple[Floats, Bools]:
        """The drones go, then the poacher if it is not trapped."""
        before, poacher = self.cells[:, :-1], self.cells[:, -1:]
        drones = (before + MOVES[actions]) % self.side
        while (clash := self._clash(drones)).any():
            # At least one of those that clash has moved, for before nobody did.
            drones = np.where(clash[:, :, None], before, drones)
        steps = np.abs(self.around(drones - poacher)).sum(axis=2)
        trapped = (steps == 0).any(axis=1) & (steps == 1).any(axis=1)
        reward = trapped * (steps <= 1).sum(axis=1) - COST
        runs, direction = drawn
        runs = runs & ~trapped
        poacher = np.where(runs[:, None, None], (poacher + MOVES[direction][:, None]) % self.side, poacher)
        self.cells = np.concatenate([drones, poacher], axis=1)
        return reward, trapped

    def around(self, steps: Ints) -> Ints:
        """The shorter way round the torus."""
        return (steps + self.half) % self.side - self.half

    def seen(self) -> Sight:
        """Offsets are in halves of the torus."""
        drones, poacher = self.cells[:, :-1], self.cells[:, -1:]
        row, column = np.moveaxis((poacher - drones) % self.side, 2, 0)
        offset = self.around(drones[:, None] - drones[:, :, None])
        square = (offset**2).sum(axis=3)
        heard = (square > 0) & (square < 2 * self.half**2)
        return {
            "image": self._views[row, column][:, :, None],
            "offset": (offset * heard[:, :, :, None] / self.half).astype(np.float32),
            "heard": heard.astype(np.float32),
        }

    def _clash(self, drones: Ints) -> Bools:
        cell = drones @ np.array([self.side, 1])
        clash: Bools = (cell[:, :, None] == cell[:, None]).sum(axis=2) > 1
        return clash


def views(side: int) -> Floats32:
    """``[side, side, pixels, pixels]`` what a drone sees where the poacher is so many rows and columns away.

    The drone is an upright cross in the middle and the poacher a slanting one, the same from all four sides.
    """
    upright, slanting = np.zeros((2, PIXELS, PIXELS), np.float32)
    upright[1] = upright[:, 1] = 1.0
    np.fill_diagonal(slanting, 1.0)
    np.fill_diagonal(slanting[::-1], 1.0)
    size, middle = side * PIXELS, side // 2
    found = np.zeros((side, side, size, size), np.float32)
    for row, column in np.ndindex(side, side):
        for mark, r, c in ((upright, middle, middle), (slanting, (row + middle) % side, (column + middle) % side)):
            cell = found[row, column, r * PIXELS : (r + 1) * PIXELS, c * PIXELS : (c + 1) * PIXELS]
            np.maximum(cell, mark, out=cell)
    return found
