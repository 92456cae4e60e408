"""Junctions: their rules against a retelling car by car, and that turning the town changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from l2o.models.fleet import traffic_symmetry
from l2o.problems.traffic import AXIS, JUNCTION, STREETS, Junctions

Cell = tuple[int, int]
# Written down by hand: from where to where streets go, and the first cells of junctions on each.
ENDS = [((2, 0), (2, 14)), ((14, 2), (0, 2)), ((12, 14), (12, 0)), ((0, 12), (14, 12)),
        ((4, 14), (4, 0)), ((0, 4), (14, 4)), ((10, 0), (10, 14)), ((14, 10), (0, 10))]  # fmt: skip
CENTRES = [(3, 3), (11, 3), (11, 11), (3, 11)]


@dataclass
class Car:
    street: int
    cell: Cell
    waited: int = 0


def ahead(street: int, cell: Cell) -> Cell:
    (r, c), (s, d) = ENDS[street]
    return cell[0] + (s > r) - (s < r), cell[1] + (d > c) - (d < c)


def junction(cell: Cell) -> int | None:
    near = [i for i, (r, c) in enumerate(CENTRES) if max(abs(cell[0] - r), abs(cell[1] - c)) <= 1]
    return near[0] if near else None


class Town:
    """The same rules, told car by car."""

    def __init__(self) -> None:
        self.cars: list[Car] = []
        self.outside = [0] * 8
        self.steps = 0

    def step(self, lights: list[int], comes: list[bool]) -> tuple[float, bool]:
        taken = {car.cell for car in self.cars}
        wanted = [(ahead(car.street, car.cell), car) for car in self.cars]
        stopped, left = [], []
        for cell, car in wanted:
            enters = junction(car.cell) is None and junction(cell) is not None
            column = ENDS[car.street][0][1] == ENDS[car.street][1][1]
            red = enters and lights[junction(cell) or 0] != column
            yields = enters and any(other == cell and it is not car for other, it in wanted)
            if not (0 <= cell[0] < 15 and 0 <= cell[1] < 15):
                left.append(car)
            elif cell in taken or red or yields:
                stopped.append(car)
        for cell, car in wanted:
            if car in stopped:
                car.waited += 1
            else:
                car.cell = cell
        self.cars = [car for car in self.cars if car not in left]
        for street in range(8):
            self.outside[street] += comes[street] and self.steps < 100
            if self.outside[street] and ENDS[street][0] not in taken:
                self.outside[street] -= 1
                self.cars.append(Car(street, ENDS[street][0]))
        self.steps += 1
        assert len({car.cell for car in self.cars}) == len(self.cars)
        cost = sum(car.waited for car in self.cars) / max(len(self.cars), 1) / 1000
        return -cost, self.steps >= 100 and not self.cars and not any(self.outside)


def test_streets_and_lights_are_where_they_should_be() -> None:
    assert [(tuple(street[0]), tuple(street[-1])) for street in STREETS.tolist()] == ENDS
    cells, counts = np.unique(STREETS.reshape(-1, 2), axis=0, return_counts=True)
    assert len(cells) == 8 * 15 - 16 and set(counts) == {1, 2}
    assert {tuple(cell) for cell in cells[counts == 2].tolist()} == {
        (r + i, c + j) for r, c in CENTRES for i in (-1, 1) for j in (-1, 1)
    }
    for street in range(8):
        assert [junction(tuple(STREETS[street, p])) for p in (2, 10)] == JUNCTION[street].tolist()


@pytest.mark.parametrize(("hasty", "busy"), [(0.1, 0.1), (0.5, 0.3)])
def test_rules_are_those_of_a_retelling_car_by_car(hasty: float, busy: float) -> None:
    """In a quiet town, and in one where lights change all the time and cars stand in each other's way."""
    count = 5
    draws = np.random.default_rng(7)
    worlds, towns = Junctions(count), [Town() for _ in range(count)]
    worlds.reset(seed=8)
    lights, over = worlds.lets.copy(), np.zeros(count, bool)
    for _ in range(200):
        lights = np.where(draws.random(lights.shape) < hasty, 1 - lights, lights)
        comes = draws.random((count, 8)) < busy
        reward, over = worlds.advance(lights, comes)
        worlds.steps += 1
        for i, town in enumerate(towns):
            earned, empty = town.step(lights[i].tolist(), comes[i].tolist())
            assert reward[i] == pytest.approx(earned, abs=1e-12) and over[i] == empty
            found = {
                (street, tuple(STREETS[street, place].tolist())): int(worlds.waited[i, street, place])
                for street, place in np.argwhere(worlds.cars[i]).tolist()
            }
            assert found == {(car.street, car.cell): car.waited for car in town.cars}
            assert worlds.outside[i].tolist() == town.outside
        assert not worlds.waited[~worlds.cars].any()
    assert over.any() if busy < 0.2 else not over.any() and worlds.waited.max() > 50


