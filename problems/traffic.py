"""Four junctions of eight one-way streets, each with a traffic light that looks at its surroundings: many at once.

Source: E. van der Pol, H. van Hoof, F. Oliehoek, M. Welling, "Multi-agent MDP homomorphic networks", ICLR 2022: a grid
of 15 x 15 cells, cars that enter each street with probability 0.1, 499 steps at most. What the authors' public
environment (ElisevanderPol/marlenvs) says beyond that is kept: where streets and lights are; lights let either rows or
columns go; cars drive straight on, come during the first 100 steps and wait outside while the first cell of a street is
taken; each step costs the team the mean, over the cars on the streets, of the steps that they have waited so far,
divided by 1,000; the episode ends when all have gone. Junctions hear those along the streets, not across.

Decided here:

- All cars go at once, each to the next cell if that was empty before the step (Wolfram's rule 184), so that queues take
  time to dissolve. There they went in the order in which they had come, which a turned system would not repeat.
- Of two that want the same cell of a junction the one that is inside already goes, and the one that enters waits.
- Cells are three pixels wide, as for drones; channels are streets, red lights, and cars with the pixel ahead of them.
"""

from __future__ import annotations

import numpy as np

from l2o.problems.fleet import Fleets, Floats32, Sight
from l2o.problems.instance import Bools, Floats, Ints

SIDE, VIEW, PIXELS = 15, 7, 3
"""Cells on each side of the grid and of what is seen of it, pixels on each side of a cell."""
ENTER, ENTRANCE, SCALE = 0.1, 100, 1000.0
"""How likely a car enters a street, for how many steps, and steps of waiting that cost 1."""
LIGHTS = np.array([2, 10])
"""Cells of a street from its beginning that only green lets in: the first ones of its two junctions."""
PLACES: Ints = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
"""Rows and columns of junctions: each a quarter turn to the left of the one before, as are streets."""


def _streets() -> Ints:
    along = np.arange(SIDE)
    found = []
    for row, columns in ((2, along), (4, along[::-1])):
        street = np.stack([np.full(SIDE, row), columns], axis=1)
        for _ in range(4):
            found.append(street)
            street = np.stack([SIDE - 1 - street[:, 1], street[:, 0]], axis=1)
    return np.stack(found)


STREETS = _streets()
"""``[8, 15, 2]`` row and column of each cell, from where cars enter to where they leave."""
AXIS: Ints = np.arange(len(STREETS)) % 2
"""``[8]`` 0 for a street along a row, 1 along a column."""


def _twins() -> Ints:
    cell = (STREETS @ [SIDE, 1]).flatten()
    same = (cell[:, None] == cell) & ~np.eye(len(cell), dtype=bool)
    return np.where(same.any(axis=1), same.argmax(axis=1), np.arange(len(cell))).reshape(STREETS.shape[:2])


TWIN = _twins()
"""``[8, 15]`` where in the flattened table the street that crosses there has the same cell; elsewhere its own place."""


def _junctions() -> Ints:
    quadrant = STREETS[:, LIGHTS] // (SIDE // 2 + 1)
    junction: Ints = (quadrant[:, :, None] == PLACES).all(axis=3).argmax(axis=2)
    return junction


JUNCTION = _junctions()
"""``[8, 2]`` whose lights they are."""


def _views(canvas: Floats32) -> Floats32:
    """``[..., 45, 45]`` to what each junction sees of it, ``[..., 4, 21, 21]``."""
    size, far = VIEW * PIXELS, (VIEW + 1) * PIXELS
    return np.stack([canvas[..., r : r + size, c : c + size] for r, c in (PLACES * far).tolist()], axis=-3)


def _cells(cells: Ints) -> Floats32:
    """Pictures ``[M, 4, 21, 21]`` of single cells ``[M, 2]``, filled."""
    canvas = np.zeros((len(cells), SIDE, SIDE), np.float32)
    canvas[np.arange(len(cells)), cells[:, 0], cells[:, 1]] = 1.0
    return _views(canvas.repeat(PIXELS, axis=1).repeat(PIXELS, axis=2))


