"""Routes are improved, to the optimum where that can be enumerated, and every one of them is feasible on the way."""

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
from l2o.improve import improve, kernels_cvrp, kernels_routes, random
from l2o.improve import metric as compiled
from l2o.improve.cvrp import SLACK
from l2o.improve.kernels_exchange import exchange
from l2o.improve.neighbours import nearest
from l2o.jit import njit
from l2o.problems import find
from l2o.problems.distance import default_rounding, dimension
from l2o.problems.instance import Instance, Routes

DATA = Path(__file__).parents[1] / "data"
NEVER = math.inf
METRICS = ["EUC_2D", "EXPLICIT", "GEO", "MAN_3D"]


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    improving.warm_up("cvrp")


def made(n: int, metric: str = "EUC_2D", seed: int = 0, capacity: float = 10.0, unit: float = 1.0) -> Instance:
    """``n`` nodes; demands from 0 to the capacity, both times ``unit``."""
    rng = np.random.default_rng(seed)
    demand = rng.choice([0.0, 1.0, 2.0, 3.0, 5.0, capacity], n, p=[0.1, 0.2, 0.2, 0.2, 0.2, 0.1])
    demand[0] = 0.0
    coords = matrix = None
    if metric == "EXPLICIT":
        matrix = np.triu(rng.integers(0, 50, (n, n)), 1).astype(float)
        matrix += matrix.T
    else:
        coords = rng.integers(0, 90, (n, dimension(metric))).astype(float)
    return Instance(
        "random",
        "cvrp",
        metric,
        default_rounding(metric),
        np.arange(n),
        coords=coords,
        matrix=matrix,
        demand=demand * unit,
        capacity=capacity * unit,
    )


def cost(instance: Instance, routes: Routes) -> float:
    """Checks that the routes are feasible, too."""
    return find("cvrp").check(instance, routes)


def alone(n: int) -> Routes:
    return tuple((c,) for c in range(1, n))


def optimum(instance: Instance) -> float:
    """By dynamic programming over the sets of customers served so far."""
    assert instance.demand is not None and instance.capacity is not None
    customers = range(1, instance.n)
    whole = (1 << len(customers)) - 1
    route = {}
    for size in range(1, len(customers) + 1):
        for members in itertools.combinations(customers, size):
            if sum(instance.demand[list(members)]) <= instance.capacity * (1 + 1e-12):
                paths = [(0, *order, 0) for order in itertools.permutations(members)]
                costs = [sum(float(instance.distance(a, b)) for a, b in itertools.pairwise(path)) for path in paths]
                route[sum(1 << (c - 1) for c in members)] = min(costs)
    best = {0: 0.0}
    for served in range(1, whole + 1):
        best[served] = min(c + best[served & ~part] for part, c in route.items() if part & served == part)
    return best[whole]


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 7), st.sampled_from(METRICS), st.integers(0, 10_000))
def test_tiny_instances_are_solved_and_the_search_ends_by_itself(n: int, metric: str, seed: int) -> None:
    instance = made(n, metric, seed)
    found = improve(instance, alone(n), deadline=NEVER, seed=seed)
    assert cost(instance, found) == pytest.approx(optimum(instance), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 60), st.sampled_from(METRICS), st.sampled_from([1.0, 0.1]), st.integers(0, 10_000))
def test_after_every_ruin_all_is_feasible_and_costs_what_is_believed(
    n: int, metric: str, unit: float, seed: int
) -> None:
    instance = made(n, metric, seed, unit=unit)
    near = nearest(instance, 12)
    assert near is not None and instance.demand is not None and instance.capacity is not None
    given_routes = [[c] for c in range(1, n)]
    capacity = instance.capacity * (1 + SLACK)
    search = kernels_routes.search(
        compiled.metric(instance), near, np.array(instance.demand), capacity, given_routes, random.state(seed)
    )
    last = cost(instance, alone(n))
    for _ in range(20):
        kernels_cvrp.ruins(search, 1, 5.0)
        now = kernels_routes.best_cost(search)
        legs = instance.distance(search.leave, search.enter[search.after])
        assert (search.leg == np.where(search.after == np.arange(2 * n), 0.0, legs)).all()
        assert search.leg.sum() == pytest.approx(search.costs[0])
        best = tuple(tuple(route) for route in kernels_routes.best(search))
        assert cost(instance, best) == pytest.approx(now, rel=1e-9, abs=1e-6)
        assert now <= last + 1e-9
        last = now
        for r in range(n):
            stop, members = search.after[n + r], []
            while stop < n:
                assert search.before[search.after[stop]] == stop and search.route[stop] == r
                members.append(int(stop))
                stop = search.after[stop]
            assert stop == n + r and len(members) == search.size[r]
            assert float(instance.demand[members].sum()) == pytest.approx(search.load[r], abs=1e-9)
        assert sum(search.size) == n - 1 and search.load.max() <= capacity


def test_a_published_optimum_is_reached() -> None:
    instance = read(DATA / "P-n16-k8.vrp")
    assert cost(instance, improve(instance, alone(16), deadline=NEVER, seed=0, iterations=20_000)) == 450


def test_customers_that_fill_a_vehicle_each_stay_alone() -> None:
    coords = np.random.default_rng(0).random((30, 2))
    demand = np.append(0.0, np.full(29, 7.5))
    instance = Instance("full", "cvrp", "EUC_2D", "none", np.arange(30), coords=coords, demand=demand, capacity=7.5)
    found = improve(instance, alone(30), deadline=NEVER, seed=0, iterations=500)
    assert sorted(found) == sorted(alone(30))


