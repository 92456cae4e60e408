"""OR-Tools and the other references: exact on what can be enumerated, honest about scaling, limits and memory."""

import itertools
import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from l2o import heuristics, reference
from l2o.files import read, read_solution
from l2o.improve import warm_up
from l2o.problems import rules
from l2o.problems.instance import Instance, Unsupported
from l2o.reference import EXACT, LOAD, TooLarge, ortools, search, vehicles, whole_distances, whole_loads
from l2o.solutions import length
from l2o.solvers import REFERENCES

DATA = Path(__file__).parent / "data"
BENCHMARKS = os.environ.get("L2O_DATA")


def cities(n: int, seed: int, rounding: str = "none", size: float = 1.0) -> Instance:
    coords = np.random.default_rng(seed).uniform(0, size, (n, 2))
    return Instance(f"random{n}", "tsp", "EUC_2D", rounding, np.arange(1, n + 1), coords=coords)


def customers(n: int, seed: int, whole: bool = True) -> Instance:
    rng = np.random.default_rng(seed)
    demand = np.append(0, rng.integers(1, 8, n)).astype(np.float64)
    return replace(
        cities(n + 1, seed, "nearest" if whole else "none", 100.0),
        problem="cvrp",
        demand=demand if whole else demand / 10,
        capacity=10.0 if whole else 1.0,
    )


def one_way(n: int, seed: int) -> Instance:
    return Instance.of_matrix("one way", "atsp", np.random.default_rng(seed).random((n, n)))


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """Loading the library, or compiled code, must not use up the short time limits below."""
    heuristics.greedy_edge(cities(4, 0))
    ortools(cities(4, 0), time_limit=10, stop=lambda: True)


def optimum(instance: Instance) -> float:
    """By enumeration: all tours, or all orders of the customers with all ways to cut them into routes."""
    cost = rules.find(instance.problem).cost
    if instance.vehicles is not None:
        return min(
            cost(instance, tuple(order[i:j] for i, j in itertools.pairwise([0, *cuts, instance.n - 1])))
            for order in itertools.permutations(range(1, instance.n))
            for cuts in itertools.combinations_with_replacement(range(instance.n), instance.vehicles - 1)
        )
    if instance.demand is None:
        return min(cost(instance, ((0, *order),)) for order in itertools.permutations(range(1, instance.n)))
    assert instance.capacity is not None
    away = instance.distance(np.arange(instance.n)[:, None], np.arange(instance.n)[None]).tolist()
    best = math.inf
    for order in itertools.permutations(range(1, instance.n)):
        # Cheapest way to serve the first i customers of this order.
        least = [0.0] + [math.inf] * len(order)
        for i in range(1, len(order) + 1):
            for j in range(i):
                route = (0, *order[j:i], 0)
                if sum(instance.demand[list(route)]) <= instance.capacity + 1e-9:
                    length = sum(away[a][b] for a, b in itertools.pairwise(route))
                    least[i] = min(least[i], least[j] + length)
        best = min(best, least[-1])
    return best


@pytest.mark.parametrize(
    "instance",
    [
        cities(5, 0),
        cities(8, 1, "nearest", 1000.0),
        cities(8, 2, "tenths", 10.0),
        cities(7, 3, "none", 1e-6),
        cities(7, 4, "none", 1e6),
        one_way(3, 0),
        one_way(7, 1),
        customers(5, 0),
        customers(6, 1),
        customers(6, 2, whole=False),
        cities(7, 7).shared(2),
        cities(6, 6, "nearest", 1000.0).shared(3),
    ],
    ids=lambda instance: f"{instance.problem}{instance.n}-{instance.rounding}",
)
def test_ortools_finds_the_optimum_of_what_can_be_enumerated(instance: Instance) -> None:
    solution = ortools(instance, time_limit=0.5)
    assert rules.find(instance.problem).check(instance, solution.routes) == pytest.approx(solution.cost, rel=1e-12)
    assert solution.cost == pytest.approx(optimum(instance), rel=1e-9)


def test_ortools_solves_berlin52() -> None:
    instance = read(DATA / "berlin52.tsp")
    # Steps are always the same; a machine with other work to do takes longer for them.
    for limit in (5.0, 20.0, 60.0):
        solution = ortools(instance, time_limit=limit)
        if solution.cost == 7542:
            break
    assert rules.find("tsp").check(instance, solution.routes) == solution.cost == 7542
    seconds, costs = zip(*solution.trace, strict=True)
    assert list(costs) == sorted(costs, reverse=True) and costs[-1] == 7542
    assert list(seconds) == sorted(seconds) and seconds[-1] <= limit


@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_tours(n: int) -> None:
    assert sorted(ortools(cities(n, 0), time_limit=0.2).routes[0]) == list(range(n))


def test_a_depot_alone_and_with_one_customer() -> None:
    alone = replace(customers(1, 0), ids=np.array([1]), coords=np.zeros((1, 2)), demand=np.zeros(1))
    assert ortools(alone, time_limit=0.2).routes == ()
    assert ortools(customers(1, 0), time_limit=0.2).routes == ((1,),)


@pytest.mark.parametrize("size", [1e-9, 1.0, 12345.678, 1e9])
@pytest.mark.parametrize("n", [3, 200])
def test_scaled_distances_are_close_and_safe(size: float, n: int) -> None:
    instance = cities(n, 0, "none", size)
    rows, scale = whole_distances(instance)
    exact = instance.distance(np.arange(n)[:, None], np.arange(n)[None])
    whole = np.array(rows)
    assert round(math.log10(scale)) == math.log10(scale)
    assert np.abs(whole / scale - exact).max() <= (0.5 / scale) * (1 + 1e-6) + np.spacing(exact.max())
    assert EXACT / 11 < n * whole.max() <= EXACT * (1 + 1e-9)


