"""Tours whose cost depends on the direction: optimal where that can be enumerated, and never the wrong way round."""

import itertools
import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o import improve as improving
from l2o.files import read
from l2o.heuristics import greedy_edge, nearest_neighbour, quick, random_insertion
from l2o.improve import improve
from l2o.improve.assignment import joined, prices, successors
from l2o.problems import rules
from l2o.problems.instance import Instance, Routes, Unsupported

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    improving.warm_up("atsp")


def made(n: int, seed: int = 0, *, whole: bool = True) -> Instance:
    rng = np.random.default_rng(seed)
    costs = rng.integers(0, 50, (n, n)).astype(float) if whole else rng.random((n, n))
    np.fill_diagonal(costs, 0.0)
    return Instance.of_matrix("made", "atsp", costs)


def cost(instance: Instance, routes: Routes) -> float:
    return rules.find("atsp").check(instance, routes)


def optimum(instance: Instance) -> float:
    tours = ((0, *rest) for rest in itertools.permutations(range(1, instance.n)))
    return min(cost(instance, (tour,)) for tour in tours)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.booleans(), st.integers(0, 10_000))
def test_tiny_instances_are_solved_and_the_search_ends_by_itself(n: int, whole: bool, seed: int) -> None:
    instance = made(n, seed, whole=whole)
    found = improve(instance, (tuple(range(n)),), deadline=math.inf, seed=seed)
    assert cost(instance, found) == pytest.approx(optimum(instance), abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_where_all_tours_cost_the_same_the_search_ends(seed: int) -> None:
    """What is left of the costs is nothing but rounding, and gains of that would never end."""
    rng = np.random.default_rng(seed)
    costs = rng.random((12, 1)) + rng.random(12)
    np.fill_diagonal(costs, 0.0)
    instance = Instance.of_matrix("same", "atsp", costs)
    begun = time.monotonic()
    found = improve(instance, (tuple(range(12)),), deadline=begun + 20, seed=0, iterations=20)
    assert time.monotonic() < begun + 10 and cost(instance, found) == pytest.approx(cost(instance, (tuple(range(12)),)))


def test_the_way_round_matters() -> None:
    # One step on costs nothing, any other way costs 9.
    costs = np.full((30, 30), 9.0)
    costs[np.arange(30), (np.arange(30) + 1) % 30] = 0.0
    instance = Instance.of_matrix("ring", "atsp", costs)
    assert cost(instance, (tuple(range(30)),)) == 0
    assert cost(instance, (tuple(range(30))[::-1],)) == 270
    found = improve(instance, (tuple(range(30))[::-1],), deadline=math.inf, seed=0, iterations=1_000)
    assert cost(instance, found) == 0


def test_a_published_optimum_is_reached() -> None:
    instance = read(DATA / "br17.atsp")
    assert (instance.name, instance.problem, instance.symmetric) == ("br17", "atsp", False)
    found = improve(instance, nearest_neighbour(instance), deadline=math.inf, seed=0, iterations=5_000)
    assert cost(instance, found) == 39


@pytest.mark.parametrize("whole", [True, False])
def test_populations_have_more_than_one_thread_and_keep_the_deadline(whole: bool) -> None:
    instance = made(80, seed=1, whole=whole)
    begun = time.monotonic()
    reports = []
    found = improve(
        instance,
        nearest_neighbour(instance),
        deadline=begun + 1.0,
        seed=0,
        threads=2,
        report=lambda claimed, routes: reports.append((claimed, cost(instance, routes))),
    )
    assert time.monotonic() - begun < 1.5
    assert all(claimed == pytest.approx(checked) for claimed, checked in reports)
    best = min(checked for _, checked in reports)
    assert cost(instance, found) == pytest.approx(best)
    assert best < 0.5 * cost(instance, nearest_neighbour(instance))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 30), st.booleans(), st.integers(0, 10_000))
def test_prices_are_dual_to_the_cheapest_rings(n: int, whole: bool, seed: int) -> None:
    costs = np.array(made(n, seed, whole=whole).matrix)
    leaving, arriving = prices(costs, successors(costs))
    spare = costs - leaving[:, None] - arriving
    np.fill_diagonal(spare, 0.0)
    assert spare.min() >= -1e-9
    if n <= 6:
        rings = [p for p in itertools.permutations(range(n)) if all(i != j for i, j in enumerate(p))]
        least = min(sum(costs[i, j] for i, j in enumerate(ring)) for ring in rings)
        assert leaving.sum() + arriving.sum() == pytest.approx(least)


def test_prices_stop_when_told_to_and_still_pay_for_the_cheapest_rings() -> None:
    costs = np.array(made(200).matrix)
    successor = successors(costs)
    paid, full = prices(costs, successor)
    looks = itertools.count()
    leaving, arriving = prices(costs, successor, lambda: next(looks) >= 2)
    assert next(looks) == 3
    assert (arriving >= full).all() and (arriving > full).any()
    assert leaving.sum() + arriving.sum() == pytest.approx(paid.sum() + full.sum())


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 30), st.booleans(), st.integers(0, 10_000))
def test_rings_become_one_tour_at_no_less_than_they_cost(n: int, whole: bool, seed: int) -> None:
    instance = made(n, seed, whole=whole)
    costs = np.array(instance.matrix)
    successor = successors(costs)
    tour = joined(costs, successor)
    assert sorted(tour) == list(range(n))
    rings = costs[np.arange(n), successor].sum()
    made_of = costs[tour, np.roll(tour, -1)].sum()
    assert made_of >= rings - 1e-9
    # All of one ring: there is nothing to join.
    ring = (np.arange(n) + 1) % n
    assert joined(costs, ring).tolist() == list(range(n))


def test_two_rings_are_joined_where_it_costs_least() -> None:
    costs = np.array(made(9, 3).matrix)
    successor = np.array([1, 2, 3, 4, 0, 6, 7, 8, 5])
    tour = joined(costs, successor)
    ways = []
    for a, b in itertools.product(range(5), range(5, 9)):
        after = successor.copy()
        after[a], after[b] = after[b], after[a]
        ways.append(costs[np.arange(9), after].sum())
    assert costs[tour, np.roll(tour, -1)].sum() == min(ways)


def test_at_random_costs_the_search_begins_near_the_best_and_says_so() -> None:
    """The cheapest rings, made one, cost hardly more than they did; from nearest neighbour it is a long way."""
    instance = made(300, whole=False)
    costs = np.array(instance.matrix)
    least = costs[np.arange(300), successors(costs)].sum()
    begun = nearest_neighbour(instance)
    reports: list[float] = []
    improve(instance, begun, deadline=math.inf, seed=0, iterations=1, report=lambda claimed, _: reports.append(claimed))
    assert least <= reports[0] < 1.1 * least < 0.5 * cost(instance, begun)


def test_starts_that_know_no_directions_say_so() -> None:
    instance = made(9)
    assert quick(instance)[1] == "nearest neighbour"
    for start in (greedy_edge, random_insertion):
        with pytest.raises(Unsupported, match="knows no directions; use nearest_neighbour"):
            start(instance)