def test_customers_without_demand_make_it_a_tour() -> None:
    coords = np.random.default_rng(0).random((40, 2))
    instance = Instance(
        "tour", "cvrp", "EUC_2D", "none", np.arange(40), coords=coords, demand=np.zeros(40), capacity=1.0
    )
    tour = Instance("tour", "tsp", "EUC_2D", "none", np.arange(40), coords=coords)
    found = improve(instance, alone(40), deadline=NEVER, seed=0, iterations=20_000)
    best = improve(tour, (tuple(range(40)),), deadline=NEVER, seed=0, iterations=2_000)
    assert len(found) == 1
    assert cost(instance, found) == pytest.approx(find("tsp").check(tour, best), rel=1e-3)


def test_one_customer_and_empty_routes() -> None:
    instance = made(2)
    assert improve(instance, ((1,),), deadline=NEVER, seed=0) == ((1,),)
    three = made(3, seed=4)
    found = improve(three, ((), (1,), (), (2,)), deadline=NEVER, seed=0)
    assert cost(three, found) == optimum(three)


def test_tenths_that_add_up_to_the_capacity_are_feasible() -> None:
    # Ten times 0.1 is less than 1 in floating point; 3 times 0.1 is more than 0.3.
    coords = 9 + np.random.default_rng(0).random((10, 2))
    coords[0] = 0
    demand = np.append(0.0, np.full(9, 0.1))
    instance = Instance("tenths", "cvrp", "EUC_2D", "none", np.arange(10), coords=coords, demand=demand, capacity=0.3)
    found = improve(instance, alone(10), deadline=NEVER, seed=0)
    cost(instance, found)
    assert sorted(map(len, found)) == [3, 3, 3]


def test_the_same_seed_gives_the_same_routes_and_another_one_need_not() -> None:
    instance = made(200, seed=2)
    runs = [improve(instance, alone(200), deadline=NEVER, seed=seed, iterations=700) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    cost(instance, runs[0])


@njit
def exchanged(search: kernels_routes.Search, count: int) -> None:
    for _ in range(count):
        exchange(search, 1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(4, 14), st.sampled_from(METRICS), st.integers(0, 10_000))
def test_no_exchange_of_ends_or_of_a_direction_is_left_that_is_shorter(n: int, metric: str, seed: int) -> None:
    instance = made(n, metric, seed)
    near = nearest(instance, n - 1)
    assert near is not None and instance.demand is not None and instance.capacity is not None
    demand = np.array(instance.demand)
    given_routes = [[c] for c in range(1, n)]
    search = kernels_routes.search(
        compiled.metric(instance), near, demand, instance.capacity, given_routes, random.state(seed)
    )
    exchanged(search, 20_000)
    routes = [tuple(route) for route in kernels_routes.best(search)]
    found = cost(instance, tuple(routes))
    assert found == pytest.approx(kernels_routes.best_cost(search), rel=1e-9, abs=1e-6)
    for i, one in enumerate(routes):
        others = routes[:i] + routes[i + 1 :]
        for begin, end in itertools.combinations(range(len(one) + 1), 2):
            turned = one[:begin] + one[begin:end][::-1] + one[end:]
            assert cost(instance, (turned, *others)) >= found - 1e-6
        for j in range(i):
            others = [route for k, route in enumerate(routes) if k not in (i, j)]
            for two in (routes[j], routes[j][::-1]):
                for cut, other_cut in itertools.product(range(len(one) + 1), range(len(two) + 1)):
                    swapped = [one[:cut] + two[other_cut:], two[:other_cut] + one[cut:]]
                    if max(demand[list(route)].sum() for route in swapped) <= instance.capacity:
                        after = tuple(route for route in (*swapped, *others) if route)
                        assert cost(instance, after) >= found - 1e-6


@pytest.mark.parametrize(("n", "threads"), [(60, 1), (60, 2), (5_000, 1)])
def test_the_deadline_holds_and_reports_are_honest_and_few(n: int, threads: int) -> None:
    instance = made(n, seed=3)
    reports = []
    start = time.monotonic()
    found = improve(
        instance,
        alone(n),
        deadline=start + 1.5,
        seed=0,
        threads=threads,
        report=lambda cost, routes: reports.append((cost, routes)),
    )
    assert 1.4 < time.monotonic() - start < 2.0  # 1.6 on a machine that does nothing else
    length = cost(instance, found)
    costs = [reported for reported, _ in reports]
    assert costs == sorted(costs, reverse=True) and len(reports) <= 1.5 * 20 + 1 + threads
    assert costs[-1] == length < cost(instance, alone(n)) and reports[-1][1] == found
    assert cost(instance, reports[0][1]) == costs[0]


def test_it_stops_when_told_and_returns_the_given_routes_if_there_is_no_time() -> None:
    instance = made(300)
    start = time.monotonic()
    assert improve(instance, alone(300), deadline=start - 1, seed=0) == alone(300)
    assert improve(instance, alone(300), deadline=NEVER, seed=0, stop=lambda: True) == alone(300)
    found = improve(instance, alone(300), deadline=NEVER, seed=0, stop=lambda: time.monotonic() > start + 0.3)
    assert time.monotonic() - start < 0.8
    assert cost(instance, found) < cost(instance, alone(300))