def _cars() -> Floats32:
    """Pictures ``[8 * 15, 4, 21, 21]`` of single cars: the middle of the cell and the pixel that is next."""
    middle = STREETS * PIXELS + 1
    ahead = middle + np.sign(STREETS[:, -1:] - STREETS[:, :1])
    canvas = np.zeros((STREETS[..., 0].size, SIDE * PIXELS, SIDE * PIXELS), np.float32)
    for row, column in (middle.reshape(-1, 2).T, ahead.reshape(-1, 2).T):
        canvas[np.arange(len(canvas)), row, column] = 1.0
    return _views(canvas)


ROADS = _cells(STREETS.reshape(-1, 2)).max(axis=0)
RED = _cells(STREETS[:, LIGHTS].reshape(-1, 2)).reshape(len(STREETS) * 2, -1)
CARS = _cars().reshape(STREETS[..., 0].size, -1)


class Junctions(Fleets):
    """``num_envs`` towns of four junctions."""

    longest = 499
    member = "junction"

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs, agents=len(PLACES), actions=2, image=(3, VIEW * PIXELS, VIEW * PIXELS))
        self.cars: Bools = np.zeros((num_envs, *TWIN.shape), bool)
        """``[N, 8, 15]`` where on each street one is."""
        self.waited: Ints = np.zeros(self.cars.shape, np.int64)
        """``[N, 8, 15]`` for how many steps, 0 where none is."""
        self.outside: Ints = np.zeros((num_envs, len(STREETS)), np.int64)
        """``[N, 8]`` how many want to enter."""
        self.lets: Ints = np.zeros((num_envs, self.agents), np.int64)
        """``[N, 4]`` the last actions: 0 lets rows go, 1 columns."""

    def begin(self, which: Bools) -> None:
        """Empty streets, any lights."""
        self.cars[which] = False
        self.waited[which] = self.outside[which] = 0
        self.lets[which] = self.np_random.integers(2, size=(int(which.sum()), self.agents))

    def draw(self) -> Bools:
        """``[N, 8]`` where a car comes."""
        comes: Bools = self.np_random.random(self.outside.shape) < ENTER
        return comes

    def advance(self, actions: Ints, drawn: Bools) -> tuple[Floats, Bools]:
        """Lights change, cars go, others enter."""
        self.lets = np.array(actions)
        flat = self.cars.reshape(self.num_envs, -1)
        full = self.cars | flat[:, TWIN]
        blocked = np.zeros_like(full)
        blocked[:, :, :-1] = full[:, :, 1:]
        inside = flat[:, TWIN[:, LIGHTS] - 1]
        blocked[:, :, LIGHTS - 1] |= self._red() | inside
        go = self.cars & ~blocked
        stay = self.cars & blocked
        waited = self.waited * go
        self.waited = (self.waited + 1) * stay
        self.waited[:, :, 1:] += waited[:, :, :-1]
        self.cars = stay
        self.cars[:, :, 1:] |= go[:, :, :-1]
        self.outside += drawn & (self.steps < ENTRANCE)[:, None]
        enters = (self.outside > 0) & ~full[:, :, 0]
        self.outside -= enters
        self.cars[:, :, 0] |= enters
        count = self.cars.sum(axis=(1, 2))
        cost = self.waited.sum(axis=(1, 2)) / np.maximum(count, 1) / SCALE
        over = (self.steps + 1 >= ENTRANCE) & (count + self.outside.sum(axis=1) == 0)
        return -cost, over

    def seen(self) -> Sight:
        """Offsets are in blocks."""
        shape = (self.num_envs, self.agents, VIEW * PIXELS, VIEW * PIXELS)
        red = self._red().reshape(self.num_envs, -1).astype(np.float32) @ RED
        cars = self.cars.reshape(self.num_envs, -1).astype(np.float32) @ CARS
        roads = np.broadcast_to(ROADS, shape)
        offset = PLACES[None] - PLACES[:, None]
        heard = np.abs(offset).sum(axis=2) == 1
        return {
            "image": np.stack([roads, red.reshape(shape), cars.reshape(shape)], axis=2),
            "offset": np.tile((offset * heard[:, :, None]).astype(np.float32), (self.num_envs, 1, 1, 1)),
            "heard": np.tile(heard.astype(np.float32), (self.num_envs, 1, 1)),
        }

    def _red(self) -> Bools:
        """``[N, 8, 2]``"""
        red: Bools = self.lets[:, JUNCTION] != AXIS[:, None]
        return red
