"""Worlds with several agents that share one reward, each of which sees its surroundings and hears its neighbours."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from l2o.problems.worlds import Worlds

Floats32 = NDArray[np.float32]
Sight = dict[str, Floats32]
"""``image [N, A, channels, side, side]``: what each of ``A`` agents sees around itself. ``heard [N, A, A]``: 1 where an
agent (second axis) hears another (third axis), which then hears it too. ``offset [N, A, A, 2]``: rows and columns from
the one to the other where it is heard, 0 elsewhere. The entries ``[:, i]`` are all that agent ``i`` knows.
"""


class Fleets(Worlds):
    """``num_envs`` fleets; actions are ``[N, A]``, rewards ``[N]``."""

    member: ClassVar[str]
    """What an agent is called."""

    def __init__(self, num_envs: int, *, agents: int, actions: int, image: tuple[int, int, int]) -> None:
        """``image`` is the shape of what one agent sees."""
        self.agents = agents
        see: dict[str, spaces.Space[Any]] = {
            "image": spaces.Box(0.0, 1.0, (agents, *image), np.float32),
            "offset": spaces.Box(-1.0, 1.0, (agents, agents, 2), np.float32),
            "heard": spaces.Box(0.0, 1.0, (agents, agents), np.float32),
        }
        super().__init__(num_envs, spaces.Dict(see), spaces.MultiDiscrete([actions] * agents))
