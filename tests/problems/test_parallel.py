"""Fleets as parallel environments: by PettingZoo's own test, and the same as a batch of one."""

from __future__ import annotations

import pytest
from gymnasium.error import ResetNeeded
from pettingzoo.test import parallel_api_test

from l2o.problems.fleet import Fleets
from l2o.problems.parallel import Parallel
from l2o.problems.traffic import Junctions
from l2o.problems.wildlife import Drones


def fleets() -> dict[str, Fleets]:
    return {"wildlife": Drones(1), "small": Drones(1, drones=5, side=5), "traffic": Junctions(1)}


@pytest.mark.parametrize("name", fleets())
def test_pettingzoo_has_no_complaints(name: str) -> None:
    parallel_api_test(Parallel(fleets()[name]), num_cycles=600)


@pytest.mark.parametrize("name", fleets())
def test_agents_get_their_part_of_a_batch_of_one(name: str) -> None:
    alone, batch = Parallel(fleets()[name]), fleets()[name]
    own, infos = alone.reset(seed=5)
    seen, _ = batch.reset(seed=5)
    assert list(own) == list(infos) == alone.agents == alone.possible_agents and len(own) == batch.agents
    batch.action_space.seed(6)
    while alone.agents:
        for i, agent in enumerate(alone.possible_agents):
            assert alone.observation_space(agent).contains(own[agent])
            assert all((own[agent][part] == values[0, i]).all() for part, values in seen.items())
        actions = batch.action_space.sample()
        named = {agent: int(action) for agent, action in zip(alone.agents, actions[0], strict=True)}
        assert all(alone.action_space(agent).contains(action) for agent, action in named.items())
        own, earned, terminated, truncated, _ = alone.step(named)
        seen, reward, over, late, _ = batch.step(actions)
        for found, whole in ((earned, reward), (terminated, over), (truncated, late)):
            assert found == dict.fromkeys(named, whole[0])
    assert over[0] or late[0]
    with pytest.raises(ResetNeeded, match="reset"):
        alone.step(named)
    assert set(alone.reset()[0]) == set(named)


def test_only_one_fleet_is_taken() -> None:
    with pytest.raises(ValueError, match="expected one"):
        Parallel(Drones(2))
