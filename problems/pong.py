"""Atari's Pong, many games at once: four images of 80 x 80 are seen; nothing, up and down can be done.

Source: E. van der Pol and others, "MDP homomorphic networks", 2020, section 5. The emulator is the Arcade Learning
Environment (M. Bellemare and others, 2013) as the package ale-py brings it. Its licence, the GPL, is not this
package's: nothing else loads it.

Turned upside down, with up and down exchanged, the game is nearly the same. In rows of the screen, of which two make
one of the image: the court fills the image, so that the flip maps it to itself. The ball flies and rebounds exactly as
in a mirror that lies half a row above the middle of the image. One's own paddle reaches equally far up and down but for
two rows. Not mirrored are where the paddle is first, ten rows above the middle; where the ball is served, two below it;
and the opponent, who holds his paddle a little lower than a mirror would have it.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from l2o.problems.instance import Bools, Floats, Ints

ACTIONS: Ints = np.array([0, 2, 3])
"""Nothing, up and down by the emulator's numbers; the other three are these with the button, which changes nothing."""
SCREEN, COURT = (105, 80), slice(17, 97)
"""Rows and columns of the screen at half its size, and the rows between the bars above and below."""

Images = NDArray[np.float32]


class Pong(VectorEnv[Images, Ints, Any]):
    """``num_envs`` games to 21 points that go on by themselves: the step after the end of one only begins the next.

    What is done is done for four frames, and each image shows the brighter of the last two of them.
    """

    def __init__(self, num_envs: int) -> None:
        from ale_py import AtariVectorEnv

        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        height, width = SCREEN
        self._games: Any = AtariVectorEnv(
            "pong", num_envs, img_height=height, img_width=width, use_fire_reset=False, num_threads=1
        )
        self.single_observation_space = spaces.Box(0.0, 1.0, (4, width, width), np.float32)
        self.single_action_space = spaces.Discrete(len(ACTIONS))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Images, dict[str, Any]]:
        """New games, each after as many frames of nothing, up to 30, as its seed says."""
        # The emulator would give the games of the next seed the same seeds but for one.
        seeds = None if seed is None else operator.index(seed) * self.num_envs + np.arange(self.num_envs)
        seen, info = self._games.reset(seed=seeds)
        return _court(seen), info

    def step(self, actions: Ints) -> tuple[Images, Floats, Bools, Bools, dict[str, Any]]:
        """A point won is worth 1, a point lost -1."""
        seen, reward, terminated, truncated, info = self._games.step(ACTIONS[actions])
        return _court(seen), reward.astype(np.float64), terminated, truncated, info


def _court(screens: NDArray[np.uint8]) -> Images:
    return np.divide(screens[:, :, COURT], 255, dtype=np.float32)
