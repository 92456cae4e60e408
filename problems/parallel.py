"""One fleet as a parallel environment of PettingZoo: observations, actions and rewards by the names of agents."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from pettingzoo import ParallelEnv

from l2o.problems.fleet import Fleets, Floats32


class Parallel(ParallelEnv[str, dict[str, Floats32], int]):  # type: ignore[misc]  # PettingZoo has no types
    """A batch of one: the rules are those that are trained on."""

    def __init__(self, fleet: Fleets) -> None:
        """``fleet`` must be a single one, of which there is no other user."""
        if fleet.num_envs != 1:
            raise ValueError(f"found {fleet.num_envs} fleets, expected one")
        self.fleet = fleet
        self.metadata = {"name": f"{fleet.member}s", "render_modes": []}
        self.possible_agents = [f"{fleet.member}_{i}" for i in range(fleet.agents)]
        self.agents: list[str] = []
        whole: Any = fleet.single_observation_space
        actions: Any = fleet.single_action_space
        own: dict[str, spaces.Space[Any]] = {
            name: spaces.Box(box.low[0], box.high[0], dtype=box.dtype) for name, box in whole.items()
        }
        self.observation_spaces = {agent: spaces.Dict(own) for agent in self.possible_agents}
        self.action_spaces = {
            agent: spaces.Discrete(int(count)) for agent, count in zip(self.possible_agents, actions.nvec, strict=True)
        }

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """A dictionary: see :data:`l2o.problems.fleet.Sight`, without the axes of fleets and agents."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """So many actions."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, dict[str, Floats32]], dict[str, dict[str, Any]]]:
        """All agents are back."""
        seen, _ = self.fleet.reset(seed=seed, options=options)
        self.agents = list(self.possible_agents)
        return self._own(seen), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, int]
    ) -> tuple[
        dict[str, dict[str, Floats32]], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]
    ]:
        """One step of all. Raises gymnasium's ``ResetNeeded`` where the episode is over or has not begun."""
        agents = self.agents
        if not agents:
            raise ResetNeeded("found no agents in the world, call reset first")
        joint = np.array([[actions[agent] for agent in agents]])
        seen, reward, terminated, truncated, _ = self.fleet.step(joint)
        if terminated[0] or truncated[0]:
            self.agents = []
        return (
            self._own(seen),
            dict.fromkeys(agents, float(reward[0])),
            dict.fromkeys(agents, bool(terminated[0])),
            dict.fromkeys(agents, bool(truncated[0])),
            {agent: {} for agent in agents},
        )

    def _own(self, seen: dict[str, Floats32]) -> dict[str, dict[str, Floats32]]:
        return {
            agent: {name: part[0, i] for name, part in seen.items()} for i, agent in enumerate(self.possible_agents)
        }