def test_cars_come_for_a_hundred_steps_and_episodes_end_when_they_are_gone() -> None:
    worlds = Junctions(100)
    worlds.reset(seed=9)
    came = np.stack([worlds.draw() for _ in range(100)])
    assert came.mean() == pytest.approx(0.1, abs=0.006)
    worlds.reset(seed=9)
    ended = np.zeros(100, bool)
    for step in range(1, 160):
        lights = np.tile([0, 1, 0, 1], (100, 1)) ^ ((step // 8) % 2)
        _, reward, terminated, truncated, _ = worlds.step(lights)
        assert step >= 100 or not terminated.any()
        assert not truncated.any() and (reward <= 0).all()
        assert not (worlds.cars[terminated].any() or worlds.outside[terminated].any())
        ended |= terminated
    assert ended.all()


def test_lights_that_never_change_end_an_episode_after_499_steps() -> None:
    worlds = Junctions(3)
    worlds.reset(seed=10)
    for step in range(1, 500):
        _, _, terminated, truncated, _ = worlds.step(np.zeros((3, 4), np.int64))
        assert not terminated.any() and truncated.all() == (step == 499)
    # Columns stand before the first light of each, and wait.
    assert not worlds.cars[:, AXIS == 0].any() and not worlds.cars[:, AXIS == 1, 2:].any()


def test_what_is_seen() -> None:
    worlds = Junctions(1)
    seen, _ = worlds.reset(seed=11)
    assert worlds.observation_space.contains(seen)
    worlds.lets[:] = 0, 1, 1, 1
    worlds.cars[0, 1, 10] = True
    seen = worlds.seen()
    roads, red, cars = seen["image"][0].swapaxes(0, 1)
    assert (roads == roads[0]).all() and roads[0].sum() == 9 * (4 * 7 - 4)
    # The third cell from the entrance of a column is red for cars that go up it, and so is that of the other one.
    lit = [{(int(r) // 3, int(c) // 3) for r, c in np.argwhere(image)} for image in red]
    assert lit == [{(4, 2), (2, 4)}, {(2, 2), (4, 4)}, {(2, 2), (4, 4)}, {(2, 2), (4, 4)}]
    # Eleventh cell of the street that goes up along column 2: row 4, with its nose up.
    assert np.argwhere(cars).tolist() == [[0, 12, 7], [0, 13, 7]]
    assert seen["heard"][0].tolist() == [[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]]
    assert seen["offset"][0, 0].tolist() == [[0, 0], [1, 0], [0, 0], [0, 1]]


def streets_turned(values: NDArray[Any], quarters: int) -> NDArray[Any]:
    """By streets on axis 1: each comes into the place of the next of its four."""
    fours = values.reshape(len(values), 2, 4, *values.shape[2:])
    return np.roll(fours, quarters, axis=2).reshape(values.shape)


def test_actions_stay_the_callers() -> None:
    towns = Junctions(2)
    towns.reset(seed=0)
    actions = np.zeros((2, 4), np.int64)
    towns.step(actions)
    towns.reset(seed=1)
    assert towns.lets.any() and not actions.any()
    towns._ended[:] = True
    towns.step(np.broadcast_to(0, (2, 4)))  # read-only


def test_the_turned_town_goes_the_same_way() -> None:
    """With turned actions and turned chance, until long after the last car has come."""
    count, symmetry = 6, traffic_symmetry()
    draws = np.random.default_rng(12)
    for quarters in range(1, 4):
        element = torch.full((count,), quarters)
        one, two = Junctions(count), Junctions(count)
        one.reset(seed=13)
        two.reset(seed=14)
        two.lets = symmetry.acted(element, torch.from_numpy(one.lets)).numpy()
        lights, ends = one.lets, 0
        for _ in range(150):
            lights = np.where(draws.random(lights.shape) < 0.3, 1 - lights, lights)
            same = symmetry.acted(element, torch.from_numpy(lights)).numpy()
            comes = one.draw()
            first, second = one.advance(lights, comes), two.advance(same, streets_turned(comes, quarters))
            np.testing.assert_allclose(first[0], second[0], atol=1e-15, rtol=0)
            assert (first[1] == second[1]).all()
            for name in ("cars", "waited", "outside"):
                assert (getattr(two, name) == streets_turned(getattr(one, name), quarters)).all()
            expected = symmetry.seen(element, {name: torch.from_numpy(part) for name, part in one.seen().items()})
            assert all((expected[name].numpy() == part).all() for name, part in two.seen().items())
            one.steps += 1
            two.steps += 1
            ends += int(first[1].sum())
        assert ends > 0
