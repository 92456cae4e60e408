"""MDP homomorphisms as objects: finite decision processes, maps between them that lose nothing, how to find such maps.

Sources: B. Ravindran, A. G. Barto, "Symmetries and model minimization in Markov decision processes", 2001, and
"Approximate homomorphisms: a framework for non-exact minimization in Markov decision processes", 2004; E. van der Pol,
D. Worrall, H. van Hoof, F. Oliehoek, M. Welling, "MDP homomorphic networks: group symmetries in reinforcement
learning", 2020.

A homomorphism maps states to abstract states and, in each state, actions to abstract actions, such that rewards and
the probabilities of going from one set of equivalent states to another survive. Then so do optimal values, and what is
optimal in the abstract process is optimal in the ground one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array

from l2o.problems.instance import Floats, Ints

CLOSE = 1e-9
"""Difference up to which rewards, probabilities and values are the same."""


class Violation(ValueError):
    """A map is no homomorphism. The message names a pair of state and action where it fails, and how."""


@dataclass(frozen=True)
class MDP:
    """``S`` states, and ``K`` pairs of a state and an action that may be taken there. A state without any is an end."""

    state: Ints
    """``[K]`` of each pair."""
    reward: Floats
    """``[K]`` expected reward of each pair."""
    transition: csr_array
    """``[K, S]`` probabilities of the next state; rows sum to one."""
    discount: float = 1.0

    def __post_init__(self) -> None:
        pairs, states = self.transition.shape
        if self.state.shape != (pairs,) or self.reward.shape != (pairs,):
            raise ValueError(f"found {len(self.state)} states and {len(self.reward)} rewards for {pairs} pairs")
        if pairs and not (self.state.min() >= 0 and self.state.max() < states):
            raise ValueError(f"found a pair of a state outside 0 .. {states - 1}")
        if not np.isfinite(self.reward).all():
            raise ValueError(f"found a reward of {self.reward[~np.isfinite(self.reward)][0]}; it must be finite")
        if pairs and (self.transition.data.min(initial=0.0) < 0 or not np.allclose(self.transition.sum(axis=1), 1)):
            raise ValueError("found a row of transitions that is no distribution")

    @property
    def states(self) -> int:
        """How many."""
        return int(self.transition.shape[1])

    @classmethod
    def explored(
        cls,
        starts: Sequence[Hashable],
        actions: Callable[[Any], Sequence[Hashable]],
        step: Callable[[Any, Any], Sequence[tuple[float, Hashable, float]]],
        *,
        discount: float = 1.0,
    ) -> tuple[MDP, list[Any], list[tuple[int, Any]]]:
        """The process reachable from ``starts``, its states, and its pairs as ``(number of the state, action)``.

        ``step(state, action)`` gives ``(probability, next state, reward)`` for each outcome.
        """
        number: dict[Hashable, int] = {start: i for i, start in enumerate(dict.fromkeys(starts))}
        found = list(number)
        pairs: list[tuple[int, Any]] = []
        rewards, rows, columns, chances = [], [], [], []
        for at in range(10**9):
            if at == len(found):
                break
            for action in actions(found[at]):
                expected = 0.0
                for chance, following, reward in step(found[at], action):
                    if following not in number:
                        number[following] = len(found)
                        found.append(following)
                    rows.append(len(pairs))
                    columns.append(number[following])
                    chances.append(chance)
                    expected += chance * reward
                pairs.append((at, action))
                rewards.append(expected)
        transition = coo_array((chances, (rows, columns)), shape=(len(pairs), len(found))).tocsr()
        state = np.array([at for at, _ in pairs], np.int64)
        return cls(state, np.array(rewards, float), transition, discount), found, pairs

    def optimal(self, *, sweeps: int = 100_000) -> tuple[Floats, Floats]:
        """Optimal values ``[S]`` of states and ``[K]`` of pairs, by value iteration; ends are worth nothing.

        Raises:
            ValueError: values do not settle, as without a discount where nothing ends.
        """
        value = np.zeros(self.states)
        for _ in range(sweeps):
            pair = self.reward + self.discount * (self.transition @ value)
            new = np.full(self.states, -np.inf)
            np.maximum.at(new, self.state, pair)
            new[np.isneginf(new)] = 0.0
            change = float(np.abs(new - value).max(initial=0.0))
            value = new
            if change <= CLOSE * 1e-3 * max(1.0, float(np.abs(value).max(initial=0.0))):
                return value, self.reward + self.discount * (self.transition @ value)
        raise ValueError(f"values have not settled after {sweeps} sweeps; the process needs a discount or an end")

    def values(self, policy: Floats) -> Floats:
        """``[S]`` values of ``policy [K]``, the probability of each action in its state."""
        weight = csr_array((policy, (self.state, np.arange(len(policy)))), shape=(self.states, len(policy)))
        value = np.zeros(self.states)
        for _ in range(100_000):
            new = np.asarray(weight @ (self.reward + self.discount * (self.transition @ value)))
            if np.abs(new - value).max(initial=0.0) <= CLOSE * 1e-3 * max(1.0, float(np.abs(new).max(initial=0.0))):
                return new
            value = new
        raise ValueError("values have not settled; the process needs a discount or an end")


@dataclass(frozen=True)
class Homomorphism:
    """A map from one process to another, not checked yet."""

    ground: MDP
    abstract: MDP
    state: Ints
    """``[S]`` the abstract state of each state."""
    pair: Ints
    """``[K]`` the abstract pair of each pair."""

    def check(self) -> None:
        """The two conditions, reward and block transitions, for every pair, and that no state lacks an action.

        Raises:
            Violation: the first pair that breaks one, or the processes have not the same discount.
            ValueError: it is no map of states to states and pairs to pairs.
        """
        _require_map("states", self.state, self.ground.states, self.abstract.states)
        _require_map("pairs", self.pair, len(self.ground.state), len(self.abstract.state))
        if self.ground.discount != self.abstract.discount:
            raise Violation(f"discounted by {self.ground.discount:g}, its image by {self.abstract.discount:g}")
        astray = np.flatnonzero(self.abstract.state[self.pair] != self.state[self.ground.state])
        if len(astray):
            k = int(astray[0])
            raise Violation(
                f"pair {k} of state {self.ground.state[k]} is mapped to a pair of abstract state "
                f"{self.abstract.state[self.pair[k]]}, its state to {self.state[self.ground.state[k]]}"
            )
        off = np.abs(self.ground.reward - self.abstract.reward[self.pair])
        if off.max(initial=0.0) > CLOSE * max(1.0, float(np.abs(self.ground.reward).max(initial=0.0))):
            k = int(off.argmax())
            raise Violation(
                f"pair {k} of state {self.ground.state[k]} earns {self.ground.reward[k]:g}, "
                f"abstract pair {self.pair[k]} earns {self.abstract.reward[self.pair[k]]:g}"
            )
        blocks = self.ground.transition @ self._membership()
        difference = abs(blocks - self.abstract.transition[self.pair]).tocoo()
        wrong = np.flatnonzero(difference.data > CLOSE)
        if len(wrong):
            k, block = int(difference.row[wrong[0]]), int(difference.col[wrong[0]])
            raise Violation(
                f"pair {k} of state {self.ground.state[k]} leads to the states of abstract state {block} "
                f"with probability {blocks[k, block]:g}, abstract pair {self.pair[k]} "
                f"with {self.abstract.transition[self.pair[k], block]:g}"
            )
        # What may be done in an abstract state must be possible, by some action, in each of its states.
        distinct = np.unique(np.stack([self.ground.state, self.pair]), axis=1)[0]
        there = np.bincount(distinct, minlength=self.ground.states)
        wanted = np.bincount(self.abstract.state, minlength=self.abstract.states)[self.state]
        lacking = np.flatnonzero(there < wanted)
        if len(lacking):
            s = int(lacking[0])
            offered = set(self.pair[self.ground.state == s].tolist())
            k = next(k for k in np.flatnonzero(self.abstract.state == self.state[s]).tolist() if k not in offered)
            raise Violation(f"abstract pair {k} of abstract state {self.state[s]} is the image of no pair of state {s}")

    def _membership(self) -> csr_array:
        size = (self.ground.states, self.abstract.states)
        return csr_array((np.ones(size[0]), (np.arange(size[0]), self.state)), shape=size)

    def lifted(self, policy: Floats) -> Floats:
        """``policy`` on abstract pairs as one on ground pairs: what is equivalent is equally likely."""
        alike = np.zeros((len(self.ground.state),))
        key = self.ground.state * len(self.abstract.state) + self.pair
        _, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
        alike = count[inverse]
        found: Floats = policy[self.pair] / alike
        return found

    def then(self, other: Homomorphism) -> Homomorphism:
        """This map and then another, from this one's abstract process on."""
        return Homomorphism(self.ground, other.abstract, other.state[self.state], other.pair[self.pair])


