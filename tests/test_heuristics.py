"""Classical constructions against their definitions, carried out naively."""

import itertools

import numpy as np
import pytest

from l2o import heuristics
from l2o.heuristics import greedy_edge, nearest_neighbour, random_insertion, savings, shared_out, space_filling
from l2o.improve.neighbours import nearest
from l2o.problems import find
from l2o.problems.distance import METRICS, default_rounding, dimension
from l2o.problems.instance import Infeasible, Instance, Ints, Unsupported


def made(
    n: int, metric: str = "EUC_2D", seed: int = 0, demand: np.ndarray | None = None, grid: bool = False
) -> Instance:
    rng = np.random.default_rng(seed)
    coords = matrix = None
    if metric == "EXPLICIT":
        matrix = np.triu(rng.random((n, n)), 1)
        matrix += matrix.T
    else:
        coords = rng.integers(0, 3, (n, 2)).astype(float) if grid else rng.uniform(0, 80, (n, dimension(metric)))
    problem = "tsp" if demand is None else "cvrp"
    rounding = "none" if not grid else default_rounding(metric)
    capacity = None if demand is None else 20.0
    return Instance(
        "x", problem, metric, rounding, np.arange(n), coords=coords, matrix=matrix, demand=demand, capacity=capacity
    )


def demands(n: int, seed: int = 0) -> np.ndarray:
    return np.append(0.0, np.random.default_rng(seed).integers(1, 9, n - 1).astype(float))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [1, 2, 3, 200])
def test_nearest_neighbour_always_goes_to_the_nearest_node_left(metric: str, n: int) -> None:
    instance = made(n, metric)
    (tour,) = routes = nearest_neighbour(instance, seed=5)
    find("tsp").check(instance, routes)
    for i in range(1, n):
        left = np.array(tour[i:])
        assert tour[i] == left[instance.distance(tour[i - 1], left).argmin()]


@pytest.mark.parametrize("metric", ["EUC_2D", "EXPLICIT", "GEO"])
def test_nearest_neighbour_goes_home_only_when_nothing_fits(metric: str) -> None:
    instance = made(150, metric, demand=demands(150))
    routes = nearest_neighbour(instance)
    find("cvrp").check(instance, routes)
    assert instance.demand is not None
    left = set(range(1, 150))
    for route in routes:
        at, room = 0, 20.0
        for c in route:
            fits = [v for v in sorted(left) if instance.demand[v] <= room]
            assert c == min(fits, key=lambda v: float(instance.distance(at, v)))
            left.remove(c)
            at, room = c, room - instance.demand[c]
        assert not left or min(instance.demand[v] for v in left) > room


@pytest.mark.parametrize("metric", ["EUC_2D", "EXPLICIT", "GEO"])
@pytest.mark.parametrize(("n", "vehicles"), [(2, 1), (150, 1), (150, 7)])
def test_of_a_fleet_the_last_always_goes_to_the_nearest_node_left(metric: str, n: int, vehicles: int) -> None:
    instance = made(n, metric).shared(vehicles)
    routes = nearest_neighbour(instance)
    find("mtsp").check(instance, routes)
    left = set(range(1, n))
    rest, come = [list(route) for route in routes], [(0.0, 0)] * len(routes)
    while left:
        here = min(range(len(come)), key=lambda v: come[v][0])
        length, at = come[here]
        c = rest[here].pop(0)
        assert instance.distance(at, c) == min(instance.distance(at, v) for v in left)
        left.remove(c)
        come[here] = length + float(instance.distance(at, c)), c


@pytest.mark.parametrize(("n", "vehicles"), [(1, 1), (2, 1), (9, 1), (9, 2), (9, 3), (9, 8)])
def test_a_tour_is_shared_out_as_well_as_its_order_allows(n: int, vehicles: int) -> None:
    instance = made(n).shared(vehicles)
    routes = shared_out(instance)
    cost = find("mtsp").check(instance, routes)
    (tour,) = greedy_edge(instance.part(np.arange(n)))
    at = tour.index(0)
    stops = tour[at + 1 :] + tour[:at]
    assert tuple(node for route in routes for node in route) == stops
    least = min(
        find("mtsp").cost(instance, tuple(stops[i:j] for i, j in itertools.pairwise([0, *cuts, n - 1])))
        for cuts in itertools.combinations_with_replacement(range(n), vehicles - 1)
    )
    assert cost == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_a_tour_is_shared_out_whatever_distances_are(seed: int) -> None:
    instance = made(30, "EXPLICIT", seed=seed).shared(4)
    find("mtsp").check(instance, shared_out(instance))


@pytest.mark.parametrize("metric", METRICS)
def test_random_insertion_inserts_where_it_costs_least(metric: str) -> None:
    instance = made(60, metric)
    routes = random_insertion(instance, seed=3)
    order = np.random.default_rng(3).permutation(60).tolist()
    tour = [order[0]]
    for c in order[1:]:
        here, there = np.array(tour), np.array(tour[1:] + tour[:1])
        detour = instance.distance(here, c) + instance.distance(c, there) - instance.distance(here, there)
        tour.insert(int(detour.argmin()) + 1, c)
    check = find("tsp").check
    assert check(instance, routes) == pytest.approx(check(instance, (tuple(tour),)))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_greedy_edge_takes_the_shortest_that_can_be_taken(metric: str, n: int) -> None:
    instance = made(n, metric)
    (tour,) = greedy_edge(instance)
    pairs = [(i, j) for i in range(n) for j in range(i)]
    degree, path, taken = [0] * n, list(range(n)), set()
    for i, j in sorted(pairs, key=lambda pair: float(instance.distance(*pair))):
        if degree[i] < 2 and degree[j] < 2 and path[i] != path[j]:
            degree[i], degree[j] = degree[i] + 1, degree[j] + 1
            path = [path[j] if name == path[i] else name for name in path]
            taken.add(frozenset({i, j}))
    assert sorted(tour) == list(range(n))
    assert {frozenset(edge) for edge in itertools.pairwise(tour)} == taken


