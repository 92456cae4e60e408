"""The process of building a solution, stage by stage: sizes known by counting, values known by enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from l2o import explain_mdp
from l2o.explain_mdp import Map, Partial, examples, explain, ground, shape, stages, tail
from l2o.homomorphism import Violation


def shortest(here: Map) -> float:
    n = len(here.coords)
    tours = ((0, *rest) for rest in itertools.permutations(range(1, n)))
    return min(sum(here.distance(a, b) for a, b in zip(t, (*t[1:], 0), strict=True)) for t in tours)


@pytest.mark.parametrize("n", [3, 5, 6])
def test_sizes_of_tours(n: int) -> None:
    (partial, tails, symmetric, smallest) = stages(examples(n, 1)["tour, random"])
    m = n - 1
    assert partial.states == sum(math.perm(m, k) for k in range(m + 1))
    # Where one stands and what is left; all finished tours are one.
    assert tails.states == 1 + sum(k * math.comb(m, k) for k in range(1, m)) + 1
    assert partial.states > tails.states >= symmetric.states >= smallest.states


@pytest.mark.parametrize("seed", range(3))
def test_values_are_those_of_the_shortest_solutions(seed: int) -> None:
    for name, maps in examples(6, seed).items():
        values = {round(stage.value, 9) for stage in stages(maps)}
        assert len(values) == 1
        if name.startswith("tour"):
            assert values == {round(shortest(maps[0]), 9)}


def test_eight_orientations_are_one_map_to_who_knows_symmetry() -> None:
    maps = examples(6, 0)
    alone, eight = stages(maps["tour, random"]), stages(maps["tour, random, in eight orientations"])
    assert [stage.states for stage in eight[:2]] == [8 * stage.states for stage in alone[:2]]
    assert eight[2].states == alone[2].states


def test_regular_maps_shrink_more() -> None:
    _, tails, symmetric, smallest = stages(examples(6, 0)["tour, regular polygon"])
    assert symmetric.states < 0.6 * tails.states and smallest.states < symmetric.states


def test_what_forgets_the_load_is_no_homomorphism(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = examples(6, 0)["routes, random"]
    monkeypatch.setattr(explain_mdp, "tail", lambda maps, state: (*tail(maps, state)[:3], 0))
    with pytest.raises(Violation, match="pair"):
        stages(maps)


def test_a_load_that_can_be_filled_up_to_another_capacity_is_another() -> None:
    points, demand = np.random.default_rng(0).random((6, 2)), np.array([0, 1, 1, 1, 1, 1])
    together = stages([Map(points, demand, 2), Map(points, demand, 3)])
    assert together[2].states > stages([Map(points, demand, 2)])[2].states
    with pytest.raises(ValueError, match="found a demand of 3 above the capacity of 2"):
        Map(points, demand * 3, 2)


def test_shapes_follow_motions_and_renumbering_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    coords = rng.random((6, 2))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    order = np.append(0, 1 + rng.permutation(5))
    maps = [Map(coords), Map((coords @ turn + 3)[order]), Map(coords * 1.5)]
    new = {int(old): at for at, old in enumerate(order)}
    for visited in ((0,), (0, 3), (0, 3, 1)):
        moved = tuple(new[node] for node in visited)
        one, same, other = (shape(maps, Partial(i, v, 0)) for i, v in ((0, visited), (1, moved), (2, visited)))
        assert one == same != other
        (chosen,) = [node for node in (2,) if node not in visited]
        assert shape(maps, Partial(0, visited, 0), chosen) == shape(maps, Partial(1, moved, 0), new[chosen])


def test_the_table_has_four_stages_for_each_instance() -> None:
    lines = explain(4, 0).splitlines()
    assert len(lines) == 2 + 4 * len(examples(4, 0))


def test_the_ground_process_never_offers_what_does_not_fit() -> None:
    (here,) = maps = examples(6, 0)["routes, random"]
    assert here.demand is not None
    _, states, pairs = ground(maps)
    for at, (node, home) in pairs:
        assert home or here.demand[node] <= states[at].load
