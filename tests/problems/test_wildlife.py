"""Drones: their rules against a plain retelling, and that turning, moving or renumbering the system changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o.models.fleet import wildlife_symmetry
from l2o.problems.instance import Ints, InvalidInstance
from l2o.problems.wildlife import Drones

COMPASS = [(-1, 0), (0, -1), (1, 0), (0, 1), (0, 0)]


def retold(side: int, cells: list[list[int]], actions: list[int], runs: bool, to: int) -> tuple[list[list[int]], float]:
    """One step of one fleet, one drone after the other; the poacher is last."""
    *drones, poacher = cells
    moves = [COMPASS[action] for action in actions]
    wanted = [[(r + i) % side, (c + j) % side] for (r, c), (i, j) in zip(drones, moves, strict=True)]
    changed = True
    while changed:
        crowded = [i for i, cell in enumerate(wanted) if wanted.count(cell) > 1]
        changed = any(wanted[i] != drones[i] for i in crowded)
        for i in crowded:
            wanted[i] = drones[i]
    beside = [[(poacher[0] + r) % side, (poacher[1] + c) % side] for r, c in COMPASS[:4]]
    helpers = sum(cell in beside for cell in wanted)
    if poacher in wanted and helpers:
        return [*wanted, poacher], 1 + helpers - 0.05
    if runs:
        poacher = beside[to]
    return [*wanted, poacher], -0.05


@settings(deadline=None, max_examples=15)
@given(st.integers(2, 6), st.sampled_from([3, 5, 7]), st.integers(0, 2**32 - 1))
def test_rules_are_those_of_a_plain_retelling(drones: int, side: int, seed: int) -> None:
    worlds = Drones(50, drones=drones, side=side)
    worlds.reset(seed=seed)
    worlds.action_space.seed(seed)
    for _ in range(4):
        before, actions, (runs, to) = worlds.cells.tolist(), worlds.action_space.sample(), worlds.draw()
        reward, trapped = worlds.advance(actions, (runs, to))
        for i in range(50):
            cells, earned = retold(side, before[i], actions[i].tolist(), bool(runs[i]), int(to[i]))
            assert worlds.cells[i].tolist() == cells
            assert reward[i] == pytest.approx(earned) and trapped[i] == (earned > 0)
            assert len(set(map(tuple, cells[:-1]))) == drones


def place(worlds: Drones, *cells: tuple[int, int]) -> None:
    worlds.cells[:] = cells


def test_to_trap_it_takes_two() -> None:
    worlds = Drones(1, drones=4)
    worlds.reset(seed=0)
    idle = (np.zeros(1, bool), np.zeros(1, np.int64))
    stay = np.full((1, 4), 4)
    for others, worth in (([(0, 3), (3, 3), (4, 4)], 0), ([(6, 0), (3, 3), (4, 4)], 2), ([(6, 0), (0, 6), (1, 0)], 4)):
        place(worlds, (0, 0), *others, (0, 0))
        reward, trapped = worlds.advance(stay, idle)
        assert reward == pytest.approx(worth - 0.05) and trapped == (worth > 0)
    # All around it, but nobody above.
    place(worlds, (6, 0), (0, 6), (1, 0), (0, 1), (0, 0))
    assert not worlds.advance(stay, idle)[1].any()
    # One after the other in a ring all move on; into one cell nobody does, nor who is behind them.
    place(worlds, (2, 2), (2, 3), (3, 3), (3, 2), (6, 6))
    worlds.advance(np.array([[3, 2, 1, 0]]), idle)
    assert worlds.cells[0, :-1].tolist() == [[2, 3], [3, 3], [3, 2], [2, 2]]
    place(worlds, (2, 1), (2, 3), (2, 4), (2, 5), (6, 6))
    worlds.advance(np.array([[3, 1, 1, 1]]), idle)
    assert worlds.cells[0, :-1].tolist() == [[2, 1], [2, 3], [2, 4], [2, 5]]


def test_the_poacher_is_restless() -> None:
    worlds = Drones(6_000)
    worlds.reset(seed=1)
    place(worlds, (0, 0), (0, 1), (0, 2), (3, 3))
    reward, trapped = worlds.advance(np.full((6_000, 3), 4), worlds.draw())
    found, counts = np.unique(worlds.cells[:, -1], axis=0, return_counts=True)
    shares = dict(zip(map(tuple, found.tolist()), counts / 6_000, strict=True))
    expected = {(3, 3): 0.2, (2, 3): 0.2, (4, 3): 0.2, (3, 2): 0.2, (3, 4): 0.2}
    assert shares == pytest.approx(expected, abs=0.025)
    assert reward == pytest.approx(-0.05) and not trapped.any()


def test_episodes_end_with_the_trap_or_after_a_hundred_steps() -> None:
    worlds = Drones(2)
    worlds.reset(seed=2)
    for step in range(1, 101):
        place(worlds, (0, 0), (0, 1), (0, 2), (3, 3))
        if step == 60:
            worlds.cells[0, -1] = 0, 1
        _, reward, terminated, truncated, _ = worlds.step(np.full((2, 3), 4))
        assert terminated.tolist() == [step == 60, False] and truncated.tolist() == [False, step == 100]
        # The step after an end only begins the next episode.
        assert reward[0] == pytest.approx({60: 2.95, 61: 0.0}.get(step, -0.05))
    assert worlds.steps.tolist() == [39, 100]


def test_what_is_seen_and_heard() -> None:
    worlds = Drones(1, side=5)
    assert worlds.observation_space.contains(worlds.reset(seed=3)[0])
    place(worlds, (0, 0), (4, 1), (2, 2), (1, 0))
    seen = worlds.seen()
    assert seen["image"].shape == (1, 3, 1, 15, 15)
    upright, slanting = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]), np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]])
    cells = seen["image"][0, :, 0].reshape(3, 5, 3, 5, 3).swapaxes(2, 3)
    for drone, (row, column) in enumerate([(3, 2), (4, 1), (1, 0)]):
        assert (cells[drone, 2, 2] == upright).all() and (cells[drone, row, column] == slanting).all()
        assert cells[drone].sum() == 10
    # From the first to the second it is one up and one right around the torus; the third is at the farthest corner.
    assert seen["heard"][0].tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert seen["offset"][0, 0].tolist() == [[0, 0], [-0.5, 0.5], [0, 0]]
    assert seen["offset"][0, 2].tolist() == [[0, 0], [1.0, -0.5], [0, 0]]


def turned(cells: Ints, quarters: int) -> Ints:
    for _ in range(quarters):
        cells = np.stack([-cells[..., 1], cells[..., 0]], axis=-1)
    return cells


@pytest.mark.parametrize("side", [5, 7])
def test_the_turned_system_goes_the_same_way(side: int) -> None:
    """With turned actions and turned chance, for many steps: turned, moved and renumbered all at once."""
    count = 60
    draws = np.random.default_rng(5)
    symmetry = wildlife_symmetry(3, 3 * side)
    for quarters in range(4):
        one, two = Drones(count, side=side), Drones(count, side=side)
        one.reset(seed=6)
        who, shift = np.array([2, 0, 1]), draws.integers(side, size=(count, 1, 2))
        element = torch.full((count,), quarters)
        ends = 0
        for _ in range(30):
            two.cells = (turned(one.cells, quarters)[:, [*who, 3]] + shift) % side
            expected = symmetry.seen(element, {name: torch.from_numpy(part) for name, part in one.seen().items()})
            seen = {name: torch.from_numpy(part) for name, part in two.seen().items()}
            assert torch.equal(seen["image"], expected["image"][:, who])
            torch.testing.assert_close(seen["offset"], expected["offset"][:, who][:, :, who], atol=0, rtol=0)
            assert torch.equal(seen["heard"], expected["heard"][:, who][:, :, who])
            actions, (runs, to) = draws.integers(5, size=(count, 3)), one.draw()
            same = symmetry.acted(element, torch.from_numpy(actions)).numpy()[:, who]
            rewards = one.advance(actions, (runs, to)), two.advance(same, (runs, (to + quarters) % 4))
            assert (rewards[0][0] == rewards[1][0]).all() and (rewards[0][1] == rewards[1][1]).all()
            assert (two.cells == (turned(one.cells, quarters)[:, [*who, 3]] + shift) % side).all()
            ends += int(rewards[0][1].sum())
        assert ends > 0


def test_what_cannot_be_is_refused() -> None:
    for wrong in ({"side": 6}, {"side": 1}, {"drones": 1}, {"drones": 49}):
        with pytest.raises(InvalidInstance, match="expected") as told:
            Drones(1, **wrong)
        assert len(str(told.value).splitlines()) == 1