def test_whole_distances_stay_as_they_are() -> None:
    instance = read(DATA / "gr17.tsp")
    rows, scale = whole_distances(instance)
    assert scale == 1 and (np.array(rows) == instance.matrix).all()


def test_fractions_that_fill_the_capacity_fit_and_more_does_not() -> None:
    instance = replace(
        cities(11, 0), problem="cvrp", demand=np.append(0.0, np.full(10, 0.1)), capacity=0.1 + 0.2 + 0.3 + 0.4
    )
    loads, capacity = whole_loads(instance)
    assert sum(loads) <= capacity < sum(loads) + LOAD // 10**8
    assert len(ortools(instance, time_limit=0.5).routes) == 1


def test_the_fleet_does_not_bind() -> None:
    # Demands of 0.6: eleven half-empty vehicles, where the sum of the demands would fit into seven.
    instance = replace(cities(12, 0), problem="cvrp", demand=np.append(0.0, np.full(11, 0.6)), capacity=1.0)
    assert vehicles(instance) == 11
    assert len(ortools(instance, time_limit=0.3).routes) == 11
    # Nothing to carry, and customers nearer to the depot than to each other: one vehicle would do, more cost less.
    far = np.full((6, 6), 10.0)
    far[0], far[:, 0] = 1.0, 1.0
    np.fill_diagonal(far, 0.0)
    star = Instance("star", "cvrp", "EXPLICIT", "none", np.arange(6), matrix=far, demand=np.zeros(6), capacity=1.0)
    assert ortools(star, time_limit=0.3).cost == 10


@pytest.mark.skipif(BENCHMARKS is None, reason="set L2O_DATA to the folder of benchmark files")
def test_the_fleet_has_room_above_published_solutions() -> None:
    files = sorted((Path(BENCHMARKS or "") / "cvrplib").rglob("X-*.vrp"))[::5]
    assert files
    for file in files:
        instance = read(file)
        routes = len(read_solution(file.with_suffix(".sol"), instance))
        assert routes < vehicles(instance) <= 2 * routes + 6


def test_what_takes_too_much_memory_is_refused_at_once() -> None:
    begun = time.monotonic()
    with pytest.raises(TooLarge, match=r"10,000 x 10,000 distances takes 5 GB, at most 4 GB"):
        ortools(cities(10_000, 0), time_limit=60)
    assert time.monotonic() - begun < 1


def test_time_counts_from_the_start_given() -> None:
    begun = time.monotonic()
    solution = ortools(cities(60, 0), time_limit=10.5, started=begun - 10)
    assert 0.3 < time.monotonic() - begun < 1.5
    assert 10.3 < solution.seconds < 11.5


def test_no_time_is_no_solution() -> None:
    with pytest.raises(TimeoutError, match="0 s were over"):
        ortools(cities(60, 0), time_limit=0)


def test_ortools_stops_when_asked() -> None:
    begun = time.monotonic()
    solution = ortools(cities(60, 0), time_limit=60, stop=lambda: True)
    assert time.monotonic() - begun < 10
    assert sorted(solution.routes[0]) == list(range(60))


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize(
    "instance", [cities(30, 0), customers(30, 0), cities(30, 0).shared(4), one_way(30, 0)], ids=lambda i: i.problem
)
def test_every_reference_answers_feasibly_or_says_that_it_does_not_apply(name: str, instance: Instance) -> None:
    tours = instance.symmetric and not instance.has_depot
    if (name == "savings" and instance.demand is None) or (name == "insertion" and not tours):
        with pytest.raises(Unsupported, match=r"builds|knows no directions"):
            getattr(reference, name)(instance, time_limit=1.0)
        return
    solution = getattr(reference, name)(instance, time_limit=1.0, seed=3)
    assert rules.find(instance.problem).check(instance, solution.routes) == pytest.approx(solution.cost, rel=1e-12)


def test_ortools_tells_the_longest_route_and_begins_with_what_ours_begins_with() -> None:
    instance = cities(40, 0).shared(3)
    solution = ortools(instance, time_limit=1.0)
    first, _ = heuristics.quick(instance)
    costs = [cost for _, cost in solution.trace]
    assert costs[0] == pytest.approx(rules.find("mtsp").cost(instance, first), rel=1e-6)
    assert costs == sorted(costs, reverse=True) and costs[-1] < 0.95 * costs[0]
    assert costs[-1] == pytest.approx(solution.cost, rel=1e-6)
    alone = Instance("alone", "mtsp", "EUC_2D", "none", np.array([1]), coords=np.zeros((1, 2)), vehicles=1)
    assert (ortools(alone, time_limit=0.2).routes, ortools(alone, time_limit=0.2).cost) == ((), 0.0)


def test_search_beats_what_it_starts_from() -> None:
    warm_up("tsp")
    instance = cities(100, 0)
    solution = search(instance, time_limit=1.0, seed=1)
    first = length(instance, heuristics.greedy_edge(instance))
    assert solution.trace[0][1] == first
    assert solution.cost == solution.trace[-1][1] < 0.95 * first


def test_references_do_not_load_torch() -> None:
    code = (
        "import sys, numpy as np\n"
        "from l2o.problems.instance import Instance\n"
        "from l2o.solvers import find, REFERENCES\n"
        "i = Instance('i', 'tsp', 'EUC_2D', 'none', np.arange(9), coords=np.random.default_rng(0).random((9, 2)))\n"
        "for name in REFERENCES:\n"
        "    if name != 'savings': find(name)(i, time_limit=2.0)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
