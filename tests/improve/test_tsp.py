"""Tours are improved, to the optimum where that can be enumerated, and nothing about them goes wrong on the way."""

import itertools
import math
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l2o import improve as improving
from l2o.files import read
from l2o.improve import improve, kernels_tsp, random
from l2o.improve import metric as compiled
from l2o.improve import tsp as searching
from l2o.improve.neighbours import nearest
from l2o.problems import find
from l2o.problems.distance import METRICS, default_rounding, dimension
from l2o.problems.instance import Instance, Ints, Routes

DATA = Path(__file__).parents[1] / "data"
NEVER = math.inf


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    improving.warm_up("tsp")


def made(n: int, metric: str = "EUC_2D", seed: int = 0, rounding: str | None = None) -> Instance:
    rng = np.random.default_rng(seed)
    rounding = default_rounding(metric) if rounding is None else rounding
    if metric == "EXPLICIT":
        matrix = rng.integers(0, 50, (n, n)).astype(float)
        return Instance(
            "matrix", "tsp", metric, rounding, np.arange(n), matrix=np.triu(matrix, 1) + np.triu(matrix, 1).T
        )
    # A coarse grid: duplicates and ties abound.
    coords = rng.integers(0, 90, (n, dimension(metric))).astype(float)
    return Instance("grid", "tsp", metric, rounding, np.arange(n), coords=coords)


def cost(instance: Instance, routes: Routes) -> float:
    return find("tsp").check(instance, routes)


def optimum(instance: Instance) -> float:
    n = instance.n
    d = instance.distance(np.arange(n)[:, None], np.arange(n))
    tours = np.array([(0, *rest) for rest in itertools.permutations(range(1, n))])
    return float(d[tours, np.roll(tours, -1, axis=1)].sum(axis=1).min())


def shuffled(n: int, seed: int = 0) -> Routes:
    return (tuple(np.random.default_rng(seed).permutation(n).tolist()),)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.sampled_from(METRICS), st.integers(0, 10_000))
def test_tiny_instances_are_solved_and_the_search_ends_by_itself(n: int, metric: str, seed: int) -> None:
    instance = made(n, metric, seed)
    found = improve(instance, shuffled(n, seed), deadline=NEVER, seed=seed)
    assert cost(instance, found) == pytest.approx(optimum(instance), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 60), st.sampled_from(METRICS), st.sampled_from([None, "none"]), st.integers(0, 10_000))
def test_what_the_search_believes_is_true_after_every_move(
    n: int, metric: str, rounding: str | None, seed: int
) -> None:
    instance = made(n, metric, seed, rounding)
    near = nearest(instance, 5)
    assert near is not None
    search = kernels_tsp.search(compiled.metric(instance), near, np.array(shuffled(n, seed)[0]), random.state(seed))

    def believed() -> float:
        assert search.tour[search.position].tolist() == list(range(n))
        assert cost(instance, (tuple(search.tour.tolist()),)) == pytest.approx(search.costs[0], rel=1e-9, abs=1e-6)
        best = tuple(kernels_tsp.best(search).tolist())
        assert cost(instance, (best,)) == pytest.approx(kernels_tsp.best_cost(search), rel=1e-9, abs=1e-6)
        return kernels_tsp.best_cost(search)

    last = believed()
    for look in range(100_000):
        done = kernels_tsp.descend(search, 1)
        now = believed() if look % 7 == 0 or done else last
        assert now <= last
        last = now
        if done:
            break
    assert done
    for _ in range(30):
        kernels_tsp.kicks(search, 1, 10.0)
        now = believed()
        assert now <= last + 1e-9
        last = now


def test_coordinates_and_matrix_lead_to_the_same_tour(monkeypatch: pytest.MonkeyPatch) -> None:
    instance = made(80, "CEIL_2D")
    by_matrix = improve(instance, shuffled(80), deadline=NEVER, seed=1, iterations=500)
    monkeypatch.setattr(compiled, "MATRIX_UP_TO", 0)
    assert improve(instance, shuffled(80), deadline=NEVER, seed=1, iterations=500) == by_matrix


@pytest.mark.parametrize(("name", "optimal"), [("berlin52", 7542), ("att48", 10628), ("gr17", 2085), ("burma14", 3323)])
def test_published_optima_are_reached(name: str, optimal: int) -> None:
    instance = read(DATA / f"{name}.tsp")
    found = improve(instance, shuffled(instance.n), deadline=NEVER, seed=0, iterations=5_000)
    assert cost(instance, found) == optimal