def test_a_space_filling_curve_goes_from_cell_to_neighbouring_cell() -> None:
    side = 16
    coords = np.array([[x, y] for x in range(side) for y in range(side)], dtype=float)
    instance = Instance("grid", "tsp", "EUC_2D", "none", np.arange(side * side), coords=coords)
    (tour,) = space_filling(instance)
    assert sorted(tour) == list(range(side * side))
    steps = np.abs(np.diff(coords[list(tour)], axis=0)).sum(axis=1)
    assert (steps == 1).all()


def test_savings_on_a_case_worked_by_hand() -> None:
    # Three pairs of neighbours far out in three directions, the vehicle holds two.
    coords = np.array([[0, 0], [9, 0], [9, 1], [-9, 0], [-9, 1], [0, 9], [1, 9]], dtype=float)
    demand = np.array([0, 10, 10, 10, 10, 10, 10], dtype=float)
    instance = Instance("x", "cvrp", "EUC_2D", "none", np.arange(7), coords=coords, demand=demand, capacity=20.0)
    assert {frozenset(route) for route in savings(instance)} == {frozenset(pair) for pair in [(1, 2), (3, 4), (5, 6)]}


@pytest.mark.parametrize("n", [1, 2, 3, 300])
@pytest.mark.parametrize("metric", ["EUC_2D", "EXPLICIT"])
def test_savings_are_feasible_and_better_than_nearest_neighbour(n: int, metric: str) -> None:
    instance = made(n, metric, demand=demands(n))
    check = find("cvrp").check
    length = check(instance, savings(instance))
    assert length <= check(instance, nearest_neighbour(instance)) + 1e-9


@pytest.mark.parametrize("n", [12, 60])
def test_savings_join_what_the_rule_says_one_after_the_other(n: int) -> None:
    instance = made(n, "EUC_2D", demand=demands(n))
    assert instance.capacity is not None and instance.demand is not None
    d, routes = instance.distance, [[c] for c in range(1, n)]
    pairs = sorted((d(0, a) + d(0, b) - d(a, b), a, b) for a in range(1, n) for b in range(1, a))
    for saved, a, b in reversed(pairs):
        one, two = (next(route for route in routes if c in route) for c in (a, b))
        inner = a not in (one[0], one[-1]) or b not in (two[0], two[-1])
        if one is two or inner or saved <= 0 or instance.demand[one + two].sum() > instance.capacity:
            continue
        routes.remove(two)
        one[:] = (one if one[-1] == a else one[::-1]) + (two if two[0] == b else two[::-1])
    assert {min(r, r[::-1]) for r in savings(instance)} == {min(tuple(r), tuple(r[::-1])) for r in routes}


@pytest.mark.parametrize("n", [2, 5, 100])
def test_nodes_on_few_spots(n: int) -> None:
    tours, routes = made(n, grid=True), made(n, grid=True, demand=demands(n))
    for found in (f(tours) for f in (nearest_neighbour, random_insertion, greedy_edge, space_filling)):
        find("tsp").check(tours, found)
    for found in (nearest_neighbour(routes), savings(routes)):
        find("cvrp").check(routes, found)


def test_many_nodes_on_one_spot_are_not_joined_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = []

    def counted(instance: Instance, k: int) -> Ints | None:
        rounds.append(instance.n)
        return nearest(instance, k)

    monkeypatch.setattr(heuristics, "nearest", counted)
    coords = np.repeat(np.random.default_rng(0).random((3, 2)), 400, axis=0)
    instance = Instance("spots", "tsp", "EUC_2D", "none", np.arange(1200), coords=coords)
    length = find("tsp").check(instance, greedy_edge(instance))
    ring = Instance("ring", "tsp", "EUC_2D", "none", np.arange(3), coords=coords[::400])
    assert len(rounds) <= 2 and length == pytest.approx(find("tsp").check(ring, ((0, 1, 2),)))


def test_a_customer_that_fits_no_vehicle_is_named() -> None:
    demand = demands(9)
    demand[4] = 21
    for heuristic in (nearest_neighbour, savings):
        with pytest.raises(Infeasible, match="customer 4 demands 21, the capacity is 20"):
            heuristic(made(9, demand=demand))


def test_what_is_not_meant_for_a_problem_says_so() -> None:
    with pytest.raises(Unsupported, match="routes"):
        random_insertion(made(9, demand=demands(9)))
    with pytest.raises(Unsupported, match="routes"):
        greedy_edge(made(9, demand=demands(9)))
    for instance in (made(9), made(9).shared(2)):
        with pytest.raises(Unsupported, match="within a capacity"):
            savings(instance)
    for heuristic in (random_insertion, greedy_edge, space_filling):
        with pytest.raises(Unsupported, match="tours"):
            heuristic(made(9).shared(2))


def test_twenty_thousand_nodes() -> None:
    instance = made(20_000)
    check = find("tsp").check
    found = (random_insertion, greedy_edge, nearest_neighbour, space_filling)
    insertion, greedy, nearest, curve = (check(instance, f(instance)) for f in found)
    assert max(insertion, greedy) < nearest
    # An optimal tour is expected to be 0.7124 sqrt(n A) long.
    assert nearest < curve < 1.45 * 0.7124 * 80 * np.sqrt(20_000)
