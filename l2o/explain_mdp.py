"""``l2o explain-mdp``: how far the process of building a solution shrinks, stage by stage, and that nothing is lost.

Ground states are partial solutions as they were built. *Tail*: what was visited, and in what order, no longer matters.
*Symmetry*: tails that a motion of the plane and a renumbering make of each other are one. Each stage is checked as a
homomorphism, pair by pair, and has the same optimal values by dynamic programming. The last row is the smallest process
that there is, found by partition refinement without being told what the states mean.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from l2o.homomorphism import MDP, Homomorphism, coarsest, quotient
from l2o.problems.instance import Floats, Ints

DIGITS = 9
"""Of distances, by which maps are compared."""


@dataclass(frozen=True)
class Map:
    """A small instance: nodes, of which 0 is where a tour begins or where the depot is."""

    coords: Floats
    """``[n, 2]``"""
    demand: Ints | None = None
    """``[n]`` whole, 0 for the depot, none above the capacity; None for tours."""
    capacity: int = 0

    def __post_init__(self) -> None:
        if self.demand is not None and self.demand.max() > self.capacity:
            raise ValueError(f"found a demand of {self.demand.max()} above the capacity of {self.capacity}")

    def distance(self, a: int, b: int) -> float:
        """Euclidean."""
        return float(np.linalg.norm(self.coords[a] - self.coords[b]))


@dataclass(frozen=True)
class Partial:
    """A partial solution: of which map, what was visited in order (0 for a visit home), what is loaded still."""

    map: int
    visited: tuple[int, ...]
    load: int


@dataclass(frozen=True)
class Stage:
    """One process on the way."""

    name: str
    states: int
    pairs: int
    value: float
    """The optimal cost of the first map."""


def ground(maps: Sequence[Map]) -> tuple[MDP, list[Partial], list[tuple[int, Any]]]:
    """Every way to build a solution of each of ``maps``, one decision after the other."""

    def left(state: Partial) -> list[int]:
        return [node for node in range(1, len(maps[state.map].coords)) if node not in state.visited]

    def actions(state: Partial) -> list[tuple[int, bool]]:
        here = maps[state.map]
        if here.demand is None:
            return [(node, False) for node in left(state)]
        fits = [(node, False) for node in left(state) if here.demand[node] <= state.load]
        return fits + ([(node, True) for node in left(state)] if state.visited[-1] else [])

    def step(state: Partial, action: tuple[int, bool]) -> list[tuple[float, Partial, float]]:
        (node, home), here, current = action, maps[state.map], state.visited[-1]
        way = here.distance(current, 0) + here.distance(0, node) if home else here.distance(current, node)
        load = 0 if here.demand is None else (here.capacity if home else state.load) - int(here.demand[node])
        following = Partial(state.map, (*state.visited, *([0] if home else []), node), load)
        return [(1.0, following, -way - (0.0 if left(following) else here.distance(node, 0)))]

    return MDP.explored([Partial(i, (0,), here.capacity) for i, here in enumerate(maps)], actions, step)


def tail(maps: Sequence[Map], state: Partial) -> tuple[int, int, frozenset[int], int]:
    """What is left: the map, where one stands, the nodes to visit, the load."""
    visited = set(state.visited)
    unvisited = frozenset(node for node in range(1, len(maps[state.map].coords)) if node not in visited)
    return state.map, state.visited[-1] if unvisited else 0, unvisited, state.load if unvisited else 0


def shape(maps: Sequence[Map], state: Partial, marked: int = -1) -> Hashable:
    """What is left, in distances alone: equal for tails that a motion and a renumbering make of each other.

    ``marked`` is a node that must not be exchanged with another one, as the choice that is looked at.
    """
    number, current, unvisited, load = tail(maps, state)
    here = maps[number]
    anchors = (0, current)
    demand = np.zeros(len(here.coords), np.int64) if here.demand is None else here.demand
    apart = np.linalg.norm(here.coords[:, None] - here.coords, axis=2).round(DIGITS) + 0.0
    kind = {node: (int(demand[node]), node == marked, *apart[node, list(anchors)].tolist()) for node in unvisited}
    ordered = sorted(unvisited, key=lambda node: kind[node])
    groups = [list(group) for _, group in itertools.groupby(ordered, key=lambda node: kind[node])]
    # Only nodes that are alike by themselves can take each other's place.
    orders = itertools.product(*(itertools.permutations(group) for group in groups))
    between = min((tuple(apart[np.ix_(o, o)].ravel().tolist()) for o in map(_joined, orders)), default=())
    full = here.capacity if unvisited else 0
    return load, full, float(apart[anchors]), tuple(kind[node] for node in ordered), between


def _joined(groups: Sequence[Sequence[int]]) -> list[int]:
    return [node for group in groups for node in group]


def stages(maps: Sequence[Map]) -> list[Stage]:
    """From the ground process to the smallest one.

    Raises:
        Violation: a stage is no homomorphism.
        ValueError: a stage has other optimal values.
    """
    mdp, states, pairs = ground(maps)
    value, pair_value = mdp.optimal()
    found = [Stage("partial solutions", mdp.states, len(mdp.state), -float(value[0]))]
    by_tail = _merged(mdp, states, pairs, lambda s: tail(maps, s), lambda s, a: (tail(maps, s), a))
    by_shape = _merged(
        mdp, states, pairs, lambda s: shape(maps, s), lambda s, a: (shape(maps, s), shape(maps, s, a[0]), a[1])
    )
    for name, map_ in (("tails", by_tail), ("tails up to symmetry", by_shape), ("smallest", coarsest(mdp))):
        map_.check()
        abstract, abstract_pairs = map_.abstract.optimal()
        if not (np.allclose(value, abstract[map_.state]) and np.allclose(pair_value, abstract_pairs[map_.pair])):
            raise ValueError(f"{name}: optimal values differ from those of the ground process")
        found.append(Stage(name, map_.abstract.states, len(map_.abstract.state), -float(abstract[map_.state[0]])))
    return found


def _merged(
    mdp: MDP,
    states: Sequence[Any],
    pairs: Sequence[tuple[int, Any]],
    state_key: Callable[[Any], Hashable],
    pair_key: Callable[[Any, Any], Hashable],
) -> Homomorphism:
    numbers: list[dict[Hashable, int]] = [{}, {}]
    of_state = [numbers[0].setdefault(key, len(numbers[0])) for key in map(state_key, states)]
    keys = (pair_key(states[at], action) for at, action in pairs)
    of_pair = [numbers[1].setdefault(key, len(numbers[1])) for key in keys]
    return quotient(mdp, np.array(of_state), np.array(of_pair))


def examples(nodes: int, seed: int) -> dict[str, list[Map]]:
    """The maps that are explained: random, regular, in all eight orientations, and with demands."""
    rng = np.random.default_rng(seed)
    anywhere = rng.random((nodes, 2))
    angle = 2 * np.pi * np.arange(nodes) / nodes
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lattice = np.array([[i // 2, i % 2] for i in range(nodes)], float)
    corner = np.array([[0.0, 1.0], [-1.0, 0.0]])
    turns = [
        np.linalg.matrix_power(corner, k) @ mirror for k in range(4) for mirror in (np.eye(2), np.diag([-1.0, 1.0]))
    ]
    demand = np.append(0, rng.integers(1, 4, nodes - 1))
    return {
        "tour, random": [Map(anywhere)],
        "tour, regular polygon": [Map(ring)],
        "tour, lattice of two columns": [Map(lattice)],
        "tour, random, in eight orientations": [Map(anywhere @ turn) for turn in turns],
        "routes, random": [Map(anywhere, demand, 5)],
        "routes, regular polygon, equal demands": [Map(ring, np.append(0, np.ones(nodes - 1, np.int64)), 3)],
    }


def explain(nodes: int, seed: int) -> str:
    """The table, in Markdown."""
    lines = ["| instance | stage | states | decisions | optimal cost |", "|---|---|---|---|---|"]
    for name, maps in examples(nodes, seed).items():
        for stage in stages(maps):
            lines.append(f"| {name} | {stage.name} | {stage.states:,} | {stage.pairs:,} | {stage.value:.6f} |")
            name = ""
    return "\n".join(lines)
