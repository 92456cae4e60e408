"""Homomorphisms: the two conditions are checked pair by pair, values survive, and what can be merged is."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from l2o.homomorphism import MDP, Homomorphism, Violation, by_symmetry, coarsest, orbits, quotient
from l2o.problems.instance import Ints

SIDE = 5
MOVES = {"up": (0, 1), "right": (1, 0), "down": (0, -1), "left": (-1, 0)}
GOAL = (SIDE // 2, SIDE // 2)


def grid_world(slip: float = 0.2) -> tuple[MDP, list[tuple[int, int]], list[tuple[int, str]]]:
    """Walk to the middle of a square; now and then one does not move at all."""
    cells = list(itertools.product(range(SIDE), repeat=2))

    def step(cell: tuple[int, int], move: str) -> list[tuple[float, tuple[int, int], float]]:
        x, y = (min(SIDE - 1, max(0, c + d)) for c, d in zip(cell, MOVES[move], strict=True))
        return [(1 - slip, (x, y), -1.0 + 10 * ((x, y) == GOAL)), (slip, cell, -1.0)]

    return MDP.explored(cells, lambda cell: [] if cell == GOAL else list(MOVES), step, discount=0.95)


def turned(cells: list[tuple[int, int]], pairs: list[tuple[int, str]]) -> tuple[Ints, Ints]:
    """What a quarter turn to the right does to cells and to pairs."""
    at = {cell: i for i, cell in enumerate(cells)}
    turn = np.array([at[(y, SIDE - 1 - x)] for x, y in cells])
    names = list(MOVES)
    number = {pair: k for k, pair in enumerate(pairs)}
    follows = [number[(int(turn[s]), names[(names.index(move) + 1) % 4])] for s, move in pairs]
    return turn, np.array(follows)


def test_the_grid_world_by_its_rotations() -> None:
    mdp, cells, pairs = grid_world()
    turn, follows = turned(cells, pairs)
    found = by_symmetry(mdp, [turn], [follows])
    found.check()
    # 24 cells in orbits of four, and the middle by itself.
    assert (mdp.states, found.abstract.states) == (25, 7)
    ground, abstract = mdp.optimal(), found.abstract.optimal()
    np.testing.assert_allclose(ground[0], abstract[0][found.state], atol=1e-8)
    np.testing.assert_allclose(ground[1], abstract[1][found.pair], atol=1e-8)
    # Mirrored too there is less left, and the coarsest map finds at least that without being told.
    smallest = coarsest(mdp)
    smallest.check()
    assert smallest.abstract.states == 6
    np.testing.assert_allclose(ground[0], smallest.abstract.optimal()[0][smallest.state], atol=1e-8)


def test_a_lifted_policy_is_worth_as_much() -> None:
    mdp, cells, pairs = grid_world()
    found = by_symmetry(mdp, *([one] for one in turned(cells, pairs)))
    abstract = found.abstract
    for seed in range(5):
        policy = np.random.default_rng(seed).random(len(abstract.state))
        policy /= np.bincount(abstract.state, policy, minlength=abstract.states)[abstract.state]
        lifted = found.lifted(policy)
        np.testing.assert_allclose(np.bincount(mdp.state, lifted)[np.unique(mdp.state)], 1.0)
        np.testing.assert_allclose(mdp.values(lifted), abstract.values(policy)[found.state], atol=1e-7)
    value, pair = abstract.optimal()
    best = np.isclose(pair, value[abstract.state]).astype(float)
    best /= np.bincount(abstract.state, best, minlength=abstract.states)[abstract.state]
    np.testing.assert_allclose(mdp.values(found.lifted(best)), mdp.optimal()[0], atol=1e-7)


def test_violations_are_named() -> None:
    mdp, cells, pairs = grid_world()
    found = by_symmetry(mdp, *([one] for one in turned(cells, pairs)))
    reward = found.abstract.reward.copy()
    reward[found.pair[7]] += 1
    abstract = found.abstract
    other = MDP(abstract.state, reward, abstract.transition, abstract.discount)
    with pytest.raises(Violation, match=r"pair \d+ of state \d+ earns"):
        Homomorphism(mdp, other, found.state, found.pair).check()
    # One more class than there may be: the corner is not like its neighbour.
    state = found.state.copy()
    state[cells.index((0, 0))] = state[cells.index((0, 1))]
    with pytest.raises(Violation, match=r"pair \d+ of state"):
        quotient(mdp, np.unique(state, return_inverse=True)[1], found.pair).check()
    fewer = np.arange(len(mdp.state)) > 0
    part = MDP(mdp.state[fewer], mdp.reward[fewer], mdp.transition[fewer], mdp.discount)
    with pytest.raises(Violation, match="is the image of no pair of state 0"):
        Homomorphism(part, abstract, found.state, found.pair[fewer]).check()
    transition = abstract.transition.tolil()
    transition[0] = 0
    transition[0, 0] = 1
    other = MDP(abstract.state, abstract.reward, csr_array(transition.tocsr()), abstract.discount)
    with pytest.raises(Violation, match="with probability"):
        Homomorphism(mdp, other, found.state, found.pair).check()


@given(seed=st.integers(0, 10**6), states=st.integers(2, 6), copies=st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_copies_of_a_process_are_found_to_be_one(seed: int, states: int, copies: int) -> None:
    """Every state several times over, its actions in any order, led to any of the copies of where it led."""
    rng = np.random.default_rng(seed)
    small_reward = rng.integers(0, 5, (states, 2)).astype(float)
    small_chance = rng.dirichlet(np.ones(states), (states, 2))
    large, rows, rewards = states * copies, [], []
    owners = []
    for s in range(large):
        for action in rng.permutation(2):
            row = np.zeros(large)
            for following in range(states):
                split = rng.dirichlet(np.ones(copies))
                chance = small_chance[s // copies, action, following]
                row[following * copies : (following + 1) * copies] = chance * split
            rows.append(row)
            rewards.append(small_reward[s // copies, action])
            owners.append(s)
    mdp = MDP(np.array(owners), np.array(rewards), csr_array(np.array(rows)), 0.9)
    found = coarsest(mdp)
    found.check()
    assert found.abstract.states <= states
    np.testing.assert_allclose(mdp.optimal()[0], found.abstract.optimal()[0][found.state], atol=1e-6)
    again = coarsest(found.abstract)
    assert again.abstract.states == found.abstract.states
    found.then(again).check()


def test_what_differs_by_rounding_alone_is_one() -> None:
    """A probability, and the same as a sum of nine, at a border of what rounding to whole units would tell apart."""
    transition = np.zeros((11, 12))
    transition[0, [2, 11]] = 1 / 1024, 1 - 1 / 1024
    transition[1, 2:11], transition[1, 11] = 1 / 9216, 1 - 1 / 1024
    transition[2:, 11] = 1.0
    assert transition[0, 2] != sum(transition[1, 2:11].tolist()) == pytest.approx(1 / 1024, rel=1e-12)
    found = coarsest(MDP(np.arange(11), np.array([0.0, 0.0, *[5.0] * 9]), csr_array(transition)))
    found.check()
    assert found.abstract.states == 3


def test_what_is_no_map_is_refused() -> None:
    mdp, _, _ = grid_world()
    same = (np.arange(mdp.states), np.arange(len(mdp.state)))
    Homomorphism(mdp, mdp, *same).check()
    with pytest.raises(Violation, match=r"discounted by 0.95, its image by 0.5"):
        Homomorphism(mdp, replace(mdp, discount=0.5), *same).check()
    with pytest.raises(ValueError, match=r"found no map of 25 states to 0 .. 24"):
        Homomorphism(mdp, mdp, same[0] - 1, same[1]).check()
    with pytest.raises(ValueError, match=r"found no map of 96 pairs to 0 .. 95"):
        Homomorphism(mdp, mdp, same[0], same[1][:-1]).check()
    with pytest.raises(ValueError, match="found a reward of nan; it must be finite"):
        replace(mdp, reward=np.full(len(mdp.state), np.nan))


def test_orbits_of_several_generators() -> None:
    assert orbits([np.array([1, 2, 3, 0, 4, 5])]).tolist() == [0, 0, 0, 0, 1, 2]
    assert orbits([np.array([1, 0, 2, 3]), np.array([0, 2, 1, 3])]).tolist() == [0, 0, 0, 1]


def test_what_is_no_process_is_refused() -> None:
    with pytest.raises(ValueError, match="distribution"):
        MDP(np.array([0]), np.zeros(1), csr_array(np.array([[0.5, 0.4]])))
    with pytest.raises(ValueError, match="outside"):
        MDP(np.array([2]), np.zeros(1), csr_array(np.array([[1.0, 0.0]])))
    endless = MDP(np.array([0]), np.ones(1), csr_array(np.array([[1.0]])))
    with pytest.raises(ValueError, match="discount"):
        endless.optimal(sweeps=100)
