"""The grid worlds: their rules, and that quarter turns of the compass change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from l2o.models.homomorphic import gridworld_symmetry
from l2o.problems.gridworld import SIDE, GridWorlds
from l2o.problems.worlds import MOVES


def test_a_prey_beside_the_predator_is_caught_by_going_there() -> None:
    worlds = GridWorlds(4)
    worlds.reset(seed=0)
    for action in range(4):
        worlds.prey = np.tile(MOVES[action] % SIDE, (4, 1))
        _, reward, terminated, truncated, _ = worlds.step(np.full(4, action))
        assert (reward == 1.0).all() and terminated.all() and not truncated.any()
        # The next step only begins the next episode.
        _, reward, terminated, _, _ = worlds.step(np.full(4, action))
        assert (reward == 0.0).all() and not terminated.any() and (worlds.prey != 0).any(axis=1).all()


def test_the_prey_runs_now_and_then_and_the_torus_has_no_rim() -> None:
    worlds = GridWorlds(20_000)
    worlds.reset(seed=1)
    worlds.prey[:] = 3, 0
    before = worlds.prey.copy()
    _, reward, terminated, _, _ = worlds.step(np.full(20_000, 4))
    ran = (worlds.prey != before).any(axis=1)
    assert ran.mean() == pytest.approx(0.15, abs=0.01)
    assert {tuple(cell) for cell in worlds.prey.tolist()} == {(3, 0), (2, 0), (4, 0), (3, 1), (3, 6)}
    assert (reward == -0.1).all() and not terminated.any()
    # Going away all the way round, one arrives from the other side.
    worlds.prey[:] = 6, 0
    worlds.step(np.full(20_000, 2))
    assert (worlds.prey == (5, 0)).all(axis=1).mean() == pytest.approx(0.85, abs=0.01)


def test_an_episode_ends_after_a_hundred_steps() -> None:
    worlds = GridWorlds(50)
    worlds.reset(seed=2)
    for step in range(1, worlds.longest + 1):
        worlds.prey[:] = 3, 3
        _, _, terminated, truncated, _ = worlds.step(np.full(50, 4))
        assert not terminated.any() and truncated.all() == (step == worlds.longest)


def test_equal_seeds_give_equal_worlds_whatever_kind_of_number_they_are() -> None:
    def begun(seed: object) -> list[list[int]]:
        worlds = GridWorlds(50)
        worlds.reset(seed=seed)  # type: ignore[arg-type]
        return worlds.prey.tolist()  # type: ignore[no-any-return]

    assert begun(7) == begun(np.int64(7)) != begun(8)
    with pytest.raises(TypeError):
        begun([7] * 50)


def test_what_is_seen() -> None:
    worlds = GridWorlds(1)
    seen, _ = worlds.reset(seed=3)
    assert worlds.observation_space.contains(seen)
    worlds.prey[:] = 1, 5
    (image,) = worlds.seen()[0]
    lit = {(int(r), int(c)) for r, c in np.argwhere(image[1::3, 1::3] > 0)}
    assert lit == {(3, 3), (4, 1)} and image.sum() == 2 * 9


def test_quarter_turns_change_nothing() -> None:
    """What a turned predator sees of a turned world after the turned action is what it would have seen, turned."""
    symmetry = gridworld_symmetry()
    worlds = GridWorlds(1)
    worlds.reset(seed=4)
    for element in range(4):
        for action in range(5):
            for cell in ((1, 2), (3, 0), (6, 4)):
                results = []
                for turned in (False, True):
                    worlds.prey[:] = cell
                    acted = torch.tensor([action])
                    if turned:
                        image = symmetry.seen(torch.tensor([element]), torch.from_numpy(worlds.seen()))
                        worlds.prey[:] = _prey(image[0, 0, 1::3, 1::3].numpy())
                        acted = symmetry.acted(torch.tensor([element]), acted)
                    # The predator's part of a step; the prey's is the same in every direction.
                    worlds.prey = (worlds.prey - MOVES[acted.numpy()]) % SIDE
                    results.append(torch.from_numpy(worlds.seen()))
                expected = symmetry.seen(torch.tensor([element]), results[0])
                torch.testing.assert_close(results[1], expected)


def _prey(cells: np.ndarray) -> tuple[int, int]:
    middle = SIDE // 2
    lit = [(int(r), int(c)) for r, c in np.argwhere(cells > 0.5) if (r, c) != (middle, middle)]
    ((row, column),) = lit or [(middle, middle)]
    return (row - middle) % SIDE, (column - middle) % SIDE