def test_the_same_seed_gives_the_same_tour_and_another_one_need_not() -> None:
    instance = made(300, seed=2)
    runs = [improve(instance, shuffled(300), deadline=NEVER, seed=seed, iterations=60) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_an_optimal_tour_is_given_back_as_it_is() -> None:
    instance = read(DATA / "berlin52.tsp")
    best = improve(instance, shuffled(52), deadline=NEVER, seed=0, iterations=5_000)
    assert improve(instance, best, deadline=NEVER, seed=5, iterations=300) == best


def test_points_on_one_spot_and_on_a_line() -> None:
    spot = Instance("spot", "tsp", "EUC_2D", "none", np.arange(200), coords=np.full((200, 2), 3.3))
    assert cost(spot, improve(spot, shuffled(200), deadline=NEVER, seed=0, iterations=100)) == 0
    line = np.random.default_rng(0).random(60)
    row = Instance("line", "tsp", "EUC_2D", "none", np.arange(60), coords=np.stack([line, 2 * line], axis=1))
    found = improve(row, shuffled(60), deadline=NEVER, seed=0, iterations=1_000)
    assert cost(row, found) == pytest.approx(2 * math.sqrt(5) * np.ptp(line))


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_any_scale(scale: float) -> None:
    coords = np.random.default_rng(0).random((100, 2))
    lengths = []
    for factor in (1.0, scale):
        instance = Instance("scaled", "tsp", "EUC_2D", "none", np.arange(100), coords=coords * factor)
        found = improve(instance, shuffled(100), deadline=NEVER, seed=0, iterations=300)
        lengths.append(cost(instance, found) / factor)
    assert lengths[1] == pytest.approx(lengths[0], rel=0.02)


@pytest.mark.parametrize("n", [100, 20_000])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_deadline_holds_and_reports_are_honest_and_few(n: int, threads: int) -> None:
    coords = np.random.default_rng(0).random((n, 2)) * 1e6
    instance = Instance("large", "tsp", "EUC_2D", "nearest", np.arange(n), coords=coords)
    given, reports = (tuple(range(n)),), []
    start = time.monotonic()
    found = improve(
        instance,
        given,
        deadline=start + 1.5,
        seed=0,
        threads=threads,
        report=lambda cost, routes: reports.append((time.monotonic() - start, cost, routes)),
    )
    assert 1.4 < time.monotonic() - start < 2.0  # 1.6 on a machine that does nothing else
    length = cost(instance, found)
    costs = [reported for _, reported, _ in reports]
    assert costs == sorted(costs, reverse=True) and len(reports) <= 1.5 * 20 + 1 + threads
    assert costs[-1] == length < cost(instance, given) / 2 and reports[-1][2] == found
    for _, reported, routes in reports[:2]:
        assert cost(instance, routes) == reported


def test_it_stops_when_told_and_returns_the_given_tour_if_there_is_no_time() -> None:
    instance = made(400)
    given = shuffled(400)
    start = time.monotonic()
    assert improve(instance, given, deadline=start - 1, seed=0) == given
    assert improve(instance, given, deadline=NEVER, seed=0, stop=lambda: True) == given
    found = improve(instance, given, deadline=NEVER, seed=0, stop=lambda: time.monotonic() > start + 0.3)
    assert time.monotonic() - start < 0.8
    assert cost(instance, found) < cost(instance, given)


def test_tours_that_cost_nothing_or_less_come_to_an_end() -> None:
    for matrix in (-np.ones((7, 7)), np.zeros((20, 20)), -np.random.default_rng(0).random((20, 20))):
        instance = Instance.of_matrix("below", "tsp", np.triu(matrix, 1) + np.triu(matrix, 1).T)
        given = shuffled(len(matrix))
        assert cost(instance, improve(instance, given, deadline=NEVER, seed=0, iterations=50)) <= cost(instance, given)


def passed(deadline: float) -> bool:
    return time.monotonic() > deadline


def test_the_best_that_was_found_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what the last of the threads to say something had."""
    instance = made(200, rounding="none")
    honest, claimed = searching.anytime, []

    def spied(*arguments: Any) -> tuple[float, Ints]:
        best = honest(*arguments)
        claimed.append(best[0])
        return best

    monkeypatch.setattr(searching, "anytime", spied)
    for seed in range(6):
        deadline = time.monotonic() + 0.3 + 0.1 * seed
        stop = partial(passed, deadline)
        routes = improve(instance, shuffled(200), deadline=deadline + 9, seed=seed, threads=2, stop=stop)
        assert cost(instance, routes) == pytest.approx(claimed.pop(), rel=1e-9)


def test_an_exception_in_report_is_not_swallowed() -> None:
    def refuse(cost: float, routes: Routes) -> None:
        raise KeyError(cost)

    for threads in (1, 2):
        with pytest.raises(KeyError):
            improve(made(50), shuffled(50), deadline=NEVER, seed=0, threads=threads, report=refuse, iterations=10)