def _require_map(kind: str, found: Ints, count: int, images: int) -> None:
    if found.shape != (count,) or (count and not (found.min() >= 0 and found.max() < images)):
        raise ValueError(f"found no map of {count} {kind} to 0 .. {images - 1}")


def orbits(actions: Sequence[Ints]) -> Ints:
    """``[N]`` the orbit of each of ``N`` things under the group that the permutations ``actions [N]`` generate."""
    n = len(actions[0])
    label = np.arange(n)
    while True:
        new = label.copy()
        for action in actions:
            np.minimum.at(new, action, label)
            new = np.minimum(new, label[action])
        new = new[new]
        if (new == label).all():
            return np.unique(label, return_inverse=True)[1].astype(np.int64)
        label = new


def quotient(mdp: MDP, state: Ints, pair: Ints) -> Homomorphism:
    """The process whose states and pairs are the classes that ``state [S]`` and ``pair [K]`` name, 0, 1, ..

    Each class of pairs behaves like the first of its pairs; :meth:`Homomorphism.check` says whether anything is lost.
    """
    states, pairs = int(state.max(initial=-1)) + 1, int(pair.max(initial=-1)) + 1
    first = np.full(pairs, len(pair))
    np.minimum.at(first, pair, np.arange(len(pair)))
    member = csr_array((np.ones(len(state)), (np.arange(len(state)), state)), shape=(len(state), states))
    transition = (mdp.transition @ member).tocsr()[first]
    abstract = MDP(state[mdp.state[first]], mdp.reward[first], transition, mdp.discount)
    return Homomorphism(mdp, abstract, state, pair)


