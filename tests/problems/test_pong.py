"""Pong: what is seen and done, and how far the game turned upside down is the same game."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ale_py import Action, ALEInterface, LoggerMode, roms
from numpy.typing import NDArray

from l2o.models.homomorphic import pong_symmetry
from l2o.problems.pong import Pong

NOTHING, UP, DOWN = range(3)
BALL = 236
"""How bright it is."""
OURS, BETWEEN = slice(70, 72), slice(24, 100)
"""Columns: of one's own paddle in what is seen, and of the screen where no paddle is near the ball."""
BALL_COLUMN, BALL_ROW, BALL_SPEED = 49, 54, 56
"""Where the game's memory has these; the speed is that from row to row."""


@pytest.fixture(scope="module")
def games() -> Pong:
    return Pong(2)


def emulator() -> Any:
    ALEInterface.setLoggerMode(LoggerMode.Error)
    game: Any = ALEInterface()
    game.setFloat("repeat_action_probability", 0.0)
    game.loadROM(roms.get_rom_path("pong"))
    game.reset_game()
    return game


def court(game: Any) -> NDArray[np.uint8]:
    """``[160, 160]`` rows 34 to 193 of the screen."""
    screen: NDArray[np.uint8] = game.getScreenGrayscale()[34:194]
    return screen


def paddle(seen: NDArray[np.float32]) -> NDArray[np.float64]:
    """Middle row of one's own paddle in the last images of ``seen [N, 4, 80, 80]``, NaN where it is not there."""
    lit = seen[:, -1, :, OURS] > 0.5
    return np.array([np.argwhere(each)[:, 0].mean() if each.any() else np.nan for each in lit])


def test_what_is_seen_is_the_court_at_half_its_size(games: Pong) -> None:
    seen, info = games.reset(seed=3)
    assert games.observation_space.contains(seen) and seen.shape == (2, 4, 80, 80)
    replay = emulator()
    for _ in range(info["frame_number"][1]):
        replay.act(Action.NOOP)
    emulated = {NOTHING: Action.NOOP, UP: Action.RIGHT, DOWN: Action.LEFT}
    for step in range(60):
        action = step // 5 % 3
        seen, *_ = games.step(np.array([NOTHING, action]))
        frames = []
        for _ in range(4):
            replay.act(emulated[action])
            frames.append(court(replay))
        brighter = np.maximum(*frames[2:]).astype(float)
        expected = brighter.reshape(80, 2, 80, 2).mean(axis=(1, 3))
        np.testing.assert_allclose(255 * seen[1, -1], expected, atol=0.51)


def test_the_button_changes_nothing() -> None:
    with_button, without = emulator(), emulator()
    pairs = ((Action.NOOP, Action.FIRE), (Action.RIGHT, Action.RIGHTFIRE), (Action.LEFT, Action.LEFTFIRE))
    for frame in range(600):
        one, other = pairs[frame // 7 % 3]
        without.act(one)
        with_button.act(other)
        assert np.array_equal(court(without), court(with_button))


def test_games_end_with_21_points_and_the_next_begin(games: Pong) -> None:
    games.reset(seed=1)
    earned, ends = np.zeros(2), 0
    for _ in range(820):
        _, reward, terminated, truncated, _ = games.step(np.full(2, UP))
        earned += reward
        assert set(np.unique(reward)) <= {-1.0, 0.0, 1.0} and not truncated.any()
        assert (earned[terminated] == -21).all() and (earned > -22).all()
        ends += int(terminated.sum())
        earned[terminated] = 0
    assert ends == 2


def test_equal_seeds_give_equal_games_and_others_others(games: Pong) -> None:
    def played(seed: int) -> NDArray[np.float32]:
        seen, _ = games.reset(seed=seed)
        return np.stack([seen, *(games.step(np.full(2, action))[0] for action in (UP, UP, DOWN))])

    first, again, other = played(0), played(0), played(1)
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_up_and_down_are_mirrored_but_for_a_pixel(games: Pong) -> None:
    seen, _ = games.reset(seed=0)
    for _ in range(15):
        seen, *_ = games.step(np.full(2, NOTHING))
    begin = paddle(seen)
    for step in range(12):
        seen, *_ = games.step(np.array([UP, DOWN]))
        up, down = paddle(seen) - begin
        if step < 3:
            assert up < -1 and abs(up + down) <= 1
    # At the ends as much of it is to be seen above as below.
    flipped = pong_symmetry().seen(torch.tensor([1, 0]), torch.from_numpy(seen)).numpy()
    at_top, at_bottom = paddle(flipped)
    assert at_bottom > 76 and abs(at_top - at_bottom) <= 1


def test_the_flip_exchanges_up_and_down_and_maps_the_court_to_itself(games: Pong) -> None:
    seen, _ = games.reset(seed=2)
    symmetry = pong_symmetry()
    once = torch.ones(3, dtype=torch.int64)
    assert symmetry.acted(once, torch.tensor([NOTHING, UP, DOWN])).tolist() == [NOTHING, DOWN, UP]
    # The first screens are still being painted.
    darkest = np.full((80, 80), np.inf)
    for step in range(60):
        seen, *_ = games.step(np.full(2, step // 4 % 3))
        flipped = symmetry.seen(once[:2], torch.from_numpy(seen)).numpy()
        assert np.array_equal(flipped[:, :, ::-1], seen)
        if step >= 10:
            darkest = np.minimum(darkest, seen.min(axis=(0, 1)))
    # No bar nor score is in the picture, nothing but what moves.
    assert len(np.unique(darkest)) == 1


@pytest.mark.parametrize("speed", [1, 2, -1, -2])
def test_the_ball_flies_and_rebounds_as_in_a_mirror(speed: int) -> None:
    """About row 113 of the screen, half a row above the middle of what is seen."""
    one, other = emulator(), emulator()
    while (court(one)[:, BETWEEN] == BALL).sum() < 8:
        one.act(Action.NOOP)
    served = one.cloneState(include_rng=True)
    for away in range(20, 26):
        row = 44 + away if speed < 0 else 207 - away
        for game, at, by in ((one, row, speed), (other, 251 - row, -speed)):
            game.restoreState(served)
            game.setRAM(BALL_COLUMN, 110)
            game.setRAM(BALL_ROW, at)
            game.setRAM(BALL_SPEED, by % 256)
        for _ in range(32):
            one.act(Action.NOOP)
            other.act(Action.NOOP)
            image = court(one)[:159, BETWEEN]
            assert np.array_equal(image[::-1], court(other)[:159, BETWEEN])
        assert (image == BALL).any() and one.getRAM()[BALL_SPEED] == -speed % 256
