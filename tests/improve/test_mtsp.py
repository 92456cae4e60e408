"""Search for routes of which the longest counts: optimal where that can be told, never worse than what it is given."""

from __future__ import annotations

import itertools
import math
import time
from queue import SimpleQueue

import numpy as np
import pytest

from l2o.bound import Bound, bounds
from l2o.improve import improve
from l2o.improve.mtsp import as_tour
from l2o.problems import rules
from l2o.problems.instance import Instance, InvalidInstance, Routes

RULES = rules.find("mtsp")
NEVER = math.inf


def made(n: int, vehicles: int, metric: str = "EUC_2D", rounding: str = "none", seed: int = 0) -> Instance:
    rng = np.random.default_rng(seed)
    if metric == "EXPLICIT":
        matrix = np.triu(rng.integers(1, 100, (n, n)), 1).astype(float)
        matrix += matrix.T
        return Instance("made", "mtsp", metric, rounding, np.arange(n), matrix=matrix, vehicles=vehicles)
    coords = 10 * rng.random((n, 2))
    return Instance("made", "mtsp", metric, rounding, np.arange(n), coords=coords, vehicles=vehicles)


def by_turns(n: int, vehicles: int) -> Routes:
    return tuple(tuple(range(1 + i, n, vehicles)) for i in range(vehicles))


def optimum(instance: Instance) -> float:
    """By enumeration: all orders of the customers, all ways to cut them into routes."""
    assert instance.vehicles is not None
    customers, away = instance.n - 1, instance.distance(*np.ogrid[: instance.n, : instance.n]).tolist()
    best = math.inf
    for order in itertools.permutations(range(1, instance.n)):
        for cuts in itertools.combinations_with_replacement(range(customers + 1), instance.vehicles - 1):
            longest = 0.0
            for i, j in itertools.pairwise([0, *cuts, customers]):
                if i < j:
                    longest = max(longest, sum(away[a][b] for a, b in itertools.pairwise([0, *order[i:j], 0])))
            best = min(best, longest)
    return best


TINY = [
    made(6, 2),
    made(7, 3, seed=1),
    made(7, 2, rounding="nearest", seed=2),
    made(6, 2, "EXPLICIT", seed=3),
    made(7, 3, "EXPLICIT", seed=4),
    made(6, 5, "GEO", "next", seed=5),
    made(6, 1, seed=6),
]


@pytest.mark.parametrize("instance", TINY, ids=lambda i: f"{i.metric}-{i.rounding}-{i.n - 1}by{i.vehicles}")
def test_the_optimum_of_what_can_be_enumerated(instance: Instance) -> None:
    assert instance.vehicles is not None
    least = optimum(instance)
    found = improve(instance, by_turns(instance.n, instance.vehicles), deadline=NEVER, seed=0)
    assert RULES.check(instance, found) == pytest.approx(least, rel=1e-9)
    known: list[Bound] = []
    bounds(instance, upper=lambda: math.inf, over=lambda: False, left=lambda: math.inf, told=known.append)
    (bound,) = known
    assert 0 < bound.value <= least * (1 + 1e-9)
    if instance.vehicles == instance.n - 1 and instance.matrix is None:
        assert bound.value == pytest.approx(least), "one customer each"


def test_on_the_globe_the_straight_way_is_not_the_shortest_but_for_rounding() -> None:
    coords = np.array([[0.0, 0.0], [1.0, 0.0], [1.0000001, 0.0]])
    instance = Instance("globe", "mtsp", "GEO", "none", np.arange(3), coords=coords, vehicles=1)
    known: list[Bound] = []
    bounds(instance, upper=lambda: math.inf, over=lambda: False, left=lambda: math.inf, told=known.append)
    assert known[0].value <= optimum(instance)


def test_costs_below_zero_are_refused() -> None:
    matrix = np.array([[0, 1, -3], [1, 0, 2], [-3, 2, 0.0]])
    with pytest.raises(InvalidInstance, match="chain: found a cost of -3, expected none below 0"):
        Instance("chain", "mtsp", "EXPLICIT", "none", np.arange(3), matrix=matrix, vehicles=2)


def test_a_short_cut_by_way_of_others_is_seen_by_the_bound() -> None:
    matrix = np.array([[0, 1, 9, 9], [1, 0, 1, 9], [9, 1, 0, 1], [9, 9, 1, 0.0]])
    instance = Instance("chain", "mtsp", "EXPLICIT", "none", np.arange(4), matrix=matrix, vehicles=2)
    known: list[Bound] = []
    bounds(instance, upper=lambda: math.inf, over=lambda: False, left=lambda: math.inf, told=known.append)
    assert known[0].value == 6
    bounds(instance, upper=lambda: math.inf, over=lambda: True, left=lambda: 0.0, told=known.append)
    assert len(known) == 1


@pytest.mark.parametrize(("n", "vehicles"), [(60, 4), (41, 40), (30, 1)])
def test_routes_become_better_and_equal_seeds_give_equal_routes(n: int, vehicles: int) -> None:
    instance, given = made(n, vehicles, seed=n), by_turns(n, vehicles)
    runs = [improve(instance, given, deadline=NEVER, seed=seed, iterations=1500) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] and (runs[0] != runs[2] or vehicles != 4)
    costs = [RULES.check(instance, routes) for routes in (given, runs[0], runs[2])]
    assert costs[1] <= costs[0] and costs[2] <= costs[0]
    assert vehicles > 4 or costs[1] < 0.7 * costs[0]


def test_routes_are_tours_that_became_no_longer() -> None:
    instance = made(40, 3)
    route = tuple(np.random.default_rng(1).permutation(np.arange(1, 30)).tolist())
    better = as_tour(instance, route)
    assert sorted(better) == sorted(route)
    assert RULES.cost(instance, (tuple(better),)) < 0.6 * RULES.cost(instance, (route,))
    for tiny in ((), (3,), (3, 5), (5, 3, 9)):
        assert sorted(as_tour(instance, tiny)) == sorted(tiny)


def test_the_deadline_holds_reports_are_honest_and_newcomers_are_taken_in() -> None:
    instance, given = made(80, 3, seed=3), by_turns(80, 3)
    good = improve(instance, given, deadline=NEVER, seed=0, iterations=4000)
    assert improve(instance, given, deadline=time.monotonic() - 1, seed=0) == given
    assert improve(instance, given, deadline=NEVER, seed=0, stop=lambda: True) == given
    newcomers: SimpleQueue[Routes] = SimpleQueue()
    newcomers.put(good)
    reports: list[tuple[float, Routes]] = []
    found = improve(
        instance,
        given,
        deadline=NEVER,
        seed=0,
        iterations=600,
        newcomers=newcomers,
        report=lambda cost, routes: reports.append((cost, routes)),
    )
    cost = RULES.check(instance, found)
    assert cost <= RULES.check(instance, good)
    assert all(told == RULES.cost(instance, routes) for told, routes in reports)
    assert [told for told, _ in reports] == sorted((told for told, _ in reports), reverse=True)
    assert reports[-1][0] == pytest.approx(cost, rel=1e-12) and reports[-1][1] == found


def test_one_customer_and_idle_vehicles() -> None:
    assert improve(made(2, 1), ((1,),), deadline=NEVER, seed=0) == ((1,),)
    found = improve(made(4, 3), ((), (1, 2, 3), ()), deadline=NEVER, seed=0)
    assert sorted(node for route in found for node in route) == [1, 2, 3]
    assert RULES.check(made(4, 3), found) == pytest.approx(optimum(made(4, 3)))