def by_symmetry(mdp: MDP, states: Sequence[Ints], pairs: Sequence[Ints]) -> Homomorphism:
    """The quotient by the orbits of a group, given by what its elements do to states ``[S]`` and to pairs ``[K]``."""
    return quotient(mdp, orbits(states), orbits(pairs))


def coarsest(mdp: MDP) -> Homomorphism:
    """The smallest process that ``mdp`` can be mapped to: states are told apart only where some action does.

    By partition refinement (T. Dean, R. Givan, "Model minimization in Markov decision processes", 1997; with actions
    that need not have the same name in equivalent states, Ravindran & Barto 2001): begin with one class of states and
    split it by what can be earned and reached, until nothing is left to be split.
    """
    state = np.zeros(mdp.states, np.int64)
    rewards = _alike(mdp.reward / max(1.0, float(np.abs(mdp.reward).max(initial=0.0))))
    while True:
        blocks = int(state.max(initial=-1)) + 1
        member = csr_array((np.ones(mdp.states), (np.arange(mdp.states), state)), shape=(mdp.states, blocks))
        reached = (mdp.transition @ member).tocsr()
        reached.sort_indices()
        ends, chances = reached.indptr, _alike(reached.data)
        signatures = [
            (
                int(state[mdp.state[k]]),
                int(rewards[k]),
                tuple(reached.indices[ends[k] : ends[k + 1]].tolist()),
                tuple(chances[ends[k] : ends[k + 1]].tolist()),
            )
            for k in range(len(mdp.state))
        ]
        pair = _classes(signatures)
        offered: list[set[int]] = [set() for _ in range(mdp.states)]
        for s, k in zip(mdp.state.tolist(), pair.tolist(), strict=True):
            offered[s].add(k)
        new = _classes([(int(s), tuple(sorted(kinds))) for s, kinds in zip(state, offered, strict=True)])
        if int(new.max(initial=-1)) + 1 == blocks:
            return quotient(mdp, state, pair)
        state = new


def _classes(keys: Sequence[Hashable]) -> Ints:
    """``[N]`` the same number for equal keys, in the order of their first appearance."""
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(key, len(number)) for key in keys], np.int64)


def _alike(values: Floats) -> Ints:
    """``[N]`` the same number for ``values [N]`` that are the same; rounding them would part some by chance."""
    order = np.argsort(values)
    number = np.empty(len(values), np.int64)
    number[order] = np.cumsum(np.diff(values[order], prepend=-np.inf) > CLOSE)
    return number
